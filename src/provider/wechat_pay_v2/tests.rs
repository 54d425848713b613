//! What the golden files cannot say case by case: every echo, every word, every cut.

use proptest::prelude::*;

use super::*;
use crate::domain::text::{Appid, MchBillno, MchId, Openid, Texts};
use crate::signing::wechat_v2;

const KEY: &str = "192006250b4c09247ec02edce69f6a2d";

fn codec() -> WechatPayV2 {
    WechatPayV2::new(&ApiKey::parse(KEY).unwrap())
}

fn payment(texts: Texts) -> Payment {
    Payment {
        mch_id: MchId::parse("10000098").unwrap(),
        appid: Appid::parse("wx8888888888888888").unwrap(),
        mch_billno: MchBillno::parse("1000009820250122000000000001").unwrap(),
        openid: Openid::parse("oAlice").unwrap(),
        amount: Fen(100),
        kind: Kind::Normal,
        total_num: 1,
        risk_info: None,
        texts,
        client_ip: "192.168.0.1".to_owned(),
        template_id: None,
        mobile: None,
    }
}

fn texts(send_name: &str, remark: &str) -> Texts {
    let [send_name, remark] = [send_name, remark].map(str::to_owned);
    Texts {
        act_name: remark.clone(),
        wishing: send_name.clone(),
        send_name,
        remark,
        scene_id: None,
    }
}

/// A success with these elements behind it.
fn answer(elements: &str) -> HttpReply {
    let success = "<return_code>SUCCESS</return_code><result_code>SUCCESS</result_code>";
    let body = format!("<xml>{success}{elements}</xml>").into_bytes();
    HttpReply { status: 200, body }
}

const ECHO: &str = "<mch_billno>1000009820250122000000000001</mch_billno><mch_id>10000098</mch_id>\
                    <re_openid>oAlice</re_openid><total_amount>100</total_amount>";

fn sent(elements: &str) -> SendOutcome {
    codec().read_send(&payment(texts("s", "r")), &answer(elements))
}

#[test]
fn a_success_needs_each_echo() {
    assert!(matches!(sent(ECHO), SendOutcome::Accepted { .. }));
    for (field, ours) in [
        ("mch_billno", "1000009820250122000000000001"),
        ("mch_id", "10000098"),
        ("re_openid", "oAlice"),
        ("total_amount", "100"),
    ] {
        let element = |value: &str| format!("<{field}>{value}</{field}>");
        for absent in ["".to_owned(), element("")] {
            let outcome = sent(&ECHO.replace(&element(ours), &absent));
            assert_eq!(outcome, SendOutcome::Unknown(Cause::Unparsable), "{field}");
        }
        let outcome = sent(&ECHO.replace(&element(ours), &element("7")));
        assert_eq!(outcome, SendOutcome::Mismatch { field });
    }
    let appid = format!("{ECHO}<wxappid>wx1</wxappid>");
    assert_eq!(sent(&appid), SendOutcome::Mismatch { field: "wxappid" });
    // What differs weighs more than what is missing.
    let both = ECHO
        .replace("<mch_id>10000098</mch_id>", "")
        .replace("oAlice", "oBob");
    assert_eq!(sent(&both), SendOutcome::Mismatch { field: "re_openid" });
}

#[test]
fn amounts_are_digits() {
    for bad in [
        "100.0",
        "1e2",
        "+100",
        "-100",
        " 100",
        "１００",
        "0x64",
        "99999999999999999999",
    ] {
        let echo = ECHO.replace(">100<", &format!(">{bad}<"));
        assert_eq!(
            sent(&echo),
            SendOutcome::Unknown(Cause::Unparsable),
            "{bad}"
        );
    }
}

#[test]
fn words_from_outside_are_not_repeated_unless_they_look_like_codes() {
    let code = |code: &str| {
        let outcome = sent(&format!("{ECHO}<err_code>{code}</err_code>"));
        let SendOutcome::Unknown(cause) = outcome else {
            panic!("{outcome:?}")
        };
        cause.code()
    };
    assert_eq!(code("SOMETHING_NEW"), "SOMETHING_NEW");
    assert_eq!(code("PROCESSING"), "PROCESSING");
    assert_eq!(code("张三 13812345678"), "MALFORMED_CODE");
    assert_eq!(code(&"A".repeat(65)), "MALFORMED_CODE");
    let odd = format!("{ECHO}<send_listid>{}</send_listid>", "1 2");
    assert_eq!(
        sent(&odd),
        SendOutcome::Accepted {
            provider_order_no: String::new(),
            package: None,
        }
    );
}

/// The two codes stand for two levels; only both together are a success or a refusal.
#[test]
fn a_reply_at_odds_with_itself_proves_nothing() {
    let payment = payment(texts("s", "r"));
    let words = ["", "SUCCESS", "FAIL", "success", "OK"];
    for (outer, inner) in words
        .iter()
        .flat_map(|o| words.iter().map(move |i| (*o, *i)))
    {
        let body = format!(
            "<xml><return_code>{outer}</return_code><result_code>{inner}</result_code>\
             <err_code>OPENID_ERROR</err_code>{ECHO}</xml>"
        );
        let reply = HttpReply {
            status: 200,
            body: body.into_bytes(),
        };
        let refused = matches!(
            (outer, inner),
            ("SUCCESS", "FAIL") | ("FAIL", "FAIL") | ("FAIL", "")
        );
        let outcome = codec().read_send(&payment, &reply);
        assert_eq!(
            matches!(outcome, SendOutcome::Rejected(_)),
            refused,
            "{outer} {inner}"
        );
        assert!(
            refused || matches!(outcome, SendOutcome::Unknown(_)),
            "{outer} {inner}"
        );
    }
}

