//! What a log line and the metrics page look like, and that ids travel.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use serde_json::Value;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::metrics::Job;
use super::*;

/// Keeps what the subscriber writes.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// A subscriber of its own for a test; the lines are read from the second value.
pub(crate) fn captured(log_format: LogFormat, log_filter: &str) -> (tracing::Dispatch, Lines) {
    let settings = Settings {
        log_format,
        log_output: LogOutput::Stderr,
        log_filter: log_filter.to_owned(),
        otlp_endpoint: None,
        service_instance: "test".to_owned(),
    };
    let lines = Lines::default();
    let writer = lines.clone();
    let provider = tracer_provider(&settings).unwrap();
    let subscriber = subscriber(
        &settings,
        BoxMakeWriter::new(move || writer.clone()),
        &provider,
    )
    .unwrap();
    (tracing::Dispatch::new(subscriber), lines)
}

#[test]
fn a_line_carries_the_ids_of_its_call() {
    let (dispatch, lines) = captured(LogFormat::Json, "warn");
    tracing::dispatcher::with_default(&dispatch, || {
        let call = tracing::info_span!(
            "rpc",
            request_id = "r-1",
            app_id = tracing::field::Empty,
            otel.name = "x"
        );
        call.record("app_id", 7);
        let _call = call.enter();
        let _inner = tracing::info_span!("inner", issuance_id = 42).entered();
        tracing::info!("left out by the filter");
        tracing::warn!(attempts = 3, "kept\nwhole");
    });
    let lines = lines.json();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!(line["message"], "kept\nwhole");
    assert_eq!(line["level"], "WARN");
    assert_eq!(
        (&line["request_id"], &line["app_id"]),
        (&"r-1".into(), &7.into())
    );
    assert_eq!(
        (&line["issuance_id"], &line["attempts"]),
        (&42.into(), &3.into())
    );
    assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(line["span_id"].as_str().unwrap().len(), 16);
    assert!(line.get("otel.name").is_none());
}

#[test]
fn a_value_cannot_forge_a_text_line() {
    let (dispatch, lines) = captured(LogFormat::Pretty, "info");
    tracing::dispatcher::with_default(&dispatch, || {
        let _call = tracing::info_span!("rpc", request_id = "r-1").entered();
        tracing::info!(name = "a\nERROR forged", "b\nERROR forged");
    });
    let text = lines.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains(r#"request_id="r-1""#) && text.contains("trace_id="),
        "{text}"
    );
}

#[test]
fn a_wrong_filter_is_an_error_and_not_a_silent_default() {
    let settings = Settings {
        log_format: LogFormat::Json,
        log_output: LogOutput::Stderr,
        log_filter: "info,=,[".to_owned(),
        otlp_endpoint: None,
        service_instance: String::new(),
    };
    let provider = tracer_provider(&settings).unwrap();
    assert!(subscriber(&settings, BoxMakeWriter::new(io::sink), &provider).is_err());
}

#[test]
fn a_call_continues_its_callers_trace_and_hands_it_on() {
    let (dispatch, _) = captured(LogFormat::Json, "off");
    let mut headers = http::HeaderMap::new();
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", caller.parse().unwrap());
    tracing::dispatcher::with_default(&dispatch, || {
        assert_eq!(traceparent_of_current_span(), None);
        let span = tracing::info_span!("rpc");
        propagation::set_parent_from(&span, &headers);
        let _entered = span.enter();
        let ours = traceparent_of_current_span().unwrap();
        assert!(
            ours.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && ours.ends_with("-01"),
            "{ours}"
        );
        assert_ne!(ours, caller);
    });
}

