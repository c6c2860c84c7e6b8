//! Which certificate a client gets: the one whose names have what it asks for
//! (SNI, RFC 6066 section 3).
//!
//! The exact name first, then the wildcard of its parent (`*.x` stands for one
//! label, RFC 6125 section 6.4.3), then the default.

use super::certificate::CertificateFacts;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{collections::HashMap, sync::Arc};

/// Certificates by name.
#[derive(Debug)]
pub(super) struct ByName {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what comes after `*.`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    /// The first one is the default. Several of a name are fine: who knows no
    /// ECDSA gets the one with the RSA key.
    pub(super) fn new<'a>(
        all: impl Iterator<Item = (&'a CertificateFacts, &'a Arc<CertifiedKey>)>,
    ) -> Self {
        let mut by_name = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            default: Vec::new(),
        };
        for (facts, key) in all {
            if by_name.default.is_empty() {
                by_name.default.push(key.clone());
            }
            for name in &facts.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut by_name.wildcard, parent),
                    None => (&mut by_name.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_default().push(key.clone());
            }
        }
        by_name
    }

    /// The certificates for a server name, the preferred one first.
    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else {
            return &self.default;
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let found = self.exact.get(&name).or_else(|| {
            let (_label, parent) = name.split_once('.')?;
            self.wildcard.get(parent)
        });
        found.unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let all = self.candidates(hello.server_name());
        let known = hello.signature_schemes();
        let fits = all
            .iter()
            .find(|key| key.key.choose_scheme(known).is_some());
        fits.or(all.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{CertificateRole, crypto::provider};
    use rustls::pki_types::PrivateKeyDer;

    fn certified(name: &str, sans: &[&str]) -> (CertificateFacts, Arc<CertifiedKey>) {
        let sans: Vec<String> = sans.iter().map(|&san| san.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(sans).expect("good names");
        let secret = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let chain = vec![made.cert.der().clone()];
        let facts = CertificateFacts::of(&chain[0], CertificateRole::Server, name.as_ref());
        let key = CertifiedKey::from_der(chain, secret, provider()).expect("a pair");
        (facts.expect("a certificate"), Arc::new(key))
    }

    #[test]
    fn exact_then_wildcard_of_one_label_then_default() {
        let all = [
            certified("first", &["first.test"]),
            certified("wild", &["*.a.test", "A.test."]),
            certified("exact", &["x.a.test"]),
            certified("second", &["*.a.test"]),
        ];
        let by_name = ByName::new(all.iter().map(|(facts, key)| (facts, key)));
        for (name, wanted) in [
            (None, 0),
            (Some("first.test"), 0),
            (Some("a.test"), 1),
            (Some("A.TEST"), 1),
            (Some("b.a.test"), 1),
            (Some("x.a.test"), 2),
            (Some("X.a.test."), 2),
            (Some("y.x.a.test"), 0),
            (Some("other.test"), 0),
            (Some("test"), 0),
            (Some("*.a.test"), 1),
        ] {
            let chosen = &by_name.candidates(name)[0];
            assert!(Arc::ptr_eq(chosen, &all[wanted].1), "{name:?}");
        }
        assert_eq!(by_name.candidates(Some("b.a.test")).len(), 2);
    }
}
