//! All layers in their order, as the server has them.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::Value;
use tokio_util::task::TaskTracker;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::layer::layer_fn;

use super::testing::{Echo, FakeAuth, ask, request};
use super::*;
use crate::telemetry::tests::captured;
use crate::telemetry::{LogFormat, Metrics};

async fn serve_all(metrics: &Metrics) -> SocketAddr {
    let patience = Duration::from_millis(200);
    let (one, six) = (NonZeroU32::new(1).unwrap(), NonZeroU32::new(6).unwrap());
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_service_status("", tonic_health::ServingStatus::Serving)
        .await;
    let server = Server::builder()
        .layer(TraceLayer::new(metrics.clone(), trace::random_request_id))
        .layer(DeadlineLayer::new(TaskTracker::new(), patience, patience))
        .layer(layer_fn(FakeAuth))
        .layer(RateLimitLayer::new(one, six, metrics.clone()))
        .add_service(Echo::default())
        .add_service(health);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

/// What the access log says, as (request id, status, reason).
fn access(lines: &[Value]) -> Vec<(&str, &str, &str)> {
    fn text<'a>(line: &'a Value, key: &str) -> &'a str {
        line[key].as_str().unwrap_or("")
    }
    let calls = lines
        .iter()
        .filter(|line| line["message"] == "call" && line["app_id"] == 7);
    calls
        .map(|c| (text(c, "request_id"), text(c, "status"), text(c, "reason")))
        .collect()
}

#[tokio::test]
async fn whatever_a_layer_decides_is_named_logged_and_counted() {
    let (dispatch, lines) = captured(LogFormat::Json, "info");
    let _guard = tracing::dispatcher::set_default(&dispatch);
    let metrics = Metrics::new(["hongbao.test.Echo/Say"]).unwrap();
    let address = serve_all(&metrics).await;
    let texts = [
        "hello",
        "refuse",
        "panic",
        "work 5000",
        "hello",
        "hello",
        "hello",
    ];
    for (text, id) in texts.into_iter().zip(["1", "2", "3", "4", "5", "6", "7"]) {
        let headers = [("app", "7"), ("x-request-id", id)];
        let _ = ask(&address, request(text.to_owned(), &headers)).await;
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut probe = HealthClient::new(endpoint.connect().await.unwrap());
    for _ in 0..10 {
        probe
            .check(request(HealthCheckRequest::default(), &[("app", "7")]))
            .await
            .unwrap();
    }

    let lines = lines.json();
    let expected = [
        ("1", "OK", ""),
        ("2", "FAILED_PRECONDITION", "BUDGET_EXHAUSTED"),
        ("3", "INTERNAL", "INTERNAL"),
        ("4", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        ("5", "OK", ""),
        ("6", "OK", ""),
        ("7", "RESOURCE_EXHAUSTED", "RATE_LIMITED"),
    ];
    assert_eq!(access(&lines), expected);
    // The handler runs in a task of its own, and its lines still belong to the call.
    let from_handler = lines
        .iter()
        .filter(|line| line["message"] == "a line from the handler");
    let ids: Vec<_> = from_handler
        .map(|line| line["request_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "6"]);
    assert!(lines.iter().all(|line| line["trace_id"].is_string()));
    let page = metrics.render();
    for (_, code, _) in expected {
        assert!(
            page.contains(&format!(r#"rpc_response_status_code="{code}""#)),
            "{code}\n{page}"
        );
    }
}
