//! Golden files: the bytes of each request, and what each reply proves, fixed in the repository.
//!
//! A case is a folder under `tests/golden/<protocol>/`: `payment.json` (the call, the nonce and what
//! is paid), `request.xml`, `response.xml`, `outcome.txt`. `UPDATE_GOLDEN=1` writes the second and
//! the fourth anew; the difference is then read by a person, for a reply that changes its meaning
//! changes who is paid. Requests that SDKs of others sign as well are held against their signatures,
//! so that a mistake of ours cannot be made golden.

mod map;
mod open_platform;

use std::fs;
use std::path::{Path, PathBuf};

use hongbao::domain::packet::{Kind, RiskInfo};
use hongbao::domain::protocol::Protocol;
use hongbao::domain::text::{Appid, MchBillno, MchId, Openid, Scene, Texts};
use hongbao::domain::{Fen, Timestamp};
use hongbao::provider::{ApiKey, Codec as _, HttpReply, Payment, Stamp, WechatPayV2};
use serde::Deserialize;

/// The protocol of the cases in this file; those of the voucher platform are in `map`, those
/// of the open platform in `open_platform`.
const PROTOCOL: Protocol = Protocol::WechatPayV2;
/// The key of `tests/golden/vectors/signatures.json`.
const KEY: &str = "192006250b4c09247ec02edce69f6a2d";

/// What every answer of the protocol must have a case of.
const REQUIRED: &[&str] = &[
    "send_accepted",
    "send_accepted_without_number",
    "send_refused_openid",
    "send_notenough",
    "send_freq_limit",
    "send_systemerror",
    "send_processing",
    "send_unlisted_code",
    "send_sign_error",
    "send_truncated_body",
    "send_wrong_amount",
    "send_html_body",
    "send_dtd",
    "query_sent",
    "query_received",
    "query_refunded",
    "query_failed_with_reason",
    "query_sending_with_reason",
    "query_not_found",
    "query_unknown_status",
    "query_wrong_amount",
    "send_with_risk_info",
    "send_group_accepted",
    "send_group_wrong_amount",
    "send_mini_accepted",
    "query_mini_received",
    "query_group_received",
    "query_group_sent_in_part",
    "query_group_partial_refund",
    "query_group_refund_without_list",
    "query_group_sums_wrong",
    "query_group_refund_sums_wrong",
    "query_group_wrong_total_num",
    "query_group_nobody_named",
    "query_group_of_a_normal_packet",
];

/// Cases whose request others have signed: the case, the vector.
const FOREIGN: &[(&str, &str)] = &[
    ("send_accepted", "sendredpack_utf8"),
    ("query_sent", "gethbinfo"),
    ("query_group_received", "gethbinfo"),
    ("send_with_risk_info", "sendredpack_risk_and_empty"),
    ("send_group_accepted", "sendgroupredpack"),
    ("send_mini_accepted", "sendminiprogramhb"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    call: String,
    nonce: String,
    mch_id: String,
    appid: String,
    mch_billno: String,
    openid: String,
    amount_fen: i64,
    send_name: String,
    act_name: String,
    wishing: String,
    remark: String,
    scene_id: Option<String>,
    client_ip: String,
    /// NORMAL, FISSION or MINI_PROGRAM.
    #[serde(default = "normal")]
    kind: String,
    #[serde(default = "one")]
    total_num: i32,
    #[serde(default)]
    risk_info: Option<String>,
}

fn normal() -> String {
    "NORMAL".to_owned()
}

fn one() -> i32 {
    1
}

impl Case {
    fn payment(&self) -> Payment {
        Payment {
            mch_id: MchId::parse(&self.mch_id).unwrap(),
            appid: Appid::parse(&self.appid).unwrap(),
            mch_billno: MchBillno::parse(&self.mch_billno).unwrap(),
            openid: Openid::parse(&self.openid).unwrap(),
            amount: Fen(self.amount_fen),
            texts: Texts {
                send_name: self.send_name.clone(),
                act_name: self.act_name.clone(),
                wishing: self.wishing.clone(),
                remark: self.remark.clone(),
                scene_id: self
                    .scene_id
                    .as_deref()
                    .map(|code| Scene::parse(code).unwrap()),
            },
            client_ip: self.client_ip.clone(),
            kind: self.kind(),
            total_num: self.total_num,
            risk_info: self
                .risk_info
                .as_deref()
                .map(|info| RiskInfo::parse(info).unwrap()),
            template_id: None,
            mobile: None,
        }
    }

    fn kind(&self) -> Kind {
        match &*self.kind {
            "NORMAL" => Kind::Normal,
            "FISSION" => Kind::Fission,
            "MINI_PROGRAM" => Kind::MiniProgram,
            other => panic!("no kind {other}"),
        }
    }

    /// The bytes of the request, and what the reply proves, as text.
    fn run(&self, reply: HttpReply) -> (Vec<u8>, String) {
        let key = ApiKey::parse(KEY).unwrap();
        let (codec, payment) = (WechatPayV2::new(&key), self.payment());
        let stamp = Stamp {
            nonce: self.nonce.clone(),
            at: Timestamp(0),
        };
        let (request, outcome) = match &*self.call {
            "sendredpack" | "sendgroupredpack" | "sendminiprogramhb" => (
                codec.send_request(&payment, &stamp),
                format!("{:#?}\n", codec.read_send(&payment, &reply)),
            ),
            "gethbinfo" => (
                codec.query_request(&payment, &stamp),
                format!("{:#?}\n", codec.read_query(&payment, &reply)),
            ),
            other => panic!("no call {other}"),
        };
        let request = request.unwrap();
        assert_eq!(request.call, self.call);
        assert!(request.headers.is_empty());
        (request.body, outcome)
    }
}

fn folder(protocol: Protocol) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(protocol.name())
}

