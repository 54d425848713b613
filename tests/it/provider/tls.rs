//! Certificates: the merchant's, one that is missing, and a server's that is not trusted.

use std::fs;
use std::path::Path;

use hongbao::domain::Timestamp;
use hongbao::domain::outcome::{Cause, QueryOutcome, RejectionKind, SendOutcome};
use hongbao::provider::{Credential, Identity, Provider, Timeouts, check_identity};
use hongbao::simulator::{CertFiles, Config, Merchant, Simulator, TlsFiles, make_certs, start};

use super::{SHORT, credential, payment, rejected};

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
    let door = Provider::wechat_pay(&credential, Timeouts::default()).unwrap();
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
    let door = Provider::wechat_pay(&bare, Timeouts::default()).unwrap();
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
        let Ok(door) = Provider::wechat_pay(&credential, SHORT) else {
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
        let error = Provider::wechat_pay(&credential, SHORT).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("simulated"), "{text}");
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
}
