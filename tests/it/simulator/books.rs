//! The books on disk: what survives a stop, a torn line and a second reader.

use std::fs::{self, OpenOptions};
use std::io::Write;

use hongbao::simulator::{Books, BooksError, Config, Merchant, StartError, State, start};

use super::client::{Message, begin, billno};

fn config(path: &std::path::Path) -> Config {
    Config {
        books: Some(path.to_owned()),
        ..Config::default()
    }
}

#[tokio::test]
async fn a_restart_replays_the_books() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.jsonl");
    let (simulator, client) = begin(config(&path)).await;
    let message = Message::send(&simulator, &billno(1), "oAlice", 100);
    let first = client.send(&message).await;
    let late = Message::send(&simulator, &billno(2), "oSIM-PROCESSING-1", 100);
    client.send(&late).await;
    let totals = simulator.books().totals();
    simulator.shutdown().await;

    // What a crash in the middle of a write leaves behind.
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"entry\":\"paid\",\"mch_bil").unwrap();
    drop(file);

    let (simulator, client) = begin(config(&path)).await;
    assert_eq!(simulator.books().totals(), totals);
    assert_eq!(client.send(&message).await, first);
    let other = message.clone().with("re_openid", "oBob");
    assert_eq!(client.send(&other).await.code(), "FATAL_ERROR");
    assert_eq!(client.send(&late).await.code(), "PROCESSING");
    let payments = simulator.books().payments();
    assert_eq!(payments.len(), 1);
    assert_eq!(payments[0].sends, 3);
    assert_eq!(Books::read(&path).unwrap(), payments);
    assert_eq!(
        Books::read_totals(&path).unwrap(),
        simulator.books().totals()
    );
}

#[tokio::test]
async fn time_goes_on_while_the_simulator_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.jsonl");
    let fast = || Config {
        time_scale: 200_000,
        ..config(&path)
    };
    let (simulator, client) = begin(fast()).await;
    let message = Message::send(&simulator, &billno(1), "oSIM-REFUND-1", 100);
    client.send(&message).await;
    simulator.shutdown().await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let (simulator, client) = begin(fast()).await;
    let query = client.query(&simulator, &billno(1)).await;
    assert_eq!(query.get("status"), "REFUND");
    assert_eq!(simulator.books().balance_fen(), 100_000_000);
}

#[tokio::test]
async fn a_reply_leaves_after_its_payment_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.jsonl");
    let (simulator, client) = begin(config(&path)).await;
    for n in 1..=20 {
        let message = Message::send(&simulator, &billno(n), "oAlice", 100);
        assert_eq!(client.send(&message).await.code(), "SUCCESS");
        let payments = Books::read(&path).unwrap();
        assert!(
            payments
                .iter()
                .any(|payment| payment.mch_billno == billno(n))
        );
    }
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("oAlice"), "an openid is kept as a hash only");
    assert!(!text.contains(&simulator.merchant().api_key));
}

#[tokio::test]
async fn a_second_payment_for_one_business_order_is_counted() {
    let config = Config {
        time_scale: 200_000,
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    let pay = async |n: u32, openid: &str| {
        let message = Message::send(&simulator, &billno(n), openid, 100);
        client.send(&message.with("remark", "order 7")).await;
    };
    pay(1, "oSIM-REFUND-1").await;
    // Long enough for the refund: paying again is right then.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    pay(2, "oSIM-RECEIVED-1").await;
    assert_eq!(simulator.books().double_payments(), 0);
    pay(3, "oSIM-RECEIVED-1").await;
    assert_eq!(simulator.books().double_payments(), 1);
}

#[tokio::test]
async fn books_that_prove_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.jsonl");
    let (simulator, client) = begin(config(&path)).await;
    client
        .send(&Message::send(&simulator, &billno(1), "oAlice", 100))
        .await;
    let second = start(config(&path)).await.unwrap_err();
    assert!(matches!(second, StartError::Books(BooksError::InUse)));
    simulator.shutdown().await;

    let mut other = Merchant::from_seed(1);
    other.mch_id = "1900000110".to_owned();
    let stranger = Config {
        merchant: other,
        ..config(&path)
    };
    let error = start(stranger).await.unwrap_err();
    assert!(matches!(
        error,
        StartError::Books(BooksError::OtherMerchant(_))
    ));

    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen('{', "", 1)).unwrap();
    let error = start(config(&path)).await.unwrap_err();
    assert!(matches!(error, StartError::Books(BooksError::BadLine(1))));
}

#[tokio::test]
async fn the_admin_api_shows_the_books_and_takes_money() {
    let (simulator, client) = begin(Config::default()).await;
    let message = Message::send(&simulator, &billno(1), "oSIM-RECEIVED-1", 100);
    client.send(&message).await;
    let admin = simulator.admin_url();
    let get = async |path: &str| {
        let response = client
            .http
            .get(format!("{admin}{path}"))
            .send()
            .await
            .unwrap();
        serde_json::from_str::<serde_json::Value>(&response.text().await.unwrap()).unwrap()
    };
    let books = get("/_sim/books").await;
    assert_eq!(books["payments"], 1);
    assert_eq!(books["double_payments"], 0);
    assert_eq!(books["balance_fen"], 99_999_900);
    let payments = get("/_sim/payments").await;
    assert_eq!(payments[0]["state"], "RECEIVED");
    assert_eq!(payments[0]["remark"], billno(1));
    let fund = client
        .http
        .post(format!("{admin}/_sim/balance"))
        .header("content-type", "application/json")
        .body(r#"{"add_fen":100}"#);
    assert_eq!(fund.send().await.unwrap().status(), 200);
    assert_eq!(simulator.books().balance_fen(), 100_000_000);
    assert_eq!(simulator.books().payments()[0].state, State::Received);
    let open = Config {
        admin_listen: "0.0.0.0:0".parse().unwrap(),
        ..Config::default()
    };
    let error = start(open).await.unwrap_err();
    assert!(matches!(error, StartError::AdminNotLoopback(_)));
}
