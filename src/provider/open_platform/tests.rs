//! What the golden files cannot say case by case: every cut, every odd header, what is printed.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::domain::Fen;
use crate::domain::open_platform::{OrderCode, PriceRule};
use crate::domain::outcome::{Cause, ProviderState, Report, Scope};
use crate::domain::text::{Appid, MchBillno, Openid, Texts};
use crate::signing::open_platform::{Head, SignType, md5_sign, md5_verify, rsa_sign, rsa_verify};
use crate::signing::private::PrivateKey;
use crate::signing::rsa::PublicKey;

const SECRET: &str = "sk_test_0123456789";
const PRIVATE: &str = include_str!("../../../tests/golden/map/private.pem");
const PUBLIC: &str = include_str!("../../../tests/golden/map/public.pem");
const NUMBER: &str = "HB00000000000000000000000001";
/// 2021-08-12 12:42:18.668 UTC, as the vectors have it.
const NOW: Timestamp = Timestamp(1_628_772_138_668_000);

fn md5() -> Signer {
    Signer::Md5(Secret::parse(SECRET).unwrap())
}

fn rsa() -> Signer {
    Signer::Sha256Rsa(Box::new(PrivateKey::from_pem(PRIVATE).unwrap()))
}

fn codec(signer: Signer, callback_key: Option<CallbackKey>) -> OpenPlatformCodec {
    OpenPlatformCodec::new(&credential(signer, callback_key))
}

fn credential(signer: Signer, callback_key: Option<CallbackKey>) -> OpenPlatformCredential {
    OpenPlatformCredential {
        name: "test".to_owned(),
        base_url: "https://platform.example".to_owned(),
        merchant_id: MchId::of_app("eb1bb305ca3940f8adf1d4e964555699").unwrap(),
        business_id: Code::parse("754ea3e3a699404f9b82e8f881107f19").unwrap(),
        template_id: Code::parse("1001").unwrap(),
        signer,
        callback_key,
        callback_url: None,
        price_rule: PriceRule::new(9_000, 11_000).unwrap(),
        client_identity: None,
        ca_pem: None,
    }
}

fn payment() -> Payment {
    let text = || "x".to_owned();
    Payment {
        mch_id: MchId::of_app("eb1bb305ca3940f8adf1d4e964555699").unwrap(),
        appid: Appid::parse("wx8888888888888888").unwrap(),
        mch_billno: MchBillno::parse(NUMBER).unwrap(),
        openid: Openid::parse("oAlice").unwrap(),
        amount: Fen(150),
        kind: Kind::Normal,
        total_num: 1,
        risk_info: None,
        texts: Texts {
            send_name: text(),
            act_name: text(),
            wishing: text(),
            remark: text(),
            scene_id: None,
        },
        client_ip: "192.168.0.1".to_owned(),
        template_id: None,
        mobile: None,
    }
}

fn stamp(nonce: &str) -> Stamp {
    Stamp {
        nonce: nonce.to_owned(),
        at: NOW,
    }
}

fn reply(body: &str) -> HttpReply {
    HttpReply {
        status: 200,
        body: body.as_bytes().to_vec(),
    }
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    let found = request.headers.iter().find(|(known, _)| *known == name);
    &found.unwrap().1
}

/// The platform checks what it gets: the very bytes, with the headers that are sent.
#[test]
fn what_is_sent_is_what_is_signed() {
    let public = PublicKey::from_pem(PUBLIC).unwrap();
    for (signer, name) in [(md5(), "MD5"), (rsa(), "SHA256-RSA")] {
        let codec = codec(signer, None);
        for request in [
            codec.send_request(&payment(), &stamp("n-1")),
            codec.query_request(&payment(), &stamp("n-1")),
        ] {
            let request = request.unwrap();
            let head = Head {
                business_id: header(&request, "businessId"),
                nonce: header(&request, "nonce"),
                sign_type: header(&request, "signType"),
                timestamp: header(&request, "timestamp"),
            };
            assert!(head.is_sound());
            assert_eq!(head.nonce, "n-1");
            assert_eq!(head.timestamp, "1628772138668");
            assert_eq!(head.sign_type, name);
            let sign = header(&request, "sign");
            let right = match SignType::parse(name).unwrap() {
                SignType::Md5 => md5_verify(&head, &request.body, SECRET, sign),
                SignType::Sha256Rsa => rsa_verify(&head, &request.body, &public, sign),
            };
            assert!(right, "{name} {}", request.call);
        }
    }
}

