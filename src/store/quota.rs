//! A provider's quotas, shared exactly by all replicas: instants are given away, and
//! days are counted, by claims that take turns on one row of the account.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, Set,
};

use super::Store;
use super::audience::open_openid;
use super::entity::{account_pace, attempt, issuance, provider_account, quota_usage};
use super::money_breaker::Gate;
use super::tx::{Fault, Tx, to_error};
use crate::domain::cap::Used;
use crate::domain::id::{AccountId, IssuanceId, ShopId};
use crate::domain::quota::{self, Lane};
use crate::domain::text::Appid;
use crate::domain::{Error, Result, State, Timestamp};

/// Counters of one statement at most.
const CHUNK: usize = 500;

/// Instants that are given to a claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    account: AccountId,
    lane: Lane,
    first: Timestamp,
    interval: Duration,
    /// How many.
    pub(super) count: u64,
}

/// Packets that may be sent today, and how many must wait.
#[derive(Debug, Default)]
pub(super) struct Fitting {
    pub(super) rows: Vec<issuance::Model>,
    /// The last day on which each counts.
    pub(super) day: i64,
    /// How many wait for another day, by whose quota is full.
    pub(super) waiting: BTreeMap<&'static str, u64>,
}

impl Store {
    /// Gives one instant away: how long to wait until it has come.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn slot(&self, account: AccountId, lane: Lane, per_second: i32) -> Result<Duration> {
        self.write(move |tx| {
            Box::pin(async move {
                let far = Duration::from_secs(3_600);
                let slots = tx.slots(account, lane, per_second, 1, far).await?;
                tx.take_slots(&slots, 1).await?;
                Ok(slots.wait(tx, 0))
            })
        })
        .await
    }

    /// Whether an account may send nothing more today, not even its smallest packet.
    pub(super) async fn account_is_full(
        &self,
        account: &provider_account::Model,
        now: Timestamp,
    ) -> Result<bool> {
        let quota = account.quota();
        if quota.sum.is_none() {
            return Ok(false);
        }
        let days = quota::days(now, quota::guard(self.clock().scale()));
        let rows = quota_usage::Entity::find()
            .filter(quota_usage::Column::AccountId.eq(account.id))
            .filter(quota_usage::Column::Day.is_in(days))
            .filter(quota_usage::Column::OpenidIndex.eq(Vec::<u8>::new()))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let smallest = Used::one(account.min_amount_fen);
        let whole = quota.of_account();
        Ok(rows.iter().any(|row| !whole.allows(row.used(), smallest)))
    }
}

impl Slots {
    /// How long to wait for the n-th of them.
    pub(super) fn wait(&self, tx: &Tx, n: u32) -> Duration {
        let at = self.first.plus(self.interval.saturating_mul(n));
        at.since(tx.real())
    }
}

impl Tx {
    /// Instants that are free within a span from now. Until the unit ends, nobody else
    /// gets any of this account and lane.
    pub(super) async fn slots(
        &self,
        account: AccountId,
        lane: Lane,
        per_second: i32,
        wanted: u64,
        ahead: Duration,
    ) -> Result<Slots, Fault> {
        let row = account_pace::Entity::find_by_id((account, lane))
            .lock_exclusive()
            .one(self)
            .await?;
        let row = row.ok_or_else(|| Error::internal("an account without pace", "quota"))?;
        let first = Ord::max(row.next_time, self.real());
        let interval = quota::interval(per_second);
        let until = self.real().plus(ahead);
        Ok(Slots {
            account,
            lane,
            first,
            interval,
            count: quota::slots(first, until, interval, wanted),
        })
    }

