use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::admin::{AdminState, Version, router};
use super::*;
use crate::telemetry::Metrics;

const QUICK: Limits = Limits {
    connections_max: 2,
    header_wait_max: Duration::from_millis(300),
    buffer_bytes_max: 16 * 1024,
    reply_wait_max: Duration::from_millis(300),
    drain_wait_max: Duration::from_millis(500),
};

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    tracker: TaskTracker,
    server: JoinHandle<()>,
}

async fn run(app: Router) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let server = tokio::spawn(serve(listener, app, QUICK, tracker.clone(), stop.clone()));
    Running {
        address,
        stop,
        tracker,
        server,
    }
}

/// One request on a connection of its own: status and body.
async fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

#[tokio::test]
async fn the_pages_answer() {
    let metrics = Metrics::new([]).unwrap();
    metrics.rate_limited(7);
    let ready = Arc::new(AtomicBool::new(false));
    let seen = ready.clone();
    let readiness: admin::Readiness = Arc::new(move || {
        let ready = seen.load(Ordering::SeqCst);
        Box::pin(async move {
            if ready {
                Ok(())
            } else {
                Err("migrations pending".to_owned())
            }
        })
    });
    let server = run(router(AdminState {
        metrics,
        readiness,
        version: Version::default(),
    }))
    .await;
    assert_eq!(
        fetch(server.address, "/livez").await,
        (200, "ok\n".to_owned())
    );
    assert_eq!(
        fetch(server.address, "/readyz").await,
        (503, "migrations pending\n".to_owned())
    );
    ready.store(true, Ordering::SeqCst);
    assert_eq!(
        fetch(server.address, "/readyz").await,
        (200, "ok\n".to_owned())
    );
    let (status, page) = fetch(server.address, "/metrics").await;
    assert!(
        status == 200 && page.contains("hongbao_rate_limited_total"),
        "{page}"
    );
    let (status, page) = fetch(server.address, "/version").await;
    assert!(
        status == 200 && page.contains(env!("CARGO_PKG_VERSION")),
        "{page}"
    );
    assert_eq!(fetch(server.address, "/nothing").await.0, 404);
}

#[tokio::test]
async fn a_readiness_that_hangs_is_not_ready() {
    let readiness: admin::Readiness = Arc::new(|| Box::pin(std::future::pending()));
    let state = AdminState {
        metrics: Metrics::new([]).unwrap(),
        readiness,
        version: Version::default(),
    };
    let started = crate::clock::monotonic();
    let response = router(state)
        .oneshot(Request::get("/readyz").body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn silent_connections_give_their_place_back() {
    let server = run(Router::new().route("/", get(|| async { "here" }))).await;
    let _silent = [
        TcpStream::connect(server.address).await.unwrap(),
        TcpStream::connect(server.address).await.unwrap(),
    ];
    let started = crate::clock::monotonic();
    assert_eq!(fetch(server.address, "/").await.0, 200);
    assert!(
        started.elapsed() >= Duration::from_millis(200),
        "both places were taken"
    );
}

#[tokio::test]
async fn a_connection_kept_open_for_nothing_is_closed() {
    let server = run(Router::new().route("/", get(|| async { "here" }))).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let mut reply = String::new();
    let ended = tokio::time::timeout(Duration::from_secs(1), stream.read_to_string(&mut reply));
    ended.await.unwrap().unwrap();
    assert!(reply.ends_with("here"), "{reply}");
}

#[tokio::test]
async fn a_slow_handler_is_answered_for_and_goes_on() {
    let done = Arc::new(AtomicBool::new(false));
    let flag = done.clone();
    let slow = get(move || async move {
        tokio::time::sleep(Duration::from_millis(600)).await;
        flag.store(true, Ordering::SeqCst);
    });
    let server = run(Router::new()
        .route("/slow", slow)
        .route("/panic", get(panicking)))
    .await;
    assert_eq!(fetch(server.address, "/slow").await.0, 503);
    assert!(!done.load(Ordering::SeqCst));
    assert_eq!(fetch(server.address, "/panic").await.0, 500);
    server.tracker.close();
    server.tracker.wait().await;
    assert!(done.load(Ordering::SeqCst));
}

async fn panicking() {
    panic!("on purpose");
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_does_not_wait_for_ever() {
    let server = run(Router::new().route("/", get(|| async { "here" }))).await;
    let _idle = TcpStream::connect(server.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let started = crate::clock::monotonic();
    server.stop.cancel();
    server.server.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(TcpStream::connect(server.address).await.is_err());
}
