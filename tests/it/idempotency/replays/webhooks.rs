//! Webhook endpoints, and what is delivered to them again.

use std::collections::BTreeSet;

use hongbao::grpc::pb;
use tonic::Code;

use super::replays;
use crate::support::{SHOP, TestApp, reason};

pub(super) async fn replay(app: &TestApp, seen: &mut BTreeSet<String>) {
    let client = &app.client;
    let new = pb::CreateWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: "endpoint".into(),
        url: "https://example.com/hook?token=1".into(),
        ..Default::default()
    };
    let id = replays!(
        client,
        seen,
        events.create_webhook_endpoint,
        new,
        |r| r.url.push('2'),
        |a| a.endpoint.as_ref().unwrap().endpoint_id
    );
    let endpoint_id: i64 = id.parse().unwrap();
    let update = pb::UpdateWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: "endpoint-update".into(),
        endpoint_id,
        types: vec!["issuance.sent".into()],
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["types".into()],
        }),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        events.update_webhook_endpoint,
        update,
        |r| r.types.clear(),
        |a| a.endpoint.as_ref().unwrap().types.clone()
    );
    let rotate = pb::RotateWebhookSecretRequest {
        shop_id: SHOP,
        request_id: "endpoint-rotate".into(),
        endpoint_id,
        ..Default::default()
    };
    replays!(
        client,
        seen,
        events.rotate_webhook_secret,
        rotate,
        |r| r.overlap_seconds = 5,
        |a| a.endpoint.as_ref().unwrap().old_secret_until
    );
    let ping = pb::PingWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: "endpoint-ping".into(),
        endpoint_id,
        ..Default::default()
    };
    replays!(
        client,
        seen,
        events.ping_webhook_endpoint,
        ping,
        // Of another endpoint, so that the body differs.
        |r| r.endpoint_id = second(app).await,
        |a| a.endpoint.as_ref().unwrap().endpoint_id
    );
    let again = pb::RedeliverWebhooksRequest {
        shop_id: SHOP,
        request_id: "endpoint-again".into(),
        endpoint_id,
        what: Some(pb::redeliver_webhooks_request::What::Range(
            pb::EventRange {
                start_time: None,
                end_time: Some(prost_types::Timestamp {
                    seconds: 1_000,
                    nanos: 0,
                }),
            },
        )),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        events.redeliver_webhooks,
        again,
        |r| r.only_dead = true,
        |a| a.count
    );
    let delete = pb::DeleteWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: "endpoint-delete".into(),
        endpoint_id,
        ..Default::default()
    };
    replays!(
        client,
        seen,
        events.delete_webhook_endpoint,
        delete,
        |r| r.endpoint_id = second(app).await,
        |a| ()
    );
}

async fn second(app: &TestApp) -> i64 {
    let new = pb::CreateWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        url: "https://example.com/second".into(),
        ..Default::default()
    };
    let made = app.client.events().create_webhook_endpoint(new).await;
    made.unwrap().into_inner().endpoint.unwrap().endpoint_id
}
