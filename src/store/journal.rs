//! Journal entries: what changed, what moved, who did it.

use sea_orm::{ConnectionTrait, EntityTrait, Set};

use super::entity::journal::{ActiveModel, Aggregate, Entity};
use super::entity::{campaign, issuance};
use super::tx::{Fault, Tx};
use crate::domain::ledger::Posting;
use crate::domain::{State, Timestamp};

/// Rows of one INSERT at most: both databases bound the values of a statement.
const CHUNK: usize = 500;

/// What happened to a packet.
pub(super) struct Change<'a> {
    /// The packet before.
    pub before: &'a issuance::Model,
    /// The state before; none if it is new.
    pub from: Option<State>,
    /// The state after.
    pub to: State,
    /// What happened.
    pub kind: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// What moved.
    pub posting: Option<Posting>,
    /// Which change it is.
    pub seq: i64,
}

/// The entry of a packet's change.
pub(super) fn issuance_entry(change: Change<'_>, actor: &str, now: Timestamp) -> ActiveModel {
    let row = change.before;
    ActiveModel {
        aggregate: Set(Aggregate::Issuance),
        aggregate_id: Set(row.id.0),
        seq: Set(change.seq),
        line: Set(0),
        shop_id: Set(row.shop_id),
        campaign_id: Set(Some(row.campaign_id)),
        product_id: Set(None),
        order_id: Set(None),
        kind: Set(change.kind.to_owned()),
        from_state: Set(change.from.map(|s| s.name().to_owned())),
        to_state: Set(change.to.name().to_owned()),
        debit_account: Set(change.posting.map(Posting::from)),
        credit_account: Set(change.posting.map(Posting::to)),
        amount_fen: Set(change.posting.map(Posting::amount)),
        reason: Set(change.reason),
        actor: Set(actor.to_owned()),
        create_time: Set(now),
        position: Set(None),
    }
}

/// The entry of a campaign's change, as the row is after it.
pub(super) fn campaign_entry(
    after: &campaign::Model,
    from: Option<&'static str>,
    kind: &'static str,
    posting: Option<Posting>,
    actor: &str,
) -> ActiveModel {
    ActiveModel {
        aggregate: Set(Aggregate::Campaign),
        aggregate_id: Set(after.id.0),
        seq: Set(after.version),
        line: Set(0),
        shop_id: Set(after.shop_id),
        campaign_id: Set(Some(after.id)),
        product_id: Set(None),
        order_id: Set(None),
        kind: Set(kind.to_owned()),
        from_state: Set(from.map(str::to_owned)),
        to_state: Set(after.state.name().to_owned()),
        debit_account: Set(posting.map(Posting::from)),
        credit_account: Set(posting.map(Posting::to)),
        amount_fen: Set(posting.map(Posting::amount)),
        reason: Set(None),
        actor: Set(actor.to_owned()),
        create_time: Set(after.update_time),
        position: Set(None),
    }
}

impl Tx {
    /// Appends entries.
    pub(super) async fn append(&self, entries: Vec<ActiveModel>) -> Result<(), Fault> {
        // Whoever watches names types, so that one which no list has would be told to nobody.
        debug_assert!(entries.iter().all(|entry| {
            let kind = entry.kind.as_ref().as_str();
            entry.aggregate.as_ref().kinds().contains(&kind)
        }));
        insert_all::<Entity, _>(self, entries).await
    }
}

/// Inserts any number of rows.
pub(super) async fn insert_all<E, A>(db: &impl ConnectionTrait, rows: Vec<A>) -> Result<(), Fault>
where
    E: EntityTrait,
    A: sea_orm::ActiveModelTrait<Entity = E> + Clone + Send,
{
    for chunk in rows.chunks(CHUNK) {
        E::insert_many(chunk.to_vec())
            .exec_without_returning(db)
            .await?;
    }
    Ok(())
}
