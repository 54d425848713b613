//! Group packets: the call, its signed replies, the shares, and what comes back of them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hongbao::signing::wechat_v2;
use hongbao::simulator::{Books, Config, State};

use super::client::{Client, Message, Reply, begin, billno};

const OPENING_FEN: i64 = 100_000_000;

/// So fast that a day passes in half a second; for tests that only wait.
fn fast() -> Config {
    Config {
        time_scale: 200_000,
        ..Config::default()
    }
}

fn still() -> Config {
    Config {
        time_scale: 0,
        ..Config::default()
    }
}

/// Asks until the order has reached this state.
async fn until(
    client: &Client,
    simulator: &hongbao::simulator::Simulator,
    number: &str,
    status: &str,
) -> Reply {
    for _ in 0..200 {
        let query = client.query(simulator, number).await;
        if query.get("status") == status {
            return query;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{number} did not become {status}");
}

fn sum(receivers: &[(String, i64)]) -> i64 {
    receivers.iter().map(|(_, fen)| fen).sum()
}

#[tokio::test]
async fn a_group_send_pays_once_and_is_echoed() {
    let (simulator, client) = begin(still()).await;
    let message = Message::group(&simulator, &billno(1), "oAlice", 900, 3);
    let first = client.send(&message).await;
    assert_eq!(first.get("return_code"), "SUCCESS");
    assert_eq!(first.code(), "SUCCESS");
    assert_eq!(first.get("mch_billno"), billno(1));
    assert_eq!(first.get("re_openid"), "oAlice");
    assert_eq!(first.get("total_amount"), "900");
    assert_eq!(first.get("total_num"), "3");
    assert_eq!(first.get("send_listid").len(), 30);
    // The sender's address is optional here, and may differ.
    let again = message
        .with("nonce_str", "other")
        .with("client_ip", "10.0.0.1");
    assert_eq!(client.send(&again).await, first);
    let payments = simulator.books().payments();
    assert_eq!(payments.len(), 1);
    assert_eq!((payments[0].times_paid, payments[0].sends), (1, 2));
    assert_eq!(payments[0].amount_fen, 900);
    assert_eq!(payments[0].returned_fen, 0);
    assert_eq!(simulator.books().balance_fen(), OPENING_FEN - 900);
    let query = client.query(&simulator, &billno(1)).await;
    assert_eq!(query.get("status"), "SENDING");
    assert_eq!(query.get("hb_type"), "GROUP");
    assert_eq!(query.get("total_num"), "3");
    assert!(!query.0.contains("hblist"));
}

#[tokio::test]
async fn replies_to_a_group_send_are_signed_and_others_are_not() {
    let (simulator, client) = begin(still()).await;
    let key = &simulator.merchant().api_key;
    let signed = |reply: &Reply| wechat_v2::verify(&reply.pairs(), key, reply.get("sign"));
    for (n, openid) in (1..).zip([
        "oAlice",
        "oSIM-WRONG_AMOUNT-1",
        "oSIM-PROCESSING-1",
        "oSIM-SEND_FAILED-1",
        "oSIM-NO_AUTH-1",
    ]) {
        let message = Message::group(&simulator, &billno(n), openid, 900, 3);
        let reply = client.send(&message).await;
        assert!(reply.pairs().len() >= 10, "{reply:?}");
        assert!(signed(&reply), "{reply:?}");
    }
    let forged = Reply(
        client
            .send(&Message::group(&simulator, &billno(1), "oAlice", 900, 3))
            .await
            .0
            .replace(">900<", ">901<"),
    );
    assert!(!signed(&forged));
    // Nobody is handed a right signature before having shown one.
    for (name, value) in [("re_openid", "oSIM-SIGN_ERROR-1"), ("mch_id", "1900000110")] {
        let stranger = Message::group(&simulator, &billno(9), "oAlice", 900, 3);
        let reply = client.send(&stranger.with(name, value)).await;
        assert_eq!(reply.get("sign"), "", "{reply:?}");
    }
    let normal = Message::send(&simulator, &billno(10), "oAlice", 100);
    assert_eq!(client.send(&normal).await.get("sign"), "");
    assert_eq!(client.query(&simulator, &billno(1)).await.get("sign"), "");
}

#[tokio::test]
async fn the_number_of_people_and_the_average_are_limited() {
    let (simulator, client) = begin(still()).await;
    let good = Message::group(&simulator, &billno(1), "oAlice", 900, 3);
    for (name, value, code) in [
        ("total_num", "1", "PARAM_ERROR"),
        ("total_num", "2", "PARAM_ERROR"),
        ("total_num", "21", "PARAM_ERROR"),
        ("total_num", "03", "PARAM_ERROR"),
        ("total_num", "x", "PARAM_ERROR"),
        ("total_num", "", "PARAM_ERROR"),
        ("amt_type", "", "PARAM_ERROR"),
        ("amt_type", "ALL_SAME", "PARAM_ERROR"),
        ("client_ip", "::1", "PARAM_ERROR"),
        ("total_amount", "299", "MONEY_LIMIT"),
        ("total_amount", "60001", "MONEY_LIMIT"),
        ("notify_way", "MINI_PROGRAM_JSAPI", "SIGN_ERROR"),
        ("sign_type", "MD5", "SIGN_ERROR"),
    ] {
        let reply = client.send(&good.clone().with(name, value)).await;
        assert_eq!(reply.code(), code, "{name}={value}");
    }
    assert_eq!(simulator.books().totals().orders, 0);
    for (n, fen, people, scene) in [
        (2, 300, 3, ""),
        (3, 60_000, 3, ""),
        (4, 400_000, 20, ""),
        (5, 20, 20, "PRODUCT_2"),
    ] {
        let message = Message::group(&simulator, &billno(n), "oAlice", fen, people);
        let reply = client.send(&message.with("scene_id", scene)).await;
        assert_eq!(reply.code(), "SUCCESS", "{fen} for {people}");
    }
    let config = Config {
        max_shares: 5,
        ..still()
    };
    let (simulator, client) = begin(config).await;
    for (people, code) in [(5, "SUCCESS"), (6, "PARAM_ERROR")] {
        let message = Message::group(&simulator, &billno(people), "oAlice", 900, people);
        assert_eq!(client.send(&message).await.code(), code);
    }
}

#[tokio::test]
async fn a_number_stands_for_one_kind_and_one_division() {
    let (simulator, client) = begin(still()).await;
    let message = Message::group(&simulator, &billno(1), "oAlice", 300, 3);
    client.send(&message).await;
    let normal = Message::send(&simulator, &billno(1), "oAlice", 300);
    let mini = Message::mini(&simulator, &billno(1), "oAlice", 300);
    let scene = |message: Message| message.with("scene_id", "PRODUCT_2");
    for (other, code) in [
        (message.clone().with("total_num", "4"), "MONEY_LIMIT"),
        (scene(message.clone()).with("total_num", "4"), "PARAM_ERROR"),
        (message.clone().with("total_amount", "301"), "PARAM_ERROR"),
        (message.clone().with("remark", "other"), "PARAM_ERROR"),
        (message.clone().with("re_openid", "oBob"), "FATAL_ERROR"),
        (normal, "PARAM_ERROR"),
        (mini, "PARAM_ERROR"),
    ] {
        assert_eq!(client.send(&other).await.code(), code, "{other:?}");
    }
    let longer = Message::group(&simulator, &billno(2), "oAlice", 400, 3);
    client.send(&longer).await;
    let divided = longer.with("total_num", "4");
    assert_eq!(client.send(&divided).await.code(), "PARAM_ERROR");
    client
        .send(&Message::send(&simulator, &billno(3), "oAlice", 300))
        .await;
    let group = Message::group(&simulator, &billno(3), "oAlice", 300, 3);
    assert_eq!(client.send(&group).await.code(), "PARAM_ERROR");
    assert_eq!(client.send(&message).await.code(), "SUCCESS");
    assert_eq!(simulator.books().payments().len(), 3);
}

#[tokio::test]
async fn a_group_that_is_taken_whole_lists_everybody() {
    let (simulator, client) = begin(still()).await;
    let message = Message::group(&simulator, &billno(1), "oSIM-RECEIVED-1", 1_000, 7);
    client.send(&message).await;
    let query = client.query(&simulator, &billno(1)).await;
    assert_eq!(query.get("status"), "RECEIVED");
    let receivers = query.receivers();
    assert_eq!(receivers.len(), 7);
    assert_eq!(sum(&receivers), 1_000);
    assert!(receivers.iter().all(|(_, fen)| *fen >= 1));
    assert_eq!(receivers[0].0, "oSIM-RECEIVED-1");
    let mut openids: Vec<&str> = receivers.iter().map(|(openid, _)| &**openid).collect();
    assert!(openids[1..].iter().all(|id| id.starts_with("oSIMSHARE")));
    openids.sort_unstable();
    openids.dedup();
    assert_eq!(openids.len(), 7);
    assert!(!query.0.contains("refund_"));
    let totals = simulator.books().totals();
    assert_eq!((totals.received, totals.returned), (1, 0));
}

#[tokio::test]
async fn one_share_that_nobody_takes_comes_back_alone() {
    let (simulator, client) = begin(fast()).await;
    let message = Message::group(&simulator, &billno(1), "oSIM-PARTIAL_REFUND-1", 900, 3);
    client.send(&message).await;
    let sent = client.query(&simulator, &billno(1)).await;
    let taken = sent.receivers();
    assert_eq!(taken.len(), 2);
    let query = until(&client, &simulator, &billno(1), "REFUND").await;
    assert_eq!(query.receivers(), taken, "who took stays listed");
    assert_eq!(query.fen("refund_amount"), 900 - sum(&taken));
    assert_eq!(query.get("refund_time").len(), 19);
    assert_eq!(query.get("total_amount"), "900");
    let totals = simulator.books().totals();
    assert_eq!((totals.payments, totals.returned), (1, 1));
    assert_eq!(totals.returned_fen, 900 - sum(&taken));
    assert_eq!(totals.balance_fen, OPENING_FEN - sum(&taken));
    assert_eq!(totals.held_fen, 0);
    let payments = simulator.books().payments();
    assert_eq!(payments[0].state, State::Refund);
    assert_eq!(payments[0].returned_fen, 900 - sum(&taken));

    // Two have kept their shares, so the same business order is paid twice now.
    let again = Message::group(&simulator, &billno(2), "oAlice", 900, 3);
    client.send(&again.with("remark", &billno(1))).await;
    assert_eq!(simulator.books().double_payments(), 1);
}

#[tokio::test]
async fn what_nobody_takes_comes_back_whole_and_may_be_paid_again() {
    let (simulator, client) = begin(fast()).await;
    let message = Message::group(&simulator, &billno(1), "oSIM-REFUND-1", 900, 3);
    client.send(&message).await;
    let normal = Message::send(&simulator, &billno(2), "oSIM-PARTIAL_REFUND-1", 100);
    client.send(&normal).await;
    let query = until(&client, &simulator, &billno(1), "REFUND").await;
    assert_eq!(query.fen("refund_amount"), 900);
    assert!(!query.0.contains("hblist"));
    let query = until(&client, &simulator, &billno(2), "REFUND").await;
    assert_eq!(query.fen("refund_amount"), 100);
    assert_eq!(simulator.books().balance_fen(), OPENING_FEN);
    let payments = simulator.books().payments();
    assert_eq!(payments[0].returned_fen, 900);
    let again = Message::group(&simulator, &billno(3), "oAlice", 900, 3);
    client.send(&again.with("remark", &billno(1))).await;
    assert_eq!(simulator.books().double_payments(), 0);
}

#[tokio::test]
async fn chance_decides_share_by_share_and_one_seed_is_one_fate() {
    let run = async || {
        let config = Config {
            taken_per_mille: 600,
            ..fast()
        };
        let (simulator, client) = begin(config).await;
        for n in 1..=20 {
            let message = Message::group(&simulator, &billno(n), "oAlice", 900, 3);
            client.send(&message).await;
        }
        // More than 24 simulated hours and a half.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let mut fates = Vec::new();
        for n in 1..=20 {
            let query = client.query(&simulator, &billno(n)).await;
            let receivers = query.receivers();
            let back = match query.get("status") {
                "RECEIVED" => 0,
                status => {
                    assert_eq!(status, "REFUND");
                    query.fen("refund_amount")
                }
            };
            assert_eq!(sum(&receivers) + back, 900);
            assert_eq!(back == 0, receivers.len() == 3);
            assert!(receivers.first().is_none_or(|(first, _)| first == "oAlice"));
            fates.push(receivers);
        }
        let totals = simulator.books().totals();
        let out: i64 = fates.iter().map(|receivers| sum(receivers)).sum();
        assert_eq!(totals.balance_fen, OPENING_FEN - out);
        assert_eq!(totals.paid_fen - totals.returned_fen, out);
        fates
    };
    let fates = run().await;
    for count in [1, 2, 3] {
        assert!(fates.iter().any(|fate| fate.len() == count), "{count}");
    }
    assert_eq!(fates, run().await);
}

#[tokio::test]
async fn a_restart_changes_nobodys_share() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.jsonl");
    let config = |seed| Config {
        books: Some(path.clone()),
        seed,
        merchant: hongbao::simulator::Merchant::from_seed(1),
        ..fast()
    };
    let (simulator, client) = begin(config(1)).await;
    let message = Message::group(&simulator, &billno(1), "oSIM-PARTIAL_REFUND-1", 900, 3);
    let first = client.send(&message).await;
    let before = client.query(&simulator, &billno(1)).await.receivers();
    assert_eq!(before.len(), 2);
    simulator.shutdown().await;
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("oSIM-"),
        "the seed user is kept as a hash only"
    );

    let (simulator, client) = begin(config(2)).await;
    let query = until(&client, &simulator, &billno(1), "REFUND").await;
    assert_eq!(query.receivers(), [], "a list is complete or missing");
    assert_eq!(query.fen("refund_amount"), 900 - sum(&before));
    assert_eq!(client.send(&message).await, first);
    let query = client.query(&simulator, &billno(1)).await;
    assert_eq!(query.receivers(), before);
    let payments = simulator.books().payments();
    assert_eq!((payments[0].times_paid, payments[0].sends), (1, 2));
    assert_eq!(Books::read(&path).unwrap(), payments);
    assert_eq!(
        Books::read_totals(&path).unwrap(),
        simulator.books().totals()
    );
}

