//! The open platform's cases: `order.json` (the call and what is asked), `request.http` (path,
//! headers and body as they leave), `response.json`, `outcome.txt`; a callback has `callback.json`
//! and an outcome. Secrets are those of the foreign vectors; callbacks were signed by openssl and
//! Python, and what they sign of our requests is in `openssl.json`.

use std::fs;
use std::path::{Path, PathBuf};

use hongbao::domain::open_platform::{BizCode, By, Order, OrderCode, PriceRule, Question};
use hongbao::domain::text::{Appid, Code, MchId, Mobile, Openid};
use hongbao::domain::{Fen, Timestamp};
use hongbao::provider::open_platform::{
    CallbackHead, CallbackKey, OpenPlatformCodec, OpenPlatformCredential, Secret, Signer,
};
use hongbao::provider::{HttpReply, HttpRequest, Stamp};
use hongbao::signing::private::PrivateKey;
use hongbao::signing::rsa::PublicKey;
use serde::Deserialize;

use super::{cases_in, hold, same};

/// What every answer of the platform must have a case of.
pub(super) const REQUIRED: &[&str] = &[
    "order_stored_md5",
    "order_stored_rsa",
    "order_status_1",
    "order_status_2",
    "order_status_3",
    "order_status_4",
    "order_status_5",
    "order_status_6",
    "order_status_7",
    "order_status_8",
    "order_status_9",
    "order_status_10",
    "order_status_11",
    "order_status_98",
    "order_status_99",
    "order_status_unlisted",
    "order_wrong_biz_code",
    "order_without_biz_code",
    "order_without_data",
    "order_html_502",
    "order_half_a_body",
    "order_price_three_decimals",
    "query_state_0",
    "query_state_1",
    "query_state_2",
    "query_state_3",
    "query_state_4",
    "query_state_unlisted",
    "query_status_1",
    "query_status_7",
    "query_wrong_biz_code",
    "query_wrong_spec",
    "callback_md5",
    "callback_rsa",
    "callback_forged",
    "callback_stale",
    "callback_lower_case",
    "callback_rsa_lower_case",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// `order/redPacket`, `order/info` or `callback`.
    call: String,
    /// What requests or callbacks are signed with.
    sign_type: String,
    /// When a request is made, or a callback is read.
    at_ms: i64,
    #[serde(default)]
    nonce: String,
    #[serde(default = "ok")]
    http_status: u16,
    #[serde(default)]
    biz_code: String,
    #[serde(default)]
    order_code: Option<String>,
    #[serde(default)]
    openid: String,
    #[serde(default)]
    appid: Option<String>,
    #[serde(default)]
    mobile: Option<String>,
    #[serde(default)]
    face_fen: Option<i64>,
    #[serde(default)]
    template_id: Option<String>,
    #[serde(default)]
    callback_url: Option<String>,
    #[serde(default)]
    headers: Headers,
}

/// Of a callback.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Headers {
    business_id: Option<String>,
    nonce: Option<String>,
    timestamp: Option<String>,
    sign: Option<String>,
    sign_type: Option<String>,
}

fn ok() -> u16 {
    200
}

fn codec(sign_type: &str) -> OpenPlatformCodec {
    let secret = Secret::parse("sk_test_0123456789").unwrap();
    let private = include_str!("../../golden/map/private.pem");
    let public = include_str!("../../golden/map/public.pem");
    let (signer, callback_key) = match sign_type {
        "MD5" => (Signer::Md5(secret.clone()), CallbackKey::Md5(secret)),
        "SHA256-RSA" => (
            Signer::Sha256Rsa(Box::new(PrivateKey::from_pem(private).unwrap())),
            CallbackKey::Sha256Rsa(PublicKey::from_pem(public).unwrap()),
        ),
        other => panic!("no sign type {other}"),
    };
    OpenPlatformCodec::new(&OpenPlatformCredential {
        name: "golden".to_owned(),
        base_url: "https://platform.example".to_owned(),
        merchant_id: MchId::of_app("eb1bb305ca3940f8adf1d4e964555699").unwrap(),
        business_id: Code::parse("754ea3e3a699404f9b82e8f881107f19").unwrap(),
        template_id: Code::parse("1001").unwrap(),
        signer,
        callback_key: Some(callback_key),
        callback_url: None,
        price_rule: PriceRule::new(9_000, 11_000).unwrap(),
        client_identity: None,
        ca_pem: None,
    })
}

/// Path, headers and body, as text: a request that nobody has to decode to read it.
fn text(request: &HttpRequest) -> Vec<u8> {
    let mut text = format!("POST {}\n", request.path);
    text.push_str(&format!("content-type: {}\n", request.content_type));
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    [text.as_bytes(), b"\n", &request.body, b"\n"].concat()
}

impl Case {
    fn read(path: &Path) -> Self {
        let case = fs::read_to_string(path.join("order.json")).unwrap();
        serde_json::from_str(&case).unwrap()
    }

    fn is_callback(&self) -> bool {
        self.call == "callback"
    }

    fn at(&self) -> Timestamp {
        Timestamp(self.at_ms * 1_000)
    }

    fn biz_code(&self) -> BizCode {
        BizCode::parse(&self.biz_code).unwrap()
    }

