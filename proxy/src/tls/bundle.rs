//! Certificates that nothing here speaks TLS with, and whose end still
//! matters to somebody: read from a text in PEM form, told apart by their
//! fingerprints.
//!
//! Called by control for bundles of others, such as Dapr's. It must never
//! repeat what else the text holds: that may be a key.

use rustls::pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use x509_parser::prelude::parse_x509_certificate;

/// A certificate, as far as its end is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundledCertificate {
    /// SHA-256 of its DER form, in hexadecimal digits.
    pub fingerprint: String,
    /// Its subject's distinguished name.
    pub subject: String,
    /// When it expires, in Unix seconds.
    pub not_after: i64,
}

/// What a text in PEM form holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Certificates that could be read, in their order.
    pub certificates: Vec<BundledCertificate>,
    /// What could not, and why.
    pub problems: Vec<String>,
}

impl Bundle {
    /// Reads all certificates of `pem`; what is none is passed over.
    #[must_use]
    pub fn read(pem: &[u8]) -> Self {
        let mut bundle = Self::default();
        for (index, section) in CertificateDer::pem_slice_iter(pem).enumerate() {
            match section
                .map_err(|error| what(&error))
                .and_then(|der| read(&der))
            {
                Ok(certificate) => bundle.certificates.push(certificate),
                Err(why) => bundle
                    .problems
                    .push(format!("certificate {}: {why}", index + 1)),
            }
        }
        if bundle.certificates.is_empty() && bundle.problems.is_empty() {
            bundle
                .problems
                .push("holds no certificate in PEM form".to_owned());
        }
        bundle
    }
}

fn read(der: &CertificateDer<'_>) -> Result<BundledCertificate, String> {
    let (_rest, parsed) =
        parse_x509_certificate(der).map_err(|error| format!("is no X.509 certificate: {error}"))?;
    let mut fingerprint = String::with_capacity(64);
    for byte in Sha256::digest(der) {
        // Writing to a string cannot fail.
        _ = write!(fingerprint, "{byte:02x}");
    }
    Ok(BundledCertificate {
        fingerprint,
        subject: parsed.subject().to_string(),
        not_after: parsed.validity().not_after.timestamp(),
    })
}

/// The library's own words repeat lines of the text.
fn what(error: &pem::Error) -> String {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "has no END line",
        pem::Error::IllegalSectionStart { .. } => "has a BEGIN line that is not one",
        pem::Error::Base64Decode(_) => "is not valid Base64",
        _ => "is not valid PEM",
    };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> String {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        params.self_signed(&key).expect("signed").pem()
    }

    #[test]
    fn all_certificates_of_a_text_and_nothing_else() {
        let (a, b) = (made("a"), made("b"));
        let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
        let bundle = Bundle::read(format!("{a}{key}some text\n{b}").as_bytes());
        assert_eq!(bundle.problems, [""; 0]);
        let subjects: Vec<_> = bundle
            .certificates
            .iter()
            .map(|one| one.subject.as_str())
            .collect();
        assert_eq!(subjects, ["CN=a", "CN=b"]);
        let [first, second] = &bundle.certificates[..] else {
            panic!("{bundle:?}")
        };
        assert_eq!(first.not_after, 1_893_542_400);
        assert_eq!(first.fingerprint.len(), 64);
        assert_ne!(first.fingerprint, second.fingerprint);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_hides_nothing_else() {
        let good = made("good");
        let cut = good.replace("-----END CERTIFICATE-----\n", "");
        for (bad, problem) in [
            (
                "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
                "certificate 1: is not valid Base64",
            ),
            (
                "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
                "certificate 1: is no X.509 certificate: ",
            ),
            (
                "-----BEGIN secret words\n",
                "certificate 1: has a BEGIN line that is not one",
            ),
        ] {
            let bundle = Bundle::read(format!("{bad}{good}").as_bytes());
            assert_eq!(bundle.certificates.len(), 1, "{bad}");
            let told = bundle.problems.join("; ");
            assert!(told.starts_with(problem), "{told}");
            assert!(!told.contains("secret words"), "{told}");
        }
        assert_eq!(
            Bundle::read(cut.as_bytes()).problems,
            ["certificate 1: has no END line"]
        );
        for nothing in ["", "hello"] {
            let problems = Bundle::read(nothing.as_bytes()).problems;
            assert_eq!(problems, ["holds no certificate in PEM form"]);
        }
    }
}