    /// Takes the first so many of them.
    pub(super) async fn take_slots(&self, slots: &Slots, count: usize) -> Result<(), Fault> {
        if count == 0 {
            return Ok(());
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let next = slots.first.plus(slots.interval.saturating_mul(count));
        account_pace::Entity::update_many()
            .col_expr(account_pace::Column::NextTime, Expr::value(next))
            .filter(account_pace::Column::AccountId.eq(slots.account))
            .filter(account_pace::Column::Lane.eq(slots.lane))
            .exec(self)
            .await?;
        Ok(())
    }

    /// The lanes of a new account.
    pub(super) async fn insert_pace(&self, account: AccountId) -> Result<(), Fault> {
        let lanes = [Lane::Send, Lane::Query].map(|lane| account_pace::ActiveModel {
            account_id: Set(account),
            lane: Set(lane),
            next_time: Set(Timestamp(0)),
        });
        account_pace::Entity::insert_many(lanes)
            .exec_without_returning(self)
            .await?;
        Ok(())
    }

    /// Counts packets against the day's quotas, each number once a day; those that do
    /// not fit become due when the next day has surely begun. The claim holds the
    /// account's lane, so nobody counts beside it.
    pub(super) async fn within_quota(
        &self,
        store: &Store,
        account: &provider_account::Model,
        rows: Vec<issuance::Model>,
        gate: &mut Gate,
    ) -> Result<Fitting, Fault> {
        let guard = quota::guard(store.clock().scale());
        let days = quota::days(self.now(), guard);
        let quota = account.quota();
        let mut fitting = Fitting {
            day: *days.end(),
            ..Fitting::default()
        };
        let counted = self.counted_until(&rows).await?;
        let mut named: Vec<(issuance::Model, Vec<u8>)> = Vec::with_capacity(rows.len());
        for row in rows {
            let index = match quota.counts_openids() {
                true => {
                    let cipher = row.openid_cipher.as_deref();
                    let cipher = cipher
                        .ok_or_else(|| Error::internal("a queued packet has no openid", "quota"))?;
                    openid_index(store, row.shop_id, &row.appid, cipher)?
                }
                false => Vec::new(),
            };
            named.push((row, index));
        }
        let indexes: BTreeSet<&Vec<u8>> = named.iter().map(|(_, index)| index).collect();
        let mut used = self.quota_used(account.id, &days, indexes).await?;
        let mut more: BTreeMap<(i64, Vec<u8>), Used> = BTreeMap::new();
        let mut waiting: BTreeMap<&'static str, Vec<IssuanceId>> = BTreeMap::new();
        for (row, index) in named {
            let until = counted.get(&row.id).copied().unwrap_or(i64::MIN);
            let new: Vec<i64> = days.clone().filter(|day| *day > until).collect();
            let of = |used: &HashMap<(i64, Vec<u8>), Used>, day, index: &[u8]| {
                used.get(&(day, index.to_vec()))
                    .copied()
                    .unwrap_or_default()
            };
            let full = new.iter().find_map(|day| {
                let openid = of(&used, *day, &index);
                quota.full(openid, of(&used, *day, &[]), row.amount_fen)
            });
            if let Some(full) = full {
                waiting.entry(full.code()).or_default().push(row.id);
                continue;
            }
            // What the plan holds back uses up no quota, and what the quota holds back no plan.
            if !gate.admits(&row) {
                continue;
            }
            for day in new {
                let mut subjects = vec![Vec::new()];
                subjects.extend((!index.is_empty()).then(|| index.clone()));
                for subject in subjects {
                    let one = Used::one(row.amount_fen);
                    for sums in [
                        used.entry((day, subject.clone())).or_default(),
                        more.entry((day, subject)).or_default(),
                    ] {
                        *sums = sums
                            .plus(one)
                            .ok_or_else(|| Error::internal("a sum does not fit", "quota"))?;
                    }
                }
            }
            fitting.rows.push(row);
        }
        self.add_to_quota(account.id, more).await?;
        let until = quota::next_day(self.now(), guard);
        for (code, ids) in waiting {
            fitting
                .waiting
                .insert(code, u64::try_from(ids.len()).unwrap_or(u64::MAX));
            issuance::Entity::update_many()
                .col_expr(issuance::Column::DueTime, Expr::value(Some(until)))
                .col_expr(issuance::Column::LastError, Expr::value(Some(code)))
                .filter(issuance::Column::Id.is_in(ids))
                .exec(self)
                .await?;
        }
        Ok(fitting)
    }

    /// Until which day numbers that go out again are counted.
    async fn counted_until(
        &self,
        rows: &[issuance::Model],
    ) -> Result<HashMap<IssuanceId, i64>, Fault> {
        let again = rows.iter().filter(|row| row.state != State::Queued);
        let keys: Vec<i64> = again.map(|row| row.id.0).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<(IssuanceId, Option<i64>)> = attempt::Entity::find()
            .select_only()
            .column(attempt::Column::IssuanceId)
            .column(attempt::Column::QuotaDay)
            .filter(attempt::Column::LiveKey.is_in(keys))
            .into_tuple()
            .all(self)
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|(id, day)| Some((id, day?)))
            .collect())
    }

    pub(super) async fn quota_used(
        &self,
        account: AccountId,
        days: &std::ops::RangeInclusive<i64>,
        indexes: BTreeSet<&Vec<u8>>,
    ) -> Result<HashMap<(i64, Vec<u8>), Used>, Fault> {
        let mut subjects: Vec<Vec<u8>> = indexes.into_iter().cloned().collect();
        subjects.push(Vec::new());
        let mut used = HashMap::new();
        for chunk in subjects.chunks(CHUNK) {
            let rows = quota_usage::Entity::find()
                .filter(quota_usage::Column::AccountId.eq(account))
                .filter(quota_usage::Column::Day.is_in(days.clone()))
                .filter(quota_usage::Column::OpenidIndex.is_in(chunk.iter().cloned()))
                .all(self)
                .await?;
            used.extend(rows.into_iter().map(|row| {
                let sums = row.used();
                ((row.day, row.openid_index), sums)
            }));
        }
        Ok(used)
    }

    async fn add_to_quota(
        &self,
        account: AccountId,
        more: BTreeMap<(i64, Vec<u8>), Used>,
    ) -> Result<(), Fault> {
        use quota_usage::{ActiveModel, Column, Entity};
        let plus =
            |column: Column| Expr::col((Entity, column)).add(Expr::col(("excluded", column)));
        let add = OnConflict::columns([Column::AccountId, Column::Day, Column::OpenidIndex])
            .value(Column::UsedCount, plus(Column::UsedCount))
            .value(Column::UsedFen, plus(Column::UsedFen))
            .to_owned();
        let rows: Vec<ActiveModel> = more
            .into_iter()
            .map(|((day, index), used)| ActiveModel {
                account_id: Set(account),
                day: Set(day),
                openid_index: Set(index),
                used_count: Set(used.count),
                used_fen: Set(used.sum),
            })
            .collect();
        for chunk in rows.chunks(CHUNK) {
            Entity::insert_many(chunk.to_vec())
                .on_conflict(add.clone())
                .exec_without_returning(self)
                .await?;
        }
        Ok(())
    }
}

/// Whom a packet is for, alike in all shops of a merchant.
pub(super) fn openid_index(
    store: &Store,
    shop: ShopId,
    appid: &Appid,
    cipher: &[u8],
) -> Result<Vec<u8>> {
    let openid = open_openid(store.keys(), shop, cipher)?;
    let column = format!("quota/{appid}");
    Ok(store.keys().blind_index(&column, openid.expose()))
}

/// What counts against an account's quota of a day.
pub(super) async fn used_of_account(
    db: &impl ConnectionTrait,
    id: AccountId,
    day: i64,
) -> Result<Used, Fault> {
    let row = quota_usage::Entity::find_by_id((id, day, Vec::new()))
        .one(db)
        .await?;
    Ok(row.map(|row| row.used()).unwrap_or_default())
}
