//! Where callbacks arrive: it answers as it was told to, and keeps what it got.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::DecodePublicKey as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::client::Platform;

/// A callback that came.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) path: String,
    headers: HeaderMap,
    pub(super) body: String,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn timestamp(&self) -> i64 {
        self.header("timestamp").parse().unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn status(&self) -> i64 {
        self.json()["status"].as_i64().unwrap()
    }

    fn text(&self) -> String {
        let pairs = ["businessId", "nonce", "timestamp"].map(|name| (name, self.header(name)));
        Platform::text(&pairs, &self.body)
    }

    /// Whether the platform signed it by MD5.
    pub(super) fn is_md5(&self, secret: &str) -> bool {
        self.header("sign") == Platform::md5(&self.text(), secret)
    }

    /// Whether the platform signed it by RSA.
    pub(super) fn is_rsa(&self, public_pem: &str) -> bool {
        let key = rsa::PublicKey::from_public_key_pem(public_pem).unwrap();
        let padding = rsa::Pkcs1v15Sign::new::<Sha256>();
        let sign = STANDARD.decode(self.header("sign")).unwrap();
        key.verify(padding, &Sha256::digest(self.text()), &sign)
            .is_ok()
    }
}

#[derive(Debug, Default)]
struct Kept {
    got: Vec<Got>,
    answers: VecDeque<(u16, &'static str)>,
}

/// A receiver of callbacks that says SUCCESS unless it was told otherwise.
pub(super) struct Receiver {
    pub(super) url: String,
    kept: Arc<Mutex<Kept>>,
    served: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Gives these answers first, one to each callback.
    pub(super) async fn answering(answers: &[(u16, &'static str)]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kept = Arc::new(Mutex::new(Kept {
            got: Vec::new(),
            answers: answers.iter().copied().collect(),
        }));
        let router = Router::new().fallback(take).with_state(Arc::clone(&kept));
        let served = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { url, kept, served }
    }

    pub(super) async fn start() -> Self {
        Self::answering(&[]).await
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.kept.lock().unwrap().got.clone()
    }

    /// Waits until so many have come.
    pub(super) async fn wait_for(&self, count: usize) -> Vec<Got> {
        let came = async {
            while self.got().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), came).await;
        assert!(waited.is_ok(), "{} of {count} came", self.got().len());
        self.got()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn take(
    State(kept): State<Arc<Mutex<Kept>>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, &'static str) {
    let mut kept = kept.lock().unwrap();
    kept.got.push(Got {
        path: uri.path().to_owned(),
        headers,
        body,
    });
    let (status, text) = kept.answers.pop_front().unwrap_or((200, "SUCCESS"));
    (StatusCode::from_u16(status).unwrap(), text)
}
