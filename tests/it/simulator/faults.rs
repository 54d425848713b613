//! Every fault, reached by its documented openid, seen on the wire and in the books.

use std::time::{Duration, Instant};

use hongbao::simulator::{Config, Fault, FaultTable, State};

use super::client::{Client, Message, Reply, begin, billno, http};

/// What the first send looked like from outside.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Code(&'static str),
    /// The connection ended without a reply.
    Cut,
    /// The body ended early.
    HalfBody,
    Status(u16),
    NotXml,
    Bytes(usize),
    Entities,
    Lie(&'static str),
}

/// What a query says right afterwards, and whether money has moved.
type Expected = (Seen, &'static str, bool);

fn expected(fault: Fault) -> Expected {
    use Seen::{Bytes, Code, Cut, Entities, HalfBody, Lie, NotXml, Status};
    match fault {
        Fault::SystemErrorBefore => (Code("SYSTEMERROR"), "NOT_FOUND", false),
        Fault::SystemErrorAfter => (Code("SYSTEMERROR"), "SENDING", true),
        Fault::Processing | Fault::ProcessingFailed | Fault::SendingReason => {
            (Code("PROCESSING"), "SENDING", false)
        }
        Fault::TimeoutBefore | Fault::Reset => (Cut, "NOT_FOUND", false),
        Fault::TimeoutAfter | Fault::ResetAfter => (Cut, "SENDING", true),
        Fault::HalfBody => (HalfBody, "SENDING", true),
        Fault::Html502 => (Status(502), "SENDING", true),
        Fault::UnknownCode => (Code("BIZ_SUSPENDED_X9"), "SENDING", true),
        Fault::Garbage => (NotXml, "SENDING", true),
        Fault::HugeBody => (Bytes(2 * 1024 * 1024), "SENDING", true),
        Fault::Dtd => (Entities, "SENDING", true),
        Fault::WrongAmount => (Lie("total_amount"), "SENDING", true),
        Fault::WrongBillno => (Lie("mch_billno"), "SENDING", true),
        Fault::WrongOpenid => (Lie("re_openid"), "SENDING", true),
        Fault::NotEnough => (Code("NOTENOUGH"), "NOT_FOUND", false),
        Fault::FreqLimit => (Code("FREQ_LIMIT"), "NOT_FOUND", false),
        Fault::SendNumLimit => (Code("SENDNUM_LIMIT"), "NOT_FOUND", false),
        Fault::LimitStored => (Code("SENDNUM_LIMIT"), "SENDING", false),
        Fault::SendFailed => (Code("SEND_FAILED"), "FAILED", false),
        Fault::ParamError => (Code("PARAM_ERROR"), "NOT_FOUND", false),
        Fault::OpenidError => (Code("OPENID_ERROR"), "NOT_FOUND", false),
        Fault::NoAuth => (Code("NO_AUTH"), "NOT_FOUND", false),
        Fault::SignError => (Code("SIGN_ERROR"), "NOT_FOUND", false),
        Fault::CaError => (Code("CA_ERROR"), "NOT_FOUND", false),
        Fault::MoneyLimit => (Code("MONEY_LIMIT"), "NOT_FOUND", false),
        Fault::SimpleBan => (Code("V2_ACCOUNT_SIMPLE_BAN"), "NOT_FOUND", false),
        Fault::NotFoundLag => (Code("SUCCESS"), "NOT_FOUND", true),
        Fault::FailedLater => (Code("SUCCESS"), "SENDING", false),
        Fault::Refund | Fault::PartialRefund => (Code("SUCCESS"), "SENDING", true),
        Fault::Received => (Code("SUCCESS"), "RECEIVED", true),
    }
}

fn openid(fault: Fault) -> String {
    format!("oSIM-{}-1", fault.name())
}

async fn check_seen(client: &Client, message: &Message, key: &str, seen: Seen, openid: &str) {
    let response = client.post(message.path, message.xml(key)).await;
    let response = match (response, &seen) {
        (Err(error), Seen::Cut) => {
            assert!(error.is_request() && !error.is_timeout(), "{error:?}");
            return;
        }
        (response, _) => response.unwrap(),
    };
    if let Seen::Status(status) = seen {
        assert_eq!(response.status(), status);
        return;
    }
    assert_eq!(response.status(), 200, "{openid}");
    let body = match (response.bytes().await, &seen) {
        (Err(error), Seen::HalfBody) => {
            assert!(error.is_body() || error.is_decode(), "{error:?}");
            return;
        }
        (body, _) => body.unwrap(),
    };
    let text = String::from_utf8(body.to_vec());
    match seen {
        Seen::NotXml => assert!(text.is_err()),
        Seen::Bytes(count) => assert!(body.len() > count),
        Seen::Entities => assert!(text.unwrap().contains("<!ENTITY l10")),
        Seen::Code(code) => assert_eq!(Reply(text.unwrap()).code(), code, "{openid}"),
        Seen::Lie(name) => {
            let reply = Reply(text.unwrap());
            for field in ["mch_billno", "re_openid", "total_amount"] {
                let echoed = reply.get(field) == message.get(field);
                assert_eq!(!echoed, field == name, "{field}");
            }
        }
        Seen::Cut | Seen::HalfBody | Seen::Status(_) => panic!("{openid}: a whole reply"),
    }
}

#[tokio::test]
async fn every_fault_can_be_asked_for_by_openid() {
    let config = Config {
        // Standing still, so that what a query says does not depend on how busy the machine is.
        time_scale: 0,
        hold: Duration::from_millis(100),
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    let key = simulator.merchant().api_key.clone();
    let every = Fault::all().flat_map(|fault| [0, 1, 2].map(|kind| (fault, kind)));
    for (n, (fault, kind)) in (1..).zip(every) {
        let (seen, mut state, paid) = expected(fault);
        let (billno, openid) = (billno(n), openid(fault));
        let message = match kind {
            0 => Message::send(&simulator, &billno, &openid, 100),
            1 => Message::mini(&simulator, &billno, &openid, 100),
            _ => Message::group(&simulator, &billno, &openid, 300, 3),
        };
        if kind == 2 && fault == Fault::PartialRefund {
            // What others have taken has arrived.
            state = "SENT";
        }
        check_seen(&client, &message, &key, seen, &openid).await;
        let query = client.query(&simulator, &billno).await;
        let found = match query.code() {
            "SUCCESS" => query.get("status"),
            code => code,
        };
        assert_eq!(found, state, "{fault:?}");
        let payments = simulator.books().payments();
        let payment = payments.iter().find(|payment| payment.mch_billno == billno);
        assert_eq!(payment.is_some(), paid, "{fault:?}");
    }
    assert_eq!(simulator.books().double_payments(), 0);
}

#[tokio::test]
async fn after_a_passing_fault_the_same_number_succeeds_and_pays_once() {
    let config = Config {
        hold: Duration::from_millis(50),
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    let passing = [
        Fault::SystemErrorBefore,
        Fault::SystemErrorAfter,
        Fault::TimeoutBefore,
        Fault::TimeoutAfter,
        Fault::Reset,
        Fault::ResetAfter,
        Fault::HalfBody,
        Fault::Html502,
        Fault::UnknownCode,
        Fault::FreqLimit,
        Fault::NotEnough,
        Fault::NotFoundLag,
    ];
    for (n, fault) in (1..).zip(passing) {
        let message = Message::send(&simulator, &billno(n), &openid(fault), 100);
        let _struck = client.try_send(&message).await;
        let again = client.send(&message).await;
        assert_eq!(again.code(), "SUCCESS", "{fault:?}");
    }
    let payments = simulator.books().payments();
    assert_eq!(payments.len(), passing.len());
    assert!(payments.iter().all(|payment| payment.times_paid == 1));
}

#[tokio::test]
async fn a_timeout_is_silence_and_a_stop_does_not_wait_for_it() {
    let config = Config {
        hold: Duration::from_secs(60),
        ..Config::default()
    };
    let (simulator, _) = begin(config).await;
    let impatient = http().timeout(Duration::from_millis(300)).build().unwrap();
    let client = Client::with(impatient, &simulator);
    let message = Message::send(&simulator, &billno(1), "oSIM-TIMEOUT_AFTER-1", 100);
    assert!(client.try_send(&message).await.unwrap_err().is_timeout());
    assert_eq!(simulator.books().payments().len(), 1);
    let patient = Client::of(&simulator);
    let held = Message::send(&simulator, &billno(2), "oSIM-TIMEOUT_BEFORE-1", 100);
    let held = tokio::spawn(async move { patient.try_send(&held).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopping = Instant::now();
    simulator.shutdown().await;
    assert!(stopping.elapsed() < Duration::from_secs(2));
    assert!(held.await.unwrap().is_err());
}

#[tokio::test]
async fn simulated_time_brings_every_end() {
    let config = Config {
        time_scale: 100_000,
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    let ends = [
        (Fault::Refund, "REFUND"),
        (Fault::ProcessingFailed, "FAILED"),
        (Fault::FailedLater, "FAILED"),
        (Fault::SendingReason, "FAILED"),
        (Fault::Processing, "RECEIVED or REFUND"),
        (Fault::NotFoundLag, "RECEIVED or REFUND"),
    ];
    for (n, (fault, _)) in (1..).zip(ends) {
        let message = Message::send(&simulator, &billno(n), &openid(fault), 100);
        client.send(&message).await;
    }
    // A little more than 25 simulated hours.
    tokio::time::sleep(Duration::from_millis(950)).await;
    for (n, (fault, end)) in (1..).zip(ends) {
        let query = client.query(&simulator, &billno(n)).await;
        let status = query.get("status");
        assert!(
            end.contains(status) && !status.is_empty(),
            "{fault:?} {query:?}"
        );
        assert_eq!(query.get("refund_amount").is_empty(), status != "REFUND");
        assert_eq!(query.get("rcv_time").is_empty(), status != "RECEIVED");
        assert_eq!(query.get("send_time").len(), 19);
    }
    let failed = client.query(&simulator, &billno(2)).await;
    assert_eq!(failed.get("reason"), "");
    let totals = simulator.books().totals();
    assert_eq!(totals.held_fen, 0);
    assert_eq!(
        totals.balance_fen,
        100_000_000 - totals.paid_fen + totals.returned_fen
    );
    let payments = simulator.books().payments();
    assert!(
        payments
            .iter()
            .any(|payment| payment.state == State::Refund)
    );
}

#[tokio::test]
async fn faults_are_set_over_the_admin_api() {
    let (simulator, client) = begin(Config::default()).await;
    let url = format!("{}/_sim/faults", simulator.admin_url());
    let set = async |json: &'static str| {
        let request = client
            .http
            .post(&url)
            .header("content-type", "application/json");
        request.body(json).send().await.unwrap().status().as_u16()
    };
    assert_eq!(
        set(r#"{"send":{"SYSTEMERROR_AFTER":1000},"next":["GARBAGE"]}"#).await,
        200
    );
    let message = Message::send(&simulator, &billno(1), "oAlice", 100);
    assert!(client.send(&message).await.0.contains('\u{fffd}'));
    assert_eq!(client.send(&message).await.code(), "SYSTEMERROR");
    assert_eq!(set(r#"{"send":{},"query":{"HTML_502":1000}}"#).await, 200);
    assert_eq!(client.send(&message).await.code(), "SUCCESS");
    let query = Message::query(&simulator, &billno(1));
    assert_eq!(
        client.try_send(&query).await.unwrap_err().status().unwrap(),
        502
    );
    assert_eq!(set(r#"{"send":{"RESET":1001}}"#).await, 400);
    assert_eq!(set(r#"{"query":{"REFUND":1}}"#).await, 400);
    assert_eq!(set(r#"{"send":{"NO_SUCH":1}}"#).await, 422);
    let known = client
        .http
        .get(&url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for fault in Fault::all() {
        assert!(known.contains(fault.name()), "{fault:?}");
    }
}

#[tokio::test]
async fn one_seed_is_one_history() {
    let run = async || {
        let config = Config {
            faults: FaultTable::default()
                .with_send(Fault::SystemErrorAfter, 200)
                .with_send(Fault::SendFailed, 200),
            ..Config::default()
        };
        let (simulator, client) = begin(config).await;
        let mut codes = Vec::new();
        for n in 0..60 {
            let message = Message::send(&simulator, &billno(n), "oAlice", 100);
            codes.push(client.send(&message).await.code().to_owned());
        }
        codes
    };
    let first = run().await;
    assert_eq!(first, run().await);
    for code in ["SUCCESS", "SYSTEMERROR", "SEND_FAILED"] {
        assert!(first.iter().any(|seen| seen == code), "{code}");
    }
}
