//! Looking at the database while servers are killed, and a reader of its rows that
//! shares no query with the product.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hongbao::store::{Settings, Store};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};

use super::process::TIME_SCALE;
use crate::support::TestDb;

/// Between two samples of every rule.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// A store of our own beside the servers.
pub async fn open_store(db: &TestDb) -> Store {
    let mut config = hongbao::config::Config::default();
    config.database.url = db.url.clone();
    config.keys.file = Some(db.folder.path().join("keys.toml"));
    let settings = Settings {
        url: db.url.clone(),
        connections_max: 2,
        time_scale: TIME_SCALE,
    };
    let keys = hongbao::app::keys(&config).unwrap();
    Store::open(&settings, keys).await.unwrap()
}

/// Samples every rule again and again.
#[derive(Debug)]
pub struct Sampler {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Samples>,
}

#[derive(Debug, Default)]
pub struct Samples {
    pub taken: u64,
    /// The first findings, each a rule and the ids that break it.
    pub findings: Vec<String>,
    /// Samples that the database did not answer.
    pub failed: u64,
    /// How long one took at most.
    pub slowest: Duration,
}

impl Sampler {
    pub fn start(store: Store) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut samples = Samples::default();
            while !told.load(Ordering::Relaxed) {
                let since = Instant::now();
                let verified = store.verify().await;
                samples.slowest = samples.slowest.max(since.elapsed());
                match verified {
                    Ok(findings) => {
                        samples.taken += 1;
                        for finding in findings {
                            if samples.findings.len() < 20 {
                                samples
                                    .findings
                                    .push(format!("{}: {:?}", finding.check.name, finding.ids));
                            }
                        }
                    }
                    Err(error) => {
                        samples.failed += 1;
                        println!("a sample failed: {error}");
                    }
                }
                tokio::time::sleep(SAMPLE_EVERY).await;
            }
            samples
        });
        Self { stop, task }
    }

    pub async fn stop(self) -> Samples {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Rows, by plain SQL.
#[derive(Debug)]
pub struct Rows(DatabaseConnection);

impl Rows {
    pub async fn connect(db: &TestDb) -> Self {
        let mut options = sea_orm::ConnectOptions::new(db.url.clone());
        options.sqlx_logging(false).max_connections(1);
        Self(Database::connect(options).await.unwrap())
    }

    async fn query(&self, sql: &str) -> Vec<sea_orm::QueryResult> {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        self.0.query_all_raw(statement).await.unwrap()
    }

    /// The number that a statement gives as `n`.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.query(sql).await;
        rows[0].try_get("", "n").unwrap()
    }

    /// The pairs that a statement gives as `name` and `n`.
    pub async fn named(&self, sql: &str) -> Vec<(String, i64)> {
        let rows = self.query(sql).await;
        let pair = |row: &sea_orm::QueryResult| {
            (
                row.try_get("", "name").unwrap(),
                row.try_get("", "n").unwrap(),
            )
        };
        rows.iter().map(pair).collect()
    }

    /// Brings everything that SQLite has written into the file.
    pub async fn checkpoint(&self) {
        self.query("PRAGMA wal_checkpoint(TRUNCATE)").await;
    }

    /// Packets that have not ended, and are not with a person either.
    pub async fn open(&self) -> i64 {
        self.number(
            "SELECT COUNT(*) AS n FROM issuance
             WHERE state NOT IN ('RECEIVED', 'REFUNDED', 'FAILED', 'CANCELLED', 'REVIEW')",
        )
        .await
    }
}
