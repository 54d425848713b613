//! Callbacks: where they go, how they are signed, when they come again, and what goes wrong with
//! them on demand.

use std::time::Duration;

use hongbao::simulator::{Config, OpenCallbackKind, OpenConfig, StartError, start};
use serde_json::json;

use super::client::{PUBLIC, Platform, open, open_with_key};
use super::receiver::{Got, Receiver};

/// Ten hours a second: three hours are 0.3 s.
const FAST: u32 = 36_000;

fn reporting_to(receiver: &Receiver, open: OpenConfig) -> OpenConfig {
    OpenConfig {
        callback_url: Some(format!("{}/default", receiver.url)),
        ..open
    }
}

/// Waits until no callback is pending, and a moment longer.
async fn until_quiet(platform: &Platform) {
    let books = platform.simulator.books();
    let quiet = async {
        while books.open_book().callbacks.pending > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), quiet)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
}

#[tokio::test]
async fn a_final_order_is_reported_once_and_rightly_signed() {
    for by_rsa in [false, true] {
        let receiver = Receiver::answering(&[(200, " success\n")]).await;
        let signing = if by_rsa { open_with_key() } else { open() };
        let platform = Platform::start(reporting_to(&receiver, signing), 1_000).await;
        let reply = platform.order("b1", "oAlice").await;
        let got = receiver.wait_for(1).await.remove(0);
        until_quiet(&platform).await;
        assert_eq!(receiver.got().len(), 1);
        assert_eq!(got.path, "/default");
        assert_eq!(
            got.header("content-type"),
            "application/json; charset=utf-8"
        );
        let config = platform.simulator.open().unwrap();
        assert_eq!(got.header("businessId"), config.business_id);
        assert_eq!(got.header("signType"), "");
        let off = platform.simulator.books().now_ms() - got.timestamp();
        assert!((0..300_000_000).contains(&off), "{off}");
        assert_eq!(got.is_md5(&config.secret), !by_rsa);
        if by_rsa {
            assert!(got.is_rsa(PUBLIC));
        }
        let body = got.json();
        assert_eq!(body["orderCode"], reply["data"]["orderCode"]);
        assert_eq!(
            (&body["bizCode"], &body["status"]),
            (&json!("b1"), &json!(2))
        );
        assert_eq!(body["settlementPrice"], 1);
        let callbacks = platform.simulator.books().open_book().callbacks;
        assert_eq!((callbacks.acknowledged, callbacks.given_up), (1, 0));
        assert_eq!(callbacks.answers["200 SUCCESS"], 1);
    }
}

