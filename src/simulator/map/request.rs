//! Reading requests strictly: what the seed does not know is refused, so that a mistake of a
//! client shows here and not at the real platform.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::config::MapConfig;
use super::reply::Refusal;
use crate::signing::map;

const ORDER_MAX: usize = 128;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct App {
    pub(super) app_id: String,
    pub(super) time_stamp: String,
    pub(super) nonce: String,
    pub(super) signature: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tsig {
    #[serde(rename = "orderMD5")]
    order_md5: String,
    signature: String,
    time_stamp: String,
    nonce: String,
}

/// A request that changes something.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ordered<T> {
    pub(super) app: App,
    pub(super) order: T,
    tsig: Tsig,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) app: App,
    pub(super) query: Query,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Give {
    pub(super) mobile_num: String,
    pub(super) sum: i64,
    pub(super) red_paper_product_id: String,
    pub(super) app_order_id: String,
    pub(super) remark: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Query {
    pub(super) page_size: usize,
    pub(super) page_index: usize,
    pub(super) mobile_num: String,
    #[serde(default)]
    pub(super) red_paper_product_id: String,
    pub(super) expire_in: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spend {
    pub(super) mobile_num: String,
    pub(super) red_paper_id: String,
    remark: String,
    pub(super) app_order_id: String,
    associated_order_id: String,
    account_code: Option<String>,
    #[serde(rename = "paymentCodeMD5")]
    payment_code_md5: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Undo {
    pub(super) order_id: String,
}

/// What an order is signed over, and what it must have.
pub(super) trait Order {
    fn values(&self, config: &MapConfig) -> Vec<String>;
    fn is_whole(&self) -> bool;
}

impl Order for Give {
    fn values(&self, _: &MapConfig) -> Vec<String> {
        let sum = self.sum.to_string();
        let texts = [
            &self.mobile_num,
            &sum,
            &self.remark,
            &self.app_order_id,
            &self.red_paper_product_id,
        ];
        texts.map(String::clone).to_vec()
    }

    fn is_whole(&self) -> bool {
        is_mobile(&self.mobile_num)
            && self.sum > 0
            && is_order(&self.app_order_id)
            && !self.remark.is_empty()
    }
}

impl Order for Spend {
    fn values(&self, config: &MapConfig) -> Vec<String> {
        let free = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut values = vec![
            self.mobile_num.clone(),
            self.red_paper_id.clone(),
            self.remark.clone(),
            self.app_order_id.clone(),
            free(&self.account_code),
            free(&self.payment_code_md5),
        ];
        if config.signs_associated {
            values.push(self.associated_order_id.clone());
        }
        values
    }

    fn is_whole(&self) -> bool {
        is_mobile(&self.mobile_num)
            && is_order(&self.app_order_id)
            && !self.remark.is_empty()
            && !self.associated_order_id.is_empty()
            && self.red_paper_id.split('|').all(|id| !id.is_empty())
    }
}

impl Order for Vec<Undo> {
    fn values(&self, _: &MapConfig) -> Vec<String> {
        vec![self.iter().map(|undo| undo.order_id.as_str()).collect()]
    }

    fn is_whole(&self) -> bool {
        !self.is_empty() && self.iter().all(|undo| !undo.order_id.is_empty())
    }
}

/// The JSON of a request.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::Parameter)
}

/// Whether it is the app that the platform knows.
pub(super) fn known(app: &App, config: &MapConfig) -> Result<(), Refusal> {
    let filled = [&app.time_stamp, &app.nonce]
        .iter()
        .all(|text| !text.is_empty());
    let key = config.app_key.as_deref();
    let signed = key.is_none_or(|key| {
        let values = [&*app.app_id, key, &app.nonce, &app.time_stamp];
        map::is_md5(&values, &app.signature)
    });
    match filled && app.app_id == config.app_id && signed {
        true => Ok(()),
        false => Err(Refusal::Signature),
    }
}

/// An order that is whole and rightly signed.
pub(super) fn order<T: Order>(request: &Ordered<T>, config: &MapConfig) -> Result<(), Refusal> {
    known(&request.app, config)?;
    if !request.order.is_whole() {
        return Err(Refusal::Parameter);
    }
    let (order, tsig) = (request.order.values(config), &request.tsig);
    let order: Vec<&str> = order.iter().map(String::as_str).collect();
    let values = [
        &*tsig.order_md5,
        &config.app_id,
        &tsig.time_stamp,
        &tsig.nonce,
    ];
    let signed = config.public_key.as_ref().is_none_or(|key| {
        let signature = STANDARD.decode(&tsig.signature);
        signature.is_ok_and(|signature| map::is_rsa(key, config.hash, &values, &signature))
    });
    match signed && map::is_md5(&order, &tsig.order_md5) {
        true => Ok(()),
        false => Err(Refusal::Signature),
    }
}

/// Both nonces of a request that changes something.
pub(super) fn nonces<T>(request: &Ordered<T>) -> [&str; 2] {
    [&request.app.nonce, &request.tsig.nonce]
}

pub(super) fn is_mobile(text: &str) -> bool {
    text.len() == 11 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_order(text: &str) -> bool {
    (1..=ORDER_MAX).contains(&text.chars().count())
}
