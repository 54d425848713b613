//! What can be seen from outside: log lines, traces and metrics.
//!
//! One `tracing` subscriber feeds two readers. [`log`] writes one line per event to stdout or
//! stderr, with the ids of the call that it belongs to. OpenTelemetry turns the same spans into
//! traces, and sends them over OTLP only where an endpoint is configured: a newcomer's first run
//! must not dial out. Trace ids exist in both cases, so that a line can be found by the id that the
//! caller logged. [`metrics`] stands on its own and does not go through `tracing`.
//!
//! Nothing here ever sees a request body. A panic is reported by its place and, only if it is a
//! literal in the source, by its text: a formatted panic may carry a phone number.

pub mod log;
pub mod metrics;
pub mod propagation;

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry};

pub use log::LogFormat;
pub use metrics::Metrics;
pub use propagation::{link_span_to, traceparent_of_current_span};

/// How this process reports on itself.
#[derive(Clone, Debug)]
pub struct Settings {
    pub log_format: LogFormat,
    /// `serve` writes to stdout, where a cluster collects lines; commands that print a result there
    /// log to stderr.
    pub log_output: LogOutput,
    /// Directives of `tracing_subscriber::EnvFilter`, e.g. `info,sqlx=warn`.
    pub log_filter: String,
    /// Where traces go by OTLP/gRPC; `None` leaves it to `OTEL_EXPORTER_OTLP_ENDPOINT`, and without
    /// that to nobody.
    pub otlp_endpoint: Option<String>,
    /// Tells replicas apart, e.g. the pod name.
    pub service_instance: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogOutput {
    #[default]
    Stdout,
    Stderr,
}

/// Keeps the trace pipeline alive; shut it down last, when the last span has ended.
#[derive(Debug)]
#[must_use = "spans that were not sent are lost without a shutdown"]
pub struct Guard {
    provider: SdkTracerProvider,
}

impl Guard {
    /// Sends what is buffered, for at most `bound`. A collector that does not answer must not hold
    /// up the exit.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the end of the drain: what it waits for has ended, and this has a bound"
    )]
    pub async fn shutdown(self, bound: Duration) {
        let provider = self.provider;
        // The flush blocks its thread; on a runtime with one thread it would wait for itself.
        let flush = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(bound));
        match tokio::time::timeout(bound, flush).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans may not have been sent"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last spans may not have been sent in time"),
        }
    }
}

/// Installs the subscriber of this process, once, inside a tokio runtime (the OTLP channel needs
/// one).
pub fn init(settings: &Settings) -> anyhow::Result<Guard> {
    let provider = tracer_provider(settings)?;
    let writer = match settings.log_output {
        LogOutput::Stdout => BoxMakeWriter::new(std::io::stdout),
        LogOutput::Stderr => BoxMakeWriter::new(std::io::stderr),
    };
    subscriber(settings, writer, &provider)?
        .try_init()
        .context("a tracing subscriber is already installed")?;
    report_panics();
    Ok(Guard { provider })
}

/// The whole pipeline without the global switch, so that a test can have its own.
pub(crate) fn subscriber(
    settings: &Settings,
    writer: BoxMakeWriter,
    provider: &SdkTracerProvider,
) -> anyhow::Result<impl tracing::Subscriber + Send + Sync + use<>> {
    let filter = EnvFilter::builder()
        .parse(&settings.log_filter)
        .with_context(|| format!("log filter {:?}", settings.log_filter))?;
    // Only our own spans become traces. Spans of h2 and tonic would include those of the exporter,
    // and each export would then cause the next one.
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("hongbao"))
        .with_target(false)
        .with_threads(false)
        .with_location(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(log::is_our_span));
    Ok(Registry::default()
        .with(log::Gate::new(filter))
        .with(traces)
        .with(log::LogLayer::new(settings.log_format, writer)))
}

fn tracer_provider(settings: &Settings) -> anyhow::Result<SdkTracerProvider> {
    let builder = SdkTracerProvider::builder().with_resource(resource(&settings.service_instance));
    if settings.otlp_endpoint.is_none() && !endpoint_in_environment() {
        // Ids without recording: log lines and stored traceparents still tell calls apart.
        let ids_only = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        return Ok(builder.with_sampler(ids_only).build());
    }
    let mut exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic();
    if let Some(endpoint) = &settings.otlp_endpoint {
        exporter = exporter.with_endpoint(endpoint);
    }
    let exporter = exporter.build().context("the OTLP trace exporter")?;
    // The sampler is the SDK's: parent-based, everything that has no parent, or what
    // OTEL_TRACES_SAMPLER says.
    Ok(builder.with_batch_exporter(exporter).build())
}

fn endpoint_in_environment() -> bool {
    [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ]
    .iter()
    .any(|name| is_set(name))
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn resource(instance: &str) -> Resource {
    let mut builder = Resource::builder().with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance.to_owned()),
    ]);
    if !is_set("OTEL_SERVICE_NAME") {
        builder = builder.with_service_name("hongbao");
    }
    builder.build()
}

/// Makes a panic one structured line, inside the span of the call where it happened.
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info
            .payload()
            .downcast_ref::<&'static str>()
            .copied()
            .unwrap_or("(text withheld)");
        tracing::error!(place, text, "a thread panicked");
    }));
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests run in real time, and end with their runtime"
)]
pub(crate) mod tests;
