//! Webhooks: real posts to a real receiver on this machine.

mod many;

use std::collections::BTreeSet;
use std::time::Duration;

use hongbao::grpc::pb::{
    self, IssuanceState as S, WebhookDeliveryState as D, WebhookEndpointState as E,
};
use md5::{Digest as _, Md5};

use crate::sending::ready;
use crate::support::receiver::{Receiver, ok};
use crate::support::{Options, SHOP, TestApp, TestDb, on_both, reason, violations};

on_both!(
    what_happens_is_posted_and_signed,
    a_receiver_that_fails_is_told_again_and_delays_nobody,
    a_receiver_that_is_gone_is_disabled_and_its_owner_told,
    two_secrets_sign_while_one_follows_the_other,
    what_was_lost_is_delivered_again,
    a_report_is_as_seed_003_has_it,
    what_is_paused_waits,
    receivers_inside_the_network_are_refused,
);

struct Scene {
    app: TestApp,
    campaign: i64,
}

impl Scene {
    async fn open(db: TestDb) -> Self {
        Self::open_at(db, 3_600).await
    }

    async fn open_at(db: TestDb, time_scale: u32) -> Self {
        let options = Options {
            time_scale,
            ..Options::default()
        };
        let app = TestApp::start_with(db, options).await;
        let campaign = ready(&app, 1_000_000).await;
        Self { app, campaign }
    }

    async fn endpoint(&self, url: String, types: &[&str]) -> (i64, String) {
        self.endpoint_of(url, types, pb::WebhookStyle::Standard)
            .await
    }

    async fn endpoint_of(
        &self,
        url: String,
        types: &[&str],
        style: pb::WebhookStyle,
    ) -> (i64, String) {
        let new = pb::CreateWebhookEndpointRequest {
            shop_id: SHOP,
            request_id: self.app.client.fresh(),
            url,
            style: style.into(),
            types: types.iter().map(|t| (*t).to_owned()).collect(),
            ..Default::default()
        };
        let made = self.app.client.events().create_webhook_endpoint(new).await;
        let made = made.unwrap().into_inner();
        let endpoint = made.endpoint.unwrap();
        assert!(!endpoint.obfuscated_url.contains("secret"), "{endpoint:?}");
        (endpoint.endpoint_id, made.secret)
    }

    async fn get(&self, endpoint_id: i64) -> pb::WebhookEndpoint {
        let get = pb::GetWebhookEndpointRequest {
            shop_id: SHOP,
            endpoint_id,
        };
        let found = self.app.client.events().get_webhook_endpoint(get).await;
        found.unwrap().into_inner().endpoint.unwrap()
    }

