//! A packet for whoever scanned.
//!
//! One person's scans of one campaign take turns on his row. Scans are numbered for
//! each openid; the unique index on that number is the last guard. The order number
//! is derived from campaign, openid and the number of the scan, not from the request:
//! a phone that scans again after a database has lost its last commits gets the same
//! order number, whatever request id its new call brings. Nothing ever changes the
//! number of a scan, also where two rows turn out to be one person.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::audience::seal_openid;
use super::super::entity::{campaign_share, issuance, recipient};
use super::super::tx::{Fault, Tx};
use super::ground::Ground;
use super::{Command, Ids, Prepared, Unit};
use crate::domain::amount::AmountType;
use crate::domain::id::{CampaignId, IssuanceId, RecipientId};
use crate::domain::item;
use crate::domain::number::place_of;
use crate::domain::text::Openid;
use crate::domain::{Error, Fen, Reason, Result, State};

impl Unit<'_> {
    pub(super) async fn to_scanner(
        &self,
        command: &Command,
        ground: &Ground,
        openid: &Openid,
        ids: &Ids,
    ) -> Result<Prepared, Fault> {
        let (cipher, index) = seal_openid(self.store.keys(), command.shop, openid)?;
        let known = self.owner(command, ground, &index).await?;
        let owner = match &known {
            Some(owner) => owner.id,
            None => RecipientId(ids.recipient),
        };
        let campaign = &ground.campaign;
        let earlier = match &known {
            Some(_) => self.tx.scans(campaign.id, owner).await?,
            None => Vec::new(),
        };
        let counted = earlier.iter().filter(|row| counts(row.state)).count();
        if counted >= usize::try_from(campaign.scan_limit).unwrap_or(1) {
            let first = earlier.into_iter().find(|row| counts(row.state));
            let first = first.ok_or_else(|| Error::internal("no first packet", "scan"))?;
            return Ok(Prepared::Known(Box::new(first)));
        }
        let scan_no = self.tx.last_scan(campaign.id, &index).await? + 1;
        let item = item::scan(campaign.id, scan_no, &ground.appid, openid);
        let seed = item::scan_seed(command.shop, &item);
        let id = IssuanceId(ids.issuances.first().copied().unwrap_or(0));
        let rule = ground.rule()?;
        let (share, asked) = match (rule.kind(), campaign.stock_count) {
            (AmountType::Split, Some(stock)) => {
                let start = place_of(self.store.keys().number(), &seed, stock);
                let share = self.tx.free_share(campaign.id, start).await?;
                (Some(share.position), Some(share.amount_fen))
            }
            _ => (None, None),
        };
        let amount = rule
            .amount(self.store.keys().number(), &seed, asked)
            .ok_or_else(|| Error::internal("a rule gives no amount", "scan"))?;
        let mut packet = self.row(command, ground, id, amount, &seed);
        packet.scan_no = Some(scan_no);
        packet.share_position = share;
        packet.recipient_id = Some(owner);
        packet.uid = known.as_ref().and_then(|owner| owner.uid.clone());
        if let (Some(owner), 0) = (&known, command.branch.0) {
            packet.shop_sub_id = owner.shop_sub_id;
        }
        packet.openid_cipher = Some(cipher);
        packet.openid_index = Some(index);
        Ok(Prepared::One {
            packet: Box::new(packet),
            newcomer: known.is_none(),
        })
    }
}

/// Whether a packet counts against the limit of its person.
fn counts(state: State) -> bool {
    state.counts_against_stock()
}

impl Tx {
    /// The number of the latest scan by an openid, whosever it was then; 0 if none.
    async fn last_scan(&self, campaign: CampaignId, openid_index: &[u8]) -> Result<i32, Fault> {
        let last = issuance::Entity::find()
            .select_only()
            .column(issuance::Column::ScanNo)
            .filter(issuance::Column::CampaignId.eq(campaign))
            .filter(issuance::Column::OpenidIndex.eq(openid_index))
            .filter(issuance::Column::ScanNo.is_not_null())
            .order_by_desc(issuance::Column::ScanNo)
            .into_tuple::<Option<i32>>()
            .one(self)
            .await?;
        Ok(last.flatten().unwrap_or(0))
    }

    /// A person's scans of a campaign, first to last. His row is locked: two calls for
    /// one person take turns.
    pub(in crate::store) async fn scans(
        &self,
        campaign: CampaignId,
        recipient: RecipientId,
    ) -> Result<Vec<issuance::Model>, Fault> {
        recipient::Entity::find_by_id(recipient)
            .lock_exclusive()
            .one(self)
            .await?;
        Ok(issuance::Entity::find()
            .filter(issuance::Column::CampaignId.eq(campaign))
            .filter(issuance::Column::RecipientId.eq(recipient))
            .filter(issuance::Column::ScanNo.is_not_null())
            .order_by_asc(issuance::Column::CreateTime)
            .order_by_asc(issuance::Column::Id)
            .all(self)
            .await?)
    }

    /// The first free share from a place on, around the end of the list.
    async fn free_share(
        &self,
        campaign: CampaignId,
        start: i64,
    ) -> Result<campaign_share::Model, Fault> {
        use campaign_share::Column;
        let start = i32::try_from(start).unwrap_or(0);
        for from in [start, 0] {
            let share = campaign_share::Entity::find()
                .filter(Column::CampaignId.eq(campaign))
                .filter(Column::IssuanceId.is_null())
                .filter(Column::Position.gte(from))
                .order_by_asc(Column::Position)
                .one(self)
                .await?;
            if let Some(share) = share {
                return Ok(share);
            }
        }
        let text = "all shares of the pot are given away".to_owned();
        let error = Error::new(Reason::StockExhausted, text).fact("campaign_id", campaign);
        let error = error.fact("available_count", 0).fact("required_count", 1);
        Err(error.into())
    }

    /// Takes a share for a packet. False if somebody else was faster.
    pub(in crate::store) async fn take_share(
        &self,
        campaign: CampaignId,
        position: i32,
        packet: IssuanceId,
    ) -> Result<bool, Fault> {
        use campaign_share::Column;
        let taken = campaign_share::Entity::update_many()
            .col_expr(Column::IssuanceId, Expr::value(Some(packet)))
            .filter(Column::CampaignId.eq(campaign))
            .filter(Column::Position.eq(position))
            .filter(Column::IssuanceId.is_null())
            .exec(self)
            .await?;
        Ok(taken.rows_affected == 1)
    }

    /// Gives the shares of packets back that will not be paid.
    pub(in crate::store) async fn give_shares_back(
        &self,
        packets: Vec<IssuanceId>,
    ) -> Result<(), Fault> {
        if packets.is_empty() {
            return Ok(());
        }
        use campaign_share::Column;
        campaign_share::Entity::update_many()
            .col_expr(Column::IssuanceId, Expr::value(None::<IssuanceId>))
            .filter(Column::IssuanceId.is_in(packets))
            .exec(self)
            .await?;
        Ok(())
    }

    /// The shares of a pot, written down once.
    pub(in crate::store) async fn insert_shares(
        &self,
        campaign: CampaignId,
        shares: Vec<Fen>,
    ) -> Result<(), Fault> {
        use sea_orm::Set;
        let rows = shares.into_iter().zip(0..);
        let rows = rows.map(|(amount, position)| campaign_share::ActiveModel {
            campaign_id: Set(campaign),
            position: Set(position),
            amount_fen: Set(amount),
            issuance_id: Set(None),
        });
        super::super::journal::insert_all::<campaign_share::Entity, _>(self, rows.collect()).await
    }
}