#[test]
fn a_dispatch_is_linked_to_the_call_that_asked_for_it() {
    let exporter = opentelemetry_sdk::trace::InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::with_default(Registry::default().with(traces), || {
        let dispatch = tracing::info_span!("dispatch");
        link_span_to(
            &dispatch,
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        );
        link_span_to(&dispatch, "no traceparent at all");
        dispatch.in_scope(|| ());
    });
    let spans = exporter.get_finished_spans().unwrap();
    let links = &spans[0].links.links;
    assert_eq!(links.len(), 1);
    assert_eq!(
        links[0].span_context.trace_id().to_string(),
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert_ne!(
        spans[0].span_context.trace_id(),
        links[0].span_context.trace_id(),
        "a link, not a parent"
    );
}

#[test]
fn the_page_shows_every_metric_by_its_documented_name() {
    let metrics = Metrics::new(["hongbao.v1.CampaignService/GetCampaign"]).unwrap();
    let second = Duration::from_secs(1);
    metrics.rpc(
        metrics.method_of("/hongbao.v1.CampaignService/GetCampaign"),
        "OK",
        second,
    );
    metrics.rpc(
        metrics.method_of("/made.up/By13800138000"),
        "UNIMPLEMENTED",
        second,
    );
    metrics.transitions("QUEUED", "SENDING", 2);
    metrics.amount_fen("SENT", 500);
    metrics.queue(Job::Send, 3, second);
    metrics.review(1, second);
    metrics.provider_exchange("WECHAT_V2", "send", "ACCEPTED", second);
    metrics.provider_breaker(9, true);
    metrics.open("UNKNOWN", 4, second);
    metrics.rate_limited(7);
    let page = metrics.render();
    for line in [
        r#"rpc_server_call_duration_seconds_count{rpc_method="hongbao.v1.CampaignService/GetCampaign",rpc_response_status_code="OK",rpc_system_name="grpc"} 1"#,
        r#"rpc_server_call_duration_seconds_count{rpc_method="_OTHER",rpc_response_status_code="UNIMPLEMENTED",rpc_system_name="grpc"} 1"#,
        r#"hongbao_issuance_transitions_total{from="QUEUED",to="SENDING"} 2"#,
        r#"hongbao_issuance_amount_fen_total{state="SENT"} 500"#,
        r#"hongbao_queue_depth{job="SEND"} 3"#,
        r#"hongbao_queue_oldest_age_seconds{job="SEND"} 1"#,
        "hongbao_review_depth 1",
        "hongbao_review_oldest_age_seconds 1",
        r#"hongbao_provider_exchange_duration_seconds_count{call="send",outcome="ACCEPTED",protocol="WECHAT_V2"} 1"#,
        r#"hongbao_provider_breaker{account_id="9"} 1"#,
        r#"hongbao_issuance_open{state="UNKNOWN"} 4"#,
        r#"hongbao_issuance_oldest_age_seconds{state="UNKNOWN"} 1"#,
        r#"hongbao_rate_limited_total{app_id="7"} 1"#,
    ] {
        assert!(page.lines().any(|l| l == line), "{line}\nis not in\n{page}");
    }
    for noise in ["otel_scope", "target_info", "13800138000"] {
        assert!(!page.contains(noise), "{noise} in\n{page}");
    }
}

/// Takes what the exporter sends, as the collector of the platform would.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

impl tonic::server::NamedService for Collector {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl tower::Service<http::Request<tonic::body::Body>> for Collector {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let seen = self.0.clone();
        Box::pin(async move {
            // The request is one repeated field of messages; as bytes, the last of them is kept.
            let codec = tonic_prost::ProstCodec::<(), Vec<u8>>::default();
            let keep = tower::service_fn(move |request: tonic::Request<Vec<u8>>| {
                *seen.lock().unwrap() = request.into_inner();
                std::future::ready(Ok(tonic::Response::new(())))
            });
            Ok(tonic::server::Grpc::new(codec).unary(keep, request).await)
        })
    }
}

fn with_endpoint(address: std::net::SocketAddr) -> Settings {
    Settings {
        log_format: LogFormat::Json,
        log_output: LogOutput::Stderr,
        log_filter: "off".to_owned(),
        otlp_endpoint: Some(format!("http://{address}")),
        service_instance: "pod-1".to_owned(),
    }
}

#[tokio::test]
async fn spans_reach_a_collector_before_the_process_ends() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = with_endpoint(listener.local_addr().unwrap());
    let collector = Collector::default();
    let server = tonic::transport::Server::builder().add_service(collector.clone());
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = tokio::spawn(server.serve_with_incoming(incoming));

    let provider = tracer_provider(&settings).unwrap();
    let subscriber = subscriber(&settings, BoxMakeWriter::new(io::sink), &provider).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("rpc", otel.name = "hongbao.test.Echo/Say").in_scope(|| ());
        tracing::info_span!(target: "h2", "not ours").in_scope(|| ());
    });
    Guard { provider }.shutdown(Duration::from_secs(5)).await;
    let sent = String::from_utf8_lossy(&collector.0.lock().unwrap()).into_owned();
    for part in [
        "hongbao.test.Echo/Say",
        "service.name",
        "hongbao",
        "service.instance.id",
        "pod-1",
    ] {
        assert!(sent.contains(part), "{part} is not in {sent:?}");
    }
    assert!(!sent.contains("not ours"));
    server.abort();
}

#[tokio::test]
async fn a_collector_that_does_not_answer_does_not_hold_up_the_exit() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = with_endpoint(silent.local_addr().unwrap());
    let provider = tracer_provider(&settings).unwrap();
    let subscriber = subscriber(&settings, BoxMakeWriter::new(io::sink), &provider).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("rpc").in_scope(|| ());
    });
    let started = crate::clock::monotonic();
    Guard { provider }
        .shutdown(Duration::from_millis(300))
        .await;
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
}
