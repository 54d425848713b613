//! Reading campaigns back.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::super::Store;
use super::super::entity::{campaign, campaign_revision, issuance};
use super::super::money_breaker::breaker_of;
use super::super::page::{Page, page_query};
use super::super::read::{Tally, tally};
use super::super::tx::{End, Fault, Tx, to_error};
use super::Campaign;
use crate::domain::id::{CampaignId, ShopId};
use crate::domain::plan::Scope;
use crate::domain::search::Keyword;
use crate::domain::{Error, Fen, Result, State, missing};

/// A campaign of a shop with its texts. The breaker is read first: it trips in the
/// transaction that pauses its campaign, so nobody sees one that has tripped and is active.
async fn campaign(
    db: &impl ConnectionTrait,
    shop: ShopId,
    id: CampaignId,
) -> Result<Campaign, Fault> {
    let breaker = breaker_of(db, Scope::Campaign, id.0).await?;
    let row = campaign::Entity::find_by_id(id)
        .filter(campaign::Column::ShopId.eq(shop))
        .one(db)
        .await?;
    let row = row.ok_or_else(|| missing::campaign(id))?;
    let revision = campaign_revision::Entity::find_by_id((row.id, row.revision))
        .one(db)
        .await?;
    let revision = revision.ok_or_else(|| Error::internal("a revision is missing", "campaign"))?;
    let texts = serde_json::from_str(&revision.texts)
        .map_err(|e| Error::internal("stored texts are no JSON", e))?;
    Ok(Campaign {
        row,
        texts,
        breaker,
    })
}

impl Tx {
    /// A campaign of a shop with its texts.
    pub(super) async fn campaign(&self, shop: ShopId, id: CampaignId) -> Result<Campaign, Fault> {
        campaign(self, shop, id).await
    }
}

impl Store {
    /// One campaign.
    ///
    /// # Errors
    /// CAMPAIGN_NOT_FOUND.
    pub async fn campaign(&self, shop: ShopId, id: CampaignId) -> Result<Campaign> {
        Ok(campaign(self.reader(), shop, id).await?)
    }

    /// A page of campaigns.
    ///
    /// # Errors
    /// KEYWORD_TOO_BROAD.
    pub async fn campaigns(
        &self,
        shop: ShopId,
        keyword: Option<&Keyword>,
        page: Page,
    ) -> Result<Vec<Campaign>> {
        let mut query = page_query(campaign::Entity::find(), campaign::Column::Id, page)
            .filter(campaign::Column::ShopId.eq(shop));
        if let Some(keyword) = keyword {
            let named = self.campaigns_named(shop, keyword, "keyword").await?;
            query = query.filter(campaign::Column::Id.is_in(named));
        }
        let ids = query.select_only().column(campaign::Column::Id);
        let ids: Vec<CampaignId> = ids
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let mut campaigns = Vec::with_capacity(ids.len());
        for id in ids {
            campaigns.push(campaign(self.reader(), shop, id).await?);
        }
        Ok(campaigns)
    }

    /// A campaign and its packets by state, read in one instant.
    ///
    /// # Errors
    /// CAMPAIGN_NOT_FOUND.
    pub async fn campaign_stats(
        &self,
        shop: ShopId,
        id: CampaignId,
    ) -> Result<(Campaign, BTreeMap<State, Tally>)> {
        self.write_or_try(End::RollBack, move |tx| {
            Box::pin(async move {
                let found = campaign(tx, shop, id).await?;
                // On SQLite the writer's turn, on PostgreSQL the row's lock keeps
                // packets from moving between the two reads.
                tx.lock_campaign(shop, id).await?;
                let rows = tally(tx, issuance::Column::CampaignId.eq(id)).await?;
                let mut stats: BTreeMap<State, Tally> = BTreeMap::new();
                for row in rows {
                    let tally = stats.entry(row.state).or_default();
                    tally.count += row.packets;
                    tally.sum = Fen(tally.sum.0 + row.fen);
                }
                Ok((found, stats))
            })
        })
        .await
    }
}
