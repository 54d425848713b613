//! Giving places, and with them what is to be delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait as _, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Set, Statement,
};

use super::super::Store;
use super::super::entity::{event_head, journal, shop};
use super::super::tx::{Fault, Tx, to_error};
use crate::domain::event::Aggregate;
use crate::domain::id::ShopId;
use crate::domain::{Error, Result, Timestamp};

/// Entries of one transaction at most, but that a subject's entries are not torn apart.
const MOST: u64 = 500;
/// Ids that one statement names.
const CHUNK: usize = 200;

/// What giving places came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Entries that have a place now.
    pub entries: u64,
    /// Deliveries that were made of them.
    pub deliveries: u64,
    /// Whether there may be more.
    pub more: bool,
    /// When the oldest of them happened.
    pub oldest: Option<Timestamp>,
}

impl Store {
    /// The shops that have entries without a place.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn unplaced_shops(&self) -> Result<Vec<ShopId>> {
        use journal::Column as J;
        let waiting = Query::select()
            .expr(Expr::val(1))
            .from(journal::Entity)
            .and_where(
                Expr::col((journal::Entity, J::ShopId)).equals((shop::Entity, shop::Column::Id)),
            )
            .and_where(J::Position.is_null())
            .to_owned();
        shop::Entity::find()
            .select_only()
            .column(shop::Column::Id)
            .filter(Expr::exists(waiting))
            .order_by_asc(shop::Column::Id)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)
    }

    /// Gives places to a shop's entries, oldest first, and makes what is to be delivered of
    /// them.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn place(&self, shop: ShopId) -> Result<Placed> {
        self.write(move |tx| Box::pin(async move { tx.place(shop).await }))
            .await
    }
}

impl Tx {
    async fn place(&self, shop: ShopId) -> Result<Placed, Fault> {
        let head = self.lock_head(shop).await?;
        let rows = self.unplaced(shop).await?;
        let more = u64::try_from(rows.len()).is_ok_and(|count| count >= MOST);
        let rows = self.whole(shop, rows).await?;
        if rows.is_empty() {
            return Ok(Placed::default());
        }
        let count = i64::try_from(rows.len()).map_err(|e| Error::internal("too many", e))?;
        let placed: Vec<(i64, journal::Model)> = (head + 1..).zip(in_order(rows)).collect();
        self.set_places(&placed).await?;
        event_head::Entity::update_many()
            .col_expr(event_head::Column::Position, Expr::value(head + count))
            .col_expr(event_head::Column::UpdateTime, Expr::value(self.now()))
            .filter(event_head::Column::ShopId.eq(shop))
            .exec(self)
            .await?;
        Ok(Placed {
            entries: count.unsigned_abs(),
            deliveries: self.fan_out(shop, &placed).await?,
            more,
            oldest: placed.iter().map(|(_, row)| row.create_time).min(),
        })
    }

    /// The last place of a shop, whose row is held from now on.
    async fn lock_head(&self, shop: ShopId) -> Result<i64, Fault> {
        let first = event_head::ActiveModel {
            shop_id: Set(shop),
            position: Set(0),
            update_time: Set(self.now()),
        };
        let keep = OnConflict::column(event_head::Column::ShopId)
            .do_nothing()
            .to_owned();
        event_head::Entity::insert(first)
            .on_conflict(keep)
            .exec_without_returning(self)
            .await?;
        let row = event_head::Entity::find_by_id(shop)
            .lock_exclusive()
            .one(self)
            .await?;
        let row = row.ok_or_else(|| Error::internal("a head is gone", "event"))?;
        Ok(row.position)
    }

    async fn unplaced(&self, shop: ShopId) -> Result<Vec<journal::Model>, Fault> {
        use journal::Column as J;
        let query = journal::Entity::find()
            .filter(J::ShopId.eq(shop))
            .filter(J::Position.is_null())
            .order_by_asc(J::CreateTime)
            .limit(MOST);
        Ok(query.all(self).await?)
    }

