//! What a caller sees of the server around its RPCs: health, reflection, the drain,
//! deadlines, the rate limit, metrics.

mod pages;

pub use pages::page;

use std::time::{Duration, Instant};

use hongbao::grpc::{PERMISSIONS, pb};
use tokio::net::TcpStream;
use tonic::{Code, Request};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::StatusExt as _;

use crate::sending::ready;
use crate::support::{Options, Raw, SHOP, TestApp, TestDb, on_both, reason};

on_both!(
    health_names_every_service,
    reflection_lists_every_service,
    the_drain_ends_streams_and_is_bounded,
    a_deadline_never_pays_twice,
    a_deadline_never_cuts_a_write_in_half,
    a_caller_in_a_loop_is_slowed_down,
);

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

fn services() -> Vec<String> {
    let mut names: Vec<String> = PERMISSIONS
        .iter()
        .map(|(path, _)| path.split('/').nth(1).unwrap().to_owned())
        .collect();
    names.dedup();
    assert_eq!(names.len(), 7, "{names:?}");
    names
}

async fn health_names_every_service(db: TestDb) {
    let app = TestApp::start(db).await;
    let mut health = HealthClient::new(app.client.channel());
    let probes = ["", "readiness", "liveness"].map(str::to_owned);
    for name in services().into_iter().chain(probes) {
        let answer = health.check(check(&name)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{name}");
    }
    let status = health.check(check("hongbao.v1.Nothing")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let mut watch = health.watch(check("")).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    let watching = tokio::spawn(async move {
        let mut seen: Vec<HealthCheckResponse> = Vec::new();
        while let Ok(Some(message)) = watch.message().await {
            seen.push(message);
        }
        seen
    });
    app.stop().await;
    let ended = tokio::time::timeout(Duration::from_secs(1), watching).await;
    let seen = ended.expect("Watch goes on after the end").unwrap();
    let last = seen.first().map(HealthCheckResponse::status);
    assert_eq!(last, Some(ServingStatus::NotServing), "{seen:?}");
}

async fn reflection_lists_every_service(db: TestDb) {
    let app = TestApp::start(db).await;
    macro_rules! listed {
        ($version:ident) => {{
            use r::server_reflection_request::MessageRequest;
            use r::server_reflection_response::MessageResponse;
            use tonic_reflection::pb::$version as r;
            let mut client =
                r::server_reflection_client::ServerReflectionClient::new(app.client.channel());
            let request = r::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let asked = stream_of(request);
            let answer = client.server_reflection_info(asked).await.unwrap();
            let answer = answer.into_inner().message().await.unwrap().unwrap();
            match answer.message_response {
                Some(MessageResponse::ListServicesResponse(list)) => {
                    list.service.into_iter().map(|s| s.name).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        }};
    }
    for found in [listed!(v1), listed!(v1alpha)] {
        for service in services() {
            assert!(found.contains(&service), "{service}: {found:?}");
        }
        assert!(found.contains(&"grpc.health.v1.Health".to_owned()));
    }
    app.stop().await;
}

fn stream_of<T>(item: T) -> impl futures::Stream<Item = T> {
    futures::stream::once(async { item })
}

async fn the_drain_ends_streams_and_is_bounded(db: TestDb) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaign = ready(&app, 1_000).await;
    let people = [("u1".to_owned(), "oU1".to_owned())];
    app.client.make_people(SHOP, &app.appid(), &people).await;
    let send = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "batch".into(),
        campaign_id: campaign,
        uids: vec!["u1".into()],
        source: 1,
        ..Default::default()
    };
    let sent = app.client.issuances().send_to_users(send).await.unwrap();
    let watch = pb::WatchBatchRequest {
        shop_id: SHOP,
        batch_id: sent.into_inner().batch.unwrap().batch_id,
    };
    let stream = app.client.issuances().watch_batch(watch).await.unwrap();
    let mut stream = stream.into_inner();
    assert!(
        !stream
            .message()
            .await
            .unwrap()
            .unwrap()
            .batch
            .unwrap()
            .settled
    );
    let watching = tokio::spawn(async move {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended as if the batch were settled"),
                Err(status) => return status,
            }
        }
    });
    // One connection that never says a word, and one that has nothing more to say.
    let mute = TcpStream::connect(app.running.grpc_addr).await.unwrap();
    let idle = crate::support::Client::connect(app.running.grpc_addr, &app.key).await;
    let drain = Duration::from_secs(app.config.server.drain_seconds);
    let began = Instant::now();
    app.stop().await;
    let took = began.elapsed();
    assert!(took < drain * 2 + Duration::from_secs(2), "{took:?}");
    let status = watching.await.unwrap();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(reason(&status), "SHUTTING_DOWN");
    assert!(status.get_error_details().retry_info().is_some());
    let status = idle.send(SHOP, campaign, "oAfter").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    drop(mute);
}

