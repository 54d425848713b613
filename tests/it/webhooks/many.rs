//! Many events at once, to receivers that fail, stall and die.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hongbao::grpc::pb::{self, WebhookDeliveryState as D};

use super::Scene;
use crate::support::receiver::{Receiver, ok};
use crate::support::{Options, SHOP, TestApp, TestDb, block_on_long};

/// A minute a second: the pauses of the schedule are long enough to be seen.
const SCALE: u32 = 60;
/// Pauses of the schedule in service seconds, as docs/events.md has them.
const SCHEDULE: [u64; 10] = [
    5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400,
];

#[test]
#[ignore = "minutes long; run by scripts/orders"]
fn two_thousand_events_sqlite() {
    block_on_long(events(TestDb::sqlite(), 700));
}

#[test]
#[ignore = "minutes long; run by scripts/orders"]
fn two_thousand_events_postgres() {
    block_on_long(events(TestDb::postgres(), 700));
}

/// How each event came to a receiver, by its name: the times of its posts.
fn times(receiver: &Receiver) -> BTreeMap<String, Vec<Instant>> {
    let mut times: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for post in receiver.posts() {
        let id = post.header("webhook-id").to_owned();
        times.entry(id).or_default().push(post.at);
    }
    times
}

async fn events(db: TestDb, packets: usize) {
    let options = Options {
        time_scale: SCALE,
        taken_per_mille: 0,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaign = crate::sending::ready(&app, 10_000_000).await;
    let scene = Scene { app, campaign };
    let client = &scene.app.client;
    let types = ["issuance.issued", "issuance.sending", "issuance.sent"];
    // One post in five fails.
    let shaky = Receiver::start(|nth| match nth % 5 {
        0 => (500, "no", 0),
        _ => (200, "", 0),
    })
    .await;
    let stalls = Receiver::start(|_| (200, "", 3_000)).await;
    let dying = Receiver::start(ok).await;
    let quick = Receiver::start(ok).await;
    let (shaky_id, _) = scene.endpoint(shaky.url(), &types).await;
    let (stalls_id, _) = scene.endpoint(stalls.url(), &types).await;
    let (dying_id, _) = scene.endpoint(dying.url(), &types).await;
    let (quick_id, _) = scene.endpoint(quick.url(), &types).await;

    let people: Vec<(String, String)> = (0..packets)
        .map(|n| (format!("u{n}"), format!("oMany{n}")))
        .collect();
    client.make_people(SHOP, &scene.app.appid(), &people).await;
    let send = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id: campaign,
        uids: people.into_iter().map(|(uid, _)| uid).collect(),
        source: pb::IssuanceSource::Lottery.into(),
        ..Default::default()
    };
    let began = Instant::now();
    client.issuances().send_to_users(send).await.unwrap();
    let due = packets * types.len();
    // In the middle of it one of them is gone, for five minutes of its time.
    dying.posted(due / 10).await;
    dying.dies();
    quick.posted(due).await;
    let quick_took = began.elapsed();
    tokio::time::sleep(Duration::from_secs(5)).await;
    dying.comes_back().await;
    for id in [quick_id, shaky_id, dying_id] {
        for _ in 0..3_000 {
            if scene.get(id).await.pending_count == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(
            scene
                .deliveries(id, &[D::Pending, D::Dead])
                .await
                .is_empty()
        );
        let done = scene.deliveries(id, &[D::Delivered]).await;
        assert_eq!(done.len(), due, "each event once in the log");
    }
    let all: BTreeSet<String> = times(&quick).into_keys().collect();
    assert_eq!(all.len(), due);
    // Who was well was told of each event once, and waited for nobody.
    let once = |posts: &Vec<Instant>| posts.len() == 1;
    assert!(times(&quick).values().all(once));
    for receiver in [&shaky, &dying] {
        let told: BTreeSet<String> = times(receiver).into_keys().collect();
        assert!(all.iter().all(|id| told.contains(id)), "an event is lost");
    }
    // Nobody is told again sooner than the schedule says, and it is kept in the median.
    let mut late: Vec<u128> = Vec::new();
    let (mut again, mut most) = (0, 0);
    for posts in times(&shaky).values() {
        most = most.max(posts.len());
        for (pause, two) in SCHEDULE.iter().zip(posts.windows(2)) {
            let service = (two[1] - two[0]) * SCALE;
            let least = Duration::from_secs(*pause) * 8 / 10;
            assert!(service >= least, "{service:?} after the pause of {pause} s");
            late.push((service - least).as_millis());
            again += 1;
        }
    }
    late.sort_unstable();
    assert!(again > due / 10, "{again} of {due} came again");
    let median = late[late.len() / 2];
    // The stalling one has acknowledged nothing, and what it has is still to be told.
    let waits = scene.deliveries(stalls_id, &[D::Pending, D::Dead]).await;
    assert_eq!(waits.len(), due);
    // All of it once more.
    let range = pb::RedeliverWebhooksRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        endpoint_id: quick_id,
        what: Some(pb::redeliver_webhooks_request::What::Range(
            pb::EventRange {
                start_time: None,
                end_time: Some(prost_types::Timestamp {
                    seconds: 4_000_000_000,
                    nanos: 0,
                }),
            },
        )),
        ..Default::default()
    };
    let count = client.events().redeliver_webhooks(range).await.unwrap();
    assert_eq!(count.into_inner().count, i64::try_from(due).unwrap());
    quick.posted(2 * due).await;
    assert!(times(&quick).values().all(|posts| posts.len() == 2));
    println!(
        "{due} events, 4 receivers: the quick one had all after {} ms; {again} posts of the shaky one came again, \
         at most {most} posts of one event, half of them within {median} ms of service time of the earliest allowed; \
         the dead one has all after it came back; {due} told again by range",
        quick_took.as_millis()
    );
    scene.close().await;
}
