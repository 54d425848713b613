//! The process's cryptography for TLS, and the look at a merchant's certificate at start-up.
//!
//! A certificate that has expired, or is another merchant's, is found here, before the first
//! packet; on the wire it is a broken connection or CA_ERROR, and every packet of the account would
//! be in doubt because of it.

use anyhow::{Context, anyhow, ensure};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Identity;
use crate::domain::Timestamp;
use crate::domain::text::MchId;

/// Makes ring the process's cryptography for TLS. Again does nothing, so that `main` and each test
/// may call it.
pub fn install_crypto() {
    let _already = ring::default_provider().install_default();
}

/// Looks at a client certificate and its key before they are used; gives the instant until which
/// the certificate is valid, for an alert in time.
///
/// # Errors
/// When it cannot be read, is not valid at `now`, names another merchant than `mch_id` as its
/// common name, or the key is not its own. No byte of the key is in the text.
pub fn check_identity(
    identity: &Identity,
    mch_id: &MchId,
    now: Timestamp,
) -> anyhow::Result<Timestamp> {
    // The errors of the PEM reader quote what they read, hence none is passed on.
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&identity.cert_pem)
        .collect::<Result<_, _>>()
        .map_err(|_| anyhow!("the client certificate is not PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key_pem)
        .map_err(|_| anyhow!("the client key is not PEM (PKCS#8, PKCS#1 or SEC1)"))?;
    let first = chain
        .first()
        .context("the client certificate file holds no certificate")?;
    let (_, certificate) = X509Certificate::from_der(first)
        .map_err(|_| anyhow!("the client certificate cannot be read"))?;

    let validity = certificate.validity();
    let begins = timestamp(validity.not_before.timestamp());
    let ends = timestamp(validity.not_after.timestamp());
    ensure!(
        begins <= now,
        "the client certificate is valid only from {begins} on"
    );
    ensure!(now < ends, "the client certificate expired at {ends}");

    let subject = certificate.subject();
    let names: Vec<_> = subject
        .iter_common_name()
        .map(|name| name.as_str().ok())
        .collect();
    ensure!(
        !names.is_empty(),
        "the client certificate has no common name"
    );
    let ours = names == [Some(mch_id.as_str())];
    ensure!(
        ours,
        "the client certificate is not that of merchant {mch_id}"
    );

    CertifiedKey::from_der(chain.clone(), key, &ring::default_provider())
        .map_err(|error| anyhow!("the client key cannot be used: {error}"))?;
    Ok(ends)
}

fn timestamp(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn made(names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2031, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let (cert_pem, key_pem) = (certificate.pem(), key.serialize_pem());
        Identity {
            cert_pem: cert_pem.into_bytes(),
            key_pem: key_pem.into_bytes(),
        }
    }

    fn pair(cert: &[u8], key: &[u8]) -> Identity {
        Identity {
            cert_pem: cert.to_vec(),
            key_pem: key.to_vec(),
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_beijing(text).unwrap()
    }

    fn said(identity: &Identity, now: &str) -> String {
        let mch_id = MchId::parse("1900000109").unwrap();
        match check_identity(identity, &mch_id, at(now)) {
            Ok(ends) => ends.to_string(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn a_good_pair_says_when_it_ends() {
        let identity = made(&["1900000109"]);
        let now = "2026-11-22 12:00:00";
        assert_eq!(said(&identity, now), "2031-01-01T00:00:00.000000Z");
        let mch_id = MchId::parse("1900000109").unwrap();
        let ends = check_identity(&identity, &mch_id, at(now)).unwrap();
        assert!(ends.since(at(now)) > Duration::from_secs(4 * 365 * 86_400));
    }

    #[test]
    fn what_would_fail_on_the_wire_fails_here() {
        let good = made(&["1900000109"]);
        assert!(said(&good, "2025-12-31 00:00:00").contains("valid only from"));
        assert!(said(&good, "2031-01-01 08:00:00").contains("expired at 2031-01-01"));
        let now = "2026-11-22 12:00:00";
        assert!(said(&made(&["1900000110"]), now).contains("not that of merchant 1900000109"));
        assert!(said(&made(&[]), now).contains("no common name"));
        let other = pair(&good.cert_pem, &made(&["1900000109"]).key_pem);
        assert!(said(&other, now).contains("key cannot be used"));
    }

    #[test]
    fn broken_files_are_told_apart_and_not_quoted() {
        let good = made(&["1900000109"]);
        let now = "2026-11-22 12:00:00";
        let secret = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0!\n-----END PRIVATE KEY-----\n";
        let key = said(&pair(&good.cert_pem, secret), now);
        assert_eq!(key, "the client key is not PEM (PKCS#8, PKCS#1 or SEC1)");
        let empty = said(&pair(b"", &good.key_pem), now);
        assert_eq!(empty, "the client certificate file holds no certificate");
        let text = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let noise = said(&pair(text, &good.key_pem), now);
        assert_eq!(noise, "the client certificate cannot be read");
    }
}