#[test]
fn a_payment_becomes_an_order() {
    let codec = codec(md5(), None);
    let request = codec.send_request(&payment(), &stamp("n")).unwrap();
    assert_eq!(&*request.path, "/v1/openapi/order/redPacket");
    let body = String::from_utf8(request.body).unwrap();
    let expected = format!(
        "{{\"merchantId\":\"eb1bb305ca3940f8adf1d4e964555699\",\
         \"businessId\":\"754ea3e3a699404f9b82e8f881107f19\",\"templateId\":\"1001\",\
         \"appId\":\"wx8888888888888888\",\"openId\":\"oAlice\",\"spec\":1.5,\"bizCode\":\"{NUMBER}\"}}"
    );
    assert_eq!(body, expected);
    for kind in [Kind::Fission, Kind::MiniProgram] {
        let payment = Payment { kind, ..payment() };
        let refused = codec.send_request(&payment, &stamp("n"));
        assert_eq!(refused.unwrap_err(), "KIND_NOT_SUPPORTED");
    }
    for amount in [0, -1] {
        let payment = Payment {
            amount: Fen(amount),
            ..payment()
        };
        let refused = codec.send_request(&payment, &stamp("n"));
        assert_eq!(refused.unwrap_err(), "NO_AMOUNT");
    }
}

/// One exchange with a platform that answers everything with one reply; gives what it got.
async fn exchanged(answer: &str) -> (String, crate::provider::Said<SendOutcome>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let provider = Provider::open_platform(
        &OpenPlatformCredential {
            base_url: format!("http://{}/proxy/", listener.local_addr().unwrap()),
            ..credential(md5(), None)
        },
        Timeouts::default(),
    )
    .unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        // The body is the last that is sent, and ends with the only brace that closes.
        while !got.ends_with(b"}") {
            assert!(stream.read_buf(&mut got).await.unwrap() > 0);
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(got).unwrap()
    };
    let payment = payment();
    tokio::join!(serve, provider.send(&payment))
}

/// Through the one HTTP client: the headers leave as they were signed, and the body with them.
#[tokio::test]
async fn the_headers_reach_the_platform() {
    let answer = format!("{{\"status\":0,\"data\":{{\"bizCode\":\"{NUMBER}\"}}}}");
    let (got, said) = exchanged(&answer).await;
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    assert_eq!(line, "POST /proxy/v1/openapi/order/redPacket HTTP/1.1");
    let value = |name: &str| {
        let mut headers = headers.lines().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("{name}: {headers:?}")).1
    };
    assert_eq!(value("content-type"), "application/json; charset=utf-8");
    let signed = Head {
        business_id: value("businessId"),
        nonce: value("nonce"),
        sign_type: value("signType"),
        timestamp: value("timestamp"),
    };
    assert!(signed.is_sound(), "{signed:?}");
    assert!(md5_verify(&signed, body.as_bytes(), SECRET, value("sign")));
    assert_eq!(said.call, "order/redPacket");
    assert_eq!(said.request, body.as_bytes());
    assert!(matches!(said.outcome, SendOutcome::Taken { .. }));
}

/// Another merchant's packet does not leave, nor does one of a kind that is not known there.
#[tokio::test]
async fn what_cannot_be_paid_here_does_not_leave() {
    let credential = OpenPlatformCredential {
        base_url: "http://127.0.0.1:9".to_owned(),
        ..credential(md5(), None)
    };
    let provider = Provider::open_platform(&credential, Timeouts::default()).unwrap();
    let other = Payment {
        mch_id: MchId::of_app("another").unwrap(),
        ..payment()
    };
    let group = Payment {
        kind: Kind::Fission,
        ..payment()
    };
    for (payment, code) in [(other, "WRONG_MERCHANT"), (group, "KIND_NOT_SUPPORTED")] {
        let SendOutcome::Rejected(rejection) = provider.send(&payment).await.outcome else {
            panic!("{code}: not rejected")
        };
        assert_eq!(rejection.code, code);
        assert_eq!(rejection.kind.scope(), Scope::Exchange);
    }
}

