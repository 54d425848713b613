//! Reading requests strictly: what no document knows is refused, so that a mistake of a client
//! shows here and not at the real platform.

use std::fmt;

use http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::config::{OpenConfig, OpenMissing, OpenTemplate};
use super::money;
use super::reply::Refusal;
use crate::signing::open_platform;

/// Bytes of a text at most; no document says.
const TEXT_MAX: usize = 128;
/// Bytes of a header at most: signatures of RSA have 684.
const HEADER_MAX: usize = 1_024;
const URL_MAX: usize = 512;

/// The headers of a request.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) signed: open_platform::Head<'a>,
    pub(super) timestamp_ms: i64,
    pub(super) sign: &'a str,
}

impl<'a> Head<'a> {
    /// Reads the headers; nothing is checked that needs a key, a clock or a memory.
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let content_type = header(headers, header::CONTENT_TYPE.as_str())?.unwrap_or("");
        let mime = content_type.split(';').next().unwrap_or("").trim();
        if !mime.eq_ignore_ascii_case("application/json") {
            let why = "is not application/json";
            return Err(Refusal::parameter("Content-Type", why));
        }
        let due = |name: &str| match header(headers, name)? {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) | None => Err(Refusal::parameter(name, "is missing")),
        };
        let signed = open_platform::Head {
            business_id: due("businessId")?,
            nonce: due("nonce")?,
            sign_type: header(headers, "signType")?.unwrap_or(""),
            timestamp: due("timestamp")?,
        };
        if signed.nonce.len() > TEXT_MAX || signed.nonce.contains('&') {
            return Err(Refusal::parameter(
                "nonce",
                "is too long or has an ampersand",
            ));
        }
        let timestamp_ms = milliseconds(signed.timestamp)
            .ok_or_else(|| Refusal::parameter("timestamp", "is not in milliseconds"))?;
        Ok(Self {
            signed,
            timestamp_ms,
            sign: due("sign")?,
        })
    }
}

/// A header that is there once at most.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Refusal::parameter(name, "is there twice"));
    }
    match value.to_str() {
        Ok(text) if text.len() <= HEADER_MAX => Ok(Some(text)),
        Ok(_) => Err(Refusal::parameter(name, "is too long")),
        Err(_) => Err(Refusal::parameter(name, "is not ASCII")),
    }
}

/// Thirteen digits, which seconds are not.
fn milliseconds(text: &str) -> Option<i64> {
    let digits = text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// The members of a JSON object, in their order, each as it was written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl Members {
    /// Reads an object with these members and no others, none of them twice.
    fn read(body: &[u8], known: &[&str]) -> Result<Self, Refusal> {
        let members: Self = serde_json::from_slice(body)
            .map_err(|_| Refusal::parameter("body", "is not a JSON object"))?;
        for (index, (name, _)) in members.0.iter().enumerate() {
            if !known.contains(&&**name) {
                return Err(Refusal::parameter(name, "is not known"));
            }
            if members
                .0
                .iter()
                .skip(index + 1)
                .any(|(other, _)| other == name)
            {
                return Err(Refusal::parameter(name, "is there twice"));
            }
        }
        Ok(members)
    }

    /// The JSON of a member that is there and not `null`.
    fn raw(&self, name: &str) -> Option<&str> {
        let member = self.0.iter().find(|(known, _)| known == name);
        member
            .map(|(_, value)| value.get())
            .filter(|json| *json != "null")
    }

    /// A text, empty if it is not there.
    fn free(&self, name: &str, max: usize) -> Result<String, Refusal> {
        let Some(json) = self.raw(name) else {
            return Ok(String::new());
        };
        let text: String =
            serde_json::from_str(json).map_err(|_| Refusal::parameter(name, "is not a text"))?;
        if text.len() > max {
            return Err(Refusal::parameter(name, "is too long"));
        }
        match text.chars().any(char::is_control) {
            true => Err(Refusal::parameter(name, "has control characters")),
            false => Ok(text),
        }
    }

    /// A text that must be there.
    fn due(&self, name: &str, max: usize) -> Result<String, Refusal> {
        match self.free(name, max)? {
            text if text.is_empty() => Err(Refusal::parameter(name, "is missing")),
            text => Ok(text),
        }
    }

    /// Whether the ids, where they are there, are those of the merchant.
    fn ids(&self, head: &Head<'_>, config: &OpenConfig, required: bool) -> Result<(), Refusal> {
        let read = |name| match required {
            true => self.due(name, TEXT_MAX),
            false => self.free(name, TEXT_MAX),
        };
        let (merchant_id, business_id) = (read("merchantId")?, read("businessId")?);
        if !business_id.is_empty() && business_id != head.signed.business_id {
            return Err(Refusal::parameter("businessId", "is not the header's"));
        }
        match merchant_id.is_empty() || merchant_id == config.merchant_id {
            true => Ok(()),
            false => Err(Refusal::not_found("merchantId")),
        }
    }
}