    /// The endpoint once it is so.
    async fn becomes(
        &self,
        endpoint_id: i64,
        is: impl Fn(&pb::WebhookEndpoint) -> bool,
    ) -> pb::WebhookEndpoint {
        for _ in 0..1_000 {
            let found = self.get(endpoint_id).await;
            if is(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", self.get(endpoint_id).await);
    }

    async fn deliveries(&self, endpoint_id: i64, states: &[D]) -> Vec<pb::WebhookDelivery> {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let list = pb::ListWebhookDeliveriesRequest {
                shop_id: SHOP,
                endpoint_id,
                page_size: 30,
                page_token,
                states: states.iter().map(|state| i32::from(*state)).collect(),
                ..Default::default()
            };
            let page = self.app.client.events().list_webhook_deliveries(list).await;
            let page = page.unwrap().into_inner();
            found.extend(page.deliveries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    }

    async fn set(&self, endpoint_id: i64, state: E) {
        let update = pb::UpdateWebhookEndpointRequest {
            shop_id: SHOP,
            request_id: self.app.client.fresh(),
            endpoint_id,
            state: state.into(),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["state".into()],
            }),
            ..Default::default()
        };
        let mut events = self.app.client.events();
        events.update_webhook_endpoint(update).await.unwrap();
    }

    async fn redeliver(&self, endpoint_id: i64, what: pb::redeliver_webhooks_request::What) -> i64 {
        let redeliver = pb::RedeliverWebhooksRequest {
            shop_id: SHOP,
            request_id: self.app.client.fresh(),
            endpoint_id,
            what: Some(what),
            ..Default::default()
        };
        let done = self.app.client.events().redeliver_webhooks(redeliver).await;
        done.unwrap().into_inner().count
    }

    async fn send(&self, openid: &str) -> pb::Issuance {
        let client = &self.app.client;
        client.send(SHOP, self.campaign, openid).await.unwrap()
    }

    async fn ends(&self, issuance_id: i64) {
        let ends = [S::Received, S::Refunded, S::Failed];
        self.app.client.await_state(SHOP, issuance_id, &ends).await;
    }

    async fn close(self) {
        self.app.assert_sound().await;
        self.app.stop().await;
    }
}

async fn what_happens_is_posted_and_signed(db: TestDb) {
    let scene = Scene::open(db).await;
    let receiver = Receiver::start(ok).await;
    let (id, secret) = scene.endpoint(receiver.url(), &["issuance.*"]).await;
    let packet = scene.send("oPosted").await;
    scene.ends(packet.issuance_id).await;
    let events = crate::events::all(
        &scene.app.client,
        Some(pb::EventFilter {
            issuance_id: packet.issuance_id,
            ..Default::default()
        }),
    );
    // The last of them may not have its place yet, and what was posted not be settled yet.
    let events = events.await;
    let posts = receiver.posted(events.len()).await;
    let due = scene.becomes(id, |e| e.pending_count == 0).await;
    assert_eq!((due.state(), due.failure_count), (E::Active, 0));
    for event in &events {
        let post = posts
            .iter()
            .find(|post| post.header("webhook-id") == event.event_id);
        let post = post.unwrap_or_else(|| panic!("{event:?} was not posted"));
        assert!(post.verified(&secret));
        assert_eq!(post.header("content-type"), "application/json");
        let json = post.json();
        assert_eq!(json["type"], event.r#type.as_str());
        let data = &json["data"];
        assert_eq!(data["subjectId"], packet.issuance_id.to_string());
        assert_eq!(data["seq"], event.seq.to_string());
        assert_eq!(data["toState"], event.to_state.as_str());
        assert_eq!(
            data["facts"]["requestId"],
            event.facts.as_ref().unwrap().request_id.as_str()
        );
        let text = String::from_utf8(post.body.clone()).unwrap();
        assert!(!text.contains("oPosted"), "an openid left: {text}");
        let mut forged = post.clone();
        forged.body.push(b' ');
        assert!(!forged.verified(&secret), "a changed body is not ours");
    }
    // Each is there once, acknowledged.
    let delivered = scene.deliveries(id, &[D::Delivered]).await;
    let ids: BTreeSet<&str> = delivered.iter().map(|d| d.event_id.as_str()).collect();
    assert_eq!(ids.len(), delivered.len());
    assert!(
        events
            .iter()
            .all(|event| ids.contains(event.event_id.as_str()))
    );
    // A ping comes by itself, whatever types are wanted.
    let ping = pb::PingWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: scene.app.client.fresh(),
        endpoint_id: id,
        ..Default::default()
    };
    let before = receiver.posts().len();
    scene
        .app
        .client
        .events()
        .ping_webhook_endpoint(ping)
        .await
        .unwrap();
    receiver.posted(before + 1).await;
    receiver.of("endpoint.ping").await;
    scene.close().await;
}

async fn a_receiver_that_fails_is_told_again_and_delays_nobody(db: TestDb) {
    let scene = Scene::open(db).await;
    let shaky = Receiver::start(|nth| match nth % 5 {
        0 => (500, "no", 0),
        3 => (200, "slow", 30),
        _ => (200, "", 0),
    })
    .await;
    // It takes longer than it is given, always.
    let stalls = Receiver::start(|_| (200, "", 3_000)).await;
    let quick = Receiver::start(ok).await;
    let (shaky_id, _) = scene.endpoint(shaky.url(), &["issuance.*"]).await;
    let (stalls_id, _) = scene.endpoint(stalls.url(), &["issuance.sent"]).await;
    let (quick_id, _) = scene.endpoint(quick.url(), &["issuance.*"]).await;
    let mut packets = Vec::new();
    for n in 0..20 {
        packets.push(scene.send(&format!("oShaky{n}")).await.issuance_id);
    }
    for id in packets {
        scene.ends(id).await;
    }
    scene.becomes(quick_id, |e| e.pending_count == 0).await;
    scene.becomes(shaky_id, |e| e.pending_count == 0).await;
    for id in [quick_id, shaky_id] {
        assert!(scene.deliveries(id, &[D::Dead]).await.is_empty());
        assert!(scene.deliveries(id, &[D::Delivered]).await.len() >= 60);
    }
    let again = scene.deliveries(shaky_id, &[D::Delivered]).await;
    assert!(
        again.iter().any(|d| d.try_count > 1),
        "none failed at first"
    );
    assert!(
        scene
            .deliveries(quick_id, &[])
            .await
            .iter()
            .all(|d| d.try_count == 1)
    );
    let slow = scene.deliveries(stalls_id, &[D::Pending, D::Dead]).await;
    assert_eq!(slow.len(), 20);
    assert!(slow.iter().any(|d| d.last_outcome == "TIMEOUT"), "{slow:?}");
    scene.close().await;
}

async fn a_receiver_that_is_gone_is_disabled_and_its_owner_told(db: TestDb) {
    let scene = Scene::open(db).await;
    let gone = Receiver::start(|_| (410, "gone", 0)).await;
    let other = Receiver::start(ok).await;
    let (gone_id, _) = scene.endpoint(gone.url(), &[]).await;
    let (other_id, _) = scene.endpoint(other.url(), &["endpoint.*"]).await;
    let packet = scene.send("oGone").await;
    let off = scene.becomes(gone_id, |e| e.state() == E::Disabled).await;
    assert_eq!(off.disabled_reason, "GONE");
    let told = other.of("endpoint.disabled").await.json();
    assert_eq!(told["data"]["subjectId"], gone_id.to_string());
    assert_eq!(told["data"]["reason"], "GONE");
    // What happens meanwhile waits for it.
    scene.ends(packet.issuance_id).await;
    scene.becomes(other_id, |e| e.pending_count == 0).await;
    let waiting = scene
        .becomes(gone_id, |e| e.pending_count >= 3)
        .await
        .pending_count;
    gone.answers(ok);
    let before = gone.posts().len();
    scene.set(gone_id, E::Active).await;
    let on = scene.becomes(gone_id, |e| e.pending_count == 0).await;
    assert_eq!((on.state(), on.failure_count), (E::Active, 0));
    let more = gone.posts().len() - before;
    assert!(
        i64::try_from(more).unwrap() >= waiting,
        "{more} of {waiting}"
    );
    scene.close().await;
}

async fn two_secrets_sign_while_one_follows_the_other(db: TestDb) {
    let scene = Scene::open_at(db, 1).await;
    let receiver = Receiver::start(ok).await;
    let (id, old) = scene.endpoint(receiver.url(), &["campaign.*"]).await;
    let rotate = pb::RotateWebhookSecretRequest {
        shop_id: SHOP,
        request_id: "rotate".into(),
        endpoint_id: id,
        overlap_seconds: 2,
        ..Default::default()
    };
    let mut events = scene.app.client.events();
    let new = events
        .rotate_webhook_secret(rotate.clone())
        .await
        .unwrap()
        .into_inner();
    assert_ne!(new.secret, old);
    let again = events
        .rotate_webhook_secret(rotate)
        .await
        .unwrap()
        .into_inner();
    assert!(again.replayed);
    assert_eq!(again.secret, new.secret);
    scene.app.client.fund(SHOP, scene.campaign, 100).await;
    let post = receiver.posted(1).await.remove(0);
    assert!(post.verified(&old) && post.verified(&new.secret));
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    scene.app.client.fund(SHOP, scene.campaign, 100).await;
    let post = receiver.posted(2).await.remove(1);
    assert!(!post.verified(&old) && post.verified(&new.secret));
    scene.close().await;
}

async fn what_was_lost_is_delivered_again(db: TestDb) {
    use pb::redeliver_webhooks_request::What;
    // Ten hours a second: the schedule of two days is over in seconds.
    let scene = Scene::open_at(db, 36_000).await;
    let receiver = Receiver::start(|_| (503, "not now", 0)).await;
    let (id, secret) = scene.endpoint(receiver.url(), &["issuance.sent"]).await;
    let packet = scene.send("oLost").await;
    scene.ends(packet.issuance_id).await;
    // Eleven tries within two days, which are seconds here.
    scene.becomes(id, |e| e.failure_count >= 11).await;
    let dead = scene.deliveries(id, &[D::Dead]).await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(
        (dead[0].try_count, dead[0].last_outcome.as_str()),
        (11, "HTTP_503")
    );
    assert_eq!(
        (dead[0].http_status, dead[0].reply_excerpt.as_str()),
        (503, "not now")
    );
    receiver.answers(ok);
    let before = receiver.posts().len();
    assert_eq!(
        scene
            .redeliver(id, What::EventId(dead[0].event_id.clone()))
            .await,
        1
    );
    let posts = receiver.posted(before + 1).await;
    let last = posts.last().unwrap();
    assert_eq!(last.header("webhook-id"), dead[0].event_id, "the same name");
    assert!(last.verified(&secret));
    scene
        .becomes(id, |e| e.pending_count == 0 && e.failure_count == 0)
        .await;
    // By time: what was delivered too.
    let range = |start_time| {
        What::Range(pb::EventRange {
            start_time,
            end_time: Some(prost_types::Timestamp {
                seconds: 4_000_000_000,
                nanos: 0,
            }),
        })
    };
    let before = receiver.posts().len();
    assert_eq!(scene.redeliver(id, range(dead[0].event_time)).await, 1);
    receiver.posted(before + 1).await;
    let later = dead[0].event_time.map(|at| prost_types::Timestamp {
        seconds: at.seconds + 1,
        ..at
    });
    assert_eq!(scene.redeliver(id, range(later)).await, 0);
    let missing = pb::RedeliverWebhooksRequest {
        shop_id: SHOP,
        request_id: scene.app.client.fresh(),
        endpoint_id: id,
        what: Some(What::EventId(format!("evt_{SHOP}_1"))),
        ..Default::default()
    };
    let status = scene
        .app
        .client
        .events()
        .redeliver_webhooks(missing)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "DELIVERY_NOT_FOUND");
    scene.close().await;
}

