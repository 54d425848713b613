//! WeChat's limits: each is reached and not passed, one more is refused with its code and leaves
//! nothing behind, and the next second or day is free again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hongbao::simulator::{Config, Limits, Simulator, StartError, Totals, start};

use super::client::{Client, Message, begin, billno};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// Longer than the second that is counted.
const NEXT_SECOND: Duration = Duration::from_millis(1_050);

/// Time stands still, so that no day ends while a slow machine is at it.
fn standing(path: &Path, limits: Limits) -> Config {
    Config {
        books: Some(path.to_owned()),
        time_scale: 0,
        limits,
        ..Config::default()
    }
}

/// Lets more than a simulated day pass over the books.
async fn a_day_later(path: &Path) {
    let config = Config {
        time_scale: 200_000,
        ..standing(path, Limits::default())
    };
    let (simulator, _) = begin(config).await;
    let begun = simulator.books().now_ms();
    while simulator.books().now_ms() - begun <= DAY_MS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    simulator.shutdown().await;
}

/// Sends packets one after the other; their codes.
async fn codes<const N: usize>(
    simulator: &Simulator,
    client: &Client,
    packets: [(u32, &str, i64); N],
) -> [String; N] {
    let mut codes = [const { String::new() }; N];
    for (code, (n, openid, fen)) in codes.iter_mut().zip(packets) {
        let message = Message::send(simulator, &billno(n), openid, fen);
        client.send(&message).await.code().clone_into(code);
    }
    codes
}

/// The counts that are not 0.
fn refused(simulator: &Simulator) -> BTreeMap<&'static str, u64> {
    let mut refused = simulator.refused_by_limits();
    assert_eq!(refused.len(), 5);
    refused.retain(|_, count| *count > 0);
    refused
}

/// How many orders there are and how many fen left for them, which a refusal must not change.
fn stored(totals: &Totals) -> (u64, i64) {
    (totals.orders, totals.paid_fen)
}

#[tokio::test]
async fn one_openid_gets_so_many_fen_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.jsonl");
    let limits = Limits {
        fen_per_openid_and_day: Some(500),
        ..Limits::default()
    };
    let (simulator, client) = begin(standing(&path, limits)).await;
    let packets = [
        (1, "oA", 300),
        (2, "oA", 201),
        (3, "oA", 200),
        (4, "oA", 100),
        (5, "oB", 500),
        // Stored already: neither refused nor counted again.
        (1, "oA", 300),
    ];
    assert_eq!(
        codes(&simulator, &client, packets).await,
        [
            "SUCCESS",
            "RCVDAMOUNT_LIMIT",
            "SUCCESS",
            "RCVDAMOUNT_LIMIT",
            "SUCCESS",
            "SUCCESS"
        ]
    );
    assert_eq!(stored(&simulator.books().totals()), (3, 1_000));
    assert_eq!(refused(&simulator), [("RCVDAMOUNT_LIMIT", 2)].into());
    let query = client.query(&simulator, &billno(4)).await;
    assert_eq!(query.code(), "NOT_FOUND");
    simulator.shutdown().await;

    // A restart is no new day, and the counts of refusals begin anew.
    let (simulator, client) = begin(standing(&path, limits)).await;
    let again = codes(&simulator, &client, [(4, "oA", 100), (6, "oC", 100)]).await;
    assert_eq!(again, ["RCVDAMOUNT_LIMIT", "SUCCESS"]);
    assert_eq!(refused(&simulator), [("RCVDAMOUNT_LIMIT", 1)].into());
    simulator.shutdown().await;

    a_day_later(&path).await;
    let (simulator, client) = begin(standing(&path, limits)).await;
    let next = codes(&simulator, &client, [(4, "oA", 500), (7, "oA", 100)]).await;
    assert_eq!(next, ["SUCCESS", "RCVDAMOUNT_LIMIT"]);
}

