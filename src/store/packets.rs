//! Lists of packets and of batches, and what is shown beside a row.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Store;
use super::entity::{
    attempt, campaign, campaign_revision, issuance, issuance_batch, issuance_receipt,
    provider_exchange, recipient,
};
use super::list::{self, Order, Part, Place, Ranges};
use super::settle::{exchange_column, package_column};
use super::tx::to_error;
use crate::domain::amount::AmountType;
use crate::domain::id::{BatchId, CampaignId, GroupId, IssuanceId, RecipientId, ShopId};
use crate::domain::search::Keyword;
use crate::domain::source::Source;
use crate::domain::text::{Openid, Texts, Uid};
use crate::domain::{Error, Result, State, Timestamp};

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

/// Which batches to list.
#[derive(Clone, Debug, Default)]
pub struct BatchFilter {
    /// Of this campaign.
    pub campaign: Option<CampaignId>,
    /// Sent to this group.
    pub group: Option<GroupId>,
    /// Found by campaign or group.
    pub keyword: Option<Keyword>,
    /// Accepted at or after.
    pub from: Option<Timestamp>,
    /// Accepted before.
    pub to: Option<Timestamp>,
    /// Only sends to groups.
    pub groups_only: bool,
}

/// A packet with what is shown beside it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The row.
    pub row: issuance::Model,
    /// Its campaign.
    pub campaign: campaign::Model,
    /// What the recipient reads.
    pub texts: Texts,
    /// Who gets it, if the shop knows him.
    pub recipient: Option<recipient::Model>,
    /// Its latest attempt.
    pub attempt: Option<attempt::Model>,
}

/// A part of a list, and how many there are in all if that was asked.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The rows, in order.
    pub rows: Vec<T>,
    /// How many fit the filter, up to the bound of totals.
    pub total: Option<i64>,
}

/// One exchange in the clear.
#[derive(Clone)]
pub struct ExchangeShown {
    /// The row.
    pub row: provider_exchange::Model,
    /// The attempt.
    pub attempt: attempt::Model,
    /// What we said.
    pub request: Vec<u8>,
    /// What they said.
    pub response: Option<Vec<u8>>,
}

