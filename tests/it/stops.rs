//! Stopping at once: what the answer says is in flight is all that goes out after it.

use std::time::Duration;

use hongbao::app;
use hongbao::domain::grant::Shops;
use hongbao::domain::role::Role;
use hongbao::grpc::pb;
use hongbao::simulator::{Fault, FaultTable};
use tonic::Status;

use crate::support::{Client, Options, SHOP, TestApp, TestDb, block_on, on_both, reason};

on_both!(
    nothing_joins_what_is_in_flight,
    a_shop_and_an_account_are_stopped_for_themselves,
);

const OTHER: i64 = 2;

fn scope(scope: pb::stop_scope::Scope) -> Option<pb::StopScope> {
    Some(pb::StopScope { scope: Some(scope) })
}

fn everything() -> Option<pb::StopScope> {
    scope(pb::stop_scope::Scope::Everything(true))
}

async fn stop(client: &Client, scope: Option<pb::StopScope>) -> pb::StopAllResponse {
    let request = pb::StopAllRequest {
        request_id: client.fresh(),
        scope,
        reason: "amounts look wrong".into(),
        ..Default::default()
    };
    let done = client.admin().stop_all(request).await.unwrap();
    done.into_inner()
}

async fn resume(
    client: &Client,
    scope: Option<pb::StopScope>,
) -> Result<pb::ResumeAllResponse, Status> {
    let request = pb::ResumeAllRequest {
        request_id: client.fresh(),
        scope,
        reason: "looked at".into(),
        ..Default::default()
    };
    let done = client.admin().resume_all(request).await?;
    Ok(done.into_inner())
}

/// A person who may let go on what somebody else has stopped.
async fn second(app: &TestApp) -> String {
    app.person_in("second", &[Role::Operator], Shops::All).await
}

async fn ready(app: &TestApp, shops: &[i64]) -> Vec<i64> {
    for shop in shops {
        app.client.make_shop(*shop).await;
    }
    let merchant = app.simulator.merchant();
    let (mch_id, appid) = (merchant.mch_id.clone(), app.appid());
    let account = app.client.make_account(&mch_id, &appid, shops).await;
    let mut campaigns = Vec::new();
    for shop in shops {
        let people: Vec<(String, String)> = (0..300)
            .map(|n| (format!("u{n}"), format!("oStop{shop}x{n}")))
            .collect();
        app.client.make_people(*shop, &appid, &people).await;
        let draft = app.client.draft(*shop, account, "stop");
        campaigns.push(app.client.make_campaign(draft, 1_000_000).await);
    }
    campaigns
}

fn to_all(client: &Client, shop_id: i64, campaign_id: i64) -> pb::SendToUsersRequest {
    pb::SendToUsersRequest {
        shop_id,
        request_id: client.fresh(),
        campaign_id,
        uids: (0..300).map(|n| format!("u{n}")).collect(),
        source: pb::IssuanceSource::Manual.into(),
        ..Default::default()
    }
}

async fn count(client: &Client, shop: i64, batch_id: i64) -> pb::BatchCounts {
    let request = pb::GetBatchRequest {
        shop_id: shop,
        batch_id,
    };
    let found = client.issuances().get_batch(request).await.unwrap();
    found.into_inner().batch.unwrap().counts.unwrap()
}

