//! Whom to believe where no authority is named: those of the system, or
//! anybody at all.

use super::{crypto::provider, terms};
use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::sync::{Arc, OnceLock};

/// Authorities, and the same in PEM form.
pub(super) type Roots = (Arc<RootCertStore>, Arc<str>);

/// The system's authorities, read once.
///
/// # Errors
/// There are none.
pub(super) fn system_roots() -> Result<Roots, String> {
    static ROOTS: OnceLock<Result<Roots, String>> = OnceLock::new();
    let read = || {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let mut usable = found.certs;
        usable.retain(|certificate| roots.add(certificate.clone()).is_ok());
        if !usable.is_empty() {
            return Ok((Arc::new(roots), terms::pem(&usable).into()));
        }
        let errors = found.errors.iter().map(|error| format!("; {error}"));
        let errors: String = errors.collect();
        Err(format!(
            "the system has no authorities to trust (package ca-certificates): name some{errors}"
        ))
    };
    ROOTS.get_or_init(read).clone()
}

/// Believes whoever answers, if only it has the key of what it shows.
#[derive(Debug)]
pub(super) struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
