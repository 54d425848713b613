//! WeChat Pay V2 cash red packets: `sendredpack`, `sendgroupredpack`, `sendminiprogramhb` and
//! `gethbinfo`.
//!
//! Pages, under pay.weixin.qq.com/doc/v2, read 2026-11: merchant/4011974053 (send),
//! partner/4011941282 (mini program), partner/4011983160 (query); the group call, closed since
//! 2024-06-05, as SDKs document it. Messages are XML; requests carry an MD5 signature, replies none, so
//! TLS is all that says who answers, and the echo in a reply is compared with what was asked.
//!
//! A success needs every echo: one that names another amount is a [`Mismatch`], one that lacks it
//! proves nothing. A refusal needs a code that `codes` lists. All else is unknown.
//!
//! [`Mismatch`]: SendOutcome::Mismatch

mod codes;
mod group;
#[cfg(test)]
mod tests;
mod told;
mod xml;

use super::{ApiKey, Codec, HttpReply, HttpRequest, Payment, Stamp};
use crate::domain::outcome::{Cause, ProviderState, QueryOutcome, Rejection, Report, SendOutcome};
use crate::domain::packet::Kind;
use crate::domain::status_reply::StatusReply;
use crate::domain::{Fen, Timestamp};
use crate::signing::wechat_v2::md5_sign;

use codes::Verdict;
use xml::Elements;

/// The protocol, for one merchant.
#[derive(Debug)]
pub struct WechatPayV2 {
    key: ApiKey,
}

impl WechatPayV2 {
    /// The protocol for a merchant with this key.
    #[must_use]
    pub fn new(key: &ApiKey) -> Self {
        Self { key: key.clone() }
    }
}

/// Where a packet stands, in `gethbinfo`'s words (4011983160; RFUND_ING is spelled so there).
const STATES: [(&str, ProviderState); 6] = [
    ("SENDING", ProviderState::Sending),
    ("SENT", ProviderState::Sent),
    ("RECEIVED", ProviderState::Received),
    ("FAILED", ProviderState::Failed),
    ("RFUND_ING", ProviderState::Refunding),
    ("REFUND", ProviderState::Refunded),
];
/// What `err_code` may say in a success, when it is there at all (samples of 4011983160, seed 001).
const NO_ERROR: [&str; 3] = ["SUCCESS", "0", "OK"];
/// Longer than any `send_listid` (32).
const MAX_NUMBER: usize = 64;
const MAX_REASON: usize = 200;

