//! Every number that this service shows, in one place.
//!
//! | instrument | Prometheus | kind | attributes |
//! |---|---|---|---|
//! | `rpc.server.call.duration` | `rpc_server_call_duration_seconds` | histogram, s | `rpc_system_name`, `rpc_method`, `rpc_response_status_code` |
//! | `hongbao.issuance.transitions` | `hongbao_issuance_transitions_total` | counter | `from`, `to` |
//! | `hongbao.issuance.amount.fen` | `hongbao_issuance_amount_fen_total` | counter, fen | `state` |
//! | `hongbao.issuance.open` | `hongbao_issuance_open` | gauge | `state` |
//! | `hongbao.issuance.oldest_age` | `hongbao_issuance_oldest_age_seconds` | gauge, s | `state` |
//! | `hongbao.voucher.changes` | `hongbao_voucher_changes_total` | counter, vouchers | `state` |
//! | `hongbao.voucher.amount.fen` | `hongbao_voucher_amount_fen_total` | counter, fen | `state` |
//! | `hongbao.voucher.remote.open` | `hongbao_voucher_remote_open` | gauge, calls | `state` |
//! | `hongbao.voucher.remote.oldest_age` | `hongbao_voucher_remote_oldest_age_seconds` | gauge, s | `state` |
//! | `hongbao.voucher.remote.calls` | `hongbao_voucher_remote_calls_total` | counter, calls | `kind`, `state` |
//! | `hongbao.event.placed` | `hongbao_event_placed_total` | counter, events | |
//! | `hongbao.webhook.delivery.duration` | `hongbao_webhook_delivery_duration_seconds` | histogram, s | `outcome` |
//! | `hongbao.webhook.pending` | `hongbao_webhook_pending` | gauge, deliveries | |
//! | `hongbao.webhook.oldest_age` | `hongbao_webhook_oldest_age_seconds` | gauge, s | |
//! | `hongbao.queue.depth` | `hongbao_queue_depth` | gauge | `job` |
//! | `hongbao.queue.oldest_age` | `hongbao_queue_oldest_age_seconds` | gauge, s | `job` |
//! | `hongbao.review.depth` | `hongbao_review_depth` | gauge | |
//! | `hongbao.review.oldest_age` | `hongbao_review_oldest_age_seconds` | gauge, s | |
//! | `hongbao.approval.depth` | `hongbao_approval_depth` | gauge | |
//! | `hongbao.approval.oldest_age` | `hongbao_approval_oldest_age_seconds` | gauge, s | |
//! | `hongbao.provider.exchange.duration` | `hongbao_provider_exchange_duration_seconds` | histogram, s | `protocol`, `call`, `outcome` |
//! | `hongbao.provider.callbacks` | `hongbao_provider_callbacks_total` | counter, callbacks | `outcome` |
//! | `hongbao.provider.breaker` | `hongbao_provider_breaker` | gauge, 1 = open | `account_id` |
//! | `hongbao.money_breaker.tripped` | `hongbao_money_breaker_tripped` | gauge | `scope` |
//! | `hongbao.quota.waits` | `hongbao_quota_waits_total` | counter | `quota` |
//! | `hongbao.rate_limited` | `hongbao_rate_limited_total` | counter | `app_id` |
//!
//! Every attribute has a closed set of values, or an id that an operator made. A caller must not be
//! able to create series: the method is looked up in the list that the server was built with, and
//! anything else is `_OTHER`. Counters start at their first event; gauges are set by a sampler and
//! keep their last value until it comes round again.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, MeterProvider as _};
use opentelemetry::{KeyValue, StringValue, Value};
use opentelemetry_sdk::metrics::SdkMeterProvider;

/// Bounds of the RPC histogram, as the semantic conventions give them; also fits provider
/// exchanges.
const CALL_SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// The key is about to be renamed upstream (to `rpc.status_code`); dashboards follow this line.
const RPC_STATUS: &str = "rpc.response.status_code";
/// Stands for every method that this server does not have.
pub const OTHER_METHOD: &str = "_OTHER";

/// What the dispatcher's queues hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    Send,
    Query,
    Sync,
}

