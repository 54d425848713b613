//! The real binary as processes: a provider, and servers that are killed.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::rng::Rng;

/// How fast time runs, at the provider and at the servers: an hour a second.
pub const TIME_SCALE: u32 = 3_600;
/// A server gives up an exchange after this long; the TIMEOUT faults hold longer.
const EXCHANGE_MS: u64 = 500;
const HOLD_MS: u64 = 1_500;
/// The provider thinks for so long: at any instant some packets are between their
/// claim and their answer, where a kill hurts most.
const LATENCY_MS: u64 = 80;

/// Ways in which the provider misbehaves, per mille of sends.
const SEND_FAULTS: &[(&str, u16)] = &[
    ("SYSTEMERROR_BEFORE", 40),
    ("SYSTEMERROR_AFTER", 40),
    ("PROCESSING", 30),
    ("PROCESSING_FAILED", 20),
    ("TIMEOUT_AFTER", 30),
    ("RESET_AFTER", 40),
    ("HALF_BODY", 30),
    ("HTML_502", 30),
    ("UNKNOWN_CODE", 20),
    ("FREQ_LIMIT", 40),
    ("SEND_FAILED", 20),
];
/// The same, of queries.
const QUERY_FAULTS: &[(&str, u16)] = &[
    ("SYSTEMERROR_AFTER", 10),
    ("HALF_BODY", 10),
    ("HTML_502", 10),
];

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hongbao"));
    command.stdin(Stdio::null());
    command
}

/// A process that does not outlive its test.
#[derive(Debug)]
struct Process(Child);

impl Process {
    /// SIGKILL: no handler runs, nothing is flushed.
    fn kill(&mut self) {
        let _ended = self.0.kill();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `hongbao simulate`, with books of its own.
#[derive(Debug)]
pub struct Provider {
    pub books: PathBuf,
    pub mch_id: String,
    pub appid: String,
    api_key: String,
    base_url: String,
    admin_url: String,
    _process: Process,
}

impl Provider {
    /// One that answers at once, in time that runs so fast.
    pub fn start_plain(folder: &Path, time_scale: u32) -> Self {
        let books = folder.join("books.jsonl");
        let mut command = binary();
        command
            .args(["simulate", "--listen", "127.0.0.1:0"])
            .args(["--admin-listen", "127.0.0.1:0", "--books"])
            .arg(&books)
            .args(["--balance-fen", "1000000000000"])
            .args(["--time-scale", &time_scale.to_string()]);
        Self::spawn(command, books)
    }

    pub fn start(folder: &Path, seed: u64, misbehaves: bool) -> Self {
        let books = folder.join("books.jsonl");
        let mut command = binary();
        command
            .args(["simulate", "--listen", "127.0.0.1:0"])
            .args(["--admin-listen", "127.0.0.1:0", "--books"])
            .arg(&books)
            .args(["--balance-fen", "1000000000"])
            .args(["--time-scale", &TIME_SCALE.to_string()])
            .args(["--hold-ms", &HOLD_MS.to_string()])
            .args(["--latency-ms", &LATENCY_MS.to_string()])
            .args(["--seed", &seed.to_string()]);
        if misbehaves {
            for (name, odds) in SEND_FAULTS {
                command.args(["--fault", &format!("{name}={odds}")]);
            }
            for (name, odds) in QUERY_FAULTS {
                command.args(["--fault", &format!("query:{name}={odds}")]);
            }
        }
        Self::spawn(command, books)
    }

    fn spawn(mut command: Command, books: PathBuf) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
            .take_while(|line| line != "# ready")
            .collect();
        let get = |name: &str| {
            let value = lines
                .iter()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value
                .unwrap_or_else(|| panic!("no {name} in {lines:?}"))
                .to_owned()
        };
        Self {
            books,
            mch_id: get("mch_id"),
            appid: get("appid"),
            api_key: get("api_key"),
            base_url: get("base_url"),
            admin_url: get("admin_url"),
            _process: Process(child),
        }
    }

    /// From now on the provider behaves.
    pub async fn clear_faults(&self) {
        hongbao::provider::install_crypto();
        let said = reqwest::Client::new()
            .post(format!("{}/_sim/faults", self.admin_url))
            .header("content-type", "application/json")
            .body(r#"{"send": {}, "query": {}, "next": [], "next_query": []}"#)
            .send()
            .await
            .unwrap();
        assert_eq!(said.status(), 200);
    }
}

/// One `hongbao serve`, killed and started again with the same configuration.
#[derive(Debug)]
pub struct Server {
    pub addr: SocketAddr,
    config: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

impl Server {
    /// Writes the configuration of a replica. It is not started yet.
    pub fn new(folder: &Path, name: &str, url: &str, provider: &Provider, rng: &mut Rng) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port(rng)));
        let text = format!(
            "[server]\ngrpc_listen = \"{addr}\"\nadmin_listen = \"127.0.0.1:0\"\n\
             [database]\nurl = \"{url}\"\nconnections_max = 8\n\
             [keys]\nfile = \"{keys}\"\n\
             [clock]\nscale = {TIME_SCALE}\n\
             [dispatcher]\nlease_seconds = 2\npoll_ms = 50\n\
             [provider]\nconnect_timeout_ms = 200\ntotal_timeout_ms = {EXCHANGE_MS}\n\
             [rate_limit]\nper_app_per_second = 100000\nburst = 100000\n\
             [telemetry]\nlog_filter = \"warn\"\nservice_instance = \"{name}\"\n\
             [credentials.simulator]\nbase_url = \"{base_url}\"\nmch_id = \"{mch_id}\"\napi_key = \"{api_key}\"\n",
            keys = folder.join("keys.toml").display(),
            base_url = provider.base_url,
            mch_id = provider.mch_id,
            api_key = provider.api_key,
        );
        let config = folder.join(format!("{name}.toml"));
        std::fs::write(&config, text).unwrap();
        Self {
            addr,
            config,
            log: folder.join(format!("{name}.log")),
            process: None,
        }
    }

