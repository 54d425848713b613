//! The elements of each call: which there must be, how long they may be, and what they may hold.
//!
//! Texts are counted in bytes and must stay below the printed length, as merchants found out.
//! Any element that the documents do not list is answered SIGN_ERROR, as WeChat does with
//! `appid` or `sign_type` on a send.

use std::net::Ipv4Addr;

use super::reply::Refusal;
use super::xml::Elements;

/// The ways to send a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One packet for one person.
    Normal,
    /// Fission: one person gets it and hands the shares on.
    Group,
    /// One packet for one person, opened inside a mini-program.
    MiniProgram,
}

/// Name, greatest length in bytes, whether it must be there.
type Field = (&'static str, usize, bool);

const EVERY_CALL: &[Field] = &[
    ("nonce_str", 32, true),
    ("sign", 64, true),
    ("mch_billno", 28, true),
    ("mch_id", 32, true),
];

const EVERY_SEND: &[Field] = &[
    ("wxappid", 32, true),
    ("send_name", 31, true),
    ("re_openid", 32, true),
    ("total_amount", 18, true),
    ("total_num", 9, true),
    ("wishing", 127, true),
    ("act_name", 31, true),
    ("remark", 255, true),
    ("scene_id", 31, false),
    ("risk_info", 127, false),
    ("consume_mch_id", 32, false),
    ("sub_mch_id", 32, false),
    ("msgappid", 32, false),
];

const QUERY: &[Field] = &[("appid", 32, true), ("bill_type", 32, true)];

impl Kind {
    /// The call behind a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/mmpaymkttransfers/sendredpack" => Some(Self::Normal),
            "/mmpaymkttransfers/sendgroupredpack" => Some(Self::Group),
            "/mmpaymkttransfers/sendminiprogramhb" => Some(Self::MiniProgram),
            _ => None,
        }
    }

    fn fields(self) -> &'static [Field] {
        match self {
            Self::Normal => &[("client_ip", 15, true)],
            // One SDK sends the address, the others do not.
            Self::Group => &[("amt_type", 32, true), ("client_ip", 15, false)],
            Self::MiniProgram => &[("notify_way", 32, true)],
        }
    }
}

/// Presence, length and form of everything in a send, but for numbers and identities.
pub(super) fn check_send(kind: Kind, elements: &Elements) -> Result<(), Refusal> {
    check(elements, &[EVERY_CALL, EVERY_SEND, kind.fields()])?;
    let client_ip = elements.get("client_ip");
    if !client_ip.is_empty() && client_ip.parse::<Ipv4Addr>().is_err() {
        return Err(Refusal::param("client_ip字段必须是IPv4地址"));
    }
    match kind {
        Kind::Normal => Ok(()),
        Kind::Group => only(elements, "amt_type", "ALL_RAND"),
        Kind::MiniProgram => only(elements, "notify_way", "MINI_PROGRAM_JSAPI"),
    }
}

pub(super) fn check_query(elements: &Elements) -> Result<(), Refusal> {
    check(elements, &[EVERY_CALL, QUERY])?;
    only(elements, "bill_type", "MCHT")
}

/// Decimal digits only: a sign, a point or a leading zero is another text under the signature.
pub(super) fn whole_number(elements: &Elements, name: &str) -> Option<i64> {
    let text = elements.get(name);
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| digits)
}

fn only(elements: &Elements, name: &str, value: &str) -> Result<(), Refusal> {
    if elements.get(name) == value {
        Ok(())
    } else {
        Err(Refusal::param(&format!("{name}必须是{value}")))
    }
}

fn check(elements: &Elements, tables: &[&[Field]]) -> Result<(), Refusal> {
    let fields = || tables.iter().copied().flatten();
    for (name, value) in elements.pairs() {
        let known = fields().any(|(field, _, _)| *field == name);
        if !known && !value.is_empty() {
            return Err(Refusal::transport("SIGN_ERROR"));
        }
    }
    for (name, limit, required) in fields() {
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
    let mch_billno = elements.get("mch_billno");
    if mch_billno.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(Refusal::param("mch_billno只能是数字和字母"))
    }
}
