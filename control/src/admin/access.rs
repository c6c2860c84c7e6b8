//! Who may look: a token where one is asked for, and no page of somebody else.
//!
//! Without a token, a page on the web could make the browser of somebody who
//! sees the admin port read it, by a name that leads to its own address and then
//! to ours (DNS rebinding). Such a name is in `Host`: it must be an address, or a
//! name that nobody can buy, or one that was allowed. With a token, none of that
//! is needed: the page does not have it.
//!
//! `/livez`, `/readyz` and `/metrics` are open to whoever reaches the port.

use super::Admin;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::{fs, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

/// How often the file is looked at.
const LOOK_EACH: Duration = Duration::from_secs(5);

/// Tokens that can be guessed are worse than none: in bytes.
const SHORTEST: usize = 16;
/// The longest file that is read, in bytes.
const LONGEST_FILE: u64 = 64 << 10;

/// Ends of names that lead nowhere outside of a network of one's own.
const PRIVATE: [&str; 6] = ["localhost", "local", "internal", "test", "svc", "home.arpa"];

/// What may be set about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// A token in each line.
    pub token_file: Option<PathBuf>,
    /// Names under which the admin port is reached, beside those that are safe.
    pub hosts: Vec<String>,
}

/// Who may look.
#[derive(Debug)]
pub struct Access {
    settings: AccessSettings,
    /// Digests, so that a comparison tells nothing of a token.
    tokens: RwLock<Vec<[u8; 32]>>,
}

impl Access {
    /// Reads the tokens.
    ///
    /// # Errors
    /// The file cannot be read, or holds no usable token.
    pub fn load(settings: AccessSettings) -> Result<Self, String> {
        let tokens = match &settings.token_file {
            None => Vec::new(),
            Some(path) => {
                read(path).map_err(|why| format!("--admin-token-file {}: {why}", path.display()))?
            }
        };
        Ok(Self {
            settings,
            tokens: RwLock::new(tokens),
        })
    }

    /// Looks at the file again and again, for ever: tokens come and go. What was
    /// in use stays while it cannot be read. Cancel safe.
    pub async fn follow(self: Arc<Self>) {
        let Some(path) = self.settings.token_file.clone() else {
            return std::future::pending().await;
        };
        let mut trouble = None;
        loop {
            tokio::time::sleep(LOOK_EACH).await;
            let file = path.clone();
            let Ok(tokens) = tokio::task::spawn_blocking(move || read(&file)).await else {
                continue;
            };
            match tokens {
                Ok(tokens) => {
                    trouble = None;
                    if *self.tokens.read() != tokens {
                        *self.tokens.write() = tokens;
                        tracing::info!(path = %path.display(), "the admin tokens are others now");
                    }
                }
                Err(why) if trouble.as_ref() != Some(&why) => {
                    tracing::error!(path = %path.display(), "admin tokens not reloaded: {why}");
                    trouble = Some(why);
                }
                Err(_) => {}
            }
        }
    }

    fn wants_token(&self) -> bool {
        self.settings.token_file.is_some()
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(header::AUTHORIZATION);
        let said = said.and_then(|said| said.to_str().ok());
        let Some((scheme, token)) = said.and_then(|said| said.split_once(' ')) else {
            return false;
        };
        let digest: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        // All are looked at, whichever fits.
        let known = self.tokens.read();
        let fits = known
            .iter()
            .fold(false, |fits, one| fits | (*one == digest));
        is_bearer && fits
    }

