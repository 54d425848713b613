//! Faults on demand: what the caller sees, and what the books say happened.

use std::collections::BTreeMap;

use hongbao::simulator::{OpenConfig, OpenFault, OpenFaults, OpenStatus, Strike};
use serde_json::{Value, json};

use super::client::{INFO, PLACE, Platform, md5, open};

/// What a reply is, in a word: its status, or what came instead.
async fn seen(platform: &Platform, path: &str, body: &Value) -> String {
    let sent = platform.raw(path, &body.to_string(), md5()).send().await;
    let Ok(reply) = sent else {
        return "nothing".to_owned();
    };
    if reply.status() != 200 {
        return reply.status().as_str().to_owned();
    }
    let Ok(bytes) = reply.bytes().await else {
        return "half".to_owned();
    };
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(json) => json["status"].to_string(),
        Err(_) if bytes.len() > 1_000_000 => "huge".to_owned(),
        Err(_) => "garbage".to_owned(),
    }
}

/// Fault, what is seen, and whether the order is stored. Those not listed are seen as 0 and stored.
const SEEN: &[(&str, &str, bool)] = &[
    ("FAIL_BEFORE", "1", false),
    ("FAIL_AFTER", "1", true),
    ("ABNORMAL_98_BEFORE", "98", false),
    ("ABNORMAL_98_AFTER", "98", true),
    ("ABNORMAL_99_BEFORE", "99", false),
    ("ABNORMAL_99_AFTER", "99", true),
    ("TOO_OLD_BEFORE", "5", false),
    ("TOO_OLD_AFTER", "5", true),
    ("NONCE_BEFORE", "6", false),
    ("NONCE_AFTER", "6", true),
    ("DUPLICATE_BEFORE", "8", false),
    ("DUPLICATE_AFTER", "8", true),
    ("TIMEOUT_BEFORE", "nothing", false),
    ("TIMEOUT_AFTER", "nothing", true),
    ("RESET", "nothing", false),
    ("RESET_AFTER", "nothing", true),
    ("HALF_BODY", "half", true),
    ("HTML_502", "502", true),
    ("UNKNOWN_CODE", "383", true),
    ("GARBAGE", "garbage", true),
    ("HUGE_BODY", "huge", true),
    ("SLOPPY", "\"0\"", true),
    ("BAD_SIGN", "2", false),
    ("BAD_PARAMETER", "3", false),
    ("NO_TEMPLATE", "7", false),
    ("NO_BALANCE", "9", false),
    ("BAD_IP", "10", false),
    ("NO_STOCK", "11", false),
];

#[tokio::test]
async fn every_fault_does_what_the_table_says() {
    let platform = Platform::start(open(), 1).await;
    for (n, spec) in OpenFault::table().iter().enumerate() {
        let name = spec.fault.name();
        let (biz_code, openid) = (format!("b{n}"), format!("oSIM-{name}-{n}"));
        let listed = SEEN.iter().find(|(known, _, _)| *known == name);
        let (_, expected, stored) = listed.copied().unwrap_or((name, "0", true));
        let body = platform.packet(&biz_code, &openid, "1");
        assert_eq!(seen(&platform, PLACE, &body).await, expected, "{name}");
        let orders = platform.simulator.books().open_orders();
        let order = orders.iter().find(|order| order.biz_code == biz_code);
        assert_eq!(order.is_some(), stored, "{name}");
        // The second send tells the truth, unless the refusal is about the order itself.
        let second = match (spec.strikes, stored) {
            (0, _) => expected,
            (_, true) => "8",
            (_, false) => "0",
        };
        assert_eq!(seen(&platform, PLACE, &body).await, second, "{name}");
    }
}

#[tokio::test]
async fn fates_are_as_the_table_says() {
    let platform = Platform::start(open(), 1_000).await;
    for (name, status) in [
        ("SLOW_PROCESSING", 2),
        ("LATE_FAILURE", 3),
        ("FAILED_AT_ONCE", 3),
        ("CANCELLED", 4),
        ("CALLBACK_EARLY", 2),
    ] {
        platform.order(name, &format!("oSIM-{name}-1")).await;
        let seen = platform.until_final(name).await;
        assert_eq!(seen.last(), Some(&status), "{name}");
        assert!(seen.is_sorted(), "{name}: {seen:?}");
    }
    let book = platform.simulator.books().open_book();
    assert_eq!((book.payments, book.failed, book.cancelled), (2, 2, 1));
    let orders = platform.simulator.books().open_orders();
    let paid = |order: &&hongbao::simulator::OpenOrder| order.times_paid > 0;
    assert!(
        orders
            .iter()
            .filter(paid)
            .all(|o| o.status == OpenStatus::Success)
    );
    let waited = |name: &str| {
        let order = orders.iter().find(|order| order.biz_code == name).unwrap();
        order.since_ms - order.at_ms
    };
    assert_eq!(waited("SLOW_PROCESSING"), 600_000);
    assert_eq!(waited("LATE_FAILURE"), 1_200_000);
    assert_eq!(waited("CANCELLED"), 600_000);
}

