//! Deliveries.

use super::{Backend, Caller, Fields, convert, page, parse_call, pb, render};
use crate::domain::event::parse_event_id;
use crate::domain::id::{EndpointId, ShopId};
use crate::domain::{Reason, Result};
use crate::store::voucher::Access;
use crate::store::webhook::{DeliveryFilter, Redelivery};

pub(super) async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListWebhookDeliveriesRequest,
) -> Result<pb::ListWebhookDeliveriesResponse> {
    use prost::Message as _;
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let asked = pb::ListWebhookDeliveriesRequest {
        shop_id: shop.0,
        page_size: 0,
        page_token: String::new(),
        ..r.clone()
    };
    let scope = [b"deliveries".to_vec(), asked.encode_to_vec()].concat();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, &scope);
    let id = fields.id(r.endpoint_id, "endpoint_id", EndpointId::parse);
    let mut states = Vec::with_capacity(r.states.len());
    for (index, raw) in r.states.iter().enumerate() {
        let path = format!("states[{index}]");
        states.extend(fields.choice(*raw, &path, convert::parse_delivery_state));
    }
    let position = match r.event_id.as_str() {
        "" => Some(None),
        raw => fields.event(raw, shop).map(Some),
    };
    let ((page, id), position) = fields.finish(page.zip(id).zip(position))?;
    let access = Access::of(&caller.principal);
    let filter = DeliveryFilter { states, position };
    let found = backend
        .store
        .deliveries(shop, access, id, &filter, page)
        .await?;
    Ok(pb::ListWebhookDeliveriesResponse {
        next_page_token: page::next(&found, page, &scope, |view| view.row.position),
        deliveries: found
            .iter()
            .map(|view| render::delivery(shop, view))
            .collect(),
    })
}

pub(super) async fn redeliver(
    backend: &Backend,
    caller: &Caller,
    r: &pb::RedeliverWebhooksRequest,
) -> Result<pb::RedeliverWebhooksResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "RedeliverWebhooks",
        Some(shop),
        r,
        RedeliverWebhooksRequest,
        shop_id
    );
    let id = fields.id(r.endpoint_id, "endpoint_id", EndpointId::parse);
    let what = parse_what(&mut fields, r, shop);
    let ((call, id), what) = fields.finish(call.zip(id).zip(what))?;
    let access = Access::of(&caller.principal);
    let (count, replayed) = backend
        .store
        .redeliver(call, shop, access, id, what)
        .await?;
    Ok(pb::RedeliverWebhooksResponse {
        count: i64::try_from(count).unwrap_or(i64::MAX),
        replayed,
    })
}

fn parse_what(
    fields: &mut Fields,
    r: &pb::RedeliverWebhooksRequest,
    shop: ShopId,
) -> Option<Redelivery> {
    use pb::redeliver_webhooks_request::What;
    match &r.what {
        None => {
            let text = "required: an event_id or a range";
            fields.bad("what", Reason::FieldRequired, text);
            None
        }
        Some(What::EventId(raw)) => fields.event(raw, shop).map(Redelivery::One),
        Some(What::Range(range)) => {
            let start = fields.time(range.start_time.as_ref(), "range.start_time")?;
            let end = fields.time(range.end_time.as_ref(), "range.end_time")?;
            let Some(end) = end else {
                let text = "required: until when";
                fields.bad("range.end_time", Reason::FieldRequired, text);
                return None;
            };
            let start = start.unwrap_or(crate::domain::Timestamp(0));
            if start >= end {
                let text = "must be later than start_time";
                fields.bad("range.end_time", Reason::TimeRangeInvalid, text);
                return None;
            }
            Some(Redelivery::Range {
                start,
                end,
                only_dead: r.only_dead,
            })
        }
    }
}

impl Fields {
    fn event(&mut self, raw: &str, shop: ShopId) -> Option<i64> {
        let rule = format!("must be the name of an event of this shop, evt_{shop}_…");
        self.take(
            parse_event_id(raw, shop),
            "event_id",
            Reason::IdInvalid,
            &rule,
        )
    }
}