impl Job {
    const fn name(self) -> &'static str {
        match self {
            Self::Send => "SEND",
            Self::Query => "QUERY",
            Self::Sync => "SYNC",
        }
    }
}

/// The instruments. Cloning is cheap and every clone counts into the same registry.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: prometheus::Registry,
    /// Dropping the provider would shut the instruments down.
    _provider: SdkMeterProvider,
    known_methods: HashSet<Arc<str>>,
    rpc: Histogram<f64>,
    transitions: Counter<u64>,
    amount: Counter<u64>,
    vouchers: Counter<u64>,
    voucher_amount: Counter<u64>,
    remote_calls: Counter<u64>,
    remote_open: Gauge<u64>,
    remote_age: Gauge<f64>,
    open: Gauge<u64>,
    open_age: Gauge<f64>,
    queue_depth: Gauge<u64>,
    queue_age: Gauge<f64>,
    review_depth: Gauge<u64>,
    review_age: Gauge<f64>,
    approval_depth: Gauge<u64>,
    money_breakers: Gauge<u64>,
    approval_age: Gauge<f64>,
    exchange: Histogram<f64>,
    events: Counter<u64>,
    callbacks: Counter<u64>,
    webhook: Histogram<f64>,
    webhook_pending: Gauge<u64>,
    webhook_age: Gauge<f64>,
    breaker: Gauge<u64>,
    rate_limited: Counter<u64>,
    quota_waits: Counter<u64>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("known_methods", &self.0.known_methods.len())
            .finish_non_exhaustive()
    }
}

