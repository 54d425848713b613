//! A receiver of posts on this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use hongbao::signing::webhook::{Headers, Secret, verify};

/// One post, as it came.
#[derive(Clone, Debug)]
pub struct Post {
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// When it came.
    pub at: std::time::Instant,
}

impl Post {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn verified(&self, secret: &str) -> bool {
        let headers = Headers {
            id: self.header("webhook-id"),
            timestamp: self.header("webhook-timestamp"),
            signature: self.header("webhook-signature"),
        };
        let now = hongbao::clock::wall().0 / 1_000_000;
        let secret = Secret::parse(secret).unwrap();
        verify(&secret, headers, &self.body, now, Duration::from_secs(300)).is_ok()
    }
}

/// How a receiver answers its nth post: status, body, and how long it takes.
pub type Answer = fn(usize) -> (u16, &'static str, u64);

#[derive(Clone)]
pub struct Receiver {
    posts: Arc<Mutex<Vec<Post>>>,
    answer: Arc<Mutex<Answer>>,
    serving: Arc<Mutex<Option<tokio::task::JoinHandle<()>>>>,
    address: SocketAddr,
}

impl Receiver {
    pub async fn start(answer: Answer) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let receiver = Self {
            serving: Arc::default(),
            posts: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
            address: listener.local_addr().unwrap(),
        };
        receiver.serve(listener);
        receiver
    }

    fn serve(&self, listener: tokio::net::TcpListener) {
        let router = axum::Router::new().fallback(take).with_state(self.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        *self.serving.lock().unwrap() = Some(serving);
    }

    /// From now on nobody listens there.
    pub fn dies(&self) {
        if let Some(serving) = self.serving.lock().unwrap().take() {
            serving.abort();
        }
    }

    /// It listens again, at the same address.
    pub async fn comes_back(&self) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.serve(socket.listen(1_024).unwrap());
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook?token=secret", self.address)
    }

    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    /// Waits for the first post of a type.
    pub async fn of(&self, kind: &str) -> Post {
        for _ in 0..1_000 {
            let posts = self.posts();
            if let Some(post) = posts.iter().find(|post| post.json()["type"] == kind) {
                return post.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no {kind}: {:?}", self.posts());
    }

    /// Waits for so many posts.
    pub async fn posted(&self, count: usize) -> Vec<Post> {
        for _ in 0..1_000 {
            if self.posts().len() >= count {
                return self.posts();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} of {count} posts", self.posts().len());
    }
}

async fn take(State(to): State<Receiver>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)));
    let post = Post {
        headers: headers.collect(),
        body: body.to_vec(),
        at: std::time::Instant::now(),
    };
    let nth = {
        let mut posts = to.posts.lock().unwrap();
        posts.push(post);
        posts.len()
    };
    let answer = *to.answer.lock().unwrap();
    let (status, said, pause_ms) = answer(nth);
    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    (StatusCode::from_u16(status).unwrap(), said.to_owned())
}

pub fn ok(_: usize) -> (u16, &'static str, u64) {
    (204, "", 0)
}