#[tokio::test]
async fn the_merchant_sends_so_many_fen_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.jsonl");
    let limits = Limits {
        fen_per_day: Some(1_000),
        ..Limits::default()
    };
    let (simulator, client) = begin(standing(&path, limits)).await;
    let packets = [
        (1, "oA", 600),
        (2, "oB", 401),
        (3, "oB", 400),
        (4, "oC", 100),
        (1, "oA", 600),
    ];
    assert_eq!(
        codes(&simulator, &client, packets).await,
        [
            "SUCCESS",
            "SENDAMOUNT_LIMIT",
            "SUCCESS",
            "SENDAMOUNT_LIMIT",
            "SUCCESS"
        ]
    );
    assert_eq!(stored(&simulator.books().totals()), (2, 1_000));
    assert_eq!(refused(&simulator), [("SENDAMOUNT_LIMIT", 2)].into());
    simulator.shutdown().await;

    let (simulator, client) = begin(standing(&path, limits)).await;
    let again = codes(&simulator, &client, [(4, "oC", 100)]).await;
    assert_eq!(again, ["SENDAMOUNT_LIMIT"]);
    assert_eq!(stored(&simulator.books().totals()), (2, 1_000));
    simulator.shutdown().await;

    a_day_later(&path).await;
    let (simulator, client) = begin(standing(&path, limits)).await;
    let next = codes(&simulator, &client, [(4, "oC", 1_000), (5, "oD", 100)]).await;
    assert_eq!(next, ["SUCCESS", "SENDAMOUNT_LIMIT"]);
}

