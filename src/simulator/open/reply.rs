//! The platform's replies: `{"status", "message", "data"}`, always under HTTP 200.

use super::book::Order;
use super::money;
use super::plan::OpenStatus;

/// A refusal: the status, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u32,
    about: String,
}

impl Refusal {
    pub(super) const FAILED: u32 = 1;
    pub(super) const SIGNATURE: u32 = 2;
    const PARAMETER: u32 = 3;
    pub(super) const NO_METHOD: u32 = 4;
    pub(super) const TOO_OLD: u32 = 5;
    pub(super) const NONCE: u32 = 6;
    const NOT_FOUND: u32 = 7;
    pub(super) const DUPLICATE: u32 = 8;
    pub(super) const BALANCE: u32 = 9;
    pub(super) const IP: u32 = 10;
    pub(super) const STOCK: u32 = 11;

    pub(super) fn of(status: u32) -> Self {
        Self {
            status,
            about: String::new(),
        }
    }

    /// Status 3: the field is missing or cannot be used, and why.
    pub(super) fn parameter(field: &str, why: &str) -> Self {
        Self {
            status: Self::PARAMETER,
            about: format!("{field} {why}"),
        }
    }

    /// Status 7: what the field names is unknown.
    pub(super) fn not_found(field: &str) -> Self {
        Self {
            status: Self::NOT_FOUND,
            about: field.to_owned(),
        }
    }

    /// Says more.
    pub(super) fn about(self, about: impl Into<String>) -> Self {
        Self {
            about: about.into(),
            ..self
        }
    }

    fn message(&self) -> String {
        let text = match self.status {
            2 => "签名错误",
            3 => "参数错误",
            4 => "接口不存在",
            5 => "请求超时",
            6 => "nonce重复",
            7 => "资源不存在",
            8 => "订单号重复",
            9 => "余额不足",
            10 => "IP不合法",
            11 => "库存不足",
            98 => "订单异常",
            99 => "数据异常",
            _ => "失败",
        };
        match &*self.about {
            "" => text.to_owned(),
            about => format!("{text}: {about}"),
        }
    }

    pub(super) fn json(&self) -> String {
        object(&[
            ("status", self.status.to_string()),
            ("message", text(&self.message())),
            ("data", "null".to_owned()),
        ])
    }
}

/// How a reply that tells the truth is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// Numbers as texts.
    pub(super) texts: bool,
    /// Another bizCode.
    pub(super) wrong_biz_code: bool,
    pub(super) no_order_code: bool,
}

impl Style {
    fn number(self, number: &str) -> String {
        match self.texts {
            true => text(number),
            false => number.to_owned(),
        }
    }

    /// What every success says about its order.
    fn order(self, order: &Order) -> Vec<(&'static str, String)> {
        let accepted = &order.accepted;
        let wrong = if self.wrong_biz_code { "X" } else { "" };
        let price = money::yuan(accepted.price_micro_yuan);
        let mut members = vec![
            ("orderCode", text(&accepted.order_code)),
            ("bizCode", text(&format!("{}{wrong}", accepted.biz_code))),
            ("settlementPrice", self.number(&price)),
        ];
        if self.no_order_code {
            members.remove(0);
        }
        members
    }

    fn success(self, members: &[(&str, String)]) -> String {
        object(&[
            ("status", self.number("0")),
            ("message", text("success")),
            ("data", object(members)),
        ])
    }
}

/// What a send is told about the order that it has made.
pub(super) fn placed(order: &Order, style: Style) -> String {
    style.success(&style.order(order))
}

/// What a query is told. No document lists the fields beyond those of a send; times are
/// milliseconds, as the platform writes times.
pub(super) fn found(order: &Order, style: Style) -> String {
    let accepted = &order.accepted;
    let mut members = style.order(order);
    let face = money::yuan(money::micro_of_fen(accepted.face_fen));
    members.extend([
        ("status", style.number(&order.status.number().to_string())),
        ("templateId", text(&accepted.template_id)),
        ("spec", style.number(&face)),
        ("createTime", style.number(&accepted.at_ms.to_string())),
        ("finishTime", finish_time(order)),
    ]);
    style.success(&members)
}

/// The body of a callback. No document lists the fields beyond the two numbers.
pub(super) fn report(order: &Order, order_code: &str, biz_code: &str, says: OpenStatus) -> String {
    object(&[
        ("orderCode", text(order_code)),
        ("bizCode", text(biz_code)),
        ("status", says.number().to_string()),
        (
            "settlementPrice",
            money::yuan(order.accepted.price_micro_yuan),
        ),
        ("finishTime", finish_time(order)),
    ])
}

/// When the order became final, or `null`.
fn finish_time(order: &Order) -> String {
    match order.status.is_final() {
        true => order.since_ms.to_string(),
        false => "null".to_owned(),
    }
}

/// A JSON text.
fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A JSON object of members that are JSON already, so that a number keeps its digits.
fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", text(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_it_is_about() {
        let refusal = Refusal::parameter("spec", "is missing");
        let json: serde_json::Value = serde_json::from_str(&refusal.json()).unwrap();
        assert_eq!(json["status"], 3);
        assert_eq!(json["message"], "参数错误: spec is missing");
        assert!(json["data"].is_null());
    }

    #[test]
    fn what_is_written_is_json_whatever_the_text() {
        let json = object(&[("a\"b", text("x\n\"y")), ("n", "1.10".to_owned())]);
        assert!(json.ends_with(":1.10}"), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["a\"b"], "x\n\"y");
    }
}
