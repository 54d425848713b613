//! The one HTTP client, and what a broken exchange proves.
//!
//! The defaults of reqwest are wrong here: it has no time limit, follows redirects (a 307 posts the
//! order again, elsewhere), takes a proxy from the environment and re-sends on its own. Every
//! request that leaves must be one that an attempt row knows of.
//!
//! Only two things prove that nothing was sent: the request could not be built, and no connection
//! came about. Under TLS 1.3 a server refuses a client's certificate after the client may already
//! have written the request, so that refusal looks like a lost connection, and counts as one.

use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::{Certificate, Response, Url};

use super::{HttpReply, HttpRequest, Identity, tls};
use crate::domain::outcome::Cause;

/// More than any reply has; what is larger is not read to its end.
const MAX_BODY: usize = 256 * 1024;
/// So much of a reply that was too large is kept for the record.
const KEPT_OF_TOO_LARGE: usize = 4 * 1024;
/// Shorter than servers keep idle connections (nginx 75 s, common balancers 30 s and up): a request
/// on a connection that the server is just closing would be in doubt.
const POOL_IDLE: Duration = Duration::from_secs(20);
const POOL_SIZE: usize = 32;

/// How long an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included. What ends here was not sent.
    pub connect: Duration,
    /// The whole exchange. What ends here is in doubt, so it is the longer one by far.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            total: Duration::from_secs(15),
        }
    }
}

/// Where a provider is, and by what both sides know each other.
#[derive(Debug)]
pub(super) struct Endpoint<'a> {
    /// The credential's name in the configuration.
    pub(super) name: &'a str,
    pub(super) base_url: &'a str,
    pub(super) client_identity: Option<&'a Identity>,
    /// The only authorities that are trusted; without it, those of the system.
    pub(super) ca_pem: Option<&'a [u8]>,
}

/// Why there is no reply to read.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was sent: the payment is another merchant's.
    WrongMerchant,
    /// Nothing was sent.
    NotSent(&'static str),
    /// Something may have been sent.
    Unknown(Cause),
}

impl Failure {
    /// A short stable word, as rows and metrics have it.
    fn code(&self) -> String {
        match self {
            Self::WrongMerchant => "WRONG_MERCHANT".to_owned(),
            Self::NotSent(why) => (*why).to_owned(),
            Self::Unknown(cause) => cause.code(),
        }
    }
}

/// An exchange without a whole reply.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) failure: Failure,
    pub(super) status: Option<u16>,
    pub(super) body: Option<Vec<u8>>,
}

/// Posts to one provider.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub(super) fn new(endpoint: &Endpoint<'_>, timeouts: Timeouts) -> anyhow::Result<Self> {
        // Without it the builder below does not fail, it panics.
        tls::install_crypto();
        let name = endpoint.name;
        let base =
            base(endpoint.base_url).with_context(|| format!("base_url of credential {name:?}"))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that builds a client"
        )]
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("hongbao/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_SIZE);
        if let Some(pem) = endpoint.ca_pem {
            let authorities = Certificate::from_pem_bundle(pem)
                .with_context(|| format!("authorities of credential {name:?}"))?;
            ensure!(
                !authorities.is_empty(),
                "credential {name:?}: no authority in the CA file"
            );
            builder = builder.tls_certs_only(authorities);
        }
        if let Some(identity) = endpoint.client_identity {
            let pem = [&*identity.cert_pem, b"\n", &*identity.key_pem].concat();
            let identity = reqwest::Identity::from_pem(&pem)
                .with_context(|| format!("client certificate of credential {name:?}"))?;
            builder = builder.identity(identity);
        }
        let http = builder.build().with_context(|| {
            format!("credential {name:?}: the certificates or the key cannot be used")
        })?;
        Ok(Self { http, base })
    }

    pub(super) async fn post(&self, request: &HttpRequest) -> Result<HttpReply, Broken> {
        let mut builder = self
            .http
            .post(format!("{}{}", self.base, request.path))
            .header("content-type", request.content_type);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let sent = builder.body(request.body.clone()).send().await;
        let mut response = sent.map_err(|error| broken(request.call, &error, None, None))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(HttpReply { status, body }),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) => return Err(broken(request.call, &error, Some(status), Some(body))),
            }
            if body.len() > MAX_BODY {
                return Err(too_large(request.call, &response, body));
            }
        }
    }
}

fn broken(
    call: &'static str,
    error: &reqwest::Error,
    status: Option<u16>,
    body: Option<Vec<u8>>,
) -> Broken {
    let failure = classify(error);
    // Names hosts and system errors, never a header or a body.
    let error: &dyn std::error::Error = error;
    tracing::warn!(
        call,
        failure = failure.code(),
        error,
        "the exchange with the provider broke"
    );
    Broken {
        failure,
        status,
        body,
    }
}

fn too_large(call: &'static str, response: &Response, mut body: Vec<u8>) -> Broken {
    tracing::warn!(call, limit = MAX_BODY, "the provider's reply is too large");
    body.truncate(KEPT_OF_TOO_LARGE);
    let status = Some(response.status().as_u16());
    Broken {
        failure: Failure::Unknown(Cause::Unparsable),
        status,
        body: Some(body),
    }
}

/// What an error of the transport proves.
fn classify(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        Failure::NotSent("REQUEST_NOT_BUILT")
    } else if error.is_connect() {
        // Before `is_timeout`: a connect that timed out is both.
        Failure::NotSent("CONNECT_FAILED")
    } else if error.is_timeout() {
        Failure::Unknown(Cause::Timeout)
    } else {
        Failure::Unknown(Cause::ConnectionLost)
    }
}

/// The base URL without a slash at its end, if replies from there can be believed.
fn base(raw: &str) -> anyhow::Result<String> {
    let url = Url::parse(raw)?;
    ensure!(
        url.query().is_none() && url.fragment().is_none(),
        "a query or fragment in the URL"
    );
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "a password in the URL"
    );
    let host = url.host_str().context("no host in the URL")?;
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    let believed = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    ensure!(
        believed,
        "only https, or http to loopback: replies are not signed"
    );
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_can_be_believed() {
        for (raw, base_url) in [
            (
                "https://api.mch.weixin.qq.com",
                "https://api.mch.weixin.qq.com",
            ),
            (
                "https://api.mch.weixin.qq.com/",
                "https://api.mch.weixin.qq.com",
            ),
            (
                "https://proxy.example:8443/wx/",
                "https://proxy.example:8443/wx",
            ),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://[::1]:9000/", "http://[::1]:9000"),
            ("http://localhost:9000", "http://localhost:9000"),
        ] {
            assert_eq!(base(raw).unwrap(), base_url, "{raw}");
        }
        for bad in [
            "",
            "api.mch.weixin.qq.com",
            "http://api.mch.weixin.qq.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://a:b@api.mch.weixin.qq.com",
            "https://api.mch.weixin.qq.com/?x=1",
        ] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }
}
