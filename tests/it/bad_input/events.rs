//! EventService.

use hongbao::grpc::pb::{self, redeliver_webhooks_request::What};
use tonic::Code;

use super::{OTHER, Table, bad, no, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(feeds, endpoints, deliveries);

async fn feeds(db: TestDb) {
    let table = Table::start(db).await;
    let list = pb::ListEventsRequest {
        shop_id: SHOP,
        filter: Some(pb::EventFilter {
            types: vec!["issuance.sent".into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    refused!(table, events.list_events, list, {
        "no shop": |r| r.shop_id = 0 => bad(&[("shop_id", "FIELD_REQUIRED")]),
        "#47 a cursor of elsewhere": |r| r.cursor = "AAAA".into() => bad(&[("cursor", "CURSOR_INVALID")]),
        "#27 a page below zero": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "types that are none": |r| r.filter.as_mut().unwrap().types.push("issuance.SENT".into()) => bad(&[("filter.types[1]", "EVENT_TYPE_INVALID")]),
        "a type that never happens": |r| r.filter.as_mut().unwrap().types.push("voucher.refunded".into()) => bad(&[("filter.types[1]", "EVENT_TYPE_INVALID")]),
        "#7 a voucher that is none": |r| r.filter.as_mut().unwrap().voucher_id = -1 => bad(&[("filter.voucher_id", "ID_INVALID")]),
        "51 types": |r| r.filter.as_mut().unwrap().types = vec!["voucher.*".into(); 51] => bad(&[("filter.types", "BATCH_TOO_LARGE")]),
        "#7 ids that are none": |r| r.filter.as_mut().unwrap().campaign_id = -1 => bad(&[("filter.campaign_id", "ID_INVALID")]),
    });
    table.finish().await;
}

fn new(table: &Table) -> pb::CreateWebhookEndpointRequest {
    pb::CreateWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: table.app.client.fresh(),
        url: "https://example.com/hook".into(),
        ..Default::default()
    }
}

async fn endpoints(db: TestDb) {
    let table = Table::start(db).await;
    let made = refused!(table, events.create_webhook_endpoint, new(&table), {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "no url": |r| r.url.clear() => bad(&[("url", "FIELD_REQUIRED")]),
        "#38 the metadata service": |r| r.url = "http://169.254.169.254".into() => bad(&[("url", "RECEIVER_URL_INVALID")]),
        "#38 a mapped loopback": |r| r.url = "https://[::ffff:127.0.0.1]/".into() => bad(&[("url", "RECEIVER_URL_INVALID")]),
        "#38 no scheme": |r| r.url = "www.example.com/hook".into() => bad(&[("url", "RECEIVER_URL_INVALID")]),
        "#37 a style that is none": |r| r.style = 9 => bad(&[("style", "ENUM_UNKNOWN")]),
        "a type that is none": |r| r.types.push("sent".into()) => bad(&[("types[0]", "EVENT_TYPE_INVALID")]),
        "another's app": |r| r.app_id = 404 => bad(&[("app_id", "ID_INVALID")]),
    });
    let endpoint_id = made.endpoint.unwrap().endpoint_id;
    let mut reports = new(&table);
    reports.style = pb::WebhookStyle::OpenPlatform.into();
    let mut events = table.app.client.events();
    let reports = events.create_webhook_endpoint(reports).await.unwrap();
    let reports = reports.into_inner().endpoint.unwrap();
    let ping = pb::PingWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: table.app.client.fresh(),
        endpoint_id,
        ..Default::default()
    };
    refused!(table, events.ping_webhook_endpoint, ping, {
        "one that is told of orders alone": |r| r.endpoint_id = reports.endpoint_id => bad(&[("endpoint_id", "FIELD_NOT_ALLOWED")]),
        "#7 one that is not there": |r| r.endpoint_id = 404 => no(Code::NotFound, "ENDPOINT_NOT_FOUND"),
    });
    let update = pb::UpdateWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: table.app.client.fresh(),
        endpoint_id,
        url: "https://example.com/other".into(),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["url".into()],
        }),
        ..Default::default()
    };
    refused!(table, events.update_webhook_endpoint, update, {
        "no mask": |r| r.update_mask = None => bad(&[("update_mask", "FIELD_REQUIRED")]),
        "a field that cannot change": |r| r.update_mask.as_mut().unwrap().paths = vec!["style".into()] => bad(&[("update_mask", "UPDATE_MASK_INVALID")]),
        "DISABLED by hand": |r| { r.update_mask.as_mut().unwrap().paths = vec!["state".into()]; r.state = 3; } => bad(&[("state", "ENUM_UNKNOWN")]),
        "#38 inside": |r| r.url = "https://10.0.0.1/".into() => bad(&[("url", "RECEIVER_URL_INVALID")]),
        "#7 one that is not there": |r| r.endpoint_id = 404 => no(Code::NotFound, "ENDPOINT_NOT_FOUND"),
        "#8 another shop's": |r| r.shop_id = OTHER => no(Code::NotFound, "ENDPOINT_NOT_FOUND"),
    });
    let rotate = pb::RotateWebhookSecretRequest {
        shop_id: SHOP,
        request_id: table.app.client.fresh(),
        endpoint_id,
        ..Default::default()
    };
    refused!(table, events.rotate_webhook_secret, rotate, {
        "below zero": |r| r.overlap_seconds = -1 => bad(&[("overlap_seconds", "OUT_OF_RANGE")]),
        "longer than a week": |r| r.overlap_seconds = 604_801 => bad(&[("overlap_seconds", "OUT_OF_RANGE")]),
        "#7 one that is not there": |r| r.endpoint_id = 404 => no(Code::NotFound, "ENDPOINT_NOT_FOUND"),
    });
    table.finish().await;
}

