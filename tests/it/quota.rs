//! A provider's quotas as a schedule: what does not fit waits, and nothing is refused.

use std::time::{Duration, Instant};

use hongbao::app;
use hongbao::grpc::pb;
use hongbao::simulator::Limits;

use crate::support::{Options, Raw, SHOP, TestApp, TestDb, block_on, on_both};

on_both!(
    a_person_waits_for_the_next_day,
    an_account_waits_for_the_next_day,
);

/// A day in six seconds.
const FAST: u32 = 14_400;
const DAY_MS: i64 = 86_400_000;

/// Since when time must have run fast for it to be eight in the morning in Beijing now.
fn morning(scale: u32) -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    // Midnight in UTC is eight in Beijing.
    let ahead = DAY_MS - now % DAY_MS;
    now - ahead / i64::from(scale - 1)
}

fn options(scale: u32, limits: Limits) -> Options {
    Options {
        time_scale: scale,
        time_origin_ms: Some(morning(scale)),
        limits,
        ..Options::default()
    }
}

/// A server, and an account with quotas.
async fn stage(
    db: TestDb,
    options: Options,
    quotas: pb::UpdateProviderAccountRequest,
) -> (TestApp, i64) {
    let app = TestApp::start_with(db, options).await;
    app.client.make_shop(SHOP).await;
    let merchant = app.simulator.merchant();
    let (mch_id, appid) = (merchant.mch_id.clone(), app.appid());
    let account = app.client.make_account(&mch_id, &appid, &[SHOP]).await;
    let update = pb::UpdateProviderAccountRequest {
        request_id: app.client.fresh(),
        account_id: account,
        ..quotas
    };
    app.client
        .admin()
        .update_provider_account(update)
        .await
        .unwrap();
    (app, account)
}

/// A send of so many packets to each of so many people: a batch for each round.
fn rounds(app: &TestApp, campaign: i64, people: usize, each: usize) -> Vec<pb::SendToUsersRequest> {
    let uids: Vec<String> = (0..people).map(|n| format!("u{n}")).collect();
    (0..each)
        .map(|_| pb::SendToUsersRequest {
            shop_id: SHOP,
            request_id: app.client.fresh(),
            campaign_id: campaign,
            uids: uids.clone(),
            source: pb::IssuanceSource::Manual.into(),
            ..Default::default()
        })
        .collect()
}

async fn people(app: &TestApp, people: usize) {
    let people: Vec<(String, String)> = (0..people)
        .map(|n| (format!("u{n}"), format!("oQuota{n}")))
        .collect();
    app.client.make_people(SHOP, &app.appid(), &people).await;
}

