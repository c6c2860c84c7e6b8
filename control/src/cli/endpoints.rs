//! Flags about how endpoints are treated: retries, ejection, slow start,
//! sessions.

use super::time;
use clap::Args;
use proxy::{EndpointConfig, OutlierConfig, RetryConfig, SessionSecret};
use std::{path::Path, time::Duration};

/// The shortest secret, in bytes.
const SHORTEST_SECRET: usize = 16;

/// How endpoints are treated.
#[derive(Clone, Debug, Args)]
pub struct EndpointArgs {
    /// Requests whose connection broke are sent again if they are at most this
    /// share of the target's requests, in percent
    #[arg(long, env = "REVEILLE_RETRY_BUDGET_PERCENT", default_value = "20",
        value_parser = clap::value_parser!(u32).range(0..=100))]
    pub retry_budget_percent: u32,
    /// And so many per second and target in any case
    #[arg(long, env = "REVEILLE_RETRY_MIN_PER_SECOND", default_value = "10")]
    pub retry_min_per_second: u32,

    /// Consecutive 502, 503 or 504 after which an endpoint gets no requests for
    /// a while; 0: never
    #[arg(long, env = "REVEILLE_EJECT_GATEWAY_ERRORS", default_value = "5")]
    pub eject_gateway_errors: u16,
    /// Likewise, consecutive 5xx of any kind; 0: never
    #[arg(long, env = "REVEILLE_EJECT_SERVER_ERRORS", default_value = "5")]
    pub eject_server_errors: u16,
    /// Likewise, consecutive connections that broke, or answers that came too
    /// late; 0: never
    #[arg(long, env = "REVEILLE_EJECT_BROKEN", default_value = "5")]
    pub eject_broken: u16,
    /// At most this share of a target's endpoints is ejected for its answers,
    /// in percent; never the last one
    #[arg(long, env = "REVEILLE_EJECT_MAX_PERCENT", default_value = "50",
        value_parser = clap::value_parser!(u8).range(0..=100))]
    pub eject_max_percent: u8,

    /// A new endpoint beside older ones gets a growing share for this long;
    /// 0s: its full share at once
    #[arg(long, env = "REVEILLE_SLOW_START", default_value = "10s", value_parser = time)]
    pub slow_start: Duration,

    /// A file with a secret that session cookies are signed with; the same for
    /// all replicas of Reveille. Without it, the key follows from the route's
    /// name
    #[arg(long, env = "REVEILLE_SESSION_SECRET_FILE", value_name = "PATH", value_parser = secret)]
    pub session_secret_file: Option<SessionSecret>,
}

impl EndpointArgs {
    /// The proxy's settings.
    #[must_use]
    pub fn config(&self) -> EndpointConfig {
        EndpointConfig {
            outliers: OutlierConfig {
                gateway_errors: self.eject_gateway_errors,
                server_errors: self.eject_server_errors,
                broken: self.eject_broken,
                max_percent: self.eject_max_percent,
            },
            retries: RetryConfig {
                budget_percent: self.retry_budget_percent,
                min_per_second: self.retry_min_per_second,
            },
            slow_start: self.slow_start,
            session_secret: self.session_secret_file.clone(),
        }
    }
}

/// Reads the file at `path`; an end of line at its end is no part of it.
fn secret(path: &str) -> Result<SessionSecret, String> {
    let text =
        std::fs::read(Path::new(path)).map_err(|error| format!("cannot be read: {error}"))?;
    let secret = text.trim_ascii_end();
    if secret.len() < SHORTEST_SECRET {
        let length = secret.len();
        return Err(format!(
            "the secret must have at least {SHORTEST_SECRET} bytes, not {length}"
        ));
    }
    Ok(SessionSecret::new(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_a_file_and_a_poor_one_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        std::fs::write(path("good"), "0123456789abcdef\n").expect("written");
        std::fs::write(path("short"), "0123456789abcde\n").expect("written");
        assert_eq!(
            format!("{:?}", secret(&path("good"))),
            "Ok(SessionSecret)",
            "and it is not logged"
        );
        let error = secret(&path("short")).expect_err("too short");
        assert_eq!(error, "the secret must have at least 16 bytes, not 15");
        let error = secret(&path("missing")).expect_err("not there");
        assert!(error.starts_with("cannot be read: "), "{error}");
    }
}
