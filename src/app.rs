//! The composition root: builds the parts in order, and takes them apart in the
//! reverse order when the process is to end.
//!
//! Drain: say that calls go elsewhere; wait until load balancers have heard; take
//! no more calls, claim no more packets, end streams; let calls and payments under
//! way finish, for a bounded time; close the database. A process that is killed
//! instead loses nothing: what was under way is asked about by the next one.

mod credentials;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::server::HealthReporter;

use crate::config::Config;
use crate::domain::grant::{Grant, Permission, PrincipalKind, Shops};
use crate::domain::remote_voucher::Patience;
use crate::domain::text::Code;
use crate::domain::webhook::Reach;
use crate::grpc::server::{self, Backend};
use crate::http;
use crate::provider::{ReceiverDoor, ReceiverOptions, Timeouts, install_crypto};
use crate::service::ask::Asker;
use crate::service::callback::Callbacks;
use crate::service::dispatch::{self, Dispatcher};
use crate::service::halt::Halt;
use crate::service::identity::{self, Identity};
use crate::service::issue::Issuer;
use crate::service::pace::Pace;
use crate::service::providers::Providers;
use crate::service::remote_voucher::Worker;
use crate::service::signing::Signatures;
use crate::service::voucher::{StoredCodes, Vouchers};
use crate::service::webhook::{self, Courier, Publisher};
use crate::service::{sampler, sweep};
use crate::store::app::NewApp;
use crate::store::crypt::{KeyFile, Keys};
use crate::store::lock::{ProcessLock, sqlite_path};
use crate::store::{self, Store};
use crate::telemetry::Metrics;

/// A running server.
#[derive(Debug)]
pub struct Running {
    /// Where gRPC is served.
    pub grpc_addr: SocketAddr,
    /// Where the admin pages are served.
    pub admin_addr: SocketAddr,
    /// The database, for those who run in the same process.
    pub store: Store,
    /// The key of the first app, if this start made it. It is shown this once.
    pub first_key: Option<String>,
    reporter: HealthReporter,
    drain_delay: Duration,
    drain: Duration,
    stop: CancellationToken,
    stop_admin: CancellationToken,
    tracker: TaskTracker,
    grpc: JoinHandle<anyhow::Result<()>>,
    _lock: Option<ProcessLock>,
}

