use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tower::layer::layer_fn;
use tracing::instrument::WithSubscriber as _;

use super::*;
use crate::grpc::layer::testing::{COUNT, Echo, FakeAuth, ask, connect, request, serve};
use crate::telemetry::LogFormat;
use crate::telemetry::tests::{Lines, captured};

struct Server {
    address: SocketAddr,
    metrics: Metrics,
    lines: Lines,
}

/// All tests run on one thread each, so the subscriber of the thread sees the server's lines.
async fn server() -> (Server, tracing::subscriber::DefaultGuard) {
    let (dispatch, lines) = captured(LogFormat::Json, "info");
    let guard = tracing::dispatcher::set_default(&dispatch);
    let metrics = Metrics::new(["hongbao.test.Echo/Say", "hongbao.test.Echo/Count"]).unwrap();
    let trace = TraceLayer::new(metrics.clone(), || "made-here".to_owned());
    let address = serve(
        Echo::default(),
        layer_fn(move |echo| trace.layer(FakeAuth(echo))),
    )
    .await;
    (
        Server {
            address,
            metrics,
            lines,
        },
        guard,
    )
}

impl Server {
    fn counted(&self, method: &str, code: &str) -> bool {
        let labels = format!(r#"rpc_method="{method}",rpc_response_status_code="{code}""#);
        self.metrics
            .render()
            .lines()
            .any(|line| line.contains("_count") && line.contains(&labels) && line.ends_with(" 1"))
    }

    /// The access lines; the last call may still be on its way to the log.
    async fn access_lines(&self, count: usize) -> Vec<Value> {
        for _ in 0..100 {
            let lines: Vec<Value> = self
                .lines
                .json()
                .into_iter()
                .filter(|line| line["message"] == "call")
                .collect();
            if lines.len() >= count {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} calls are not in\n{}", self.lines.text());
    }
}

#[tokio::test]
async fn a_callers_request_id_comes_back_and_is_on_every_line() {
    let (server, _guard) = server().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("x-request-id", "order:1.2_3-4"),
        ("app", "7"),
        ("traceparent", trace),
    ];
    let reply = ask(&server.address, request("id".to_owned(), &headers))
        .await
        .unwrap();
    assert_eq!(
        reply.metadata().get("x-request-id").unwrap(),
        "order:1.2_3-4"
    );
    assert_eq!(reply.into_inner(), "order:1.2_3-4");
    let call = &server.access_lines(1).await[0];
    assert_eq!(
        (&call["status"], &call["app_id"]),
        (&"OK".into(), &7.into())
    );
    assert_eq!(call["method"], "hongbao.test.Echo/Say");
    assert!(call["duration_us"].as_u64().is_some() && call.get("reason").is_none());
    let lines = server.lines.json();
    assert!(
        lines
            .iter()
            .any(|line| line["message"] == "a line from the handler")
    );
    for line in lines {
        assert_eq!(line["request_id"], "order:1.2_3-4");
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    }
    assert!(server.counted("hongbao.test.Echo/Say", "OK"));
}

#[tokio::test]
async fn a_request_id_that_could_write_into_logs_is_replaced() {
    let (server, _guard) = server().await;
    for bad in ["", "two words", "a\"b", &"x".repeat(65)] {
        let reply = ask(
            &server.address,
            request("id".to_owned(), &[("x-request-id", bad)]),
        )
        .await
        .unwrap();
        assert_eq!(reply.into_inner(), "made-here", "{bad:?}");
    }
    let id = random_request_id();
    assert!(is_request_id(&id) && id.len() == 32 && id != random_request_id());
}

#[tokio::test]
async fn a_refusal_is_reported_with_its_reason() {
    let (server, _guard) = server().await;
    let status = ask(&server.address, request("refuse".to_owned(), &[]))
        .await
        .unwrap_err();
    assert_eq!(status.metadata().get("x-request-id").unwrap(), "made-here");
    let call = &server.access_lines(1).await[0];
    assert_eq!(
        (&call["status"], &call["reason"]),
        (&"FAILED_PRECONDITION".into(), &"BUDGET_EXHAUSTED".into())
    );
    assert!(server.counted("hongbao.test.Echo/Say", "FAILED_PRECONDITION"));
}

#[tokio::test]
async fn a_stream_is_reported_at_its_end_with_the_status_of_the_trailers() {
    let (server, _guard) = server().await;
    let mut client = connect(&server.address).await;
    let codec = tonic_prost::ProstCodec::<String, String>::default();
    let reply = client
        .server_streaming(
            request("refuse".to_owned(), &[]),
            COUNT.parse().unwrap(),
            codec,
        )
        .await;
    let mut messages = reply.unwrap().into_inner();
    for _ in 0..3 {
        messages.message().await.unwrap().unwrap();
    }
    assert_eq!(
        messages.message().await.unwrap_err().code(),
        Code::Unavailable
    );
    let call = &server.access_lines(1).await[0];
    assert_eq!(
        (&call["status"], &call["reason"]),
        (&"UNAVAILABLE".into(), &"SHUTTING_DOWN".into())
    );
    assert!(call["duration_us"].as_u64().unwrap() > 300_000, "{call}");
    assert!(server.counted("hongbao.test.Echo/Count", "UNAVAILABLE"));
}

#[tokio::test]
async fn a_caller_that_goes_away_is_reported_once_as_cancelled() {
    let (server, _guard) = server().await;
    let asked = ask(&server.address, request("work 10000".to_owned(), &[]));
    assert!(
        tokio::time::timeout(Duration::from_millis(100), asked)
            .await
            .is_err()
    );
    assert_eq!(server.access_lines(1).await[0]["status"], "CANCELLED");

    let mut client = connect(&server.address).await;
    let codec = tonic_prost::ProstCodec::<String, String>::default();
    let reply = client
        .server_streaming(request(String::new(), &[]), COUNT.parse().unwrap(), codec)
        .await
        .unwrap();
    drop(reply);
    assert_eq!(server.access_lines(2).await[1]["status"], "CANCELLED");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.access_lines(2).await.len(), 2);
}

#[tokio::test]
async fn a_path_that_the_caller_made_up_does_not_become_a_label() {
    let (server, _guard) = server().await;
    let mut client = connect(&server.address).await;
    let codec = tonic_prost::ProstCodec::<String, String>::default();
    let path = "/hongbao.test.Echo/To13800138000".parse().unwrap();
    let status = client
        .unary(request(String::new(), &[]), path, codec)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(server.access_lines(1).await[0]["method"], "_OTHER");
    assert!(server.counted("_OTHER", "UNIMPLEMENTED"));
    assert!(!server.lines.text().contains("13800138000"));
}

#[tokio::test]
async fn a_body_without_a_status_is_unknown_and_not_ok() {
    let (dispatch, lines) = captured(LogFormat::Json, "info");
    async {
        let trace = TraceLayer::new(Metrics::new([]).unwrap(), String::new);
        let empty = tower::service_fn(|_| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
        });
        drop(
            trace
                .layer(empty)
                .call(http::Request::new(Body::default()))
                .await
                .unwrap(),
        );
    }
    .with_subscriber(dispatch)
    .await;
    assert_eq!(lines.json()[0]["status"], "UNKNOWN");
}
