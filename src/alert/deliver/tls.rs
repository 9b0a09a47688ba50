//! Whom we believe: the certificates of the system, or those of a file. A peer whose
//! certificate is not signed by one of them is not told anything.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::sys;

/// Where distributions keep the certificates of those who sign others.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/share/ca-certificates/ca-bundle.crt",
];

/// The arithmetic.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Whom we believe.
pub fn roots(file: Option<&str>) -> Result<Vec<CertificateDer<'static>>, String> {
    // As OpenSSL has it.
    let variable = std::env::var("SSL_CERT_FILE").ok().filter(|it| !it.is_empty());
    let path = match (file, &variable) {
        (Some(path), _) => path,
        (None, Some(path)) => path,
        (None, None) => BUNDLES
            .into_iter()
            .find(|path| std::fs::metadata(path).is_ok())
            .ok_or("no certificates of the system: install ca-certificates, or set tls-ca=")?,
    };
    let opened = File::open(path).map_err(|error| format!("{path}: {}", sys::explain(&error)))?;
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(opened)) {
        found.push(certificate.map_err(|_| format!("{path}: not certificates in PEM"))?);
    }
    if found.is_empty() { Err(format!("{path}: no certificates in it")) } else { Ok(found) }
}

/// How we speak.
pub fn config(file: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(roots(file)?);
    if added == 0 {
        return Err("none of the certificates can be used".to_owned());
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(store).with_no_client_auth()))
}
