//! A connection of the test's own, past the service: to look at rows, to break
//! them, and to see what the database itself refuses.

use std::collections::BTreeMap;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr,
    Statement, TransactionTrait as _,
};

use super::database::TestDb;

/// Rows by table.
pub type Counts = BTreeMap<String, i64>;

/// One connection, so that what a session is told stays told.
#[derive(Debug)]
pub struct Raw {
    db: DatabaseConnection,
}

impl Raw {
    pub async fn open(db: &TestDb) -> Self {
        Self::connect(&db.url).await
    }

    pub async fn connect(url: &str) -> Self {
        let mut options = ConnectOptions::new(url.to_owned());
        options
            .sqlx_logging(false)
            .max_connections(1)
            .min_connections(1);
        Self {
            db: Database::connect(options).await.unwrap(),
        }
    }

    /// Runs statements.
    pub async fn run(&self, sql: &str) {
        self.try_run(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub async fn try_run(&self, sql: &str) -> Result<u64, DbErr> {
        Ok(self.db.execute_unprepared(sql).await?.rows_affected())
    }

    /// Expects that the database says no, and gives its words.
    pub async fn refused(&self, sql: &str) -> String {
        match self.try_run(sql).await {
            Ok(rows) => panic!("{sql}: went through, {rows} rows"),
            Err(error) => error.to_string(),
        }
    }

    /// The first column of every row, as numbers.
    pub async fn numbers(&self, sql: &str) -> Vec<i64> {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let rows = self.db.query_all_raw(statement).await.unwrap();
        rows.iter()
            .map(|row| row.try_get_by_index(0).unwrap())
            .collect()
    }

    pub async fn number(&self, sql: &str) -> i64 {
        self.numbers(sql).await[0]
    }

    /// The first column of every row, as texts; NULL is empty.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let rows = self.db.query_all_raw(statement).await.unwrap();
        rows.iter()
            .map(|row| {
                let text: Option<String> = row.try_get_by_index(0).unwrap();
                text.unwrap_or_default()
            })
            .collect()
    }

    /// Runs a statement; gives how many rows it changed.
    pub async fn execute(&self, sql: &str) -> u64 {
        self.try_run(sql).await.unwrap()
    }

    /// Keeps everybody else from writing packets until this is rolled back.
    pub async fn hold(&self) -> DatabaseTransaction {
        self.hold_table("issuance").await
    }

    /// Keeps everybody else from writing to a table, or locking its rows, until this is
    /// rolled back.
    pub async fn hold_table(&self, table: &str) -> DatabaseTransaction {
        let held = self.db.begin().await.unwrap();
        let text = if self.db.get_database_backend() == sea_orm::DbBackend::Postgres {
            format!("LOCK TABLE {table} IN EXCLUSIVE MODE")
        } else {
            format!("UPDATE {table} SET version = version")
        };
        held.execute_unprepared(&text).await.unwrap();
        held
    }

    /// Every table's rows, and the versions of what changes in place. Leased id
    /// blocks are left out: an id that nobody gets is not a trace of a call. So is where the
    /// feeds end, which moves some time after a call.
    pub async fn counts(&self) -> Counts {
        let tables = if self.db.get_database_backend() == sea_orm::DbBackend::Postgres {
            "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = 'public'"
        } else {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        };
        let mut counts = Counts::new();
        for name in self.texts(tables).await {
            if name != "id_block" && name != "event_head" {
                let count = self.number(&format!("SELECT COUNT(*) FROM {name}")).await;
                counts.insert(name, count);
            }
        }
        assert!(counts.len() > 10, "{counts:?}");
        for table in ["campaign", "issuance", "voucher", "voucher_product"] {
            let text = format!("SELECT CAST(COALESCE(SUM(version), 0) AS BIGINT) FROM {table}");
            counts.insert(format!("{table} versions"), self.number(&text).await);
        }
        counts
    }

    /// Takes down what the schema itself would refuse, so that a test can break
    /// what the schema guards. For this database, and for ever.
    pub async fn unguard(&self, table: &str) {
        if self.db.get_database_backend() == sea_orm::DbBackend::Sqlite {
            // SQLite drops no constraint; a copy of the rows has none.
            self.run("PRAGMA foreign_keys = OFF").await;
            self.run(&format!("CREATE TABLE bare AS SELECT * FROM {table}"))
                .await;
            self.run(&format!("DROP TABLE {table}")).await;
            self.run(&format!("ALTER TABLE bare RENAME TO {table}"))
                .await;
            return;
        }
        let constraints = format!(
            "SELECT conname::text FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype IN ('c', 'f', 'u')"
        );
        for name in self.texts(&constraints).await {
            self.run(&format!(
                "ALTER TABLE {table} DROP CONSTRAINT \"{name}\" CASCADE"
            ))
            .await;
        }
    }

    pub async fn close(self) {
        self.db.close().await.unwrap();
    }
}
