//! `appProtocol`: what the endpoints of a workload speak, in the words of a Service's port; and
//! `tls`, which says how, where that is TLS.
//!
//! Decoded for `Process` and `Backend`. It must never look at the files that it names: whether they
//! are there is found out when they are used.

use std::path::{Path, PathBuf};

use proxy::{Protocol, tls::UpstreamTls};

use super::decode::{Field, Fields};

/// What the endpoints of a workload speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppProtocol {
    /// In clear text.
    Clear(Protocol),
    /// TLS, and in it what both sides agree on.
    Tls {
        /// HTTP/2 is not offered to them.
        http1_only: bool,
        /// Whom to trust and what to show.
        settings: UpstreamTls,
    },
}

impl AppProtocol {
    /// What `appProtocol` of a Service's port means. As in the HTTP add-on, what
    /// is not known, and nothing, is HTTP/1.1 in clear text.
    #[must_use]
    pub fn of_service_port(word: Option<&str>) -> Self {
        match word.map(parse) {
            Some(Ok(Word::Clear(protocol))) => Self::Clear(protocol),
            Some(Ok(word @ (Word::Https | Word::Wss))) => Self::Tls {
                http1_only: word == Word::Wss,
                settings: UpstreamTls::default(),
            },
            Some(Err(_)) | None => Self::Clear(Protocol::Http1),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Clear(Protocol),
    Https,
    Wss,
}

/// Decodes `appProtocol` and `tls`; HTTP/1.1 in clear text where both are absent. `None` only after
/// an error was noted. `base_dir` is the folder of the manifest.
pub(super) fn decode(fields: &Fields<'_>, base_dir: &Path) -> Option<AppProtocol> {
    let word = match fields.optional("appProtocol") {
        Some(field) => field.parse(parse),
        None => Some(Word::Clear(Protocol::Http1)),
    };
    let tls = fields.optional("tls");
    let settings = match &tls {
        Some(field) => settings(field, base_dir),
        None => Some(UpstreamTls::default()),
    };
    let http1_only = match word? {
        Word::Clear(protocol) => {
            if let Some(field) = &tls {
                field.error("needs appProtocol: https or kubernetes.io/wss");
            }
            return Some(AppProtocol::Clear(protocol));
        }
        Word::Https => false,
        Word::Wss => true,
    };
    Some(AppProtocol::Tls {
        http1_only,
        settings: settings?,
    })
}

fn parse(text: &str) -> Result<Word, String> {
    match text {
        "http" | "kubernetes.io/ws" => Ok(Word::Clear(Protocol::Http1)),
        "kubernetes.io/h2c" | "grpc" => Ok(Word::Clear(Protocol::H2c)),
        "https" => Ok(Word::Https),
        "kubernetes.io/wss" => Ok(Word::Wss),
        _ => Err(format!(
            "must be http, https, kubernetes.io/h2c, kubernetes.io/ws, kubernetes.io/wss or grpc, \
             not {text:?}"
        )),
    }
}

/// Decodes `tls`: whom to trust and what to show.
pub(super) fn settings(tls: &Field<'_>, base_dir: &Path) -> Option<UpstreamTls> {
    let fields = tls.map()?;
    let file = |name| {
        let field: Field<'_> = fields.optional(name)?;
        field.non_empty().map(|path| resolve(base_dir, path))
    };
    let settings = UpstreamTls {
        ca: file("caFile"),
        client_cert: file("clientCertFile"),
        client_key: file("clientKeyFile"),
        server_name: fields
            .optional("serverName")
            .and_then(|field| field.non_empty().map(str::to_owned)),
        insecure_skip_verify: fields
            .optional("insecureSkipVerify")
            .and_then(|field| field.bool())
            .unwrap_or_default(),
    };
    fields.finish();
    if settings.client_cert.is_some() != settings.client_key.is_some() {
        tls.error("'clientCertFile' and 'clientKeyFile' must be set together");
    }
    Some(settings)
}

/// A path of a manifest, made absolute: relative ones are meant from its folder.
pub(super) fn resolve(base_dir: &Path, path: &str) -> PathBuf {
    let joined = base_dir.join(path);
    // Fails only where the current directory is gone; then relative is the best there is.
    std::path::absolute(&joined).unwrap_or(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_ports_values() {
        for (text, expected) in [
            ("http", Word::Clear(Protocol::Http1)),
            ("kubernetes.io/ws", Word::Clear(Protocol::Http1)),
            ("kubernetes.io/h2c", Word::Clear(Protocol::H2c)),
            ("grpc", Word::Clear(Protocol::H2c)),
            ("https", Word::Https),
            ("kubernetes.io/wss", Word::Wss),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in ["HTTPS", "HTTP", "h2c", "wss", ""] {
            parse(text).expect_err(text);
        }
    }
}