/// Waits until nothing is queued or being sent any more; gives the time that it took.
async fn drained(app: &TestApp, batches: &[i64], at_most: Duration) -> Duration {
    let since = Instant::now();
    for batch_id in batches {
        loop {
            let request = pb::GetBatchRequest {
                shop_id: SHOP,
                batch_id: *batch_id,
            };
            let found = app.client.issuances().get_batch(request).await.unwrap();
            if found.into_inner().batch.unwrap().settled {
                break;
            }
            assert!(since.elapsed() < at_most, "never drained");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    since.elapsed()
}

/// The Beijing days on which payments were asked for, with how many.
async fn days(app: &TestApp) -> Vec<(i64, i64)> {
    let raw = Raw::open(&app.db).await;
    let day = "(create_time + 28800000000) / 86400000000";
    let first = raw.number(&format!("SELECT MIN({day}) FROM attempt")).await;
    let mut days = Vec::new();
    for at in 0..8 {
        let sql = format!("SELECT COUNT(*) FROM attempt WHERE {day} = {}", first + at);
        let count = raw.number(&sql).await;
        if count > 0 {
            days.push((at, count));
        }
    }
    raw.close().await;
    days
}

fn nothing_was_refused(app: &TestApp) {
    let refused = app.simulator.refused_by_limits();
    assert!(refused.values().all(|n| *n == 0), "{refused:?}");
}

/// The day of an instant, counted from that of now.
async fn days_from_now(app: &TestApp, at: prost_types::Timestamp) -> i64 {
    let now = app.store().now().await.unwrap();
    let at = hongbao::domain::Timestamp::from_parts(at.seconds, at.nanos).unwrap();
    at.beijing_day() - now.beijing_day()
}

async fn a_person_waits_for_the_next_day(db: TestDb) {
    let limits = Limits {
        packets_per_openid_and_day: Some(2),
        ..Limits::default()
    };
    let quotas = pb::UpdateProviderAccountRequest {
        openid_day_count: Some(2),
        ..Default::default()
    };
    let (app, account) = stage(db, options(FAST, limits), quotas).await;
    let client = &app.client;
    let draft = client.draft(SHOP, account, "quota");
    let campaign = client.make_campaign(draft, 100_000).await;
    people(&app, 3).await;
    let mut batches = Vec::new();
    for request in rounds(&app, campaign, 3, 5) {
        let sent = client.issuances().send_to_users(request).await.unwrap();
        batches.push(sent.into_inner().batch.unwrap().batch_id);
    }
    // One more would be the sixth for each of them.
    let mut tried = rounds(&app, campaign, 3, 1).remove(0);
    tried.validate_only = true;
    let tried = client.issuances().send_to_users(tried).await.unwrap();
    let forecast = tried.into_inner().forecast.unwrap();
    assert_eq!((forecast.packet_count, forecast.amount_fen), (3, 300));
    assert_eq!(forecast.bound_by, "OPENID_QUOTA");
    let last = days_from_now(&app, forecast.last_send_time.unwrap()).await;
    assert!((1..=3).contains(&last), "in {last} days");
    drained(&app, &batches, Duration::from_secs(90)).await;
    nothing_was_refused(&app);
    let days = days(&app).await;
    assert!(days.len() >= 3, "{days:?}");
    assert!(days.iter().all(|(_, count)| *count <= 6), "{days:?}");
    assert_eq!(app.simulator.books().payments().len(), 15);
    let raw = Raw::open(&app.db).await;
    let waited = "SELECT COUNT(*) FROM issuance WHERE last_error = 'OPENID_QUOTA'";
    assert!(raw.number(waited).await >= 9, "who waited is told why");
    raw.close().await;
    app.assert_sound().await;
    app.stop().await;
}

async fn an_account_waits_for_the_next_day(db: TestDb) {
    let limits = Limits {
        fen_per_day: Some(650),
        ..Limits::default()
    };
    let quotas = pb::UpdateProviderAccountRequest {
        day_fen: Some(650),
        ..Default::default()
    };
    let (app, account) = stage(db, options(FAST, limits), quotas).await;
    let client = &app.client;
    let draft = client.draft(SHOP, account, "quota");
    let campaign = client.make_campaign(draft, 100_000).await;
    people(&app, 15).await;
    let mut request = rounds(&app, campaign, 15, 1).remove(0);
    request.validate_only = true;
    let tried = client.issuances().send_to_users(request.clone()).await;
    let forecast = tried.unwrap().into_inner().forecast.unwrap();
    assert_eq!(forecast.bound_by, "ACCOUNT_QUOTA");
    request.validate_only = false;
    let sent = client.issuances().send_to_users(request).await.unwrap();
    let batch = sent.into_inner().batch.unwrap().batch_id;
    drained(&app, &[batch], Duration::from_secs(90)).await;
    nothing_was_refused(&app);
    let days = days(&app).await;
    assert!(days.len() >= 3, "{days:?}");
    assert!(days.iter().all(|(_, count)| *count <= 6), "{days:?}");
    let get = pb::GetProviderAccountRequest {
        account_id: account,
    };
    let shown = client.admin().get_provider_account(get).await.unwrap();
    let shown = shown.into_inner().account.unwrap();
    assert_eq!(shown.day_fen, 650);
    assert!(shown.day_used_fen <= 650, "{shown:?}");
    app.assert_sound().await;
    app.stop().await;
}

#[test]
fn three_servers_keep_one_rate() {
    block_on(async {
        let options = Options {
            time_scale: 1,
            dispatcher: false,
            ..Options::default()
        };
        let quotas = pb::UpdateProviderAccountRequest {
            sends_per_second: Some(40),
            ..Default::default()
        };
        let (app, account) = stage(TestDb::postgres(), options, quotas).await;
        let client = &app.client;
        let draft = client.draft(SHOP, account, "pace");
        let campaign = client.make_campaign(draft, 100_000).await;
        people(&app, 160).await;
        let request = rounds(&app, campaign, 160, 1).remove(0);
        let sent = client.issuances().send_to_users(request).await.unwrap();
        let batch = sent.into_inner().batch.unwrap().batch_id;
        let mut config = app.config.clone();
        config.dispatcher.enabled = true;
        let since = Instant::now();
        let servers = [
            app::start(&config).await.unwrap(),
            app::start(&config).await.unwrap(),
            app::start(&config).await.unwrap(),
        ];
        drained(&app, &[batch], Duration::from_secs(30)).await;
        let took = since.elapsed();
        // 36 a second; each for itself they would have sent three times as many.
        assert!(took > Duration::from_secs(4), "{took:?}");
        let peak = app.simulator.peak_sends_per_second();
        assert!(peak < 60, "{peak} in one second");
        for server in servers {
            server.shutdown().await;
        }
        app.assert_sound().await;
        app.stop().await;
    });
}

/// A day in 144 seconds.
const DAYS: u32 = 600;

/// 5,000 packets to 200 people at 25 each, under 30 a second for the account and 10 a
/// day for a person, through three servers on PostgreSQL: `scripts/quota`.
#[test]
#[ignore = "a campaign of seven minutes: scripts/quota"]
fn five_thousand_packets_in_three_days() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let limits = Limits {
            sends_per_second: Some(30),
            packets_per_openid_and_day: Some(10),
            ..Limits::default()
        };
        let quotas = pb::UpdateProviderAccountRequest {
            sends_per_second: Some(30),
            openid_day_count: Some(10),
            ..Default::default()
        };
        let options = Options {
            dispatcher: false,
            balance_fen: 100_000_000,
            provider_timeout_ms: 5_000,
            ..options(DAYS, limits)
        };
        let (app, account) = stage(TestDb::postgres(), options, quotas).await;
        let client = &app.client;
        let draft = client.draft(SHOP, account, "quota");
        let campaign = client.make_campaign(draft, 1_000_000).await;
        people(&app, 200).await;
        let mut config = app.config.clone();
        config.dispatcher.enabled = true;
        let servers = [
            app::start(&config).await.unwrap(),
            app::start(&config).await.unwrap(),
            app::start(&config).await.unwrap(),
        ];
        let (since, began) = (Instant::now(), app.store().now().await.unwrap());
        let mut batches = Vec::new();
        for request in rounds(&app, campaign, 200, 24) {
            let sent = client.issuances().send_to_users(request).await.unwrap();
            batches.push(sent.into_inner().batch.unwrap().batch_id);
        }
        let mut last = rounds(&app, campaign, 200, 1).remove(0);
        last.validate_only = true;
        let tried = client.issuances().send_to_users(last.clone()).await;
        let forecast = tried.unwrap().into_inner().forecast.unwrap();
        last.validate_only = false;
        let sent = client.issuances().send_to_users(last).await.unwrap();
        batches.push(sent.into_inner().batch.unwrap().batch_id);
        drained(&app, &batches, Duration::from_secs(1_200)).await;
        let took = since.elapsed();
        let raw = Raw::open(&app.db).await;
        let at = raw.number("SELECT MAX(first_send_time) FROM attempt").await;
        let first = raw.number("SELECT MIN(first_send_time) FROM attempt").await;
        let secs = |micros: i64| Duration::from_micros(micros.unsigned_abs());
        let days = days(&app).await;
        let payments = app.simulator.books().payments();
        println!("\n5,000 packets, 200 people, three servers, a day in 144 s: {took:.0?}");
        println!("payments               {}, by day {days:?}", payments.len());
        println!("refused by limits      {:?}", app.simulator.refused_by_limits());
        println!("most in one second     {} of 30", app.simulator.peak_sends_per_second());
        let last = forecast.last_send_time.unwrap();
        let last = hongbao::domain::Timestamp::from_parts(last.seconds, last.nanos).unwrap();
        println!("began                  {began}");
        println!("forecast of the last   {last} ({})", forecast.bound_by);
        println!("the last went out      {}", hongbao::domain::Timestamp(at));
        let spans = "SELECT MAX(first_send_time) - MIN(first_send_time) FROM attempt WHERE (create_time + 28800000000) / 86400000000 = (SELECT MIN((create_time + 28800000000) / 86400000000) FROM attempt)";
        let span = secs(raw.number(spans).await) / DAYS;
        let share = f64::from(u32::try_from(days[0].1).unwrap()) / span.as_secs_f64() / 30.0;
        println!("first day              {} in {span:.1?}: {share:.2} of the rate", days[0].1);
        println!("span                   {:.1?} days", secs(at - first).as_secs_f64() / 86_400.0);
        assert_eq!(payments.len(), 5_000);
        nothing_was_refused(&app);
        for server in servers {
            server.shutdown().await;
        }
        app.assert_sound().await;
        app.stop().await;
    });
}
