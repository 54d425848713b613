//! What an operator changes of a campaign. The row is locked, and written only
//! where its version is the one that was read.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::super::Store;
use super::super::entity::campaign::{Column, Entity, Model};
use super::super::entity::search_gram::Kind;
use super::super::journal::campaign_entry;
use super::super::request::Call;
use super::super::search::Named;
use super::super::tx::{Fault, Tx};
use super::Update;
use crate::domain::approval::{Need, Rule};
use crate::domain::campaign::{CampaignState, Verb};
use crate::domain::id::{AppId, CampaignId, ShopId};
use crate::domain::ledger::Posting;
use crate::domain::money::BUDGET_MAX;
use crate::domain::number::Seed;
use crate::domain::plan::Scope;
use crate::domain::split::split;
use crate::domain::state::Position;
use crate::domain::{Error, Fen, Reason, account, missing};

impl Tx {
    pub(super) async fn update_campaign(
        &self,
        call: &Call,
        before: Model,
        update: Update,
    ) -> Result<(), Fault> {
        if before.state == CampaignState::Ended {
            return Err(ended(before.id).into());
        }
        if update
            .version
            .is_some_and(|version| version != before.version)
        {
            let text = "the campaign has changed since you read it; read it again".to_owned();
            return Err(Error::new(Reason::EtagMismatch, text)
                .fact("etag", before.version)
                .into());
        }
        let mut after = before.clone();
        after.start_time = update.start.unwrap_or(before.start_time);
        after.end_time = update.end.unwrap_or(before.end_time);
        after.stock_count = update.stock.unwrap_or(before.stock_count);
        after.scan_limit = update.scan_limit.unwrap_or(before.scan_limit);
        if let Some(caps) = &update.caps {
            for branch in caps.branches.keys() {
                self.known_branch(before.shop_id, *branch).await?;
            }
            after.caps = caps.to_json()?;
            if before.state == CampaignState::Draft {
                after.counts_recipients = caps.bound_people();
            } else if caps.bound_people() && !before.counts_recipients {
                let text = "this campaign was activated without counting people; make a new one to bound what a person gets";
                return Err(Error::field("caps", Reason::FieldNotAllowed, text.to_owned()).into());
            }
        }
        if before.pot_fen.is_some() && after.stock_count != before.stock_count {
            let text = "the pot is divided among as many as it was made for".to_owned();
            return Err(Error::field("stock_count", Reason::FieldNotAllowed, text).into());
        }
        if after.end_time.is_some_and(|end| end <= after.start_time) {
            let text = "end_time must be after start_time".to_owned();
            return Err(Error::field("end_time", Reason::TimeRangeInvalid, text).into());
        }
        if after
            .stock_count
            .is_some_and(|stock| stock < before.issued_count)
        {
            let text = format!("{} packets are issued already", before.issued_count);
            return Err(Error::field("stock_count", Reason::OutOfRange, text).into());
        }
        after.approve_send_above_fen = update
            .approve_send_above
            .unwrap_or(before.approve_send_above_fen);
        after.approve_fund_above_fen = update
            .approve_fund_above
            .unwrap_or(before.approve_fund_above_fen);
        let mut looser: Vec<String> = loosened(&before, &after).into_iter().collect();
        if let (Some(plan), true) = (update.plan, before.state != CampaignState::Draft) {
            let of = format!("campaign {}", before.code);
            let plan = self.loosened_plan(Scope::Campaign, before.id.0, plan, &of);
            looser.extend(plan.await?);
        }
        let need = (!looser.is_empty()).then(|| Need {
            campaign: Some(before.id),
            ..Need::new(Rule::LoosenBound, Some(before.shop_id), looser.join("; "))
        });
        self.demand(call, need).await?;
        if let Some(plan) = update.plan {
            self.set_plan(Scope::Campaign, before.id.0, plan).await?;
        }
        if let Some(texts) = &update.texts {
            let (payer, protocol) = self.account_of(before.shop_id, before.account_id).await?;
            account::accepts(
                payer.min_amount_fen..=payer.max_amount_fen,
                before.min_amount_fen,
                before.max_amount_fen,
                protocol.shows_texts().then_some(texts),
            )?;
            after.revision += 1;
            self.insert_revision(before.id, after.revision, texts)
                .await?;
            after.act_name.clone_from(&texts.act_name);
            self.rename(Named {
                shop: before.shop_id,
                kind: Kind::Campaign,
                id: before.id.0,
                names: vec![before.code.as_str(), &texts.act_name],
            })
            .await?;
        }
        self.keep_campaign(&before, after, "UPDATED", None, &call.actor)
            .await
    }

