//! What a command needs to know of its campaign and account, and what a campaign of
//! its kind leaves to the caller.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::super::account::{appids, capabilities};
use super::super::entity::{
    campaign, provider_account, shop_branch, shop_gateway, webhook_endpoint,
};
use super::super::tx::Fault;
use super::{Command, Named, Single, Unit, Wanted};
use crate::domain::amount::AmountType;
use crate::domain::campaign::CampaignKind;
use crate::domain::cap::Caps;
use crate::domain::id::BranchId;
use crate::domain::packet::Kind;
use crate::domain::protocol::Protocol;
use crate::domain::text::Appid;
use crate::domain::{Error, Fen, Reason, Result, account, missing};

/// The ground that a command stands on.
pub(super) struct Ground {
    pub(super) campaign: campaign::Model,
    pub(super) payer: provider_account::Model,
    /// How it speaks.
    pub(super) protocol: Protocol,
    /// The appid that sends.
    pub(super) appid: Appid,
    /// The campaign's caps.
    pub(super) caps: Caps,
    /// What refuses the command already; the rest is judged all the same, so that the
    /// caller hears of everything at once.
    pub(super) refusals: Vec<Error>,
}

impl Unit<'_> {
    pub(super) async fn ground(&self, command: &Command) -> Result<Ground, Fault> {
        let mut query = campaign::Entity::find().filter(campaign::Column::ShopId.eq(command.shop));
        query = match &command.campaign {
            Some(Named::Id(id)) => query.filter(campaign::Column::Id.eq(*id)),
            Some(Named::Code(code)) => query.filter(campaign::Column::Code.eq(code.clone())),
            None => query.filter(campaign::Column::Kind.eq(CampaignKind::Direct)),
        };
        let campaign = query
            .one(self.tx)
            .await?
            .ok_or_else(|| match &command.campaign {
                Some(Named::Id(id)) => missing::campaign(*id),
                Some(Named::Code(code)) => missing::campaign_code(code),
                None => Error::new(
                    Reason::DirectCampaignMissing,
                    "the shop has no DIRECT campaign; create one, or name a campaign".to_owned(),
                )
                .fact("shop_id", command.shop),
            })?;
        check_fit(command, &campaign)?;
        let (account, appid) = match &command.wanted {
            Wanted::Single(single) => {
                let account = self.account_for(command, &campaign, single).await?;
                (account, single.appid.clone())
            }
            Wanted::Users { .. } | Wanted::Groups { .. } | Wanted::Scan(_) => {
                (campaign.account_id, None)
            }
        };
        let (payer, protocol) = self.tx.account_of(command.shop, account).await?;
        let mut refusals = Vec::new();
        if !payer.enabled {
            let text = "the provider account of the campaign is disabled".to_owned();
            let error = Error::new(Reason::AccountDisabled, text);
            refusals.push(error.fact("account_id", payer.id));
        }
        refusals.extend(self.tx.stop_refusals(command.shop, account).await?);
        self.tx.known_branch(command.shop, command.branch).await?;
        let appid = own_appid(&payer, appid, &campaign)?;
        let ground = Ground {
            caps: campaign.caps()?,
            campaign,
            payer,
            protocol,
            appid,
            refusals,
        };
        if let Wanted::Single(single) = &command.wanted {
            check_single(single, &ground)?;
            if single.callback_url.is_some() {
                self.takes_callbacks(command).await?;
            }
        }
        Ok(ground)
    }

    /// Whether an endpoint of the caller's can sign what is posted to a packet's own URL.
    async fn takes_callbacks(&self, command: &Command) -> Result<(), Fault> {
        use webhook_endpoint::Column;
        let found = webhook_endpoint::Entity::find()
            .filter(Column::ShopId.eq(command.shop))
            .filter(Column::AppId.eq(command.call.app))
            .filter(Column::OrderCallbacks.eq(true))
            .one(self.tx)
            .await?;
        found.map(drop).ok_or_else(|| {
            let text = "nothing of yours would sign what is posted there; make an endpoint with order_callbacks (CreateWebhookEndpoint) first";
            let reason = Reason::FieldNotAllowed;
            Error::field("callback_url", reason, text.to_owned()).into()
        })
    }

    async fn account_for(
        &self,
        command: &Command,
        campaign: &campaign::Model,
        single: &Single,
    ) -> Result<crate::domain::id::AccountId, Fault> {
        let Some(gateway) = single.gateway else {
            return Ok(campaign.account_id);
        };
        let mapped = shop_gateway::Entity::find_by_id((command.shop, gateway))
            .one(self.tx)
            .await?;
        let mapped = mapped.ok_or_else(|| {
            let text = "the shop maps no account to this gateway_type; SetShopGateways does";
            Error::new(Reason::GatewayNotMapped, text.to_owned())
                .fact("gateway_type", gateway.name())
        })?;
        Ok(mapped.account_id)
    }
}

impl super::super::tx::Tx {
    /// That a branch exists; the head office always does.
    pub(in crate::store) async fn known_branch(
        &self,
        shop: crate::domain::id::ShopId,
        branch: BranchId,
    ) -> Result<(), Fault> {
        if branch.0 == 0 {
            return Ok(());
        }
        let row = shop_branch::Entity::find_by_id((shop, branch))
            .one(self)
            .await?;
        row.map(drop).ok_or_else(|| missing::branch(branch).into())
    }
}

