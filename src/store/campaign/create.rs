//! Making a campaign.

use sea_orm::{EntityTrait, Set};

use super::super::account::appids;
use super::super::entity::campaign::{ActiveModel, Entity};
use super::super::entity::search_gram::Kind;
use super::super::entity::{account_shop, campaign_revision, provider_account, shop};
use super::super::journal::campaign_entry;
use super::super::request::{Call, Claimed, Written};
use super::super::search::Named;
use super::super::tx::{Fault, Tx, is_duplicate};
use super::{Campaign, Draft};
use crate::domain::campaign::{CampaignKind, CampaignState};
use crate::domain::id::{AccountId, CampaignId, ShopId};
use crate::domain::plan::Scope;
use crate::domain::protocol::Protocol;
use crate::domain::text::{Appid, Texts};
use crate::domain::{Error, Fen, Reason, Result, account, missing};

impl Tx {
    pub(super) async fn create_campaign(
        &self,
        call: &Call,
        draft: Draft,
        id: CampaignId,
    ) -> Result<Written<Campaign>, Fault> {
        if let Claimed::Replay { resource, .. } = self.claim_request(call, id.0, None).await? {
            return Ok(Written {
                row: self.campaign(draft.shop, CampaignId(resource)).await?,
                replayed: true,
            });
        }
        let (payer, protocol) = self.account_of(draft.shop, draft.account).await?;
        let appid = default_appid(&payer, draft.appid.as_ref())?;
        let bounds = payer.min_amount_fen..=payer.max_amount_fen;
        account::accepts(
            bounds,
            draft.amount.min(),
            draft.amount.max(),
            protocol.shows_texts().then_some(&draft.texts),
        )?;
        if draft.template_id.is_some() && protocol.shows_texts() {
            let text = "only an account at an open platform has templates; leave it out";
            let text = text.to_owned();
            return Err(Error::field("template_id", Reason::FieldNotAllowed, text).into());
        }
        for branch in draft.caps.branches.keys() {
            self.known_branch(draft.shop, *branch).await?;
        }
        let now = self.now();
        let start = draft.start.unwrap_or(now);
        if draft.end.is_some_and(|end| end <= start) {
            let text = "end_time must be after start_time, which is now if it is absent".to_owned();
            return Err(Error::field("end_time", Reason::TimeRangeInvalid, text).into());
        }
        let row = ActiveModel {
            id: Set(id),
            shop_id: Set(draft.shop),
            code: Set(draft.code.clone()),
            kind: Set(draft.kind),
            state: Set(CampaignState::Draft),
            amount_type: Set(draft.amount.kind()),
            min_amount_fen: Set(draft.amount.min()),
            max_amount_fen: Set(draft.amount.max()),
            pot_fen: Set(draft.pot),
            scan_limit: Set(draft.scan_limit),
            act_name: Set(draft.texts.act_name.clone()),
            revision: Set(1),
            account_id: Set(draft.account),
            appid: Set(appid),
            start_time: Set(start),
            end_time: Set(draft.end),
            stock_count: Set(draft.stock),
            issued_count: Set(0),
            granted_fen: Set(Fen::ZERO),
            defunded_fen: Set(Fen::ZERO),
            debited_fen: Set(Fen::ZERO),
            credited_fen: Set(Fen::ZERO),
            transit_fen: Set(Fen::ZERO),
            paid_fen: Set(Fen::ZERO),
            fee_fen: Set(Fen::ZERO),
            discount_fen: Set(Fen::ZERO),
            template_id: Set(draft.template_id.clone()),
            settlement_bp: Set(draft.settlement_bp),
            caps: Set(draft.caps.to_json()?),
            counts_recipients: Set(draft.caps.bound_people()),
            approve_send_above_fen: Set(draft.approve_send_above),
            approve_fund_above_fen: Set(draft.approve_fund_above),
            version: Set(1),
            create_time: Set(now),
            update_time: Set(now),
        };
        if let Err(error) = Entity::insert(row).exec_without_returning(self).await {
            return Err(if is_duplicate(&error) {
                taken(&draft).into()
            } else {
                error.into()
            });
        }
        self.insert_revision(id, 1, &draft.texts).await?;
        if draft.plan.is_some() {
            self.set_plan(Scope::Campaign, id.0, draft.plan).await?;
        }
        self.name_all(&[Named {
            shop: draft.shop,
            kind: Kind::Campaign,
            id: id.0,
            names: vec![draft.code.as_str(), &draft.texts.act_name],
        }])
        .await?;
        let campaign = self.campaign(draft.shop, id).await?;
        self.append(vec![campaign_entry(
            &campaign.row,
            None,
            "CREATED",
            None,
            &call.actor,
        )])
        .await?;
        Ok(Written {
            row: campaign,
            replayed: false,
        })
    }

    pub(super) async fn insert_revision(
        &self,
        id: CampaignId,
        revision: i64,
        texts: &Texts,
    ) -> Result<(), Fault> {
        let texts =
            serde_json::to_string(texts).map_err(|e| Error::internal("texts are no JSON", e))?;
        let row = campaign_revision::ActiveModel {
            campaign_id: Set(id),
            revision: Set(revision),
            texts: Set(texts),
            create_time: Set(self.now()),
        };
        campaign_revision::Entity::insert(row)
            .exec_without_returning(self)
            .await?;
        Ok(())
    }

    /// An account that a shop may pay red packets through, and how it speaks.
    pub(in crate::store) async fn account_of(
        &self,
        shop: ShopId,
        id: AccountId,
    ) -> Result<(provider_account::Model, Protocol), Fault> {
        let known = shop::Entity::find_by_id(shop).one(self).await?;
        known.ok_or_else(|| missing::shop(shop))?;
        let granted = account_shop::Entity::find_by_id((id, shop))
            .one(self)
            .await?;
        let row = provider_account::Entity::find_by_id(id).one(self).await?;
        match (granted, row) {
            (Some(_), Some(row)) => {
                let protocol = account::pays_packets(id, Protocol::parse(&row.protocol))?;
                Ok((row, protocol))
            }
            _ => Err(missing::account(id).into()),
        }
    }
}

/// The appid that sends: the one asked for if the account has it, else its first.
fn default_appid(payer: &provider_account::Model, asked: Option<&Appid>) -> Result<Appid> {
    let appids = appids(payer)?;
    let found = match asked {
        Some(appid) => appids.into_iter().find(|a| a == appid),
        None => appids.into_iter().next(),
    };
    found.ok_or_else(|| {
        Error::field(
            "appid",
            Reason::AppidInvalid,
            "this appid is not one of the account's; UpdateProviderAccount can add it".to_owned(),
        )
    })
}

fn taken(draft: &Draft) -> Error {
    let (field, text) = match draft.kind {
        CampaignKind::Named => ("code", "the shop has a campaign of this code"),
        CampaignKind::Direct => (
            "kind",
            "the shop has a campaign of this code, or a DIRECT campaign already",
        ),
    };
    Error::new(Reason::AlreadyExists, text.to_owned()).fact("field", field)
}