/// Lines as they were written before there were shares.
const OLD_BOOKS: &str = r#"{"entry":"opened","mch_id":"1900000109","wall_ms":0,"sim_ms":0,"scale":1}
{"entry":"funded","amount_fen":1000,"at_ms":0}
{"entry":"seen","call":"send","mch_billno":"A1","nth":1,"fault":"REFUND","at_ms":5}
{"entry":"accepted","mch_id":"1900000109","mch_billno":"A1","openid_hash":"00","amount_fen":100,"remark":"r","act_name":"a","wishing":"w","fingerprint":"f","send_listid":"1","at_ms":5,"visible_at_ms":0,"processing":false,"reason":null,"plan":[{"at_ms":5,"step":"pay"},{"at_ms":6,"step":{"become":"SENT"}},{"at_ms":7,"step":{"become":"RFUND_ING"}},{"at_ms":8,"step":{"become":"REFUND"}}]}
{"entry":"paid","mch_billno":"A1","amount_fen":100,"at_ms":5}
{"entry":"became","mch_billno":"A1","state":"SENT","at_ms":6}
{"entry":"became","mch_billno":"A1","state":"RFUND_ING","at_ms":7}
{"entry":"became","mch_billno":"A1","state":"REFUND","at_ms":8}
"#;

#[test]
fn books_from_before_there_were_shares_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("books.jsonl");
    fs::write(path, OLD_BOOKS).unwrap();
    let payments = Books::read(path).unwrap();
    assert_eq!(payments[0].state, State::Refund);
    assert_eq!(payments[0].returned_fen, 100);
    let totals = Books::read_totals(path).unwrap();
    assert_eq!((totals.balance_fen, totals.returned_fen), (1_000, 100));
}
