//! W3C trace context across the edges of the process and across time.
//!
//! A call arrives with a `traceparent` and becomes a child of its caller. A red packet is sent
//! later, by another task, perhaps another replica: the issuance row keeps the text of
//! [`traceparent_of_current_span`], and the dispatch span is *linked* to it. A link and not a
//! parent, because one dispatch may serve many callers, and because a trace that stays open for a
//! day is of no use.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// `00-<trace id>-<span id>-<flags>` of the span that is entered now, or none outside of any.
pub fn traceparent_of_current_span() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid().then(|| {
        format!(
            "00-{}-{}-{:02x}",
            ids.trace_id(),
            ids.span_id(),
            ids.trace_flags().to_u8()
        )
    })
}

/// Ties `span` to the span that left `traceparent` behind. A text that is not a traceparent is
/// ignored: it came from a caller, and a trace is never worth a failed payment.
pub fn link_span_to(span: &Span, traceparent: &str) {
    if let Some(origin) = parse(&OneHeader(traceparent)) {
        span.add_link(origin);
    }
}

/// Makes `span` a child of the caller's span, if the headers name one. To be called before `span`
/// is entered.
pub fn set_parent_from(span: &Span, headers: &HeaderMap) {
    if let Some(caller) = parse(&Headers(headers)) {
        // Fails only where no trace layer is installed, as in unit tests.
        let _ = span.set_parent(Context::new().with_remote_span_context(caller));
    }
}

fn parse(carrier: &dyn Extractor) -> Option<SpanContext> {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), carrier);
    let ids = context.span().span_context().clone();
    ids.is_valid().then_some(ids)
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct OneHeader<'a>(&'a str);

impl Extractor for OneHeader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}