    fn order(&self) -> Order {
        Order {
            biz_code: self.biz_code(),
            openid: Openid::parse(&self.openid).unwrap(),
            appid: self.appid.as_deref().map(|id| Appid::parse(id).unwrap()),
            mobile: self.mobile.as_deref().map(|id| Mobile::parse(id).unwrap()),
            face: Fen(self.face_fen.unwrap()),
            template_id: self
                .template_id
                .as_deref()
                .map(|id| Code::parse(id).unwrap()),
            callback_url: self.callback_url.clone(),
        }
    }

    fn question(&self) -> Question {
        let by = match &self.order_code {
            Some(code) => By::OrderCode(OrderCode::parse(code).unwrap()),
            None => By::BizCode(self.biz_code()),
        };
        Question {
            by,
            face: self.face_fen.map(Fen),
        }
    }

    /// The request, and what the reply proves, as text.
    fn exchange(&self, reply: &HttpReply) -> (HttpRequest, String) {
        let codec = codec(&self.sign_type);
        let stamp = Stamp {
            nonce: self.nonce.clone(),
            at: self.at(),
        };
        let (request, outcome) = match &*self.call {
            "order/redPacket" => (
                codec.order_request(&self.order(), &stamp),
                format!(
                    "{:#?}\n",
                    codec.read_order(&self.biz_code(), Fen(self.face_fen.unwrap()), reply)
                ),
            ),
            "order/info" => (
                codec.question_request(&self.question().by, &stamp),
                format!("{:#?}\n", codec.read_question(&self.question(), reply)),
            ),
            other => panic!("no call {other}"),
        };
        let request = request.unwrap();
        assert_eq!(request.call, self.call);
        (request, outcome)
    }

    fn callback(&self, body: &[u8]) -> String {
        let headers = &self.headers;
        let head = CallbackHead {
            business_id: headers.business_id.as_deref(),
            nonce: headers.nonce.as_deref(),
            timestamp: headers.timestamp.as_deref(),
            sign: headers.sign.as_deref(),
            sign_type: headers.sign_type.as_deref(),
        };
        let read = codec(&self.sign_type).read_callback(&head, body, self.at());
        format!("{read:#?}\n")
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/open_platform")
}

/// The cases of calls, each with its reply.
fn exchanges() -> Vec<(String, Case, Vec<u8>)> {
    let read = cases_in(&folder()).into_iter().map(|(name, path)| {
        let case = Case::read(&path);
        let body = fs::read(path.join("response.json")).unwrap_or_default();
        (name, case, body)
    });
    read.filter(|(_, case, _)| !case.is_callback()).collect()
}

#[test]
fn requests_and_outcomes_are_as_they_were() {
    let mut wrong = Vec::new();
    for (_, path) in cases_in(&folder()) {
        let case = Case::read(&path);
        let outcome = if case.is_callback() {
            case.callback(&fs::read(path.join("callback.json")).unwrap())
        } else {
            let body = fs::read(path.join("response.json")).unwrap();
            let status = case.http_status;
            let (request, outcome) = case.exchange(&HttpReply { status, body });
            wrong.extend(hold(&path.join("request.http"), &text(&request)));
            outcome
        };
        wrong.extend(hold(&path.join("outcome.txt"), outcome.as_bytes()));
    }
    same(&wrong);
}

#[test]
fn no_required_case_is_missing() {
    let there: Vec<String> = cases_in(&folder())
        .into_iter()
        .map(|(case, _)| case)
        .collect();
    let missing: Vec<_> = REQUIRED
        .iter()
        .filter(|case| !there.iter().any(|name| name == *case))
        .collect();
    assert_eq!(missing, Vec::<&&str>::new());
}

/// Every request of a case that openssl or Python has signed as well.
#[test]
fn others_sign_the_same_requests_alike() {
    let openssl = include_str!("../../golden/open_platform/openssl.json");
    let openssl: serde_json::Value = serde_json::from_str(openssl).unwrap();
    let signed = openssl["requests"].as_object().unwrap();
    assert!(signed.len() >= 4, "{}", signed.len());
    for (case, sign) in signed {
        let request = fs::read_to_string(folder().join(case).join("request.http")).unwrap();
        let line = format!("\nsign: {}\n", sign.as_str().unwrap());
        assert!(request.contains(&line), "{case}: {request}");
    }
}

/// Whatever a proxy or a broken platform says with another status, it is not believed.
#[test]
fn a_status_other_than_200_proves_nothing() {
    for (name, case, body) in exchanges() {
        for status in [100, 201, 204, 302, 400, 404, 500, 502, 503] {
            let body = body.clone();
            let (_, outcome) = case.exchange(&HttpReply { status, body });
            assert!(
                outcome.contains("outcome: Unknown(\n        HttpStatus("),
                "{name}: {outcome}"
            );
        }
    }
}

/// No answer to an order says that it was paid, and none to a question that it was taken.
#[test]
fn no_answer_claims_more_than_the_platform_knows() {
    for (name, case, body) in exchanges() {
        let status = case.http_status;
        let (_, outcome) = case.exchange(&HttpReply { status, body });
        for word in ["Accepted", "Received", "Refunding", "Refunded"] {
            assert!(!outcome.contains(word), "{name}: {outcome}");
        }
    }
}
