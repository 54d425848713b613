//! The database: SQL and rows. Nobody else names a query.
//!
//! Three rules hold everywhere in here. A unit of work runs in a task of its own
//! (`tx`), so a caller that goes away never tears a transaction apart. Whatever
//! may race is one conditional statement whose row count is looked at. And the hot
//! row of a campaign is updated last, right before COMMIT.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::Executor as _;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
};

use crate::clock::Clock;
use crate::domain::{Error, Reason, Result, Timestamp};

pub mod account;
pub mod app;
pub mod approval;
pub mod audience;
pub mod audit;
mod batch;
mod breaker;
pub mod callback;
pub mod campaign;
pub mod claim;
pub mod crypt;
pub mod entity;
pub mod event;
mod ids;
pub mod issue;
mod journal;
pub mod list;
pub mod lock;
pub mod money_breaker;
pub mod overview;
pub mod packets;
pub mod page;
mod quota;
pub mod read;
pub mod refresh;
pub mod request;
pub mod resend;
pub mod review;
mod search;
pub mod settle;
pub mod shop;
pub mod signing;
pub mod stop;
mod tx;
mod usage;
pub mod verify;
pub mod voucher;
pub mod webhook;

pub use request::Call;
pub use tx::{End, Fault, Tx};

/// How to open a database.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite://PATH` or `postgres://…`.
    pub url: String,
    /// Connections at most; on SQLite, of readers.
    pub connections_max: u32,
    /// How many times as fast as real time to live.
    pub time_scale: u32,
}

/// The database, cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    clock: Clock,
    keys: crypt::Keys,
    ids: ids::Blocks,
}

impl Store {
    /// Opens a database whose schema is up to date.
    ///
    /// # Errors
    /// A sentence that says what to do: the database does not answer, migrations
    /// are pending, the keys are not those that it was written with.
    pub async fn open(settings: &Settings, keys: crypt::Keys) -> anyhow::Result<Self> {
        let (writer, reader) = connect(settings).await?;
        let pending = pending_migrations(&writer).await?;
        anyhow::ensure!(
            pending.is_empty(),
            "migrations are pending ({}); run `hongbao migrate` first",
            pending.join(", ")
        );
        check_durability(&writer).await?;
        check_keys(&writer, &keys).await?;
        let clock = open_clock(&writer, settings.time_scale).await?;
        let inner = Inner {
            writer,
            reader,
            clock,
            keys,
            ids: ids::Blocks::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The keys that numbers and amounts are derived with.
    #[must_use]
    pub fn keys(&self) -> &crypt::Keys {
        &self.inner.keys
    }

    /// The clock that the service lives by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// The service's time now, by the database's clock.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn now(&self) -> Result<Timestamp> {
        Ok(self.inner.clock.scaled(
            database_now(&self.inner.reader)
                .await
                .map_err(tx::to_error)?,
        ))
    }

    /// Whether the database takes writes: answers, and is no standby.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn check_writable(&self) -> Result<()> {
        let db = &self.inner.writer;
        if db.get_database_backend() != DbBackend::Postgres {
            return self.now().await.map(drop);
        }
        let row = db
            .query_one_raw(sql(db, "SELECT pg_is_in_recovery() AS standby"))
            .await
            .map_err(tx::to_error)?;
        let standby = row
            .map(|r| r.try_get::<bool>("", "standby"))
            .transpose()
            .map_err(tx::to_error)?;
        if standby == Some(false) {
            return Ok(());
        }
        Err(Error::new(
            Reason::DatabaseUnavailable,
            "the database is a standby".to_owned(),
        ))
    }

    /// Closes the connections. Work that is under way is finished first by its tasks.
    pub async fn close(&self) {
        for db in [&self.inner.reader, &self.inner.writer] {
            if let Err(error) = db.clone().close().await {
                tracing::debug!(%error, "closing the database");
            }
        }
    }
}

/// Brings the schema up to date. Two that run at once take turns on PostgreSQL, by
/// an advisory lock; on SQLite the caller holds the [`lock::ProcessLock`].
///
/// # Errors
/// The database does not answer, or a step fails.
pub async fn migrate(settings: &Settings) -> anyhow::Result<Vec<String>> {
    use migrations::MigratorTrait as _;
    let (writer, reader) = connect(settings).await?;
    drop(reader);
    let pending = pending_migrations(&writer).await?;
    if !pending.is_empty() {
        if writer.get_database_backend() == DbBackend::Postgres {
            wait_for_turn(&writer).await?;
        }
        migrations::Migrator::up(&writer, None).await?;
    }
    writer.close().await?;
    Ok(pending)
}