    /// Is this a name that only somebody in the same network can have given?
    fn is_safe_host(&self, host: &str) -> bool {
        let name = without_port(host).trim_end_matches('.');
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok() {
            return true;
        }
        let name = name.to_ascii_lowercase();
        let ends = |end: &&str| {
            name.strip_suffix(*end)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        !name.contains('.')
            || PRIVATE.iter().any(ends)
            || self
                .settings
                .hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(&name))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn read(path: &std::path::Path) -> Result<Vec<[u8; 32]>, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > LONGEST_FILE {
        return Err(format!("longer than {LONGEST_FILE} bytes"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let tokens = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let digest = |(nth, token): (usize, &str)| {
        if token.len() < SHORTEST {
            let line = nth + 1;
            return Err(format!("token {line} is shorter than {SHORTEST} bytes"));
        }
        Ok(Sha256::digest(token.as_bytes()).into())
    };
    let tokens: Vec<[u8; 32]> = tokens.enumerate().map(digest).collect::<Result<_, _>>()?;
    match tokens.is_empty() {
        true => Err("there is no token in it: write one in a line".to_owned()),
        false => Ok(tokens),
    }
}

/// In front of the API: a token, if there is one.
pub(super) async fn check_token(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
    let access = &admin.access;
    if !access.wants_token() || access.has_token(request.headers()) {
        return next.run(request).await;
    }
    let said = "this needs the admin token: Authorization: Bearer TOKEN\n";
    let ask = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, ask, said).into_response()
}

/// In front of the API and the page: not for a page of somebody else.
pub(super) async fn check_host(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &header::HeaderValue| value.to_str().ok())
    };
    let host = text(header::HOST).unwrap_or_default().to_owned();
    if !admin.access.wants_token() && !admin.access.is_safe_host(&host) {
        let name = without_port(&host);
        tracing::debug!(host, "admin request refused: a name that is not known");
        let said = format!(
            "the admin port is not served as {name:?}: start reveille with \
             --admin-host {name} or with --admin-token-file\n"
        );
        return (StatusCode::FORBIDDEN, said).into_response();
    }
    let origin = text(header::ORIGIN);
    let is_own = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(&host))
    };
    if origin.is_some_and(|origin| !is_own(origin)) {
        let said = "a page of another origin may not ask this\n";
        return (StatusCode::FORBIDDEN, said).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn names_that_can_be_bought_are_not_safe() {
        let access = Access::load(AccessSettings {
            token_file: None,
            hosts: vec!["admin.example.com".to_owned()],
        });
        let access = access.expect("nothing to read");
        for safe in [
            "127.0.0.1:9901",
            "[::1]:9901",
            "10.0.0.7",
            "localhost:9901",
            "reveille.localhost",
            "reveille-admin:9901",
            "reveille-admin.keda.svc",
            "reveille-admin.keda.svc.cluster.local.",
            "ADMIN.example.com",
            "",
        ] {
            assert!(access.is_safe_host(safe), "{safe}");
        }
        for not in [
            "evil.com",
            "127.0.0.1.evil.com:9901",
            "localhost.evil.com",
            "xlocalhost.com",
            "cluster.local.evil.com",
        ] {
            assert!(!access.is_safe_host(not), "{not}");
        }
    }

    #[test]
    fn every_line_is_a_token_and_short_ones_are_refused() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let settings = AccessSettings {
            token_file: Some(file.path().to_owned()),
            hosts: Vec::new(),
        };
        let why = Access::load(settings.clone()).expect_err("empty");
        assert!(
            why.ends_with("there is no token in it: write one in a line"),
            "{why}"
        );
        file.write_all(b"0123456789abcdef\n\n  fedcba9876543210 \n")
            .expect("written");
        let access = Access::load(settings.clone()).expect("two tokens");
        let headers = |value: &str| {
            let value = header::HeaderValue::from_str(value).expect("a value");
            HeaderMap::from_iter([(header::AUTHORIZATION, value)])
        };
        assert!(access.has_token(&headers("Bearer 0123456789abcdef")));
        assert!(access.has_token(&headers("bearer fedcba9876543210")));
        for wrong in [
            "Bearer 0123456789abcdeF",
            "Basic 0123456789abcdef",
            "Bearer",
            "Bearer ",
        ] {
            assert!(!access.has_token(&headers(wrong)), "{wrong}");
        }
        assert!(!access.has_token(&HeaderMap::new()));
        file.write_all(b"short\n").expect("written");
        let why = Access::load(settings).expect_err("a short one");
        assert!(why.ends_with("token 3 is shorter than 16 bytes"), "{why}");
    }
}