/// Waits until the counts of a batch are as wanted.
async fn until(
    client: &Client,
    shop: i64,
    batch: i64,
    wanted: impl Fn(&pb::BatchCounts) -> bool,
) -> pb::BatchCounts {
    for _ in 0..2_000 {
        let counts = count(client, shop, batch).await;
        if wanted(&counts) {
            return counts;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {:?}", count(client, shop, batch).await);
}

/// Waits until the provider has answered all that went out, and the rest was put back.
async fn settled(client: &Client, batch: i64) {
    for _ in 0..1_000 {
        let request = pb::StopAllRequest {
            request_id: client.fresh(),
            scope: everything(),
            reason: "to see the figures".into(),
            validate_only: true,
        };
        let now = client.admin().stop_all(request).await.unwrap().into_inner();
        let open = [now.in_flight.unwrap(), now.unknown.unwrap()];
        if open.iter().all(|sum| sum.packet_count == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {:?}", count(client, SHOP, batch).await);
}

async fn nothing_joins_what_is_in_flight(db: TestDb) {
    let options = Options {
        faults: FaultTable::default().with_send(Fault::SystemErrorAfter, 50),
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaign = ready(&app, &[SHOP]).await[0];
    let client = &app.client;
    let paced = pb::UpdateProviderAccountRequest {
        request_id: client.fresh(),
        account_id: 1,
        sends_per_second: Some(100),
        ..Default::default()
    };
    client.admin().update_provider_account(paced).await.unwrap();
    let request = to_all(client, SHOP, campaign);
    let sent = client.issuances().send_to_users(request).await.unwrap();
    let batch = sent.into_inner().batch.unwrap().batch_id;
    while app.simulator.books().totals().payments < 30 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stopped = stop(client, everything()).await;
    let told = stopped.in_flight.unwrap().packet_count;
    assert!(told > 0, "stopped in the middle: {stopped:?}");
    let queued = stopped.queued.unwrap().packet_count;
    // No more than was taken up is paid, and soon nothing: two seconds' work was.
    settled(client, batch).await;
    let payments = app.simulator.books().payments().len();
    assert!(payments <= usize::try_from(300 - queued).unwrap());
    assert!(
        payments < 30 + 90,
        "what waits for its turn is put back: {payments}"
    );
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(app.simulator.books().payments().len(), payments);
    let held = count(client, SHOP, batch).await;
    assert_eq!(held.queued_count, queued);
    let paid = 300 - held.queued_count - held.sending_count;
    assert_eq!(paid, i64::try_from(payments).unwrap());
    let status = client.send(SHOP, campaign, "oLate").await.unwrap_err();
    assert_eq!(reason(&status), "STOPPED");
    assert!(status.message().contains("amounts look wrong"));
    let status = resume(client, everything()).await.unwrap_err();
    assert_eq!(reason(&status), "OPERATOR_REQUIRED");
    let listed = client.admin().list_stops(pb::ListStopsRequest {}).await;
    let listed = listed.unwrap().into_inner().stops;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].actor, "app:admin");
    let other = client.with_key(Some(&second(&app).await));
    let resumed = resume(&other, everything()).await.unwrap();
    let held_back = queued + held.sending_count;
    assert_eq!(resumed.queued.unwrap().packet_count, held_back);
    assert!(!resumed.stop.unwrap().stopped && resumed.still_stopped.is_empty());
    until(client, SHOP, batch, |c| c.received_count == 300).await;
    app.assert_sound().await;
    app.stop().await;
}

async fn a_shop_and_an_account_are_stopped_for_themselves(db: TestDb) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaigns = ready(&app, &[SHOP, OTHER]).await;
    let client = app.client.clone();
    let mut batches = Vec::new();
    for (shop, campaign) in [(SHOP, campaigns[0]), (OTHER, campaigns[1])] {
        let request = to_all(&client, shop, campaign);
        let sent = client.issuances().send_to_users(request).await.unwrap();
        batches.push(sent.into_inner().batch.unwrap().batch_id);
    }
    let ours = || scope(pb::stop_scope::Scope::ShopId(SHOP));
    let stopped = stop(&client, ours()).await;
    assert_eq!(stopped.queued.unwrap().packet_count, 300);
    assert_eq!(stopped.queued.unwrap().amount_fen, 30_000);
    assert_eq!(stopped.in_flight.unwrap().packet_count, 0);
    // Stopped twice is stopped once, by whoever was first.
    let key = second(&app).await;
    let other = client.with_key(Some(&key));
    assert!(stop(&other, ours()).await.stop.unwrap().stopped);
    let app = app.restart(|config| config.dispatcher.enabled = true).await;
    let client = app.client.clone();
    let other = client.with_key(Some(&key));
    until(&client, OTHER, batches[1], |c| c.received_count == 300).await;
    assert_eq!(count(&client, SHOP, batches[0]).await.queued_count, 300);
    let status = client.send(SHOP, campaigns[0], "oX").await.unwrap_err();
    assert_eq!(reason(&status), "STOPPED");
    client.send(OTHER, campaigns[1], "oX").await.unwrap();
    let elsewhere = resume(&other, everything()).await.unwrap();
    assert_eq!(
        elsewhere.still_stopped.len(),
        1,
        "the shop is stopped even so"
    );
    resume(&other, ours()).await.unwrap();
    until(&client, SHOP, batches[0], |c| c.received_count == 300).await;
    let account = || scope(pb::stop_scope::Scope::AccountId(1));
    stop(&other, account()).await;
    // One person stays one person, with however many keys.
    let status = resume(&other, account()).await.unwrap_err();
    assert_eq!(reason(&status), "SECOND_APPROVER_REQUIRED");
    let same = app.further_key("second").await;
    let status = resume(&same, account()).await.unwrap_err();
    assert_eq!(reason(&status), "SECOND_APPROVER_REQUIRED");
    for (shop, campaign) in [(SHOP, campaigns[0]), (OTHER, campaigns[1])] {
        let status = client.send(shop, campaign, "oY").await.unwrap_err();
        assert_eq!(reason(&status), "STOPPED");
    }
    app.assert_sound().await;
    app.stop().await;
}

#[test]
fn a_stop_holds_on_every_replica() {
    block_on(async {
        let options = Options {
            dispatcher: false,
            ..Options::default()
        };
        let app = TestApp::start_with(TestDb::postgres(), options).await;
        let campaign = ready(&app, &[SHOP]).await[0];
        let client = &app.client;
        let request = to_all(client, SHOP, campaign);
        let sent = client.issuances().send_to_users(request).await.unwrap();
        let batch = sent.into_inner().batch.unwrap().batch_id;
        let paced = pb::UpdateProviderAccountRequest {
            request_id: client.fresh(),
            account_id: 1,
            sends_per_second: Some(100),
            ..Default::default()
        };
        client.admin().update_provider_account(paced).await.unwrap();
        let mut config = app.config.clone();
        config.dispatcher.enabled = true;
        let servers = [
            app::start(&config).await.unwrap(),
            app::start(&config).await.unwrap(),
        ];
        while app.simulator.books().totals().payments < 30 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let stopped = stop(client, everything()).await;
        let queued = stopped.queued.unwrap().packet_count;
        assert!(queued > 0 && stopped.in_flight.unwrap().packet_count > 0);
        settled(client, batch).await;
        let payments = app.simulator.books().payments().len();
        assert!(payments <= usize::try_from(300 - queued).unwrap());
        assert!(payments < 30 + 90, "put back on both: {payments}");
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(app.simulator.books().payments().len(), payments);
        for server in servers {
            server.shutdown().await;
        }
        let left = count(client, SHOP, batch).await;
        assert_eq!(left.queued_count, queued);
        app.assert_sound().await;
        app.stop().await;
    });
}
