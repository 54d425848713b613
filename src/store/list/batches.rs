//! Lists of batches.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{Listed, Part, Ranges, in_order};
use crate::domain::id::{CampaignId, GroupId, ShopId};
use crate::domain::search::Keyword;
use crate::domain::{Result, Timestamp};
use crate::store::Store;
use crate::store::entity::{campaign, issuance_batch};
use crate::store::tx::to_error;

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

impl Store {
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
        let (ids, total) = self.found(&ranges, part, with_total).await?;
        let rows = issuance_batch::Entity::find()
            .filter(issuance_batch::Column::Id.is_in(ids.iter().copied()))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let rows = in_order(rows, &ids, |row| row.id.0);
        let rows = self.with_campaigns(rows).await?;
        Ok(Listed { rows, total })
    }
}