/// Starts everything; it serves as soon as this returns.
///
/// # Errors
/// A sentence that says what to change: a port that is taken, a database that does
/// not answer or is not migrated, keys or certificates that do not fit.
pub async fn start(config: &Config) -> anyhow::Result<Running> {
    install_crypto();
    let lock = ProcessLock::take(&config.database.url)?;
    let settings = database(config);
    if sqlite_path(&config.database.url).is_some() {
        store::migrate(&settings)
            .await
            .context("migrating the embedded database")?;
    }
    let store = Store::open(&settings, keys(config)?).await?;
    let providers = Arc::new(credentials::providers(config)?);
    warn_of_strangers(&store, &providers).await?;
    let first_key = found_first_app(config, &store).await?;

    let metrics = Metrics::new(server::methods())?;
    let (stop, stop_admin) = (CancellationToken::new(), CancellationToken::new());
    let tracker = TaskTracker::new();
    let (wake, wake_remote) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let grpc_listener = listen(config.server.grpc_listen).await?;
    let admin_listener = listen(config.server.admin_listen).await?;
    let (grpc_addr, admin_addr) = (grpc_listener.local_addr()?, admin_listener.local_addr()?);

    let pace = Pace::default();
    let backend = Backend {
        asker: Asker {
            store: store.clone(),
            providers: Arc::clone(&providers),
            pace: pace.clone(),
            metrics: metrics.clone(),
            wake: Arc::clone(&wake),
        },
        store: store.clone(),
        issuer: Issuer::start(store.clone(), metrics.clone(), Arc::clone(&wake), &tracker),
        vouchers: Vouchers::start(
            store.clone(),
            metrics.clone(),
            Arc::new(StoredCodes(store.clone())),
            Arc::clone(&wake_remote),
            &tracker,
        ),
        providers: Arc::clone(&providers),
        identity: Identity::new(store.clone()),
        signatures: Signatures::new(store.clone()),
        wake: Arc::clone(&wake),
        reach: Reach::of(config.webhooks.allow_loopback),
        stop: stop.clone(),
    };
    let callbacks = Callbacks {
        store: store.clone(),
        providers: Arc::clone(&providers),
        metrics: metrics.clone(),
        wake: Arc::clone(&wake),
    };
    if config.dispatcher.enabled {
        let halt = Halt::default();
        let lease = Duration::from_secs(config.dispatcher.lease_seconds);
        let poll = Duration::from_millis(config.dispatcher.poll_ms);
        let worker = Worker {
            store: store.clone(),
            providers: Arc::clone(&providers),
            metrics: metrics.clone(),
            halt: halt.clone(),
            wake: wake_remote,
            patience: Patience::default(),
            concurrency: config.dispatcher.concurrency,
            // A change is framed by two looks, each of several requests.
            lease: lease * 3,
            poll,
            tracker: tracker.clone(),
            stop: stop.clone(),
        };
        tracker.spawn(worker.run());
        let dispatcher = Dispatcher {
            store: store.clone(),
            providers,
            metrics: metrics.clone(),
            pace,
            wake,
            halt,
            settings: dispatch::Settings {
                concurrency: config.dispatcher.concurrency,
                lease,
                poll,
            },
            tracker: tracker.clone(),
            stop: stop.clone(),
        };
        tracker.spawn(dispatcher.run());
    }
    if config.webhooks.enabled {
        tell(config, &store, &metrics, &tracker, &stop)?;
    }
    #[cfg(feature = "nats")]
    if let Some(url) = &config.nats.url {
        let settings = webhook::nats::Settings {
            url: url.clone(),
            credentials: config.nats.credentials_file.clone(),
            subject: config.nats.subject.clone(),
        };
        let stream = webhook::nats::JetStream::connect(store.clone(), settings, stop.clone());
        tracker.spawn(stream.await?.run());
    }
    let kept = Duration::from_secs(u64::from(config.webhooks.kept_days) * 86_400);
    tracker.spawn(sweep::run(
        store.clone(),
        metrics.clone(),
        kept,
        stop.clone(),
    ));
    tracker.spawn(sampler::run(store.clone(), metrics.clone(), stop.clone()));
    let pages = http::admin::router(http::admin::AdminState {
        metrics: metrics.clone(),
        readiness: readiness(&store, &stop),
        version: http::admin::Version::default(),
    });
    let pages = pages.merge(http::callback::router(callbacks));
    tracker.spawn(http::serve(
        admin_listener,
        pages,
        http::Limits::default(),
        tracker.clone(),
        stop_admin.clone(),
    ));

    let (reporter, health) = tonic_health::server::health_reporter();
    server::report(&reporter, true).await;
    let serving = server::serve(
        grpc_listener,
        backend,
        grpc_settings(config),
        metrics,
        tracker.clone(),
        health,
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "the drain waits for it by its handle, with a bound"
    )]
    let grpc = tokio::spawn(serving);
    tracing::info!(%grpc_addr, %admin_addr, "serving");
    Ok(Running {
        grpc_addr,
        admin_addr,
        store,
        first_key,
        reporter,
        drain_delay: Duration::from_secs(config.server.drain_delay_seconds),
        drain: Duration::from_secs(config.server.drain_seconds),
        stop,
        stop_admin,
        tracker,
        grpc,
        _lock: lock,
    })
}

/// Starts what tells others of what happened.
fn tell(
    config: &Config,
    store: &Store,
    metrics: &Metrics,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let wake = Arc::new(Notify::new());
    let total = Duration::from_millis(config.webhooks.timeout_ms);
    let reach = Reach::of(config.webhooks.allow_loopback);
    let door = ReceiverDoor::new(&ReceiverOptions {
        reach,
        timeouts: Timeouts {
            connect: total / 2,
            total,
        },
        ca_pem: None,
    })?;
    let publisher = Publisher {
        store: store.clone(),
        metrics: metrics.clone(),
        wake: Arc::clone(&wake),
        stop: stop.clone(),
    };
    tracker.spawn(publisher.run());
    let courier = Courier {
        store: store.clone(),
        door,
        metrics: metrics.clone(),
        wake,
        settings: webhook::Settings {
            per_endpoint: config.webhooks.per_endpoint,
            together: config.webhooks.together,
            lease: total * 3,
            poll: Duration::from_millis(config.dispatcher.poll_ms),
            reach,
        },
        tracker: tracker.clone(),
        stop: stop.clone(),
    };
    tracker.spawn(courier.run());
    Ok(())
}

impl Running {
    /// Drains and ends. Takes no longer than the delay and the drain time: calls get
    /// half of it, and what they and the dispatcher have under way the rest.
    pub async fn shutdown(mut self) {
        server::report(&self.reporter, false).await;
        tracing::info!("draining");
        tokio::time::sleep(self.drain_delay).await;
        self.stop.cancel();
        server::forget_health(&mut self.reporter).await;
        let until = crate::clock::monotonic_tokio() + self.drain;
        match tokio::time::timeout_at(until - self.drain / 2, self.grpc).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "the gRPC server ended badly"),
            Ok(Err(error)) => tracing::error!(%error, "the gRPC server panicked"),
            Err(_) => {
                tracing::warn!("connections are still open after the drain; ending without them")
            }
        }
        self.stop_admin.cancel();
        self.tracker.close();
        if tokio::time::timeout_at(until, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "work is still under way after the drain; it is resumed by the next start"
            );
        }
        self.store.close().await;
        tracing::info!("ended");
    }
}

