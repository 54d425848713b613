//! Lists of packets: which ranges of which index hold what a filter fits.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::{Listed, Order, Part, Place, Ranges, in_order};
use crate::domain::amount::AmountType;
use crate::domain::id::{BatchId, CampaignId, RecipientId, ShopId};
use crate::domain::search::Keyword;
use crate::domain::source::Source;
use crate::domain::text::Uid;
use crate::domain::{Result, State, Timestamp};
use crate::store::Store;
use crate::store::entity::{campaign, issuance};
use crate::store::packets::Packet;
use crate::store::tx::to_error;

/// Which issuances to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this campaign.
    pub campaign: Option<CampaignId>,
    /// Of this batch.
    pub batch: Option<BatchId>,
    /// In one of these states; any if empty.
    pub states: Vec<State>,
    /// From this source.
    pub source: Option<Source>,
    /// For this uid.
    pub uid: Option<Uid>,
    /// Accepted at or after.
    pub from: Option<Timestamp>,
    /// Accepted before.
    pub to: Option<Timestamp>,
    /// Of campaigns that find their amounts so.
    pub amount_type: Option<AmountType>,
    /// Found by campaign or nickname.
    pub keyword: Option<Keyword>,
    /// Found within the batch by nickname or mobile.
    pub batch_keyword: Option<Keyword>,
}

/// The place of a packet in an order.
#[must_use]
pub fn place(row: &issuance::Model, order: Order) -> Place {
    let mut place = vec![row.create_time.0, row.id.0];
    if order.is_by_amount() {
        place.insert(0, row.amount_fen.0);
    }
    Place(place)
}

impl Store {
    /// A part of a shop's packets.
    ///
    /// # Errors
    /// KEYWORD_TOO_BROAD.
    pub async fn issuances(
        &self,
        shop: ShopId,
        filter: &Filter,
        part: &Part,
        with_total: bool,
    ) -> Result<Listed<Packet>> {
        let ranges = self.ranges(shop, filter, part.order).await?;
        let (ids, total) = self.found(&ranges, part, with_total).await?;
        let rows = issuance::Entity::find()
            .filter(issuance::Column::Id.is_in(ids.iter().copied()))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let rows = in_order(rows, &ids, |row| row.id.0);
        Ok(Listed {
            rows: self.packets(rows).await?,
            total,
        })
    }

    /// The index ranges that hold what a filter fits.
    async fn ranges(&self, shop: ShopId, filter: &Filter, order: Order) -> Result<Vec<Ranges>> {
        // Campaigns that are meant: one that is named, those of a type.
        let meant = match filter.amount_type {
            Some(kind) => Some(self.campaigns_of(shop, kind, filter.campaign).await?),
            None => filter.campaign.map(|campaign| vec![campaign]),
        };
        let all_states = || match filter.states.as_slice() {
            [] => State::ALL.to_vec(),
            asked => asked.to_vec(),
        };
        let of = |campaigns: Option<&[CampaignId]>| match campaigns {
            Some(campaigns) => everything(shop, filter).among("campaign_id", raw(campaigns)),
            None => everything(shop, filter),
        };
        let of_people = |people: Vec<RecipientId>| {
            of(meant.as_deref())
                .among_states(filter.states.clone())
                .each("recipient_id", people.into_iter().map(|id| id.0).collect())
        };
        let of_campaigns = |campaigns: &[CampaignId]| {
            let ranges = everything(shop, filter).each("campaign_id", raw(campaigns));
            if order.is_by_amount() {
                ranges.among_states(filter.states.clone())
            } else {
                ranges.in_states(all_states())
            }
        };
        if let (Some(keyword), Some(_)) = (&filter.batch_keyword, filter.batch) {
            let path = "filter.batch_keyword";
            let people = self.people_known(shop, keyword, path).await?;
            return Ok(vec![of_people(people)]);
        }
        if let Some(keyword) = &filter.keyword {
            let path = "filter.keyword";
            let people = self.people_named(shop, keyword, path).await?;
            let mut named = self.campaigns_named(shop, keyword, path).await?;
            if let Some(meant) = &meant {
                named.retain(|id| meant.contains(id));
            }
            let of_named = match filter.batch {
                Some(_) => of(Some(&named)).in_states(all_states()),
                None => of_campaigns(&named),
            };
            return Ok(vec![of_people(people), of_named]);
        }
        let one = match (&meant, filter.batch, &filter.uid, filter.source) {
            (_, Some(_), _, _) => of(meant.as_deref()).in_states(all_states()),
            (_, None, Some(_), _) => of(meant.as_deref()).among_states(filter.states.clone()),
            (Some(meant), None, None, _) => of_campaigns(meant),
            (None, None, None, Some(_)) if filter.states.is_empty() => of(None),
            (None, None, None, _) => of(None).in_states(all_states()),
        };
        Ok(vec![one])
    }

    async fn campaigns_of(
        &self,
        shop: ShopId,
        kind: AmountType,
        one: Option<CampaignId>,
    ) -> Result<Vec<CampaignId>> {
        use campaign::Column;
        let mut query = campaign::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::ShopId.eq(shop))
            .filter(Column::AmountType.eq(kind));
        if let Some(one) = one {
            query = query.filter(Column::Id.eq(one));
        }
        query
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)
    }
}

/// All conditions on single columns that a filter names.
fn everything(shop: ShopId, filter: &Filter) -> Ranges {
    let mut ranges = Ranges::of("issuance").with("shop_id =", shop);
    if let Some(batch) = filter.batch {
        ranges = ranges.with("batch_id =", batch);
    }
    if let Some(uid) = &filter.uid {
        ranges = ranges.with("uid =", uid.clone());
    }
    if let Some(source) = filter.source {
        ranges = ranges.with("source =", source);
    }
    if let Some(from) = filter.from {
        ranges = ranges.with("create_time >=", from);
    }
    if let Some(to) = filter.to {
        ranges = ranges.with("create_time <", to);
    }
    ranges
}

fn raw(campaigns: &[CampaignId]) -> Vec<i64> {
    campaigns.iter().map(|id| id.0).collect()
}
