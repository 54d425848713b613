//! MAP (营销账户平台), the voucher platform of seed 002, as its client.
//!
//! Requests are JSON with three digests: `app.signature` says that the app knows its key,
//! `orderMD5` covers the order's values, `tsig.signature` is the app's RSA signature over that
//! digest. Replies are not signed, so TLS is all that says who answers, and what a reply echoes
//! is compared with what was asked.
//!
//! The seed lists one error code, 10000, and calls it "other error": it may come after the
//! effect as well as before, so it proves nothing. Neither does any other code, unless the
//! account's options list it as a refusal from before the effect ([`Options::refusals`]): the
//! codes of a platform are known to whoever runs it, and to nobody else.

mod json;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::client::{Client, Endpoint, Failure, Timeouts};
use super::{HttpReply, HttpRequest, Identity, Said, VoucherPlatform, exchange, unsent};
use crate::clock;
use crate::domain::remote_voucher::{
    Give, GiveOutcome, ListOutcome, PageQuery, Spend, TurnOutcome, Undo,
};
use crate::domain::text::MchId;
use crate::signing::private::PrivateKey;
use crate::signing::rsa::Hash;

pub use request::Stamp;

/// An app's secret at the platform. Never printed.
#[derive(Clone)]
pub struct AppKey(String);

impl AppKey {
    /// The key, if it is 1 to 128 printable ASCII characters without blanks. A key with a line
    /// break from a mounted file would otherwise fail as a wrong signature, much later.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let fits = (1..=128).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(raw.to_owned()))
    }

    fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppKey(…)")
    }
}

/// What stands in front of `/redPaper/…` for each operation. The seed has `/gw` for give and
/// spend and nothing for query; another installation may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// Of `/redPaper/give`.
    pub give: String,
    /// Of `/redPaper/query`.
    pub query: String,
    /// Of `/redPaper/spend`.
    pub spend: String,
    /// Of `/redPaper/undo`.
    pub undo: String,
}

impl Default for Prefixes {
    fn default() -> Self {
        let gateway = || "/gw".to_owned();
        Self {
            give: gateway(),
            query: String::new(),
            spend: gateway(),
            undo: gateway(),
        }
    }
}

impl Prefixes {
    /// Whether each is empty, or begins with a slash, ends without one and has nothing in it
    /// that could lead elsewhere.
    #[must_use]
    pub fn are_sound(&self) -> bool {
        let sound = |prefix: &String| {
            let word = |word: &str| {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            };
            prefix.is_empty()
                || prefix
                    .strip_prefix('/')
                    .is_some_and(|rest| rest.split('/').all(word))
        };
        [&self.give, &self.query, &self.spend, &self.undo]
            .into_iter()
            .all(sound)
    }
}

/// What differs between installations of the platform.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the operations are.
    pub prefixes: Prefixes,
    /// What the RSA signature hashes with; the seed does not say.
    pub hash: Hash,
    /// Whether `associatedOrderId` is signed too: the seed says no, some installations do.
    pub signs_associated: bool,
    /// The codes with which the platform refuses before anything happens.
    pub refusals: BTreeSet<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefixes: Prefixes::default(),
            hash: Hash::Sha1,
            signs_associated: false,
            refusals: BTreeSet::new(),
        }
    }
}

/// What it takes to speak for one app.
#[derive(Clone, Debug)]
pub struct MapCredential {
    /// Its name in the configuration, for logs.
    pub name: String,
    /// Where the platform is; plain `http` is for loopback alone.
    pub base_url: String,
    /// The app's id: what a merchant's id is elsewhere.
    pub app_id: MchId,
    /// The app's secret.
    pub app_key: AppKey,
    /// Signs orders.
    pub sign_key: PrivateKey,
    /// What differs between installations.
    pub options: Options,
    /// Proves who calls, where the platform asks for it.
    pub client_identity: Option<Identity>,
    /// The only authorities that are trusted, as PEM; without it, those of the system.
    pub ca_pem: Option<Vec<u8>>,
}

/// The protocol with the secrets of one app: bytes out, a typed verdict in, no I/O.
#[derive(Debug)]
pub struct MapCodec {
    app_id: MchId,
    app_key: AppKey,
    sign_key: PrivateKey,
    options: Options,
}

impl MapCodec {
    /// The protocol for an app.
    #[must_use]
    pub fn new(credential: &MapCredential) -> Self {
        Self {
            app_id: credential.app_id.clone(),
            app_key: credential.app_key.clone(),
            sign_key: credential.sign_key.clone(),
            options: credential.options.clone(),
        }
    }

