//! GetIssuance, GetBatch, and finding what a call names.

use super::parse::Fields;
use super::render::{Shows, render, render_attempt, render_batch, render_entry};
use super::{Backend, Caller, convert, pb};
use crate::domain::id::{BatchId, IssuanceId};
use crate::domain::text::MchBillno;
use crate::domain::{Error, Reason, Result};
use crate::store::entity::issuance_batch;
use crate::store::read::ByIssuance;

/// One issuance, by id or by a merchant order number.
pub(super) fn parse_ref(
    fields: &mut Fields,
    id: Option<i64>,
    number: Option<&str>,
) -> Option<ByIssuance> {
    match (id, number) {
        (Some(id), _) => fields
            .id(id, "issuance_id", IssuanceId::parse)
            .map(ByIssuance::Id),
        (None, Some(number)) => fields
            .name(
                number,
                "mch_billno",
                MchBillno::parse,
                Reason::IdInvalid,
                "28 characters of [0-9A-Za-z]",
            )
            .map(ByIssuance::Number),
        (None, None) => {
            let text = "name issuance_id or mch_billno";
            fields.bad("issuance_id", Reason::FieldRequired, text);
            None
        }
    }
}

pub(super) async fn get(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetIssuanceRequest,
) -> Result<pb::GetIssuanceResponse> {
    use pb::get_issuance_request::Ref;
    let shop = caller.shop(r.shop_id)?;
    caller.may_unmask(shop, r.unmask)?;
    let mut fields = Fields::default();
    let (id, number) = match &r.r#ref {
        Some(Ref::IssuanceId(id)) => (Some(*id), None),
        Some(Ref::MchBillno(number)) => (None, Some(number.as_str())),
        None => (None, None),
    };
    let by = parse_ref(&mut fields, id, number);
    let by = fields.finish(by)?;
    let (row, attempts) = backend.store.issuance(shop, &by).await?;
    let attempts = attempts
        .iter()
        .map(|attempt| render_attempt(attempt, &row))
        .collect();
    let receipts = backend.store.receipts(&row).await?;
    let receipts = receipts
        .into_iter()
        .map(|(receipt, openid)| pb::IssuanceReceipt {
            pid: row.id.0,
            obfuscated_openid: openid.masked(),
            openid: if r.unmask {
                openid.expose().to_owned()
            } else {
                String::new()
            },
            amount_fen: receipt.amount_fen.0,
            receive_time: convert::optional_time(receipt.receive_time),
        })
        .collect();
    let history = backend.store.history(row.id).await?;
    let packets = backend.store.packets(vec![row]).await?;
    let packet = packets
        .first()
        .ok_or_else(|| Error::internal("a packet vanished", "get"))?;
    let shows = Shows {
        people: r.unmask,
        ..Shows::PACKAGE
    };
    Ok(pb::GetIssuanceResponse {
        issuance: Some(render(backend, packet, shows)?),
        attempts,
        receipts,
        history: history.iter().map(render_entry).collect(),
    })
}

pub(super) async fn get_batch(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetBatchRequest,
) -> Result<pb::GetBatchResponse> {
    let row = find_batch(backend, caller, r.shop_id, r.batch_id).await?;
    let found = backend.store.with_campaigns(vec![row]).await?;
    Ok(pb::GetBatchResponse {
        batch: found.first().map(|(row, of)| render_batch(row, of)),
    })
}

pub(super) async fn find_batch(
    backend: &Backend,
    caller: &Caller,
    shop_id: i64,
    batch_id: i64,
) -> Result<issuance_batch::Model> {
    let shop = caller.shop(shop_id)?;
    let mut fields = Fields::default();
    let id = fields.id(batch_id, "batch_id", BatchId::parse);
    backend.store.batch(shop, fields.finish(id)?).await
}