    /// Makes the app that calls, as an operator would, and returns its key.
    pub fn create_app(&self) -> String {
        self.create_app_with(&[])
    }

    /// The same with more environment.
    pub fn create_app_with(&self, environment: &[(&str, &str)]) -> String {
        let made = binary()
            .args(["app", "create", "--name", "load", "--config"])
            .arg(&self.config)
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let printed = String::from_utf8(made.stdout).unwrap();
        let key = printed
            .lines()
            .find_map(|line| line.strip_prefix("api_key="));
        key.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&made.stderr)))
            .to_owned()
    }

    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts with more environment.
    pub fn start_with(&mut self, environment: &[(&str, &str)]) {
        let log = open_log(&self.log);
        let child = binary()
            .arg("serve")
            .arg("--config")
            .arg(&self.config)
            .envs(environment.iter().copied())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(Process(child));
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A server that ended by itself was not killed: that is a failure of its own.
            let ended = process.0.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "ended by itself, {ended:?}:\n{}",
                self.tail()
            );
            process.kill();
        }
    }

    /// Waits until it takes connections.
    pub async fn ready(&self) {
        let since = Instant::now();
        while tokio::net::TcpStream::connect(self.addr).await.is_err() {
            assert!(
                since.elapsed() < Duration::from_secs(20),
                "not up:\n{}",
                self.tail()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What this process holds in memory, in MiB.
    pub fn memory(&self) -> u64 {
        self.status_mib("VmRSS:")
    }

    /// The most that it has held.
    pub fn memory_peak(&self) -> u64 {
        self.status_mib("VmHWM:")
    }

    fn status_mib(&self, line: &str) -> u64 {
        let pid = self.process.as_ref().unwrap().0.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let found = status.lines().find_map(|text| text.strip_prefix(line));
        let kib = found.unwrap().trim().trim_end_matches(" kB");
        kib.trim().parse::<u64>().unwrap() / 1_024
    }

    /// What this process has handed to the disk so far, as Linux counts it.
    pub fn bytes_written(&self) -> i64 {
        let pid = self.process.as_ref().unwrap().0.id();
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
        let line = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "));
        line.unwrap().parse().unwrap()
    }

    /// Lines of the log at ERROR, or of a panic.
    pub fn errors(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let bad = |line: &&str| line.contains("\"ERROR\"") || line.contains("panicked");
        log.lines().filter(bad).map(str::to_owned).collect()
    }

    fn tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let from = log.lines().count().saturating_sub(20);
        log.lines().skip(from).collect::<Vec<_>>().join("\n")
    }
}

fn open_log(path: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
}

/// A port below those that the system hands out: while a server is down, no client
/// may be given its port.
fn free_port(rng: &mut Rng) -> u16 {
    loop {
        let port = u16::try_from(20_000 + rng.below(12_000)).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