    pub(super) async fn turn_campaign(
        &self,
        store: &Store,
        call: &Call,
        before: Model,
        verb: Verb,
    ) -> Result<(), Fault> {
        let Some(state) = before.state.after(verb) else {
            let text = format!("a campaign that is {} cannot do this", before.state.name());
            let error = Error::new(Reason::CampaignState, text);
            return Err(error
                .fact("campaign_id", before.id)
                .fact("state", before.state.name())
                .into());
        };
        if state == before.state {
            return Ok(());
        }
        if state == CampaignState::Active {
            let of = (Some(before.shop_id), format!("campaign {}", before.code));
            self.go_on(call, Scope::Campaign, before.id.0, of).await?;
        }
        if let (CampaignState::Draft, CampaignState::Active, Some(pot)) =
            (before.state, state, before.pot_fen)
        {
            self.divide_pot(store, &before, pot).await?;
        }
        let kind = match state {
            CampaignState::Active => "ACTIVATED",
            CampaignState::Paused => "PAUSED",
            CampaignState::Ended | CampaignState::Draft => "ENDED",
        };
        let after = Model {
            state,
            ..before.clone()
        };
        self.keep_campaign(&before, after, kind, None, &call.actor)
            .await
    }

    /// The shares of a campaign's pot: a shuffled list, fixed when it opens.
    async fn divide_pot(&self, store: &Store, row: &Model, pot: Fen) -> Result<(), Fault> {
        let item = format!("campaign:{}", row.code);
        let seed = Seed {
            shop: row.shop_id,
            app: AppId(0),
            request: "",
            item: &item,
        };
        let people = usize::try_from(row.stock_count.unwrap_or(0)).unwrap_or(0);
        let bounds = (row.min_amount_fen, row.max_amount_fen);
        let shares = split(store.keys().number(), &seed, pot, people, bounds)
            .ok_or_else(|| Error::internal("a pot cannot be divided", "activate"))?;
        self.insert_shares(row.id, shares).await
    }

    pub(super) async fn move_money(
        &self,
        call: &Call,
        before: Model,
        posting: Posting,
    ) -> Result<(), Fault> {
        let mut after = before.clone();
        let amount = posting.amount();
        if posting.to() == Position::Available {
            if before.state == CampaignState::Ended {
                return Err(ended(before.id).into());
            }
            after.granted_fen = before
                .granted_fen
                .checked_add(amount)
                .filter(|sum| *sum <= BUDGET_MAX)
                .ok_or_else(|| {
                    Error::field(
                        "amount_fen",
                        Reason::AmountOverflow,
                        "a budget holds at most 2^62 fen".to_owned(),
                    )
                })?;
            self.demand(call, funded(&before, amount)).await?;
            return self
                .keep_campaign(&before, after, "FUNDED", Some(posting), &call.actor)
                .await;
        }
        if before.available() < amount {
            let text = format!(
                "only {} yuan are free; the rest is in packets",
                before.available()
            );
            let error =
                Error::new(Reason::BudgetInUse, text).fact("available_fen", before.available().0);
            return Err(error.fact("required_fen", amount.0).into());
        }
        after.defunded_fen = Fen(before.defunded_fen.0 + amount.0);
        self.keep_campaign(&before, after, "DEFUNDED", Some(posting), &call.actor)
            .await
    }