fn cases(protocol: Protocol) -> Vec<(String, PathBuf)> {
    cases_in(&folder(protocol))
}

fn cases_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    let named = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), path);
    let mut cases: Vec<_> = entries.map(named).collect();
    cases.sort();
    cases
}

/// Compares, or writes anew; gives what is wrong.
fn hold(path: &Path, is: &[u8]) -> Option<String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, is).unwrap();
        return None;
    }
    let golden = fs::read(path).unwrap_or_default();
    (golden != is).then(|| {
        let text = String::from_utf8_lossy;
        format!(
            "{}\ngolden:\n{}\nis:\n{}",
            path.display(),
            text(&golden),
            text(is)
        )
    })
}

#[test]
fn requests_and_outcomes_are_as_they_were() {
    let mut wrong = Vec::new();
    for (_, path) in cases(PROTOCOL) {
        let case = fs::read_to_string(path.join("payment.json")).unwrap();
        let case: Case = serde_json::from_str(&case).unwrap();
        let body = fs::read(path.join("response.xml")).unwrap();
        let (request, outcome) = case.run(HttpReply { status: 200, body });
        wrong.extend(hold(&path.join("request.xml"), &request));
        wrong.extend(hold(&path.join("outcome.txt"), outcome.as_bytes()));
    }
    same(&wrong);
}

fn same(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_required_case_is_missing() {
    for (name, protocol) in Protocol::ALL {
        let required = match protocol {
            Protocol::WechatPayV2 => REQUIRED,
            Protocol::OpenPlatform => open_platform::REQUIRED,
            Protocol::Map => map::REQUIRED,
        };
        let there: Vec<String> = cases(protocol).into_iter().map(|(case, _)| case).collect();
        let missing = required
            .iter()
            .filter(|case| !there.iter().any(|name| name == *case));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new(), "{name}");
    }
}

#[test]
fn others_sign_the_same_requests_alike() {
    let vectors = include_str!("../golden/vectors/signatures.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    for (case, vector) in FOREIGN {
        let path = folder(PROTOCOL).join(case).join("request.xml");
        let request = fs::read_to_string(path).unwrap();
        let sign = vectors[vector]["md5"].as_str().unwrap();
        assert!(
            request.contains(&format!("<sign>{sign}</sign>")),
            "{case}: {request}"
        );
    }
}

/// Whatever a proxy or a broken provider says with another status, it is not believed.
#[test]
fn a_status_other_than_200_proves_nothing() {
    for (_, path) in cases(PROTOCOL) {
        let case = fs::read_to_string(path.join("payment.json")).unwrap();
        let case: Case = serde_json::from_str(&case).unwrap();
        for status in [100, 201, 204, 302, 400, 404, 500, 502, 503] {
            let body = fs::read(path.join("response.xml")).unwrap();
            let (_, outcome) = case.run(HttpReply { status, body });
            assert!(
                outcome.starts_with("Unknown(\n    HttpStatus("),
                "{outcome}"
            );
        }
    }
}