    /// The request to give; none if it could not be signed.
    #[must_use]
    pub fn give_request(&self, give: &Give, stamp: &Stamp) -> Option<HttpRequest> {
        request::give(self, give, stamp)
    }

    /// What its reply proves.
    #[must_use]
    pub fn read_give(&self, give: &Give, reply: &HttpReply) -> GiveOutcome {
        reply::give(&self.options.refusals, give, reply)
    }

    /// The request for a page.
    #[must_use]
    pub fn list_request(&self, query: &PageQuery, stamp: &Stamp) -> Option<HttpRequest> {
        request::list(self, query, stamp)
    }

    /// What its reply proves.
    #[must_use]
    pub fn read_list(&self, query: &PageQuery, reply: &HttpReply) -> ListOutcome {
        reply::list(&self.options.refusals, query, reply)
    }

    /// The request to spend; none if it could not be signed.
    #[must_use]
    pub fn spend_request(&self, spend: &Spend, stamp: &Stamp) -> Option<HttpRequest> {
        request::spend(self, spend, stamp)
    }

    /// What its reply proves.
    #[must_use]
    pub fn read_spend(&self, spend: &Spend, reply: &HttpReply) -> TurnOutcome {
        reply::spend(&self.options.refusals, spend, reply)
    }

    /// The request to undo; none if it could not be signed.
    #[must_use]
    pub fn undo_request(&self, undo: &Undo, stamp: &Stamp) -> Option<HttpRequest> {
        request::undo(self, undo, stamp)
    }

    /// What its reply proves.
    #[must_use]
    pub fn read_undo(&self, reply: &HttpReply) -> TurnOutcome {
        reply::undo(&self.options.refusals, reply)
    }
}

/// One app's door to the platform. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct MapPlatform {
    codec: Arc<MapCodec>,
    client: Client,
}

impl fmt::Debug for MapPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapPlatform")
            .field("app_id", &self.codec.app_id)
            .finish_non_exhaustive()
    }
}

impl MapPlatform {
    /// Prepares the door; opens no connection yet.
    ///
    /// # Errors
    /// When the URL, a prefix, the certificates or the key cannot be used. No secret is in the
    /// text.
    pub fn new(credential: &MapCredential, timeouts: Timeouts) -> anyhow::Result<Self> {
        anyhow::ensure!(
            credential.options.prefixes.are_sound(),
            "credential {:?}: a prefix is empty, or /words without a slash at its end",
            credential.name
        );
        let endpoint = Endpoint {
            name: &credential.name,
            base_url: &credential.base_url,
            client_identity: credential.client_identity.as_ref(),
            ca_pem: credential.ca_pem.as_deref(),
        };
        Ok(Self {
            codec: Arc::new(MapCodec::new(credential)),
            client: Client::new(&endpoint, timeouts)?,
        })
    }

    async fn say<T: From<Failure>>(
        &self,
        call: &'static str,
        request: Option<HttpRequest>,
        read: impl FnOnce(&HttpReply) -> T,
    ) -> Said<T> {
        match request {
            Some(request) => exchange(&self.client, request, read).await,
            None => unsent(call, Failure::NotSent("NOT_SIGNED")),
        }
    }
}

impl VoucherPlatform for MapPlatform {
    async fn give(&self, give: &Give) -> Said<GiveOutcome> {
        let request = self.codec.give_request(give, &Stamp::fresh(clock::wall()));
        self.say("give", request, |reply| self.codec.read_give(give, reply))
            .await
    }

    async fn list(&self, query: &PageQuery) -> Said<ListOutcome> {
        let request = self.codec.list_request(query, &Stamp::fresh(clock::wall()));
        self.say("query", request, |reply| self.codec.read_list(query, reply))
            .await
    }

    async fn spend(&self, spend: &Spend) -> Said<TurnOutcome> {
        let request = self
            .codec
            .spend_request(spend, &Stamp::fresh(clock::wall()));
        self.say("spend", request, |reply| {
            self.codec.read_spend(spend, reply)
        })
        .await
    }

    async fn undo(&self, undo: &Undo) -> Said<TurnOutcome> {
        let request = self.codec.undo_request(undo, &Stamp::fresh(clock::wall()));
        self.say("undo", request, |reply| self.codec.read_undo(reply))
            .await
    }
}