/// How the database of a configuration is opened.
#[must_use]
pub fn database(config: &Config) -> store::Settings {
    store::Settings {
        url: config.database.url.clone(),
        connections_max: config.database.connections_max,
        time_scale: config.clock.scale,
    }
}

fn grpc_settings(config: &Config) -> server::Settings {
    server::Settings {
        calls_per_second: config.rate_limit.per_app_per_second,
        burst: config.rate_limit.burst,
        deadline_default: Duration::from_secs(config.server.deadline_default_seconds),
        deadline_max: Duration::from_secs(config.server.deadline_max_seconds),
        reflection: config.server.reflection,
    }
}

async fn listen(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr}"))
}

fn readiness(store: &Store, stop: &CancellationToken) -> http::admin::Readiness {
    let (store, stop) = (store.clone(), stop.clone());
    Arc::new(move || {
        let (store, stop) = (store.clone(), stop.clone());
        Box::pin(async move {
            if stop.is_cancelled() {
                return Err("draining".to_owned());
            }
            store.check_writable().await.map_err(|error| error.message)
        })
    })
}

/// The keys of the configuration's file. An embedded database may come without:
/// its keys then stand beside it and are made at the first start.
///
/// # Errors
/// The file is missing or broken.
pub fn keys(config: &Config) -> anyhow::Result<Keys> {
    let path = match (&config.keys.file, sqlite_path(&config.database.url)) {
        (Some(path), _) => path.clone(),
        (None, Some(database)) => {
            let path = PathBuf::from(format!("{}.keys.toml", database.display()));
            if !path.exists() {
                write_key_file(&path)?;
            }
            path
        }
        (None, None) => anyhow::bail!(
            "keys.file is missing: make one with `hongbao keygen --out FILE`, and keep it as safe as the database"
        ),
    };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("reading the key file {}", path.display()))?;
    let file: KeyFile =
        read_toml(&text).with_context(|| format!("the key file {}", path.display()))?;
    Keys::new(&file)
}

fn read_toml<T: serde::de::DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    let source = config::File::from_str(text, config::FileFormat::Toml);
    Ok(config::Config::builder()
        .add_source(source)
        .build()?
        .try_deserialize()?)
}

/// Writes a new key file that only its owner can read. Never overwrites.
///
/// # Errors
/// The file exists, or cannot be written.
pub fn write_key_file(path: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let text = KeyFile::generate().to_toml();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = file.with_context(|| format!("making the key file {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

/// Reads what a start would read: keys, merchants' secrets, certificates.
///
/// # Errors
/// What the start would refuse.
pub fn check(config: &Config) -> anyhow::Result<()> {
    install_crypto();
    // An embedded database makes its keys at the first start.
    if config.keys.file.is_some() || sqlite_path(&config.database.url).is_none() {
        keys(config)?;
    }
    credentials::providers(config).map(drop)
}

/// Packets of an account whose credential is not here wait; say so at the start.
async fn warn_of_strangers(store: &Store, providers: &Providers) -> anyhow::Result<()> {
    for account in store.all_accounts().await? {
        if account.enabled && !providers.knows(&account) {
            tracing::warn!(
                account_id = account.id.0,
                credential = %account.credential,
                "this account's credential is not configured here; its packets wait for a replica that has it"
            );
        }
    }
    Ok(())
}

/// An embedded installation makes its first app itself, so that one command is
/// enough to begin. PostgreSQL is production: there `hongbao app create` does.
async fn found_first_app(config: &Config, store: &Store) -> anyhow::Result<Option<String>> {
    if sqlite_path(&config.database.url).is_none() || store.has_apps().await? {
        return Ok(None);
    }
    let (key, secret) = identity::new_key();
    store.found_app(almighty("admin")?, key).await?;
    Ok(Some(secret))
}

/// An app that may do everything everywhere.
///
/// # Errors
/// The name is not 1 to 64 of [A-Za-z0-9_.:-].
pub fn almighty(name: &str) -> anyhow::Result<NewApp> {
    let name =
        Code::parse(name).context("an app's name has 1 to 64 characters of [A-Za-z0-9_.:-]")?;
    let permissions = Permission::ALL
        .iter()
        .map(|(_, permission)| *permission)
        .collect();
    Ok(NewApp {
        kind: PrincipalKind::App,
        roles: Vec::new(),
        name,
        default_shop: None,
        grants: vec![Grant {
            permissions,
            shops: Shops::All,
        }],
    })
}
