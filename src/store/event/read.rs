//! Reading a feed.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::super::Store;
use super::super::entity::{
    event_head, issuance, journal, voucher, voucher_order, voucher_product,
};
use super::super::tx::to_error;
use super::super::voucher::Access;
use crate::domain::Result;
use crate::domain::event::{Aggregate, Types};
use crate::domain::id::{BatchId, CampaignId, IssuanceId, OrderId, ProductId, ShopId, VoucherId};
use crate::domain::voucher::voucher_no;

/// Places that one look covers at most, so that a rare type does not make it long.
const SPAN: i64 = 20_000;

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of a campaign and its packets.
    pub campaign: Option<CampaignId>,
    /// Of the packets of a batch.
    pub batch: Option<BatchId>,
    /// Of a product and its vouchers.
    pub product: Option<ProductId>,
    /// Of one packet.
    pub issuance: Option<IssuanceId>,
    /// One voucher.
    pub voucher: Option<VoucherId>,
    /// Of these types.
    pub types: Types,
}

/// An event with what its subject is called.
#[derive(Clone, Debug)]
pub struct EventView {
    /// The entry.
    pub row: journal::Model,
    /// Its place.
    pub position: i64,
    /// The packet that it is about.
    pub packet: Option<issuance::Model>,
    /// The voucher.
    pub voucher: Option<voucher::Model>,
    /// The order that did it.
    pub order: Option<voucher_order::Model>,
}

/// What the subject of an event is called elsewhere; 0 and empty: nothing.
#[derive(Clone, Debug, Default)]
pub struct EventFacts {
    /// The campaign.
    pub campaign_id: i64,
    /// The batch of a packet.
    pub batch_id: i64,
    /// The product.
    pub product_id: i64,
    /// The order that did it.
    pub order_id: i64,
    /// The app that asked for it.
    pub app_id: i64,
    /// What that app called it.
    pub request_id: String,
    /// The recipient.
    pub recipient_id: i64,
    /// The caller's id for him.
    pub uid: String,
    /// Amount or face value.
    pub face_fen: i64,
    /// The merchant order number.
    pub mch_billno: String,
    /// What went wrong last.
    pub last_error: String,
    /// The voucher's number.
    pub voucher_no: String,
}

impl EventView {
    /// What its subject is called elsewhere.
    #[must_use]
    pub fn facts(&self) -> EventFacts {
        let mut facts = EventFacts {
            campaign_id: self.row.campaign_id.map_or(0, |id| id.0),
            product_id: self.row.product_id.map_or(0, |id| id.0),
            order_id: self.row.order_id.map_or(0, |id| id.0),
            ..EventFacts::default()
        };
        if let Some(order) = &self.order {
            facts.app_id = order.app_id.0;
            facts.request_id = order.app_order_id.to_string();
        }
        if let Some(voucher) = &self.voucher {
            facts.recipient_id = voucher.recipient_id.map_or(0, |id| id.0);
            facts.face_fen = voucher.face_fen.0;
            facts.voucher_no = voucher_no(voucher.id, voucher.create_time);
        }
        if let Some(packet) = &self.packet {
            facts.batch_id = packet.batch_id.map_or(0, |id| id.0);
            facts.app_id = packet.app_id.0;
            facts.request_id = packet.request_id.to_string();
            facts.recipient_id = packet.recipient_id.map_or(0, |id| id.0);
            facts.uid = packet
                .uid
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            facts.face_fen = packet.amount_fen.0;
            let number = packet.mch_billno.as_ref();
            facts.mch_billno = number.map(ToString::to_string).unwrap_or_default();
            facts.last_error = packet.last_error.clone().unwrap_or_default();
        }
        facts
    }
}

/// A part of a feed.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events, first to last.
    pub events: Vec<EventView>,
    /// All places up to this one were looked at.
    pub through: i64,
    /// Whether there is more to look at.
    pub more: bool,
}

impl Store {
    /// The last place of a shop's feed; 0: it has none.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn feed_head(&self, shop: ShopId) -> Result<i64> {
        let head = event_head::Entity::find_by_id(shop).one(self.reader());
        Ok(head.await.map_err(to_error)?.map_or(0, |row| row.position))
    }

    /// What is at some places of a shop's feed, of what the caller may see.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn events_at(
        &self,
        shop: ShopId,
        access: Access,
        places: impl IntoIterator<Item = i64>,
    ) -> Result<HashMap<i64, EventView>> {
        use journal::Column as J;
        let rows = journal::Entity::find()
            .filter(J::ShopId.eq(shop))
            .filter(J::Position.is_in(places))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let events = views(self.reader(), access, rows).await.map_err(to_error)?;
        Ok(events
            .into_iter()
            .map(|event| (event.position, event))
            .collect())
    }

    /// What comes after a place, of what the caller may see.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn events(
        &self,
        shop: ShopId,
        access: Access,
        filter: &EventFilter,
        after: i64,
        limit: u64,
    ) -> Result<EventPage> {
        use journal::Column as J;
        let head = self.feed_head(shop).await?;
        let last = head.min(after.saturating_add(SPAN));
        if last <= after {
            return Ok(EventPage {
                events: Vec::new(),
                through: after.min(head),
                more: false,
            });
        }
        let rows = journal::Entity::find()
            .filter(J::ShopId.eq(shop))
            .filter(J::Position.gt(after))
            .filter(J::Position.lte(last))
            .filter(filter.condition())
            .order_by_asc(J::Position)
            .limit(limit)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let full = u64::try_from(rows.len()).is_ok_and(|count| count >= limit);
        let through = match rows.last().and_then(|row| row.position) {
            Some(position) if full => position,
            Some(_) | None => last,
        };
        let events = views(self.reader(), access, rows).await.map_err(to_error)?;
        Ok(EventPage {
            events,
            through,
            more: through < head,
        })
    }
}

