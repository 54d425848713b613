//! The provider's side of the protocols, for tests, the demo and newcomers: WeChat Pay V2 red
//! packets, seed 002's vouchers and seed 003's orders, with faults on demand and with books of its
//! own.
//!
//! It imports `signing`, which foreign vectors pin, and nothing else of ours: no domain type, no
//! provider client. A mistake in the client would otherwise be answered by the same mistake here,
//! and every test would pass.
//!
//! | file | is |
//! |---|---|
//! | `config` | what it is started with |
//! | `server`, `wire`, `tls`, `admin` | bytes in and out, and connections that are cut |
//! | `xml`, `fields`, `request`, `reply` | the protocol |
//! | `engine` | decisions |
//! | `limits` | requests per second, and how often a limit refused |
//! | `fault`, `chaos`, `draw` | what goes wrong, and when |
//! | `plan`, `share`, `ids`, `clock` | what becomes of an order, in simulated time |
//! | `map` | the voucher platform of seed 002: JSON, its own faults, the same books |
//! | `open` | the open platform of seed 003: signed JSON, callbacks, its own faults, the same books |
//! | `books` | who was paid, on disk before the reply leaves |
//! | `certs` | certificates for trying TLS |

mod admin;
mod books;
mod certs;
mod chaos;
mod clock;
mod config;
mod draw;
mod engine;
mod fault;
mod fields;
mod ids;
mod limits;
mod map;
mod open;
mod plan;
mod reply;
mod request;
mod server;
mod share;
mod tls;
mod wire;
mod xml;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempPath;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use books::{Books, BooksBroken, BooksError, Payment, State, Totals};
pub use certs::{CertFiles, CertsError, make_certs};
pub use chaos::{Call, FaultTable, FaultTableError, Strike};
pub use config::{Config, Limits, Merchant, TlsFiles};
pub use fault::{Fault, Spec};
pub use map::{MapBook, MapCall, MapConfig, MapFault, MapFaults, MapProduct, MapSpend, MapVoucher};
pub use open::{
    Discount, OpenBook, OpenCallback, OpenCallbackKind, OpenCalls, OpenConfig, OpenFault,
    OpenFaults, OpenKeyFiles, OpenKeysError, OpenMissing, OpenOrder, OpenPerson, OpenReplies,
    OpenSpec, OpenStatus, OpenTemplate, OpenTime, PlatformKey, make_open_keys,
};
pub use tls::TlsError;

use engine::Engine;

/// How often due steps are carried out while nobody asks.
const TICK: Duration = Duration::from_millis(50);
/// Longer than connections get to finish; what is still running then is aborted.
const STOP: Duration = Duration::from_secs(5);

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("the admin API has no password and listens on loopback only, not on {0}")]
    AdminNotLoopback(SocketAddr),
    #[error("time cannot have its origin in the future, at {0} ms since the Unix epoch")]
    TimeOriginInFuture(i64),
    #[error("callbacks go to http:// addresses only, not to {0}")]
    CallbackUrl(String),
    #[error("the temporary books file cannot be made: {0}")]
    Temporary(std::io::Error),
    #[error(transparent)]
    Books(#[from] BooksError),
    #[error(transparent)]
    Faults(#[from] FaultTableError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A running simulator. Dropping it stops it; [`Simulator::shutdown`] also waits for that.
#[derive(Debug)]
pub struct Simulator {
    /// Where the provider's API is served.
    pub addr: SocketAddr,
    /// Where the admin API is served.
    pub admin_addr: SocketAddr,
    tls: bool,
    engine: Arc<Engine>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    _temporary: Option<TempPath>,
}

/// Starts a simulator; it serves as soon as this returns.
#[expect(
    clippy::disallowed_methods,
    reason = "its tasks end with the simulator, which keeps their handles"
)]
pub async fn start(config: Config) -> Result<Simulator, StartError> {
    if !config.admin_listen.ip().is_loopback() {
        return Err(StartError::AdminNotLoopback(config.admin_listen));
    }
    if let Some(origin_ms) = config.time_origin_ms
        && origin_ms > clock::wall_ms()
    {
        return Err(StartError::TimeOriginInFuture(origin_ms));
    }
    let callback_url = config
        .open
        .as_ref()
        .and_then(|open| open.callback_url.as_ref());
    if let Some(url) = callback_url.filter(|url| !open::is_reachable(url)) {
        return Err(StartError::CallbackUrl(url.clone()));
    }
    let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let chaos = chaos::Chaos::new(config.seed, config.faults)?;
    let (path, temporary) = match config.books {
        Some(path) => (path, None),
        None => {
            let file = tempfile::Builder::new()
                .prefix("hongbao-books-")
                .suffix(".jsonl")
                .tempfile()
                .map_err(StartError::Temporary)?;
            let path = file.into_temp_path();
            (path.to_path_buf(), Some(path))
        }
    };
    let (listener, addr) = listen(config.listen).await?;
    let (admin_listener, admin_addr) = listen(config.admin_listen).await?;
    let books = Books::open(
        &path,
        &config.merchant.mch_id,
        config.opening_balance_fen,
        config.time_scale,
        config.time_origin_ms,
    )?;
    let odds = plan::Odds {
        seed: config.seed,
        taken_per_mille: config.taken_per_mille,
    };
    let open = match config.open {
        Some(open) => Some(open::Platform::new(
            open,
            config.seed,
            config.time_scale,
            &books,
        )?),
        None => None,
    };
    let engine = Engine::new(
        config.merchant,
        books,
        chaos,
        odds,
        limits::Gate::new(config.limits),
        config.max_shares,
        config.map.map(|map| map::Platform::new(map, config.seed)),
    );
    let engine = Arc::new(engine.with_open(open));
    let stop = CancellationToken::new();
    let provider = server::Provider {
        engine: Arc::clone(&engine),
        acceptor,
        latency: config.latency,
        hold: config.hold,
        stop: stop.clone(),
    };
    let mut tasks = vec![
        tokio::spawn(server::serve(listener, provider)),
        tokio::spawn(serve_admin(
            admin_listener,
            Arc::clone(&engine),
            stop.clone(),
        )),
        tokio::spawn(tick(Arc::clone(&engine), stop.clone())),
    ];
    if engine.open.is_some() {
        let work = open::courier::work(Arc::clone(&engine), stop.clone());
        tasks.push(tokio::spawn(work));
    }
    Ok(Simulator {
        addr,
        admin_addr,
        tls: config.tls.is_some(),
        engine,
        stop,
        tasks,
        _temporary: temporary,
    })
}