/// Some replies carry fields of an end that has not come, with a zero or an old value in them.
#[test]
fn an_end_counts_once_it_is_stated() {
    let fields = "<refund_time>2025-01-23 20:31:02</refund_time><refund_amount>0</refund_amount>\
                  <hblist><hbinfo><rcv_time>2025-01-22 20:03:04</rcv_time></hbinfo></hblist>";
    for (word, state) in STATES {
        let amount = if state == ProviderState::Refunded {
            "100"
        } else {
            "0"
        };
        let fields = fields.replace(">0<", &format!(">{amount}<"));
        let reply = answer(&format!("{ECHO}<status>{word}</status>{fields}"));
        let outcome = codec().read_query(&payment(texts("s", "r")), &reply);
        let QueryOutcome::Known(report) = outcome else {
            panic!("{word}: {outcome:?}")
        };
        assert_eq!(report.state, state);
        assert_eq!(
            report.received_at.is_some(),
            state == ProviderState::Received,
            "{word}"
        );
        assert_eq!(
            report.refunded_at.is_some(),
            state == ProviderState::Refunded,
            "{word}"
        );
        assert_eq!(
            report.refunded.is_some(),
            state == ProviderState::Refunded,
            "{word}"
        );
    }
}

/// An end at which taken and returned are not the whole is another payment than ours.
#[test]
fn the_shares_of_a_group_packet_add_up() {
    let group = Payment {
        kind: Kind::Fission,
        total_num: 3,
        ..payment(texts("s", "r"))
    };
    let read = |status: &str, shares: &[i64], more: &str| {
        let shares: String = shares
            .iter()
            .map(|fen| format!("<hbinfo><openid>o{fen}</openid><amount>{fen}</amount></hbinfo>"))
            .collect();
        let reply = format!("{ECHO}<status>{status}</status>{more}<hblist>{shares}</hblist>");
        codec().read_query(&group, &answer(&reply))
    };
    let back = |fen: i64| format!("<refund_amount>{fen}</refund_amount>");
    for (status, shares, more) in [
        ("SENT", &[][..], String::new()),
        ("SENT", &[30, 20], String::new()),
        ("RECEIVED", &[30, 20, 50], String::new()),
        ("RECEIVED", &[], String::new()),
        ("REFUND", &[30, 20], back(50)),
        ("REFUND", &[], back(100)),
        ("REFUND", &[], back(40)),
    ] {
        let outcome = read(status, shares, &more);
        let QueryOutcome::Known(report) = outcome else {
            panic!("{status} {shares:?} {more}: {outcome:?}")
        };
        assert_eq!(report.receipts.len(), shares.len());
    }
    for (status, shares, more, field) in [
        ("SENT", &[30, 20, 51][..], String::new(), "hblist"),
        ("RECEIVED", &[30, 20], String::new(), "hblist"),
        ("RECEIVED", &[30, 20, 51], String::new(), "hblist"),
        ("REFUND", &[30, 20], back(49), "refund_amount"),
        ("REFUND", &[30, 20], back(51), "refund_amount"),
        ("REFUND", &[], back(101), "refund_amount"),
        ("REFUND", &[], back(0), "refund_amount"),
    ] {
        let outcome = read(status, shares, &more);
        assert_eq!(
            outcome,
            QueryOutcome::Mismatch { field },
            "{status} {shares:?} {more}"
        );
    }
}

proptest! {
    /// WeChat Pay checks the signature over what it reads, not over what we meant.
    #[test]
    fn what_is_signed_is_what_is_read(a in any::<String>(), b in "[]>&<'\"a\r\n\t🧧 ]{0,40}") {
        let payment = payment(texts(&a, &b));
        let stamp = Stamp {
            nonce: "5K8264ILTKCH16CQ2502SI8ZNMTM67VS".to_owned(),
            at: Timestamp(0),
        };
        for request in [
            codec().send_request(&payment, &stamp),
            codec().query_request(&payment, &stamp),
        ] {
            let elements = Elements::read(&request.unwrap().body).unwrap();
            let sign = elements.get("sign").unwrap();
            prop_assert!(wechat_v2::verify(&elements.pairs(), KEY, sign));
        }
    }

    /// No reply but a listed refusal or a whole success proves anything.
    #[test]
    fn noise_proves_nothing(status in 100..=599_u16, body in any::<Vec<u8>>()) {
        let payment = payment(texts("s", "r"));
        let reply = HttpReply { status, body };
        let sent = codec().read_send(&payment, &reply);
        prop_assert!(matches!(sent, SendOutcome::Unknown(_)), "{sent:?}");
        let told = codec().read_query(&payment, &reply);
        prop_assert!(matches!(told, QueryOutcome::Unknown(_)), "{told:?}");
    }

    /// Nor does any part of a success: a connection may end anywhere.
    #[test]
    fn a_beginning_proves_nothing(cut in 0_usize..400) {
        let mut reply = answer(ECHO);
        prop_assume!(cut < reply.body.len());
        reply.body.truncate(cut);
        let sent = codec().read_send(&payment(texts("s", "r")), &reply);
        prop_assert_eq!(sent, SendOutcome::Unknown(Cause::Unparsable));
    }
}
