//! What is known of a certificate: whose it is, for which names, until when.

use rustls::pki_types::CertificateDer;
use std::path::{Path, PathBuf};
use x509_parser::{extensions::GeneralName, prelude::parse_x509_certificate};

/// A certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// What it is used for.
    pub role: CertificateRole,
    /// The file that it came from.
    pub path: PathBuf,
    /// Its subject's distinguished name.
    pub subject: String,
    /// When it expires, in Unix seconds.
    pub not_after: i64,
    /// Its DNS names, in lower case; wildcards as they are.
    pub(crate) names: Vec<String>,
}

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateRole {
    /// Clients see it.
    Server,
    /// Endpoints see it.
    Client,
    /// It signs what others show to us.
    Ca,
}

impl CertificateRole {
    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Ca => "ca",
        }
    }
}

impl CertificateFacts {
    /// Reads them from a certificate.
    ///
    /// # Errors
    /// What makes it no X.509 certificate.
    pub(super) fn of(
        der: &CertificateDer<'_>,
        role: CertificateRole,
        path: &Path,
    ) -> Result<Self, String> {
        let (_rest, parsed) = parse_x509_certificate(der)
            .map_err(|error| format!("holds something that is no X.509 certificate: {error}"))?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|error| format!("holds a certificate with unreadable names: {error}"))?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
            _ => None,
        });
        Ok(Self {
            role,
            path: path.to_owned(),
            subject: parsed.subject().to_string(),
            not_after: parsed.validity().not_after.timestamp(),
            names: names.collect(),
        })
    }
}
