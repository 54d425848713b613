//! Events, endpoints and deliveries on the wire.

use super::{convert, pb};
use crate::domain::event::{Types, event_id, type_name};
use crate::domain::id::ShopId;
use crate::store::event::EventView;
use crate::store::webhook::{DeliveryView, EndpointView};

pub(super) fn event(view: &EventView) -> pb::Event {
    let row = &view.row;
    pb::Event {
        event_id: event_id(row.shop_id, view.position),
        position: view.position,
        shop_id: row.shop_id.0,
        r#type: type_name(row.aggregate, &row.kind),
        subject: convert::event_subject(row.aggregate),
        subject_id: row.aggregate_id,
        seq: row.seq,
        line: row.line,
        from_state: row.from_state.clone().unwrap_or_default(),
        to_state: row.to_state.clone(),
        debit_account: row.debit_account.map_or("", |p| p.name()).to_owned(),
        credit_account: row.credit_account.map_or("", |p| p.name()).to_owned(),
        amount_fen: row.amount_fen.map_or(0, |fen| fen.0),
        reason: row.reason.clone().unwrap_or_default(),
        actor: row.actor.clone(),
        create_time: convert::time(row.create_time),
        facts: Some(facts(view)),
    }
}

fn facts(view: &EventView) -> pb::EventFacts {
    let facts = view.facts();
    pb::EventFacts {
        campaign_id: facts.campaign_id,
        batch_id: facts.batch_id,
        product_id: facts.product_id,
        order_id: facts.order_id,
        app_id: facts.app_id,
        request_id: facts.request_id,
        recipient_id: facts.recipient_id,
        uid: facts.uid,
        face_fen: facts.face_fen,
        mch_billno: facts.mch_billno,
        last_error: facts.last_error,
        voucher_no: facts.voucher_no,
    }
}

pub(super) fn endpoint(view: &EndpointView) -> pb::WebhookEndpoint {
    let row = &view.row;
    pb::WebhookEndpoint {
        endpoint_id: row.id.0,
        shop_id: row.shop_id.0,
        app_id: row.app_id.0,
        obfuscated_url: row.url_shown.clone(),
        style: convert::webhook_style(row.style),
        types: Types::from_text(&row.types).names(),
        order_callbacks: row.order_callbacks,
        state: convert::endpoint_state(row.state),
        disabled_reason: row.disabled_reason.clone().unwrap_or_default(),
        failure_count: row.failure_count,
        failing_since: convert::optional_time(row.failing_since),
        last_outcome: row.last_outcome.clone().unwrap_or_default(),
        acknowledge_time: convert::optional_time(row.acknowledge_time),
        old_secret_until: convert::optional_time(row.old_secret_until),
        pending_count: view.pending,
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
    }
}

pub(super) fn delivery(shop: ShopId, view: &DeliveryView) -> pb::WebhookDelivery {
    let (row, event) = (&view.row, view.event.as_ref());
    pb::WebhookDelivery {
        endpoint_id: row.endpoint_id.0,
        event_id: event_id(shop, row.position),
        r#type: row.kind.clone(),
        state: convert::delivery_state(row.state),
        try_count: row.try_count,
        due_time: convert::optional_time(row.due_time),
        last_outcome: row.last_outcome.clone().unwrap_or_default(),
        http_status: row.http_status.unwrap_or(0),
        reply_excerpt: view.excerpt.clone(),
        duration_ms: row.duration_ms.unwrap_or(0),
        event_time: convert::time(row.event_time),
        try_time: convert::optional_time(row.try_time),
        acknowledge_time: convert::optional_time(row.acknowledge_time),
        subject_id: event.map_or(0, |event| event.row.aggregate_id),
        request_id: event
            .map(|event| event.facts().request_id)
            .unwrap_or_default(),
    }
}
