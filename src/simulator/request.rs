//! Reading a request: who sent it, what it asks for, and what must be the same when it comes again.

use super::config::Merchant;
use super::draw;
use super::fields::{self, Kind};
use super::reply::Refusal;
use super::xml::Elements;
use crate::signing::wechat_v2;

/// What one person may get without a scene.
const MIN_FEN: i64 = 100;
const MAX_FEN: i64 = 20_000;
/// No scene allows more than this here.
const MAX_SCENE_FEN: i64 = 500_000;
/// Fewer people are no group.
const MIN_SHARES: i64 = 3;

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
    pub(super) kind: Kind,
    pub(super) mch_billno: String,
    pub(super) appid: String,
    pub(super) openid: String,
    pub(super) openid_hash: String,
    pub(super) amount_fen: i64,
    pub(super) total_num: i64,
    pub(super) act_name: String,
    pub(super) wishing: String,
    pub(super) remark: String,
    pub(super) fingerprint: String,
}

impl Send {
    pub(super) fn parse(
        kind: Kind,
        elements: &Elements,
        merchant: &Merchant,
        max_shares: u32,
    ) -> Result<Self, Refusal> {
        fields::check_send(kind, elements)?;
        let total_num = total_num(kind, elements, max_shares)?;
        let amount_fen = amount(elements, total_num)?;
        if !merchant.owns_appid(elements.get("wxappid")) {
            return Err(Refusal::param("商户号和wxappid不匹配"));
        }
        let own = |name| elements.get(name).to_owned();
        Ok(Self {
            kind,
            mch_billno: own("mch_billno"),
            appid: own("wxappid"),
            openid: own("re_openid"),
            openid_hash: draw::short_hash(elements.get("re_openid")),
            amount_fen,
            total_num,
            act_name: own("act_name"),
            wishing: own("wishing"),
            remark: own("remark"),
            fingerprint: fingerprint(kind, elements),
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
        fields::check_query(elements)?;
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

fn total_num(kind: Kind, elements: &Elements, max_shares: u32) -> Result<i64, Refusal> {
    let allowed = match kind {
        Kind::Normal | Kind::MiniProgram => 1..=1,
        Kind::Group => MIN_SHARES..=i64::from(max_shares),
    };
    match fields::whole_number(elements, "total_num") {
        Some(total_num) if allowed.contains(&total_num) => Ok(total_num),
        Some(_) | None => Err(Refusal::param(&format!(
            "total_num必须在{}到{}之间",
            allowed.start(),
            allowed.end()
        ))),
    }
}

/// The whole amount; what is limited is the average per person.
fn amount(elements: &Elements, total_num: i64) -> Result<i64, Refusal> {
    let Some(amount_fen) = fields::whole_number(elements, "total_amount") else {
        return Err(Refusal::param("total_amount必须是正整数,单位为分"));
    };
    let (least, most) = if elements.get("scene_id").is_empty() {
        (MIN_FEN, MAX_FEN)
    } else {
        (1, MAX_SCENE_FEN)
    };
    let allowed = least.saturating_mul(total_num)..=most.saturating_mul(total_num);
    if allowed.contains(&amount_fen) {
        Ok(amount_fen)
    } else {
        Err(Refusal::code("MONEY_LIMIT"))
    }
}

fn fingerprint(kind: Kind, elements: &Elements) -> String {
    let mut text = String::new();
    let mut add = |name: &str, value: &str| {
        text.push_str(&format!("{name}={}:{value};", value.len()));
    };
    for name in REPEATED {
        add(name, elements.get(name));
    }
    // A normal order's text is that of books from before there were other kinds.
    match kind {
        Kind::Normal => {}
        Kind::Group => {
            add("kind", "group");
            add("amt_type", elements.get("amt_type"));
        }
        Kind::MiniProgram => add("kind", "mini_program"),
    }
    draw::short_hash(&text)
}