impl std::fmt::Debug for ExchangeShown {
    /// Without the bytes, which name a person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeShown")
            .field("id", &self.row.id)
            .finish_non_exhaustive()
    }
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
        let ids = list::ids(self.reader(), &ranges, part)
            .await
            .map_err(to_error)?;
        let total = match with_total {
            true => Some(
                list::total(self.reader(), &ranges)
                    .await
                    .map_err(to_error)?,
            ),
            false => None,
        };
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

    /// A part of a shop's batches.
    ///
    /// # Errors
    /// KEYWORD_TOO_BROAD.
    pub async fn batches(
        &self,
        shop: ShopId,
        filter: &BatchFilter,
        part: &Part,
        with_total: bool,
    ) -> Result<Listed<(issuance_batch::Model, campaign::Model)>> {
        let common = || {
            let mut ranges = Ranges::of("issuance_batch").with("shop_id =", shop);
            if let Some(campaign) = filter.campaign {
                ranges = ranges.with("campaign_id =", campaign);
            }
            if let Some(group) = filter.group {
                ranges = ranges.with("group_id =", group);
            } else if filter.groups_only {
                ranges = ranges.with("group_id >=", 1);
            }
            if let Some(from) = filter.from {
                ranges = ranges.with("create_time >=", from);
            }
            if let Some(to) = filter.to {
                ranges = ranges.with("create_time <", to);
            }
            ranges
        };
        let ranges = match &filter.keyword {
            None => vec![common()],
            Some(keyword) => {
                let path = "filter.keyword";
                let campaigns = self.campaigns_named(shop, keyword, path).await?;
                let groups = self.groups_named(shop, keyword, path).await?;
                let campaigns = campaigns.into_iter().map(|id| id.0).collect();
                let groups = groups.into_iter().map(|id| id.0).collect();
                vec![
                    common().each("campaign_id", campaigns),
                    common().each("group_id", groups),
                ]
            }
        };
        let ids = list::ids(self.reader(), &ranges, part)
            .await
            .map_err(to_error)?;
        let total = match with_total {
            true => Some(
                list::total(self.reader(), &ranges)
                    .await
                    .map_err(to_error)?,
            ),
            false => None,
        };
        let rows = issuance_batch::Entity::find()
            .filter(issuance_batch::Column::Id.is_in(ids.iter().copied()))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let rows = in_order(rows, &ids, |row| row.id.0);
        let rows = self.with_campaigns(rows).await?;
        Ok(Listed { rows, total })
    }

    /// Batches with their campaigns.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn with_campaigns(
        &self,
        rows: Vec<issuance_batch::Model>,
    ) -> Result<Vec<(issuance_batch::Model, campaign::Model)>> {
        let campaigns = self
            .campaigns_by_id(rows.iter().map(|r| r.campaign_id))
            .await?;
        let with = |row: issuance_batch::Model| {
            let campaign = campaigns.get(&row.campaign_id).cloned();
            let campaign = campaign.ok_or_else(|| Error::internal("no campaign", "batch"))?;
            Ok((row, campaign))
        };
        rows.into_iter().map(with).collect()
    }

    async fn campaigns_by_id(
        &self,
        ids: impl Iterator<Item = CampaignId>,
    ) -> Result<HashMap<CampaignId, campaign::Model>> {
        let ids: BTreeSet<CampaignId> = ids.collect();
        let rows = campaign::Entity::find()
            .filter(campaign::Column::Id.is_in(ids))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// Packets with what is shown beside them.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn packets(&self, rows: Vec<issuance::Model>) -> Result<Vec<Packet>> {
        let campaigns = self
            .campaigns_by_id(rows.iter().map(|r| r.campaign_id))
            .await?;
        let revisions: HashMap<(CampaignId, i64), String> = campaign_revision::Entity::find()
            .filter(campaign_revision::Column::CampaignId.is_in(campaigns.keys().copied()))
            .all(self.reader())
            .await
            .map_err(to_error)?
            .into_iter()
            .map(|row| ((row.campaign_id, row.revision), row.texts))
            .collect();
        let people: BTreeSet<RecipientId> = rows.iter().filter_map(|r| r.recipient_id).collect();
        let mut people: HashMap<RecipientId, recipient::Model> = recipient::Entity::find()
            .filter(recipient::Column::Id.is_in(people))
            .all(self.reader())
            .await
            .map_err(to_error)?
            .into_iter()
            .map(|row| (row.id, row))
            .collect();
        let attempts: HashMap<(IssuanceId, i32), attempt::Model> = attempt::Entity::find()
            .filter(attempt::Column::IssuanceId.is_in(rows.iter().map(|r| r.id)))
            .all(self.reader())
            .await
            .map_err(to_error)?
            .into_iter()
            .map(|row| ((row.issuance_id, row.attempt_no), row))
            .collect();
        let packet = |row: issuance::Model| {
            let lost = |what| Error::internal("a packet is not whole", what);
            let campaign = campaigns.get(&row.campaign_id).cloned();
            let texts = row
                .texts
                .as_ref()
                .or_else(|| revisions.get(&(row.campaign_id, row.campaign_revision)))
                .ok_or_else(|| lost("texts"))?;
            let texts = serde_json::from_str(texts)
                .map_err(|e| Error::internal("stored texts are no JSON", e))?;
            Ok(Packet {
                campaign: campaign.ok_or_else(|| lost("campaign"))?,
                texts,
                recipient: row.recipient_id.and_then(|id| people.get_mut(&id).cloned()),
                attempt: attempts.get(&(row.id, row.attempt_count)).cloned(),
                row,
            })
        };
        rows.into_iter().map(packet).collect()
    }

    /// Who took from a group packet under its latest number, in the order of taking.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn receipts(
        &self,
        row: &issuance::Model,
    ) -> Result<Vec<(issuance_receipt::Model, Openid)>> {
        use issuance_receipt::Column;
        let rows = issuance_receipt::Entity::find()
            .filter(Column::IssuanceId.eq(row.id))
            .filter(Column::AttemptNo.eq(row.attempt_count))
            .order_by_asc(Column::ReceiveTime)
            .order_by_asc(Column::Seq)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let open = |receipt: issuance_receipt::Model| {
            let openid =
                super::audience::open_openid(self.keys(), row.shop_id, &receipt.openid_cipher)?;
            Ok((receipt, openid))
        };
        rows.into_iter().map(open).collect()
    }

    /// What a mini program opens a packet with.
    ///
    /// # Errors
    /// INTERNAL: it does not decrypt.
    pub fn package(&self, attempt: &attempt::Model) -> Result<String> {
        match &attempt.package_cipher {
            Some(cipher) => self.keys().open_text(&package_column(attempt.id), cipher),
            None => Ok(String::new()),
        }
    }

    /// The last exchanges about a packet, first to last, in the clear.
    ///
    /// # Errors
    /// ISSUANCE_NOT_FOUND.
    pub async fn exchanges(
        &self,
        shop: ShopId,
        id: IssuanceId,
        limit: u64,
    ) -> Result<Vec<ExchangeShown>> {
        let by = super::read::ByIssuance::Id(id);
        let (_, attempts) = self.issuance(shop, &by).await?;
        let attempts: HashMap<_, _> = attempts.into_iter().map(|a| (a.id, a)).collect();
        let mut rows = provider_exchange::Entity::find()
            .filter(provider_exchange::Column::AttemptId.is_in(attempts.keys().copied()))
            .order_by_desc(provider_exchange::Column::CreateTime)
            .order_by_desc(provider_exchange::Column::Id)
            .limit(limit)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        rows.reverse();
        let open = |row: provider_exchange::Model| {
            let attempt = attempts.get(&row.attempt_id).cloned();
            let attempt = attempt.ok_or_else(|| Error::internal("no attempt", "exchange"))?;
            let column = |what| exchange_column(what, row.attempt_id);
            let response = row.response_cipher.as_deref();
            Ok(ExchangeShown {
                request: self.keys().open(&column("request"), &row.request_cipher)?,
                response: response
                    .map(|cipher| self.keys().open(&column("response"), cipher))
                    .transpose()?,
                attempt,
                row,
            })
        };
        rows.into_iter().map(open).collect()
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

/// Rows in the order of their ids in a list.
fn in_order<T>(rows: Vec<T>, ids: &[i64], id: impl Fn(&T) -> i64) -> Vec<T> {
    let mut by_id: HashMap<i64, T> = rows.into_iter().map(|row| (id(&row), row)).collect();
    ids.iter().filter_map(|id| by_id.remove(id)).collect()
}
