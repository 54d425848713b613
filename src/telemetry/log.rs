//! Log lines: one per event, with the ids of the call on every one of them.
//!
//! The stock formatter of `tracing-subscriber` nests span fields and knows no trace ids. Ours
//! writes a flat line: time, level, target, message, the fields of the event, then those of the
//! enclosing spans, then `trace_id` and `span_id`. A span field with a dot in its name is an
//! attribute for traces and stays out of the lines.
//!
//! `Gate` filters. It lets our own spans pass at every log level: under a filter of `warn` the
//! stock filter would switch the spans off, and a warning would lose its request id when it is
//! needed most.

use std::fmt;
use std::io::Write as _;

use opentelemetry::trace::TraceContextExt as _;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// The shape of a line.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object, for a collector.
    #[default]
    Json,
    /// Plain text, for a person at a terminal.
    Pretty,
}

/// Spans of this crate that carry a call or a dispatch.
pub(super) fn is_our_span(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    metadata.is_span()
        && *metadata.level() <= Level::INFO
        && (target == "hongbao" || target.starts_with("hongbao::"))
}

/// The log filter, with a free pass for our own spans.
#[derive(Debug)]
pub(super) struct Gate(EnvFilter);

impl Gate {
    pub(super) fn new(filter: EnvFilter) -> Self {
        Self(filter)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Gate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = Layer::<S>::register_callsite(&self.0, metadata);
        if is_our_span(metadata) {
            Interest::always()
        } else {
            interest
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, ctx: Context<'_, S>) -> bool {
        is_our_span(metadata) || Layer::<S>::enabled(&self.0, metadata, ctx)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&self.0).map(|level| level.max(LevelFilter::INFO))
    }

    // The rest serves directives that name spans and their fields.
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        Layer::<S>::on_new_span(&self.0, attributes, id, ctx);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        Layer::<S>::on_record(&self.0, id, values, ctx);
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        Layer::<S>::on_enter(&self.0, id, ctx);
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        Layer::<S>::on_exit(&self.0, id, ctx);
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        Layer::<S>::on_close(&self.0, id, ctx);
    }
}

/// Writes the lines.
pub(super) struct LogLayer {
    format: LogFormat,
    writer: BoxMakeWriter,
}

impl LogLayer {
    pub(super) fn new(format: LogFormat, writer: BoxMakeWriter) -> Self {
        Self { format, writer }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_missing(outer);
            }
        }
        fields.add_trace_ids();
        let mut line = match self.format {
            LogFormat::Json => json(event.metadata(), fields),
            LogFormat::Pretty => text(event.metadata(), fields),
        };
        line.push('\n');
        // One write per line keeps lines whole; a closed pipe is no reason to stop paying.
        let _ = self
            .writer
            .make_writer_for(event.metadata())
            .write_all(line.as_bytes());
    }
}

/// Named values in the order they were given.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn put(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes what the enclosing span says, where the inner one said nothing itself.
    fn add_missing(&mut self, outer: &Fields) {
        for (name, value) in &outer.0 {
            if !name.contains('.') && !self.0.iter().any(|(known, _)| known == name) {
                self.0.push((*name, value.clone()));
            }
        }
    }

    /// Entering a span makes it the current one of OpenTelemetry, too; so the ids are at hand.
    fn add_trace_ids(&mut self) {
        let context = opentelemetry::Context::current();
        let span = context.span();
        let ids = span.span_context();
        if ids.is_valid() {
            self.put("trace_id", ids.trace_id().to_string().into());
            self.put("span_id", ids.span_id().to_string().into());
        }
    }

    fn take_message(&mut self) -> String {
        let position = self.0.iter().position(|(name, _)| *name == "message");
        match position.map(|at| self.0.remove(at)) {
            Some((_, Value::String(message))) => message,
            Some((_, other)) => other.to_string(),
            None => String::new(),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }
}

/// A line says when it was written, whatever the business clock of a test says.
fn now() -> String {
    crate::clock::wall().to_string()
}

fn json(metadata: &Metadata<'_>, mut fields: Fields) -> String {
    let mut head: Vec<(&str, Value)> = vec![
        ("timestamp", now().into()),
        ("level", metadata.level().as_str().into()),
        ("target", metadata.target().into()),
        ("message", fields.take_message().into()),
    ];
    head.append(&mut fields.0);
    let mut line = Vec::new();
    // Writing strings and numbers to memory cannot fail; if it did, an empty line says so.
    let _ = serde::Serializer::collect_map(&mut serde_json::Serializer::new(&mut line), head);
    String::from_utf8(line).unwrap_or_default()
}

fn text(metadata: &Metadata<'_>, mut fields: Fields) -> String {
    let message: String = fields.take_message().chars().flat_map(visible).collect();
    let mut line = format!(
        "{} {:>5} {}: {message}",
        now(),
        metadata.level().as_str(),
        metadata.target()
    );
    for (name, value) in fields.0 {
        // JSON spelling quotes and escapes, so that a value cannot forge a line.
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

fn visible(c: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = if c.is_control() {
        (None, Some(c.escape_default()))
    } else {
        (Some(c), None)
    };
    plain.into_iter().chain(escaped.into_iter().flatten())
}