async fn a_report_is_as_seed_003_has_it(db: TestDb) {
    let scene = Scene::open(db).await;
    // The first answer is a 200 without the word, which acknowledges nothing.
    let receiver =
        Receiver::start(|nth| (200, if nth == 1 { "ok" } else { " success\n" }, 0)).await;
    let style = pb::WebhookStyle::OpenPlatform;
    let (id, secret) = scene.endpoint_of(receiver.url(), &[], style).await;
    let packet = scene.send("oReport").await;
    scene.ends(packet.issuance_id).await;
    scene
        .becomes(id, |e| e.pending_count == 0 && e.acknowledge_time.is_some())
        .await;
    let posts = receiver.posted(2).await;
    let nonces: BTreeSet<&str> = posts.iter().map(|post| post.header("nonce")).collect();
    assert_eq!(nonces.len(), posts.len(), "a nonce for each try");
    for post in &posts {
        let json = post.json();
        assert_eq!(json["orderCode"], packet.issuance_id.to_string());
        assert_eq!(json["status"], 2);
        let (business, nonce) = (post.header("businessid"), post.header("nonce"));
        let text = format!(
            "businessId={business}&nonce={nonce}&timestamp={}",
            post.header("timestamp")
        );
        let mut digest = Md5::new();
        digest.update(text.as_bytes());
        digest.update(&post.body);
        digest.update(secret.as_bytes());
        let sign: String = digest
            .finalize()
            .iter()
            .map(|b| format!("{b:02X}"))
            .collect();
        assert_eq!(post.header("sign"), sign);
    }
    scene.close().await;
}

