//! The rows of packets to be accepted: who gets what under which number, and what
//! is refused alone.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::super::audience::seal_openid;
use super::super::entity::{campaign, issuance, recipient, recipient_openid};
use super::super::tx::Fault;
use super::{Command, Ground, Ids, Unit, Wanted};
use crate::domain::campaign::CampaignKind;
use crate::domain::id::{BatchId, IssuanceId, RecipientId, ShopId};
use crate::domain::number::{Seed, mch_billno};
use crate::domain::schedule::Job;
use crate::domain::text::{Openid, Texts, Uid};
use crate::domain::{Error, Fen, Reason, Result, State, account};

impl Unit<'_> {
    pub(super) async fn for_users(
        &self,
        command: &Command,
        ground: &Ground,
        uids: &[Uid],
        ids: &Ids,
    ) -> Result<Vec<issuance::Model>, Fault> {
        let known = self.resolve(command.shop, &ground.campaign, uids).await?;
        let mut rows = Vec::with_capacity(uids.len());
        for (uid, id) in uids.iter().zip(&ids.issuances) {
            let item = format!("uid:{uid}");
            let mut row = self.row(command, ground, IssuanceId(*id), &item, None)?;
            row.batch_id = Some(BatchId(ids.batch));
            row.uid = Some(uid.clone());
            match known.get(uid) {
                None => refuse(&mut row, Reason::RecipientNotFound),
                Some((recipient, None)) => {
                    row.recipient_id = Some(*recipient);
                    refuse(&mut row, Reason::OpenidMissing);
                }
                Some((recipient, Some(openid))) => {
                    row.recipient_id = Some(*recipient);
                    row.openid_cipher = Some(openid.openid_cipher.clone());
                    row.openid_index = Some(openid.openid_index.clone());
                }
            }
            rows.push(row);
        }
        Ok(rows)
    }

    pub(super) fn for_openid(
        &self,
        command: &Command,
        ground: &Ground,
        openid: &Openid,
        amount: Option<Fen>,
        texts: Option<&Texts>,
        ids: &Ids,
    ) -> Result<issuance::Model, Fault> {
        let item = format!("openid:{}:{}", ground.campaign.appid, openid.expose());
        let id = IssuanceId(ids.issuances.first().copied().unwrap_or(0));
        let mut row = self.row(command, ground, id, &item, amount)?;
        let (cipher, index) = seal_openid(self.store.keys(), command.shop, openid)?;
        row.openid_cipher = Some(cipher);
        row.openid_index = Some(index);
        row.texts = texts
            .map(serde_json::to_string)
            .transpose()
            .map_err(|e| Error::internal("texts are no JSON", e))?;
        Ok(row)
    }

    /// A packet that is ready to go, but for its openid.
    fn row(
        &self,
        command: &Command,
        ground: &Ground,
        id: IssuanceId,
        item: &str,
        asked: Option<Fen>,
    ) -> Result<issuance::Model, Fault> {
        let campaign = &ground.campaign;
        let seed = Seed {
            shop: command.shop,
            app: command.call.app,
            request: command.call.request.as_str(),
            item,
        };
        let key = self.store.keys().number();
        let rule = campaign
            .amount_rule()
            .ok_or_else(|| Error::internal("a campaign without rule", "amount"))?;
        let amount = rule.amount(key, &seed, asked).ok_or_else(|| {
            let text = format!(
                "this campaign takes {} to {} fen",
                rule.min().0,
                rule.max().0
            );
            Error::field("amount_fen", Reason::AmountOutOfRange, text)
        })?;
        let now = self.tx.now();
        Ok(issuance::Model {
            id,
            shop_id: command.shop,
            campaign_id: campaign.id,
            campaign_revision: campaign.revision,
            texts: None,
            batch_id: None,
            recipient_id: None,
            uid: None,
            app_id: command.call.app,
            request_id: command.call.request.clone(),
            account_id: campaign.account_id,
            appid: campaign.appid.clone(),
            openid_cipher: None,
            openid_index: None,
            amount_fen: amount,
            source: command.source,
            state: State::Queued,
            last_error: None,
            mch_billno: Some(mch_billno(key, &ground.payer.mch_id, &seed, 1)),
            attempt_count: 0,
            frozen: false,
            traceparent: command.traceparent.clone(),
            job: Some(Job::Send),
            due_time: Some(now),
            fence: 0,
            version: 1,
            create_time: now,
            update_time: now,
            send_time: None,
            receive_time: None,
            refund_time: None,
        })
    }

    /// Recipients by uid, with their openid of the campaign's appid.
    async fn resolve(
        &self,
        shop: ShopId,
        campaign: &campaign::Model,
        uids: &[Uid],
    ) -> Result<HashMap<Uid, (RecipientId, Option<recipient_openid::Model>)>, Fault> {
        let mut found = HashMap::with_capacity(uids.len());
        for chunk in uids.chunks(500) {
            let people = recipient::Entity::find()
                .filter(recipient::Column::ShopId.eq(shop))
                .filter(recipient::Column::Uid.is_in(chunk.iter().cloned()))
                .all(self.tx)
                .await?;
            let openids = recipient_openid::Entity::find()
                .filter(recipient_openid::Column::RecipientId.is_in(people.iter().map(|p| p.id)))
                .filter(recipient_openid::Column::Appid.eq(campaign.appid.clone()))
                .all(self.tx)
                .await?;
            let mut openids: HashMap<RecipientId, recipient_openid::Model> =
                openids.into_iter().map(|o| (o.recipient_id, o)).collect();
            for person in people {
                let openid = openids.remove(&person.id);
                if let Some(uid) = person.uid {
                    found.insert(uid, (person.id, openid));
                }
            }
        }
        Ok(found)
    }
}

