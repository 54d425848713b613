//! What is used of caps: counted in the transaction that accepts packets, after the
//! packets and before the money, counters in the order of their keys, so that two
//! transactions never wait for each other.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, Set};

use super::Store;
use super::entity::cap_usage::{ActiveModel, Column, Entity, Model};
use super::entity::{campaign, issuance};
use super::tx::{Fault, Tx, to_error};
use crate::domain::cap::{Caps, Owner, Scope, UsageKey, Used};
use crate::domain::id::{BranchId, CampaignId, RecipientId};
use crate::domain::{Error, Fen, Result};

/// Counters of one statement at most.
const CHUNK: usize = 500;

/// What packets count under, gathered.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses(BTreeMap<UsageKey, Used>);

/// What of a packet is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) owner: Owner,
    pub(super) day: i64,
    /// Of which branch, where there are any.
    pub(super) branch: Option<BranchId>,
    /// Whose it is, where people are counted.
    pub(super) recipient: Option<RecipientId>,
    pub(super) amount: Fen,
}

impl Counted {
    /// What a packet counts under while it counts; nothing if it does not.
    pub(super) fn of(row: &issuance::Model, counts_recipients: bool) -> Option<Self> {
        Some(Self {
            owner: Owner::Campaign(row.campaign_id),
            day: row.counted_day?,
            branch: Some(row.shop_sub_id),
            recipient: row.recipient_id.filter(|_| counts_recipients),
            amount: row.amount_fen,
        })
    }

    /// The counters that it moves.
    pub(super) fn keys(self) -> impl Iterator<Item = UsageKey> {
        let key = move |scope, subject, day| UsageKey {
            owner: self.owner,
            scope,
            subject,
            day,
        };
        let person = self.recipient.map(|id| id.0);
        let all = [
            Some(key(Scope::Day, 0, self.day)),
            self.branch.map(|id| key(Scope::Branch, id.0, 0)),
            person.map(|id| key(Scope::Recipient, id, 0)),
            person.map(|id| key(Scope::RecipientDay, id, self.day)),
        ];
        all.into_iter().flatten()
    }
}

impl Uses {
    /// Adds a packet.
    pub(super) fn add(&mut self, counted: Counted) -> Result<()> {
        for key in counted.keys() {
            self.add_to(key, Used::one(counted.amount))?;
        }
        Ok(())
    }

    /// Adds to one counter.
    pub(super) fn add_to(&mut self, key: UsageKey, more: Used) -> Result<()> {
        let sum = self.get(&key).plus(more);
        let sum = sum.ok_or_else(|| Error::internal("a sum does not fit", "caps"))?;
        self.0.insert(key, sum);
        Ok(())
    }

    /// Adds all of another.
    pub(super) fn absorb(&mut self, other: Self) -> Result<()> {
        other
            .0
            .into_iter()
            .try_for_each(|(key, more)| self.add_to(key, more))
    }

    /// What is gathered under a key.
    pub(super) fn get(&self, key: &UsageKey) -> Used {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// All of it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&UsageKey, &Used)> {
        self.0.iter()
    }
}

impl Store {
    /// What is used of the caps of a campaign or product: of a day, of each branch, and of one person.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn usage(
        &self,
        owner: Owner,
        day: i64,
        recipient: Option<RecipientId>,
    ) -> Result<Vec<Model>> {
        let mut which = Condition::any()
            .add(Column::Scope.eq(Scope::Day).and(Column::Day.eq(day)))
            .add(Column::Scope.eq(Scope::Branch));
        if let Some(id) = recipient {
            which = which.add(
                Column::Scope
                    .is_in([Scope::Recipient, Scope::RecipientDay])
                    .and(Column::Subject.eq(id.0))
                    .and(Column::Day.is_in([0, day])),
            );
        }
        Entity::find()
            .filter(of(owner))
            .filter(which)
            .order_by_asc(Column::Scope)
            .order_by_asc(Column::Subject)
            .all(self.reader())
            .await
            .map_err(to_error)
    }
}

impl Tx {
    /// What is used under one key.
    pub(super) async fn used(&self, key: &UsageKey) -> Result<Used, Fault> {
        let (owner, id) = key.owner.key();
        let id = (owner, id, key.scope, key.subject, key.day);
        let row = Entity::find_by_id(id).one(self).await?;
        Ok(row.map(|row| row.used()).unwrap_or_default())
    }

    /// What people have used of a campaign or product, in all and on a day.
    pub(super) async fn used_by(
        &self,
        owner: Owner,
        day: i64,
        people: &[RecipientId],
    ) -> Result<BTreeMap<UsageKey, Used>, Fault> {
        let mut used = BTreeMap::new();
        for chunk in people.chunks(CHUNK) {
            let rows = Entity::find()
                .filter(of(owner))
                .filter(Column::Scope.is_in([Scope::Recipient, Scope::RecipientDay]))
                .filter(Column::Subject.is_in(chunk.iter().map(|id| id.0)))
                .filter(Column::Day.is_in([0, day]))
                .all(self)
                .await?;
            used.extend(rows.into_iter().map(|row| (row.key(), row.used())));
        }
        Ok(used)
    }

