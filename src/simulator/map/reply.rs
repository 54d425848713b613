//! The platform's replies, in the words and the order of the seed's samples.

use serde_json::{Value, json};

use super::super::clock::{self, DAY_MS};
use super::config::{MapCall, MapConfig};
use super::shelf::MapVoucher;

/// A refusal, before it is a code of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 10000: "other error".
    Other,
    /// 10000 in the text with which the seed says that a list is empty.
    NothingFound,
    Parameter,
    Signature,
    NoUser,
    NoProduct,
    NotUsable,
    NoOrder,
    /// A code that no list has.
    Unlisted,
}

impl Refusal {
    /// The code. 10000 and the bases are real, the rest is made up.
    pub(super) fn code(self, call: MapCall) -> u32 {
        let beyond = match self {
            Self::Other | Self::NothingFound => return 10_000,
            Self::Parameter => 1,
            Self::Signature => 2,
            Self::NoUser => 3,
            Self::NoProduct => 4,
            Self::NotUsable => 5,
            Self::NoOrder => 6,
            Self::Unlisted => 99,
        };
        call.base().saturating_add(beyond)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Other | Self::Unlisted => "其它错误",
            Self::NothingFound => "",
            Self::Parameter => "参数错误",
            Self::Signature => "签名验签不通过",
            Self::NoUser => "用户不存在",
            Self::NoProduct => "找不到对应的产品",
            Self::NotUsable => "红包无法使用",
            Self::NoOrder => "找不到对应的订单",
        }
    }
}

fn failed(call: MapCall) -> &'static str {
    match call {
        MapCall::Give => "赠送红包失败",
        MapCall::Query => "查询红包失败",
        MapCall::Spend => "红包消费失败",
        MapCall::Undo => "撤销红包消费失败",
    }
}

pub(super) fn refusal(call: MapCall, refusal: Refusal) -> Value {
    let errmsg = match refusal == Refusal::NothingFound {
        true => "没有查询到该用户的红包，其它错误".to_owned(),
        false => format!("{}，{}", failed(call), refusal.text()),
    };
    json!({ "errcode": refusal.code(call), "errmsg": errmsg })
}

pub(super) fn given(config: &MapConfig, voucher: &MapVoucher, now_ms: i64) -> Value {
    let mut order = line(config, voucher, now_ms);
    set(&mut order, "orderId", json!(voucher.order_id));
    json!({ "errcode": 0, "errmsg": "赠送红包成功", "order": order })
}

pub(super) fn listed(
    config: &MapConfig,
    page: &[&MapVoucher],
    asked: (usize, usize),
    total: usize,
    now_ms: i64,
) -> Value {
    let list: Vec<Value> = page.iter().map(|v| line(config, v, now_ms)).collect();
    json!({ "pageSize": asked.0, "pageIndex": asked.1, "total": total, "list": list })
}

pub(super) fn spent(orders: &[(String, String)], each: bool) -> Value {
    let mut reply = json!({ "errcode": 0, "errmsg": "红包消费成功" });
    if each {
        let one = |(order, voucher): &(String, String)| json!({ "orderId": order, "redPaperId": voucher });
        set(
            &mut reply,
            "order",
            orders.iter().map(one).collect::<Value>(),
        );
    } else if let Some((order, _)) = orders.first() {
        set(&mut reply, "orderId", json!(order));
    }
    reply
}

pub(super) fn undone() -> Value {
    json!({ "errcode": 0, "errmsg": "撤销红包消费成功" })
}

fn line(config: &MapConfig, voucher: &MapVoucher, now_ms: i64) -> Value {
    let name = config
        .products
        .get(&voucher.product)
        .map_or("", |product| &product.name);
    let status = match (&voucher.spent_by, voucher.end_ms <= now_ms) {
        (Some(_), _) if config.says_spent => "已消费",
        (Some(_), _) | (None, true) => "无效",
        (None, false) => "正常",
    };
    json!({
        "redPaperProductId": voucher.product,
        "redPaperProductName": name,
        "redPaperId": voucher.voucher_id,
        "sum": voucher.sum_fen,
        "startTime": "",
        "endTime": end(voucher.end_ms),
        "status": status,
    })
}

/// A midnight is written as the end of the day before: 24:00:00.
fn end(at_ms: i64) -> String {
    let text = clock::beijing(at_ms);
    match text.strip_suffix(" 00:00:00") {
        Some(_) => {
            let before = clock::beijing(at_ms.saturating_sub(DAY_MS));
            before.replace(" 00:00:00", " 24:00:00")
        }
        None => text,
    }
}

/// Adds a member.
pub(super) fn set(reply: &mut Value, name: &str, value: Value) {
    if let Some(members) = reply.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// The same with another sum.
pub(super) fn with_wrong_sum(mut reply: Value) -> Value {
    if let Some(order) = reply.get_mut("order") {
        let sum = order.get("sum").and_then(Value::as_i64).unwrap_or(0);
        set(order, "sum", json!(sum.saturating_add(1)));
    }
    reply
}

/// The same without the voucher's number.
pub(super) fn without_id(mut reply: Value) -> Value {
    if let Some(order) = reply.get_mut("order").and_then(Value::as_object_mut) {
        order.remove("redPaperId");
    }
    reply
}

/// As the seed's samples are: a byte order mark, numbers as texts, a comma too many.
pub(super) fn sloppy(reply: &Value) -> String {
    let text = texts(reply).to_string();
    let open = text.strip_suffix('}').unwrap_or(&text);
    format!("\u{feff}{open},\n}}")
}

fn texts(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Array(list) => list.iter().map(texts).collect(),
        Value::Object(members) => {
            let texts = members.iter().map(|(name, v)| (name.clone(), texts(v)));
            Value::Object(texts.collect())
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}
