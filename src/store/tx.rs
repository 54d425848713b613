//! Units of work.
//!
//! A unit runs in a spawned task of its own: a handler that is dropped by a
//! client's cancel or deadline waits no longer, but its unit goes on to COMMIT or
//! ROLLBACK. A unit is run again when the database asks for it (serialization,
//! deadlock, lock time-out, busy), so it is a closure that can be called again.
//!
//! A transaction in which a statement failed can only be rolled back: PostgreSQL
//! answers COMMIT there with success and the tag ROLLBACK, and sqlx does not look.
//! [`Tx`] remembers the failure, and a commit after it is refused.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, SqliteTransactionMode, SqlxError, Statement, TransactionOptions,
    TransactionTrait,
};

use super::{Store, database_now};
use crate::domain::{Error, Reason, Result, Timestamp};

/// A boxed future that borrows the transaction.
pub(super) type Work<'t, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 't>>;

/// Why a unit ends without effect.
#[derive(Debug)]
pub enum Fault {
    /// The database failed.
    Db(DbErr),
    /// A rule says no.
    Refused(Error),
    /// Somebody else was faster: the unit is to be run again on what is there now.
    Again,
}

impl From<DbErr> for Fault {
    fn from(error: DbErr) -> Self {
        Self::Db(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Db(error) => to_error(error),
            Fault::Refused(error) => error,
            Fault::Again => Error::new(
                Reason::ConcurrentUpdate,
                "many write here at once; repeat the call".to_owned(),
            ),
        }
    }
}

/// How a unit ends that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is kept.
    Commit,
    /// It was only tried.
    RollBack,
}

/// A transaction.
#[derive(Debug)]
pub struct Tx {
    inner: DatabaseTransaction,
    failed: AtomicBool,
    now: Timestamp,
    real: Timestamp,
}

impl Tx {
    /// The service's time, read from the database when the transaction began.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The service's time at this instant: for what is decided after waiting for locks.
    pub(super) async fn clock(&self, store: &Store) -> Result<Timestamp, DbErr> {
        Ok(store.clock().scaled(database_now(self).await?))
    }

    /// The database's own time then, which no scale makes faster.
    #[must_use]
    pub fn real(&self) -> Timestamp {
        self.real
    }

    fn watch<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    async fn finish(self, end: End) -> Result<(), DbErr> {
        if end == End::RollBack {
            return self.inner.rollback().await;
        }
        if self.failed.load(Ordering::Relaxed) {
            let error =
                DbErr::Custom("a statement failed; the transaction cannot be committed".to_owned());
            self.inner.rollback().await?;
            return Err(error);
        }
        self.inner.commit().await
    }
}

#[sea_orm::prelude::async_trait::async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.watch(self.inner.execute_raw(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.watch(self.inner.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.watch(self.inner.query_one_raw(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.watch(self.inner.query_all_raw(statement).await)
    }
}

/// How often a unit is run before its caller is told to come again.
const TRIES_MAX: u32 = 6;

impl Store {
    /// Runs a unit and commits it.
    ///
    /// # Errors
    /// What the unit refuses, and DATABASE_UNAVAILABLE.
    pub async fn write<T, F>(&self, unit: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t Tx) -> Work<'t, T> + Send + Sync + 'static,
    {
        self.write_or_try(End::Commit, unit).await
    }