async fn what_is_paused_waits(db: TestDb) {
    let scene = Scene::open(db).await;
    let receiver = Receiver::start(ok).await;
    let (id, _) = scene.endpoint(receiver.url(), &["issuance.*"]).await;
    scene.set(id, E::Paused).await;
    let packet = scene.send("oPaused").await;
    scene.ends(packet.issuance_id).await;
    let waiting = scene.becomes(id, |e| e.pending_count >= 3).await;
    assert_eq!(waiting.state(), E::Paused);
    assert!(receiver.posts().is_empty());
    scene.set(id, E::Active).await;
    scene.becomes(id, |e| e.pending_count == 0).await;
    assert!(receiver.posts().len() >= 3);
    let delete = pb::DeleteWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: "delete".into(),
        endpoint_id: id,
        ..Default::default()
    };
    let mut events = scene.app.client.events();
    events
        .delete_webhook_endpoint(delete.clone())
        .await
        .unwrap();
    let again = events.delete_webhook_endpoint(delete).await.unwrap();
    assert!(again.into_inner().replayed);
    let get = pb::GetWebhookEndpointRequest {
        shop_id: SHOP,
        endpoint_id: id,
    };
    let status = events.get_webhook_endpoint(get).await.unwrap_err();
    assert_eq!(reason(&status), "ENDPOINT_NOT_FOUND");
    scene.close().await;
}

async fn receivers_inside_the_network_are_refused(db: TestDb) {
    let scene = Scene::open(db).await;
    for url in [
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:127.0.0.1]/",
        "https://10.0.0.1/",
        "https://192.168.1.1/hook",
        "https://167772161/",
        "https://0x0a000001/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://db.internal/",
        "https://postgres/",
        "http://example.com/",
        "example.com/hook",
        "ftp://example.com/",
        "https://user:pass@example.com/",
        "https://example.com:25/",
        "https://example.com/#part",
    ] {
        let new = pb::CreateWebhookEndpointRequest {
            shop_id: SHOP,
            request_id: scene.app.client.fresh(),
            url: url.into(),
            ..Default::default()
        };
        let mut events = scene.app.client.events();
        let status = events.create_webhook_endpoint(new).await.expect_err(url);
        assert_eq!(
            violations(&status),
            [("url".into(), "RECEIVER_URL_INVALID".into())],
            "{url}"
        );
    }
    scene.close().await;
}
