//! The bytes of the two requests, in the order of the seed's sample. What is signed is what is
//! sent: the body is written once.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{HttpRequest, OpenPlatformCodec, Stamp};
use crate::domain::Fen;
use crate::domain::open_platform::{By, Order, yuan};
use crate::signing::open_platform::Head;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderBody<'a> {
    merchant_id: &'a str,
    business_id: &'a str,
    template_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mobile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<&'a str>,
    open_id: &'a str,
    spec: Box<RawValue>,
    biz_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuestionBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    order_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    biz_code: Option<&'a str>,
}

pub(super) fn order(
    codec: &OpenPlatformCodec,
    order: &Order,
    stamp: &Stamp,
) -> Result<HttpRequest, &'static str> {
    if order.face <= Fen::ZERO {
        return Err("NO_AMOUNT");
    }
    let callback_url = order.callback_url.as_ref().or(codec.callback_url.as_ref());
    let body = OrderBody {
        merchant_id: codec.merchant_id.as_str(),
        business_id: codec.business_id.as_str(),
        template_id: order
            .template_id
            .as_ref()
            .unwrap_or(&codec.template_id)
            .as_str(),
        mobile: order.mobile.as_ref().map(|mobile| mobile.expose()),
        app_id: order.appid.as_ref().map(|appid| appid.as_str()),
        open_id: order.openid.expose(),
        spec: RawValue::from_string(yuan(order.face)).map_err(|_| "NO_AMOUNT")?,
        biz_code: order.biz_code.as_str(),
        callback_url: callback_url.map(|url| &**url),
    };
    let path = "/v1/openapi/order/redPacket";
    signed(codec, "order/redPacket", path, &body, stamp)
}

pub(super) fn question(
    codec: &OpenPlatformCodec,
    by: &By,
    stamp: &Stamp,
) -> Result<HttpRequest, &'static str> {
    let (order_code, biz_code) = match by {
        By::BizCode(code) => (None, Some(code.as_str())),
        By::OrderCode(code) => (Some(code.as_str()), None),
    };
    let body = QuestionBody {
        order_code,
        biz_code,
    };
    let path = "/v1/openapi/order/info";
    signed(codec, "order/info", path, &body, stamp)
}

fn signed(
    codec: &OpenPlatformCodec,
    call: &'static str,
    path: &'static str,
    body: &impl Serialize,
    stamp: &Stamp,
) -> Result<HttpRequest, &'static str> {
    let body = serde_json::to_vec(body).map_err(|_| "NOT_WRITTEN")?;
    let timestamp = stamp.at.0.div_euclid(1_000).to_string();
    let sign_type = codec.signer.sign_type().name();
    let head = Head {
        business_id: codec.business_id.as_str(),
        nonce: &stamp.nonce,
        sign_type,
        timestamp: &timestamp,
    };
    let sign = codec.signer.sign(&head, &body).ok_or("NOT_SIGNED")?;
    Ok(HttpRequest {
        call,
        path: path.into(),
        content_type: "application/json; charset=utf-8",
        headers: vec![
            ("businessId", codec.business_id.as_str().to_owned()),
            ("nonce", stamp.nonce.clone()),
            ("timestamp", timestamp.clone()),
            ("sign", sign),
            ("signType", sign_type.to_owned()),
        ],
        body,
        recorded: None,
    })
}
