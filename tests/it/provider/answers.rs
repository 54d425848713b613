//! Whole exchanges: what is recorded of them, and queries that follow a number to its end.

use std::time::Duration;

use hongbao::domain::Fen;
use hongbao::domain::outcome::{Cause, ProviderState, QueryOutcome, RejectionKind};
use hongbao::domain::text::{MchId, Openid};
use hongbao::provider::Payment;
use hongbao::simulator::{Config, Fault, FaultTable, start};

use super::{door, payment, rejected};

#[tokio::test]
async fn the_record_of_an_exchange_is_whole() {
    let simulator = start(Config {
        hold: Duration::from_secs(4),
        ..Config::default()
    })
    .await
    .unwrap();
    let door = door(&simulator);
    let merchant = simulator.merchant();

    let said = door.send(&payment(merchant, 1, "oAlice")).await;
    assert!(
        String::from_utf8(said.request)
            .unwrap()
            .contains("<re_openid>oAlice</re_openid>")
    );
    assert!(
        String::from_utf8(said.response.unwrap())
            .unwrap()
            .ends_with("</xml>")
    );
    assert_eq!(said.http_status, Some(200));
    assert!(said.duration > Duration::ZERO);

    let half = door.send(&payment(merchant, 2, "oSIM-HALF_BODY-x")).await;
    assert_eq!(half.http_status, Some(200));
    assert!(half.response.is_some_and(|body| body.starts_with(b"<xml>")));

    let huge = door.send(&payment(merchant, 3, "oSIM-HUGE_BODY-x")).await;
    assert!(huge.response.is_some_and(|body| body.len() == 4096));

    let silent = door
        .send(&payment(merchant, 4, "oSIM-TIMEOUT_AFTER-x"))
        .await;
    assert_eq!((silent.http_status, silent.response), (None, None));
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&silent.duration));
}

#[tokio::test]
async fn a_number_is_followed_to_its_end() {
    let config = Config {
        time_scale: 100_000,
        ..Config::default()
    };
    let simulator = start(config).await.unwrap();
    let door = door(&simulator);
    let merchant = simulator.merchant();
    let unknown = payment(merchant, 9, "oAlice");
    assert_eq!(door.query(&unknown).await.outcome, QueryOutcome::NotFound);

    let ends = [
        ("oSIM-RECEIVED-x", ProviderState::Received),
        ("oSIM-REFUND-x", ProviderState::Refunded),
        ("oSIM-SEND_FAILED-x", ProviderState::Failed),
        ("oSIM-PROCESSING_FAILED-x", ProviderState::Failed),
    ];
    for (n, (openid, _)) in (1..).zip(ends) {
        door.send(&payment(merchant, n, openid)).await;
    }
    // A little more than 25 simulated hours.
    tokio::time::sleep(Duration::from_millis(950)).await;
    for (n, (openid, end)) in (1..).zip(ends) {
        let outcome = door.query(&payment(merchant, n, openid)).await.outcome;
        let QueryOutcome::Known(report) = outcome else {
            panic!("{openid}: {outcome:?}")
        };
        assert_eq!(report.state, end, "{openid}");
        assert_eq!(
            report.received_at.is_some(),
            end == ProviderState::Received,
            "{openid}"
        );
        assert_eq!(
            report.refunded_at.is_some(),
            end == ProviderState::Refunded,
            "{openid}"
        );
        assert_eq!(
            report.refunded,
            (end == ProviderState::Refunded).then_some(Fen(188))
        );
    }
}

#[tokio::test]
async fn a_query_proves_no_more_than_it_says() {
    let simulator = start(Config::default()).await.unwrap();
    let door = door(&simulator);
    let payment = payment(simulator.merchant(), 1, "oAlice");
    door.send(&payment).await;
    let cases = [
        (
            Fault::WrongAmount,
            QueryOutcome::Mismatch {
                field: "total_amount",
            },
        ),
        (
            Fault::WrongBillno,
            QueryOutcome::Mismatch {
                field: "mch_billno",
            },
        ),
        (Fault::Reset, QueryOutcome::Unknown(Cause::ConnectionLost)),
        (
            Fault::Html502,
            QueryOutcome::Unknown(Cause::HttpStatus(502)),
        ),
        (Fault::Garbage, QueryOutcome::Unknown(Cause::Unparsable)),
    ];
    for (fault, outcome) in cases {
        let next = FaultTable {
            next_query: Some([fault].into()),
            ..FaultTable::default()
        };
        if simulator.set_faults(next).is_err() {
            panic!("{fault:?} does not strike queries");
        }
        assert_eq!(door.query(&payment).await.outcome, outcome, "{fault:?}");
    }
    // The provider holds another order under the number than the one that we ask about.
    let other = Payment {
        amount: Fen(189),
        ..payment
    };
    let outcome = door.query(&other).await.outcome;
    assert_eq!(
        outcome,
        QueryOutcome::Mismatch {
            field: "total_amount"
        }
    );
    let said = door.send(&other).await.outcome;
    assert_eq!(said, rejected(RejectionKind::Refused, "PARAM_ERROR"));
    let elsewhere = Payment {
        openid: Openid::parse("oBob").unwrap(),
        ..other
    };
    let said = door.send(&elsewhere).await.outcome;
    assert_eq!(said, rejected(RejectionKind::NumberConflict, "FATAL_ERROR"));
}

#[tokio::test]
async fn a_payment_of_another_merchant_is_not_sent() {
    let simulator = start(Config::default()).await.unwrap();
    let payment = Payment {
        mch_id: MchId::parse("1900000110").unwrap(),
        ..payment(simulator.merchant(), 1, "oAlice")
    };
    let said = door(&simulator).send(&payment).await;
    assert_eq!(
        said.outcome,
        rejected(RejectionKind::Configuration, "WRONG_MERCHANT")
    );
    assert_eq!(simulator.books().totals().sends, 0);
}
