//! Where a page of metrics is: `host:port`.
//!
//! Read from manifests and from files of addresses. Pure: no name is resolved
//! here.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// Longest part of a text that an error repeats, in characters.
const SHOWN: usize = 80;

/// A host, by name or by IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: String,
    port: u16,
}

/// Not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address: use host:port, such as 127.0.0.1:9090 or [::1]:9090")]
pub struct BadAddress(String);

impl Address {
    /// The name or the IP address, an IPv6 one without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, from 1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Self {
            host: addr.ip().to_string(),
            port: addr.port(),
        }
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        parse(text).ok_or_else(|| BadAddress(text.chars().take(SHOWN).collect()))
    }
}

fn parse(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port > 0)?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bracketed {
        Some(host) => host.parse::<Ipv6Addr>().ok().map(|_| host)?,
        None => Some(host).filter(|host| is_name(host))?,
    };
    Some(Address {
        host: host.to_owned(),
        port,
    })
}

fn is_name(host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.len() <= 253 && host.bytes().all(fits)
}

impl fmt::Display for Address {
    /// As it is written, and as the label `instance` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for text in [
            "127.0.0.1:9090",
            "[::1]:9090",
            "localhost:1",
            "nodeapp-dapr.default.svc.cluster.local:65535",
            "my_host:80",
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        let address: Address = "[::1]:9090".parse().unwrap();
        assert_eq!((address.host(), address.port()), ("::1", 9090));
    }

    #[test]
    fn what_is_no_address_is_told() {
        for text in [
            "",
            ":",
            "a",
            "a:",
            ":80",
            "a:0",
            "a:65536",
            "a:+1",
            "::1:80",
            "[::1]",
            "[a]:80",
            "a b:80",
            "http://a:80",
            "a:80/metrics",
            "a@b:80",
            "größe:1",
        ] {
            text.parse::<Address>().expect_err(text);
        }
        let error = "9090".parse::<Address>().unwrap_err().to_string();
        assert!(error.starts_with("\"9090\" is not an address: use host:port"));
        let long = "x".repeat(1 << 20).parse::<Address>().unwrap_err();
        assert!(long.to_string().len() < 200);
    }
}