    /// Counts packets, if the caps still allow them. False if they do not; the unit
    /// must not be committed then.
    pub(super) async fn count_uses(
        &self,
        uses: &Uses,
        caps: &BTreeMap<Owner, Caps>,
    ) -> Result<bool, Fault> {
        let more =
            |column: Column| Expr::col((Entity, column)).add(Expr::col(("excluded", column)));
        let within = |used: Column, limit: Column| {
            Expr::col(("excluded", limit))
                .is_null()
                .or(more(used).lte(Expr::col(("excluded", limit))))
        };
        let count = OnConflict::columns(KEY)
            .value(Column::UsedCount, more(Column::UsedCount))
            .value(Column::UsedFen, more(Column::UsedFen))
            .value(
                Column::LimitCount,
                Expr::col(("excluded", Column::LimitCount)),
            )
            .value(Column::LimitFen, Expr::col(("excluded", Column::LimitFen)))
            .action_and_where(within(Column::UsedCount, Column::LimitCount))
            .action_and_where(within(Column::UsedFen, Column::LimitFen))
            .to_owned();
        let none = Caps::default();
        let rows: Vec<ActiveModel> = uses
            .iter()
            .map(|(key, used)| {
                let cap = caps.get(&key.owner).unwrap_or(&none).of(key);
                ActiveModel {
                    limit_count: Set(cap.count),
                    limit_fen: Set(cap.sum),
                    ..row(key, *used)
                }
            })
            .collect();
        for chunk in rows.chunks(CHUNK) {
            let wanted = chunk.len();
            let counted = Entity::insert_many(chunk.to_vec())
                .on_conflict(count.clone())
                .exec_without_returning(self)
                .await?;
            if counted != u64::try_from(wanted).unwrap_or(u64::MAX) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives back what packets have used that will not be paid.
    pub(super) async fn give_uses_back(&self, uses: Uses) -> Result<(), Fault> {
        let less =
            |column: Column| Expr::col((Entity, column)).sub(Expr::col(("excluded", column)));
        // The row is there, for it was counted; the table keeps it from being negative.
        let give = OnConflict::columns(KEY)
            .value(Column::UsedCount, less(Column::UsedCount))
            .value(Column::UsedFen, less(Column::UsedFen))
            .to_owned();
        self.upsert_uses(uses, &give).await
    }

    /// One person, seen twice: what the one row has used was used by the other.
    pub(super) async fn merge_uses(&self, from: RecipientId, to: RecipientId) -> Result<(), Fault> {
        let of_people = Column::Scope.is_in([Scope::Recipient, Scope::RecipientDay]);
        let rows = Entity::find()
            .filter(of_people.clone())
            .filter(Column::Subject.eq(from.0))
            .all(self)
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut uses = Uses::default();
        for row in &rows {
            let key = UsageKey {
                subject: to.0,
                ..row.key()
            };
            uses.add_to(key, row.used())?;
        }
        let more =
            |column: Column| Expr::col((Entity, column)).add(Expr::col(("excluded", column)));
        let add = OnConflict::columns(KEY)
            .value(Column::UsedCount, more(Column::UsedCount))
            .value(Column::UsedFen, more(Column::UsedFen))
            .to_owned();
        self.upsert_uses(uses, &add).await?;
        Entity::delete_many()
            .filter(of_people)
            .filter(Column::Subject.eq(from.0))
            .exec(self)
            .await?;
        Ok(())
    }

    async fn upsert_uses(&self, uses: Uses, conflict: &OnConflict) -> Result<(), Fault> {
        let rows: Vec<ActiveModel> = uses.iter().map(|(key, used)| row(key, *used)).collect();
        for chunk in rows.chunks(CHUNK) {
            Entity::insert_many(chunk.to_vec())
                .on_conflict(conflict.clone())
                .exec_without_returning(self)
                .await?;
        }
        Ok(())
    }

    /// Which of some campaigns count people one by one.
    pub(super) async fn counting_people(
        &self,
        campaigns: impl Iterator<Item = CampaignId>,
    ) -> Result<Vec<CampaignId>, Fault> {
        use sea_orm::QuerySelect as _;
        let ids: std::collections::BTreeSet<CampaignId> = campaigns.collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        Ok(campaign::Entity::find()
            .select_only()
            .column(campaign::Column::Id)
            .filter(campaign::Column::Id.is_in(ids))
            .filter(campaign::Column::CountsRecipients.eq(true))
            .into_tuple()
            .all(self)
            .await?)
    }

    /// What packets have used that will not be paid, to be given back.
    pub(super) async fn uses_of<'r>(
        &self,
        rows: impl Iterator<Item = &'r issuance::Model> + Clone,
    ) -> Result<Uses, Fault> {
        let counting = self
            .counting_people(rows.clone().map(|row| row.campaign_id))
            .await?;
        let mut uses = Uses::default();
        for row in rows {
            if let Some(counted) = Counted::of(row, counting.contains(&row.campaign_id)) {
                uses.add(counted)?;
            }
        }
        Ok(uses)
    }
}

const KEY: [Column; 5] = [
    Column::Owner,
    Column::OwnerId,
    Column::Scope,
    Column::Subject,
    Column::Day,
];

/// The counters of one campaign or product.
fn of(owner: Owner) -> Condition {
    let (kind, id) = owner.key();
    Condition::all()
        .add(Column::Owner.eq(kind))
        .add(Column::OwnerId.eq(id))
}

fn row(key: &UsageKey, used: Used) -> ActiveModel {
    let (owner, owner_id) = key.owner.key();
    ActiveModel {
        owner: Set(owner),
        owner_id: Set(owner_id),
        scope: Set(key.scope),
        subject: Set(key.subject),
        day: Set(key.day),
        used_count: Set(used.count),
        used_fen: Set(used.sum),
        limit_count: Set(None),
        limit_fen: Set(None),
    }
}
