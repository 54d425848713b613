//! Posting a callback: one connection for each try, a limit on the time, and on what is read.
//!
//! A platform that is nothing to us has its own client; it is small because all that counts is
//! whether the receiver said SUCCESS.

use std::io;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Bytes of an answer that are looked at.
const BODY_MAX: usize = 4 * 1024;
const SUCCESS: &str = "SUCCESS";

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// For the counters: the HTTP status and what was said, or why there was no answer.
    pub(super) answer: String,
    pub(super) acknowledged: bool,
}

impl Ended {
    pub(super) fn without_answer(why: &str) -> Self {
        Self {
            answer: why.to_owned(),
            acknowledged: false,
        }
    }

    fn with(status: u16, body: &[u8]) -> Self {
        let said = std::str::from_utf8(body).is_ok_and(is_success);
        let word = if said { SUCCESS } else { "other" };
        Self {
            answer: format!("{status} {word}"),
            acknowledged: status == 200 && said,
        }
    }
}

/// In any case, with blanks around it.
fn is_success(body: &str) -> bool {
    body.trim().eq_ignore_ascii_case(SUCCESS)
}

/// Whether the address is one that [`post`] can try.
pub(in super::super) fn is_reachable(url: &str) -> bool {
    target(url).is_some()
}

/// Host without brackets, and port.
fn target(url: &str) -> Option<(Uri, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let host = uri.host().filter(|host| !host.is_empty())?;
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = uri.port_u16().unwrap_or(80);
    (uri.scheme_str() == Some("http")).then_some((uri, host, port))
}

/// Posts JSON with these headers; never fails, but says how it ended.
pub(super) async fn post(
    url: &str,
    headers: &[(&str, String)],
    body: String,
    limit: Duration,
) -> Ended {
    let Some((uri, host, port)) = target(url) else {
        return Ended::without_answer("no address");
    };
    let exchange = async {
        let stream = TcpStream::connect((host.as_str(), port))
            .await
            .map_err(|_| "no connection")?;
        let request = request(&uri, headers, body).map_err(|_| "no request")?;
        send(stream, request).await.map_err(|_| "broken")
    };
    match tokio::time::timeout(limit, exchange).await {
        Ok(Ok((status, body))) => Ended::with(status, &body),
        Ok(Err(why)) => Ended::without_answer(why),
        Err(_) => Ended::without_answer("timeout"),
    }
}

fn request(
    uri: &Uri,
    headers: &[(&str, String)],
    body: String,
) -> Result<Request<Body>, http::Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::post(path)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Body::from(body))
}

async fn send(stream: TcpStream, request: Request<Body>) -> io::Result<(u16, Vec<u8>)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(request).await;
        let (head, body) = response.map_err(io::Error::other)?.into_parts();
        Ok((head.status.as_u16(), read(body).await?))
    };
    let mut exchange = std::pin::pin!(exchange);
    // The connection may be through before its last bytes have been looked at.
    tokio::select! {
        biased;
        ended = &mut exchange => ended,
        _closed = connection => exchange.await,
    }
}

async fn read(body: Incoming) -> io::Result<Vec<u8>> {
    let bytes = axum::body::to_bytes(Body::new(body), BODY_MAX).await;
    Ok(bytes.map_err(io::Error::other)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_a_word_under_status_200() {
        for body in ["SUCCESS", "success", " Success\n"] {
            assert!(Ended::with(200, body.as_bytes()).acknowledged, "{body}");
            assert!(!Ended::with(201, body.as_bytes()).acknowledged, "{body}");
        }
        for body in ["", "OK", "SUCCESS!", "\"SUCCESS\"", "\u{ff33}UCCESS"] {
            assert!(!Ended::with(200, body.as_bytes()).acknowledged, "{body}");
        }
        assert_eq!(Ended::with(200, b" success").answer, "200 SUCCESS");
        assert_eq!(Ended::with(401, b"").answer, "401 other");
    }

    #[test]
    fn only_plain_http_can_be_reached() {
        for good in [
            "http://127.0.0.1:80/cb",
            "http://[::1]/",
            "http://localhost",
        ] {
            assert!(is_reachable(good), "{good}");
        }
        for bad in [
            "",
            "www.example.com",
            "https://localhost/",
            "http://",
            "ftp://x/",
        ] {
            assert!(!is_reachable(bad), "{bad}");
        }
        assert_eq!(target("http://[::1]:8/").unwrap().1, "::1");
    }

    #[tokio::test]
    async fn nobody_listens() {
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let ended = post(&url, &[], String::new(), Duration::from_secs(5)).await;
        assert_eq!(ended, Ended::without_answer("no connection"));
    }
}
