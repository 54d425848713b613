//! Every refusal by its status, and that nothing is stored with it.

use std::time::Duration;

use hongbao::simulator::{OpenConfig, OpenMissing, OpenTime};
use serde_json::{Value, json};

use super::client::{INFO, PLACE, Platform, Twist, md5, open};

fn with(body: &Value, name: &str, value: Value) -> String {
    let mut body = body.clone();
    body[name] = value;
    body.to_string()
}

fn without(body: &Value, name: &str) -> String {
    let mut body = body.clone();
    body.as_object_mut().unwrap().remove(name);
    body.to_string()
}

#[tokio::test]
async fn a_wrong_signature_is_2() {
    let platform = Platform::start(open(), 1).await;
    let body = platform.packet("b1", "oAlice", "1").to_string();
    let md5_of_nothing = Twist {
        sign: Some("0".repeat(32)),
        ..md5()
    };
    let rsa = |sign: &str| Twist {
        sign: Some(sign.to_owned()),
        ..Twist::default()
    };
    let stranger = Twist {
        business_id: Some("somebody else"),
        ..md5()
    };
    for twist in [md5_of_nothing, rsa("AAAA"), rsa("no base64!"), stranger] {
        let reply = platform.call(PLACE, &body, twist.clone()).await;
        assert_eq!(reply["status"], 2, "{twist:?}");
    }
    // One byte of the body less, and lower-case digits.
    let signed = platform.raw(PLACE, &body, md5()).build().unwrap();
    let sign = signed.headers()["sign"].to_str().unwrap().to_owned();
    let head = |name: &str| signed.headers()[name].to_str().unwrap().to_owned();
    for (sign, body, status) in [
        (sign.clone(), body.replace("oAlice", "oAlicf"), 2),
        (sign.to_lowercase(), body.clone(), 2),
        (sign, body.clone(), 0),
    ] {
        let twist = Twist {
            sign: Some(sign),
            nonce: Some(head("nonce")),
            timestamp: Some(head("timestamp")),
            ..md5()
        };
        assert_eq!(platform.call(PLACE, &body, twist).await["status"], status);
    }
    assert_eq!(platform.simulator.books().open_book().orders, 1);
}

#[tokio::test]
async fn without_a_public_key_no_rsa_is_right() {
    let keyless = OpenConfig {
        public_key: None,
        ..open()
    };
    let platform = Platform::start(keyless, 1).await;
    let body = platform.packet("b1", "oAlice", "1").to_string();
    let reply = platform.call(PLACE, &body, Twist::default()).await;
    assert_eq!(reply["status"], 2);
    assert!(reply["message"].as_str().unwrap().contains("public key"));
    assert_eq!(platform.call(PLACE, &body, md5()).await["status"], 0);
}

