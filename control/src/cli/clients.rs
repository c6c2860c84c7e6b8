//! Flags for what clients may take.

use super::time;
use clap::Args;
use proxy::ClientLimits;
use std::time::Duration;

/// Limits of clients; each refuses in its own way, and is counted in
/// `reveille_refused_total`.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// Most client connections at the same time; one more gets 503 and is closed
    #[arg(long, env = "REVEILLE_MAX_CONNECTIONS", default_value = "50000",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    /// Most bytes of a request's head, from 8192; more: 431
    #[arg(long, env = "REVEILLE_MAX_HEADER_BYTES", default_value = "65536",
        value_parser = clap::value_parser!(u32).range(8192..=16_777_216))]
    pub max_header_bytes: u32,
    /// Most headers of an HTTP/1 request; more: 431. Beyond 100, each request costs more
    #[arg(long, env = "REVEILLE_MAX_HEADERS", default_value = "100",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_headers: u32,
    /// Most requests that one HTTP/2 connection may have open; more: REFUSED_STREAM
    #[arg(long, env = "REVEILLE_MAX_STREAMS", default_value = "250",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_streams: u32,
    /// Most requests that one HTTP/2 connection may give up at once, less answered ones;
    /// more: it is cut
    #[arg(long, env = "REVEILLE_MAX_RESETS", default_value = "500",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub max_resets: u32,
    /// Most connections that have switched protocols (WebSocket) or ask to; one more gets 503
    #[arg(long, env = "REVEILLE_MAX_UPGRADES", default_value = "10000")]
    pub max_upgrades: usize,
    /// How long a client that was answered early may go on sending before its connection is
    /// closed; 0s: not at all
    #[arg(long, env = "REVEILLE_LINGER_TIMEOUT", default_value = "10s", value_parser = time)]
    pub linger_timeout: Duration,
}

impl ClientArgs {
    /// As the proxy takes them.
    #[must_use]
    pub fn limits(&self) -> ClientLimits {
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        ClientLimits {
            connections: count(self.max_connections),
            header_bytes: self.max_header_bytes,
            headers: count(self.max_headers),
            streams: self.max_streams,
            resets: self.max_resets,
            upgrades: self.max_upgrades,
            linger: self.linger_timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        clients: ClientArgs,
    }

    #[test]
    fn the_defaults_are_the_proxys() {
        let parsed = Alone::try_parse_from(["x"]).expect("defaults");
        assert_eq!(parsed.clients.limits(), ClientLimits::default());
    }

    #[test]
    fn what_makes_no_sense_is_an_error_that_names_the_flag() {
        for (flag, value) in [
            ("--max-connections", "0"),
            ("--max-header-bytes", "8191"),
            ("--max-headers", "0"),
            ("--max-streams", "0"),
            ("--max-resets", "0"),
            ("--max-upgrades", "-1"),
            ("--linger-timeout", "soon"),
        ] {
            let flag_and_value = format!("{flag}={value}");
            let error = Alone::try_parse_from(["x", &flag_and_value]).err();
            let message = error.expect("an error").to_string();
            assert!(message.contains(flag), "{message}");
        }
    }
}
