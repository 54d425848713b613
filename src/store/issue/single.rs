//! A single packet for an openid.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::super::audience::seal_openid;
use super::super::entity::{recipient, recipient_openid};
use super::super::tx::Fault;
use super::ground::{Ground, shares_of};
use super::many::seed;
use super::{Command, Ids, Prepared, Single, Unit};
use crate::domain::id::{BranchId, IssuanceId, RecipientId};
use crate::domain::item;
use crate::domain::packet::Kind;
use crate::domain::{Error, Fen, Reason, Result};

impl Unit<'_> {
    pub(super) async fn to_openid(
        &self,
        command: &Command,
        ground: &Ground,
        single: &Single,
        ids: &Ids,
    ) -> Result<Prepared, Fault> {
        let item = item::person(None, &ground.appid, Some(&single.openid));
        let seed = seed(command, &item);
        let id = IssuanceId(ids.issuances.first().copied().unwrap_or(0));
        let amount = amount_of(self, ground, single, &seed)?;
        let mut row = self.row(command, ground, id, amount, &seed);
        let (cipher, index) = seal_openid(self.store.keys(), command.shop, &single.openid)?;
        let owner = self.owner(command, ground, &index).await?;
        // Who is counted must be somebody.
        let newcomer = owner.is_none() && ground.campaign.counts_recipients;
        if newcomer {
            row.recipient_id = Some(RecipientId(ids.recipient));
        }
        if let Some(owner) = owner {
            row.recipient_id = Some(owner.id);
            row.uid = None;
            if command.branch.0 == 0 {
                row.shop_sub_id = BranchId(owner.shop_sub_id.0);
            }
        }
        row.openid_cipher = Some(cipher);
        row.openid_index = Some(index);
        row.texts = single
            .texts
            .as_ref()
            .map(serde_json::to_string)
            .transpose()
            .map_err(|e| Error::internal("texts are no JSON", e))?;
        row.kind = single.kind;
        row.total_num = single.total_num;
        row.gateway_type = single.gateway;
        row.client_ip.clone_from(&single.client_ip);
        let keys = self.store.keys();
        if let Some(mobile) = &single.mobile {
            let column = mobile_column(id);
            row.mobile_cipher = Some(keys.seal(&column, mobile.expose().as_bytes())?);
        }
        if let Some(url) = &single.callback_url {
            let column = callback_column(id);
            row.callback_cipher = Some(keys.seal(&column, url.expose().as_bytes())?);
        }
        if let Some(info) = &single.risk_info {
            let column = risk_info_column(id);
            row.risk_info_cipher = Some(keys.seal(&column, info.expose().as_bytes())?);
        }
        Ok(Prepared::One {
            packet: Box::new(row),
            newcomer,
        })
    }

    /// The recipient of the shop that has an openid, if there is one. He stays who he
    /// is until the unit ends: a row that only a scan has seen could become another's.
    pub(super) async fn owner(
        &self,
        command: &Command,
        ground: &Ground,
        openid_index: &[u8],
    ) -> Result<Option<recipient::Model>, Fault> {
        let known = recipient_openid::Entity::find()
            .filter(recipient_openid::Column::ShopId.eq(command.shop))
            .filter(recipient_openid::Column::Appid.eq(ground.appid.clone()))
            .filter(recipient_openid::Column::OpenidIndex.eq(openid_index.to_vec()))
            .one(self.tx)
            .await?;
        match known {
            Some(known) => Ok(recipient::Entity::find_by_id(known.recipient_id)
                .lock_shared()
                .one(self.tx)
                .await?),
            None => Ok(None),
        }
    }
}

/// The associated data of a packet's risk_info.
pub(in crate::store) fn risk_info_column(id: IssuanceId) -> String {
    format!("risk_info/{id}")
}

/// The associated data of a packet's mobile number.
pub(in crate::store) fn mobile_column(id: IssuanceId) -> String {
    format!("packet mobile/{id}")
}

/// The associated data of a packet's own URL.
pub(in crate::store) fn callback_column(id: IssuanceId) -> String {
    format!("packet callback/{id}")
}

/// How much a packet holds; of a group packet the mean share keeps the rule.
fn amount_of(
    unit: &Unit<'_>,
    ground: &Ground,
    single: &Single,
    seed: &crate::domain::number::Seed<'_>,
) -> Result<Fen> {
    let rule = ground.rule()?;
    let amount = match (single.kind, single.amount) {
        (Kind::Fission, Some(total)) => {
            let (low, high) = shares_of(total, single.total_num);
            (rule.allows(low) && rule.allows(high)).then_some(total)
        }
        (Kind::Normal | Kind::MiniProgram, asked) => {
            rule.amount(unit.store.keys().number(), seed, asked)
        }
        (Kind::Fission, None) => None,
    };
    amount.ok_or_else(|| {
        let text = format!(
            "this campaign takes {} to {} fen for each who shares the packet",
            rule.min().0,
            rule.max().0
        );
        Error::field("amount_fen", Reason::AmountOutOfRange, text)
    })
}
