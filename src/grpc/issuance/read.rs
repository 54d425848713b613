//! GetIssuance, GetBatch, and finding what a call names.

use super::parse::Fields;
use super::render::{Shows, render, render_attempt, render_batch, render_entry};
use super::{Backend, Caller, convert, pb};
use crate::domain::id::{BatchId, IssuanceId};
use crate::domain::text::{MchBillno, RequestId};
use crate::domain::{Error, Reason, Result};
use crate::store::entity::issuance_batch;
use crate::store::read::ByIssuance;

/// How a call names one issuance, and what it is called there.
#[derive(Clone, Copy)]
pub(super) enum Named<'a> {
    Id(i64),
    Number(&'a str),
    BizCode(&'a str),
}

/// One issuance, by id, by a merchant order number, or by the request id of the caller's own.
pub(super) fn parse_ref(
    fields: &mut Fields,
    caller: &Caller,
    named: Option<Named<'_>>,
) -> Option<ByIssuance> {
    match named {
        Some(Named::Id(id)) => fields
            .id(id, "issuance_id", IssuanceId::parse)
            .map(ByIssuance::Id),
        Some(Named::Number(number)) => fields
            .name(
                number,
                "mch_billno",
                MchBillno::parse,
                Reason::IdInvalid,
                "28 characters of [0-9A-Za-z]",
            )
            .map(ByIssuance::Number),
        Some(Named::BizCode(code)) => fields
            .name(
                code,
                "biz_code",
                RequestId::parse,
                Reason::RequestIdInvalid,
                "1 to 64 characters of [A-Za-z0-9_.:-]",
            )
            .map(|id| ByIssuance::Request(caller.principal.app, id)),
        None => {
            let text = "name issuance_id, mch_billno or biz_code";
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
    let named = r.r#ref.as_ref().map(|named| match named {
        Ref::IssuanceId(id) => Named::Id(*id),
        Ref::MchBillno(number) => Named::Number(number),
        Ref::BizCode(code) => Named::BizCode(code),
    });
    let by = parse_ref(&mut fields, caller, named);
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
