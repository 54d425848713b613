//! Certificates for trying TLS without openssl: an authority, a server pair and a merchant pair.
//!
//! The merchant's files have the names that WeChat gives them, and its certificate carries the
//! merchant id as common name, as WeChat's does. The authority's key is not kept: the set is made
//! anew as a whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertFiles {
    pub ca: PathBuf,
    pub server_cert: PathBuf,
    pub server_key: PathBuf,
    pub client_cert: PathBuf,
    pub client_key: PathBuf,
}

impl CertFiles {
    /// The names of the files in a directory.
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            ca: dir.join("ca.pem"),
            server_cert: dir.join("server.pem"),
            server_key: dir.join("server.key"),
            client_cert: dir.join("apiclient_cert.pem"),
            client_key: dir.join("apiclient_key.pem"),
        }
    }

    fn any_exists(&self) -> bool {
        [&self.ca, &self.server_cert, &self.server_key]
            .into_iter()
            .chain([&self.client_cert, &self.client_key])
            .any(|path| path.exists())
    }
}

/// Why no certificates were made.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    #[error("certificates are already there; remove them or name another directory")]
    AlreadyThere,
    #[error("the certificates cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("the certificates cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Writes a set for one merchant; the server's is good for localhost and 127.0.0.1.
pub fn make_certs(dir: &Path, mch_id: &str) -> Result<CertFiles, CertsError> {
    let files = CertFiles::in_dir(dir);
    if files.any_exists() {
        return Err(CertsError::AlreadyThere);
    }
    fs::create_dir_all(dir)?;
    let ca = authority()?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = params("hongbao simulator", names.to_vec())?;
    let (server_cert, server_key) = issue(server, ExtendedKeyUsagePurpose::ServerAuth, &ca)?;
    let client = params(mch_id, Vec::new())?;
    let (client_cert, client_key) = issue(client, ExtendedKeyUsagePurpose::ClientAuth, &ca)?;
    fs::write(&files.ca, ca.pem())?;
    fs::write(&files.server_cert, server_cert)?;
    fs::write(&files.client_cert, client_cert)?;
    write_key(&files.server_key, &server_key)?;
    write_key(&files.client_key, &client_key)?;
    Ok(files)
}

fn params(name: &str, alternative_names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(alternative_names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = params("hongbao simulator authority", Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// The certificate and its key, both as PEM.
fn issue(
    mut params: CertificateParams,
    usage: ExtendedKeyUsagePurpose,
    ca: &CertifiedIssuer<'static, KeyPair>,
) -> Result<(String, String), rcgen::Error> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, ca)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// A key is for its owner's eyes only, from the first byte on.
pub(super) fn write_key(path: &Path, pem: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(pem.as_bytes())
}
