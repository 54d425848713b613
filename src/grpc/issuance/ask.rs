//! RefreshStatus, QueryProviderStatus, ListProviderExchanges.

use tokio::time::Instant;

use super::parse::Fields;
use super::read::{Named, parse_ref};
use super::{Backend, Caller, convert, pb};
use crate::domain::id::IssuanceId;
use crate::domain::status_reply::StatusReply;
use crate::domain::{Fen, Reason, Result};
use crate::service::ask::Refreshed;
use crate::store::packets::ExchangeShown;

/// Packets of one refresh at most.
const REFRESH_MAX: usize = 1_000;
/// Exchanges of one answer at most.
const EXCHANGES_MAX: u64 = 200;

pub(super) async fn refresh(
    backend: &Backend,
    caller: &Caller,
    r: &pb::RefreshStatusRequest,
    until: Instant,
) -> Result<pb::RefreshStatusResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    if r.issuance_ids.is_empty() {
        let text = format!("name 1 to {REFRESH_MAX} issuances");
        fields.bad("issuance_ids", Reason::FieldRequired, text);
    }
    let ids = fields.ids(
        &r.issuance_ids,
        "issuance_ids",
        IssuanceId::parse,
        REFRESH_MAX,
    );
    let ids = fields.finish(ids)?;
    let done = backend.asker.refresh(shop, &ids, until).await?;
    let fresh = |refreshed: &Refreshed| match refreshed {
        Refreshed::Answered | Refreshed::Final => true,
        Refreshed::NotSent | Refreshed::Pending | Refreshed::NotFound => false,
    };
    let refreshed = done.iter().filter(|(_, result, _)| fresh(result)).count();
    let results = done.iter().map(|(id, result, row)| pb::RefreshResult {
        issuance_id: id.0,
        outcome: outcome(*result).into(),
        state: row.as_ref().map_or(0, |row| convert::state(row.state)),
        last_error: row
            .as_ref()
            .and_then(|row| row.last_error.clone())
            .unwrap_or_default(),
    });
    Ok(pb::RefreshStatusResponse {
        requested_count: i64::try_from(ids.len()).unwrap_or(i64::MAX),
        refreshed_count: i64::try_from(refreshed).unwrap_or(i64::MAX),
        results: results.collect(),
    })
}

fn outcome(refreshed: Refreshed) -> pb::RefreshOutcome {
    match refreshed {
        Refreshed::Answered => pb::RefreshOutcome::Refreshed,
        Refreshed::Final => pb::RefreshOutcome::Final,
        Refreshed::NotSent => pb::RefreshOutcome::NotSent,
        Refreshed::Pending => pb::RefreshOutcome::Pending,
        Refreshed::NotFound => pb::RefreshOutcome::NotFound,
    }
}

pub(super) async fn query(
    backend: &Backend,
    caller: &Caller,
    r: &pb::QueryProviderStatusRequest,
    until: Instant,
) -> Result<pb::QueryProviderStatusResponse> {
    use pb::query_provider_status_request::Ref;
    let shop = caller.shop(r.shop_id)?;
    caller.may_unmask(shop, r.unmask)?;
    let mut fields = Fields::default();
    let named = r.r#ref.as_ref().map(|named| match named {
        Ref::IssuanceId(id) => Named::Id(*id),
        Ref::MchBillno(number) => Named::Number(number),
        Ref::BizCode(code) => Named::BizCode(code),
    });
    let by = parse_ref(&mut fields, caller, named);
    let told = backend.asker.ask(shop, &fields.finish(by)?, until).await?;
    Ok(pb::QueryProviderStatusResponse {
        status: Some(render_status(told.reply, r.unmask)),
        outcome: told.outcome,
        state: convert::state(told.state),
    })
}

fn render_status(reply: StatusReply, unmask: bool) -> pb::ProviderStatus {
    let fen = |amount: Option<Fen>| amount.map_or(0, |amount| amount.0);
    let receipt = |receiver: crate::domain::status_reply::Receiver| {
        let openid = receiver.openid.as_ref();
        pb::ProviderReceipt {
            obfuscated_openid: openid.map(|o| o.masked()).unwrap_or_default(),
            openid: openid
                .filter(|_| unmask)
                .map(|o| o.expose().to_owned())
                .unwrap_or_default(),
            amount_fen: fen(receiver.amount),
            rcv_time: receiver.rcv_time,
        }
    };
    pb::ProviderStatus {
        return_code: reply.return_code,
        return_msg: reply.return_msg,
        result_code: reply.result_code,
        err_code: reply.err_code,
        err_code_des: reply.err_code_des,
        mch_billno: reply.mch_billno,
        mch_id: reply.mch_id,
        detail_id: reply.detail_id,
        status: reply.status,
        send_type: reply.send_type,
        hb_type: reply.hb_type,
        total_num: reply.total_num.unwrap_or(0),
        total_amount_fen: fen(reply.total_amount),
        settlement_price: reply.price,
        reason: reply.reason,
        send_time: reply.send_time,
        refund_time: reply.refund_time,
        refund_amount_fen: fen(reply.refund_amount),
        wishing: reply.wishing,
        remark: reply.remark,
        act_name: reply.act_name,
        hblist: reply.receivers.into_iter().map(receipt).collect(),
    }
}

pub(super) async fn exchanges(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListProviderExchangesRequest,
) -> Result<pb::ListProviderExchangesResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let id = fields.id(r.issuance_id, "issuance_id", IssuanceId::parse);
    let id = fields.finish(id)?;
    let found = backend.store.exchanges(shop, id, EXCHANGES_MAX).await?;
    Ok(pb::ListProviderExchangesResponse {
        exchanges: found.into_iter().map(render_exchange).collect(),
    })
}

fn render_exchange(shown: ExchangeShown) -> pb::ProviderExchange {
    let row = shown.row;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    pb::ProviderExchange {
        exchange_id: row.id.0,
        attempt_no: shown.attempt.attempt_no,
        mch_billno: shown.attempt.mch_billno.to_string(),
        call: row.call,
        request: text(shown.request),
        response: shown.response.map(text).unwrap_or_default(),
        http_status: row.http_status.unwrap_or(0),
        outcome: row.outcome,
        late: row.late,
        duration_ms: row.duration_ms,
        create_time: convert::time(row.create_time),
    }
}