async fn deliveries(db: TestDb) {
    let table = Table::start(db).await;
    let mut events = table.app.client.events();
    let made = events.create_webhook_endpoint(new(&table));
    let endpoint_id = made
        .await
        .unwrap()
        .into_inner()
        .endpoint
        .unwrap()
        .endpoint_id;
    let list = pb::ListWebhookDeliveriesRequest {
        shop_id: SHOP,
        endpoint_id,
        ..Default::default()
    };
    refused!(table, events.list_webhook_deliveries, list, {
        "a state that is none": |r| r.states.push(9) => bad(&[("states[0]", "ENUM_UNKNOWN")]),
        "an event of another shop": |r| r.event_id = format!("evt_{OTHER}_1") => bad(&[("event_id", "ID_INVALID")]),
        "a token of elsewhere": |r| r.page_token = "AAAA".into() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#7 one that is not there": |r| r.endpoint_id = 404 => no(Code::NotFound, "ENDPOINT_NOT_FOUND"),
    });
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let range = |start, end| {
        Some(What::Range(pb::EventRange {
            start_time: at(start),
            end_time: end,
        }))
    };
    let again = pb::RedeliverWebhooksRequest {
        shop_id: SHOP,
        request_id: table.app.client.fresh(),
        endpoint_id,
        what: range(0, at(1)),
        ..Default::default()
    };
    refused!(table, events.redeliver_webhooks, again, {
        "nothing": |r| r.what = None => bad(&[("what", "FIELD_REQUIRED")]),
        "no end": |r| r.what = range(0, None) => bad(&[("range.end_time", "FIELD_REQUIRED")]),
        "an end before its start": |r| r.what = range(2, at(1)) => bad(&[("range.end_time", "TIME_RANGE_INVALID")]),
        "a name that is none": |r| r.what = Some(What::EventId("1".into())) => bad(&[("event_id", "ID_INVALID")]),
        "an event that was not for it": |r| r.what = Some(What::EventId(format!("evt_{SHOP}_1"))) => no(Code::NotFound, "DELIVERY_NOT_FOUND"),
    });
    table.finish().await;
}
