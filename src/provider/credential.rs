//! What it takes to speak for a merchant: secrets, which are read once at start-up and never printed.

use std::fmt;

use crate::domain::text::MchId;

/// A merchant's secret for signatures. Never printed.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// The key, if it is 32 printable ASCII characters without blanks, as WeChat Pay's are. A key
    /// with a line break from a mounted file would otherwise fail as SIGN_ERROR, much later.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let valid = raw.len() == 32 && raw.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then(|| Self(raw.to_owned()))
    }

    /// The text, for signing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// A client certificate and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, and those between it and the authority, if any.
    pub cert_pem: Vec<u8>,
    /// The key: PKCS#8, PKCS#1 or SEC1.
    pub key_pem: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// What it takes to speak for one merchant.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its name in the configuration, for logs.
    pub name: String,
    /// Where the provider is. Plain `http` is for loopback alone: V2 replies are not signed, so TLS
    /// is all that says who answers.
    pub base_url: String,
    /// Whose it is.
    pub mch_id: MchId,
    /// Signs.
    pub api_key: ApiKey,
    /// Proves who calls; WeChat Pay demands it.
    pub client_identity: Option<Identity>,
    /// The only authorities that are trusted, as PEM; without it, those of the system.
    pub ca_pem: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_printed_and_have_a_form() {
        let key = ApiKey::parse("192006250b4c09247ec02edce69f6a2d");
        assert_eq!(format!("{key:?}"), "Some(ApiKey(…))");
        for bad in [
            "",
            "192006250b4c09247ec02edce69f6a2",
            "192006250b4c09247ec02edce69f6a2\n",
        ] {
            assert!(ApiKey::parse(bad).is_none(), "{bad:?}");
        }
    }
}
