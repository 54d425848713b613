//! Orders on platforms: listed, and ended by people.

use super::{Backend, Caller, Fields, convert, page, parse_call, pb, render};
use crate::domain::id::OrderId;
use crate::domain::remote_voucher::RemoteId;
use crate::domain::text::OrderNo;
use crate::domain::{Reason, Result};
use crate::store::entity::remote_exchange;
use crate::store::voucher::{Access, Closing, OrderFilter, OrderView, RemoteCall, RemoteWords};

/// Numbers that a platform may have given one order.
const NUMBERS_MAX: usize = 50;
/// Exchanges that are shown.
const EXCHANGES_MAX: u64 = 200;
/// Calls of one order at most.
const LINES_MAX: i64 = 1_000_000;

pub(super) async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListVoucherOrdersRequest,
) -> Result<pb::ListVoucherOrdersResponse> {
    use prost::Message as _;
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let asked = pb::ListVoucherOrdersRequest {
        shop_id: shop.0,
        page_size: 0,
        page_token: String::new(),
        ..r.clone()
    };
    let scope = [b"voucher orders".to_vec(), asked.encode_to_vec()].concat();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, &scope);
    let filter = parse_filter(&mut fields, r);
    let (page, filter) = fields.finish(page.zip(filter))?;
    let access = Access::of(&caller.principal);
    let found = backend
        .store
        .voucher_orders_of(shop, access, &filter, page)
        .await?;
    Ok(pb::ListVoucherOrdersResponse {
        orders: found.iter().map(render::order).collect(),
        next_page_token: page::next(&found, page, &scope, |view| view.row.id.0),
    })
}

fn parse_filter(fields: &mut Fields, r: &pb::ListVoucherOrdersRequest) -> Option<OrderFilter> {
    let number = match r.app_order_id.as_str() {
        "" => Some(None),
        raw => fields.order_no(raw, "app_order_id").map(Some),
    };
    let associated = fields.text(&r.associated_order_id, "associated_order_id", 128);
    let mut states = Vec::with_capacity(r.states.len());
    for (index, raw) in r.states.iter().enumerate() {
        let path = format!("states[{index}]");
        states.extend(fields.choice(*raw, &path, convert::parse_order_state));
    }
    Some(OrderFilter {
        number: number?,
        associated: associated?,
        states,
    })
}

pub(super) async fn close(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CloseVoucherReviewRequest,
) -> Result<OrderView> {
    caller.principal.must_be_person()?;
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CloseVoucherReview",
        Some(shop),
        r,
        CloseVoucherReviewRequest,
        shop_id
    );
    let order = fields.id(r.order_id, "order_id", OrderId::parse);
    let line = fields.within(i64::from(r.line), "line", 0, LINES_MAX);
    let verdict = fields.choice(r.verdict, "verdict", convert::parse_remote_verdict);
    let voucher = match r.remote_voucher_id.as_str() {
        "" => Some(None),
        raw => fields.remote_id(raw, "remote_voucher_id").map(Some),
    };
    if r.remote_order_ids.len() > NUMBERS_MAX {
        let text = format!(
            "{} numbers; at most {NUMBERS_MAX}",
            r.remote_order_ids.len()
        );
        fields.bad("remote_order_ids", Reason::BatchTooLarge, text);
    }
    let mut orders = Vec::new();
    for (index, raw) in r.remote_order_ids.iter().take(NUMBERS_MAX).enumerate() {
        orders.extend(fields.remote_id(raw, &format!("remote_order_ids[{index}]")));
    }
    let reason = fields.reason(&r.reason);
    let parsed = call.zip(order).zip(line).zip(verdict).zip(voucher);
    let (((((call, order), line), verdict), voucher), reason) =
        fields.finish(parsed.zip(reason))?;
    let closing = Closing {
        order,
        line: i32::try_from(line).unwrap_or(i32::MAX),
        verdict,
        voucher,
        orders,
        reason,
    };
    let access = Access::of(&caller.principal);
    backend
        .store
        .close_remote(call, shop, access, closing)
        .await
}

impl Fields {
    pub(super) fn remote_id(&mut self, raw: &str, path: &str) -> Option<RemoteId> {
        let rule = "must be 1 to 128 printable ASCII characters without blanks and |";
        self.name(raw, path, RemoteId::parse, Reason::IdInvalid, rule)
    }

    pub(super) fn order_no(&mut self, raw: &str, path: &str) -> Option<OrderNo> {
        let rule = "must be 1 to 128 bytes without blanks at its ends and hidden characters";
        self.take(OrderNo::parse(raw), path, Reason::OrderIdInvalid, rule)
    }
}

pub(super) async fn words(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListVoucherExchangesRequest,
) -> Result<pb::ListVoucherExchangesResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let by = fields.order(r.order.as_ref());
    let by = fields.finish(by)?;
    let access = Access::of(&caller.principal);
    let found = backend.store.remote_words(shop, access, &by, EXCHANGES_MAX);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let render = |words: RemoteWords| pb::VoucherExchange {
        line: words.row.line,
        exchange: Some(exchange(&words.row)),
        request: text(&words.request),
        response: words.response.as_deref().map(text).unwrap_or_default(),
    };
    Ok(pb::ListVoucherExchangesResponse {
        exchanges: found.await?.into_iter().map(render).collect(),
    })
}

/// A call on the wire.
pub(super) fn call(of: &RemoteCall) -> pb::RemoteCall {
    let row = &of.row;
    pb::RemoteCall {
        line: row.line,
        kind: convert::remote_kind(row.kind),
        state: convert::remote_state(row.state),
        last_error: row.last_error.clone().unwrap_or_default(),
        remote_order_ids: row.orders(),
        sent_time: convert::optional_time(row.sent_time),
        due_time: convert::optional_time(row.due_time),
        tries: row.tries,
        exchanges: of.exchanges.iter().map(exchange).collect(),
        answer: of.answer().unwrap_or_default().to_owned(),
    }
}

fn exchange(row: &remote_exchange::Model) -> pb::RemoteExchange {
    pb::RemoteExchange {
        call: row.name.clone(),
        http_status: row.http_status.unwrap_or(0),
        duration_ms: row.duration_ms,
        late: row.late,
        outcome: row.outcome.clone(),
        create_time: convert::time(row.create_time),
    }
}
