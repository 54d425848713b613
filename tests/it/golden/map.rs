//! The voucher platform's cases: `order.json` (the call and what is asked), `request.json`,
//! `response.json`, `outcome.txt`. The secrets and nonces are those of the foreign vectors.

use std::collections::BTreeSet;
use std::fs;

use hongbao::domain::Fen;
use hongbao::domain::protocol::Protocol;
use hongbao::domain::remote_voucher::{Give, PageQuery, Pair, RemoteId, Spend, StepUp, Undo};
use hongbao::domain::text::{MchId, Mobile};
use hongbao::provider::HttpReply;
use hongbao::provider::map::{AppKey, MapCodec, MapCredential, Options, Stamp};
use hongbao::signing::private::PrivateKey;
use serde::Deserialize;

use super::{cases, folder, hold, same};

/// What every answer of the platform must have a case of.
pub(super) const REQUIRED: &[&str] = &[
    "give_given",
    "give_other_error",
    "give_refused",
    "give_unlisted_code",
    "give_sloppy",
    "give_wrong_sum",
    "give_without_voucher",
    "give_html_body",
    "query_listed",
    "query_nothing_found",
    "query_other_error",
    "query_page_of_another",
    "query_without_total",
    "spend_spent",
    "spend_order_for_each",
    "spend_order_of_another",
    "spend_other_error",
    "undo_undone",
    "undo_refused",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    call: String,
    #[serde(default)]
    sum: i64,
    #[serde(default)]
    products: Vec<String>,
    #[serde(default)]
    vouchers: Vec<String>,
    #[serde(default)]
    orders: Vec<String>,
    #[serde(default)]
    app_order: String,
    #[serde(default)]
    associated_order: String,
    #[serde(default)]
    remark: String,
    #[serde(default)]
    account_code: Option<String>,
    #[serde(default)]
    payment_code_md5: Option<String>,
}

fn id(raw: &str) -> RemoteId {
    RemoteId::parse(raw).unwrap()
}

fn ids(raw: &[String]) -> Vec<RemoteId> {
    raw.iter().map(|raw| id(raw)).collect()
}

fn codec() -> MapCodec {
    MapCodec::new(&MapCredential {
        name: "golden".to_owned(),
        base_url: "https://map.example".to_owned(),
        app_id: MchId::of_app("zjhtwallet").unwrap(),
        app_key: AppKey::parse("secretAppKey").unwrap(),
        sign_key: PrivateKey::from_pem(include_str!("../../golden/map/private.pem")).unwrap(),
        options: Options {
            refusals: BTreeSet::from(["24103".to_owned(), "24406".to_owned()]),
            ..Options::default()
        },
        client_identity: None,
        ca_pem: None,
    })
}

impl Case {
    fn run(&self, reply: &HttpReply) -> (Vec<u8>, String) {
        let (codec, mobile) = (codec(), Mobile::parse("13912345678").unwrap());
        let stamp = |time: &str| Stamp {
            time: time.to_owned(),
            app_nonce: "n0nce123".to_owned(),
            tsig_nonce: "n0nce456".to_owned(),
        };
        let stamp = match &*self.call {
            "query" => stamp("20150504153000"),
            _ => stamp("20150504153001"),
        };
        let (request, outcome) = match &*self.call {
            "give" => {
                let give = Give {
                    pair: Pair {
                        mobile,
                        product: id(&self.products[0]),
                    },
                    sum: Fen(self.sum),
                    order: id(&self.app_order),
                    remark: self.remark.clone(),
                };
                let outcome = codec.read_give(&give, reply);
                (codec.give_request(&give, &stamp), format!("{outcome:#?}\n"))
            }
            "query" => {
                let query = PageQuery {
                    mobile,
                    products: ids(&self.products),
                    page: 1,
                    size: 10,
                };
                let outcome = codec.read_list(&query, reply);
                (
                    codec.list_request(&query, &stamp),
                    format!("{outcome:#?}\n"),
                )
            }
            "spend" => {
                let spend = Spend {
                    mobile,
                    vouchers: ids(&self.vouchers),
                    order: id(&self.app_order),
                    associated_order: RemoteId::parse(&self.associated_order),
                    remark: self.remark.clone(),
                    step_up: StepUp {
                        account_code: self.account_code.clone(),
                        payment_code_md5: self.payment_code_md5.clone(),
                    },
                };
                let outcome = codec.read_spend(&spend, reply);
                (
                    codec.spend_request(&spend, &stamp),
                    format!("{outcome:#?}\n"),
                )
            }
            "undo" => {
                let undo = Undo {
                    orders: ids(&self.orders),
                };
                let outcome = codec.read_undo(reply);
                (codec.undo_request(&undo, &stamp), format!("{outcome:#?}\n"))
            }
            other => panic!("no call {other}"),
        };
        let request = request.unwrap();
        let prefix = if self.call == "query" { "" } else { "/gw" };
        let path = format!("{prefix}/redPaper/{}", self.call);
        assert_eq!((request.call, &*request.path), (&*self.call, &*path));
        let json: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert!(json["app"]["signature"].is_string());
        ([&*request.body, b"\n"].concat(), outcome)
    }
}

fn read(path: &std::path::Path) -> Case {
    let case = fs::read_to_string(path.join("order.json")).unwrap();
    serde_json::from_str(&case).unwrap()
}

#[test]
fn requests_and_outcomes_are_as_they_were() {
    let mut wrong = Vec::new();
    for (_, path) in cases(Protocol::Map) {
        let body = fs::read(path.join("response.json")).unwrap();
        let (request, outcome) = read(&path).run(&HttpReply { status: 200, body });
        wrong.extend(hold(&path.join("request.json"), &request));
        wrong.extend(hold(&path.join("outcome.txt"), outcome.as_bytes()));
    }
    same(&wrong);
}

/// The same values as the foreign vectors, so the same digests and the same RSA signature.
#[test]
fn others_sign_the_same_requests_alike() {
    let vectors = include_str!("../../golden/vectors/signatures.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let openssl = include_str!("../../golden/map/openssl.json");
    let openssl: serde_json::Value = serde_json::from_str(openssl).unwrap();
    let request = |case: &str| {
        let path = folder(Protocol::Map).join(case).join("request.json");
        fs::read_to_string(path).unwrap()
    };
    for (case, value) in [
        ("query_listed", &vectors["seed002_app_signature"]["md5"]),
        ("give_given", &vectors["seed002_give_orderMD5"]["md5"]),
        ("give_given", &openssl["sha1"]),
    ] {
        let request = request(case);
        assert!(
            request.contains(value.as_str().unwrap()),
            "{case}: {request}"
        );
    }
}

/// Whatever a proxy or a broken platform says with another status, it is not believed.
#[test]
fn a_status_other_than_200_proves_nothing() {
    for (_, path) in cases(Protocol::Map) {
        for status in [100, 201, 204, 302, 400, 404, 500, 502, 503] {
            let body = fs::read(path.join("response.json")).unwrap();
            let (_, outcome) = read(&path).run(&HttpReply { status, body });
            let start = "Unknown(\n    HttpStatus(";
            assert!(outcome.starts_with(start), "{outcome}");
        }
    }
}