/// The lock belongs to one session of the pool and ends with it.
async fn wait_for_turn(db: &DatabaseConnection) -> anyhow::Result<()> {
    for _ in 0..600 {
        let row = db
            .query_one_raw(sql(db, "SELECT pg_try_advisory_lock(4849538770) AS mine"))
            .await?;
        if row.map(|row| row.try_get::<bool>("", "mine")).transpose()? == Some(true) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!(
        "another migration has been running for a minute; look for `hongbao migrate` elsewhere"
    )
}

async fn pending_migrations(db: &DatabaseConnection) -> anyhow::Result<Vec<String>> {
    use migrations::MigratorTrait as _;
    let pending = migrations::Migrator::get_pending_migrations_read_only(db).await?;
    Ok(pending.iter().map(|step| step.name().to_owned()).collect())
}

/// A writer and a reader. On SQLite they are two pools: one connection that writes
/// in turn, fairly and without busy errors, and several that only read and are
/// never kept waiting. On PostgreSQL they are one pool.
async fn connect(settings: &Settings) -> anyhow::Result<(DatabaseConnection, DatabaseConnection)> {
    if settings.url.starts_with("sqlite:") {
        let writer = connect_sqlite(settings, true).await?;
        let reader = connect_sqlite(settings, false).await?;
        return Ok((writer, reader));
    }
    anyhow::ensure!(
        settings.url.starts_with("postgres://") || settings.url.starts_with("postgresql://"),
        "database.url must start with sqlite:// or postgres://"
    );
    let db = connect_postgres(settings).await?;
    Ok((db.clone(), db))
}

async fn connect_sqlite(settings: &Settings, writes: bool) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        .sqlx_logging(false)
        .max_connections(if writes {
            1
        } else {
            settings.connections_max.max(2)
        })
        .min_connections(1);
    options.map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite
            .create_if_missing(writes)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "FULL");
        if writes {
            sqlite
        } else {
            sqlite.pragma("query_only", "1")
        }
    });
    options.map_sqlx_sqlite_pool_opts(|pool| pool.idle_timeout(None).max_lifetime(None));
    Ok(Database::connect(options).await?)
}

async fn connect_postgres(settings: &Settings) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        .sqlx_logging(false)
        .max_connections(settings.connections_max.max(2))
        .acquire_timeout(Duration::from_secs(5));
    options.map_sqlx_postgres_opts(|postgres| {
        postgres
            .application_name("hongbao")
            .statement_cache_capacity(256)
            .options([
                ("lock_timeout", "2s"),
                ("idle_in_transaction_session_timeout", "10s"),
                ("statement_timeout", "10s"),
            ])
    });
    // sqlx 0.9.0 leaves a transaction open when `begin` is cancelled half-way. Our
    // units of work are never cancelled; this makes the connection clean even so,
    // and PostgreSQL logs a warning only where there was something to clean.
    options.map_sqlx_postgres_pool_opts(|pool| {
        pool.after_release(|connection, _| {
            Box::pin(async move {
                connection.execute("BEGIN; ROLLBACK").await?;
                Ok(true)
            })
        })
    });
    Ok(Database::connect(options).await?)
}

/// The database's clock, in microseconds.
async fn database_now(db: &impl ConnectionTrait) -> Result<Timestamp, sea_orm::DbErr> {
    let text = if db.get_database_backend() == DbBackend::Postgres {
        "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT AS now"
    } else {
        "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now"
    };
    let row = db.query_one_raw(sql(db, text)).await?;
    let row =
        row.ok_or_else(|| sea_orm::DbErr::RecordNotFound("the database has no time".to_owned()))?;
    Ok(Timestamp(row.try_get("", "now")?))
}

/// A statement without parameters.
fn sql(db: &impl ConnectionTrait, text: &str) -> Statement {
    Statement::from_string(db.get_database_backend(), text)
}

/// Fast time starts when it is first asked for, and stays: a database that has
/// lived through days in minutes must not go back.
async fn open_clock(db: &DatabaseConnection, scale: u32) -> anyhow::Result<Clock> {
    let now = database_now(db).await?;
    let wanted = format!("{}@{}", scale.max(1), if scale > 1 { now.0 } else { 0 });
    let kept = setting(db, "clock", &wanted).await?;
    let (kept_scale, origin) = kept.split_once('@').unwrap_or(("1", "0"));
    let kept_scale: u32 = kept_scale.parse()?;
    anyhow::ensure!(
        kept_scale == scale.max(1),
        "this database was made with clock.scale = {kept_scale}; its time cannot run otherwise"
    );
    Ok(if kept_scale == 1 {
        Clock::REAL
    } else {
        Clock::fast(Timestamp(origin.parse()?), kept_scale)
    })
}

/// Other keys would read nothing and mint other numbers.
async fn check_keys(db: &DatabaseConnection, keys: &crypt::Keys) -> anyhow::Result<()> {
    let print = keys.fingerprint();
    let kept = setting(db, "keys", &print).await?;
    anyhow::ensure!(
        kept == print,
        "these are not the keys that this database was written with; see [keys] file"
    );
    Ok(())
}

/// The value of a setting, which becomes `first` if it had none.
async fn setting(db: &DatabaseConnection, name: &str, first: &str) -> anyhow::Result<String> {
    use sea_orm::EntityTrait as _;
    use sea_orm::sea_query::OnConflict;
    let row = entity::setting::ActiveModel {
        name: sea_orm::Set(name.to_owned()),
        value: sea_orm::Set(first.to_owned()),
    };
    let keep = OnConflict::column(entity::setting::Column::Name)
        .do_nothing()
        .to_owned();
    entity::setting::Entity::insert(row)
        .on_conflict(keep)
        .exec_without_returning(db)
        .await?;
    let row = entity::setting::Entity::find_by_id(name).one(db).await?;
    Ok(row.map_or_else(|| first.to_owned(), |row| row.value))
}

/// A server that acknowledges what it has not written down must not hold money.
async fn check_durability(db: &DatabaseConnection) -> anyhow::Result<()> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for (name, bad) in [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("synchronous_commit", "off"),
    ] {
        let row = db
            .query_one_raw(sql(
                db,
                &format!("SELECT current_setting('{name}') AS value"),
            ))
            .await?;
        let value: Option<String> = row.map(|row| row.try_get("", "value")).transpose()?;
        anyhow::ensure!(
            value.as_deref() != Some(bad),
            "PostgreSQL runs with {name} = {bad}: it may lose what it confirmed"
        );
    }
    Ok(())
}