#[tokio::test]
async fn replies_lie_in_one_thing_at_a_time() {
    let platform = Platform::start(open(), 1_000).await;
    let order =
        async |name: &str| platform.order(name, &format!("oSIM-{name}-1")).await["data"].clone();
    assert_eq!(order("WRONG_BIZ_CODE").await["bizCode"], "WRONG_BIZ_CODEX");
    let data = order("NO_ORDER_CODE").await;
    assert_eq!(data.get("orderCode"), None);
    assert_eq!(data["bizCode"], "NO_ORDER_CODE");
    assert_eq!(order("SLOPPY").await["settlementPrice"], "1");
    assert_eq!(order("WRONG_PRICE").await["settlementPrice"], json!(1.01));
    assert_eq!(
        platform.info("WRONG_PRICE").await["data"]["settlementPrice"],
        json!(1.01)
    );
    assert_eq!(platform.info("SLOPPY").await["data"]["settlementPrice"], 1);
}

#[tokio::test]
async fn an_order_may_be_unknown_for_a_while() {
    let platform = Platform::start(open(), 300).await;
    assert_eq!(
        platform.order("b1", "oSIM-NOT_FOUND_LAG-1").await["status"],
        0
    );
    assert_eq!(platform.info("b1").await["status"], 7);
    assert_eq!(platform.order("b1", "oAlice").await["status"], 8);
    // Five simulated minutes are a second.
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    assert_eq!(platform.info("b1").await["data"]["status"], 2);
}

#[tokio::test]
async fn a_biz_code_may_ask_for_a_fault_too_and_strikes_are_counted() {
    let platform = Platform::start(open(), 1).await;
    let reply = platform.order("oSIM2-NO_STOCK-1", "oAlice").await;
    assert_eq!(reply["status"], 11);
    assert_eq!(
        platform.order("oSIM2-NO_STOCK-1", "oAlice").await["status"],
        11
    );
    assert_eq!(
        platform.order("oSIM2-NO_STOCK-1", "oAlice").await["status"],
        0
    );
}

#[tokio::test]
async fn the_admin_api_queues_faults_and_sets_odds() {
    let platform = Platform::start(open(), 1).await;
    let url = format!("{}/_sim/open/faults", platform.simulator.admin_url());
    let set = async |body: Value| {
        let post = platform
            .http
            .post(&url)
            .header("content-type", "application/json");
        post.body(body.to_string()).send().await.unwrap().status()
    };
    assert_eq!(
        set(json!({ "next": ["NO_BALANCE", "BAD_IP"], "next_query": ["BAD_IP"] })).await,
        200
    );
    let got = platform
        .http
        .get(&url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let got: Value = serde_json::from_str(&got).unwrap();
    assert_eq!(got["active"]["next"], json!(["NO_BALANCE", "BAD_IP"]));
    assert_eq!(
        got["known"].as_array().unwrap().len(),
        OpenFault::all().count()
    );
    assert_eq!(platform.order("b1", "oAlice").await["status"], 9);
    assert_eq!(platform.order("b1", "oAlice").await["status"], 10);
    assert_eq!(platform.order("b1", "oAlice").await["status"], 0);
    assert_eq!(platform.info("b1").await["status"], 10);
    assert_eq!(platform.info("b1").await["status"], 0);
    assert_eq!(set(json!({ "query": { "HTML_502": 1000 } })).await, 200);
    let body = json!({ "bizCode": "b1" });
    assert_eq!(seen(&platform, INFO, &body).await, "502");
    for bad in [
        json!({ "query": { "LATE_FAILURE": 1 } }),
        json!({ "send": { "RESET": 1001 } }),
        json!({ "send": { "NOPE": 1 } }),
    ] {
        let status = set(bad.clone()).await.as_u16();
        assert!((400..500).contains(&status), "{bad}: {status}");
    }
    assert_eq!(platform.simulator.open_replies()["query"]["HTTP 502"], 1);
}

#[tokio::test]
async fn the_same_seed_strikes_the_same() {
    let config = || OpenConfig {
        faults: OpenFaults::default()
            .with_send(OpenFault::FailBefore, 300)
            .with_send(OpenFault::Abnormal98After, 200),
        ..open()
    };
    let mut runs = Vec::new();
    for _ in 0..2 {
        let platform = Platform::start(config(), 1).await;
        let mut run = BTreeMap::new();
        for n in 0..60 {
            let biz_code = format!("b{n}");
            let reply = platform.order(&biz_code, &format!("o{n}")).await;
            run.insert(biz_code, reply["status"].as_i64().unwrap());
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    let count = |status| runs[0].values().filter(|seen| **seen == status).count();
    assert!(
        count(1) > 5 && count(98) > 3 && count(0) > 15,
        "{:?}",
        runs[0]
    );
}