async fn listen(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(wanted, error);
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

async fn serve_admin(listener: TcpListener, engine: Arc<Engine>, stop: CancellationToken) {
    let served = axum::serve(listener, admin::router(engine))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the simulator's admin API ended");
    }
}

async fn tick(engine: Arc<Engine>, stop: CancellationToken) {
    while tokio::time::timeout(TICK, stop.cancelled()).await.is_err() {
        engine.books.settle();
    }
}

impl Simulator {
    /// Where a client sends its requests, without a slash at the end.
    pub fn base_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", reachable(self.addr))
    }

    /// Where the admin API is, without a slash at the end.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin_addr)
    }

    pub fn merchant(&self) -> &Merchant {
        &self.engine.merchant
    }

    /// What the voucher platform was started with, if there is one.
    pub fn map(&self) -> Option<&MapConfig> {
        self.engine.map.as_ref().map(map::Platform::config)
    }

    /// Replaces the voucher platform's faults.
    pub fn set_map_faults(&self, faults: MapFaults) {
        if let Some(map) = &self.engine.map {
            map.set_faults(faults);
        }
    }

    /// What the open platform was started with, if there is one.
    pub fn open(&self) -> Option<&OpenConfig> {
        self.engine.open.as_ref().map(open::Platform::config)
    }

    /// Changes the open platform's faults: a field that is `None` stays as it is.
    pub fn set_open_faults(&self, change: OpenFaults) -> Result<(), FaultTableError> {
        match &self.engine.open {
            Some(open) => open.set_faults(change),
            None => Ok(()),
        }
    }

    /// How often the open platform answered which call (`send`, `query`, `other`) with what since
    /// the start: a status, or what came instead of one.
    pub fn open_replies(&self) -> OpenReplies {
        let open = self.engine.open.as_ref();
        open.map(open::Platform::replies).unwrap_or_default()
    }

    pub fn books(&self) -> &Books {
        &self.engine.books
    }

    /// Changes the faults in force: a field that is `None` stays as it is.
    pub fn set_faults(&self, change: FaultTable) -> Result<(), FaultTableError> {
        self.engine.set_faults(change)
    }

    /// The faults in force.
    pub fn faults(&self) -> FaultTable {
        self.engine.faults()
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        *self.engine.gate.limits()
    }

    /// How many requests each limit refused since the start, by the code of the reply. Every limit
    /// is there, with 0 if it never refused; `FREQ_LIMIT` counts sends and `FREQ_LIMIT_QUERY`
    /// queries. The faults of the same names are not counted.
    pub fn refused_by_limits(&self) -> BTreeMap<&'static str, u64> {
        self.engine.gate.refused()
    }

    /// The most send requests that arrived within any one real second since the start, those
    /// that were refused among them.
    pub fn peak_sends_per_second(&self) -> usize {
        self.engine.gate.peak_sends_per_second()
    }

    /// Stops taking requests, lets those under way end, and returns after a few seconds at most.
    /// The books are complete on disk when this returns.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        for mut task in std::mem::take(&mut self.tasks) {
            if tokio::time::timeout(STOP, &mut task).await.is_err() {
                task.abort();
                let _aborted = task.await;
            }
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A listener on every interface is reached over loopback.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, addr.port())
}
