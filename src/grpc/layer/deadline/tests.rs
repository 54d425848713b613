use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Instant as StdInstant;

use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;
use tracing::instrument::WithSubscriber as _;

use super::*;
use crate::grpc::layer::testing::{COUNT, Echo, SAY, ask, connect, request, serve};
use crate::telemetry::LogFormat;
use crate::telemetry::tests::captured;

const MAX: Duration = Duration::from_millis(800);

async fn server() -> (SocketAddr, Echo, TaskTracker) {
    let echo = Echo::default();
    let tracker = TaskTracker::new();
    let layer = DeadlineLayer::new(tracker.clone(), Duration::from_millis(400), MAX);
    (serve(echo.clone(), layer).await, echo, tracker)
}

/// Waits for all works, as shutdown does.
async fn drain(tracker: &TaskTracker) {
    tracker.close();
    tokio::time::timeout(Duration::from_secs(10), tracker.wait()).await.unwrap();
}

fn assert_deadline(status: &Status) {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("DEADLINE_EXCEEDED", "hongbao"));
}

/// Without tonic's client-side timer, as clients in other languages have it: the server alone decides.
fn with_timeout(text: &str, timeout: &str) -> Request<String> {
    request(text.to_owned(), &[("grpc-timeout", timeout)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_deadline_exceeded_and_the_work_goes_on() {
    let (server, echo, tracker) = server().await;
    // tonic's client starts its own timer from set_timeout only, so these see what the server says.
    for timeout in ["1m", "5m", "20m", "100m", "500000u", "1S", "99999999H"] {
        assert_deadline(&ask(&server, with_timeout("work 1000", timeout)).await.unwrap_err());
    }
    drain(&tracker).await;
    assert_eq!(echo.finished.load(Ordering::SeqCst), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_once_all_see_deadline_exceeded() {
    let (server, echo, tracker) = server().await;
    let client = connect(&server).await;
    for (timeout, own_timer) in [(250, true), (250, false), (40, false), (4, false), (1, false)] {
        let calls = (0..200).map(|_| {
            let mut client = client.clone();
            let mut call = with_timeout("work 500", &format!("{timeout}m"));
            if own_timer {
                // The harder race: a Rust client that gives up by itself, with CANCELLED.
                call = Request::new("work 500".to_owned());
                call.set_timeout(Duration::from_millis(timeout));
            }
            async move {
                client.ready().await.unwrap();
                client.unary(call, SAY.parse().unwrap(), ProstCodec::<String, String>::default()).await
            }
        });
        let codes: Vec<Code> = futures::future::join_all(calls).await.into_iter().map(|r| r.unwrap_err().code()).collect();
        let won = codes.iter().filter(|code| **code == Code::DeadlineExceeded).count();
        assert_eq!(won, 200, "at {timeout} ms, own timer {own_timer}: {codes:?}");
    }
    drain(&tracker).await;
    assert_eq!(echo.finished.load(Ordering::SeqCst), 1000);
}

#[tokio::test]
async fn a_client_that_cancels_does_not_stop_the_work() {
    let (server, echo, tracker) = server().await;
    let asked = ask(&server, request("work 300".to_owned(), &[]));
    assert!(tokio::time::timeout(Duration::from_millis(100), asked).await.is_err());
    assert_eq!((echo.finished.load(Ordering::SeqCst), tracker.len()), (0, 1));
    drain(&tracker).await;
    assert_eq!(echo.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_caller_without_a_deadline_gets_the_default_and_a_long_one_is_capped() {
    let (server, ..) = server().await;
    for (timeout, expected) in [(None, 300..=350), (Some("10S"), 700..=750), (Some("40m"), 1..=30), (Some("x"), 300..=350)] {
        let headers: Vec<_> = timeout.map(|t| ("grpc-timeout", t)).into_iter().collect();
        let left = ask(&server, request("deadline".to_owned(), &headers)).await.unwrap().into_inner();
        assert!(expected.contains(&left.parse::<u128>().unwrap()), "{timeout:?}: {left}");
    }
    let started = StdInstant::now();
    assert_deadline(&ask(&server, request("work 5000".to_owned(), &[])).await.unwrap_err());
    assert!(started.elapsed() < MAX);
}

#[tokio::test]
async fn a_deadline_that_has_passed_starts_no_work() {
    let (server, _, tracker) = server().await;
    assert_deadline(&ask(&server, with_timeout("work 1", "0n")).await.unwrap_err());
    assert!(tracker.is_empty());
}

#[tokio::test]
async fn a_panic_is_internal_and_its_text_stays_here() {
    let (dispatch, lines) = captured(LogFormat::Json, "error");
    let tracker = TaskTracker::new();
    let layer = DeadlineLayer::new(tracker, MAX, MAX);
    async {
        let server = serve(Echo::default(), layer).with_current_subscriber().await;
        let _guard = tracing::dispatcher::set_default(&dispatch);
        let status = ask(&server, request("panic".to_owned(), &[])).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
        assert!(!status.message().contains("13800138000"));
        // The connection and the server live on.
        assert_eq!(ask(&server, request("hello".to_owned(), &[])).await.unwrap().into_inner(), "hello");
    }
    .await;
    let lines = lines.json();
    assert_eq!((lines.len(), &lines[0]["level"]), (1, &"ERROR".into()), "{lines:?}");
}

#[tokio::test]
async fn a_stream_outlives_the_deadline_of_its_headers() {
    let (server, ..) = server().await;
    let mut client = connect(&server).await;
    let codec = ProstCodec::<String, String>::default();
    let reply = client.server_streaming(with_timeout("", "100m"), COUNT.parse().unwrap(), codec).await;
    let mut messages = reply.unwrap().into_inner();
    let mut seen = Vec::new();
    while let Some(message) = messages.message().await.unwrap() {
        seen.push(message);
    }
    assert_eq!(seen, ["0", "1", "2"]);
}

#[test]
fn timeouts_are_read_as_the_protocol_spells_them() {
    let parse = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().unwrap());
        grpc_timeout(&headers)
    };
    assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
    assert_eq!(parse("3M"), Some(Duration::from_secs(180)));
    assert_eq!(parse("4S"), Some(Duration::from_secs(4)));
    assert_eq!(parse("5m"), Some(Duration::from_millis(5)));
    assert_eq!(parse("6u"), Some(Duration::from_micros(6)));
    assert_eq!(parse("7n"), Some(Duration::from_nanos(7)));
    for bad in ["", "m", "5", "5s", "+5m", "-5m", "123456789n", "1.5S", "5 m"] {
        assert_eq!(parse(bad), None, "{bad:?}");
    }
}