#[tokio::test]
async fn an_order_s_own_address_comes_first_and_without_any_nobody_is_called() {
    let receiver = Receiver::start().await;
    let platform = Platform::start(open(), 1_000).await;
    platform.order("b1", "oAlice").await;
    platform.until_final("b1").await;
    let mut own = platform.packet("b2", "oBob", "1");
    own["callbackUrl"] = json!(format!("{}/own?x=1", receiver.url));
    platform.place(&own).await;
    receiver.wait_for(1).await;
    until_quiet(&platform).await;
    let got = receiver.got();
    assert_eq!(got.len(), 1);
    assert_eq!(
        (&*got[0].path, &got[0].json()["bizCode"]),
        ("/own", &json!("b2"))
    );
    let orders = platform.simulator.books().open_orders();
    assert_eq!(orders[0].callbacks[0].tries, 0);
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_nine_times_more_and_later_each_time() {
    let receiver = Receiver::answering(&[(200, "OK"); 20]).await;
    let platform = Platform::start(reporting_to(&receiver, open()), FAST).await;
    platform.order("b1", "oAlice").await;
    let got = receiver.wait_for(10).await;
    until_quiet(&platform).await;
    assert_eq!(receiver.got().len(), 10);
    let minute = 60_000;
    let waits = [
        15_000,
        30_000,
        3 * minute,
        10 * minute,
        20 * minute,
        30 * minute,
        60 * minute,
        180 * minute,
        360 * minute,
    ];
    for (pair, wait) in got.windows(2).zip(waits) {
        let waited = pair[1].timestamp() - pair[0].timestamp();
        // It is looked for every 20 ms, which are twelve minutes here; a busy machine adds more.
        assert!(waited >= wait, "{waited} ms, not {wait}");
        assert_ne!(pair[0].header("nonce"), pair[1].header("nonce"));
        assert_ne!(pair[0].header("sign"), pair[1].header("sign"));
        assert_eq!(pair[0].body, pair[1].body);
    }
    let secret = &platform.simulator.open().unwrap().secret;
    assert!(got.iter().all(|got| got.is_md5(secret)));
    let callbacks = platform.simulator.books().open_book().callbacks;
    assert_eq!((callbacks.acknowledged, callbacks.given_up), (0, 1));
    assert_eq!(callbacks.answers["200 other"], 10);
    let last = got[9].timestamp() - got[0].timestamp();
    assert!(last >= 39_825_000, "{last}");
}

#[tokio::test]
async fn retries_end_with_the_first_success() {
    let answers = [(500, "SUCCESS"), (401, ""), (200, "FAIL"), (200, "Success")];
    let receiver = Receiver::answering(&answers).await;
    let platform = Platform::start(reporting_to(&receiver, open()), FAST).await;
    platform.order("b1", "oAlice").await;
    receiver.wait_for(4).await;
    until_quiet(&platform).await;
    assert_eq!(receiver.got().len(), 4);
    let callbacks = platform.simulator.books().open_book().callbacks;
    assert_eq!(callbacks.acknowledged, 1);
    for answer in ["500 SUCCESS", "401 other", "200 other", "200 SUCCESS"] {
        assert_eq!(callbacks.answers[answer], 1, "{answer}");
    }
}

#[tokio::test]
async fn a_restart_goes_on_with_what_is_pending() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.jsonl");
    let receiver = Receiver::answering(&[(503, "")]).await;
    let config = || reporting_to(&receiver, open());
    // Time stands almost still, so that the second try is far away.
    let platform = Platform::start_on(Some(path.clone()), config(), 2).await;
    platform.order("b1", "oSIM-FAILED_AT_ONCE-1").await;
    receiver.wait_for(1).await;
    let tried = async {
        while platform.simulator.books().open_orders()[0].callbacks[0].tries == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), tried)
        .await
        .unwrap();
    platform.simulator.shutdown().await;

    // The default address of now does not count: the order was told another.
    let other = OpenConfig {
        callback_url: None,
        ..open()
    };
    let platform = Platform::start_on(Some(path), other, 1_000).await;
    let pending = &platform.simulator.books().open_orders()[0].callbacks[0];
    assert_eq!((pending.tries, pending.acknowledged), (1, false));
    let got = receiver.wait_for(2).await;
    until_quiet(&platform).await;
    assert_eq!(receiver.got().len(), 2);
    assert_eq!(
        (got[1].status(), got[1].json()["bizCode"].as_str()),
        (3, Some("b1"))
    );
    assert!(got[1].timestamp() - got[0].timestamp() >= 15_000);
    let callbacks = platform.simulator.books().open_book().callbacks;
    assert_eq!(
        (
            callbacks.acknowledged,
            callbacks.tries[&OpenCallbackKind::Right]
        ),
        (1, 2)
    );
}

#[tokio::test]
async fn an_address_that_cannot_be_called_is_no_start() {
    let config = Config {
        open: Some(OpenConfig {
            callback_url: Some("https://localhost/".to_owned()),
            ..open()
        }),
        ..Config::default()
    };
    let refused = start(config).await.unwrap_err();
    assert!(matches!(refused, StartError::CallbackUrl(url) if url == "https://localhost/"));
}

/// What arrives about one order with a fault.
async fn with_fault(name: &str, count: usize) -> (Platform, Receiver, Vec<Got>) {
    let receiver = Receiver::start().await;
    let platform = Platform::start(reporting_to(&receiver, open()), 1_000).await;
    let reply = platform.order("b1", &format!("oSIM-{name}-1")).await;
    assert_eq!(reply["status"], 0, "{name}");
    let got = receiver.wait_for(count).await;
    until_quiet(&platform).await;
    assert_eq!(receiver.got().len(), count, "{name}");
    assert_eq!(platform.until_final("b1").await.last(), Some(&2), "{name}");
    (platform, receiver, got)
}

fn statuses(got: &[Got]) -> Vec<i64> {
    got.iter().map(Got::status).collect()
}