    /// The entries with all others of their subjects that have no place: an entry may be
    /// older than the one that its transaction waited for.
    async fn whole(
        &self,
        shop: ShopId,
        rows: Vec<journal::Model>,
    ) -> Result<Vec<journal::Model>, Fault> {
        use journal::Column as J;
        if u64::try_from(rows.len()).is_ok_and(|count| count < MOST) {
            return Ok(rows);
        }
        let mut subjects: BTreeMap<&'static str, (Aggregate, BTreeSet<i64>)> = BTreeMap::new();
        for row in &rows {
            let of = subjects
                .entry(row.aggregate.name())
                .or_insert_with(|| (row.aggregate, BTreeSet::new()));
            of.1.insert(row.aggregate_id);
        }
        let mut all = Vec::with_capacity(rows.len());
        for (aggregate, ids) in subjects.into_values() {
            let ids: Vec<i64> = ids.into_iter().collect();
            for chunk in ids.chunks(CHUNK) {
                let query = journal::Entity::find().filter(
                    Condition::all()
                        .add(J::Aggregate.eq(aggregate))
                        .add(J::AggregateId.is_in(chunk.iter().copied()))
                        .add(J::ShopId.eq(shop))
                        .add(J::Position.is_null()),
                );
                all.extend(query.all(self).await?);
            }
        }
        Ok(all)
    }

    /// One statement for all of them. It is made of numbers of ours and of names from a
    /// closed set, so nothing of a caller's is in its text.
    async fn set_places(&self, placed: &[(i64, journal::Model)]) -> Result<(), Fault> {
        for chunk in placed.chunks(500) {
            let mut values = String::new();
            for (place, row) in chunk {
                let comma = if values.is_empty() { "" } else { ", " };
                let (name, id) = (row.aggregate.name(), row.aggregate_id);
                // Writing to a text does not fail.
                let _ = write!(
                    values,
                    "{comma}('{name}', {id}, {}, {}, {place})",
                    row.seq, row.line
                );
            }
            let text = format!(
                "WITH placed (aggregate, aggregate_id, seq, line, place) AS (VALUES {values}) \
                 UPDATE journal SET position = placed.place FROM placed \
                 WHERE journal.aggregate = placed.aggregate AND journal.aggregate_id = placed.aggregate_id \
                 AND journal.seq = placed.seq AND journal.line = placed.line AND journal.position IS NULL"
            );
            let statement = Statement::from_string(self.get_database_backend(), text);
            let done = self.execute_raw(statement).await?;
            let wanted = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            if done.rows_affected() != wanted {
                return Err(Error::internal("places were given twice", "event").into());
            }
        }
        Ok(())
    }
}

/// Oldest first, but the entries of one subject by their numbers: a transaction may have
/// read the clock before it waited for another one's entry.
fn in_order(mut rows: Vec<journal::Model>) -> Vec<journal::Model> {
    let subject = |row: &journal::Model| (row.aggregate.name(), row.aggregate_id);
    rows.sort_by_key(|row| (subject(row), row.seq, row.line));
    let mut latest: Option<((&'static str, i64), Timestamp)> = None;
    let mut keyed = Vec::with_capacity(rows.len());
    for row in rows {
        let of = subject(&row);
        let before = latest.filter(|(other, _)| *other == of).map(|(_, at)| at);
        // No earlier than what came before it.
        let at = before.map_or(row.create_time, |before| Ord::max(before, row.create_time));
        latest = Some((of, at));
        keyed.push((at, of, row.seq, row.line, row));
    }
    keyed.sort_by(|a, b| (a.0, a.1, a.2, a.3).cmp(&(b.0, b.1, b.2, b.3)));
    keyed.into_iter().map(|(.., row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(aggregate: Aggregate, id: i64, seq: i64, at: i64) -> journal::Model {
        journal::Model {
            aggregate,
            aggregate_id: id,
            seq,
            line: 0,
            shop_id: ShopId(1),
            campaign_id: None,
            product_id: None,
            order_id: None,
            kind: "SENT".to_owned(),
            from_state: None,
            to_state: "SENT".to_owned(),
            debit_account: None,
            credit_account: None,
            amount_fen: None,
            reason: None,
            actor: "a".to_owned(),
            create_time: Timestamp(at),
            position: None,
        }
    }

    #[test]
    fn a_subject_is_told_in_its_order_whatever_the_clocks_say() {
        use Aggregate::{Campaign, Issuance};
        let rows = vec![
            entry(Issuance, 1, 3, 90),
            entry(Issuance, 1, 2, 100),
            entry(Campaign, 1, 1, 95),
            entry(Issuance, 2, 1, 80),
            entry(Issuance, 1, 4, 120),
        ];
        let told: Vec<(Aggregate, i64, i64)> = in_order(rows)
            .into_iter()
            .map(|row| (row.aggregate, row.aggregate_id, row.seq))
            .collect();
        assert_eq!(
            told,
            [
                (Issuance, 2, 1),
                (Campaign, 1, 1),
                (Issuance, 1, 2),
                (Issuance, 1, 3),
                (Issuance, 1, 4)
            ]
        );
    }
}
