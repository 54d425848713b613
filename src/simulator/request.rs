//! Reading a request: which fields there must be, how long they may be, and what is refused.
//!
//! Texts are counted in bytes and must stay below the printed length, as merchants found out.
//! Any element that the documents do not list is answered SIGN_ERROR, as WeChat does with
//! `appid` or `sign_type` on a send.

use std::net::Ipv4Addr;

use super::config::Merchant;
use super::draw;
use super::reply::Refusal;
use super::xml::Elements;
use crate::signing::wechat_v2;

const MIN_FEN: i64 = 100;
const MAX_FEN: i64 = 20_000;
/// No scene allows more than this here.
const MAX_SCENE_FEN: i64 = 500_000;

/// Name, greatest length in bytes, whether it must be there.
type Field = (&'static str, usize, bool);

const SEND_FIELDS: &[Field] = &[
    ("nonce_str", 32, true),
    ("sign", 64, true),
    ("mch_billno", 28, true),
    ("mch_id", 32, true),
    ("wxappid", 32, true),
    ("send_name", 31, true),
    ("re_openid", 32, true),
    ("total_amount", 18, true),
    ("total_num", 9, true),
    ("wishing", 127, true),
    ("client_ip", 15, true),
    ("act_name", 31, true),
    ("remark", 255, true),
    ("scene_id", 31, false),
    ("risk_info", 127, false),
    ("consume_mch_id", 32, false),
    ("sub_mch_id", 32, false),
    ("msgappid", 32, false),
];

const QUERY_FIELDS: &[Field] = &[
    ("nonce_str", 32, true),
    ("sign", 64, true),
    ("mch_billno", 28, true),
    ("mch_id", 32, true),
    ("appid", 32, true),
    ("bill_type", 32, true),
];

/// What a re-sent order must repeat; nonce, signature and the sender's address may differ.
const REPEATED: [&str; 8] = [
    "wxappid",
    "send_name",
    "total_num",
    "wishing",
    "act_name",
    "remark",
    "scene_id",
    "risk_info",
];

/// A send that may be decided on.
#[derive(Debug)]
pub(super) struct Send {
    pub(super) mch_billno: String,
    pub(super) appid: String,
    pub(super) openid: String,
    pub(super) openid_hash: String,
    pub(super) amount_fen: i64,
    pub(super) act_name: String,
    pub(super) wishing: String,
    pub(super) remark: String,
    pub(super) fingerprint: String,
}

impl Send {
    pub(super) fn parse(elements: &Elements, merchant: &Merchant) -> Result<Self, Refusal> {
        check_fields(elements, SEND_FIELDS)?;
        let amount_fen = amount(elements)?;
        check_billno(elements.get("mch_billno"))?;
        if elements.get("total_num") != "1" {
            return Err(Refusal::param("total_num必须等于1"));
        }
        if elements.get("client_ip").parse::<Ipv4Addr>().is_err() {
            return Err(Refusal::param("client_ip字段必须是IPv4地址"));
        }
        if !merchant.owns_appid(elements.get("wxappid")) {
            return Err(Refusal::param("商户号和wxappid不匹配"));
        }
        let own = |name| elements.get(name).to_owned();
        Ok(Self {
            mch_billno: own("mch_billno"),
            appid: own("wxappid"),
            openid: own("re_openid"),
            openid_hash: draw::short_hash(elements.get("re_openid")),
            amount_fen,
            act_name: own("act_name"),
            wishing: own("wishing"),
            remark: own("remark"),
            fingerprint: fingerprint(elements),
        })
    }
}

/// A query that may be answered.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) mch_billno: String,
}

impl Query {
    pub(super) fn parse(elements: &Elements, merchant: &Merchant) -> Result<Self, Refusal> {
        check_fields(elements, QUERY_FIELDS)?;
        check_billno(elements.get("mch_billno"))?;
        if elements.get("bill_type") != "MCHT" {
            return Err(Refusal::param("bill_type必须是MCHT"));
        }
        if !merchant.owns_appid(elements.get("appid")) {
            return Err(Refusal::param("商户号和appid不匹配"));
        }
        Ok(Self {
            mch_billno: elements.get("mch_billno").to_owned(),
        })
    }
}

/// Who sends, by certificate and by signature. `peer` is the CN of the client certificate.
pub(super) fn authenticate(
    elements: &Elements,
    merchant: &Merchant,
    peer: Option<&str>,
) -> Result<(), Refusal> {
    let mch_id = elements.get("mch_id");
    if peer.is_some_and(|peer| peer != mch_id) {
        return Err(Refusal::transport("CA_ERROR"));
    }
    if mch_id != merchant.mch_id {
        return Err(Refusal::param("商户号不存在"));
    }
    let sign = elements.get("sign");
    if wechat_v2::verify(&elements.pairs(), &merchant.api_key, sign) {
        Ok(())
    } else {
        Err(Refusal::transport("SIGN_ERROR"))
    }
}

fn check_fields(elements: &Elements, fields: &[Field]) -> Result<(), Refusal> {
    for (name, value) in elements.pairs() {
        let known = fields.iter().any(|(field, _, _)| *field == name);
        if !known && !value.is_empty() {
            return Err(Refusal::transport("SIGN_ERROR"));
        }
    }
    for (name, limit, required) in fields {
        let value = elements.get(name);
        if *required && value.is_empty() {
            return Err(Refusal::param(&format!("{name}字段必填")));
        }
        if value.len() > *limit {
            return Err(Refusal::param(&format!("{name}字段超过{limit}字节")));
        }
        if value.chars().any(char::is_control) {
            return Err(Refusal::param(&format!("{name}字段含有控制字符")));
        }
    }
    Ok(())
}

fn check_billno(mch_billno: &str) -> Result<(), Refusal> {
    if mch_billno.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(Refusal::param("mch_billno只能是数字和字母"))
    }
}

/// Decimal digits only: a sign, a point or a leading zero is another text under the signature.
fn amount(elements: &Elements) -> Result<i64, Refusal> {
    let text = elements.get("total_amount");
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let amount_fen = match text.parse::<i64>() {
        Ok(amount_fen) if digits => amount_fen,
        Ok(_) | Err(_) => return Err(Refusal::param("total_amount必须是正整数,单位为分")),
    };
    let scene = !elements.get("scene_id").is_empty();
    let allowed = if scene {
        1..=MAX_SCENE_FEN
    } else {
        MIN_FEN..=MAX_FEN
    };
    if allowed.contains(&amount_fen) {
        Ok(amount_fen)
    } else {
        Err(Refusal::code("MONEY_LIMIT"))
    }
}

fn fingerprint(elements: &Elements) -> String {
    let mut text = String::new();
    for name in REPEATED {
        let value = elements.get(name);
        text.push_str(&format!("{name}={}:{value};", value.len()));
    }
    draw::short_hash(&text)
}