/// What a campaign of this kind leaves to the caller, and what not.
pub(super) fn check_fit(command: &Command, ground: &Ground) -> Result<()> {
    if !ground.payer.enabled {
        let text = "the provider account of the campaign is disabled".to_owned();
        return Err(Error::new(Reason::AccountDisabled, text).fact("account_id", ground.payer.id));
    }
    let direct = ground.campaign.kind == CampaignKind::Direct;
    let refuse = |path: &str, reason, text: &str| Err(Error::field(path, reason, text.to_owned()));
    match &command.wanted {
        Wanted::Users(_) if direct => refuse(
            "campaign_id",
            Reason::FieldNotAllowed,
            "a DIRECT campaign pays single packets; use SendRedPacket",
        ),
        Wanted::Users(_) => Ok(()),
        Wanted::Openid { amount: None, .. } if direct => refuse(
            "amount_fen",
            Reason::FieldRequired,
            "a DIRECT campaign needs the amount",
        ),
        Wanted::Openid {
            amount: Some(_), ..
        } if !direct => refuse(
            "amount_fen",
            Reason::FieldNotAllowed,
            "this campaign has its own amount rule; leave it 0",
        ),
        Wanted::Openid { texts: Some(_), .. } if !direct => refuse(
            "texts",
            Reason::FieldNotAllowed,
            "this campaign has its own texts; leave them out",
        ),
        Wanted::Openid { amount, texts, .. } => {
            let amount = amount.unwrap_or(ground.campaign.min_amount_fen);
            match texts {
                Some(texts) => {
                    let bounds = ground.payer.min_amount_fen..=ground.payer.max_amount_fen;
                    account::accepts(bounds, amount, amount, Some(texts)).map_err(name_amount)
                }
                None => Ok(()),
            }
        }
    }
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

/// A packet that is refused alone: it has a row, so that counts add up and a
/// replay can tell, but no money and no number.
fn refuse(row: &mut issuance::Model, reason: Reason) {
    row.state = State::Failed;
    row.last_error = Some(reason.name().to_owned());
    row.mch_billno = None;
    row.job = None;
    row.due_time = None;
}
