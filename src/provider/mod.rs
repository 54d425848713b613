//! The payment providers: bytes out, a typed verdict in.
//!
//! A protocol is a [`Codec`]: pure functions from what must be paid to the bytes of a request, and
//! from the bytes of a reply to what they prove. It holds the secrets of one merchant, does no I/O
//! and reads no clock; nonce and time come in as a [`Stamp`]. So golden files pin it byte by byte,
//! and a request can be made again. The
//! one HTTP client, in `client`, says what a broken exchange proves, and no protocol can say it
//! otherwise: a time-out taken for a refusal is a second payment.
//!
//! A new protocol is one file, and one way to open its door: [`Provider::wechat_pay`],
//! [`Provider::open_platform`]. A platform that gives vouchers
//! instead of paying packets has a door of another shape: [`VoucherPlatform`]. Receivers of
//! webhooks are no providers, but strangers: [`ReceiverDoor`] has an HTTP client of its own.

mod client;
mod credential;
pub mod map;
pub mod open_platform;
mod receiver;
mod tls;
mod voucher;
mod wechat_pay_v2;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::domain::outcome::{Cause, QueryOutcome, Rejection, RejectionKind, SendOutcome};
use crate::domain::packet::{Kind, RiskInfo};
use crate::domain::status_reply::StatusReply;
use crate::domain::text::{Appid, Code, MchBillno, MchId, Mobile, Openid, Texts};
use crate::domain::{Fen, Timestamp};

use client::{Client, Endpoint, Failure};

pub use client::Timeouts;
pub use credential::{ApiKey, Credential, Identity};
pub use receiver::{Delivered, Looking, Lookup, ReceiverDoor, ReceiverOptions};
pub use tls::{check_identity, install_crypto};
pub use voucher::VoucherPlatform;
pub use wechat_pay_v2::WechatPayV2;

/// All that a provider sees of a packet. It is fixed before the first byte leaves and never
/// changes for its number: the provider takes other parameters for another order.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Who pays.
    pub mch_id: MchId,
    /// The app that knows the recipient by this openid.
    pub appid: Appid,
    /// The merchant's number.
    pub mch_billno: MchBillno,
    /// The recipient.
    pub openid: Openid,
    /// How much.
    pub amount: Fen,
    /// What kind of packet.
    pub kind: Kind,
    /// How many people share it.
    pub total_num: i32,
    /// What the merchant tells of the recipient's device.
    pub risk_info: Option<RiskInfo>,
    /// What the recipient reads.
    pub texts: Texts,
    /// The IPv4 address that the merchant says it calls from.
    pub client_ip: String,
    /// The template that an open platform takes the texts from; the credential's if none.
    pub template_id: Option<Code>,
    /// The recipient's mobile number, for an open platform that asks for it.
    pub mobile: Option<Mobile>,
}

/// A request, ready to be posted.
pub struct HttpRequest {
    /// The provider's name for the call: `sendredpack`.
    pub call: &'static str,
    /// Below the account's base URL, with a slash in front.
    pub path: Cow<'static, str>,
    /// The value of the header of this name.
    pub content_type: &'static str,
    /// Further headers by their names; each value is visible ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// Holds an openid and a signature: for the wire and the encrypted record alone.
    pub body: Vec<u8>,
    /// What is recorded instead, where the body holds what must be forgotten.
    pub recorded: Option<Vec<u8>>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

/// A reply that arrived whole.
pub struct HttpReply {
    /// The HTTP status. What it proves differs between protocols, so each codec looks at it.
    pub status: u16,
    /// May hold an openid.
    pub body: Vec<u8>,
}

impl fmt::Debug for HttpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpReply")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// What makes one request differ from the next about the same payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Another one in every request: printable ASCII.
    pub nonce: String,
    /// When it is made.
    pub at: Timestamp,
}

impl Stamp {
    /// A stamp that nobody had before.
    fn fresh() -> Self {
        Self {
            nonce: clock::random_hex::<16>(),
            at: clock::wall(),
        }
    }
}

/// A protocol, with the secrets of one merchant. There are no default methods: one that is
/// forgotten must not compile.
pub trait Codec: Send + Sync + fmt::Debug {
    /// The request to pay; or why there is none, as a short stable word.
    fn send_request(&self, payment: &Payment, stamp: &Stamp) -> Result<HttpRequest, &'static str>;
    /// What its reply proves.
    fn read_send(&self, payment: &Payment, reply: &HttpReply) -> SendOutcome;
    /// The question about the number; or why there is none, as a short stable word.
    fn query_request(&self, payment: &Payment, stamp: &Stamp) -> Result<HttpRequest, &'static str>;
    /// What its reply proves.
    fn read_query(&self, payment: &Payment, reply: &HttpReply) -> QueryOutcome;
    /// What the reply to a question says, for people; nothing if it cannot be read.
    fn describe(&self, reply: &HttpReply) -> Option<StatusReply>;
}

/// What was said in one exchange and what it proves.
pub struct Said<T> {
    /// What it proves.
    pub outcome: T,
    /// The provider's name for the call.
    pub call: &'static str,
    /// What was, or would have been, sent.
    pub request: Vec<u8>,
    /// What came back, as far as it came; only the beginning of one that was too large.
    pub response: Option<Vec<u8>>,
    /// The HTTP status, if one came.
    pub http_status: Option<u16>,
    /// How long it took.
    pub duration: Duration,
}

