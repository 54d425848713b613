//! Requests and replies that no golden file needs.

use super::*;

#[test]
fn prefixes_lead_nowhere_else() {
    let with = |give: &str| Prefixes {
        give: give.to_owned(),
        ..Prefixes::default()
    };
    for good in ["", "/gw", "/gw/v1", "/MAP_2-x"] {
        assert!(with(good).are_sound(), "{good}");
    }
    for bad in [
        "gw", "/", "/gw/", "//gw", "/gw?x", "/..", "/a b", "@evil", "/a#b", "/%2e",
    ] {
        assert!(!with(bad).are_sound(), "{bad}");
    }
}

#[test]
fn keys_are_not_printed() {
    let key = AppKey::parse("secretAppKey").unwrap();
    assert_eq!(format!("{key:?}"), "AppKey(…)");
    for bad in ["", "a b", "key\n", &"k".repeat(129)] {
        assert!(AppKey::parse(bad).is_none(), "{bad:?}");
    }
}

/// A signing key must not lie about beside the code, so the one of the golden cases serves.
const PRIVATE: &str = include_str!("../../../tests/golden/map/private.pem");

#[test]
fn what_confirms_a_spend_is_sent_and_not_recorded() {
    use crate::domain::remote_voucher::{RemoteId, StepUp};
    use crate::domain::text::Mobile;
    let credential = MapCredential {
        name: "oil".to_owned(),
        base_url: "http://127.0.0.1:1".to_owned(),
        app_id: MchId::of_app("zjhtwallet").unwrap(),
        app_key: AppKey::parse("secretAppKey").unwrap(),
        sign_key: PrivateKey::from_pem(PRIVATE).unwrap(),
        options: Options::default(),
        client_identity: None,
        ca_pem: None,
    };
    let mut spend = Spend {
        mobile: Mobile::parse("13912345678").unwrap(),
        vouchers: vec![RemoteId::parse("RP1").unwrap()],
        order: RemoteId::parse("HB1").unwrap(),
        associated_order: None,
        remark: "使用红包消费".to_owned(),
        step_up: StepUp {
            account_code: Some("231435".to_owned()),
            payment_code_md5: Some("0123456789abcdef0123456789abcdef".to_owned()),
        },
    };
    let codec = MapCodec::new(&credential);
    let stamp = Stamp::fresh(clock::wall());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let request = codec.spend_request(&spend, &stamp).unwrap();
    let (sent, kept) = (text(&request.body), text(&request.recorded.unwrap()));
    for code in ["231435", "0123456789abcdef0123456789abcdef"] {
        assert!(sent.contains(code) && !kept.contains(code), "{kept}");
    }
    assert!(kept.contains("(forgotten)") && kept.contains("HB1"));
    spend.step_up = StepUp::default();
    let request = codec.spend_request(&spend, &stamp).unwrap();
    assert!(request.recorded.is_none(), "the body itself is recorded");
}
