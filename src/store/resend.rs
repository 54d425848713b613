//! Sending again what is proven not to have been paid.

use std::collections::BTreeMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::Store;
use super::audience::open_openid;
use super::batch::BatchMoves;
use super::entity::issuance::{Column, Entity, Model};
use super::entity::{campaign, issuance_batch, recipient_openid};
use super::journal::{Change, issuance_entry};
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx};
use super::usage::{Counted, Uses};
use crate::domain::cap::Owner;
use crate::domain::id::{IssuanceId, RecipientId, ShopId};
use crate::domain::item;
use crate::domain::ledger::Posting;
use crate::domain::number::{Seed, mch_billno};
use crate::domain::schedule::Job;
use crate::domain::{Error, Fen, Reason, Result, State, missing};

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
        self.may_join_batch(&before).await?;
        let campaign = self.lock_free_campaign(shop, &before).await?;
        let (payer, protocol) = self.account_of(shop, before.account_id).await?;
        if !payer.enabled {
            let text = "the provider account is disabled".to_owned();
            return Err(Error::new(Reason::AccountDisabled, text)
                .fact("account_id", payer.id)
                .into());
        }
        let owner = self.owner_of(&before).await?;
        let (cipher, index) = self.openid_of(&before, owner).await?;
        let standing = campaign.standing();
        let mut refusals: Vec<Error> = self.closed(&standing).await?.into_iter().collect();
        refusals.extend(self.stop_refusals(shop, payer.id).await?);
        // A refunded packet still counts against stock and caps; a failed one does not.
        let counted = i64::from(before.state.counts_against_stock());
        refusals.extend(standing.affords(before.amount_fen, 1 - counted));
        let caps = campaign.caps()?;
        let counted_day = before.counted_day.unwrap_or(self.now().beijing_day());
        let uses = self
            .uses_again(&before, owner, counted_day, &campaign)
            .await?;
        for (key, more) in uses.iter() {
            let used = self.used(key).await?;
            refusals.extend(caps.refusal(key, used, *more));
        }
        if let Some(refusal) = Error::all(refusals) {
            return Err(refusal.into());
        }
        let item = self.item_of(store, &before, &cipher).await?;
        let seed = match before.scan_no {
            Some(_) => item::scan_seed(shop, &item),
            None => Seed {
                shop,
                app: before.app_id,
                request: before.request_id.as_str(),
                item: &item,
            },
        };
        self.may_scan_again(&campaign, &before).await?;
        let number = mch_billno(
            store.keys().number(),
            protocol,
            &payer.mch_id,
            &seed,
            before.attempt_count + 1,
        );
        let changed = Entity::update_many()
            .col_expr(Column::State, Expr::value(State::Queued))
            .col_expr(Column::Job, Expr::value(Some(Job::Send)))
            .col_expr(Column::DueTime, Expr::value(Some(self.now())))
            .col_expr(Column::MchBillno, Expr::value(Some(number)))
            .col_expr(Column::RecipientId, Expr::value(owner))
            .col_expr(Column::OpenidCipher, Expr::value(Some(cipher)))
            .col_expr(Column::OpenidIndex, Expr::value(Some(index)))
            .col_expr(Column::CountedDay, Expr::value(Some(counted_day)))
            .col_expr(Column::Version, Expr::value(before.version + 1))
            .col_expr(Column::UpdateTime, Expr::value(self.now()))
            .col_expr(Column::RefundedFen, Expr::value(Fen::ZERO))
            .col_expr(Column::ReceivedFen, Expr::value(Fen::ZERO))
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
        let mut moves = BatchMoves::default();
        moves.add(&before, State::Queued, before.attempt_count.max(1));
        self.count_moves(moves).await?;
        let limits = BTreeMap::from([(Owner::Campaign(campaign.id), caps.clone())]);
        if self.count_uses(&uses, &limits).await?
            && self
                .take(campaign.id, before.amount_fen, 1, counted, &caps)
                .await?
        {
            Ok(())
        } else {
            Err(Fault::Again)
        }
    }

    /// What a packet counts under that does not count now; nothing if it still does.
    async fn uses_again(
        &self,
        before: &Model,
        owner: Option<RecipientId>,
        day: i64,
        campaign: &campaign::Model,
    ) -> Result<Uses, Fault> {
        let mut uses = Uses::default();
        if before.counted_day.is_none() {
            let row = Model {
                counted_day: Some(day),
                recipient_id: owner,
                ..before.clone()
            };
            if let Some(counted) = Counted::of(&row, campaign.counts_recipients) {
                uses.add(counted)?;
            }
        }
        Ok(uses)
    }

    /// What is queued in a cancelled batch is withdrawn, so nothing is queued there again.
    async fn may_join_batch(&self, row: &Model) -> Result<(), Fault> {
        let Some(batch) = row.batch_id else {
            return Ok(());
        };
        let batch = issuance_batch::Entity::find_by_id(batch).one(self).await?;
        if batch.is_some_and(|batch| batch.cancel_time.is_some()) {
            let text = "the batch of this packet was cancelled; send a new one";
            let error = Error::new(Reason::IssuanceCancelled, text.to_owned());
            let error = error.fact("issuance_id", row.id);
            return Err(error.fact("state", row.state.name()).into());
        }
        Ok(())
    }

    /// An issuance of a shop.
    pub(super) async fn issuance(&self, shop: ShopId, id: IssuanceId) -> Result<Model, Fault> {
        let row = Entity::find_by_id(id)
            .filter(Column::ShopId.eq(shop))
            .one(self)
            .await?;
        Ok(row.ok_or_else(|| missing::issuance(id))?)
    }

    /// What named the packet when it was accepted.
    async fn item_of(&self, store: &Store, row: &Model, cipher: &[u8]) -> Result<String, Fault> {
        let openid = open_openid(store.keys(), row.shop_id, cipher)?;
        if let Some(scan_no) = row.scan_no {
            return Ok(item::scan(row.campaign_id, scan_no, &row.appid, &openid));
        }
        let whose = item::person(row.uid.as_ref(), &row.appid, Some(&openid));
        let Some(batch) = row.batch_id else {
            return Ok(whose);
        };
        let batch = issuance_batch::Entity::find_by_id(batch).one(self).await?;
        Ok(match batch {
            Some(batch) if batch.every_group => match batch.group_id {
                Some(group) => item::member(group, &whose),
                None => whose,
            },
            _ => whose,
        })
    }

    /// A scan that is sent again counts against its person's limit again, and takes
    /// its share of the pot again.
    async fn may_scan_again(&self, campaign: &campaign::Model, row: &Model) -> Result<(), Fault> {
        let (Some(_), Some(owner)) = (row.scan_no, row.recipient_id) else {
            return Ok(());
        };
        let others = self.scans(campaign.id, owner).await?;
        let others = others
            .iter()
            .filter(|other| other.id != row.id && other.state.counts_against_stock());
        if others.count() >= usize::try_from(campaign.scan_limit).unwrap_or(1) {
            let text =
                "the person has scanned again meanwhile and has as many packets as one may get";
            let error = Error::new(Reason::RecipientLimit, text.to_owned());
            let error = error.fact("campaign_id", campaign.id);
            return Err(error.fact("scan_limit", campaign.scan_limit).into());
        }
        // A refunded packet has kept its share.
        if let (Some(position), State::Failed) = (row.share_position, row.state)
            && !self.take_share(campaign.id, position, row.id).await?
        {
            let text = "the packet's share of the pot was given to somebody else meanwhile";
            let error = Error::new(Reason::StockExhausted, text.to_owned());
            let error = error.fact("available_count", 0).fact("required_count", 1);
            return Err(error.into());
        }
        Ok(())
    }

    async fn lock_free_campaign(
        &self,
        shop: ShopId,
        row: &Model,
    ) -> Result<super::entity::campaign::Model, Fault> {
        let found = campaign::Entity::find_by_id(row.campaign_id)
            .filter(campaign::Column::ShopId.eq(shop))
            .one(self)
            .await?;
        Ok(found.ok_or_else(|| missing::campaign(row.campaign_id))?)
    }

    /// Whose packet it is; one that was refused for an unknown uid may have an owner by now.
    async fn owner_of(&self, row: &Model) -> Result<Option<RecipientId>, Fault> {
        use super::entity::recipient;
        let (None, Some(uid)) = (row.recipient_id, row.uid.clone()) else {
            return Ok(row.recipient_id);
        };
        let owner = recipient::Entity::find()
            .select_only()
            .column(recipient::Column::Id)
            .filter(recipient::Column::ShopId.eq(row.shop_id))
            .filter(recipient::Column::Uid.eq(uid))
            .into_tuple()
            .one(self)
            .await?;
        Ok(owner)
    }

    /// The openid that the packet goes to: whoever was named in a send to many may have
    /// got another one meanwhile, or his first; a packet to an openid stays with it.
    async fn openid_of(
        &self,
        row: &Model,
        owner: Option<RecipientId>,
    ) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        let named = row.batch_id.is_some() && row.uid.is_some();
        let current = match owner.filter(|_| named || row.openid_cipher.is_none()) {
            Some(person) => {
                recipient_openid::Entity::find_by_id((person, row.appid.clone()))
                    .one(self)
                    .await?
            }
            None => None,
        };
        let before = (&row.openid_cipher, &row.openid_index);
        if let (None, (Some(cipher), Some(index))) = (&current, before) {
            return Ok((cipher.clone(), index.clone()));
        }
        let openid = current.ok_or_else(|| {
            let text = "the recipient still has no openid of the campaign's appid; UpsertRecipients can add it";
            Error::new(Reason::OpenidMissing, text.to_owned()).fact("issuance_id", row.id)
        })?;
        Ok((openid.openid_cipher, openid.openid_index))
    }
}

/// Only what a provider's state proves not to be paid, or paid and given back.
fn may_resend(row: &Model) -> Result<()> {
    if row.state == State::Refunded && row.refunded_fen < row.amount_fen {
        let text = "a part of this group packet was taken; send a new one to those who got nothing";
        let error = Error::new(Reason::AlreadySent, text.to_owned()).fact("issuance_id", row.id);
        return Err(error.fact("state", row.state.name()));
    }
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
            Reason::IssuanceCancelled,
            "this packet was withdrawn before it was sent; send a new one",
        ),
    }
}
