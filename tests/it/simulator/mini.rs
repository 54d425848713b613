//! Packets for mini-programs: an ordinary one that is opened with a package.

use hongbao::simulator::{Config, State};

use super::client::{Message, begin, billno};

#[tokio::test]
async fn a_mini_program_gets_a_package_and_the_same_one_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let config = || Config {
        books: Some(dir.path().join("books.jsonl")),
        ..Config::default()
    };
    let (simulator, client) = begin(config()).await;
    let message = Message::mini(&simulator, &billno(1), "oSIM-RECEIVED-1", 100);
    let first = client.send(&message).await;
    assert_eq!(first.code(), "SUCCESS");
    assert_eq!(first.get("re_openid"), "oSIM-RECEIVED-1");
    assert_eq!(first.get("total_amount"), "100");
    assert_eq!(first.get("sign"), "", "only group replies are signed");
    let package = first.get("package");
    assert!(package.starts_with("sendid%3D") && !package.contains(['&', '=', ' ']));
    assert_eq!(client.send(&message).await, first);
    let other = Message::mini(&simulator, &billno(2), "oAlice", 100);
    assert_ne!(client.send(&other).await.get("package"), package);
    simulator.shutdown().await;

    let restarted = Config {
        // Even where chance would fall otherwise now.
        seed: 2,
        ..config()
    };
    let (simulator, client) = begin(restarted).await;
    assert_eq!(client.send(&message).await, first);
    let payments = simulator.books().payments();
    assert_eq!(payments.len(), 2);
    assert_eq!((payments[0].times_paid, payments[0].sends), (1, 3));
    assert_eq!(payments[0].state, State::Received);
    let query = client.query(&simulator, &billno(1)).await;
    assert_eq!(query.get("hb_type"), "NORMAL");
    assert_eq!(query.get("total_num"), "1");
    assert_eq!(query.receivers(), [("oSIM-RECEIVED-1".to_owned(), 100)]);
}

#[tokio::test]
async fn its_elements_are_its_own() {
    let (simulator, client) = begin(Config::default()).await;
    let good = Message::mini(&simulator, &billno(1), "oAlice", 100);
    for (name, value, code) in [
        ("notify_way", "", "PARAM_ERROR"),
        ("notify_way", "JSAPI", "PARAM_ERROR"),
        ("total_num", "2", "PARAM_ERROR"),
        ("total_amount", "99", "MONEY_LIMIT"),
        ("client_ip", "127.0.0.1", "SIGN_ERROR"),
        ("amt_type", "ALL_RAND", "SIGN_ERROR"),
    ] {
        let reply = client.send(&good.clone().with(name, value)).await;
        assert_eq!(reply.code(), code, "{name}={value}");
        assert_eq!(reply.get("package"), "");
    }
    assert_eq!(simulator.books().totals().orders, 0);
    client.send(&good).await;
    let normal = Message::send(&simulator, &billno(1), "oAlice", 100);
    assert_eq!(client.send(&normal).await.code(), "PARAM_ERROR");
    assert_eq!(simulator.books().payments().len(), 1);
}
