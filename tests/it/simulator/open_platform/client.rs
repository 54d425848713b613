//! A small client of the platform that signs by itself: with the crates of MD5 and RSA, and none of
//! our signatures, so that no mistake sits on both sides.

use std::cell::Cell;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hongbao::signing::rsa::PublicKey;
use hongbao::simulator::{
    Config, Fault, FaultTable, OpenConfig, OpenStatus, PlatformKey, Simulator, start,
};
use md5::{Digest as _, Md5};
use rsa::pkcs8::DecodePrivateKey as _;
use serde_json::{Value, json};
use sha2::Sha256;

use super::super::client::http;

pub(super) const PRIVATE: &str = include_str!("../../../golden/map/private.pem");
pub(super) const PUBLIC: &str = include_str!("../../../golden/map/public.pem");

pub(super) const PLACE: &str = "/v1/openapi/order/redPacket";
pub(super) const INFO: &str = "/v1/openapi/order/info";

/// How a request differs from a right one.
#[derive(Debug, Clone, Default)]
pub(super) struct Twist {
    /// The header signType; not sent if absent, and then it is RSA.
    pub(super) sign_type: Option<&'static str>,
    pub(super) nonce: Option<String>,
    pub(super) timestamp: Option<String>,
    pub(super) business_id: Option<&'static str>,
    pub(super) sign: Option<String>,
    /// A header that is left out.
    pub(super) without: Option<&'static str>,
    pub(super) content_type: Option<&'static str>,
}

pub(super) fn md5() -> Twist {
    Twist {
        sign_type: Some("MD5"),
        ..Twist::default()
    }
}

/// A simulator with the platform, and whoever talks to it.
pub(super) struct Platform {
    pub(super) simulator: Simulator,
    pub(super) http: reqwest::Client,
    open: OpenConfig,
    next: Cell<u32>,
}

/// With the keys of the golden cases on both sides; callbacks are signed by MD5.
pub(super) fn open() -> OpenConfig {
    OpenConfig {
        public_key: PublicKey::from_pem(PUBLIC),
        ..OpenConfig::from_seed(1)
    }
}

/// Callbacks are signed by RSA.
pub(super) fn open_with_key() -> OpenConfig {
    OpenConfig {
        platform_key: PlatformKey::from_pem(PRIVATE),
        ..open()
    }
}

impl Platform {
    pub(super) async fn start(open: OpenConfig, time_scale: u32) -> Self {
        Self::start_on(None, open, time_scale).await
    }

    pub(super) async fn start_on(books: Option<PathBuf>, open: OpenConfig, scale: u32) -> Self {
        let config = Config {
            books,
            time_scale: scale,
            hold: std::time::Duration::from_millis(50),
            open: Some(open.clone()),
            // What happens to red packets is nothing to this platform.
            faults: FaultTable::default().with_send(Fault::Reset, 1_000),
            ..Config::default()
        };
        Self {
            simulator: start(config).await.unwrap(),
            http: http().build().unwrap(),
            open,
            next: Cell::new(0),
        }
    }

    /// New with every call.
    fn nonce(&self) -> String {
        self.next.set(self.next.get() + 1);
        let run = self.simulator.addr.port();
        format!("nonce-{run}-{}", self.next.get())
    }

    /// The members of a red packet that is right.
    pub(super) fn packet(&self, biz_code: &str, openid: &str, spec: &str) -> Value {
        let spec: Value = serde_json::from_str(spec).unwrap();
        json!({
            "merchantId": self.open.merchant_id,
            "businessId": self.open.business_id,
            "templateId": "1001",
            "openId": openid,
            "spec": spec,
            "bizCode": biz_code,
        })
    }

    /// What is signed, after the documents.
    pub(super) fn text(pairs: &[(&str, &str)], body: &str) -> String {
        let mut pairs: Vec<_> = pairs.iter().filter(|(_, v)| !v.is_empty()).collect();
        pairs.sort();
        let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{}{body}", pairs.join("&"))
    }

    pub(super) fn md5(text: &str, secret: &str) -> String {
        let digest = Md5::digest(format!("{text}{secret}"));
        digest.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    fn rsa(text: &str) -> String {
        let key = rsa::PrivateKey::from_pkcs8_pem(PRIVATE).unwrap();
        let padding = rsa::Pkcs1v15Sign::new::<Sha256>();
        STANDARD.encode(key.sign(padding, &Sha256::digest(text)).unwrap())
    }

    pub(super) fn raw(&self, path: &str, body: &str, twist: Twist) -> reqwest::RequestBuilder {
        let nonce = twist.nonce.unwrap_or_else(|| self.nonce());
        let now = self.simulator.books().now_ms().to_string();
        let timestamp = twist.timestamp.unwrap_or(now);
        let business_id = twist.business_id.unwrap_or(&self.open.business_id);
        let text = Self::text(
            &[
                ("businessId", business_id),
                ("nonce", &nonce),
                ("signType", twist.sign_type.unwrap_or("")),
                ("timestamp", &timestamp),
            ],
            body,
        );
        let sign = twist.sign.unwrap_or_else(|| match twist.sign_type {
            Some("MD5") => Self::md5(&text, &self.open.secret),
            _ => Self::rsa(&text),
        });
        let url = format!("{}{path}", self.simulator.base_url());
        let content_type = twist
            .content_type
            .unwrap_or("application/json; charset=utf-8");
        let mut request = self.http.post(url).header("content-type", content_type);
        for (name, value) in [
            ("businessId", business_id),
            ("nonce", &nonce),
            ("timestamp", &timestamp),
            ("sign", &sign),
            ("signType", twist.sign_type.unwrap_or("")),
        ] {
            if !value.is_empty() && twist.without != Some(name) {
                request = request.header(name, value);
            }
        }
        request.body(body.to_owned())
    }

    /// The bytes of the reply.
    pub(super) async fn told(&self, path: &str, body: &str, twist: Twist) -> String {
        let sent = self.raw(path, body, twist).send().await.unwrap();
        assert_eq!(sent.status(), 200);
        sent.text().await.unwrap()
    }

    pub(super) async fn call(&self, path: &str, body: &str, twist: Twist) -> Value {
        serde_json::from_str(&self.told(path, body, twist).await).unwrap()
    }

    /// Sends a body, signed by MD5.
    pub(super) async fn place(&self, body: &Value) -> Value {
        self.call(PLACE, &body.to_string(), md5()).await
    }

    /// A right order for a yuan; its reply.
    pub(super) async fn order(&self, biz_code: &str, openid: &str) -> Value {
        self.place(&self.packet(biz_code, openid, "1")).await
    }

    pub(super) async fn info(&self, biz_code: &str) -> Value {
        let body = json!({ "bizCode": biz_code });
        self.call(INFO, &body.to_string(), md5()).await
    }

    /// Asks until the order is final, and says what it has been told on the way.
    pub(super) async fn until_final(&self, biz_code: &str) -> Vec<i64> {
        let mut seen = Vec::new();
        loop {
            let info = self.info(biz_code).await;
            let status = info["data"]["status"].as_i64().unwrap();
            if seen.last() != Some(&status) {
                seen.push(status);
            }
            if status >= 2 {
                return seen;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(super) fn statuses(&self) -> Vec<OpenStatus> {
        let orders = self.simulator.books().open_orders();
        orders.iter().map(|order| order.status).collect()
    }
}