/// The same through the door that the dispatcher has.
#[test]
fn replies_are_read_for_payments() {
    let codec = codec(md5(), None);
    let stored = format!("{{\"status\":0,\"data\":{{\"bizCode\":\"{NUMBER}\"}}}}");
    assert_eq!(
        codec.read_send(&payment(), &reply(&stored)),
        SendOutcome::Taken {
            provider_order_no: String::new(),
            cost: None
        }
    );
    let told = |rest: &str| {
        let body = format!("{{\"status\":0,\"data\":{{\"bizCode\":\"{NUMBER}\",{rest}}}}}");
        codec.read_query(&payment(), &reply(&body))
    };
    let QueryOutcome::Known(Report { state, .. }) = told(r#""status":2,"spec":1.50"#) else {
        panic!("not known")
    };
    assert_eq!(state, ProviderState::Sent);
    let other = told(r#""status":2,"spec":15"#);
    assert_eq!(other, QueryOutcome::Mismatch { field: "spec" });
}

#[test]
fn a_question_by_the_platforms_number_says_ours() {
    let codec = codec(md5(), None);
    let question = Question {
        by: By::OrderCode(OrderCode::parse("92463").unwrap()),
        face: None,
    };
    let request = codec.question_request(&question.by, &stamp("n")).unwrap();
    assert_eq!(request.body, br#"{"orderCode":"92463"}"#);
    let read = |body: &str| codec.read_question(&question, &reply(body));
    let told = read(
        r#"{"status":0,"data":{"orderCode":"92463","bizCode":"B-1","status":1,"settlementPrice":0.97}}"#,
    );
    assert_eq!(told.biz_code, BizCode::parse("B-1"));
    assert_eq!(told.price, Some(Fen(97)));
    let other = read(r#"{"status":0,"data":{"orderCode":"92464","bizCode":"B-1","status":1}}"#);
    let mismatch = QueryOutcome::Mismatch { field: "orderCode" };
    assert_eq!(other, Priced::bare(mismatch));
}

#[test]
fn secrets_and_people_are_not_printed() {
    let key = CallbackKey::Md5(Secret::parse(SECRET).unwrap());
    let printed = format!("{:?} {:?}", codec(md5(), Some(key)), codec(rsa(), None));
    assert!(
        !printed.contains("sk_test") && !printed.contains("BEGIN"),
        "{printed}"
    );
    let request = codec(md5(), None).send_request(&payment(), &stamp("n"));
    let printed = format!("{request:?}");
    assert!(!printed.contains("oAlice"), "{printed}");
    for bad in ["", "short", "has a blank", "has_a_line_break\n"] {
        assert!(Secret::parse(bad).is_none(), "{bad:?}");
    }
}

const TOLD: &str = r#"{"orderCode":"92463","bizCode":"HB1","status":2}"#;

fn signed_head<'a>(sign_type: &'a str, timestamp: &'a str) -> Head<'a> {
    Head {
        business_id: "754ea3e3a699404f9b82e8f881107f19",
        nonce: "n-1",
        sign_type,
        timestamp,
    }
}

fn callback_head<'a>(head: &Head<'a>, sign: &'a str) -> CallbackHead<'a> {
    CallbackHead {
        business_id: Some(head.business_id),
        nonce: Some(head.nonce),
        timestamp: Some(head.timestamp),
        sign: Some(sign),
        sign_type: Some(head.sign_type).filter(|kind| !kind.is_empty()),
    }
}

fn with_md5() -> OpenPlatformCodec {
    codec(
        rsa(),
        Some(CallbackKey::Md5(Secret::parse(SECRET).unwrap())),
    )
}

#[test]
fn callbacks_of_either_type_are_read() {
    let public = PublicKey::from_pem(PUBLIC).unwrap();
    let private = PrivateKey::from_pem(PRIVATE).unwrap();
    let (by_md5, by_rsa) = (
        with_md5(),
        codec(md5(), Some(CallbackKey::Sha256Rsa(public))),
    );
    let body = TOLD.as_bytes();
    for named in [false, true] {
        let kind = |name| if named { name } else { "" };
        let head = signed_head(kind("MD5"), "1628772138668");
        let sign = md5_sign(&head, body, SECRET);
        for sign in [&sign, &sign.to_lowercase()] {
            let callback = by_md5
                .read_callback(&callback_head(&head, sign), body, NOW)
                .unwrap();
            assert_eq!(callback.biz_code, BizCode::parse("HB1").unwrap());
            assert_eq!(callback.order_code.as_str(), "92463");
            assert_eq!(callback.state, Some(ProviderState::Sent));
            assert_eq!(callback.signed_at, NOW);
        }
        let head = signed_head(kind("SHA256-RSA"), "1628772138668");
        let sign = rsa_sign(&head, body, &private).unwrap();
        assert!(
            by_rsa
                .read_callback(&callback_head(&head, &sign), body, NOW)
                .is_ok()
        );
        let other_case = sign.to_lowercase();
        let forged = by_rsa.read_callback(&callback_head(&head, &other_case), body, NOW);
        assert_eq!(forged, Err(Distrust::Signature));
    }
}

/// Each a reason of its own, and the first that applies.
#[test]
fn callbacks_of_others_are_not_read() {
    let codec = with_md5();
    let body = TOLD.as_bytes();
    let head = signed_head("", "1628772138668");
    let sign = md5_sign(&head, body, SECRET);
    let good = callback_head(&head, &sign);
    let read = |head: &CallbackHead<'_>, body: &[u8]| codec.read_callback(head, body, NOW);
    assert!(read(&good, body).is_ok());
    let wrong = "0".repeat(32);
    for (head, why) in [
        (CallbackHead { sign: None, ..good }, Distrust::Unsound),
        (
            CallbackHead {
                nonce: None,
                ..good
            },
            Distrust::Unsound,
        ),
        (
            CallbackHead {
                timestamp: None,
                ..good
            },
            Distrust::Unsound,
        ),
        (
            CallbackHead {
                business_id: None,
                ..good
            },
            Distrust::Unsound,
        ),
        (
            CallbackHead {
                timestamp: Some("1628772138"),
                ..good
            },
            Distrust::Unsound,
        ),
        (
            CallbackHead {
                sign_type: Some("md5"),
                ..good
            },
            Distrust::SignType,
        ),
        (
            CallbackHead {
                sign_type: Some("SHA256-RSA"),
                ..good
            },
            Distrust::SignType,
        ),
        // The header was not signed.
        (
            CallbackHead {
                sign_type: Some("MD5"),
                ..good
            },
            Distrust::Signature,
        ),
        (
            CallbackHead {
                sign: Some(""),
                ..good
            },
            Distrust::Signature,
        ),
        (
            CallbackHead {
                sign: Some(&wrong),
                ..good
            },
            Distrust::Signature,
        ),
        (
            CallbackHead {
                nonce: Some("n-2"),
                ..good
            },
            Distrust::Signature,
        ),
        (
            CallbackHead {
                business_id: Some("another"),
                ..good
            },
            Distrust::Signature,
        ),
        (
            CallbackHead {
                timestamp: Some("1628772138669"),
                ..good
            },
            Distrust::Signature,
        ),
    ] {
        assert_eq!(read(&head, body), Err(why), "{head:?}");
    }
    assert_eq!(read(&good, b"{}"), Err(Distrust::Signature));
    assert_eq!(read(&good, b""), Err(Distrust::Unsound));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(read(&good, large.as_bytes()), Err(Distrust::Unsound));
    let keyless = super::tests::codec(md5(), None);
    assert_eq!(
        keyless.read_callback(&good, body, NOW),
        Err(Distrust::NoKey)
    );
}

#[test]
fn a_business_of_another_is_refused_even_if_its_secret_is_ours() {
    let codec = with_md5();
    let head = Head {
        business_id: "another",
        ..signed_head("", "1628772138668")
    };
    let sign = md5_sign(&head, TOLD.as_bytes(), SECRET);
    let read = codec.read_callback(&callback_head(&head, &sign), TOLD.as_bytes(), NOW);
    assert_eq!(read, Err(Distrust::Signature));
}

#[test]
fn the_window_is_closed_on_both_sides() {
    let codec = with_md5();
    let at = |offset_ms: i64| {
        let timestamp = (NOW.0 / 1_000 + offset_ms).to_string();
        let head = signed_head("", &timestamp);
        let sign = md5_sign(&head, TOLD.as_bytes(), SECRET);
        let head = callback_head(&head, &sign);
        codec.read_callback(&head, TOLD.as_bytes(), NOW).map(drop)
    };
    for near in [0, 300_000, -300_000] {
        assert_eq!(at(near), Ok(()), "{near}");
    }
    for far in [300_001, -300_001, 8_000_000_000_000, -600_000_000_000] {
        assert_eq!(at(far), Err(Distrust::Stale), "{far}");
    }
}

#[test]
fn a_callback_names_an_order() {
    let codec = with_md5();
    let read = |body: &str| {
        let head = signed_head("", "1628772138668");
        let sign = md5_sign(&head, body.as_bytes(), SECRET);
        codec.read_callback(&callback_head(&head, &sign), body.as_bytes(), NOW)
    };
    for body in [
        "{}",
        "{",
        r#"{"orderCode":"1"}"#,
        r#"{"bizCode":"1"}"#,
        r#"{"orderCode":"1","bizCode":"a b"}"#,
        r#"{"orderCode":"1","bizCode":"1","bizCode":"2"}"#,
    ] {
        assert_eq!(read(body), Err(Distrust::Unparsable), "{body}");
    }
    for (body, state) in [
        (r#"{"orderCode":"1","bizCode":"1"}"#, None),
        (
            r#"{"orderCode":"1","bizCode":"1","status":9,"new":{"x":[1]}}"#,
            None,
        ),
        (
            r#"{"orderCode":"1","bizCode":"1","status":"3"}"#,
            Some(ProviderState::Failed),
        ),
    ] {
        assert_eq!(read(body).unwrap().state, state, "{body}");
    }
}

proptest! {
    /// No reply but a listed refusal or a whole success proves anything.
    #[test]
    fn noise_proves_nothing(status in 100..=599_u16, body in any::<Vec<u8>>()) {
        let reply = HttpReply { status, body };
        let sent = codec(md5(), None).read_send(&payment(), &reply);
        prop_assert!(matches!(sent, SendOutcome::Unknown(_)), "{sent:?}");
        let told = codec(md5(), None).read_query(&payment(), &reply);
        prop_assert!(matches!(told, QueryOutcome::Unknown(_)), "{told:?}");
    }

    /// Nor does any part of a success or of a refusal: a connection may end anywhere.
    #[test]
    fn a_beginning_proves_nothing(cut in 0_usize..200, refused in any::<bool>()) {
        let body = match refused {
            true => r#"{"status":7,"message":"no such order","data":null}"#.to_owned(),
            false => format!("{{\"status\":0,\"data\":{{\"bizCode\":\"{NUMBER}\",\"status\":3}}}}"),
        };
        prop_assume!(cut < body.len());
        let reply = reply(&body[..cut]);
        let unparsable = Cause::Unparsable;
        let sent = codec(md5(), None).read_send(&payment(), &reply);
        prop_assert_eq!(sent, SendOutcome::Unknown(unparsable.clone()));
        let told = codec(md5(), None).read_query(&payment(), &reply);
        prop_assert_eq!(told, QueryOutcome::Unknown(unparsable));
    }

    #[test]
    fn noise_is_no_callback(
        nonce in ".{0,20}",
        timestamp in "[0-9]{12,14}",
        sign in "[0-9A-F]{30,34}",
        body in any::<Vec<u8>>(),
    ) {
        let head = signed_head("", &timestamp);
        let head = CallbackHead { nonce: Some(&nonce), ..callback_head(&head, &sign) };
        prop_assert!(with_md5().read_callback(&head, &body, NOW).is_err());
    }
}
