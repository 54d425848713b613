//! What becomes of an order, and what the books say of it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use hongbao::simulator::{Books, OpenConfig, OpenPerson, OpenStatus};
use serde_json::{Value, json};

use super::client::{INFO, PLACE, Platform, Twist, md5, open, open_with_key};

#[tokio::test]
async fn all_ways_of_signing_place_an_order() {
    let platform = Platform::start(open(), 1).await;
    let rsa = Twist {
        sign_type: Some("SHA256-RSA"),
        ..Twist::default()
    };
    for (n, twist) in [md5(), Twist::default(), rsa].into_iter().enumerate() {
        let (biz_code, openid) = (format!("biz-{n}"), format!("o{n}"));
        let body = platform.packet(&biz_code, &openid, "175").to_string();
        let reply = platform.call(PLACE, &body, twist.clone()).await;
        assert_eq!(
            (&reply["status"], &reply["message"]),
            (&json!(0), &json!("success"))
        );
        assert_eq!(reply["data"]["bizCode"], biz_code);
        assert_eq!(reply["data"]["settlementPrice"], 175);
        let order_code = reply["data"]["orderCode"].as_str().unwrap();
        assert_eq!(order_code.len(), 22);
        let body = json!({ "orderCode": order_code }).to_string();
        let info = platform.call(INFO, &body, twist).await;
        assert_eq!(info["data"]["bizCode"], biz_code);
        assert_eq!(info["data"]["orderCode"], order_code);
        assert_eq!(
            (&info["status"], &info["data"]["status"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(info["data"]["finishTime"], Value::Null);
    }
    assert_eq!(platform.simulator.books().open_book().orders, 3);
    assert!(
        platform.simulator.books().payments().is_empty(),
        "no red packet of V2"
    );
}

#[tokio::test]
async fn money_is_exact_decimal_text() {
    let platform = Platform::start(open(), 1).await;
    for (biz_code, template, spec, price) in [
        ("b1", "1001", "1", "1"),
        ("b2", "1001", "1.10", "1.1"),
        ("b3", "1002", "1.01", "0.99485"),
        ("b4", "1002", "100.00", "98.5"),
        ("b5", "1001", "0.01", "0.01"),
    ] {
        let mut body = platform.packet(biz_code, biz_code, "1");
        body["templateId"] = json!(template);
        // As it is written: a JSON writer would drop the zeros.
        let body = body
            .to_string()
            .replace("\"spec\":1", &format!("\"spec\":{spec}"));
        let told = platform.told(PLACE, &body, md5()).await;
        let expected = format!("\"settlementPrice\":{price}}}");
        assert!(told.contains(&expected), "{told}");
    }
    let orders = platform.simulator.books().open_orders();
    let faces: Vec<i64> = orders.iter().map(|order| order.face_fen).collect();
    assert_eq!(faces, [100, 110, 101, 10_000, 1]);
    assert_eq!(orders[2].price_micro_yuan, 994_850);
}

#[tokio::test]
async fn an_order_is_stored_then_processed_then_paid_once() {
    let platform = Platform::start(open(), 5).await;
    assert_eq!(platform.order("b1", "oAlice").await["status"], 0);
    let seen = platform.until_final("b1").await;
    assert!(seen.is_sorted() && seen.len() > 1, "{seen:?}");
    assert_eq!(seen.last(), Some(&2));
    let info = platform.info("b1").await;
    let (begun, ended) = (&info["data"]["createTime"], &info["data"]["finishTime"]);
    assert_eq!(ended.as_i64().unwrap() - begun.as_i64().unwrap(), 3_000);
    assert_eq!(platform.order("b2", "oBob").await["status"], 0);
    platform.until_final("b2").await;
    let books = platform.simulator.books();
    let book = books.open_book();
    assert_eq!((book.orders, book.payments, book.paid_fen), (2, 2, 200));
    assert_eq!((book.double_payments, book.held_micro_yuan), (0, 0));
    assert_eq!(book.balance_micro_yuan, 1_000_000_000_000 - 2_000_000);
    let one = OpenPerson {
        payments: 1,
        paid_fen: 100,
    };
    assert_eq!(book.people.values().collect::<Vec<_>>(), [&one, &one]);
    let payments = books.open_payments();
    let numbers: Vec<&str> = payments.iter().map(|p| p.mch_billno.as_str()).collect();
    assert_eq!(numbers, ["b1", "b2"]);
    assert!(payments.iter().all(|p| p.times_paid == 1 && p.sends == 1));
    assert!(
        payments
            .iter()
            .all(|p| p.amount_fen == 100 && p.queries > 0)
    );

    // The same person once more is what `double_payments` counts.
    platform.order("b3", "oAlice").await;
    platform.until_final("b3").await;
    let book = books.open_book();
    assert_eq!((book.payments, book.double_payments), (3, 1));
    assert_eq!(book.people.len(), 2);
}

#[tokio::test]
async fn a_biz_code_is_taken_once_whatever_else_is_said() {
    let platform = Platform::start(open(), 1).await;
    assert_eq!(platform.order("b1", "oAlice").await["status"], 0);
    let again = platform.order("b1", "oAlice").await;
    assert_eq!(
        (&again["status"], &again["data"]),
        (&json!(8), &Value::Null)
    );
    let other = platform.place(&platform.packet("b1", "oBob", "2")).await;
    assert_eq!(other["status"], 8);
    let orders = platform.simulator.books().open_orders();
    assert_eq!(
        (orders.len(), orders[0].sends, orders[0].face_fen),
        (1, 3, 100)
    );
    // Case counts.
    assert_eq!(platform.order("B1", "oBob").await["status"], 0);
}

#[tokio::test]
async fn balance_and_stock_are_used_up_and_given_back() {
    let poor = OpenConfig {
        opening_balance_fen: 1_200,
        ..open()
    };
    let platform = Platform::start(poor, 1_000).await;
    let of = |template: &str, biz_code: &str, openid: &str, spec: &str| {
        let mut body = platform.packet(biz_code, openid, spec);
        body["templateId"] = json!(template);
        body
    };
    // Eleven times a yuan from a stock of ten; one of the ten fails.
    for n in 0..10 {
        let openid = if n == 0 {
            "oSIM-FAILED_AT_ONCE-1".to_owned()
        } else {
            format!("o{n}")
        };
        let reply = platform
            .place(&of("1003", &format!("b{n}"), &openid, "1"))
            .await;
        assert_eq!(reply["status"], 0, "{n}");
    }
    let reply = platform.place(&of("1003", "b10", "o10", "1")).await;
    assert_eq!(reply["status"], 0, "the failed one gave its place back");
    let reply = platform.place(&of("1003", "b11", "o11", "1")).await;
    assert_eq!(reply["status"], 11);
    // Two yuan are left.
    let reply = platform.place(&of("1001", "b12", "o12", "2.01")).await;
    assert_eq!(reply["status"], 9);
    let admin = platform.simulator.admin_url();
    let fund = platform.http.post(format!("{admin}/_sim/open/balance"));
    let fund = fund
        .header("content-type", "application/json")
        .body(r#"{"add_fen":1}"#);
    assert_eq!(fund.send().await.unwrap().status(), 200);
    let reply = platform.place(&of("1001", "b12", "o12", "2.01")).await;
    assert_eq!(reply["status"], 0, "what was refused was not stored");
    platform.until_final("b12").await;
    platform.until_final("b10").await;
    let book = platform.simulator.books().open_book();
    assert_eq!((book.balance_micro_yuan, book.held_micro_yuan), (0, 0));
    assert_eq!((book.orders, book.failed, book.payments), (12, 1, 11));
}

#[tokio::test]
async fn a_restart_keeps_orders_and_the_books_name_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.jsonl");
    let platform = Platform::start_on(Some(path.clone()), open(), 1_000).await;
    platform.order("b1", "oAlice").await;
    platform.until_final("b1").await;
    platform.order("b2", "oSIM-LATE_FAILURE-1").await;
    let (orders, secret) = {
        let books = platform.simulator.books();
        (
            books.open_orders(),
            platform.simulator.open().unwrap().secret.clone(),
        )
    };
    let first = platform.info("b1").await;
    platform.simulator.shutdown().await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("oAlice") && !text.contains(&secret));
    let (payments, book) = Books::read_open(&path).unwrap();
    assert_eq!((payments.len(), book.orders, book.payments), (1, 2, 1));

    // Another opening balance does not count: the books have had theirs.
    let other = OpenConfig {
        opening_balance_fen: 5,
        ..open()
    };
    let platform = Platform::start_on(Some(path), other, 1_000).await;
    assert_eq!(platform.info("b1").await, first);
    assert_eq!(platform.order("b1", "oAlice").await["status"], 8);
    let after = platform.simulator.books().open_orders();
    assert_eq!(after[0].order_code, orders[0].order_code);
    assert_eq!(platform.until_final("b2").await.last(), Some(&3));
    let book = platform.simulator.books().open_book();
    assert_eq!((book.payments, book.double_payments), (1, 0));
    assert_eq!(book.balance_micro_yuan, 1_000_000_000_000 - 1_000_000);
    assert_eq!(
        platform.statuses(),
        [OpenStatus::Success, OpenStatus::Failed]
    );
}

#[tokio::test]
async fn the_admin_api_tells_what_there_is_but_no_secret() {
    let platform = Platform::start(open_with_key(), 1).await;
    platform.order("b1", "oAlice").await;
    platform.order("b1", "oAlice").await;
    platform.info("b1").await;
    let get = async |path: &str| {
        let url = format!("{}{path}", platform.simulator.admin_url());
        let text = platform
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        (serde_json::from_str::<Value>(&text).unwrap(), text)
    };
    let (about, text) = get("/_sim/open").await;
    let config = platform.simulator.open().unwrap();
    assert_eq!(about["merchant_id"], config.merchant_id);
    assert_eq!(about["callback_signature"], "SHA256-RSA");
    assert_eq!(
        about["public_key"].as_str().unwrap().trim(),
        super::client::PUBLIC.trim()
    );
    assert_eq!(about["templates"]["1002"]["discount"], "0.985");
    assert_eq!(about["templates"]["1003"]["stock"], 10);
    assert!(!text.contains(&config.secret) && !text.contains("PRIVATE"));
    let (orders, _) = get("/_sim/open/orders").await;
    assert_eq!(
        (&orders[0]["biz_code"], &orders[0]["sends"]),
        (&json!("b1"), &json!(2))
    );
    let (stats, _) = get("/_sim/open/stats").await;
    assert_eq!(stats["replies"]["send"], json!({ "0": 1, "8": 1 }));
    assert_eq!(stats["replies"]["query"], json!({ "0": 1 }));
    let (book, _) = get("/_sim/open/books").await;
    assert_eq!(
        (&book["orders"], &book["double_payments"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(get("/_sim/open/payments").await.0, json!([]));
}

#[tokio::test]
async fn without_the_flag_there_is_no_platform_and_with_it_the_process_says_what_it_is() {
    let (simulator, client) = super::super::client::begin(Default::default()).await;
    let url = format!("{}{PLACE}", simulator.base_url());
    assert_eq!(client.http.post(url).send().await.unwrap().status(), 404);
    let url = format!("{}/_sim/open", simulator.admin_url());
    assert_eq!(client.http.get(url).send().await.unwrap().status(), 404);

    let mut child = Command::new(env!("CARGO_BIN_EXE_hongbao"))
        .args([
            "simulate",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ])
        .args(["--open", "--open-callback-url", "http://127.0.0.1:1/cb"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let printed: BTreeMap<String, String> = lines
        .map(Result::unwrap)
        .take_while(|line| line != "# ready")
        .filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let made = OpenConfig::from_seed(1);
    assert_eq!(printed["open_merchant_id"], made.merchant_id);
    assert_eq!(printed["open_business_id"], made.business_id);
    assert_eq!(printed["open_secret"], made.secret);
    assert_eq!(printed["open_templates"], "1001,1002,1003");
    assert_eq!(printed["open_callback_signature"], "MD5");
    assert_eq!(printed["open_callback_url"], "http://127.0.0.1:1/cb");
}
