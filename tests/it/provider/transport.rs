//! Connections that do not come about, and servers that speak HTTP badly or not at all.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hongbao::clock;
use hongbao::domain::outcome::{Cause, RejectionKind, SendOutcome};
use hongbao::provider::{Provider, Said, Timeouts};
use hongbao::simulator::Merchant;

use super::{SHORT, credential, payment, rejected};

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let merchant = Merchant::from_seed(1);
    let not_sent = rejected(RejectionKind::NotSent, "CONNECT_FAILED");
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for base_url in [
        format!("http://{closed}"),
        "https://nowhere.invalid".to_owned(),
    ] {
        let credential = credential(&merchant, base_url);
        let door = Provider::wechat_pay(&credential, SHORT).unwrap();
        let said = door.send(&payment(&merchant, 1, "oAlice")).await;
        assert_eq!(said.outcome, not_sent, "{said:?}");
        assert!(said.response.is_none() && !said.request.is_empty());
    }
}

/// A listener that takes connections and never speaks TLS: a connect that times out is no doubt.
#[tokio::test]
async fn a_connect_that_times_out_was_not_sent() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let merchant = Merchant::from_seed(1);
    let base_url = format!("https://{}", silent.local_addr().unwrap());
    let timeouts = Timeouts {
        connect: Duration::from_millis(200),
        total: Duration::from_secs(5),
    };
    let credential = credential(&merchant, base_url);
    let door = Provider::wechat_pay(&credential, timeouts).unwrap();
    let begun = clock::monotonic();
    let said = door.send(&payment(&merchant, 1, "oAlice")).await;
    assert_eq!(
        said.outcome,
        rejected(RejectionKind::NotSent, "CONNECT_FAILED")
    );
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// A server that answers the n-th request of all connections with the n-th reply, the last one again
/// and again; then it closes the connection or, with `hold`, waits until the client does.
struct Canned {
    door: Provider,
    requests: Arc<AtomicUsize>,
}

fn canned(replies: &'static [&'static [u8]], hold: bool) -> Canned {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while whole_request(&mut stream) {
                let n = count.fetch_add(1, Ordering::SeqCst);
                let reply = replies.get(n).or(replies.last()).unwrap();
                stream.write_all(reply).unwrap();
                if !hold && n + 1 >= replies.len() {
                    break;
                }
            }
        }
    });
    let credential = credential(&Merchant::from_seed(1), base_url);
    let door = Provider::wechat_pay(&credential, SHORT).unwrap();
    Canned { door, requests }
}

/// Reads up to the end of the message; whether it came.
fn whole_request(stream: &mut TcpStream) -> bool {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    while !read.ends_with(b"</xml>\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return false,
            Ok(n) => read.extend_from_slice(&buffer[..n]),
        }
    }
    true
}

impl Canned {
    async fn send(&self) -> Said<SendOutcome> {
        self.door
            .send(&payment(&Merchant::from_seed(1), 1, "oAlice"))
            .await
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

const WHOLE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-length: 42\r\n\r\n<xml><return_code>FAIL</return_code></xml>";

#[tokio::test]
async fn what_is_not_a_whole_reply_proves_nothing() {
    use Cause::{ConnectionLost, HttpStatus, Timeout, Unparsable};
    let cases: [(&'static [&'static [u8]], bool, Cause); 9] = [
        (
            &[b"HTTP/1.1 307 T\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n"],
            true,
            HttpStatus(307),
        ),
        (&[b"HTTP/1.1 204 No Content\r\n\r\n"], true, HttpStatus(204)),
        (
            &[b"HTTP/1.1 200 OK\r\n\r\n<xml><return_code>SUCCESS</return_code><result_co"],
            false,
            Unparsable,
        ),
        (
            &[b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n<xml>"],
            true,
            Timeout,
        ),
        (
            &[b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n<xml>"],
            false,
            ConnectionLost,
        ),
        (
            &[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n<xml>\r\n"],
            false,
            ConnectionLost,
        ),
        (&[b"HTTP/1.1 100 Continue\r\n\r\n"], true, Timeout),
        (&[b"SSH-2.0-OpenSSH_9.2\r\n"], true, ConnectionLost),
        (&[b"HTTP/1.1 200 OK\r\ncontent-le"], false, ConnectionLost),
    ];
    for (replies, hold, cause) in cases {
        let server = canned(replies, hold);
        let said = server.send().await;
        let reply = String::from_utf8_lossy(replies[0]);
        assert_eq!(said.outcome, SendOutcome::Unknown(cause), "{reply}");
        assert_eq!(server.requests(), 1, "{reply}");
    }
}

/// A connection that was kept and ends under the second request: that request may have been read.
#[tokio::test]
async fn a_kept_connection_that_ends_is_no_reason_to_send_again() {
    let server = canned(&[WHOLE, b""], false);
    let first = server.send().await;
    assert_eq!(
        first.outcome,
        SendOutcome::Unknown(Cause::UnlistedCode("NO_ERR_CODE".to_owned()))
    );
    let second = server.send().await;
    assert_eq!(second.outcome, SendOutcome::Unknown(Cause::ConnectionLost));
    assert_eq!(server.requests(), 2);
}