#[tokio::test]
async fn a_missing_or_wrong_parameter_is_3_and_named() {
    let platform = Platform::start(open(), 1).await;
    let good = platform.packet("b1", "oAlice", "1");
    let mut cases: Vec<(String, Twist, &str)> = Vec::new();
    for name in ["businessId", "nonce", "timestamp", "sign"] {
        let twist = Twist {
            without: Some(name),
            ..md5()
        };
        cases.push((good.to_string(), twist, name));
    }
    let timestamp = |text: &str| Twist {
        timestamp: Some(text.to_owned()),
        ..md5()
    };
    cases.push((good.to_string(), timestamp("1628757969"), "timestamp"));
    cases.push((good.to_string(), timestamp("yesterday"), "timestamp"));
    let sign_type = Twist {
        sign_type: Some("md5"),
        ..md5()
    };
    cases.push((good.to_string(), sign_type, "signType"));
    let content_type = Twist {
        content_type: Some("text/plain"),
        ..md5()
    };
    cases.push((good.to_string(), content_type, "Content-Type"));
    let nonce = Twist {
        nonce: Some("a&timestamp=1".to_owned()),
        ..md5()
    };
    cases.push((good.to_string(), nonce, "nonce"));
    for name in [
        "merchantId",
        "businessId",
        "templateId",
        "openId",
        "spec",
        "bizCode",
    ] {
        cases.push((without(&good, name), md5(), name));
        cases.push((with(&good, name, Value::Null), md5(), name));
        cases.push((with(&good, name, json!([1])), md5(), name));
    }
    for (name, value) in [
        ("spec", json!("1")),
        ("spec", json!(0)),
        ("spec", json!(-1)),
        ("spec", json!(1.005)),
        ("spec", json!(1e10)),
        ("bizCode", json!("")),
        ("bizCode", json!(1)),
        ("bizCode", json!("x".repeat(65))),
        ("bizCode", json!("a\nb")),
        ("businessId", json!("not the header's")),
        ("mobile", json!("1391234567")),
        ("mobile", json!("１３９１２３４５６７８")),
        ("callbackUrl", json!("www.example.com")),
        ("callbackUrl", json!("https://example.com/")),
        ("amount", json!(1)),
    ] {
        cases.push((with(&good, name, value), md5(), name));
    }
    cases.push(("".to_owned(), md5(), "body"));
    cases.push(("[]".to_owned(), md5(), "body"));
    cases.push((good.to_string() + "x", md5(), "body"));
    let twice = good.to_string().replacen('{', r#"{"bizCode":"b2","#, 1);
    cases.push((twice, md5(), "bizCode"));
    for (body, twist, name) in cases {
        let reply = platform.call(PLACE, &body, twist).await;
        let message = reply["message"].as_str().unwrap();
        assert_eq!(reply["status"], 3, "{name}: {body}");
        assert!(message.contains(&format!(": {name} ")), "{name}: {message}");
    }
    let asked = platform.call(INFO, "{}", md5()).await;
    assert_eq!(asked["status"], 3);
    assert!(asked["message"].as_str().unwrap().contains("bizCode"));
    assert!(platform.simulator.books().open_orders().is_empty());
    // What may be left out may also be null or empty.
    let mut empty = good;
    for name in ["mobile", "appId", "callbackUrl"] {
        empty[name] = json!("");
    }
    empty["mobile"] = Value::Null;
    assert_eq!(platform.place(&empty).await["status"], 0);
}

#[tokio::test]
async fn another_path_or_verb_is_4() {
    let platform = Platform::start(open(), 1).await;
    for path in [
        "/v1/openapi/order/alipay/transfer",
        "/v1/openapi/",
        "/v1/openapi/order/redpacket",
    ] {
        assert_eq!(
            platform.call(path, "{}", md5()).await["status"],
            4,
            "{path}"
        );
    }
    let url = format!("{}{PLACE}", platform.simulator.base_url());
    let got = platform.http.get(url).send().await.unwrap();
    let got: Value = serde_json::from_str(&got.text().await.unwrap()).unwrap();
    assert_eq!(got["status"], 4);
}

#[tokio::test]
async fn an_old_timestamp_is_5_and_a_nonce_that_comes_again_is_6() {
    let narrow = OpenConfig {
        window: Duration::from_secs(60),
        ..open()
    };
    let platform = Platform::start(narrow, 1).await;
    let at = |ms: i64, nonce: &str| Twist {
        timestamp: Some((platform.simulator.books().now_ms() + ms).to_string()),
        nonce: Some(nonce.to_owned()),
        ..md5()
    };
    let body = |n: u32| platform.packet(&format!("b{n}"), "oAlice", "1").to_string();
    for (ms, status) in [(-61_000, 5), (-58_000, 0), (58_000, 0), (62_000, 5)] {
        let twist = at(ms, &format!("at {ms}"));
        let n = u32::try_from(ms + 100_000).unwrap();
        assert_eq!(
            platform.call(PLACE, &body(n), twist).await["status"],
            status,
            "{ms}"
        );
    }
    // A nonce is used up by a request that was let in, for both calls, and by no other.
    let wrong = Twist {
        sign: Some("0".repeat(32)),
        ..at(0, "mine")
    };
    assert_eq!(platform.call(PLACE, &body(1), wrong).await["status"], 2);
    assert_eq!(
        platform.call(PLACE, &body(1), at(0, "mine")).await["status"],
        0
    );
    assert_eq!(
        platform.call(PLACE, &body(2), at(1, "mine")).await["status"],
        6
    );
    let info = json!({ "bizCode": "b1" }).to_string();
    assert_eq!(platform.call(INFO, &info, at(1, "mine")).await["status"], 6);
    assert_eq!(platform.simulator.books().open_book().orders, 3);
}

#[tokio::test]
async fn the_window_is_as_wide_for_a_fast_clock() {
    // An hour a second: five real minutes are 300 simulated hours.
    let platform = Platform::start(open(), 3_600).await;
    let hours = |hours: i64| Twist {
        timestamp: Some((platform.simulator.books().now_ms() - hours * 3_600_000).to_string()),
        ..md5()
    };
    let body = platform.packet("b1", "oAlice", "1").to_string();
    assert_eq!(platform.call(PLACE, &body, hours(310)).await["status"], 5);
    assert_eq!(platform.call(PLACE, &body, hours(290)).await["status"], 0);

    let real = OpenConfig {
        timestamps: OpenTime::Real,
        ..open()
    };
    let platform = Platform::start(real, 3_600).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Simulated time is 12 minutes ahead by now.
    let simulated = platform.simulator.books().now_ms();
    let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let real = real.unwrap().as_millis();
    for (timestamp, status) in [(simulated.to_string(), 5), (real.to_string(), 0)] {
        let twist = Twist {
            timestamp: Some(timestamp),
            ..md5()
        };
        assert_eq!(platform.call(PLACE, &body, twist).await["status"], status);
    }
}

#[tokio::test]
async fn what_is_unknown_is_7() {
    let platform = Platform::start(open(), 1).await;
    let good = platform.packet("b1", "oAlice", "1");
    for name in ["merchantId", "appId", "templateId"] {
        let body = with(&good, name, json!("unknown"));
        let reply = platform.call(PLACE, &body, md5()).await;
        assert_eq!(reply["status"], 7, "{name}");
        assert!(reply["message"].as_str().unwrap().ends_with(name));
    }
    assert_eq!(platform.info("b1").await["status"], 7);
    let own = with(
        &good,
        "appId",
        json!(platform.simulator.open().unwrap().appids[0]),
    );
    let reply = platform.call(PLACE, &own, md5()).await;
    assert_eq!(reply["status"], 0);
    platform.order("b2", "oBob").await;
    let code = reply["data"]["orderCode"].as_str().unwrap();
    // Both numbers may be given, if they are of one order.
    for (biz_code, status) in [("b1", 0), ("b2", 7), ("b3", 7)] {
        let body = json!({ "bizCode": biz_code, "orderCode": code }).to_string();
        assert_eq!(platform.call(INFO, &body, md5()).await["status"], status);
    }
    let unknown = json!({ "orderCode": "b1" }).to_string();
    assert_eq!(platform.call(INFO, &unknown, md5()).await["status"], 7);

    let other = OpenConfig {
        unknown_template: OpenMissing::NoStock,
        ..open()
    };
    let platform = Platform::start(other, 1).await;
    let body = with(&good, "templateId", json!("unknown"));
    assert_eq!(platform.call(PLACE, &body, md5()).await["status"], 11);
}

#[tokio::test]
async fn a_stranger_s_address_is_10() {
    for (allowed, status) in [("127.0.0.1", 0), ("10.1.2.3", 10)] {
        let config = OpenConfig {
            allowed_ips: vec![allowed.parse().unwrap()],
            ..open()
        };
        let platform = Platform::start(config, 1).await;
        assert_eq!(platform.order("b1", "oAlice").await["status"], status);
        assert_eq!(platform.info("b1").await["status"], status);
    }
}
