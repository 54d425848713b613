//! The bytes of the four requests, in the order of the seed's samples.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use serde::Serialize;

use super::{HttpRequest, MapCodec};
use crate::clock;
use crate::domain::Timestamp;
use crate::domain::remote_voucher::{Give, PageQuery, RemoteId, Spend, Undo};
use crate::signing::map;

const BEIJING_MICROS: i64 = 8 * 3_600 * 1_000_000;

/// What makes one request differ from the next of the same order.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// The time, as `yyyyMMddHHmmss` in Beijing.
    pub time: String,
    /// The nonce of `app`.
    pub app_nonce: String,
    /// The nonce of `tsig`.
    pub tsig_nonce: String,
}

impl Stamp {
    /// A stamp that nobody had before.
    #[must_use]
    pub fn fresh(now: Timestamp) -> Self {
        let local = DateTime::from_timestamp_micros(now.0.saturating_add(BEIJING_MICROS));
        Self {
            time: local.map_or_else(String::new, |time| time.format("%Y%m%d%H%M%S").to_string()),
            app_nonce: clock::random_hex::<16>(),
            tsig_nonce: clock::random_hex::<16>(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct App<'a> {
    app_id: &'a str,
    time_stamp: &'a str,
    nonce: &'a str,
    signature: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tsig<'a> {
    #[serde(rename = "orderMD5")]
    order_md5: String,
    signature: String,
    time_stamp: &'a str,
    nonce: &'a str,
}

#[derive(Serialize)]
struct Ordered<'a, T> {
    app: App<'a>,
    order: T,
    tsig: Tsig<'a>,
}

#[derive(Serialize)]
struct Asked<'a> {
    app: App<'a>,
    query: QueryBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GiveBody<'a> {
    mobile_num: &'a str,
    sum: i64,
    red_paper_product_id: &'a str,
    app_order_id: &'a str,
    remark: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueryBody<'a> {
    page_size: u32,
    page_index: u32,
    mobile_num: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    red_paper_product_id: String,
    expire_in: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpendBody<'a> {
    mobile_num: &'a str,
    red_paper_id: &'a str,
    remark: &'a str,
    app_order_id: &'a str,
    associated_order_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_code: Option<&'a str>,
    #[serde(rename = "paymentCodeMD5", skip_serializing_if = "Option::is_none")]
    payment_code_md5: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UndoBody<'a> {
    order_id: &'a str,
}

pub(super) fn give(codec: &MapCodec, give: &Give, stamp: &Stamp) -> Option<HttpRequest> {
    let body = GiveBody {
        mobile_num: give.pair.mobile.expose(),
        sum: give.sum.0,
        red_paper_product_id: give.pair.product.as_str(),
        app_order_id: give.order.as_str(),
        remark: &give.remark,
    };
    let sum = give.sum.0.to_string();
    let values = [
        body.mobile_num,
        &sum,
        body.remark,
        body.app_order_id,
        body.red_paper_product_id,
    ];
    let prefix = &codec.options.prefixes.give;
    ordered(codec, "give", prefix, &body, map::md5(&values), stamp)
}

pub(super) fn list(codec: &MapCodec, query: &PageQuery, stamp: &Stamp) -> Option<HttpRequest> {
    let asked = Asked {
        app: app(codec, stamp),
        query: QueryBody {
            page_size: query.size,
            page_index: query.page,
            mobile_num: query.mobile.expose(),
            red_paper_product_id: joined(&query.products),
            expire_in: "ALL",
        },
    };
    post("query", &codec.options.prefixes.query, &asked)
}

/// What stands in the record instead of what confirmed a spend.
const FORGOTTEN: &str = "(forgotten)";

pub(super) fn spend(codec: &MapCodec, spend: &Spend, stamp: &Stamp) -> Option<HttpRequest> {
    let vouchers = joined(&spend.vouchers);
    // The seed calls it optional, and a known installation refuses an order without it.
    let associated = spend.associated_order.as_ref().unwrap_or(&spend.order);
    let body = SpendBody {
        mobile_num: spend.mobile.expose(),
        red_paper_id: &vouchers,
        remark: &spend.remark,
        app_order_id: spend.order.as_str(),
        associated_order_id: associated.as_str(),
        account_code: spend.step_up.account_code.as_deref(),
        payment_code_md5: spend.step_up.payment_code_md5.as_deref(),
    };
    let signed = match codec.options.signs_associated {
        true => body.associated_order_id,
        false => "",
    };
    let values = [
        body.mobile_num,
        body.red_paper_id,
        body.remark,
        body.app_order_id,
        body.account_code.unwrap_or(""),
        body.payment_code_md5.unwrap_or(""),
        signed,
    ];
    let prefix = &codec.options.prefixes.spend;
    let digest = map::md5(&values);
    let request = ordered(codec, "spend", prefix, &body, digest.clone(), stamp)?;
    let forgets = body.account_code.is_some() || body.payment_code_md5.is_some();
    let recorded = match forgets {
        true => {
            let blank = SpendBody {
                account_code: body.account_code.map(|_| FORGOTTEN),
                payment_code_md5: body.payment_code_md5.map(|_| FORGOTTEN),
                ..body
            };
            Some(ordered(codec, "spend", prefix, &blank, digest, stamp)?.body)
        }
        false => None,
    };
    Some(HttpRequest {
        recorded,
        ..request
    })
}

/// The seed does not describe it: a list of orders, signed as their numbers one after the
/// other (facts of a known installation, `reference/wechat-pay.md`).
pub(super) fn undo(codec: &MapCodec, undo: &Undo, stamp: &Stamp) -> Option<HttpRequest> {
    let orders = undo.orders.iter().map(RemoteId::as_str);
    let all: String = orders.clone().collect();
    let body: Vec<_> = orders.map(|order_id| UndoBody { order_id }).collect();
    let prefix = &codec.options.prefixes.undo;
    ordered(codec, "undo", prefix, &body, map::md5(&[&all]), stamp)
}

fn joined(ids: &[RemoteId]) -> String {
    let ids: Vec<&str> = ids.iter().map(RemoteId::as_str).collect();
    ids.join("|")
}

fn app<'a>(codec: &'a MapCodec, stamp: &'a Stamp) -> App<'a> {
    let app_id = codec.app_id.as_str();
    let values = [
        app_id,
        codec.app_key.expose(),
        &stamp.app_nonce,
        &stamp.time,
    ];
    App {
        app_id,
        time_stamp: &stamp.time,
        nonce: &stamp.app_nonce,
        signature: map::md5(&values),
    }
}

fn ordered(
    codec: &MapCodec,
    call: &'static str,
    prefix: &str,
    order: &impl Serialize,
    order_md5: String,
    stamp: &Stamp,
) -> Option<HttpRequest> {
    let values = [
        &*order_md5,
        codec.app_id.as_str(),
        &stamp.time,
        &stamp.tsig_nonce,
    ];
    let text = map::canonical(&values);
    let signature = codec.sign_key.sign(codec.options.hash, text.as_bytes())?;
    let ordered = Ordered {
        app: app(codec, stamp),
        order,
        tsig: Tsig {
            signature: STANDARD.encode(signature),
            order_md5,
            time_stamp: &stamp.time,
            nonce: &stamp.tsig_nonce,
        },
    };
    post(call, prefix, &ordered)
}

fn post(call: &'static str, prefix: &str, body: &impl Serialize) -> Option<HttpRequest> {
    Some(HttpRequest {
        call,
        path: format!("{prefix}/redPaper/{call}").into(),
        content_type: "application/json; charset=utf-8",
        headers: Vec::new(),
        body: serde_json::to_vec(body).ok()?,
        recorded: None,
    })
}
