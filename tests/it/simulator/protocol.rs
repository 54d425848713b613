//! What the documents say about parameters, signatures and re-entrancy.

use hongbao::simulator::{Config, State};

use super::client::{Message, begin, billno};

#[tokio::test]
async fn a_send_pays_and_is_echoed() {
    let config = Config {
        time_scale: 0,
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    let before = simulator.books().balance_fen();
    let reply = client
        .send(&Message::send(&simulator, &billno(1), "oAlice", 100))
        .await;
    assert_eq!(reply.get("return_code"), "SUCCESS");
    assert_eq!(reply.get("result_code"), "SUCCESS");
    assert_eq!(reply.get("err_code"), "SUCCESS");
    assert_eq!(reply.get("mch_billno"), billno(1));
    assert_eq!(reply.get("mch_id"), simulator.merchant().mch_id);
    assert_eq!(reply.get("wxappid"), simulator.merchant().appid());
    assert_eq!(reply.get("re_openid"), "oAlice");
    assert_eq!(reply.get("total_amount"), "100");
    assert_eq!(reply.get("send_listid").len(), 30);
    assert_eq!(simulator.books().balance_fen(), before - 100);
    let payments = simulator.books().payments();
    assert_eq!(payments.len(), 1);
    assert_eq!(payments[0].amount_fen, 100);
    assert_eq!(payments[0].state, State::Sending);
    assert_eq!(payments[0].remark, billno(1));
}

#[tokio::test]
async fn the_same_order_again_gives_the_same_result_and_pays_once() {
    let (simulator, client) = begin(Config::default()).await;
    let message = Message::send(&simulator, &billno(1), "oAlice", 100);
    let first = client.send(&message).await;
    let other_nonce = message.clone().with("nonce_str", "other");
    assert_eq!(client.send(&other_nonce).await, first);
    let sends = (0..20).map(|_| client.send(&message));
    for reply in futures::future::join_all(sends).await {
        assert_eq!(reply, first);
    }
    let payments = simulator.books().payments();
    assert_eq!(payments.len(), 1);
    assert_eq!(payments[0].times_paid, 1);
    assert_eq!(payments[0].sends, 22);
    assert_eq!(simulator.books().double_payments(), 0);
}

#[tokio::test]
async fn the_same_number_with_other_parameters_is_refused() {
    let (simulator, client) = begin(Config::default()).await;
    let message = Message::send(&simulator, &billno(1), "oAlice", 100);
    client.send(&message).await;
    for (name, value, code) in [
        ("re_openid", "oBob", "FATAL_ERROR"),
        ("total_amount", "101", "PARAM_ERROR"),
        ("wishing", "新年快乐", "PARAM_ERROR"),
    ] {
        let reply = client.send(&message.clone().with(name, value)).await;
        assert_eq!(reply.get("return_code"), "SUCCESS");
        assert_eq!(reply.get("result_code"), "FAIL");
        assert_eq!(reply.code(), code, "{name}");
    }
    let elsewhere = message.clone().with("client_ip", "10.0.0.1");
    assert_eq!(client.send(&elsewhere).await.code(), "SUCCESS");
    assert_eq!(simulator.books().payments().len(), 1);
}

#[tokio::test]
async fn bad_parameters_are_refused_and_nothing_is_stored() {
    let (simulator, client) = begin(Config::default()).await;
    let good = Message::send(&simulator, &billno(1), "oAlice", 100);
    for (name, value, code) in [
        ("wishing", "", "PARAM_ERROR"),
        ("client_ip", "::1", "PARAM_ERROR"),
        ("client_ip", "256.1.1.1", "PARAM_ERROR"),
        ("total_num", "2", "PARAM_ERROR"),
        ("mch_billno", "abc-1", "PARAM_ERROR"),
        ("mch_billno", "12345678901234567890123456789", "PARAM_ERROR"),
        ("send_name", "十个汉字是三十字节再多一", "PARAM_ERROR"),
        ("act_name", "line\nbreak", "PARAM_ERROR"),
        (
            "re_openid",
            "o12345678901234567890123456789012",
            "PARAM_ERROR",
        ),
        ("wxappid", "wxsomebodyelse", "PARAM_ERROR"),
        ("mch_id", "1900000110", "PARAM_ERROR"),
        ("total_amount", "1.5", "PARAM_ERROR"),
        ("total_amount", "0100", "PARAM_ERROR"),
        ("total_amount", "-100", "PARAM_ERROR"),
        ("total_amount", "99", "MONEY_LIMIT"),
        ("total_amount", "20001", "MONEY_LIMIT"),
        ("sign_type", "MD5", "SIGN_ERROR"),
        ("appid", "wx1", "SIGN_ERROR"),
    ] {
        let reply = client.send(&good.clone().with(name, value)).await;
        assert_eq!(reply.code(), code, "{name}={value}");
    }
    let scene = good
        .with("total_amount", "30")
        .with("scene_id", "PRODUCT_2");
    assert_eq!(client.send(&scene).await.code(), "SUCCESS");
    assert_eq!(simulator.books().totals().orders, 1);
}

#[tokio::test]
async fn a_wrong_key_is_a_sign_error() {
    let (simulator, client) = begin(Config::default()).await;
    let message = Message::send(&simulator, &billno(1), "oAlice", 100);
    let body = message.xml(&"0".repeat(32));
    let reply = client.post("sendredpack", body).await.unwrap();
    let text = reply.text().await.unwrap();
    assert!(text.contains("<err_code><![CDATA[SIGN_ERROR]]></err_code>"));
    assert!(text.contains("<return_code><![CDATA[FAIL]]></return_code>"));
    assert_eq!(simulator.books().totals().sends, 0);
}

#[tokio::test]
async fn any_way_of_writing_xml_is_read() {
    let (simulator, client) = begin(Config::default()).await;
    let key = simulator.merchant().api_key.clone();
    let message =
        Message::send(&simulator, &billno(1), "oAlice", 100).with("wishing", "A&B <c> 红包");
    let sign = message.sign(&key);
    let escaped = message.xml(&key);
    let cdata = escaped.replace(
        "<wishing>A&amp;B &lt;c> 红包</wishing>",
        "<wishing><![CDATA[A&B <c> 红包]]></wishing>",
    );
    assert_ne!(cdata, escaped);
    let declared = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{cdata}\n");
    for body in [escaped, cdata, declared] {
        let text = client.post("sendredpack", body).await.unwrap();
        let text = text.text().await.unwrap();
        assert!(text.contains("send_listid"), "{sign} {text}");
    }
    for body in ["", "not xml", "<xml><a>", "<!DOCTYPE x><xml/>"] {
        let text = client.post("sendredpack", body).await.unwrap();
        assert!(text.text().await.unwrap().contains("XML_ERROR"), "{body}");
    }
}

#[tokio::test]
async fn an_unknown_number_is_not_found_and_an_unknown_path_is_404() {
    let (simulator, client) = begin(Config::default()).await;
    let reply = client.query(&simulator, &billno(9)).await;
    assert_eq!(reply.get("return_code"), "SUCCESS");
    assert_eq!(reply.get("result_code"), "FAIL");
    assert_eq!(reply.code(), "NOT_FOUND");
    let response = client.post("hbpreorder", "").await.unwrap();
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn the_balance_is_a_real_one() {
    let config = Config {
        opening_balance_fen: 250,
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    for (n, code) in [(1, "SUCCESS"), (2, "SUCCESS"), (3, "NOTENOUGH")] {
        let message = Message::send(&simulator, &billno(n), "oAlice", 100);
        assert_eq!(client.send(&message).await.code(), code);
    }
    assert_eq!(
        client.query(&simulator, &billno(3)).await.code(),
        "NOT_FOUND"
    );
    simulator.books().fund(100).await.unwrap();
    let again = Message::send(&simulator, &billno(3), "oAlice", 100);
    assert_eq!(client.send(&again).await.code(), "SUCCESS");
    assert_eq!(simulator.books().balance_fen(), 50);
}
