//! The door to receivers of webhooks: the one place from which we connect to where strangers say.
//!
//! It stands inside the network, and whoever names a receiver does not. So nothing but the
//! internet may be reached through it (with a flag, this machine too, for the demo), and what an
//! address is gets asked at the connection itself, where nothing can change any more:
//!
//! - A name is resolved by [`Guard`], which drops every address that is out of reach, and the
//!   client connects to what is left, not to the name. There is no second look-up between the
//!   check and the connection, so a name that leads elsewhere the next time (DNS rebinding) wins
//!   nothing.
//! - An address in the URL is not resolved, so [`ReceiverDoor::post`] judges it before each request,
//!   not only when the URL was taken.
//! - Redirects are not followed, no proxy is taken from the environment, and `Alt-Svc` is not known
//!   to the client.
//! - Connections are kept for a while. The pool finds one by scheme, host and port together, and
//!   only HTTP/1.1 is spoken, so one is never used for another name (as HTTP/2 could, where
//!   a certificate has several). Whatever a name leads to by then, the connection leads to
//!   the address that was judged.
//!
//! It uses reqwest beside `client`, and not through it, because the two want opposite things: there
//! a few known hosts and proof of what was sent, here any host and no harm.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, ClientBuilder, Response};

use super::{Timeouts, tls};
use crate::clock;
use crate::domain::webhook::{EXCERPT_BYTES, Outcome, Reach, ReceiverUrl, excerpt, wait_asked};

/// When so much of a reply has been read, the rest is not.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// Shorter than servers keep idle connections.
const POOL_IDLE: Duration = Duration::from_secs(15);
const POOL_SIZE: usize = 2;

/// How receivers are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverOptions {
    /// How far.
    pub reach: Reach,
    /// Until the connection stands, its name and TLS included; and the whole exchange.
    pub timeouts: Timeouts,
    /// The only authorities that are trusted, as PEM; without it, those of the system.
    pub ca_pem: Option<Vec<u8>>,
}

impl Default for ReceiverOptions {
    fn default() -> Self {
        Self {
            reach: Reach::Internet,
            timeouts: Timeouts {
                connect: Duration::from_secs(2),
                total: Duration::from_secs(5),
            },
            ca_pem: None,
        }
    }
}

/// The addresses of a name, which ends in a dot: it is whole, and nothing is to be appended to it.
pub type Lookup = Arc<dyn Fn(String) -> Looking + Send + Sync>;
/// What it comes to.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// How one try to deliver went.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivered {
    /// What it means.
    pub outcome: Outcome,
    /// The HTTP status, if one came.
    pub http_status: Option<u16>,
    /// How long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The beginning of the reply's body, for people: may be empty, never has control characters.
    pub reply_excerpt: String,
    /// How long it took.
    pub duration: Duration,
}

impl fmt::Debug for Delivered {
    /// Without the excerpt: a receiver may have put into it what we sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivered")
            .field("outcome", &self.outcome)
            .field("http_status", &self.http_status)
            .field("retry_after", &self.retry_after)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

/// Posts to receivers. Cheap to clone; one serves all.
#[derive(Clone, Debug)]
pub struct ReceiverDoor {
    http: reqwest::Client,
    reach: Reach,
}

impl ReceiverDoor {
    /// A door that asks the system for the addresses of names.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub fn new(options: &ReceiverOptions) -> anyhow::Result<Self> {
        Self::with_lookup(options, Arc::new(system_lookup))
    }

