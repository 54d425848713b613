//! A send to a group of 100,000, through the real binary: how long until it is
//! accepted, how it drains at 2,000 a second, and what the process holds meanwhile.
//!
//! `scripts/measure --group` runs it in a release build; docs/measurements.md keeps
//! the result. Time is real, the provider answers at once and never misbehaves.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use hongbao::grpc::pb;
use hongbao::simulator::Books;

use crate::chaos::journal::{openid_of, uid_of};
use crate::chaos::process::{Provider, Server};
use crate::chaos::rng::Rng;
use crate::support::{Client, TestDb};

const SHOP: i64 = 1;
const GROUP: i64 = 7;
const SENDS_PER_SECOND: i32 = 2_000;
const REAL: &[(&str, &str)] = &[
    ("HONGBAO__CLOCK__SCALE", "1"),
    ("HONGBAO__DISPATCHER__LEASE_SECONDS", "30"),
    ("HONGBAO__DISPATCHER__POLL_MS", "200"),
    ("HONGBAO__PROVIDER__TOTAL_TIMEOUT_MS", "15000"),
    ("HONGBAO__PROVIDER__CONNECT_TIMEOUT_MS", "3000"),
];

#[test]
#[ignore = "minutes long; run by scripts/measure --group"]
fn sqlite() {
    block_on(measure(TestDb::sqlite()));
}

#[test]
#[ignore = "minutes long; run by scripts/measure --group"]
fn postgres() {
    block_on(measure(TestDb::postgres()));
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(900), test)
            .await
            .expect("the measurement hangs");
    });
}

/// How many are in the group.
fn members() -> u64 {
    std::env::var("MEMBERS").map_or(100_000, |text| text.parse().unwrap())
}

async fn measure(db: TestDb) {
    let name = if db.is_postgres() {
        "PostgreSQL"
    } else {
        "SQLite"
    };
    let folder = db.folder.path().to_owned();
    let mut rng = Rng::new(u64::from(std::process::id()));
    hongbao::app::write_key_file(&folder.join("keys.toml")).unwrap();
    let provider = Provider::start_plain(&folder, 1);
    let mut server = Server::new(&folder, "group", &db.url, &provider, &mut rng);
    let key = server.create_app_with(REAL);
    server.start_with(REAL);
    server.ready().await;
    let client = Client::connect(server.addr, &key).await;
    let campaign = prepare(&client, &provider).await;
    let idle = server.memory();

    let since = Instant::now();
    import(&client, &provider).await;
    println!("\n{name}: {} members", members());
    println!("imported in          {:>8.1?}", since.elapsed());

    let since = Instant::now();
    let request = pb::SendToGroupsRequest {
        shop_id: SHOP,
        request_id: "group".into(),
        campaign_id: campaign,
        wx_group_ids: vec![GROUP],
        source: pb::IssuanceSource::Manual.into(),
        ..Default::default()
    };
    let mut call = tonic::Request::new(request);
    call.set_timeout(Duration::from_secs(60));
    let sent = client.issuances().send_to_groups(call).await.unwrap();
    let accepted = since.elapsed();
    let batch = sent.into_inner().batches.remove(0);
    println!("accepted in          {accepted:>8.1?}");
    let at_acceptance = server.memory();

    let since = Instant::now();
    let watch = pb::WatchBatchRequest {
        shop_id: SHOP,
        batch_id: batch.batch_id,
    };
    let mut call = tonic::Request::new(watch);
    call.set_timeout(Duration::from_secs(600));
    let mut messages = client
        .issuances()
        .watch_batch(call)
        .await
        .unwrap()
        .into_inner();
    let (mut told, mut seen, mut last) = (Duration::ZERO, 0_u32, None);
    while let Some(message) = messages.next().await {
        let batch = message.unwrap().batch.unwrap();
        let counts = batch.counts.unwrap();
        seen += 1;
        if since.elapsed() >= told || batch.settled {
            println!(
                "  {:>5.1} s  queued {:>6}  sending {:>4}  unknown {:>3}  sent {:>6}",
                since.elapsed().as_secs_f64(),
                counts.queued_count,
                counts.sending_count,
                counts.unknown_count,
                counts.sent_count
            );
            told += Duration::from_secs(5);
        }
        last = Some(counts);
    }
    let drained = since.elapsed();
    let peak = server.memory_peak();
    server.kill();
    let counts = last.unwrap();
    let payments = Books::read(&provider.books).unwrap();
    let people: HashSet<&str> = payments.iter().map(|p| p.openid_hash.as_str()).collect();
    let double = payments.len() - people.len();
    assert!(payments.iter().all(|payment| payment.times_paid == 1));
    println!(
        "drained in           {drained:>8.1?}  ({} a second; {seen} messages of the stream)",
        u128::from(counts.sent_count.unsigned_abs()) * 1_000 / drained.as_millis()
    );
    println!(
        "memory               {idle} MiB idle, {at_acceptance} MiB after accepting, {peak} MiB at most"
    );
    println!(
        "provider's books     {} payments, {double} of them to somebody who had one",
        payments.len()
    );
    assert_eq!(counts.requested_count, i64::try_from(members()).unwrap());
    assert_eq!(counts.sent_count, counts.requested_count);
    assert_eq!(payments.len(), usize::try_from(members()).unwrap());
    assert_eq!(double, 0);
}

async fn prepare(client: &Client, provider: &Provider) -> i64 {
    client.make_shop(SHOP).await;
    let account = client
        .make_account(&provider.mch_id, &provider.appid, &[SHOP])
        .await;
    let rate = pb::UpdateProviderAccountRequest {
        request_id: client.fresh(),
        account_id: account,
        sends_per_second: Some(SENDS_PER_SECOND),
        ..Default::default()
    };
    client.admin().update_provider_account(rate).await.unwrap();
    let group = pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        wx_group_id: GROUP,
        name: "Everybody".into(),
        ..Default::default()
    };
    client.audience().upsert_group(group).await.unwrap();
    let draft = client.draft(SHOP, account, "measured");
    client.make_campaign(draft, 1_000_000_000).await
}

/// All of them, in one stream.
async fn import(client: &Client, provider: &Provider) {
    let people: Vec<u64> = (0..members()).collect();
    let messages: Vec<pb::ImportRecipientsRequest> = people
        .chunks(1_000)
        .map(|chunk| pb::ImportRecipientsRequest {
            shop_id: SHOP,
            request_id: "import".into(),
            wx_group_ids: vec![GROUP],
            recipients: chunk
                .iter()
                .map(|person| pb::RecipientInput {
                    uid: uid_of(*person),
                    nickname: format!("用户{person}"),
                    mobile: format!("138{person:08}"),
                    openids: vec![pb::OpenidInput {
                        appid: provider.appid.clone(),
                        openid: openid_of(*person),
                    }],
                    ..Default::default()
                })
                .collect(),
        })
        .collect();
    let mut call = tonic::Request::new(stream::iter(messages));
    call.set_timeout(Duration::from_secs(600));
    let done = client.audience().import_recipients(call).await.unwrap();
    assert_eq!(
        done.into_inner().created_count,
        i64::try_from(members()).unwrap()
    );
}