/// The appid asked for, or the campaign's, if it is one of the account's.
fn own_appid(
    payer: &provider_account::Model,
    asked: Option<Appid>,
    campaign: &campaign::Model,
) -> Result<Appid> {
    let appid = asked.unwrap_or_else(|| campaign.appid.clone());
    if payer.id == campaign.account_id && appid == campaign.appid {
        return Ok(appid);
    }
    if appids(payer)?.contains(&appid) {
        return Ok(appid);
    }
    let text = "this appid is not one of the account's that pays; UpdateProviderAccount can add it";
    Err(Error::field("appid", Reason::AppidInvalid, text.to_owned()))
}

/// What a campaign of this kind leaves to the caller, and what not.
fn check_fit(command: &Command, campaign: &campaign::Model) -> Result<()> {
    let direct = campaign.kind == CampaignKind::Direct;
    let refuse = |path: &str, reason, text: &str| Err(Error::field(path, reason, text.to_owned()));
    let scanned_pot = campaign.pot_fen.is_some();
    match &command.wanted {
        Wanted::Users { .. } | Wanted::Groups { .. } | Wanted::Scan(_) if direct => refuse(
            "campaign_id",
            Reason::FieldNotAllowed,
            "a DIRECT campaign pays single packets; use SendRedPacket",
        ),
        Wanted::Users { pot, .. } | Wanted::Groups { pot, .. } => {
            match (campaign.amount_type, pot) {
                (AmountType::Split, _) if scanned_pot => refuse(
                    "campaign_id",
                    Reason::FieldNotAllowed,
                    "this campaign's pot belongs to those who scan; use ScanSend",
                ),
                (AmountType::Split, None) => refuse(
                    "pot_fen",
                    Reason::FieldRequired,
                    "this campaign divides a pot; say how much is in it",
                ),
                (_, Some(_)) if campaign.amount_type != AmountType::Split => refuse(
                    "pot_fen",
                    Reason::FieldNotAllowed,
                    "only a SPLIT campaign divides a pot; leave it 0",
                ),
                _ => Ok(()),
            }
        }
        Wanted::Scan(_) if campaign.amount_type == AmountType::Split && !scanned_pot => refuse(
            "campaign_id",
            Reason::FieldNotAllowed,
            "this campaign has no pot of its own to scan from; use SendToUsers or SendToGroups",
        ),
        Wanted::Scan(_) => Ok(()),
        Wanted::Single(_) if campaign.amount_type == AmountType::Split => refuse(
            "campaign_id",
            Reason::FieldNotAllowed,
            "a SPLIT campaign divides a pot among many; use SendToUsers, SendToGroups or ScanSend",
        ),
        Wanted::Single(single) => check_direct(single, direct),
    }
}

/// What a single packet may bring along.
fn check_direct(single: &Single, direct: bool) -> Result<()> {
    let refuse = |path: &str, reason, text: &str| Err(Error::field(path, reason, text.to_owned()));
    if direct {
        return match single.amount {
            None => refuse(
                "amount_fen",
                Reason::FieldRequired,
                "a DIRECT campaign needs the amount",
            ),
            Some(_) => Ok(()),
        };
    }
    let own = [
        (single.amount.is_some(), "amount_fen"),
        (single.texts.is_some(), "texts"),
        (single.appid.is_some(), "appid"),
        (single.gateway.is_some(), "gateway_type"),
        (single.kind == Kind::Fission, "kind"),
    ];
    match own.into_iter().find(|(brought, _)| *brought) {
        Some((_, path)) => refuse(
            path,
            Reason::FieldNotAllowed,
            "this campaign has its own amount, texts, appid and account; leave it out, or name no campaign to send from the DIRECT one",
        ),
        None => Ok(()),
    }
}

/// Whether the account can send the packet, and takes its amount.
fn check_single(single: &Single, ground: &Ground) -> Result<()> {
    if let Some(needed) = single.kind.needs()
        && !capabilities(&ground.payer)?.contains(&needed)
    {
        let text = format!(
            "the provider account has not the capability {}; UpdateProviderAccount can add it where the provider allows it",
            needed.name()
        );
        return Err(Error::new(Reason::ProviderCapability, text)
            .fact("account_id", ground.payer.id)
            .fact("capability", needed.name()));
    }
    if single.mobile.is_some() && ground.protocol.shows_texts() {
        let text = "only an open platform is told the mobile number; leave it out";
        let reason = Reason::FieldNotAllowed;
        return Err(Error::field("mobile", reason, text.to_owned()));
    }
    let Some(amount) = single.amount else {
        return Ok(());
    };
    let (low, high) = shares_of(amount, single.total_num);
    let own_account = ground.payer.id == ground.campaign.account_id;
    if let (None, true) = (&single.texts, own_account) {
        // The campaign's texts were held against its account when they were written.
        return Ok(());
    }
    let bounds = ground.payer.min_amount_fen..=ground.payer.max_amount_fen;
    let texts = single.texts.as_ref();
    let texts = texts.filter(|_| ground.protocol.shows_texts());
    account::accepts(bounds, low, high, texts).map_err(name_amount)
}

/// The smaller and the larger side of the mean share.
pub(super) fn shares_of(amount: Fen, total_num: i32) -> (Fen, Fen) {
    let people = i64::from(total_num.max(1));
    let low = amount.0 / people;
    (Fen(low), Fen(low + i64::from(amount.0 % people != 0)))
}

/// A send has one amount where a campaign has a range.
fn name_amount(mut error: Error) -> Error {
    for violation in &mut error.violations {
        if violation.path.starts_with("amount.") {
            violation.path = "amount_fen".to_owned();
        }
    }
    error
}