    /// Runs a unit and commits it, or rolls it back if it was only to be tried.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_or_try<T, F>(&self, end: End, unit: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t Tx) -> Work<'t, T> + Send + Sync + 'static,
    {
        let store = self.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "the unit must outlive its caller; close() waits for its connection"
        )]
        let task = tokio::spawn(async move { store.run(end, unit).await });
        match task.await {
            Ok(result) => result,
            Err(error) => Err(Error::internal("a unit of work panicked", error)),
        }
    }

    async fn run<T, F>(&self, end: End, unit: F) -> Result<T>
    where
        F: for<'t> Fn(&'t Tx) -> Work<'t, T> + Send + Sync + 'static,
    {
        let mut tries = 1;
        loop {
            match self.attempt(end, &unit).await {
                Err(fault) if tries < TRIES_MAX && wants_another_run(&fault) => {
                    tracing::debug!(?fault, tries, "a unit is run again");
                    let spread = crate::clock::random_u64() % 10;
                    tokio::time::sleep(Duration::from_millis(u64::from(tries) * 10 + spread)).await;
                    tries += 1;
                }
                Err(fault) => return Err(fault.into()),
                Ok(value) => return Ok(value),
            }
        }
    }

    async fn attempt<T, F>(&self, end: End, unit: &F) -> Result<T, Fault>
    where
        F: for<'t> Fn(&'t Tx) -> Work<'t, T> + Send + Sync + 'static,
    {
        let inner = begin(&self.inner.writer).await?;
        let real = database_now(&inner).await?;
        let tx = Tx {
            inner,
            failed: AtomicBool::new(false),
            now: self.inner.clock.scaled(real),
            real,
        };
        match unit(&tx).await {
            Ok(value) => {
                tx.finish(end).await?;
                Ok(value)
            }
            Err(fault) => {
                tx.finish(End::RollBack).await?;
                Err(fault)
            }
        }
    }

    /// The connection for reads outside of a transaction.
    pub(super) fn reader(&self) -> &DatabaseConnection {
        &self.inner.reader
    }

    /// The connection for writes outside of a unit: leases of ids.
    pub(super) fn writer(&self) -> &DatabaseConnection {
        &self.inner.writer
    }
}

/// On SQLite a transaction that will write says so at once; one that upgrades
/// later can be refused at any moment.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place where transactions begin"
)]
async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    db.begin_with_options(TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    })
    .await
}

fn wants_another_run(fault: &Fault) -> bool {
    match fault {
        Fault::Db(error) => wants_retry(error),
        Fault::Again => true,
        Fault::Refused(_) => false,
    }
}

/// Whether the database says that the same unit would go through if run again.
fn wants_retry(error: &DbErr) -> bool {
    let Some(code) = database_code(error) else {
        return false;
    };
    // 40001 serialization, 40P01 deadlock, 55P03 lock time-out; SQLITE_BUSY and its kin.
    matches!(
        code.as_str(),
        "40001" | "40P01" | "55P03" | "5" | "261" | "517"
    )
}

fn sqlx_error(error: &DbErr) -> Option<&SqlxError> {
    if let DbErr::Exec(RuntimeErr::SqlxError(e))
    | DbErr::Query(RuntimeErr::SqlxError(e))
    | DbErr::Conn(RuntimeErr::SqlxError(e)) = error
    {
        return Some(e);
    }
    None
}

fn database_code(error: &DbErr) -> Option<String> {
    let code = sqlx_error(error)?.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// Whether the database is away rather than wrong.
fn is_away(error: &DbErr) -> bool {
    if matches!(error, DbErr::ConnectionAcquire(_)) || wants_retry(error) {
        return true;
    }
    match (database_code(error), sqlx_error(error)) {
        // Class 08 connection, 53 resources, 57 operator intervention; 25006 read-only.
        (Some(code), _) => {
            code == "25006"
                || ["08", "53", "57"]
                    .iter()
                    .any(|class| code.starts_with(class))
        }
        // Without a code: the connection broke, unless a value did not decode.
        (None, Some(error)) => !matches!(
            error,
            SqlxError::ColumnDecode { .. } | SqlxError::Decode(_) | SqlxError::ColumnNotFound(_)
        ),
        (None, None) => false,
    }
}

/// What a failure of the database means to a caller.
pub(super) fn to_error(error: DbErr) -> Error {
    if is_away(&error) {
        let text =
            "the database does not answer; repeat the call with the same request_id".to_owned();
        return Error {
            source: Some(error.into()),
            ..Error::new(Reason::DatabaseUnavailable, text)
        };
    }
    Error::internal("the database refused a statement", error)
}

/// Whether a statement met a row that is there already.
pub(super) fn is_duplicate(error: &DbErr) -> bool {
    matches!(
        error.sql_err(),
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_))
    )
}
