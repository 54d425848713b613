//! The rows of packets, and writing them.

use sea_orm::{ActiveModelTrait as _, EntityTrait, IntoActiveModel as _, Set};

use super::super::entity::{issuance, issuance_batch, recipient, recipient_openid};
use super::super::journal::{Change, insert_all, issuance_entry};
use super::super::tx::{Fault, is_duplicate};
use super::ground::Ground;
use super::many::{Many, Part, seed};
use super::people::Person;
use super::{Command, Ids, Issued, Prepared, REFUSED_SHOWN, Unit, overflow};
use crate::domain::amount::AmountRule;
use crate::domain::id::{BatchId, BranchId, IssuanceId};
use crate::domain::ledger::Posting;
use crate::domain::number::{Seed, mch_billno};
use crate::domain::packet::Kind;
use crate::domain::schedule::Job;
use crate::domain::{Error, Fen, Reason, Result, State};

/// Packets that are made and written at once, so that a hundred thousand of them
/// are never in memory together.
const CHUNK: usize = 500;

impl Ground {
    pub(super) fn rule(&self) -> Result<AmountRule> {
        self.campaign
            .amount_rule()
            .ok_or_else(|| Error::internal("a campaign without rule", "amount"))
    }
}

impl Unit<'_> {
    /// A normal packet that is ready to go, but for whom it is for.
    pub(super) fn row(
        &self,
        command: &Command,
        ground: &Ground,
        id: IssuanceId,
        amount: Fen,
        seed: &Seed<'_>,
    ) -> issuance::Model {
        let campaign = &ground.campaign;
        let key = self.store.keys().number();
        let now = self.tx.now();
        issuance::Model {
            id,
            shop_id: command.shop,
            campaign_id: campaign.id,
            campaign_revision: campaign.revision,
            texts: None,
            kind: Kind::Normal,
            total_num: 1,
            risk_info_cipher: None,
            mobile_cipher: None,
            callback_cipher: None,
            client_ip: None,
            gateway_type: None,
            shop_sub_id: command.branch,
            batch_id: None,
            recipient_id: None,
            uid: None,
            app_id: command.call.app,
            request_id: command.call.request.clone(),
            account_id: ground.payer.id,
            appid: ground.appid.clone(),
            openid_cipher: None,
            openid_index: None,
            amount_fen: amount,
            source: command.source,
            scan_no: None,
            share_position: None,
            received_fen: Fen::ZERO,
            refunded_fen: Fen::ZERO,
            state: State::Queued,
            last_error: None,
            mch_billno: Some(mch_billno(
                key,
                ground.protocol,
                &ground.payer.mch_id,
                seed,
                1,
            )),
            attempt_count: 0,
            frozen: false,
            counted_day: Some(now.beijing_day()),
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
        }
    }

    pub(super) async fn write(
        &self,
        command: &Command,
        prepared: Prepared,
        ids: &Ids,
    ) -> Result<Issued, Fault> {
        match prepared {
            Prepared::Many(many) => self.write_many(command, &many, ids).await,
            Prepared::One { packet, newcomer } => {
                if newcomer {
                    self.write_newcomer(&packet).await?;
                }
                if let Some(position) = packet.share_position
                    && !self
                        .tx
                        .take_share(packet.campaign_id, position, packet.id)
                        .await?
                {
                    return Err(Fault::Again);
                }
                let written = self.write_packets(command, vec![(*packet).clone()]).await;
                written.map_err(first_come)?;
                Ok(Issued {
                    resource: packet.id.0,
                    packet: Some(*packet),
                    ..Issued::default()
                })
            }
            Prepared::Known(packet) => {
                self.tx.repoint_request(&command.call, packet.id.0).await?;
                Ok(Issued {
                    resource: packet.id.0,
                    replayed: true,
                    ..Issued::default()
                })
            }
        }
    }

    async fn write_many(&self, command: &Command, many: &Many, ids: &Ids) -> Result<Issued, Fault> {
        let mut issued = Issued {
            resource: ids.batches.first().copied().unwrap_or(0),
            batch_ids: ids.batches.clone(),
            repeated: many.repeated,
            ..Issued::default()
        };
        let mut packet_ids = ids.issuances.iter().copied();
        for (part, id) in many.parts.iter().zip(&ids.batches) {
            let batch = self.batch_row(command, &many.ground, part, BatchId(*id))?;
            let insert = batch.clone().into_active_model().reset_all();
            insert.insert(self.tx).await?;
            let mut people = part.people.iter().zip(&part.amounts);
            loop {
                let chunk: Vec<_> = people.by_ref().take(CHUNK).collect();
                if chunk.is_empty() {
                    break;
                }
                let mut rows = Vec::with_capacity(chunk.len());
                for ((person, amount), id) in chunk.into_iter().zip(&mut packet_ids) {
                    let id = IssuanceId(id);
                    let row = self.member_row(command, &many.ground, part, person, *amount, id)?;
                    let row = issuance::Model {
                        batch_id: Some(batch.id),
                        ..row
                    };
                    if row.state == State::Failed && issued.refused.len() < REFUSED_SHOWN {
                        issued.refused.push(row.clone());
                    }
                    rows.push(row);
                }
                self.write_packets(command, rows).await?;
            }
            issued.batches.push(batch);
        }
        Ok(issued)
    }

    fn batch_row(
        &self,
        command: &Command,
        ground: &Ground,
        part: &Part,
        id: BatchId,
    ) -> Result<issuance_batch::Model> {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let accepted = part.people.iter().zip(&part.amounts);
        let accepted = accepted.filter(|(person, _)| person.refusal().is_none());
        let held: Vec<Fen> = accepted.map(|(_, amount)| *amount).collect();
        let (group_id, group_name) = part.group.clone().unzip();
        Ok(issuance_batch::Model {
            id,
            shop_id: command.shop,
            shop_sub_id: command.branch,
            campaign_id: ground.campaign.id,
            source: command.source,
            group_id,
            group_name,
            every_group: part.every_group,
            requested_count: count(part.people.len()),
            refused_count: count(part.people.len() - held.len()),
            queued_count: count(held.len()),
            sending_count: 0,
            unknown_count: 0,
            review_count: 0,
            sent_count: 0,
            received_count: 0,
            refunding_count: 0,
            refunded_count: 0,
            failed_count: 0,
            cancelled_count: 0,
            amount_fen: Fen::checked_sum(held).ok_or_else(overflow)?,
            cancel_time: None,
            create_time: self.tx.now(),
        })
    }

    fn member_row(
        &self,
        command: &Command,
        ground: &Ground,
        part: &Part,
        person: &Person,
        amount: Fen,
        id: IssuanceId,
    ) -> Result<issuance::Model> {
        let item = part.item(self, ground, person)?;
        let mut row = self.row(command, ground, id, amount, &seed(command, &item));
        row.recipient_id = person.recipient;
        row.uid.clone_from(&person.uid);
        if command.branch.0 == 0 {
            row.shop_sub_id = BranchId(person.branch);
        }
        if let Some((cipher, index)) = &person.openid {
            row.openid_cipher = Some(cipher.clone());
            row.openid_index = Some(index.clone());
        }
        if let Some(reason) = person.refusal() {
            refuse(&mut row, reason);
        }
        Ok(row)
    }

    /// A recipient that is known by an openid alone; a later upsert gives him his uid.
    async fn write_newcomer(&self, packet: &issuance::Model) -> Result<(), Fault> {
        let (Some(id), Some(cipher), Some(index)) = (
            packet.recipient_id,
            packet.openid_cipher.clone(),
            packet.openid_index.clone(),
        ) else {
            return Err(Error::internal("a scan without openid", "scan").into());
        };
        let row = recipient::ActiveModel {
            id: Set(id),
            shop_id: Set(packet.shop_id),
            shop_sub_id: Set(packet.shop_sub_id),
            uid: Set(None),
            nickname: Set(String::new()),
            mobile_cipher: Set(None),
            mobile_index: Set(None),
            mobile_tail_index: Set(None),
            create_time: Set(packet.create_time),
            update_time: Set(packet.create_time),
        };
        recipient::Entity::insert(row)
            .exec_without_returning(self.tx)
            .await?;
        let openid = recipient_openid::ActiveModel {
            recipient_id: Set(id),
            appid: Set(packet.appid.clone()),
            shop_id: Set(packet.shop_id),
            openid_cipher: Set(cipher),
            openid_index: Set(index),
        };
        recipient_openid::Entity::insert(openid)
            .exec_without_returning(self.tx)
            .await
            .map_err(|error| first_come(error.into()))?;
        Ok(())
    }

    async fn write_packets(
        &self,
        command: &Command,
        rows: Vec<issuance::Model>,
    ) -> Result<(), Fault> {
        let now = self.tx.now();
        let entries = rows.iter().map(|row| {
            let refused = row.state == State::Failed;
            let change = Change {
                before: row,
                from: None,
                to: row.state,
                kind: if refused { "REFUSED" } else { "ISSUED" },
                reason: row.last_error.clone(),
                posting: if refused {
                    None
                } else {
                    Posting::hold(row.amount_fen)
                },
                seq: 1,
            };
            issuance_entry(change, &command.call.actor, now)
        });
        let entries: Vec<_> = entries.collect();
        let rows = rows
            .into_iter()
            .map(|row| row.into_active_model().reset_all())
            .collect();
        insert_all::<issuance::Entity, _>(self.tx, rows).await?;
        self.tx.append(entries).await
    }
}

/// Two that scan for one person at one instant: the later one looks again.
fn first_come(fault: Fault) -> Fault {
    match fault {
        Fault::Db(error) if is_duplicate(&error) => Fault::Again,
        other @ (Fault::Db(_) | Fault::Refused(_) | Fault::Again) => other,
    }
}

/// A packet that is refused alone: it has a row, so that counts add up and a
/// replay can tell, but no money and no number.
fn refuse(row: &mut issuance::Model, reason: Reason) {
    row.state = State::Failed;
    row.last_error = Some(reason.name().to_owned());
    row.mch_billno = None;
    row.counted_day = None;
    row.job = None;
    row.due_time = None;
}
