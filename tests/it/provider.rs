//! The provider's door against the simulator, over real connections: what each way of failing
//! proves, and that it is never more than that.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use hongbao::clock;
use hongbao::domain::machine::Protocol;
use hongbao::domain::outcome::{
    Cause, ProviderState, QueryOutcome, Rejection, RejectionKind, SendOutcome,
};
use hongbao::domain::text::{Appid, MchBillno, MchId, Openid, Texts};
use hongbao::domain::{Fen, Timestamp};
use hongbao::provider::{
    ApiKey, Credential, Identity, Payment, Provider, Timeouts, check_identity,
};
use hongbao::simulator::{
    CertFiles, Config, Fault, FaultTable, Merchant, Simulator, TlsFiles, make_certs, start,
};

const SHORT: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    total: Duration::from_millis(600),
};

fn credential(merchant: &Merchant, base_url: String) -> Credential {
    Credential {
        name: "simulated".to_owned(),
        base_url,
        mch_id: MchId::parse(&merchant.mch_id).unwrap(),
        api_key: ApiKey::parse(&merchant.api_key).unwrap(),
        client_identity: None,
        ca_pem: None,
    }
}

fn door(simulator: &Simulator) -> Provider {
    let credential = credential(simulator.merchant(), simulator.base_url());
    Provider::new(Protocol::WechatPayV2, &credential, SHORT).unwrap()
}

fn payment(merchant: &Merchant, n: u32, openid: &str) -> Payment {
    Payment {
        mch_id: MchId::parse(&merchant.mch_id).unwrap(),
        appid: Appid::parse(merchant.appid()).unwrap(),
        mch_billno: MchBillno::parse(&format!("1900000109{n:018}")).unwrap(),
        openid: Openid::parse(openid).unwrap(),
        amount: Fen(188),
        texts: Texts {
            send_name: "天虹百货".to_owned(),
            act_name: "A&B ]]> <新年>".to_owned(),
            wishing: "恭喜发财 🧧 \"'".to_owned(),
            // The simulator counts payments by it.
            remark: format!("order {n}"),
            scene_id: None,
        },
        client_ip: "192.168.0.1".to_owned(),
    }
}

fn rejected(kind: RejectionKind, code: &str) -> SendOutcome {
    SendOutcome::Rejected(Rejection {
        kind,
        code: code.to_owned(),
    })
}

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
        Fault::NotFoundLag | Fault::FailedLater | Fault::Refund | Fault::Received => None,
    }
}

#[tokio::test]
async fn every_fault_proves_what_it_should() {
    // Time stands still, so that what a query says does not depend on how busy the machine is.
    let config = Config {
        time_scale: 0,
        hold: Duration::from_secs(2),
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
                matches!(&said.outcome, SendOutcome::Accepted { provider_order_no } if provider_order_no.len() >= 28),
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
    assert_eq!(simulator.books().double_payments(), 0);
}

#[tokio::test]
async fn the_record_of_an_exchange_is_whole() {
    let simulator = start(Config {
        hold: Duration::from_secs(2),
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
    assert!((Duration::from_millis(500)..Duration::from_secs(2)).contains(&silent.duration));
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
        let door = Provider::new(Protocol::WechatPayV2, &credential, SHORT).unwrap();
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
    let door = Provider::new(Protocol::WechatPayV2, &credential, timeouts).unwrap();
    let begun = clock::monotonic();
    let said = door.send(&payment(&merchant, 1, "oAlice")).await;
    assert_eq!(
        said.outcome,
        rejected(RejectionKind::NotSent, "CONNECT_FAILED")
    );
    assert!(begun.elapsed() < Duration::from_secs(3));
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

async fn with_tls(dir: &Path) -> (Simulator, CertFiles) {
    let files = make_certs(dir, &Merchant::from_seed(1).mch_id).unwrap();
    let tls = TlsFiles {
        cert: files.server_cert.clone(),
        key: files.server_key.clone(),
        client_ca: Some(files.ca.clone()),
    };
    let simulator = start(Config {
        tls: Some(tls),
        ..Config::default()
    })
    .await
    .unwrap();
    (simulator, files)
}

fn identity(files: &CertFiles) -> Identity {
    Identity {
        cert_pem: fs::read(&files.client_cert).unwrap(),
        key_pem: fs::read(&files.client_key).unwrap(),
    }
}

#[tokio::test]
async fn the_merchants_certificate_opens_the_door() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, files) = with_tls(dir.path()).await;
    let identity = identity(&files);
    let credential = Credential {
        client_identity: Some(identity.clone()),
        ca_pem: Some(fs::read(&files.ca).unwrap()),
        ..credential(simulator.merchant(), simulator.base_url())
    };
    let now = Timestamp::parse_beijing("2026-11-22 12:00:00").unwrap();
    assert!(check_identity(&identity, &credential.mch_id, now).unwrap() > now);
    let door = Provider::new(Protocol::WechatPayV2, &credential, Timeouts::default()).unwrap();
    let payment = payment(simulator.merchant(), 1, "oAlice");
    assert!(matches!(
        door.send(&payment).await.outcome,
        SendOutcome::Accepted { .. }
    ));
    assert!(matches!(
        door.clone().query(&payment).await.outcome,
        QueryOutcome::Known(_)
    ));
}

#[tokio::test]
async fn without_the_certificate_nothing_is_proven() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, files) = with_tls(dir.path()).await;
    let bare = Credential {
        ca_pem: Some(fs::read(&files.ca).unwrap()),
        ..credential(simulator.merchant(), simulator.base_url())
    };
    let door = Provider::new(Protocol::WechatPayV2, &bare, Timeouts::default()).unwrap();
    for n in 1..=20 {
        let said = door.send(&payment(simulator.merchant(), n, "oAlice")).await;
        assert_eq!(
            said.outcome,
            SendOutcome::Unknown(Cause::ConnectionLost),
            "{said:?}"
        );
    }
    assert_eq!(simulator.books().totals().sends, 0);
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, files) = with_tls(dir.path()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = make_certs(elsewhere.path(), "1900000109").unwrap();
    for ca_pem in [Some(fs::read(&foreign.ca).unwrap()), None] {
        let credential = Credential {
            client_identity: Some(identity(&files)),
            ca_pem,
            ..credential(simulator.merchant(), simulator.base_url())
        };
        // A machine without any authority of its own says so here instead.
        let Ok(door) = Provider::new(Protocol::WechatPayV2, &credential, SHORT) else {
            continue;
        };
        let said = door.send(&payment(simulator.merchant(), 1, "oAlice")).await;
        assert_eq!(
            said.outcome,
            rejected(RejectionKind::NotSent, "CONNECT_FAILED")
        );
    }
}

#[test]
fn what_cannot_be_used_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let files = make_certs(dir.path(), "1900000109").unwrap();
    let good = credential(&Merchant::from_seed(1), "https://127.0.0.1:1".to_owned());
    let server_key = fs::read(&files.server_key).unwrap();
    let bad = [
        Credential {
            base_url: "http://api.mch.weixin.qq.com".to_owned(),
            ..good.clone()
        },
        Credential {
            ca_pem: Some(b"nothing".to_vec()),
            ..good.clone()
        },
        Credential {
            client_identity: Some(Identity {
                key_pem: server_key,
                ..identity(&files)
            }),
            ..good.clone()
        },
        Credential {
            client_identity: Some(Identity {
                key_pem: Vec::new(),
                ..identity(&files)
            }),
            ..good
        },
    ];
    for credential in bad {
        let error = Provider::new(Protocol::WechatPayV2, &credential, SHORT).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("simulated"), "{text}");
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
}