#[tokio::test]
async fn so_many_sends_arrive_within_a_real_second() {
    let config = Config {
        // A simulated second is over in ten microseconds; a real one is not.
        time_scale: 100_000,
        limits: Limits {
            sends_per_second: Some(4),
            ..Limits::default()
        },
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    let message = |n| Message::send(&simulator, &billno(n), "oSIM-RECEIVED-1", 100);
    // One that is refused for another reason takes a place too.
    for _ in 0..4 {
        let refused_by_fields = message(1).with("total_num", "2");
        assert_eq!(client.send(&refused_by_fields).await.code(), "PARAM_ERROR");
    }
    let group = Message::group(&simulator, &billno(2), "oSIM-RESET-1", 300, 3);
    for (message, signed) in [(message(1), false), (group.clone(), true)] {
        let reply = client.send(&message).await;
        assert_eq!(reply.code(), "FREQ_LIMIT");
        assert_eq!(reply.get("return_code"), "SUCCESS");
        // As every other refusal of a group send.
        assert_eq!(!reply.get("sign").is_empty(), signed);
    }
    assert_eq!(refused(&simulator), [("FREQ_LIMIT", 2)].into());
    assert_eq!(simulator.peak_sends_per_second(), 6);
    let totals = simulator.books().totals();
    assert_eq!(
        (totals.orders, totals.sends),
        (0, 0),
        "no line in the books"
    );
    let query = client.query(&simulator, &billno(1)).await;
    assert_eq!(query.code(), "NOT_FOUND", "a query takes no place");

    tokio::time::sleep(NEXT_SECOND).await;
    // So does one that repeats a number.
    let repeated = [(); 6].map(|()| async { client.send(&message(1)).await });
    let replies = futures::future::join_all(repeated).await;
    let limited = replies.iter().filter(|reply| reply.code() == "FREQ_LIMIT");
    assert_eq!(limited.count(), 2, "{replies:?}");
    assert_eq!(stored(&simulator.books().totals()), (1, 100));

    tokio::time::sleep(NEXT_SECOND).await;
    assert_eq!(client.send(&message(3)).await.code(), "SUCCESS");
    // The fault of its first send is not used up.
    assert!(client.try_send(&group).await.is_err());
    assert_eq!(refused(&simulator), [("FREQ_LIMIT", 4)].into());
}

#[tokio::test]
async fn so_many_queries_arrive_within_a_real_second() {
    let config = Config {
        time_scale: 100_000,
        limits: Limits {
            queries_per_second: Some(2),
            ..Limits::default()
        },
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    let message = Message::send(&simulator, &billno(1), "oSIM-RECEIVED-1", 100);
    assert_eq!(client.send(&message).await.code(), "SUCCESS");
    let queries = [1, 2, 1].map(|n| {
        let message = Message::query(&simulator, &billno(n));
        let client = &client;
        async move { client.send(&message).await.code().to_owned() }
    });
    let seen = futures::future::join_all(queries).await;
    let limited = seen.iter().filter(|code| *code == "FREQ_LIMIT").count();
    assert_eq!(limited, 1, "{seen:?}");
    assert_eq!(refused(&simulator), [("FREQ_LIMIT_QUERY", 1)].into());
    assert_eq!(simulator.books().totals().queries, 2);
    assert_eq!(client.send(&message).await.code(), "SUCCESS", "a send");
    tokio::time::sleep(NEXT_SECOND).await;
    let query = client.query(&simulator, &billno(1)).await;
    assert_eq!(query.get("status"), "RECEIVED");
}

#[tokio::test]
async fn limits_are_read_over_the_admin_api() {
    let config = Config {
        limits: Limits {
            sends_per_minute: Some(1_800),
            packets_per_openid_and_day: Some(1),
            ..Limits::default()
        },
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    let packets = [
        (1, "oA", 100),
        (2, "oA", 100),
        (3, "oSIM-FREQ_LIMIT-1", 100),
    ];
    let seen = codes(&simulator, &client, packets).await;
    assert_eq!(seen, ["SUCCESS", "SENDNUM_LIMIT", "FREQ_LIMIT"]);
    let url = format!("{}/_sim/limits", simulator.admin_url());
    let text = client.http.get(url).send().await.unwrap().text().await;
    let mut view: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
    let peak = view["peak_sends_per_second"].take().as_u64().unwrap();
    // Fewer than three only on a machine that takes longer than a second for them.
    assert!((1..=3).contains(&peak), "{peak}");
    let expected = serde_json::json!({
        "limits": {
            "sends_per_minute": 1_800,
            "sends_per_second": null,
            "queries_per_second": null,
            "packets_per_openid_and_day": 1,
            "fen_per_openid_and_day": null,
            "fen_per_day": null,
        },
        // The fault is no limit.
        "refused": {
            "FREQ_LIMIT": 0,
            "FREQ_LIMIT_QUERY": 0,
            "RCVDAMOUNT_LIMIT": 0,
            "SENDAMOUNT_LIMIT": 0,
            "SENDNUM_LIMIT": 1,
        },
        "peak_sends_per_second": null,
    });
    assert_eq!(view, expected);
    assert_eq!(simulator.limits().sends_per_minute, Some(1_800));
}

fn wall_ms() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "what the simulator's clock is compared with"
    )]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn new_books_begin_where_a_scaled_clock_of_the_same_origin_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.jsonl");
    let before_ms = wall_ms();
    let origin_ms = before_ms - 60_000;
    let config = |origin_ms| Config {
        time_scale: 1_000,
        time_origin_ms: Some(origin_ms),
        ..standing(&path, Limits::default())
    };
    let scaled = |wall_ms: i64| origin_ms + (wall_ms - origin_ms) * 1_000;
    let (simulator, _) = begin(config(origin_ms)).await;
    let now_ms = simulator.books().now_ms();
    assert!(now_ms >= scaled(before_ms), "{now_ms}");
    assert!(now_ms <= scaled(wall_ms() + 1), "{now_ms}");
    simulator.shutdown().await;

    // Books that are there keep their time, whatever origin is given.
    let (simulator, _) = begin(config(0)).await;
    let later_ms = simulator.books().now_ms();
    assert!(later_ms >= now_ms && later_ms <= scaled(wall_ms() + 1));
    simulator.shutdown().await;

    let future_ms = wall_ms() + 3_600_000;
    let refused = start(config(future_ms)).await.unwrap_err();
    assert!(matches!(refused, StartError::TimeOriginInFuture(at) if at == future_ms));
}
