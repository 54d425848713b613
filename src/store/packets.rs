//! Lists of packets and of batches, and what is shown beside a row.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Store;
use super::entity::{
    attempt, campaign, campaign_revision, issuance, issuance_batch, issuance_receipt, journal,
    provider_exchange, recipient,
};
use super::settle::{exchange_column, package_column};
use super::tx::to_error;
use crate::domain::id::{CampaignId, IssuanceId, RecipientId, ShopId};
use crate::domain::text::{Openid, Texts};
use crate::domain::{Error, Result};

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

impl Store {
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
        let people: HashMap<RecipientId, recipient::Model> = recipient::Entity::find()
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
                recipient: row.recipient_id.and_then(|id| people.get(&id).cloned()),
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

    /// All that became of a packet, first to last.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn history(&self, id: IssuanceId) -> Result<Vec<journal::Model>> {
        journal::Entity::find()
            .filter(journal::Column::Aggregate.eq(journal::Aggregate::Issuance))
            .filter(journal::Column::AggregateId.eq(id.0))
            .order_by_asc(journal::Column::Seq)
            .order_by_asc(journal::Column::Line)
            .all(self.reader())
            .await
            .map_err(to_error)
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