#[tokio::test]
async fn a_forged_callback_is_really_wrongly_signed() {
    for key in [open(), open_with_key()] {
        let receiver = Receiver::answering(&[(401, "")]).await;
        let platform = Platform::start(reporting_to(&receiver, key), 200).await;
        platform.order("b1", "oSIM-CALLBACK_FORGED-1").await;
        let got = receiver.wait_for(2).await;
        until_quiet(&platform).await;
        assert_eq!(receiver.got().len(), 2, "a forger does not try again");
        let config = platform.simulator.open().unwrap();
        let right = |got: &Got| match config.callback_signature() {
            "MD5" => got.is_md5(&config.secret),
            _ => got.is_rsa(PUBLIC),
        };
        assert!(!right(&got[0]) && right(&got[1]));
        // It has the form of a right one, and it lies.
        assert_eq!(got[0].header("sign").len(), got[1].header("sign").len());
        assert_eq!(statuses(&got), [3, 2]);
        assert_eq!(got[0].json()["bizCode"], "b1");
    }
}

#[tokio::test]
async fn callbacks_go_wrong_in_every_way() {
    let (platform, _receiver, got) = with_fault("CALLBACK_DOUBLED", 3).await;
    let secret = platform.simulator.open().unwrap().secret.clone();
    assert_eq!(statuses(&got), [2, 2, 2]);
    assert!(got.iter().all(|got| got.is_md5(&secret)));
    assert_ne!(got[0].header("nonce"), got[1].header("nonce"));

    let (_platform, _receiver, got) = with_fault("CALLBACK_REORDERED", 2).await;
    assert_eq!(statuses(&got), [2, 1]);

    let (platform, _receiver, got) = with_fault("CALLBACK_CONTRARY", 2).await;
    assert_eq!(statuses(&got), [2, 3]);
    let final_ms = platform.simulator.books().open_orders()[0].since_ms;
    assert!(got[1].timestamp() - final_ms >= 60_000);
    assert!(got.iter().all(|got| got.is_md5(&secret)));

    let (platform, _receiver, got) = with_fault("CALLBACK_STALE", 2).await;
    assert_eq!(statuses(&got), [2, 2]);
    assert!(got.iter().all(|got| got.is_md5(&secret)));
    // Twelve windows of five minutes, times the scale.
    assert!(got[1].timestamp() - got[0].timestamp() >= 3_600_000 * 1_000);
    assert_eq!(
        platform.simulator.books().open_book().callbacks.tries.len(),
        2
    );

    let (platform, _receiver, got) = with_fault("CALLBACK_STRANGER", 2).await;
    assert!(got.iter().all(|got| got.is_md5(&secret)));
    let stranger = got[0].json()["bizCode"].as_str().unwrap().to_owned();
    assert_eq!(platform.info(&stranger).await["status"], 7);
    assert_eq!(got[1].json()["bizCode"], "b1");

    let (_platform, _receiver, got) = with_fault("CALLBACK_LOST", 0).await;
    assert!(got.is_empty());
}

#[tokio::test]
async fn a_callback_may_come_two_days_late_or_before_the_reply() {
    let receiver = Receiver::start().await;
    let platform = Platform::start(reporting_to(&receiver, open()), 200_000).await;
    platform.order("b1", "oSIM-CALLBACK_LATE-1").await;
    let got = receiver.wait_for(1).await;
    let order = &platform.simulator.books().open_orders()[0];
    let late = got[0].timestamp() - order.since_ms;
    assert!(late >= 48 * 3_600_000, "{late}");

    let receiver = Receiver::start().await;
    let platform = Platform::start(reporting_to(&receiver, open()), 1).await;
    let reply = platform.order("b1", "oSIM-CALLBACK_EARLY-1").await;
    assert_eq!(reply["status"], 0);
    assert_eq!(
        statuses(&receiver.got()),
        [2],
        "it is there when the reply is"
    );
}

#[tokio::test]
async fn a_receiver_that_is_silent_or_gone_is_tried_again() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = OpenConfig {
        callback_url: Some(format!("http://{}/", silent.local_addr().unwrap())),
        callback_timeout: Duration::from_millis(100),
        ..open()
    };
    let platform = Platform::start(config, FAST).await;
    platform.order("b1", "oAlice").await;
    let answers = async |wanted: &str| {
        let books = platform.simulator.books();
        let seen = async {
            while !books.open_book().callbacks.answers.contains_key(wanted) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(10), seen).await;
        assert!(seen.is_ok(), "{wanted}: {:?}", books.open_book().callbacks);
    };
    answers("timeout").await;
    drop(silent);
    answers("no connection").await;
    assert_eq!(platform.simulator.books().open_book().callbacks.pending, 1);
}