/// A red packet that is asked for.
#[derive(Debug)]
pub(super) struct Send {
    pub(super) biz_code: String,
    pub(super) template_id: String,
    pub(super) template: OpenTemplate,
    pub(super) openid: String,
    pub(super) face_fen: i64,
    /// The order's own address, or the merchant's.
    pub(super) callback_url: Option<String>,
}

impl Send {
    const MEMBERS: [&'static str; 9] = [
        "merchantId",
        "businessId",
        "templateId",
        "mobile",
        "appId",
        "openId",
        "spec",
        "bizCode",
        "callbackUrl",
    ];

    pub(super) fn read(head: &Head<'_>, config: &OpenConfig, body: &[u8]) -> Result<Self, Refusal> {
        let members = Members::read(body, &Self::MEMBERS)?;
        members.ids(head, config, true)?;
        let template_id = members.due("templateId", TEXT_MAX)?;
        let openid = members.due("openId", TEXT_MAX)?;
        let biz_code = members.due("bizCode", config.biz_code_max)?;
        let spec = members
            .raw("spec")
            .ok_or_else(|| Refusal::parameter("spec", "is missing"))?;
        let face_fen = money::fen(spec).ok_or_else(|| {
            Refusal::parameter("spec", "is no amount of yuan with two decimals at most")
        })?;
        let mobile = members.free("mobile", TEXT_MAX)?;
        let is_mobile = mobile.len() == 11 && mobile.bytes().all(|byte| byte.is_ascii_digit());
        if !mobile.is_empty() && !is_mobile {
            return Err(Refusal::parameter("mobile", "is not 11 digits"));
        }
        let callback_url = members.free("callbackUrl", URL_MAX)?;
        if !callback_url.is_empty() && !super::is_reachable(&callback_url) {
            let why = "is no http:// address, and this simulator calls no other";
            return Err(Refusal::parameter("callbackUrl", why));
        }
        let app_id = members.free("appId", TEXT_MAX)?;
        let any = app_id.is_empty() || config.appids.is_empty();
        if !any && !config.appids.contains(&app_id) {
            return Err(Refusal::not_found("appId"));
        }
        let template = config.templates.get(&template_id).copied();
        let template = template.ok_or_else(|| match config.unknown_template {
            OpenMissing::NotFound => Refusal::not_found("templateId"),
            OpenMissing::NoStock => Refusal::of(Refusal::STOCK).about("templateId"),
        })?;
        Ok(Self {
            biz_code,
            template_id,
            template,
            openid,
            face_fen,
            callback_url: Some(callback_url)
                .filter(|url| !url.is_empty())
                .or_else(|| config.callback_url.clone()),
        })
    }
}

/// An order that is asked about, by either number or both.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) order_code: String,
    pub(super) biz_code: String,
}

impl Query {
    const MEMBERS: [&'static str; 4] = ["merchantId", "businessId", "orderCode", "bizCode"];

    pub(super) fn read(head: &Head<'_>, config: &OpenConfig, body: &[u8]) -> Result<Self, Refusal> {
        let members = Members::read(body, &Self::MEMBERS)?;
        members.ids(head, config, false)?;
        let query = Self {
            order_code: members.free("orderCode", TEXT_MAX)?,
            biz_code: members.free("bizCode", config.biz_code_max)?,
        };
        match query.order_code.is_empty() && query.biz_code.is_empty() {
            true => Err(Refusal::parameter(
                "bizCode",
                "is missing, and orderCode too",
            )),
            false => Ok(query),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_known_and_there_once() {
        let about = |body: &str| match Members::read(body.as_bytes(), &["a", "b"]) {
            Ok(_) => String::new(),
            Err(refusal) => refusal.json(),
        };
        assert_eq!(about(r#"{"a":1,"b":null}"#), "");
        assert!(about(r#"{"a":1,"a":1}"#).contains("a is there twice"));
        assert!(about(r#"{"c":1}"#).contains("c is not known"));
        for bad in ["", "[]", "{", "{\"a\":1}x", "\u{feff}{}"] {
            assert!(about(bad).contains("body"), "{bad}");
        }
    }

    #[test]
    fn a_text_is_a_text_and_null_is_nothing() {
        let members = Members::read(br#"{"a":1,"b":null}"#, &["a", "b"]).unwrap();
        assert!(members.free("a", 9).is_err());
        assert_eq!(members.free("b", 9).unwrap(), "");
        assert!(
            members
                .due("b", 9)
                .unwrap_err()
                .json()
                .contains("b is missing")
        );
        let members = Members::read(br#"{"a":"123","b":"\n"}"#, &["a", "b"]).unwrap();
        assert_eq!(members.due("a", 3).unwrap(), "123");
        assert!(members.due("a", 2).is_err());
        assert!(members.due("b", 2).is_err());
    }

    #[test]
    fn a_timestamp_has_thirteen_digits() {
        assert_eq!(milliseconds("1628772138668"), Some(1_628_772_138_668));
        for bad in [
            "1628772138",
            "",
            "-628772138668",
            "16287721386680",
            "1628772138.68",
        ] {
            assert_eq!(milliseconds(bad), None, "{bad}");
        }
    }
}