    /// A door that asks `lookup` instead. Whatever it says is judged alike.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub fn with_lookup(options: &ReceiverOptions, lookup: Lookup) -> anyhow::Result<Self> {
        Self::built(options, lookup, |builder| builder)
    }

    /// `adjust` is for tests that bind the near end of connections.
    fn built(
        options: &ReceiverOptions,
        lookup: Lookup,
        adjust: fn(ClientBuilder) -> ClientBuilder,
    ) -> anyhow::Result<Self> {
        // Without it the builder below does not fail, it panics.
        tls::install_crypto();
        let reach = options.reach;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that builds a client for receivers"
        )]
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("hongbao/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Guard { reach, lookup })
            .https_only(!reach.has_loopback())
            .connect_timeout(options.timeouts.connect)
            .timeout(options.timeouts.total)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_SIZE);
        if let Some(pem) = &options.ca_pem {
            let authorities =
                Certificate::from_pem_bundle(pem).context("the authorities of receivers")?;
            ensure!(
                !authorities.is_empty(),
                "no authority in the CA file of receivers"
            );
            builder = builder.tls_certs_only(authorities);
        }
        let http = adjust(builder)
            .build()
            .context("the HTTP client for receivers")?;
        Ok(Self { http, reach })
    }

    /// Posts once. The head of the reply decides: once a 2xx has come, the delivery is done,
    /// whatever becomes of the rest of the reply, which is evidence and no more.
    ///
    /// The headers are ours, never a receiver's wish: a `host` among them would be obeyed.
    pub async fn post(
        &self,
        url: &ReceiverUrl,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Delivered {
        let begun = clock::monotonic();
        let mut delivered = self.exchange(url, headers, body).await;
        delivered.duration = begun.elapsed();
        delivered
    }

    async fn exchange(
        &self,
        url: &ReceiverUrl,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Delivered {
        // Addresses in URLs never come to the guard; and rules may have become stricter.
        if !url.is_within(self.reach) {
            tracing::warn!(%url, "a receiver is out of reach");
            return without_reply(Outcome::AddressRefused);
        }
        let mut request = self.http.post(url.as_url().clone()).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        match request.send().await {
            Ok(response) => replied(response).await,
            Err(error) => {
                let outcome = outcome_of(&error);
                // It would show the whole URL.
                let error = error.without_url();
                let error: &dyn Error = &error;
                tracing::debug!(%url, outcome = &*outcome.code(), error, "a delivery broke");
                without_reply(outcome)
            }
        }
    }
}

async fn replied(mut response: Response) -> Delivered {
    let status = response.status().as_u16();
    let asked = response.headers().get("retry-after");
    let retry_after = asked
        .and_then(|header| header.to_str().ok())
        .and_then(|header| wait_asked(status, header));
    Delivered {
        outcome: Outcome::of_status(status),
        http_status: Some(status),
        retry_after,
        reply_excerpt: excerpt(&beginning(&mut response).await),
        duration: Duration::ZERO,
    }
}

/// The beginning of a reply's body, as far as it comes in time. A short one is read to its end, so
/// that its connection can be used again; the connection of a long one is closed.
async fn beginning(response: &mut Response) -> Vec<u8> {
    let (mut kept, mut read) = (Vec::new(), 0_usize);
    while let Ok(Some(chunk)) = response.chunk().await {
        read = read.saturating_add(chunk.len());
        let room = EXCERPT_BYTES.saturating_sub(kept.len());
        kept.extend(chunk.iter().take(room));
        if read >= REPLY_BYTES_MAX {
            break;
        }
    }
    kept
}

fn without_reply(outcome: Outcome) -> Delivered {
    Delivered {
        outcome,
        http_status: None,
        retry_after: None,
        reply_excerpt: String::new(),
        duration: Duration::ZERO,
    }
}

/// What an error of the transport means. The order matters: an error of a connection can be a
/// time-out as well, and our own is at the bottom of what the client makes of it.
fn outcome_of(error: &reqwest::Error) -> Outcome {
    if has_cause::<OutOfReach>(error) {
        Outcome::AddressRefused
    } else if error.is_builder() {
        Outcome::NotSent
    } else if error.is_dns() {
        Outcome::NameNotFound
    } else if has_cause::<rustls::Error>(error) {
        Outcome::TlsFailed
    } else if error.is_connect() {
        Outcome::ConnectionFailed
    } else if error.is_timeout() {
        Outcome::Timeout
    } else {
        Outcome::ConnectionLost
    }
}

/// Whether an error of this kind is at the bottom of another. An `io::Error` passes over the
/// error that it was made of, hence the look into it.
fn has_cause<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    let below: Option<&(dyn Error + 'static)> = match inner {
        Some(inner) => Some(inner),
        None => error.source(),
    };
    error.is::<E>() || below.is_some_and(has_cause::<E>)
}

/// Gives the client the addresses of a name that it may connect to.
struct Guard {
    reach: Reach,
    lookup: Lookup,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, name) = (self.reach, name.as_str().to_owned());
        // Only this machine may say what this machine is.
        let looking = if name == "localhost" {
            Box::pin(async { Ok(LOOPBACK.to_vec()) })
        } else {
            (self.lookup)(format!("{name}."))
        };
        Box::pin(async move {
            let found = looking.await?;
            let addresses = admitted(&found, reach);
            if addresses.is_empty() && !found.is_empty() {
                tracing::warn!(name, ?found, "a receiver's name leads out of reach");
                return Err(OutOfReach.into());
            }
            if addresses.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// The addresses of a name that may be connected to. Port 0 stands for the URL's own, so that no
/// look-up can choose another.
fn admitted(found: &[IpAddr], reach: Reach) -> Vec<SocketAddr> {
    found
        .iter()
        .filter(|address| reach.admits(**address))
        .map(|address| SocketAddr::new(*address, 0))
        .collect()
}

/// All that a name leads to lies where the service must not reach.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to addresses inside a network alone")]
struct OutOfReach;

/// The system's own look-up. The dot at the end of the name keeps it from trying the name inside
/// our own domains first, as the search list of a container in Kubernetes has it.
fn system_lookup(name: String) -> Looking {
    Box::pin(async move {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    })
}

#[cfg(test)]
mod tests;