impl Codec for WechatPayV2 {
    fn send_request(&self, payment: &Payment, stamp: &Stamp) -> Result<HttpRequest, &'static str> {
        let texts = &payment.texts;
        let fen = payment.amount.0.to_string();
        let [send_name, wishing, act_name, remark, client_ip] = [
            &texts.send_name,
            &texts.wishing,
            &texts.act_name,
            &texts.remark,
            &payment.client_ip,
        ]
        .map(|text| xml::legal(text));
        let total_num = payment.total_num.to_string();
        // Empty ones are left out. Any field that a call does not list is a SIGN_ERROR there.
        let (client_ip, risk_info) = match payment.kind {
            Kind::Normal => (&*client_ip, payment.risk_info.as_ref()),
            Kind::Fission => ("", payment.risk_info.as_ref()),
            Kind::MiniProgram => ("", None),
        };
        let [amt_type, notify_way] = match payment.kind {
            Kind::Normal => ["", ""],
            Kind::Fission => ["ALL_RAND", ""],
            Kind::MiniProgram => ["", "MINI_PROGRAM_JSAPI"],
        };
        let fields = [
            ("nonce_str", &*stamp.nonce),
            ("mch_billno", payment.mch_billno.as_str()),
            ("mch_id", payment.mch_id.as_str()),
            ("wxappid", payment.appid.as_str()),
            ("send_name", &send_name),
            ("re_openid", payment.openid.expose()),
            ("total_amount", &fen),
            ("total_num", &total_num),
            ("amt_type", amt_type),
            ("wishing", &wishing),
            ("client_ip", client_ip),
            ("act_name", &act_name),
            ("remark", &remark),
            ("scene_id", texts.scene_id.map_or("", |scene| scene.code())),
            ("risk_info", risk_info.map_or("", |info| info.expose())),
            ("notify_way", notify_way),
        ];
        let (call, path) = match payment.kind {
            Kind::Normal => ("sendredpack", "/mmpaymkttransfers/sendredpack"),
            Kind::Fission => ("sendgroupredpack", "/mmpaymkttransfers/sendgroupredpack"),
            Kind::MiniProgram => ("sendminiprogramhb", "/mmpaymkttransfers/sendminiprogramhb"),
        };
        Ok(signed(call, path, &fields, &self.key))
    }

    fn read_send(&self, payment: &Payment, reply: &HttpReply) -> SendOutcome {
        let accepted = success(payment, reply).and_then(|elements| {
            let recipient = ("re_openid", payment.openid.expose());
            echoes(payment, &elements, Some(recipient))?;
            let package = elements.get("package").map(str::to_owned);
            Ok((number(elements.get("send_listid")), package))
        });
        match accepted {
            Ok((provider_order_no, package)) => SendOutcome::Accepted {
                provider_order_no,
                package: package.filter(|_| payment.kind == Kind::MiniProgram),
            },
            Err(Not::Rejected(rejection)) => SendOutcome::Rejected(rejection),
            Err(Not::Found) => SendOutcome::Unknown(Cause::UnlistedCode("NOT_FOUND".to_owned())),
            Err(Not::Known(cause)) => SendOutcome::Unknown(cause),
            Err(Not::Ours(field)) => SendOutcome::Mismatch { field },
        }
    }

    /// Calls the appid `appid`, where a send calls it `wxappid`; the other name is a SIGN_ERROR.
    fn query_request(&self, payment: &Payment, stamp: &Stamp) -> Result<HttpRequest, &'static str> {
        let fields = [
            ("nonce_str", &*stamp.nonce),
            ("mch_billno", payment.mch_billno.as_str()),
            ("mch_id", payment.mch_id.as_str()),
            ("appid", payment.appid.as_str()),
            ("bill_type", "MCHT"),
        ];
        let path = "/mmpaymkttransfers/gethbinfo";
        Ok(signed("gethbinfo", path, &fields, &self.key))
    }

    fn read_query(&self, payment: &Payment, reply: &HttpReply) -> QueryOutcome {
        let known = success(payment, reply).and_then(|elements| {
            echoes(payment, &elements, None)?;
            report(payment, &elements)
        });
        match known {
            Ok(report) => QueryOutcome::Known(report),
            Err(Not::Rejected(rejection)) => QueryOutcome::Rejected(rejection),
            Err(Not::Found) => QueryOutcome::NotFound,
            Err(Not::Known(cause)) => QueryOutcome::Unknown(cause),
            Err(Not::Ours(field)) => QueryOutcome::Mismatch { field },
        }
    }

    fn describe(&self, reply: &HttpReply) -> Option<StatusReply> {
        told::describe(reply)
    }
}

/// Signs the fields and writes them in the order given, the signature last.
fn signed(
    call: &'static str,
    path: &'static str,
    fields: &[(&str, &str)],
    key: &ApiKey,
) -> HttpRequest {
    let sign = md5_sign(fields, key.expose());
    let body = xml::write(&[fields, &[("sign", &sign)]].concat());
    HttpRequest {
        call,
        path: path.into(),
        content_type: "text/xml; charset=utf-8",
        headers: Vec::new(),
        body,
        recorded: None,
    }
}

