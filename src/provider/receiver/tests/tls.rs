//! TLS with a receiver, and how it fails.

use std::io::Write;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// A receiver with a certificate for some names, and the authority that gave it.
fn secured(names: &[&str]) -> (Listener, String) {
    crate::provider::install_crypto();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let params = CertificateParams::new(names).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = Listener::new(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        if request(&mut stream).is_some() {
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            stream.conn.send_close_notify();
            let _gone = stream.flush();
        }
    });
    (listener, issuer.pem())
}

async fn said(listener: &Listener, ca_pem: Option<String>) -> Outcome {
    let options = ReceiverOptions {
        ca_pem: ca_pem.map(String::into_bytes),
        ..options(Reach::InternetAndLoopback)
    };
    outcome(listener, &options).await
}

async fn outcome(listener: &Listener, options: &ReceiverOptions) -> Outcome {
    let lookup = Script::new(&[&["127.0.0.1"]]).lookup();
    let door = ReceiverDoor::with_lookup(options, lookup).unwrap();
    post(&door, &listener.named()).await.outcome
}

#[tokio::test]
async fn a_certificate_for_the_name_by_a_known_authority_is_needed() {
    let (listener, ca) = secured(&[NAME]);
    assert_eq!(said(&listener, Some(ca)).await, Outcome::Done);
    let (_, stranger) = secured(&[NAME]);
    assert_eq!(said(&listener, Some(stranger)).await, Outcome::TlsFailed);
    assert_eq!(said(&listener, None).await, Outcome::TlsFailed);
    let (other, ca) = secured(&["other.example.com"]);
    assert_eq!(said(&other, Some(ca)).await, Outcome::TlsFailed);
}

#[tokio::test]
async fn what_speaks_no_tls_is_told_apart() {
    let plain = Listener::new(|mut stream| {
        let mut hello = [0; 16];
        let _read = stream.read(&mut hello);
        let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _rest = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(said(&plain, None).await, Outcome::TlsFailed);
    // One that says nothing has not come to a connection.
    let silent = Listener::new(|mut stream| {
        let _rest = stream.read_to_end(&mut Vec::new());
    });
    let hasty = hasty(Reach::InternetAndLoopback);
    assert_eq!(outcome(&silent, &hasty).await, Outcome::ConnectionFailed);
}

#[test]
fn authorities_that_are_none_are_refused() {
    let with = |pem: &str| {
        let mut options = options(Reach::Internet);
        options.ca_pem = Some(pem.as_bytes().to_vec());
        ReceiverDoor::new(&options)
    };
    assert!(with("").is_err() && with("nothing").is_err());
    let (_, ca) = secured(&[NAME]);
    assert!(with(&ca).is_ok());
}
