//! The provider's replies as XML: texts in CDATA, numbers bare, times in Beijing; unsigned but for
//! those to a group send.
//!
//! A refusal of the transport kind (certificate, signature, XML) has `return_code` FAIL and still
//! names an `err_code`; every other has `return_code` SUCCESS and `result_code` FAIL. A success
//! carries `err_code` SUCCESS, which catches callers that take any `err_code` for an error.

use super::books::{Order, State};
use super::clock;
use super::fault::Echo;
use super::fields::Kind;
use super::request::Send;
use super::xml::{Elements, Writer};
use crate::signing::wechat_v2;

/// A FAIL with its code and its text for humans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    code: &'static str,
    text: String,
    transport: bool,
}

impl Refusal {
    pub(super) fn code(code: &'static str) -> Self {
        Self {
            code,
            text: describe(code).to_owned(),
            transport: false,
        }
    }

    /// The request never reached the business: wrong certificate, signature or XML.
    pub(super) fn transport(code: &'static str) -> Self {
        Self {
            transport: true,
            ..Self::code(code)
        }
    }

    pub(super) fn param(text: &str) -> Self {
        Self {
            text: format!("参数错误:{text}"),
            ..Self::code("PARAM_ERROR")
        }
    }
}

/// A code as a fault asks for it; the transport codes keep their shape.
pub(super) fn refused(code: &'static str) -> Refusal {
    if matches!(code, "SIGN_ERROR" | "CA_ERROR" | "XML_ERROR") {
        Refusal::transport(code)
    } else {
        Refusal::code(code)
    }
}

fn describe(code: &str) -> &'static str {
    match code {
        "SYSTEMERROR" => "系统繁忙，请稍后再试。",
        "PROCESSING" => "请求已受理，请稍后使用原单号查询发放结果",
        "NOTENOUGH" => "帐号余额不足，请到商户平台充值后再重试",
        "FREQ_LIMIT" => "超过频率限制，请稍后再试",
        "SENDNUM_LIMIT" => "该用户今日领取红包个数超过限制",
        "RCVDAMOUNT_LIMIT" => "该用户今日领取金额超过限制",
        "SENDAMOUNT_LIMIT" => "您的商户号今日发放金额超过限制",
        "SEND_FAILED" => "红包发放失败,请更换单号再重试",
        "FATAL_ERROR" => "openid和原始单参数不一致",
        "NO_AUTH" => "发放失败，此请求可能存在风险，已被微信拦截",
        "MONEY_LIMIT" => "红包金额不在限制范围内",
        "OPENID_ERROR" => "openid和appid不匹配",
        "CA_ERROR" => "CA证书出错，请登录微信支付商户平台下载证书",
        "SIGN_ERROR" => "签名错误",
        "XML_ERROR" => "输入xml参数格式错误",
        "PARAM_ERROR" => "参数错误",
        "V2_ACCOUNT_SIMPLE_BAN" => "无法给未实名用户付款",
        "NOT_FOUND" => "指定单号数据不存在",
        _ => "未知错误",
    }
}

/// A refusal, with the request's own fields echoed where there are any.
pub(super) fn refusal(refusal: &Refusal, echo: Option<&Elements>) -> String {
    let mut xml = Writer::new();
    let return_code = if refusal.transport { "FAIL" } else { "SUCCESS" };
    xml.text("return_code", return_code);
    xml.text("return_msg", &refusal.text);
    xml.text("result_code", "FAIL");
    xml.text("err_code", refusal.code);
    xml.text("err_code_des", &refusal.text);
    for name in ["mch_billno", "mch_id", "wxappid", "re_openid"] {
        let value = echo.map_or("", |elements| elements.get(name));
        if !value.is_empty() {
            xml.text(name, value);
        }
    }
    if let Some(Ok(amount)) = echo.map(|elements| elements.get("total_amount").parse::<i64>()) {
        xml.number("total_amount", amount);
    }
    xml.finish()
}

fn success(text: &str) -> Writer {
    let mut xml = Writer::new();
    xml.text("return_code", "SUCCESS");
    xml.text("return_msg", text);
    xml.text("result_code", "SUCCESS");
    xml.text("err_code", "SUCCESS");
    xml.text("err_code_des", text);
    xml
}

/// What is echoed of an order; `lie` changes one field of it.
#[derive(Debug)]
struct Echoed {
    mch_billno: String,
    openid: String,
    amount_fen: i64,
}