impl Metrics {
    /// `methods` are the methods of the server as `package.Service/Method`.
    pub fn new<'a>(methods: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Self> {
        let registry = prometheus::Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .scope_info_enabled(false)
            .build()?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let meter = provider.meter("hongbao");
        let known_methods = methods.into_iter().map(Arc::from).collect();
        Ok(Self(Arc::new(Inner::new(
            registry,
            provider,
            known_methods,
            &meter,
        ))))
    }

    /// The registry as Prometheus reads it.
    pub fn render(&self) -> String {
        let mut page = String::new();
        if let Err(error) =
            prometheus::TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut page)
        {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        page
    }

    /// The method that a request path names, or [`OTHER_METHOD`]. The path is the caller's text and
    /// must not become a label.
    pub fn method_of(&self, path: &str) -> Arc<str> {
        let known = self.0.known_methods.get(path.trim_start_matches('/'));
        known.cloned().unwrap_or_else(|| Arc::from(OTHER_METHOD))
    }

    /// One finished call; `method` comes from [`Metrics::method_of`], `code` is e.g. `OK`.
    pub fn rpc(&self, method: Arc<str>, code: &'static str, duration: Duration) {
        let attributes = [
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", Value::String(StringValue::from(method))),
            KeyValue::new(RPC_STATUS, code),
        ];
        self.0.rpc.record(duration.as_secs_f64(), &attributes);
    }

    /// `count` issuances went from one state to another in one statement.
    pub fn transitions(&self, from: &'static str, to: &'static str, count: u64) {
        self.0.transitions.add(
            count,
            &[KeyValue::new("from", from), KeyValue::new("to", to)],
        );
    }

    /// Packets that wait for another day, since a quota of the provider is full.
    pub fn quota_waits(&self, quota: &'static str, count: u64) {
        self.0
            .quota_waits
            .add(count, &[KeyValue::new("quota", quota)]);
    }

    /// Money that reached a state.
    pub fn amount_fen(&self, state: &'static str, amount_fen: u64) {
        self.0
            .amount
            .add(amount_fen, &[KeyValue::new("state", state)]);
    }

    /// Vouchers that an order, or their end, brought into a state, and what it moved.
    pub fn vouchers(&self, state: &'static str, count: u64, amount_fen: u64) {
        if count == 0 {
            return;
        }
        let attributes = [KeyValue::new("state", state)];
        self.0.vouchers.add(count, &attributes);
        self.0.voucher_amount.add(amount_fen, &attributes);
    }

    /// A call to a platform where vouchers live reached a state.
    pub fn remote_call(&self, kind: &'static str, state: &'static str) {
        let attributes = [KeyValue::new("kind", kind), KeyValue::new("state", state)];
        self.0.remote_calls.add(1, &attributes);
    }

    /// How many calls to platforms are in a state that has not ended, and how old the oldest is.
    pub fn remote_open(&self, state: &'static str, count: u64, oldest_age: Duration) {
        let attributes = [KeyValue::new("state", state)];
        self.0.remote_open.record(count, &attributes);
        self.0
            .remote_age
            .record(oldest_age.as_secs_f64(), &attributes);
    }

    /// How many packets are in a state that has not ended, and since when the oldest is.
    pub fn open(&self, state: &'static str, count: u64, oldest_age: Duration) {
        let attributes = [KeyValue::new("state", state)];
        self.0.open.record(count, &attributes);
        self.0
            .open_age
            .record(oldest_age.as_secs_f64(), &attributes);
    }

    /// How much of a kind of work is due, and since when the oldest piece waits.
    pub fn queue(&self, job: Job, depth: u64, oldest_age: Duration) {
        let attributes = [KeyValue::new("job", job.name())];
        self.0.queue_depth.record(depth, &attributes);
        self.0
            .queue_age
            .record(oldest_age.as_secs_f64(), &attributes);
    }

    /// How many campaigns or accounts have left their plan and are held back.
    pub fn money_breaker(&self, scope: &'static str, tripped: u64) {
        let attributes = [KeyValue::new("scope", scope)];
        self.0.money_breakers.record(tripped, &attributes);
    }

    /// How many calls wait for a second person, and since when the oldest does.
    pub fn approvals(&self, depth: u64, oldest_age: Duration) {
        self.0.approval_depth.record(depth, &[]);
        self.0.approval_age.record(oldest_age.as_secs_f64(), &[]);
    }

    /// How many packets wait for a person, and since when the oldest does.
    pub fn review(&self, depth: u64, oldest_age: Duration) {
        self.0.review_depth.record(depth, &[]);
        self.0.review_age.record(oldest_age.as_secs_f64(), &[]);
    }

    /// Entries got their places.
    pub fn events(&self, count: u64) {
        if count > 0 {
            self.0.events.add(count, &[]);
        }
    }

    /// One try to deliver, by the class of its outcome: one of few.
    pub fn webhook(&self, outcome: &str, duration: Duration) {
        let attributes = [KeyValue::new("outcome", outcome.to_owned())];
        self.0.webhook.record(duration.as_secs_f64(), &attributes);
    }

    /// One callback of a provider, by what it did or why it is not believed: one of few.
    pub fn provider_callback(&self, outcome: &str) {
        let attributes = [KeyValue::new("outcome", outcome.to_owned())];
        self.0.callbacks.add(1, &attributes);
    }

    /// How many deliveries wait, and for how long the oldest.
    pub fn webhooks_waiting(&self, count: u64, oldest_age: Duration) {
        self.0.webhook_pending.record(count, &[]);
        self.0.webhook_age.record(oldest_age.as_secs_f64(), &[]);
    }

    /// One request to a provider, by what it proved.
    pub fn provider_exchange(
        &self,
        protocol: &'static str,
        call: &'static str,
        outcome: &'static str,
        duration: Duration,
    ) {
        let attributes = [
            KeyValue::new("protocol", protocol),
            KeyValue::new("call", call),
            KeyValue::new("outcome", outcome),
        ];
        self.0.exchange.record(duration.as_secs_f64(), &attributes);
    }

    /// Whether sending through an account is suspended.
    pub fn provider_breaker(&self, account_id: i64, open: bool) {
        self.0
            .breaker
            .record(u64::from(open), &[KeyValue::new("account_id", account_id)]);
    }

    /// A call was refused because its app calls too often.
    pub fn rate_limited(&self, app_id: i64) {
        self.0
            .rate_limited
            .add(1, &[KeyValue::new("app_id", app_id)]);
    }
}

