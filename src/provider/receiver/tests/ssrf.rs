//! The door cannot be turned against the inside of the network.
//!
//! Every test that says "no connection" has its counterpart in which the same listener is reached
//! because loopback is allowed: otherwise it could pass because nothing works.

use super::*;

const REFUSED: Outcome = Outcome::AddressRefused;

/// Addresses of the inside. On Linux a connection to 0.0.0.0, :: or ::ffff:127.0.0.1 reaches loopback.
const INNER: [&str; 22] = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "fd00:ec2::254",
    "fe80::1",
];

#[tokio::test]
async fn a_name_that_leads_inside_is_refused() {
    let listener = closing();
    for address in INNER {
        let script = Script::new(&[&[address]]);
        let said = post(&script.door(Reach::Internet), &listener.named()).await;
        assert_eq!(said.outcome, REFUSED, "{address}");
        assert_eq!(said.http_status, None);
        // The name was looked up as a whole, once: what was judged is what would be used.
        assert_eq!(script.asked(), [format!("{NAME}.")], "{address}");
    }
    assert_eq!(listener.connections(), 0);

    let script = Script::new(&[&["127.0.0.1"]]);
    post(&script.door(Reach::InternetAndLoopback), &listener.named()).await;
    assert_eq!(listener.connections(), 1);
}

#[tokio::test]
async fn the_flag_lets_loopback_in_and_nothing_else() {
    let listener = closing();
    for address in INNER {
        let address: IpAddr = address.parse().unwrap();
        if address.is_loopback() {
            continue;
        }
        let script = Script::new(&[&[&address.to_string()]]);
        let said = post(&script.door(Reach::InternetAndLoopback), &listener.named()).await;
        assert_eq!(said.outcome, REFUSED, "{address}");
    }
    assert_eq!(listener.connections(), 0);
}

/// The name is judged anew at each connection, by what it leads to then.
#[tokio::test]
async fn a_name_that_leads_inside_the_second_time_is_refused() {
    let listener = closing();
    let script = Script::new(&[&["8.8.8.8"], &["127.0.0.1"]]);
    let door = script.door(Reach::Internet);
    let first = post(&door, &listener.named()).await;
    // It was judged to be public, and the kernel had no way there from loopback.
    assert_eq!(first.outcome, Outcome::ConnectionFailed);
    let second = post(&door, &listener.named()).await;
    assert_eq!(second.outcome, REFUSED);
    assert_eq!(script.asked().len(), 2);
    assert_eq!(listener.connections(), 0);

    // And one that changes between a check and a use has one look-up for both.
    let script = Script::new(&[&["8.8.8.8"], &["127.0.0.1"]]);
    post(&script.door(Reach::InternetAndLoopback), &listener.named()).await;
    assert_eq!(script.asked().len(), 1);
    assert_eq!(listener.connections(), 0);
}

#[tokio::test]
async fn of_several_addresses_only_the_public_ones_are_tried() {
    let listener = closing();
    for addresses in [
        &["127.0.0.1", "8.8.8.8"],
        &["8.8.8.8", "127.0.0.1"],
        &["0.0.0.0", "8.8.8.8"],
        &["::ffff:127.0.0.1", "8.8.8.8"],
    ] {
        let script = Script::new(&[addresses]);
        let said = post(&script.door(Reach::Internet), &listener.named()).await;
        assert_eq!(said.outcome, Outcome::ConnectionFailed, "{addresses:?}");
    }
    let script = Script::new(&[&["10.0.0.1", "127.0.0.1", "169.254.169.254"]]);
    let said = post(&script.door(Reach::Internet), &listener.named()).await;
    assert_eq!(said.outcome, REFUSED);
    assert_eq!(listener.connections(), 0);

    // Where the public one fails, the next that is admitted is tried.
    let script = Script::new(&[&["8.8.8.8", "127.0.0.1"]]);
    post(&script.door(Reach::InternetAndLoopback), &listener.named()).await;
    assert_eq!(listener.connections(), 1);
}

