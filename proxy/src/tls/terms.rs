//! What a connector insists on, for somebody else who is to connect to the same
//! servers and must be no less careful.
//!
//! Read by control, for Envoys. It must never give away a key: whoever reads it
//! may show it to anybody.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, ServerName};
use std::{net::IpAddr, path::PathBuf};

/// What a connector insists on, for as long as it exists. The content of its
/// files may change: see [`Connector::anchors`](super::Connector::anchors).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whom a certificate must name.
    pub server: ServerIdentity,
    /// Who must have signed it.
    pub trust: Trust,
    /// A certificate of its own is shown to whoever asks.
    pub shows_certificate: bool,
}

/// Whom a certificate must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerIdentity {
    /// This DNS name, which is asked for as well (SNI). Without a dot at its
    /// end.
    Dns(String),
    /// This address; nothing is asked for.
    Ip(IpAddr),
}

/// Who must have signed a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// Nobody: any certificate will do, whatever it names.
    Anyone,
    /// Authorities of the system.
    System,
    /// Those in this file.
    File(PathBuf),
}

impl From<&ServerName<'_>> for ServerIdentity {
    fn from(name: &ServerName<'_>) -> Self {
        match name {
            ServerName::IpAddress(ip) => Self::Ip((*ip).into()),
            other => Self::Dns(other.to_str().trim_end_matches('.').to_owned()),
        }
    }
}

/// Certificates in PEM form, and nothing but them, whatever they came with.
pub(super) fn pem<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> String {
    let mut pem = String::new();
    for certificate in certificates {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = STANDARD.encode(certificate);
        let (lines, rest) = text.as_bytes().as_chunks::<64>();
        let lines = lines.iter().map(<[u8; 64]>::as_slice);
        for line in lines.chain((!rest.is_empty()).then_some(rest)) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Tls, UpstreamTls};
    use rustls::pki_types::pem::PemObject;
    use std::fs;

    #[test]
    fn nothing_but_certificates_is_given_away_and_what_is_renewed_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        let made = ["old", "new"].map(|name| {
            let key = rcgen::KeyPair::generate().expect("a key");
            let mut params = rcgen::CertificateParams::default();
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&key).expect("signed");
            (
                certificate.der().clone(),
                certificate.pem(),
                key.serialize_pem(),
            )
        });
        let write = |(_, certificate, key): &(_, String, String)| {
            fs::write(&path, format!("{key}words\n{certificate}")).expect("written");
        };
        write(&made[0]);
        let tls = Tls::none();
        let settings = UpstreamTls {
            ca: Some(path.clone()),
            ..UpstreamTls::default()
        };
        let connector = tls.connector(&settings, "web.default", false);
        let connector = connector.expect("a good file");
        let expected = Terms {
            server: ServerIdentity::Dns("web.default".to_owned()),
            trust: Trust::File(path.clone()),
            shows_certificate: false,
        };
        assert_eq!(*connector.terms(), expected);
        let trusted = || connector.anchors().expect("somebody is trusted");
        assert_eq!(*trusted(), pem([&made[0].0]));
        write(&made[1]);
        tls.refresh();
        assert_eq!(*trusted(), pem([&made[1].0]));

        let anyone = UpstreamTls {
            insecure_skip_verify: true,
            ..settings
        };
        let connector = tls.connector(&anyone, "web.default", false);
        let connector = connector.expect("a good file");
        assert_eq!(connector.terms().trust, Trust::Anyone);
        assert_eq!(connector.anchors(), None);
    }

    #[test]
    fn certificates_are_written_as_they_were_read() {
        let made = ["a.test", "b.test"].map(|name| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]);
            made.expect("a good name").cert.der().clone()
        });
        let text = pem(&made);
        let read = CertificateDer::pem_slice_iter(text.as_bytes());
        let read: Vec<_> = read.map(|one| one.expect("good PEM")).collect();
        assert_eq!(read, made);
        assert!(text.lines().all(|line| line.len() <= 64), "{text}");
    }

    #[test]
    fn a_dot_at_the_end_of_a_name_is_no_part_of_it() {
        let of = |text: &str| {
            let name = ServerName::try_from(text.to_owned()).expect("a name");
            ServerIdentity::from(&name)
        };
        assert_eq!(
            of("web.default."),
            ServerIdentity::Dns("web.default".to_owned())
        );
        assert_eq!(of("::1"), ServerIdentity::Ip("::1".parse().unwrap()));
    }
}
