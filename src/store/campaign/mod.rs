//! Campaigns: what an operator makes and changes. What packets do to their money is
//! in `money`.

use super::Store;
use super::entity::campaign::Model;
use super::entity::money_breaker;
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx};
use crate::domain::amount::AmountRule;
use crate::domain::campaign::{CampaignKind, Verb};
use crate::domain::cap::Caps;
use crate::domain::id::{AccountId, CampaignId, ShopId};
use crate::domain::ledger::Posting;
use crate::domain::plan::SpendPlan;
use crate::domain::text::{Appid, Code, Texts};
use crate::domain::{Fen, Result, Timestamp};

mod change;
mod create;
mod money;
mod read;

/// A campaign to be made.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Whose.
    pub shop: ShopId,
    /// Its name.
    pub code: Code,
    /// What kind.
    pub kind: CampaignKind,
    /// The amount rule.
    pub amount: AmountRule,
    /// The texts.
    pub texts: Texts,
    /// Who pays.
    pub account: AccountId,
    /// Which appid sends; the account's first if none.
    pub appid: Option<Appid>,
    /// Opens then; now if none.
    pub start: Option<Timestamp>,
    /// Closes then.
    pub end: Option<Timestamp>,
    /// How many at most.
    pub stock: Option<i64>,
    /// The pot that scans draw from.
    pub pot: Option<Fen>,
    /// How many packets one person may get by scanning.
    pub scan_limit: i32,
    /// What one person, one day, one branch may get.
    pub caps: Caps,
    /// A send of more than this takes two people.
    pub approve_send_above: Option<Fen>,
    /// Funding of more than this takes two people.
    pub approve_fund_above: Option<Fen>,
    /// What it is planned to spend.
    pub plan: Option<SpendPlan>,
    /// The template of an open platform; the credential's if none.
    pub template_id: Option<Code>,
    /// What callers are told that a packet costs them, in basis points of its face value.
    pub settlement_bp: i32,
}

/// What to change of a campaign; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// New texts.
    pub texts: Option<Texts>,
    /// A new opening.
    pub start: Option<Timestamp>,
    /// A new closing, or none at all.
    pub end: Option<Option<Timestamp>>,
    /// A new stock, or no bound.
    pub stock: Option<Option<i64>>,
    /// How many packets one person may get by scanning.
    pub scan_limit: Option<i32>,
    /// New caps, all of them.
    pub caps: Option<Caps>,
    /// A new bound on what one person may send, or none.
    pub approve_send_above: Option<Option<Fen>>,
    /// A new plan of what it spends, or none.
    pub plan: Option<Option<SpendPlan>>,
    /// A new bound on what one person may fund, or none.
    pub approve_fund_above: Option<Option<Fen>>,
    /// The version that the caller has read.
    pub version: Option<i64>,
}

/// A campaign with its current texts.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The row.
    pub row: Model,
    /// The texts of its revision.
    pub texts: Texts,
    /// Its money breaker, if it has a plan.
    pub breaker: Option<money_breaker::Model>,
}

/// What an operator does to a campaign.
#[derive(Clone, Debug)]
pub enum Change {
    /// Changes texts, window or stock.
    Update(Box<Update>),
    /// Activates, pauses or ends it. A state that it has already is fine.
    Turn(Verb),
    /// Moves money into it, or out of what is free.
    Move(Posting),
}

impl Store {
    /// Makes a draft.
    ///
    /// # Errors
    /// ACCOUNT_NOT_FOUND, ALREADY_EXISTS, field errors that need the account.
    pub async fn create_campaign(&self, call: Call, draft: Draft) -> Result<Written<Campaign>> {
        let id = CampaignId(self.id("campaign").await?);
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, draft) = (call.clone(), draft.clone());
            Box::pin(async move { tx.create_campaign(&call, draft, id).await })
        })
        .await
    }

    /// Changes a campaign.
    ///
    /// # Errors
    /// CAMPAIGN_NOT_FOUND, CAMPAIGN_ENDED, CAMPAIGN_STATE, ETAG_MISMATCH,
    /// AMOUNT_OVERFLOW, BUDGET_IN_USE, APPROVAL_REQUIRED, APPROVAL_REJECTED, field errors.
    pub async fn change_campaign(
        &self,
        call: Call,
        shop: ShopId,
        id: CampaignId,
        change: Change,
    ) -> Result<Written<Campaign>> {
        let (end, store) = (call.end(), self.clone());
        let done = self.write_or_try(end, move |tx| {
            let (call, change, store) = (call.clone(), change.clone(), store.clone());
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                if !replayed {
                    let changed = tx.change_campaign(&store, &call, shop, id, change).await;
                    if let Err(error) = tx.or_wait(&call, changed).await? {
                        return Ok(Err(error));
                    }
                }
                let row = tx.campaign(shop, id).await?;
                Ok(Ok(Written { row, replayed }))
            })
        });
        done.await?
    }
}

impl Tx {
    async fn change_campaign(
        &self,
        store: &Store,
        call: &Call,
        shop: ShopId,
        id: CampaignId,
        change: Change,
    ) -> Result<(), Fault> {
        let before = self.lock_campaign(shop, id).await?;
        match change {
            Change::Update(update) => self.update_campaign(call, before, *update).await,
            Change::Turn(verb) => self.turn_campaign(store, call, before, verb).await,
            Change::Move(posting) => self.move_money(call, before, posting).await,
        }
    }
}