impl Inner {
    fn new(
        registry: prometheus::Registry,
        provider: SdkMeterProvider,
        known_methods: HashSet<Arc<str>>,
        meter: &Meter,
    ) -> Self {
        let call = CALL_SECONDS.as_slice();
        Self {
            registry,
            _provider: provider,
            known_methods,
            rpc: seconds(
                meter,
                "rpc.server.call.duration",
                "Time from the request headers to the status.",
                call,
            ),
            transitions: counter(
                meter,
                "hongbao.issuance.transitions",
                "Issuances that changed their state.",
            ),
            vouchers: counter(
                meter,
                "hongbao.voucher.changes",
                "Vouchers that an order, or their end, brought into a state.",
            ),
            voucher_amount: counter(
                meter,
                "hongbao.voucher.amount.fen",
                "Money of vouchers by the state that they reached, in fen.",
            ),
            remote_calls: counter(
                meter,
                "hongbao.voucher.remote.calls",
                "Calls to platforms where vouchers live, by the state that they reached.",
            ),
            amount: counter(
                meter,
                "hongbao.issuance.amount.fen",
                "Money by the state it reached, in fen.",
            ),
            open: gauge(
                meter,
                "hongbao.issuance.open",
                "Packets in a state that has not ended.",
            ),
            open_age: age(
                meter,
                "hongbao.issuance.oldest_age",
                "How long the oldest packet is in such a state.",
            ),
            queue_depth: gauge(meter, "hongbao.queue.depth", "Jobs that are due."),
            queue_age: age(
                meter,
                "hongbao.queue.oldest_age",
                "How long the oldest due job waits.",
            ),
            remote_open: gauge(
                meter,
                "hongbao.voucher.remote.open",
                "Calls to platforms where vouchers live, in states that have not ended.",
            ),
            remote_age: age(
                meter,
                "hongbao.voucher.remote.oldest_age",
                "How old the oldest call to a platform is in such a state.",
            ),
            review_depth: gauge(
                meter,
                "hongbao.review.depth",
                "Packets that wait for a person.",
            ),
            review_age: age(
                meter,
                "hongbao.review.oldest_age",
                "How long the oldest review waits.",
            ),
            money_breakers: gauge(
                meter,
                "hongbao.money_breaker.tripped",
                "Money breakers that have tripped.",
            ),
            approval_depth: gauge(
                meter,
                "hongbao.approval.depth",
                "Calls that wait for a second person.",
            ),
            approval_age: age(
                meter,
                "hongbao.approval.oldest_age",
                "How long the oldest of them waits.",
            ),
            exchange: seconds(
                meter,
                "hongbao.provider.exchange.duration",
                "One request to a provider.",
                call,
            ),
            events: counter(
                meter,
                "hongbao.event.placed",
                "Entries of the journal that got their place in a feed.",
            ),
            callbacks: counter(
                meter,
                "hongbao.provider.callbacks",
                "Callbacks of providers.",
            ),
            webhook: seconds(
                meter,
                "hongbao.webhook.delivery.duration",
                "One try to deliver an event.",
                call,
            ),
            webhook_pending: gauge(
                meter,
                "hongbao.webhook.pending",
                "Deliveries that are not acknowledged yet.",
            ),
            webhook_age: age(
                meter,
                "hongbao.webhook.oldest_age",
                "How long ago the oldest event of them happened.",
            ),
            breaker: gauge(
                meter,
                "hongbao.provider.breaker",
                "1 while sending through the account is suspended.",
            ),
            rate_limited: counter(
                meter,
                "hongbao.rate_limited",
                "Calls refused because the app calls too often.",
            ),
            quota_waits: counter(
                meter,
                "hongbao.quota.waits",
                "Packets that were put off to another day, since a quota of the provider is full.",
            ),
        }
    }
}

fn seconds(
    meter: &Meter,
    name: &'static str,
    help: &'static str,
    bounds: &[f64],
) -> Histogram<f64> {
    meter
        .f64_histogram(name)
        .with_description(help)
        .with_unit("s")
        .with_boundaries(bounds.to_vec())
        .build()
}

fn counter(meter: &Meter, name: &'static str, help: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(help).build()
}

fn gauge(meter: &Meter, name: &'static str, help: &'static str) -> Gauge<u64> {
    meter.u64_gauge(name).with_description(help).build()
}

fn age(meter: &Meter, name: &'static str, help: &'static str) -> Gauge<f64> {
    meter
        .f64_gauge(name)
        .with_description(help)
        .with_unit("s")
        .build()
}