/// Why a reply is no success.
#[derive(Debug)]
enum Not {
    Rejected(Rejection),
    Found,
    Known(Cause),
    Ours(&'static str),
}

const UNPARSABLE: Not = Not::Known(Cause::Unparsable);

/// The elements of a reply that says SUCCESS.
fn success(payment: &Payment, reply: &HttpReply) -> Result<Elements, Not> {
    if reply.status != 200 {
        return Err(Not::Known(Cause::HttpStatus(reply.status)));
    }
    let elements = Elements::read(&reply.body).ok_or(UNPARSABLE)?;
    let code = elements.get("err_code");
    match (elements.get("return_code"), elements.get("result_code")) {
        (Some("SUCCESS"), Some("SUCCESS")) => match code {
            Some(code) if !NO_ERROR.contains(&code) => Err(unlisted(code)),
            _ => Ok(elements),
        },
        (Some("SUCCESS"), Some("FAIL")) | (Some("FAIL"), Some("FAIL") | None) => {
            Err(refusal(payment, &elements, code.unwrap_or("NO_ERR_CODE")))
        }
        _ => Err(UNPARSABLE),
    }
}

/// A refusal that names another order is not ours, whatever it says.
fn refusal(payment: &Payment, elements: &Elements, code: &str) -> Not {
    let other = |number: &str| number != payment.mch_billno.as_str();
    if elements.get("mch_billno").is_some_and(other) {
        return Not::Ours("mch_billno");
    }
    match codes::verdict(code) {
        Some(Verdict::Rejected(kind)) => Not::Rejected(Rejection {
            kind,
            code: code.to_owned(),
        }),
        Some(Verdict::Unsure) => Not::Known(Cause::ProviderUnsure(code.to_owned())),
        Some(Verdict::Processing) => Not::Known(Cause::Processing(code.to_owned())),
        Some(Verdict::NotFound) => Not::Found,
        None => unlisted(code),
    }
}

/// A word that no table lists. It goes into rows, logs and metrics, so it must look like a code:
/// free text from outside might name a person.
fn unlisted(code: &str) -> Not {
    let shaped = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    Not::Known(Cause::UnlistedCode(
        if shaped { code } else { "MALFORMED_CODE" }.to_owned(),
    ))
}

/// Whether a success speaks of our order. A field that differs weighs more than one that is
/// missing: the former is a person's business, the latter another question's.
fn echoes(
    payment: &Payment,
    elements: &Elements,
    recipient: Option<(&'static str, &str)>,
) -> Result<(), Not> {
    let ours = [
        Some(("mch_billno", payment.mch_billno.as_str())),
        Some(("mch_id", payment.mch_id.as_str())),
        recipient,
    ];
    let ours = || ours.into_iter().flatten();
    let appid = ("wxappid", payment.appid.as_str());
    let differs =
        |field: &str, ours: &str| elements.get(field).is_some_and(|theirs| theirs != ours);
    let mut all = ours().chain([appid]);
    if let Some((field, _)) = all.find(|(field, ours)| differs(field, ours)) {
        return Err(Not::Ours(field));
    }
    if fen(elements.get("total_amount")).ok_or(UNPARSABLE)? != payment.amount {
        return Err(Not::Ours("total_amount"));
    }
    if ours().any(|(field, _)| elements.get(field).is_none()) {
        return Err(UNPARSABLE);
    }
    Ok(())
}

/// Where the packet stands. Times and amounts of an end count only once that end is stated.
fn report(payment: &Payment, elements: &Elements) -> Result<Report, Not> {
    let hb_type = match payment.kind {
        Kind::Normal | Kind::MiniProgram => "NORMAL",
        Kind::Fission => "GROUP",
    };
    if elements.get("hb_type").is_some_and(|kind| kind != hb_type) {
        return Err(Not::Ours("hb_type"));
    }
    let status = elements.get("status").ok_or(UNPARSABLE)?;
    let state = STATES
        .iter()
        .find(|(word, _)| *word == status)
        .map(|(_, state)| *state);
    let state = state.ok_or_else(|| unlisted(status))?;
    let time = |is: ProviderState, text: Option<&str>| {
        text.filter(|_| state == is)
            .and_then(Timestamp::parse_beijing)
    };
    let taken = elements.list.iter().find_map(|entry| entry.get("rcv_time"));
    let (receipts, refunded) = match payment.kind {
        // Taken whole or come back whole.
        Kind::Normal | Kind::MiniProgram => {
            let mut refunded = None;
            if state == ProviderState::Refunded && elements.get("refund_amount").is_some() {
                let amount = fen(elements.get("refund_amount")).ok_or(UNPARSABLE)?;
                if amount != payment.amount {
                    return Err(Not::Ours("refund_amount"));
                }
                refunded = Some(amount);
            }
            (Vec::new(), refunded)
        }
        Kind::Fission => group::portions(payment, state, elements)?,
    };
    Ok(Report {
        state,
        provider_order_no: number(elements.get("detail_id")),
        reason: elements
            .get("reason")
            .unwrap_or("")
            .chars()
            .take(MAX_REASON)
            .collect(),
        received_at: time(ProviderState::Received, taken),
        refunded_at: time(ProviderState::Refunded, elements.get("refund_time")),
        refunded,
        receipts,
        cost: None,
    })
}

/// The provider's own number; none if it has not the look of one, for it is only for people.
fn number(text: Option<&str>) -> String {
    let shaped =
        |text: &&str| text.len() <= MAX_NUMBER && text.bytes().all(|b| b.is_ascii_graphic());
    text.filter(shaped).unwrap_or("").to_owned()
}

/// An amount: decimal digits and nothing else.
fn fen(text: Option<&str>) -> Option<Fen> {
    let text = text.filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok().map(Fen)
}
