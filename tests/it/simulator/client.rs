//! A small V2 client for these tests; it shares only the signature with the code under test.

use std::time::Duration;

use hongbao::signing::wechat_v2::md5_sign;
use hongbao::simulator::{Config, Merchant, Simulator, start};

/// The elements of a request, before it is signed, and the call that it is for.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) path: &'static str,
    elements: Vec<(String, String)>,
}

impl Message {
    pub(crate) fn send(simulator: &Simulator, billno: &str, openid: &str, fen: i64) -> Self {
        Self::send_by(simulator.merchant(), billno, openid, fen)
    }

    pub(crate) fn send_by(merchant: &Merchant, billno: &str, openid: &str, fen: i64) -> Self {
        Self::of(&[
            ("nonce_str", "5K8264ILTKCH16CQ2502SI8ZNMTM67VS"),
            ("mch_billno", billno),
            ("mch_id", &merchant.mch_id),
            ("wxappid", merchant.appid()),
            ("send_name", "天虹百货"),
            ("re_openid", openid),
            ("total_amount", &fen.to_string()),
            ("total_num", "1"),
            ("wishing", "恭喜发财"),
            ("client_ip", "192.168.0.1"),
            ("act_name", "新年红包"),
            ("remark", billno),
        ])
    }

    /// A group packet for the seed user and all but one of `people`.
    pub(crate) fn group(
        simulator: &Simulator,
        billno: &str,
        openid: &str,
        fen: i64,
        people: u32,
    ) -> Self {
        Self::send(simulator, billno, openid, fen)
            .to("sendgroupredpack")
            .with("client_ip", "")
            .with("amt_type", "ALL_RAND")
            .with("total_num", &people.to_string())
    }

    pub(crate) fn mini(simulator: &Simulator, billno: &str, openid: &str, fen: i64) -> Self {
        Self::send(simulator, billno, openid, fen)
            .to("sendminiprogramhb")
            .with("client_ip", "")
            .with("notify_way", "MINI_PROGRAM_JSAPI")
    }

    pub(crate) fn query(simulator: &Simulator, billno: &str) -> Self {
        let merchant = simulator.merchant();
        Self::of(&[
            ("nonce_str", "50780e0cca98c8c8e814883e5caa672e"),
            ("mch_billno", billno),
            ("mch_id", &merchant.mch_id),
            ("appid", merchant.appid()),
            ("bill_type", "MCHT"),
        ])
        .to("gethbinfo")
    }

    fn of(pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            path: "sendredpack",
            elements: pairs.iter().map(owned).collect(),
        }
    }

    /// The same elements for another call.
    pub(crate) fn to(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        let element = self.elements.iter().find(|(known, _)| known == name);
        element.map_or("", |(_, value)| value)
    }

    /// Changes, adds or (with an empty value) removes an element.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.elements.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.elements.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(crate) fn sign(&self, key: &str) -> String {
        let pairs: Vec<(&str, &str)> = self.elements.iter().map(|(k, v)| (&**k, &**v)).collect();
        md5_sign(&pairs, key)
    }

    /// Text elements, escaped where they must be.
    pub(crate) fn xml(&self, key: &str) -> String {
        let mut xml = String::from("<xml>");
        for (name, value) in &self.elements {
            let value = value.replace('&', "&amp;").replace('<', "&lt;");
            xml.push_str(&format!("<{name}>{value}</{name}>"));
        }
        xml + &format!("<sign>{}</sign></xml>", self.sign(key))
    }
}

/// A reply that is XML, read without an XML reader: element by element, CDATA or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply(pub(crate) String);

impl Reply {
    pub(crate) fn get(&self, name: &str) -> &str {
        let Some((_, rest)) = self.0.split_once(&format!("<{name}>")) else {
            return "";
        };
        let value = rest
            .split_once(&format!("</{name}>"))
            .map_or("", |(v, _)| v);
        value
            .strip_prefix("<![CDATA[")
            .and_then(|value| value.strip_suffix("]]>"))
            .unwrap_or(value)
    }

    pub(crate) fn code(&self) -> &str {
        self.get("err_code")
    }

    /// Every element of a flat reply, one a line as the simulator writes them.
    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        let lines = self.0.lines().filter(|line| line.contains("</"));
        lines
            .filter_map(|line| line.strip_prefix('<')?.split_once('>'))
            .map(|(name, _)| (name, self.get(name)))
            .collect()
    }

    /// Openid and amount of everybody who took something.
    pub(crate) fn receivers(&self) -> Vec<(String, i64)> {
        let entries = self.0.split("<hbinfo>").skip(1);
        entries
            .map(|entry| {
                let entry = Self(entry.to_owned());
                assert_eq!(entry.get("rcv_time").len(), 19);
                (entry.get("openid").to_owned(), entry.fen("amount"))
            })
            .collect()
    }

    pub(crate) fn fen(&self, name: &str) -> i64 {
        self.get(name).parse().unwrap()
    }
}

/// Talks to one simulator.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    base_url: String,
    key: String,
}

pub(crate) fn http() -> reqwest::ClientBuilder {
    // The second test of a process finds it installed already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(5))
}

impl Client {
    pub(crate) fn of(simulator: &Simulator) -> Self {
        Self::with(http().build().unwrap(), simulator)
    }

    pub(crate) fn with(http: reqwest::Client, simulator: &Simulator) -> Self {
        Self::at(http, simulator.base_url(), simulator.merchant())
    }

    pub(crate) fn at(http: reqwest::Client, base_url: String, merchant: &Merchant) -> Self {
        Self {
            http,
            base_url,
            key: merchant.api_key.clone(),
        }
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}/mmpaymkttransfers/{path}", self.base_url);
        self.http.post(url).body(body).send().await
    }

    pub(crate) async fn try_send(&self, message: &Message) -> reqwest::Result<Reply> {
        let response = self.post(message.path, message.xml(&self.key)).await?;
        Ok(Reply(response.error_for_status()?.text().await?))
    }

    pub(crate) async fn send(&self, message: &Message) -> Reply {
        self.try_send(message).await.unwrap()
    }

    pub(crate) async fn query(&self, simulator: &Simulator, billno: &str) -> Reply {
        let message = Message::query(simulator, billno);
        self.send(&message).await
    }
}

/// A simulator with this configuration, and a client for it.
pub(crate) async fn begin(config: Config) -> (Simulator, Client) {
    let simulator = start(config).await.unwrap();
    let client = Client::of(&simulator);
    (simulator, client)
}

/// A number that is valid and, per test, unique.
pub(crate) fn billno(n: u32) -> String {
    format!("1900000109{n:018}")
}
