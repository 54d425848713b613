//! The open platform of seed 003 (兑换系统开放接口), as its client: `order/redPacket`,
//! `order/info`, and the callbacks that it makes.
//!
//! Messages are JSON. Requests and callbacks are signed ([`crate::signing::open_platform`]),
//! replies are not, so TLS is all that says who answers, and the `bizCode` in a reply is compared
//! with what was asked. What statuses and states prove is in [`crate::domain::open_platform`].
//!
//! A reply has two numbers that are easily taken for each other: the status of the exchange, and
//! the state of the order, in the `data` of a query's reply. Messages are for people and never
//! looked at. Only a query's state says whether it was paid; a callback only says when to ask.

mod callback;
mod credential;
mod json;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::client::{Client, Endpoint, Timeouts};
use super::{Codec, HttpReply, HttpRequest, Payment, Provider, Stamp};
use crate::domain::open_platform::{BizCode, By, Order, PriceRule, Priced, Question};
use crate::domain::outcome::{QueryOutcome, SendOutcome};
use crate::domain::packet::Kind;
use crate::domain::status_reply::StatusReply;
use crate::domain::text::{Code, MchId};
use crate::domain::{Fen, Timestamp};

pub use callback::{Callback, CallbackHead, Distrust, WINDOW};
pub use credential::{CallbackKey, OpenPlatformCredential, Secret, Signer};

/// The protocol with the secrets of one merchant: bytes out, a typed verdict in, no I/O.
#[derive(Debug)]
pub struct OpenPlatformCodec {
    merchant_id: MchId,
    business_id: Code,
    template_id: Code,
    signer: Signer,
    callback_key: Option<CallbackKey>,
    callback_url: Option<String>,
    price_rule: PriceRule,
}

impl OpenPlatformCodec {
    /// The protocol for a merchant.
    #[must_use]
    pub fn new(credential: &OpenPlatformCredential) -> Self {
        Self {
            merchant_id: credential.merchant_id.clone(),
            business_id: credential.business_id.clone(),
            template_id: credential.template_id.clone(),
            signer: credential.signer.clone(),
            callback_key: credential.callback_key.clone(),
            callback_url: credential.callback_url.clone(),
            price_rule: credential.price_rule,
        }
    }

    /// The request for a red packet; or why there is none, as a short stable word.
    ///
    /// # Errors
    /// `NO_AMOUNT` for a face value that is not more than nothing, `NOT_SIGNED` if the system has
    /// no random numbers.
    pub fn order_request(&self, order: &Order, stamp: &Stamp) -> Result<HttpRequest, &'static str> {
        request::order(self, order, stamp)
    }

    /// What its reply proves of an order of this face value: never that it was paid.
    #[must_use]
    pub fn read_order(
        &self,
        biz_code: &BizCode,
        face: Fen,
        reply: &HttpReply,
    ) -> Priced<SendOutcome> {
        let bill = reply::Bill {
            rule: self.price_rule,
            face: Some(face),
        };
        reply::order(biz_code, bill, reply)
    }

    /// The question about an order; or why there is none, as a short stable word.
    ///
    /// # Errors
    /// `NOT_SIGNED` if the system has no random numbers.
    pub fn question_request(&self, by: &By, stamp: &Stamp) -> Result<HttpRequest, &'static str> {
        request::question(self, by, stamp)
    }

    /// What its reply proves.
    #[must_use]
    pub fn read_question(&self, question: &Question, reply: &HttpReply) -> Priced<QueryOutcome> {
        reply::question(question, self.price_rule, reply)
    }

    /// A callback, if the platform made it for this merchant, and lately: within [`WINDOW`] of
    /// `now`. It proves nothing about money; it says which order to ask about.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn read_callback(
        &self,
        head: &CallbackHead<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Callback, Distrust> {
        callback::read(self, head, body, now)
    }
}

impl Codec for OpenPlatformCodec {
    /// `KIND_NOT_SUPPORTED` for all but packets to one recipient.
    fn send_request(&self, payment: &Payment, stamp: &Stamp) -> Result<HttpRequest, &'static str> {
        match payment.kind {
            Kind::Normal => self.order_request(&ordered(payment), stamp),
            Kind::Fission | Kind::MiniProgram => Err("KIND_NOT_SUPPORTED"),
        }
    }

    fn read_send(&self, payment: &Payment, reply: &HttpReply) -> SendOutcome {
        let biz_code = BizCode::from(&payment.mch_billno);
        self.read_order(&biz_code, payment.amount, reply).outcome
    }

    fn query_request(&self, payment: &Payment, stamp: &Stamp) -> Result<HttpRequest, &'static str> {
        let by = By::BizCode(BizCode::from(&payment.mch_billno));
        self.question_request(&by, stamp)
    }

    fn read_query(&self, payment: &Payment, reply: &HttpReply) -> QueryOutcome {
        let question = Question {
            by: By::BizCode(BizCode::from(&payment.mch_billno)),
            face: Some(payment.amount),
        };
        self.read_question(&question, reply).outcome
    }

    fn describe(&self, reply: &HttpReply) -> Option<StatusReply> {
        reply::describe(reply)
    }
}

/// The order that pays a packet. Texts, scene and address are WeChat Pay's: the platform takes
/// them from its template.
fn ordered(payment: &Payment) -> Order {
    Order {
        biz_code: BizCode::from(&payment.mch_billno),
        openid: payment.openid.clone(),
        appid: Some(payment.appid.clone()),
        mobile: payment.mobile.clone(),
        face: payment.amount,
        template_id: payment.template_id.clone(),
        callback_url: None,
    }
}

impl Provider {
    /// The door to an open platform; opens no connection yet.
    ///
    /// # Errors
    /// When the URL, the certificates or the key cannot be used. No secret is in the text.
    pub fn open_platform(
        credential: &OpenPlatformCredential,
        timeouts: Timeouts,
    ) -> anyhow::Result<Self> {
        let endpoint = Endpoint {
            name: &credential.name,
            base_url: &credential.base_url,
            client_identity: credential.client_identity.as_ref(),
            ca_pem: credential.ca_pem.as_deref(),
        };
        Ok(Self {
            codec: Arc::new(OpenPlatformCodec::new(credential)),
            client: Client::new(&endpoint, timeouts)?,
            mch_id: credential.merchant_id.clone(),
        })
    }
}