impl<T: fmt::Debug> fmt::Debug for Said<T> {
    /// Without the bytes, which name a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Said")
            .field("call", &self.call)
            .field("outcome", &self.outcome)
            .field("http_status", &self.http_status)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

/// One merchant account's door to its provider. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Provider {
    codec: Arc<dyn Codec>,
    client: Client,
    mch_id: MchId,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("codec", &self.codec)
            .field("mch_id", &self.mch_id)
            .finish_non_exhaustive()
    }
}

impl Provider {
    /// Prepares the door to WeChat Pay; opens no connection yet.
    ///
    /// # Errors
    /// When the URL, the certificates or the key cannot be used. No secret is in the text.
    pub fn wechat_pay(credential: &Credential, timeouts: Timeouts) -> anyhow::Result<Self> {
        let endpoint = Endpoint {
            name: &credential.name,
            base_url: &credential.base_url,
            client_identity: credential.client_identity.as_ref(),
            ca_pem: credential.ca_pem.as_deref(),
        };
        Ok(Self {
            codec: Arc::new(WechatPayV2::new(&credential.api_key)),
            client: Client::new(&endpoint, timeouts)?,
            mch_id: credential.mch_id.clone(),
        })
    }

    /// Asks the provider to pay. A caller that drops the future knows nothing of the outcome:
    /// bytes may have left.
    pub async fn send(&self, payment: &Payment) -> Said<SendOutcome> {
        let request = self.codec.send_request(payment, &Stamp::fresh());
        self.exchange("send", payment, request, |reply| {
            self.codec.read_send(payment, reply)
        })
        .await
    }

    /// Asks the provider what became of a number.
    pub async fn query(&self, payment: &Payment) -> Said<QueryOutcome> {
        let request = self.codec.query_request(payment, &Stamp::fresh());
        self.exchange("query", payment, request, |reply| {
            self.codec.read_query(payment, reply)
        })
        .await
    }

    /// What the reply to a question says, in the provider's own words.
    #[must_use]
    pub fn describe(&self, said: &Said<QueryOutcome>) -> Option<StatusReply> {
        let reply = HttpReply {
            status: said.http_status?,
            body: said.response.clone()?,
        };
        self.codec.describe(&reply)
    }

    async fn exchange<T: From<Failure>>(
        &self,
        call: &'static str,
        payment: &Payment,
        request: Result<HttpRequest, &'static str>,
        read: impl FnOnce(&HttpReply) -> T,
    ) -> Said<T> {
        let request = match request {
            Ok(request) => request,
            Err(why) => return unsent(call, Failure::NotSent(why)),
        };
        // Another merchant's key would be answered SIGN_ERROR, and a query NOT_FOUND.
        if payment.mch_id != self.mch_id {
            return Said {
                request: request.body,
                ..unsent(request.call, Failure::WrongMerchant)
            };
        }
        exchange(&self.client, request, read).await
    }
}

/// One exchange, and everything that is to be recorded of it.
async fn exchange<T: From<Failure>>(
    client: &Client,
    request: HttpRequest,
    read: impl FnOnce(&HttpReply) -> T,
) -> Said<T> {
    let begun = clock::monotonic();
    let (outcome, http_status, response) = match client.post(&request).await {
        Ok(reply) => (read(&reply), Some(reply.status), Some(reply.body)),
        Err(broken) => (broken.failure.into(), broken.status, broken.body),
    };
    Said {
        outcome,
        call: request.call,
        request: request.recorded.unwrap_or(request.body),
        response,
        http_status,
        duration: begun.elapsed(),
    }
}

/// What is recorded of a request that was not made.
fn unsent<T: From<Failure>>(call: &'static str, failure: Failure) -> Said<T> {
    Said {
        outcome: failure.into(),
        call,
        request: Vec::new(),
        response: None,
        http_status: None,
        duration: Duration::ZERO,
    }
}

impl Failure {
    fn proves(self) -> Result<Rejection, Cause> {
        let rejection = |kind, code: &str| {
            Ok(Rejection {
                kind,
                code: code.to_owned(),
            })
        };
        match self {
            Self::WrongMerchant => rejection(RejectionKind::Configuration, "WRONG_MERCHANT"),
            Self::NotSent(code) => rejection(RejectionKind::NotSent, code),
            Self::Unknown(cause) => Err(cause),
        }
    }
}

impl From<Failure> for SendOutcome {
    fn from(failure: Failure) -> Self {
        failure.proves().map_or_else(Self::Unknown, Self::Rejected)
    }
}

impl From<Failure> for QueryOutcome {
    fn from(failure: Failure) -> Self {
        failure.proves().map_or_else(Self::Unknown, Self::Rejected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_name_people_are_not_printed() {
        let body = b"<re_openid>oAlice</re_openid>".to_vec();
        let said = Said {
            outcome: SendOutcome::Unknown(Cause::Timeout),
            call: "sendredpack",
            request: body.clone(),
            response: Some(body.clone()),
            http_status: None,
            duration: Duration::ZERO,
        };
        let request = HttpRequest {
            call: "c",
            path: "/".into(),
            content_type: "text/xml",
            headers: vec![("sign", "oAlice".to_owned())],
            body: body.clone(),
            recorded: None,
        };
        let reply = HttpReply { status: 200, body };
        let identity = Identity {
            cert_pem: b"oAlice".to_vec(),
            key_pem: b"oAlice".to_vec(),
        };
        let printed = format!("{said:?} {request:?} {reply:?} {identity:?}");
        assert!(
            !printed.contains("oAlice") && !printed.contains("111, 65"),
            "{printed}"
        );
    }
}
