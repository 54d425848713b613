//! The installation at a glance. Only the work list is read, of which the table has an
//! index, and never the packets that were sent or have ended.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Store;
use super::account::Account;
use super::entity::{campaign, issuance, money_breaker, provider_account};
use super::page::Page;
use super::tx::to_error;
use crate::domain::campaign::CampaignState;
use crate::domain::id::{AccountId, CampaignId};
use crate::domain::plan::Scope;
use crate::domain::schedule::Job;
use crate::domain::{Result, State};

/// Accounts that are shown.
const ACCOUNTS_MAX: u64 = 100;

/// How many packets are in each state that is open.
pub type Open = BTreeMap<State, i64>;

/// A campaign at a glance.
#[derive(Clone, Debug)]
pub struct CampaignGlance {
    /// The row.
    pub row: campaign::Model,
    /// Its money breaker.
    pub breaker: Option<money_breaker::Model>,
    /// Its open packets.
    pub open: Open,
}

/// The installation at a glance.
#[derive(Clone, Debug, Default)]
pub struct Glance {
    /// Campaigns: those that have left their plan first, then the busiest.
    pub campaigns: Vec<CampaignGlance>,
    /// Accounts with their open packets, by id.
    pub accounts: Vec<(Account, Open)>,
}

impl Store {
    /// The busiest campaigns, and the accounts.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn glance(&self, campaigns: u64) -> Result<Glance> {
        let (mut by_campaign, mut by_account) = self.open_by_owner().await?;
        let tripped = self.tripped_campaigns().await?;
        let shown: BTreeSet<CampaignId> = by_campaign.keys().chain(&tripped).copied().collect();
        let mut first: Vec<CampaignId> = shown.into_iter().collect();
        let size =
            |id: &CampaignId| -> i64 { by_campaign.get(id).map_or(0, |open| open.values().sum()) };
        first.sort_by_key(|id| (!tripped.contains(id), Reverse(size(id)), Reverse(*id)));
        first.truncate(usize::try_from(campaigns).unwrap_or(usize::MAX));
        let rows = self.campaigns_at_glance(&first, campaigns).await?;
        let breakers = self.breakers_of_campaigns(&rows).await?;
        let campaigns = rows.into_iter().map(|row| CampaignGlance {
            breaker: breakers.get(&row.id.0).cloned(),
            open: by_campaign.remove(&row.id).unwrap_or_default(),
            row,
        });
        let campaigns = campaigns.collect();
        let page = Page {
            before: None,
            size: ACCOUNTS_MAX,
        };
        let mut accounts = self.accounts(page).await?;
        accounts.reverse();
        let accounts = accounts.into_iter().map(|account| {
            let open = by_account.remove(&account.row.id).unwrap_or_default();
            (account, open)
        });
        Ok(Glance {
            campaigns,
            accounts: accounts.collect(),
        })
    }

    async fn open_by_owner(
        &self,
    ) -> Result<(BTreeMap<CampaignId, Open>, BTreeMap<AccountId, Open>)> {
        use issuance::Column as I;
        // The index of the work list begins with the account: named, the packets that only
        // wait to be taken are passed over.
        let accounts: Vec<AccountId> = provider_account::Entity::find()
            .select_only()
            .column(provider_account::Column::Id)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let rows: Vec<(CampaignId, AccountId, State, i64)> = issuance::Entity::find()
            .select_only()
            .columns([I::CampaignId, I::AccountId, I::State])
            .column_as(Expr::col(I::Id).count(), "packets")
            .filter(I::DueTime.is_not_null())
            .filter(I::AccountId.is_in(accounts))
            .filter(I::Job.is_in([Job::Send, Job::Query]))
            .group_by(I::CampaignId)
            .group_by(I::AccountId)
            .group_by(I::State)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let mut by_campaign: BTreeMap<CampaignId, Open> = BTreeMap::new();
        let mut by_account: BTreeMap<AccountId, Open> = BTreeMap::new();
        for (campaign, account, state, count) in rows {
            *by_campaign
                .entry(campaign)
                .or_default()
                .entry(state)
                .or_default() += count;
            *by_account
                .entry(account)
                .or_default()
                .entry(state)
                .or_default() += count;
        }
        Ok((by_campaign, by_account))
    }

    /// Campaigns that have left their plan and have not ended: they wait for people.
    async fn tripped_campaigns(&self) -> Result<BTreeSet<CampaignId>> {
        let tripped = self.tripped().await?;
        let of_campaigns = tripped.iter().filter(|row| row.scope == Scope::Campaign);
        let ids: Vec<CampaignId> = campaign::Entity::find()
            .select_only()
            .column(campaign::Column::Id)
            .filter(campaign::Column::Id.is_in(of_campaigns.map(|row| row.subject)))
            .filter(campaign::Column::State.ne(CampaignState::Ended))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        Ok(ids.into_iter().collect())
    }

    /// These campaigns in this order, and then the newest that have not ended.
    async fn campaigns_at_glance(
        &self,
        first: &[CampaignId],
        size: u64,
    ) -> Result<Vec<campaign::Model>> {
        use campaign::Column as C;
        let named = campaign::Entity::find()
            .filter(C::Id.is_in(first.iter().copied()))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let mut named: BTreeMap<CampaignId, campaign::Model> =
            named.into_iter().map(|row| (row.id, row)).collect();
        let mut rows: Vec<campaign::Model> =
            first.iter().filter_map(|id| named.remove(id)).collect();
        let more = size.saturating_sub(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        if more > 0 {
            let newest = campaign::Entity::find()
                .filter(C::State.ne(CampaignState::Ended))
                .filter(C::Id.is_not_in(first.iter().copied()))
                .order_by_desc(C::Id)
                .limit(more)
                .all(self.reader())
                .await
                .map_err(to_error)?;
            rows.extend(newest);
        }
        Ok(rows)
    }

    async fn breakers_of_campaigns(
        &self,
        rows: &[campaign::Model],
    ) -> Result<BTreeMap<i64, money_breaker::Model>> {
        let found = money_breaker::Entity::find()
            .filter(money_breaker::Column::Scope.eq(Scope::Campaign))
            .filter(money_breaker::Column::Subject.is_in(rows.iter().map(|row| row.id.0)))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        Ok(found.into_iter().map(|row| (row.subject, row)).collect())
    }
}