impl Echoed {
    fn new(mch_billno: &str, openid: &str, amount_fen: i64, lie: Option<Echo>) -> Self {
        let mut echoed = Self {
            mch_billno: mch_billno.to_owned(),
            openid: openid.to_owned(),
            amount_fen,
        };
        match lie {
            Some(Echo::Amount) => echoed.amount_fen = amount_fen.saturating_add(1),
            Some(Echo::Billno) => echoed.mch_billno = mch_billno.chars().rev().collect(),
            Some(Echo::Openid) => echoed.openid = "oSomebodyElse".to_owned(),
            None => {}
        }
        echoed
    }
}

/// A send that was accepted.
pub(super) fn sent(order: &Order, request: &Send, lie: Option<Echo>) -> String {
    let accepted = &order.accepted;
    let echoed = Echoed::new(
        &accepted.mch_billno,
        &request.openid,
        accepted.amount_fen,
        lie,
    );
    let mut xml = success("发放成功");
    xml.text("mch_billno", &echoed.mch_billno);
    xml.text("mch_id", &accepted.mch_id);
    xml.text("wxappid", &request.appid);
    xml.text("re_openid", &echoed.openid);
    xml.number("total_amount", echoed.amount_fen);
    if request.kind == Kind::Group {
        xml.number("total_num", request.total_num);
    }
    xml.text("send_listid", &accepted.send_listid);
    if let Some(package) = &accepted.package {
        xml.text("package", package);
    }
    xml.finish()
}

/// Adds the signature that clients of the group call look for. A fault that plays a stranger's
/// refusal stays unsigned, as that of a real stranger is.
pub(super) fn signed(xml: String, api_key: &str) -> String {
    let (Ok(elements), Some(open)) = (
        Elements::read(xml.as_bytes()),
        xml.strip_suffix(Writer::END),
    ) else {
        return xml;
    };
    if elements.get("return_code") != "SUCCESS" {
        return xml;
    }
    let sign = wechat_v2::md5_sign(&elements.pairs(), api_key);
    format!("{open}<sign><![CDATA[{sign}]]></sign>\n{}", Writer::END)
}

/// The answer to a query that found the order.
pub(super) fn found(order: &Order, lie: Option<Echo>) -> String {
    let accepted = &order.accepted;
    let openid = order.openid.as_deref().unwrap_or_default();
    let echoed = Echoed::new(&accepted.mch_billno, openid, accepted.amount_fen, lie);
    let mut xml = success("OK");
    xml.text("mch_billno", &echoed.mch_billno);
    xml.text("mch_id", &accepted.mch_id);
    xml.text("detail_id", &accepted.send_listid);
    xml.text("status", order.state.word());
    xml.text("send_type", "API");
    if accepted.shares.is_empty() {
        xml.text("hb_type", "NORMAL");
        xml.number("total_num", 1);
    } else {
        xml.text("hb_type", "GROUP");
        xml.number("total_num", accepted.shares.len());
    }
    xml.number("total_amount", echoed.amount_fen);
    if let Some(reason) = &accepted.reason {
        xml.text("reason", reason);
    }
    let send_time = clock::beijing(order.sent_at_ms.unwrap_or(accepted.at_ms));
    xml.text("send_time", &send_time);
    if order.state == State::Refund {
        xml.text("refund_time", &clock::beijing(order.since_ms));
        xml.number("refund_amount", order.returned_fen);
    }
    xml.text("wishing", &accepted.wishing);
    xml.text("remark", &accepted.remark);
    xml.text("act_name", &accepted.act_name);
    // WeChat leaves the list out at times. So do we when the openid is known as a hash only, which
    // is so after a restart until the number is sent again: a list is complete or missing.
    if !echoed.openid.is_empty() {
        receivers(&mut xml, &takers(order, &echoed));
    }
    xml.finish()
}

/// Openid, amount, time.
type Taker<'a> = (&'a str, i64, i64);

/// Whoever has taken the packet or a share of it.
fn takers<'a>(order: &'a Order, echoed: &'a Echoed) -> Vec<Taker<'a>> {
    if order.accepted.shares.is_empty() {
        let whole = (echoed.openid.as_str(), echoed.amount_fen, order.since_ms);
        return Vec::from_iter((order.state == State::Received).then_some(whole));
    }
    let taken = order.taken().map(|(share, at_ms)| {
        let openid = share.taker.as_deref().unwrap_or(&echoed.openid);
        (openid, share.amount_fen, at_ms)
    });
    taken.collect()
}

fn receivers(xml: &mut Writer, takers: &[Taker<'_>]) {
    if takers.is_empty() {
        return;
    }
    xml.group("hblist", |xml| {
        for (openid, amount_fen, at_ms) in takers {
            xml.group("hbinfo", |xml| {
                xml.text("openid", openid);
                xml.number("amount", *amount_fen);
                xml.text("rcv_time", &clock::beijing(*at_ms));
            });
        }
    });
}
