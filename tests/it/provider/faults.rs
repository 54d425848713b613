//! Every fault of the simulator, reached by its openid, and what the first send proves.

use std::time::Duration;

use hongbao::domain::outcome::{Cause, RejectionKind, SendOutcome};
use hongbao::simulator::{Config, Fault, start};

use super::{door, payment, rejected};

/// What the first send proves; nothing where it is accepted.
fn expected(fault: Fault) -> Option<SendOutcome> {
    use Cause::{
        ConnectionLost, HttpStatus, Processing, ProviderUnsure, Timeout, UnlistedCode, Unparsable,
    };
    use RejectionKind::{Balance, Configuration, DailyLimit, Failed, Refused, Throttled};
    let unknown = |cause| Some(SendOutcome::Unknown(cause));
    let code = fault.name().to_owned();
    let no = |kind| Some(rejected(kind, fault.name()));
    let differs = |field| Some(SendOutcome::Mismatch { field });
    match fault {
        Fault::SystemErrorBefore | Fault::SystemErrorAfter => {
            unknown(ProviderUnsure("SYSTEMERROR".to_owned()))
        }
        Fault::Processing | Fault::ProcessingFailed | Fault::SendingReason => {
            unknown(Processing("PROCESSING".to_owned()))
        }
        Fault::TimeoutBefore | Fault::TimeoutAfter => unknown(Timeout),
        Fault::Reset | Fault::ResetAfter | Fault::HalfBody => unknown(ConnectionLost),
        Fault::Html502 => unknown(HttpStatus(502)),
        Fault::UnknownCode => unknown(UnlistedCode("BIZ_SUSPENDED_X9".to_owned())),
        Fault::Garbage | Fault::HugeBody | Fault::Dtd => unknown(Unparsable),
        Fault::WrongAmount => differs("total_amount"),
        Fault::WrongBillno => differs("mch_billno"),
        Fault::WrongOpenid => differs("re_openid"),
        Fault::NotEnough => no(Balance),
        Fault::FreqLimit => no(Throttled),
        Fault::SendNumLimit => no(DailyLimit),
        Fault::LimitStored => Some(rejected(DailyLimit, "SENDNUM_LIMIT")),
        Fault::SendFailed => no(Failed),
        Fault::ParamError
        | Fault::OpenidError
        | Fault::NoAuth
        | Fault::MoneyLimit
        | Fault::SimpleBan => Some(rejected(Refused, &code)),
        Fault::SignError | Fault::CaError => no(Configuration),
        Fault::NotFoundLag
        | Fault::FailedLater
        | Fault::Refund
        | Fault::PartialRefund
        | Fault::Received => None,
    }
}

#[tokio::test]
async fn every_fault_proves_what_it_should() {
    // Time stands still, so that what a query says does not depend on how busy the machine is.
    let config = Config {
        time_scale: 0,
        hold: Duration::from_secs(4),
        ..Config::default()
    };
    let simulator = start(config).await.unwrap();
    let door = door(&simulator);
    for (n, fault) in (1..).zip(Fault::all()) {
        let payment = payment(simulator.merchant(), n, &format!("oSIM-{}-x", fault.name()));
        let said = door.send(&payment).await;
        assert_eq!(said.call, "sendredpack");
        match expected(fault) {
            Some(outcome) => assert_eq!(said.outcome, outcome, "{fault:?}"),
            None => assert!(
                matches!(&said.outcome, SendOutcome::Accepted { provider_order_no, .. } if provider_order_no.len() >= 28),
                "{fault:?}: {said:?}"
            ),
        }
        let printed = format!("{said:?} {payment:?} {door:?}");
        assert!(!printed.contains("oSIM"), "{printed}");
        assert!(
            !printed.contains(&simulator.merchant().api_key),
            "{printed}"
        );
    }
    // Each request is one that somebody asked for: nothing below re-sends on its own.
    let totals = simulator.books().totals();
    assert_eq!(totals.sends, u64::try_from(Fault::all().count()).unwrap());
    assert_eq!(totals.double_payments, 0);
}
