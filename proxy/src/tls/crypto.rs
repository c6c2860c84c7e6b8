//! The cryptography: one provider for all, less what a listener does not want.

use super::config::{ServerTls, Setting, TlsProblem, TlsVersion};
use rustls::{SupportedProtocolVersion, crypto::CryptoProvider};
use std::sync::{Arc, LazyLock};

/// The one provider of cryptography.
pub(super) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    &PROVIDER
}

/// The cryptography with the wanted cipher suites.
pub(super) fn with_suites_of(
    settings: &ServerTls,
    problems: &mut Vec<TlsProblem>,
) -> Arc<CryptoProvider> {
    let max = settings.max_version.unwrap_or(TlsVersion::V1_3);
    if settings.min_version > max {
        let message = "is older than the oldest version that is to be spoken";
        problems.push(TlsProblem::new(Setting::MaxVersion, message));
    }
    if settings.cipher_suites.is_empty() {
        return provider().clone();
    }
    let all = &provider().cipher_suites;
    let name = |suite: &rustls::SupportedCipherSuite| {
        let name = suite.suite().as_str().unwrap_or_default();
        // rustls's name for `TLS_AES_…` of the registry.
        name.replacen("TLS13_", "TLS_", 1)
    };
    let mut chosen = Vec::new();
    for wanted in &settings.cipher_suites {
        match all.iter().find(|suite| name(suite) == *wanted) {
            Some(suite) => chosen.push(*suite),
            None => {
                let known: Vec<String> = all.iter().map(name).collect();
                let message = format!("{wanted:?} is not one of {}", known.join(", "));
                problems.push(TlsProblem::new(Setting::CipherSuites, message));
            }
        }
    }
    for version in versions(settings) {
        let usable = chosen.iter().any(|suite| suite.version() == version);
        if !usable && chosen.len() == settings.cipher_suites.len() {
            let version = match version.version {
                rustls::ProtocolVersion::TLSv1_2 => "1.2",
                _ => "1.3",
            };
            let message = format!("none of them is of TLS {version}, which is to be spoken");
            problems.push(TlsProblem::new(Setting::CipherSuites, message));
        }
    }
    Arc::new(CryptoProvider {
        cipher_suites: chosen,
        ..(**provider()).clone()
    })
}

/// The versions from the oldest to the newest wanted one.
pub(super) fn versions(settings: &ServerTls) -> Vec<&'static SupportedProtocolVersion> {
    let known = [
        (TlsVersion::V1_3, &rustls::version::TLS13),
        (TlsVersion::V1_2, &rustls::version::TLS12),
    ];
    let max = settings.max_version.unwrap_or(TlsVersion::V1_3);
    let wanted = known.into_iter();
    let wanted = wanted.filter(|(version, _)| (settings.min_version..=max).contains(version));
    wanted.map(|(_, version)| version).collect()
}