/// The entries that the caller may see, with what their subjects are called.
pub(super) async fn views(
    db: &impl ConnectionTrait,
    access: Access,
    rows: Vec<journal::Model>,
) -> Result<Vec<EventView>, DbErr> {
    let products: BTreeSet<ProductId> = rows.iter().filter_map(|row| row.product_id).collect();
    let seen = access.seen(db, products).await?;
    let rows: Vec<journal::Model> = rows
        .into_iter()
        .filter(|row| row.product_id.is_none_or(|id| seen.contains(&id)))
        .collect();
    let ids = |aggregate: Aggregate| -> BTreeSet<i64> {
        let of = rows.iter().filter(|row| row.aggregate == aggregate);
        of.map(|row| row.aggregate_id).collect()
    };
    let (packets, vouchers) = (ids(Aggregate::Issuance), ids(Aggregate::Voucher));
    let orders: BTreeSet<OrderId> = rows.iter().filter_map(|row| row.order_id).collect();
    let mut packet_rows = HashMap::new();
    if !packets.is_empty() {
        let found = issuance::Entity::find()
            .filter(issuance::Column::Id.is_in(packets))
            .all(db)
            .await?;
        packet_rows.extend(found.into_iter().map(|row| (row.id, row)));
    }
    let mut voucher_rows = HashMap::new();
    if !vouchers.is_empty() {
        let found = voucher::Entity::find()
            .filter(voucher::Column::Id.is_in(vouchers))
            .all(db)
            .await?;
        voucher_rows.extend(found.into_iter().map(|row| (row.id, row)));
    }
    let mut order_rows = HashMap::new();
    if !orders.is_empty() {
        let found = voucher_order::Entity::find()
            .filter(voucher_order::Column::Id.is_in(orders))
            .all(db)
            .await?;
        order_rows.extend(found.into_iter().map(|row| (row.id, row)));
    }
    let view = |row: journal::Model| {
        let of = |aggregate: Aggregate| (row.aggregate == aggregate).then_some(row.aggregate_id);
        Some(EventView {
            position: row.position?,
            packet: of(Aggregate::Issuance)
                .and_then(|id| packet_rows.get(&IssuanceId(id)))
                .cloned(),
            voucher: of(Aggregate::Voucher)
                .and_then(|id| voucher_rows.get(&VoucherId(id)))
                .cloned(),
            order: row.order_id.and_then(|id| order_rows.get(&id)).cloned(),
            row,
        })
    };
    Ok(rows.into_iter().filter_map(view).collect())
}

impl Access {
    /// Those of some products that the caller may see, by their ids.
    pub(in crate::store) async fn seen(
        self,
        db: &impl ConnectionTrait,
        products: BTreeSet<ProductId>,
    ) -> Result<BTreeSet<ProductId>, DbErr> {
        if self.is_person || products.is_empty() {
            return Ok(products);
        }
        let rows = voucher_product::Entity::find()
            .filter(voucher_product::Column::Id.is_in(products))
            .all(db)
            .await?;
        let seen = self.sees(db, rows).await?;
        Ok(seen.into_iter().map(|row| row.id).collect())
    }
}

impl EventFilter {
    fn condition(&self) -> Condition {
        use journal::Column as J;
        let mut all = Condition::all()
            .add_option(self.campaign.map(|id| J::CampaignId.eq(id)))
            .add_option(self.product.map(|id| J::ProductId.eq(id)));
        let packets = || J::Aggregate.eq(Aggregate::Issuance);
        if let Some(id) = self.issuance {
            all = all.add(packets()).add(J::AggregateId.eq(id.0));
        }
        if let Some(id) = self.voucher {
            let vouchers = J::Aggregate.eq(Aggregate::Voucher);
            all = all.add(vouchers).add(J::AggregateId.eq(id.0));
        }
        if let Some(id) = self.batch {
            let of_batch = sea_orm::sea_query::Query::select()
                .column(issuance::Column::Id)
                .from(issuance::Entity)
                .and_where(issuance::Column::BatchId.eq(id))
                .to_owned();
            all = all.add(packets()).add(J::AggregateId.in_subquery(of_batch));
        }
        let patterns = self.types.patterns();
        if patterns.is_empty() {
            return all;
        }
        all.add(patterns.iter().fold(Condition::any(), |any, pattern| {
            let of = Condition::all()
                .add(J::Aggregate.eq(pattern.aggregate))
                .add_option(pattern.kind.as_ref().map(|kind| J::Kind.eq(kind)));
            any.add(of)
        }))
    }
}