    /// Writes what an operator changed: only the columns that he can change, for
    /// the money of packets moves on beside him on SQLite's single writer or
    /// behind the row lock.
    async fn keep_campaign(
        &self,
        before: &Model,
        mut after: Model,
        kind: &'static str,
        posting: Option<Posting>,
        actor: &str,
    ) -> Result<(), Fault> {
        after.version = before.version + 1;
        after.update_time = self.now();
        let changed = Entity::update_many()
            .col_expr(Column::State, Expr::value(after.state))
            .col_expr(Column::Revision, Expr::value(after.revision))
            .col_expr(Column::StartTime, Expr::value(after.start_time))
            .col_expr(Column::EndTime, Expr::value(after.end_time))
            .col_expr(Column::StockCount, Expr::value(after.stock_count))
            .col_expr(Column::ScanLimit, Expr::value(after.scan_limit))
            .col_expr(Column::Caps, Expr::value(after.caps.clone()))
            .col_expr(
                Column::CountsRecipients,
                Expr::value(after.counts_recipients),
            )
            .col_expr(
                Column::ApproveSendAboveFen,
                Expr::value(after.approve_send_above_fen),
            )
            .col_expr(
                Column::ApproveFundAboveFen,
                Expr::value(after.approve_fund_above_fen),
            )
            .col_expr(Column::ActName, Expr::value(after.act_name.clone()))
            .col_expr(Column::GrantedFen, Expr::value(after.granted_fen))
            .col_expr(Column::DefundedFen, Expr::value(after.defunded_fen))
            .col_expr(Column::Version, Expr::value(after.version))
            .col_expr(Column::UpdateTime, Expr::value(after.update_time))
            .filter(Column::Id.eq(after.id))
            .filter(Column::Version.eq(before.version))
            .exec(self)
            .await?;
        if changed.rows_affected != 1 {
            return Err(Error::new(
                Reason::ConcurrentUpdate,
                "somebody else changed it first; repeat the call".to_owned(),
            )
            .into());
        }
        self.append(vec![campaign_entry(
            &after,
            Some(before.state.name()),
            kind,
            posting,
            actor,
        )])
        .await
    }

    /// A campaign of a shop, locked until the unit ends.
    pub(in crate::store) async fn lock_campaign(
        &self,
        shop: ShopId,
        id: CampaignId,
    ) -> Result<Model, Fault> {
        let row = Entity::find_by_id(id)
            .filter(Column::ShopId.eq(shop))
            .lock_exclusive()
            .one(self)
            .await?;
        Ok(row.ok_or_else(|| missing::campaign(id))?)
    }
}

/// A change that leaves more to one person, in words: a bound may be lowered by one,
/// and raised or taken away by two.
fn loosened(before: &Model, after: &Model) -> Option<String> {
    let looser = |was: Option<Fen>, is: Option<Fen>| match (was, is) {
        (Some(was), Some(is)) => is > was,
        (Some(_), None) => true,
        (None, _) => false,
    };
    let bounds = [
        (before.approve_send_above_fen, after.approve_send_above_fen),
        (before.approve_fund_above_fen, after.approve_fund_above_fen),
    ];
    let loosened = bounds.into_iter().any(|(was, is)| looser(was, is));
    let words = |bound: Option<Fen>| bound.map_or("all".to_owned(), |fen| format!("{fen} yuan"));
    loosened.then(|| {
        format!(
            "let one person send up to {} and fund up to {} in campaign {}",
            words(after.approve_send_above_fen),
            words(after.approve_fund_above_fen),
            before.code
        )
    })
}

/// What funding needs a second person for.
fn funded(campaign: &Model, amount: Fen) -> Option<Need> {
    let bound = campaign.approve_fund_above_fen?;
    let summary = format!("fund campaign {} with {amount} yuan", campaign.code);
    (amount > bound).then(|| Need {
        campaign: Some(campaign.id),
        amount,
        ..Need::new(Rule::FundAbove, Some(campaign.shop_id), summary)
    })
}

fn ended(id: CampaignId) -> Error {
    Error::new(
        Reason::CampaignEnded,
        "the campaign has ended for ever".to_owned(),
    )
    .fact("campaign_id", id)
}
