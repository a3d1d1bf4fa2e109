//! TLS, with the certificates that this machine trusts, or those of one file.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio_rustls::TlsConnector;

use super::Failure;
use crate::file;

/// Where Debian's ca-certificates puts them.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The longest file of certificates: that of Debian has some 200 KiB.
const LENGTH_MAX: u64 = 16 << 20;

/// What opens encrypted connections to who has a certificate of those in the file at `ca`.
pub(super) fn connector(ca: Option<&Path>) -> Result<TlsConnector, Failure> {
    let path = ca.unwrap_or(Path::new(SYSTEM));
    let unusable = |error| Failure::Certificates {
        path: path.to_owned(),
        error,
    };
    let pem = file::read(path, LENGTH_MAX).map_err(unusable)?;
    let mut roots = RootCertStore::empty();
    // A store has some that no library reads; one that has none at all is no store.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    if roots.is_empty() {
        let none = "no certificate (PEM) is in it";
        return Err(unusable(io::Error::new(io::ErrorKind::InvalidData, none)));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
