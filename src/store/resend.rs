//! Sending again what is proven not to have been paid.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::Store;
use super::entity::issuance::{Column, Entity, Model};
use super::entity::recipient_openid;
use super::journal::{Change, issuance_entry};
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx};
use crate::domain::id::{IssuanceId, ShopId};
use crate::domain::ledger::Posting;
use crate::domain::number::{Seed, mch_billno};
use crate::domain::schedule::Job;
use crate::domain::{Error, Reason, Result, State, missing};

impl Store {
    /// Queues an issuance once more: same amount, new hold, next number.
    ///
    /// # Errors
    /// ISSUANCE_NOT_FOUND, OUTCOME_UNKNOWN, ALREADY_SENT, ISSUANCE_FROZEN,
    /// OPENID_MISSING, and what the campaign refuses.
    pub async fn resend(&self, call: Call, shop: ShopId, id: IssuanceId) -> Result<Written<Model>> {
        let end = call.end();
        let store = self.clone();
        self.write_or_try(end, move |tx| {
            let (call, store) = (call.clone(), store.clone());
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                if !replayed {
                    tx.resend(&store, &call, shop, id).await?;
                }
                Ok(Written {
                    row: tx.issuance(shop, id).await?,
                    replayed,
                })
            })
        })
        .await
    }
}

impl Tx {
    async fn resend(
        &self,
        store: &Store,
        call: &Call,
        shop: ShopId,
        id: IssuanceId,
    ) -> Result<(), Fault> {
        let before = self.issuance(shop, id).await?;
        may_resend(&before)?;
        let campaign = self.lock_free_campaign(shop, &before).await?;
        let payer = self.account_of(shop, before.account_id).await?;
        if !payer.enabled {
            let text = "the provider account is disabled".to_owned();
            return Err(Error::new(Reason::AccountDisabled, text)
                .fact("account_id", payer.id)
                .into());
        }
        let (cipher, index) = self.openid_of(&before).await?;
        let standing = campaign.standing();
        standing.open_at(self.now())?;
        // A refunded packet still counts against the stock; a failed one does not.
        let counted = i64::from(before.state.counts_against_stock());
        standing.affords(before.amount_fen, 1 - counted)?;
        let item = match &before.uid {
            Some(uid) => format!("uid:{uid}"),
            None => {
                let openid = super::audience::open_openid(store.keys(), shop, &cipher)?;
                format!("openid:{}:{}", before.appid, openid.expose())
            }
        };
        let seed = Seed {
            shop,
            app: before.app_id,
            request: before.request_id.as_str(),
            item: &item,
        };
        let number = mch_billno(
            store.keys().number(),
            &payer.mch_id,
            &seed,
            before.attempt_count + 1,
        );
        let changed = Entity::update_many()
            .col_expr(Column::State, Expr::value(State::Queued))
            .col_expr(Column::Job, Expr::value(Some(Job::Send)))
            .col_expr(Column::DueTime, Expr::value(Some(self.now())))
            .col_expr(Column::MchBillno, Expr::value(Some(number)))
            .col_expr(Column::OpenidCipher, Expr::value(Some(cipher)))
            .col_expr(Column::OpenidIndex, Expr::value(Some(index)))
            .col_expr(Column::Version, Expr::value(before.version + 1))
            .col_expr(Column::UpdateTime, Expr::value(self.now()))
            .filter(Column::Id.eq(id))
            .filter(Column::Version.eq(before.version))
            .exec(self)
            .await?;
        if changed.rows_affected != 1 {
            return Err(Fault::Again);
        }
        let change = Change {
            before: &before,
            from: Some(before.state),
            to: State::Queued,
            kind: "RESENT",
            reason: None,
            posting: Posting::hold(before.amount_fen),
            seq: before.version + 1,
        };
        self.append(vec![issuance_entry(change, &call.actor, self.now())])
            .await?;
        if self
            .take(campaign.id, before.amount_fen, 1, counted)
            .await?
        {
            Ok(())
        } else {
            Err(Fault::Again)
        }
    }

    /// An issuance of a shop.
    pub(super) async fn issuance(&self, shop: ShopId, id: IssuanceId) -> Result<Model, Fault> {
        let row = Entity::find_by_id(id)
            .filter(Column::ShopId.eq(shop))
            .one(self)
            .await?;
        Ok(row.ok_or_else(|| missing::issuance(id))?)
    }

    async fn lock_free_campaign(
        &self,
        shop: ShopId,
        row: &Model,
    ) -> Result<super::entity::campaign::Model, Fault> {
        use super::entity::campaign;
        let found = campaign::Entity::find_by_id(row.campaign_id)
            .filter(campaign::Column::ShopId.eq(shop))
            .one(self)
            .await?;
        Ok(found.ok_or_else(|| missing::campaign(row.campaign_id))?)
    }

    /// The openid of the packet; for one that was refused for lack of it, the one
    /// that the recipient has by now.
    async fn openid_of(&self, row: &Model) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        if let (Some(cipher), Some(index)) = (&row.openid_cipher, &row.openid_index) {
            return Ok((cipher.clone(), index.clone()));
        }
        let uid = row.uid.clone();
        let person = super::entity::recipient::Entity::find()
            .select_only()
            .column(super::entity::recipient::Column::Id)
            .filter(super::entity::recipient::Column::ShopId.eq(row.shop_id))
            .filter(super::entity::recipient::Column::Uid.eq(uid))
            .into_tuple::<crate::domain::id::RecipientId>()
            .one(self)
            .await?;
        let openid = match person {
            Some(person) => {
                recipient_openid::Entity::find_by_id((person, row.appid.clone()))
                    .one(self)
                    .await?
            }
            None => None,
        };
        let openid = openid.ok_or_else(|| {
            let text = "the recipient still has no openid of the campaign's appid; UpsertRecipients can add it";
            Error::new(Reason::OpenidMissing, text.to_owned()).fact("issuance_id", row.id)
        })?;
        Ok((openid.openid_cipher, openid.openid_index))
    }
}

/// Only what a provider's state proves not to be paid, or paid and given back.
fn may_resend(row: &Model) -> Result<()> {
    let refuse = |reason, text: &str| {
        let error = Error::new(reason, text.to_owned()).fact("issuance_id", row.id);
        Err(error.fact("state", row.state.name()))
    };
    if row.frozen {
        return refuse(
            Reason::IssuanceFrozen,
            "the provider contradicted itself about this packet; a person must decide first",
        );
    }
    match row.state {
        State::Failed | State::Refunded => Ok(()),
        State::Queued | State::Sending | State::Unknown | State::Review => refuse(
            Reason::OutcomeUnknown,
            "it is not known yet whether this packet was paid; a second one could pay twice",
        ),
        State::Sent | State::Received | State::Refunding => {
            refuse(Reason::AlreadySent, "this packet was sent")
        }
        State::Cancelled => refuse(
            Reason::CampaignEnded,
            "this packet was withdrawn with its campaign; send a new one",
        ),
    }
}
