//! What happens on the wire, byte by byte: resets, silent ends and half bodies are real ones.

use std::io::ErrorKind;
use std::time::Duration;

use hongbao::simulator::{Config, Limits, Simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Message, begin, billno};

/// Sends one request by hand; all bytes that came back, and how the connection ended.
async fn exchange(simulator: &Simulator, n: u32, openid: &str) -> (String, std::io::Result<()>) {
    let body = Message::send(simulator, &billno(n), openid, 100).xml(&simulator.merchant().api_key);
    let mut stream = TcpStream::connect(simulator.addr).await.unwrap();
    // No Content-Type: the documents do not ask for one.
    let head = format!(
        "POST /mmpaymkttransfers/sendredpack HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await.map(|_| ());
    (String::from_utf8_lossy(&bytes).into_owned(), end)
}

#[tokio::test]
async fn a_whole_reply_has_its_length() {
    let (simulator, _) = begin(Config::default()).await;
    let (text, end) = exchange(&simulator, 1, "oAlice").await;
    end.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.to_lowercase()
            .contains(&format!("content-length: {}", body.len()))
    );
    assert!(body.ends_with("</xml>"));
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_timeout_ends_in_silence() {
    let config = Config {
        hold: Duration::from_millis(50),
        ..Config::default()
    };
    let (simulator, _) = begin(config).await;
    for (n, openid) in (1..).zip(["oSIM-RESET-1", "oSIM-RESET_AFTER-1"]) {
        let (text, end) = exchange(&simulator, n, openid).await;
        assert_eq!(text, "");
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let (text, end) = exchange(&simulator, 3, "oSIM-TIMEOUT_AFTER-1").await;
    assert_eq!(text, "");
    end.unwrap();
}

#[tokio::test]
async fn half_a_body_is_half_of_the_length_promised() {
    let (simulator, _) = begin(Config::default()).await;
    let (text, _) = exchange(&simulator, 1, "oSIM-HALF_BODY-1").await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let promised = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    let promised: usize = promised.unwrap();
    assert!(!body.is_empty() && !body.contains("</xml>"));
    assert!(body.len() <= promised / 2);
}

#[tokio::test]
async fn limits_are_enforced_when_asked_for() {
    let config = Config {
        limits: Limits {
            sends_per_minute: Some(4),
            packets_per_openid_and_day: Some(2),
            ..Limits::default()
        },
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    let mut codes = Vec::new();
    for (n, openid) in [
        (1, "oA"),
        (2, "oA"),
        (3, "oA"),
        (4, "oB"),
        (5, "oB"),
        (1, "oA"),
    ] {
        let message = Message::send(&simulator, &billno(n), openid, 100);
        codes.push(client.send(&message).await.code().to_owned());
    }
    let stored_before = "SUCCESS";
    assert_eq!(
        codes,
        [
            "SUCCESS",
            "SUCCESS",
            "SENDNUM_LIMIT",
            "SUCCESS",
            "FREQ_LIMIT",
            stored_before
        ]
    );
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let (simulator, client) = begin(Config::default()).await;
    let response = client
        .post("sendredpack", vec![b'x'; 100_000])
        .await
        .unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(simulator.books().totals().sends, 0);
}