#[test]
fn what_is_admitted_keeps_its_order_and_has_no_port() {
    let found = ["10.0.0.1", "8.8.8.8", "::1", "2400:3200::1", "127.0.0.1"];
    let found = found.map(|raw| raw.parse().unwrap());
    let said = |reach| {
        let addresses = admitted(&found, reach);
        addresses
            .iter()
            .map(SocketAddr::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(said(Reach::Internet), ["8.8.8.8:0", "[2400:3200::1]:0"]);
    assert_eq!(
        said(Reach::InternetAndLoopback),
        ["8.8.8.8:0", "[::1]:0", "[2400:3200::1]:0", "127.0.0.1:0"]
    );
}

/// Addresses in URLs never come to the look-up; [`door`] panics if they do.
#[tokio::test]
async fn an_address_in_a_url_is_judged_at_each_request() {
    let listener = closing();
    let port = listener.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "127.0.0.1.",
    ] {
        for scheme in ["http", "https"] {
            let raw = format!("{scheme}://{host}:{port}/");
            assert!(ReceiverUrl::parse(&raw, Reach::Internet).is_err(), "{raw}");
            // One that was taken while loopback was allowed, and is posted to when it is not.
            let said = post(&door(Reach::Internet), &url(&raw)).await;
            assert_eq!(said.outcome, REFUSED, "{raw}");
        }
    }
    assert_eq!(listener.connections(), 0);

    let spelled = url(&format!("http://2130706433:{port}/"));
    let said = post(&door(Reach::InternetAndLoopback), &spelled).await;
    assert_eq!(said.outcome, Outcome::ConnectionLost);
    assert_eq!(listener.connections(), 1);
}

#[tokio::test]
async fn localhost_is_this_machine_or_nothing() {
    let listener = closing();
    let named = url(&format!("http://localhost:{}/", listener.port()));
    let said = post(&door(Reach::Internet), &named).await;
    assert_eq!(said.outcome, REFUSED);
    assert_eq!(listener.connections(), 0);
    let said = post(&door(Reach::InternetAndLoopback), &named).await;
    assert_eq!(said.outcome, Outcome::ConnectionLost);
    assert_eq!(listener.connections(), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let inner = closing();
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} Moved\r\ncontent-length: 0\r\n");
        let location = format!("location: http://{}/\r\n\r\n", inner.address);
        let receiver = answering(head + &location);
        let said = post(&door(Reach::InternetAndLoopback), &receiver.plain()).await;
        assert_eq!(
            (said.outcome, said.http_status),
            (Outcome::Redirect, Some(status))
        );
        assert_eq!(receiver.connections(), 1);
    }
    assert_eq!(inner.connections(), 0);
}

/// Three names of one port: a kept connection serves its own name alone.
#[tokio::test]
async fn a_kept_connection_serves_no_other_name() {
    let receiver = Listener::new(|mut stream| {
        while request(&mut stream).is_some() {
            let _gone = io::Write::write_all(&mut stream, EMPTY);
        }
    });
    let script = Script::new(&[&["127.0.0.1"], &["127.0.0.1"], &["10.0.0.1"]]);
    let door = script.door(Reach::InternetAndLoopback);
    for _ in 0..2 {
        assert_eq!(post(&door, &receiver.plain()).await.outcome, Outcome::Done);
    }
    // The same connection, twice.
    assert_eq!(receiver.connections(), 1);
    let local = url(&format!("http://localhost:{}/", receiver.port()));
    assert_eq!(post(&door, &local).await.outcome, Outcome::Done);
    assert_eq!(receiver.connections(), 1);
    let named = receiver.named();
    for _ in 0..2 {
        // The receiver hears TLS, which is no HTTP, and hangs up.
        let said = post(&door, &named).await;
        assert_eq!(said.outcome, Outcome::ConnectionFailed);
    }
    assert_eq!(receiver.connections(), 2);
    assert_eq!(post(&door, &named).await.outcome, REFUSED);
    assert_eq!(receiver.connections(), 0);
}

const EMPTY: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
