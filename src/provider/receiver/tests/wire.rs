//! Receivers that answer well, badly, slowly, too much or not at all.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const PATIENCE: Duration = Duration::from_secs(3);

async fn answer(reply: impl Into<Vec<u8>>) -> Delivered {
    let receiver = answering(reply);
    post(&door(Reach::InternetAndLoopback), &receiver.plain()).await
}

#[tokio::test]
async fn what_arrives_is_what_was_given() {
    let (sender, requests) = channel();
    let receiver = Listener::new(move |mut stream| {
        sender.send(request(&mut stream)).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .unwrap();
    });
    let headers = [
        ("webhook-id", "evt_7".to_owned()),
        ("webhook-signature", "v1,a v1,b".to_owned()),
    ];
    let said = door(Reach::InternetAndLoopback)
        .post(&receiver.plain(), &headers, b"{\"a\":1}".to_vec())
        .await;
    assert_eq!((said.outcome, said.http_status), (Outcome::Done, Some(200)));
    assert_eq!((&*said.reply_excerpt, said.retry_after), ("ok", None));
    assert!(said.duration > Duration::ZERO && said.duration < PATIENCE);
    assert!(!format!("{said:?}").contains("ok"), "{said:?}");

    let request = requests.recv().unwrap().unwrap();
    assert!(
        request.starts_with("POST /hook?token=s3cret HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    let lines: Vec<_> = request.lines().collect();
    for line in [
        "webhook-id: evt_7",
        "webhook-signature: v1,a v1,b",
        "content-length: 7",
        concat!("user-agent: hongbao/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(lines.contains(&line), "{line} in {request}");
    }
    // What the client cannot read back it does not ask for, and it remembers nobody.
    for absent in ["accept-encoding", "cookie", "referer", "authorization"] {
        assert!(
            !request.to_lowercase().contains(absent),
            "{absent} in {request}"
        );
    }
}

#[tokio::test]
async fn statuses_and_what_they_ask_for() {
    for (head, outcome, seconds) in [
        ("200 OK", Outcome::Done, None),
        ("202 Accepted", Outcome::Done, None),
        ("200 OK\r\nretry-after: 60", Outcome::Done, None),
        ("400 Bad Request", Outcome::Status(400), None),
        ("410 Gone", Outcome::Gone, None),
        (
            "429 Slow Down\r\nretry-after: 60",
            Outcome::Status(429),
            Some(60),
        ),
        (
            "503 Down\r\nRetry-After: 86400",
            Outcome::Status(503),
            Some(3_600),
        ),
        ("503 Down\r\nretry-after: soon", Outcome::Status(503), None),
        ("500 Oh", Outcome::Status(500), None),
    ] {
        let said = answer(format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n")).await;
        assert_eq!(said.outcome, outcome, "{head}");
        assert_eq!(said.retry_after, seconds.map(Duration::from_secs), "{head}");
        assert_eq!(said.reply_excerpt, "", "{head}");
    }
}

#[tokio::test]
async fn a_reply_is_evidence_and_short() {
    let long = format!("HTTP/1.1 500 Oh\r\n\r\n\x1b[31m{}", "红".repeat(500));
    let said = answer(long).await;
    assert!(
        said.reply_excerpt.starts_with("\u{FFFD}[31m红红"),
        "{}",
        said.reply_excerpt
    );
    assert!(said.reply_excerpt.chars().count() < 100);
    // Nothing is unpacked, so nothing can swell.
    let packed =
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00";
    let said = answer(*packed).await;
    assert_eq!(said.outcome, Outcome::Done);
    assert_eq!(said.reply_excerpt.chars().count(), 4);
}

/// The receiver would write for ever; the connection is closed long before the time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_reply_is_cut() {
    let written = Arc::new(AtomicUsize::new(0));
    let (count, (ended, end)) = (Arc::clone(&written), channel());
    let receiver = Listener::new(move |mut stream| {
        request(&mut stream);
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n";
        let mut sent = stream.write_all(head);
        while sent.is_ok() {
            sent = stream.write_all(&[b'x'; 64 * 1024]);
            count.fetch_add(64 * 1024, Ordering::SeqCst);
        }
        let _nobody_waits = ended.send(());
    });
    let said = post(&door(Reach::InternetAndLoopback), &receiver.plain()).await;
    assert_eq!(said.outcome, Outcome::Done);
    assert_eq!(said.reply_excerpt, "x".repeat(EXCERPT_BYTES));
    assert!(said.duration < PATIENCE, "{said:?}");
    end.recv_timeout(PATIENCE).unwrap();
    // Besides what was read there is what the kernel holds for both ends.
    assert!(written.load(Ordering::SeqCst) < 64 * 1024 * 1024);
}

/// One byte of a text after another, for longer than anybody waits.
fn dripping(before: &'static str, byte: &'static [u8]) -> Listener {
    Listener::new(move |mut stream| {
        request(&mut stream);
        let mut sent = stream.write_all(before.as_bytes());
        while sent.is_ok() {
            std::thread::park_timeout(Duration::from_millis(20));
            sent = stream.write_all(byte);
        }
    })
}

#[tokio::test]
async fn a_slow_receiver_ends_at_the_time_limit() {
    let door = unasking(&hasty(Reach::InternetAndLoopback));
    let head = dripping("HTTP/1.1 200 OK\r\nx-slow: ", b"x");
    let said = post(&door, &head.plain()).await;
    assert_eq!((said.outcome, said.http_status), (Outcome::Timeout, None));
    assert!(
        said.duration >= Duration::from_millis(600) && said.duration < PATIENCE,
        "{said:?}"
    );

    // Its head has come, so it has the delivery; the rest is not waited for beyond the limit.
    let body = dripping("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b"x");
    let said = post(&door, &body.plain()).await;
    assert_eq!((said.outcome, said.http_status), (Outcome::Done, Some(200)));
    assert!(said.reply_excerpt.starts_with('x'));
    assert!(said.duration < PATIENCE, "{said:?}");

    // Interim answers do not buy time.
    let interim = dripping("", b"HTTP/1.1 103 Early Hints\r\n\r\n");
    let said = post(&door, &interim.plain()).await;
    assert_eq!(said.outcome, Outcome::Timeout);
    assert!(said.duration < PATIENCE, "{said:?}");
}

#[tokio::test]
async fn connections_that_break() {
    let said = post(&door(Reach::InternetAndLoopback), &closing().plain()).await;
    assert_eq!(said.outcome, Outcome::ConnectionLost);

    let freed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = url(&format!("http://{freed}/"));
    let said = post(&door(Reach::InternetAndLoopback), &nobody).await;
    assert_eq!(said.outcome, Outcome::ConnectionFailed);

    for noise in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 200",
        "\0\0\0\0\r\n\r\n",
    ] {
        assert_eq!(
            answer(noise).await.outcome,
            Outcome::ConnectionLost,
            "{noise:?}"
        );
    }
}

#[tokio::test]
async fn names_that_lead_nowhere() {
    let listener = closing();
    let failing: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::other("SERVFAIL")) }));
    let door = ReceiverDoor::with_lookup(&options(Reach::Internet), failing).unwrap();
    assert_eq!(
        post(&door, &listener.named()).await.outcome,
        Outcome::NameNotFound
    );
    let empty = Script::new(&[&[]]).door(Reach::Internet);
    assert_eq!(
        post(&empty, &listener.named()).await.outcome,
        Outcome::NameNotFound
    );

    // DNS that does not answer holds nobody longer than a connection may take.
    let silent: Lookup = Arc::new(|_| Box::pin(std::future::pending()));
    let door = ReceiverDoor::with_lookup(&hasty(Reach::Internet), silent).unwrap();
    let said = post(&door, &listener.named()).await;
    assert_eq!(said.outcome, Outcome::ConnectionFailed);
    assert!(said.duration < PATIENCE, "{said:?}");
}

#[tokio::test]
async fn what_is_no_header_is_not_sent() {
    let listener = closing();
    for header in [("webhook-id", "a\r\nhost: inner"), ("a b", "x"), ("", "x")] {
        let headers = [(header.0, header.1.to_owned())];
        let said = door(Reach::InternetAndLoopback)
            .post(&listener.plain(), &headers, b"{}".to_vec())
            .await;
        assert_eq!(said.outcome, Outcome::NotSent, "{header:?}");
    }
    assert_eq!(listener.connections(), 0);
}

/// Numbers need no server of names, so this asks nobody.
#[tokio::test]
async fn the_systems_lookup_gives_addresses() {
    let found = system_lookup("192.0.2.7".to_owned()).await.unwrap();
    assert_eq!(found, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
}
