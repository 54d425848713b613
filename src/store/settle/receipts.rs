//! Who took from a group packet: written down as the provider tells of it, each
//! receiver once.

use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, Set};

use super::super::Store;
use super::super::audience::seal_openid;
use super::super::entity::issuance_receipt::{ActiveModel, Column, Entity};
use super::super::entity::{attempt, issuance};
use super::super::tx::{Fault, Tx};
use super::{Answer, Settlement};
use crate::domain::Result;
use crate::domain::outcome::QueryOutcome;

/// The receivers that an answer names.
pub(super) fn receipt_rows(
    store: &Store,
    settlement: &Settlement,
    row: &issuance::Model,
    attempt: &attempt::Model,
) -> Result<Vec<ActiveModel>> {
    let Answer::Query(QueryOutcome::Known(report)) = &settlement.answer else {
        return Ok(Vec::new());
    };
    let receipts = report.receipts.iter().zip(0..);
    receipts
        .map(|(receipt, seq)| {
            let (cipher, index) = seal_openid(store.keys(), row.shop_id, &receipt.openid)?;
            Ok(ActiveModel {
                issuance_id: Set(row.id),
                attempt_no: Set(attempt.attempt_no),
                openid_index: Set(index),
                openid_cipher: Set(cipher),
                seq: Set(seq),
                amount_fen: Set(receipt.amount),
                receive_time: Set(receipt.received_at),
            })
        })
        .collect()
}

impl Tx {
    /// Writes receivers down; one that is there already stays as it is.
    pub(super) async fn insert_receipts(&self, rows: Vec<ActiveModel>) -> Result<(), Fault> {
        for chunk in rows.chunks(200) {
            let keep =
                OnConflict::columns([Column::IssuanceId, Column::AttemptNo, Column::OpenidIndex])
                    .do_nothing()
                    .to_owned();
            Entity::insert_many(chunk.to_vec())
                .on_conflict(keep)
                .exec_without_returning(self)
                .await?;
        }
        Ok(())
    }
}
