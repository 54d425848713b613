//! TLS as WeChat runs it: no client certificate, no reply; another merchant's, CA_ERROR.

use std::fs;
use std::path::Path;

use hongbao::simulator::{CertFiles, Config, Merchant, Simulator, TlsFiles, make_certs, start};
use reqwest::{Certificate, Identity};

use super::client::{Client, Message, billno, http};

async fn begin(dir: &Path) -> (Simulator, CertFiles) {
    let files = make_certs(dir, &Merchant::from_seed(1).mch_id).unwrap();
    let config = Config {
        tls: Some(TlsFiles {
            cert: files.server_cert.clone(),
            key: files.server_key.clone(),
            client_ca: Some(files.ca.clone()),
        }),
        ..Config::default()
    };
    (start(config).await.unwrap(), files)
}

fn trusting(files: &CertFiles) -> reqwest::ClientBuilder {
    let ca = Certificate::from_pem(&fs::read(&files.ca).unwrap()).unwrap();
    http().tls_certs_only([ca])
}

fn with_identity(files: &CertFiles) -> reqwest::Client {
    let mut pem = fs::read(&files.client_cert).unwrap();
    pem.extend(fs::read(&files.client_key).unwrap());
    let identity = Identity::from_pem(&pem).unwrap();
    trusting(files).identity(identity).build().unwrap()
}

#[tokio::test]
async fn the_merchant_certificate_is_demanded_and_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, files) = begin(dir.path()).await;
    assert!(simulator.base_url().starts_with("https://127.0.0.1:"));
    let message = Message::send(&simulator, &billno(1), "oAlice", 100);

    let bare = Client::with(trusting(&files).build().unwrap(), &simulator);
    assert!(bare.try_send(&message).await.is_err());
    assert_eq!(simulator.books().totals().sends, 0);

    let client = Client::with(with_identity(&files), &simulator);
    assert_eq!(client.send(&message).await.code(), "SUCCESS");
    assert_eq!(client.query(&simulator, &billno(1)).await.code(), "SUCCESS");
    let reset = Message::send(&simulator, &billno(2), "oSIM-RESET_AFTER-1", 100);
    assert!(client.try_send(&reset).await.is_err());
    assert_eq!(simulator.books().payments().len(), 2);
}

#[tokio::test]
async fn a_certificate_of_another_merchant_is_a_ca_error() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, files) = begin(dir.path()).await;
    let client = Client::with(with_identity(&files), &simulator);
    let message = Message::send(&simulator, &billno(1), "oAlice", 100);
    let reply = client.send(&message.with("mch_id", "1900000110")).await;
    assert_eq!(reply.code(), "CA_ERROR");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, files) = begin(dir.path()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let mut foreign = make_certs(elsewhere.path(), "1900000109").unwrap();
    foreign.ca = files.ca;
    let client = Client::with(with_identity(&foreign), &simulator);
    let message = Message::send(&simulator, &billno(1), "oAlice", 100);
    assert!(client.try_send(&message).await.is_err());
}

#[test]
fn certificates_are_never_overwritten_and_keys_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let files = make_certs(dir.path(), "1900000109").unwrap();
    assert!(make_certs(dir.path(), "1900000109").is_err());
    for key in [files.server_key, files.client_key] {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(key).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
