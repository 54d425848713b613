//! Ids, leased in blocks.
//!
//! A replica takes a block of ids with one statement and gives them out from
//! memory, so a row's id is known before its insert and no statement has to return
//! it. A block that is not used up when the process ends is lost, which costs
//! nothing: ids promise to be unique and positive, not gapless.

use std::collections::HashMap;
use std::ops::Range;

use sea_orm::{ConnectionTrait, DbErr, Statement};
use tokio::sync::Mutex;

use super::Store;
use crate::domain::{Error, Result};

/// What ids are leased here.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    free: Mutex<HashMap<&'static str, Range<i64>>>,
}

/// Few enough to keep ids small where things are rare.
const BLOCK_MIN: i64 = 16;
/// Many enough that leasing does not show where they are made in bulk.
const BLOCK_BULK: i64 = 2_048;

impl Store {
    /// As many ids of a kind, ascending.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub(super) async fn ids(&self, kind: &'static str, count: usize) -> Result<Vec<i64>> {
        let count = i64::try_from(count).map_err(|e| Error::internal("too many ids at once", e))?;
        let mut free = self.inner.ids.free.lock().await;
        let block = free.entry(kind).or_insert(0..0);
        let mut ids: Vec<i64> = block
            .by_ref()
            .take(usize::try_from(count).unwrap_or(usize::MAX))
            .collect();
        let missing = count - i64::try_from(ids.len()).unwrap_or(count);
        if missing > 0 {
            let size = if missing > 1 || matches!(kind, "issuance" | "attempt" | "exchange") {
                BLOCK_BULK
            } else {
                BLOCK_MIN
            };
            let mut leased = self.lease(kind, missing.max(size)).await?;
            ids.extend(
                leased
                    .by_ref()
                    .take(usize::try_from(missing).unwrap_or(usize::MAX)),
            );
            *block = leased;
        }
        Ok(ids)
    }

    /// One id of a kind.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub(super) async fn id(&self, kind: &'static str) -> Result<i64> {
        let ids = self.ids(kind, 1).await?;
        ids.first()
            .copied()
            .ok_or_else(|| Error::internal("no id was leased", kind))
    }

    /// A block, in a task of its own for the reason that [`super::tx`] gives.
    async fn lease(&self, kind: &'static str, size: i64) -> Result<Range<i64>> {
        let store = self.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "a cancelled caller must not leave a half-sent statement"
        )]
        let task = tokio::spawn(async move { lease_block(store.writer(), kind, size).await });
        let end = task
            .await
            .map_err(|e| Error::internal("leasing ids panicked", e))?
            .map_err(super::tx::to_error)?;
        Ok(end - size..end)
    }
}

async fn lease_block(db: &impl ConnectionTrait, kind: &str, size: i64) -> Result<i64, DbErr> {
    let text = "INSERT INTO id_block (kind, next_id) VALUES ($1, $2 + 1) \
                ON CONFLICT (kind) DO UPDATE SET next_id = id_block.next_id + $2 RETURNING next_id";
    let statement =
        Statement::from_sql_and_values(db.get_database_backend(), text, [kind.into(), size.into()]);
    let row = db.query_one_raw(statement).await?;
    row.map_or_else(
        || Err(DbErr::RecordNotFound("no block of ids".to_owned())),
        |row| row.try_get("", "next_id"),
    )
}
