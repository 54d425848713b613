//! A database for each test: an SQLite file, or one database of a PostgreSQL server
//! that this process starts for itself.
//!
//! The server runs in a temporary folder under a user of its own (PostgreSQL
//! refuses to run as root), with its real durability settings. A shell that waits
//! on a pipe stops it when this process ends, however it ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// A migrated, empty database.
#[derive(Debug)]
pub struct TestDb {
    pub url: String,
    /// For the SQLite file, and whatever else a test wants to put on disk.
    pub folder: TempDir,
}

impl TestDb {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hongbao.db");
        std::fs::copy(sqlite_template(), &file).unwrap();
        Self {
            url: format!("sqlite://{}", file.display()),
            folder,
        }
    }

    pub fn postgres() -> Self {
        let server = server();
        let name = next_name();
        server.sql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE migrated"),
        );
        Self {
            url: server.url(&name),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The same rows in a database of their own. Nobody may be connected to this one.
    pub fn copy(&self) -> Self {
        if !self.is_postgres() {
            let copy = Self::sqlite();
            let file = self.folder.path().join("hongbao.db");
            std::fs::copy(file, copy.folder.path().join("hongbao.db")).unwrap();
            return copy;
        }
        let name = next_name();
        let (_, template) = self.url.rsplit_once('/').unwrap();
        server().sql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE {template}"),
        );
        Self {
            url: server().url(&name),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// All that the database holds: the bytes of its files with what is not yet
    /// folded into them, or what pg_dump writes, where bytes are in hexadecimal.
    pub fn bytes(&self) -> Vec<u8> {
        if !self.is_postgres() {
            let files = ["hongbao.db", "hongbao.db-wal"].map(|name| self.folder.path().join(name));
            return files
                .iter()
                .flat_map(|file| std::fs::read(file).unwrap_or_default())
                .collect();
        }
        let dump = Command::new(postgres_bin().join("pg_dump"))
            .args(["--dbname", &self.url])
            .output()
            .unwrap();
        assert!(dump.status.success(), "{dump:?}");
        dump.stdout
    }

    pub fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }
}

fn next_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Migrated once for all tests of this process.
fn sqlite_template() -> &'static Path {
    static TEMPLATE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, file) = TEMPLATE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("template.db");
        migrate(&format!("sqlite://{}", file.display()));
        (folder, file)
    });
    file
}

fn migrate(url: &str) {
    let settings = hongbao::store::Settings {
        url: url.to_owned(),
        connections_max: 2,
        time_scale: 1,
    };
    // A thread of its own: a test's runtime may be around already.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime
            .block_on(hongbao::store::migrate(&settings))
            .unwrap();
    })
    .join()
    .unwrap();
}

/// A PostgreSQL server of this process.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: u16,
    /// Closed by the operating system when this process ends.
    _watchdog: std::process::Child,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Server::start();
        server.sql("postgres", "CREATE DATABASE migrated");
        migrate(&server.url("migrated"));
        server
    })
}

impl Server {
    /// The one that the tests of this process share.
    pub fn shared() -> &'static Self {
        server()
    }

    /// Starts a server in a fresh folder.
    pub fn start() -> Self {
        let bin = postgres_bin();
        let folder = tempfile::Builder::new()
            .prefix("hongbao-pg-")
            .tempdir()
            .unwrap()
            .keep();
        let as_root = is_root();
        if as_root {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let port = free_port();
        let data = folder.join("data");
        run(&mut unprivileged(
            as_root,
            &bin.join("initdb"),
            &[
                "--pgdata",
                data.to_str().unwrap(),
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            ],
        ));
        pg_start(as_root, &folder, port);
        let watchdog = watch(as_root, &bin, &folder);
        Self {
            folder,
            port,
            _watchdog: watchdog,
        }
    }

    /// Ends it, as when its machine goes away; the data stay.
    pub fn stop(&self) {
        let data = self.folder.join("data");
        let arguments = ["--pgdata", data.to_str().unwrap(), "--mode", "immediate"];
        run(&mut unprivileged(
            is_root(),
            &postgres_bin().join("pg_ctl"),
            &[&arguments[..], &["stop"]].concat(),
        ));
    }

    /// Starts it anew with the same data, on the same port.
    pub fn start_again(&self) {
        pg_start(is_root(), &self.folder, self.port);
    }

    /// How much its log holds.
    pub fn log_size(&self) -> usize {
        std::fs::read(self.folder.join("log")).unwrap().len()
    }

    /// What it has logged since then.
    pub fn log_since(&self, mark: usize) -> String {
        let log = std::fs::read(self.folder.join("log")).unwrap();
        String::from_utf8_lossy(&log[mark..]).into_owned()
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a statement with psql, whose way is not ours.
    pub fn sql(&self, database: &str, statement: &str) {
        let port = self.port.to_string();
        let psql = postgres_bin().join("psql");
        run(Command::new(psql).args([
            "-h",
            self.folder.to_str().unwrap(),
            "-p",
            &port,
            "-U",
            "postgres",
            "-d",
            database,
            "-v",
            "ON_ERROR_STOP=1",
            "-qAtc",
            statement,
        ]));
    }
}

fn pg_start(as_root: bool, folder: &Path, port: u16) {
    let options = format!(
        "-p {port} -k {} -c listen_addresses=127.0.0.1 -c max_connections=300",
        folder.display()
    );
    run(&mut unprivileged(
        as_root,
        &postgres_bin().join("pg_ctl"),
        &[
            "--pgdata",
            folder.join("data").to_str().unwrap(),
            "--log",
            folder.join("log").to_str().unwrap(),
            "--options",
            &options,
            "--wait",
            "start",
        ],
    ));
}

/// Waits for this process to end, then stops the server and removes its folder.
fn watch(as_root: bool, bin: &Path, folder: &Path) -> std::process::Child {
    let stop = format!(
        "trap '' INT TERM HUP; cat >/dev/null; {}{} --pgdata {}/data --mode immediate stop >/dev/null 2>&1; rm -rf {}",
        if as_root {
            "setpriv --reuid=postgres --regid=postgres --clear-groups "
        } else {
            ""
        },
        bin.join("pg_ctl").display(),
        folder.display(),
        folder.display(),
    );
    Command::new("sh")
        .args(["-c", &stop])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn unprivileged(as_root: bool, program: &Path, arguments: &[&str]) -> Command {
    let mut command = if as_root {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments).current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.starts_with(b"0\n")
}

/// The newest server programs: Debian keeps them out of PATH.
fn postgres_bin() -> PathBuf {
    let on_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut versions: Vec<PathBuf> = debian
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    versions.sort();
    versions
        .into_iter()
        .rev()
        .chain(on_path)
        .find(|bin| bin.join("initdb").exists() && bin.join("pg_ctl").exists())
        .expect("PostgreSQL's server programs are missing; run scripts/test, which installs them")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