async fn a_deadline_never_pays_twice(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 1_000).await;
    let wait = Duration::from_millis(300);
    // The provider pays and does not answer for three seconds.
    let mut request = app
        .client
        .send_request(SHOP, campaign, "oSIM-TIMEOUT_AFTER-1");
    request.wait = true;
    let mut asked = Request::new(request.clone());
    asked.set_timeout(wait);
    let began = Instant::now();
    let answer = app.client.issuances().send_red_packet(asked).await;
    let took = began.elapsed();
    assert!(took < wait + Duration::from_millis(50), "{took:?}");
    match &answer {
        Ok(sent) => {
            let issuance = sent.get_ref().issuance.as_ref().unwrap();
            let open = [
                pb::IssuanceState::Queued,
                pb::IssuanceState::Sending,
                pb::IssuanceState::Unknown,
            ];
            assert!(open.contains(&issuance.state()), "{issuance:?}");
        }
        Err(status) => assert_eq!(reason(status), "DEADLINE_EXCEEDED", "{status:?}"),
    }
    request.wait = false;
    let again = app.client.issuances().send_red_packet(request).await;
    let again = again.unwrap().into_inner();
    assert!(again.replayed, "the first call had its effect");
    let id = again.issuance.unwrap().issuance_id;
    app.client
        .await_state(SHOP, id, &[pb::IssuanceState::Received])
        .await;
    assert_eq!(app.simulator.books().payments().len(), 1);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_deadline_never_cuts_a_write_in_half(db: TestDb) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaign = ready(&app, 1_000).await;
    let raw = Raw::open(&app.db).await;
    let request = app.client.send_request(SHOP, campaign, "oOne");
    let held = raw.hold().await;
    let mut asked = Request::new(request.clone());
    asked.set_timeout(Duration::from_millis(400));
    let status = app.client.issuances().send_red_packet(asked).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    held.rollback().await.unwrap();
    // The work went on: the repeat finds it, or waits for it.
    let again = app.client.issuances().send_red_packet(request).await;
    assert!(again.unwrap().into_inner().replayed);
    assert_eq!(raw.number("SELECT COUNT(*) FROM issuance").await, 1);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_caller_in_a_loop_is_slowed_down(db: TestDb) {
    let options = Options {
        calls_per_second: 5,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let mut refused = None;
    for n in 0..6 {
        let list = pb::ListShopsRequest::default();
        match app.client.admin().list_shops(list).await {
            Ok(_) => assert!(n < 5, "the sixth call at once passed"),
            Err(status) => refused = Some(status),
        }
    }
    let status = refused.unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason(&status), "RATE_LIMITED");
    let wait = status.get_error_details().retry_info().unwrap().retry_delay;
    let wait = wait.unwrap();
    assert!(
        wait > Duration::ZERO && wait <= Duration::from_millis(200),
        "{wait:?}"
    );
    // Probes are no callers.
    let mut health = HealthClient::new(app.client.channel());
    for _ in 0..20 {
        health.check(check("")).await.unwrap();
    }
    tokio::time::sleep(wait + Duration::from_millis(20)).await;
    let list = pb::ListShopsRequest::default();
    app.client.admin().list_shops(list).await.unwrap();
    app.stop().await;
}
