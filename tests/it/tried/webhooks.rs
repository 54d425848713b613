//! Webhook endpoints.

use std::collections::BTreeSet;

use hongbao::grpc::pb;

use super::tried;
use crate::support::{Raw, SHOP, TestApp};

/// What does not differ between a trial and the call.
fn endpoint(found: Option<pb::WebhookEndpoint>) -> pb::WebhookEndpoint {
    pb::WebhookEndpoint {
        endpoint_id: 0,
        old_secret_until: None,
        create_time: None,
        update_time: None,
        ..found.unwrap()
    }
}

pub(super) async fn tried(ground: &mut (TestApp, Raw, BTreeSet<String>)) {
    let client = ground.0.client.clone();
    let id = || client.fresh();
    let new = pb::CreateWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: id(),
        url: "https://example.com/hook".into(),
        ..Default::default()
    };
    let made = tried!(ground, events.create_webhook_endpoint, new, |a| endpoint(
        a.endpoint
    ));
    assert!(made.secret.starts_with("whsec_"));
    let endpoint_id = made.endpoint.unwrap().endpoint_id;
    let update = pb::UpdateWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: id(),
        endpoint_id,
        state: pb::WebhookEndpointState::Paused.into(),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["state".into()],
        }),
        ..Default::default()
    };
    tried!(
        ground,
        events.update_webhook_endpoint,
        update,
        |a| endpoint(a.endpoint)
    );
    let rotate = pb::RotateWebhookSecretRequest {
        shop_id: SHOP,
        request_id: id(),
        endpoint_id,
        ..Default::default()
    };
    tried!(ground, events.rotate_webhook_secret, rotate, |a| endpoint(
        a.endpoint
    ));
    let ping = pb::PingWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: id(),
        endpoint_id,
        ..Default::default()
    };
    tried!(ground, events.ping_webhook_endpoint, ping, |a| endpoint(
        a.endpoint
    ));
    let again = pb::RedeliverWebhooksRequest {
        shop_id: SHOP,
        request_id: id(),
        endpoint_id,
        what: Some(pb::redeliver_webhooks_request::What::Range(
            pb::EventRange {
                start_time: None,
                end_time: Some(prost_types::Timestamp {
                    seconds: 1,
                    nanos: 0,
                }),
            },
        )),
        ..Default::default()
    };
    tried!(ground, events.redeliver_webhooks, again, |a| a.count);
    let delete = pb::DeleteWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: id(),
        endpoint_id,
        ..Default::default()
    };
    tried!(ground, events.delete_webhook_endpoint, delete, |a| a
        .replayed);
}
