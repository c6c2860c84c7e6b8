//! Where Envoys find our proxies: addresses, or names that are looked up again
//! and again. What was found stays until something else is.

use serde::Serialize;
use std::{collections::BTreeSet, fmt, net::SocketAddr, str::FromStr, time::Duration};
use tokio::{net::lookup_host, sync::watch};

/// Names are looked up this often.
const LOOK_UP_EACH: Duration = Duration::from_secs(5);

/// One of them, or all behind one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ProxyAddress {
    /// This one.
    Address(SocketAddr),
    /// `NAME:PORT`, all addresses of the name.
    Name(String),
}

impl FromStr for ProxyAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return if addr.ip().is_unspecified() || addr.port() == 0 {
                Err(format!("nobody can connect to {addr}"))
            } else {
                Ok(Self::Address(addr))
            };
        }
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        match text.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() && !name.contains(':') && is_port(port) => {
                Ok(Self::Name(text.to_owned()))
            }
            _ => Err("must be ADDRESS:PORT or NAME:PORT".to_owned()),
        }
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(addr) => addr.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Tells `found` where they are, for ever. Cancellation safe.
pub(super) async fn find(proxies: Vec<ProxyAddress>, found: watch::Sender<Vec<SocketAddr>>) {
    let mut failing = BTreeSet::new();
    loop {
        let mut addresses = BTreeSet::new();
        let mut is_complete = true;
        for proxy in &proxies {
            match proxy {
                ProxyAddress::Address(addr) => {
                    addresses.insert(*addr);
                }
                ProxyAddress::Name(name) => match lookup_host(name).await {
                    Ok(all) => {
                        failing.remove(name);
                        addresses.extend(all);
                    }
                    Err(error) => {
                        is_complete = false;
                        if failing.insert(name) {
                            tracing::warn!(
                                name, %error,
                                "--xds-proxy-addr cannot be looked up: Envoys keep the addresses \
                                 that were found last"
                            );
                        }
                    }
                },
            }
        }
        let addresses: Vec<SocketAddr> = addresses.into_iter().collect();
        if is_complete && !addresses.is_empty() {
            found.send_if_modified(|known| {
                let changed = *known != addresses;
                *known = addresses;
                changed
            });
        }
        tokio::time::sleep(LOOK_UP_EACH).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_a_name_with_a_port() {
        for good in ["10.0.0.1:8080", "[::1]:80", "reveille.keda.svc:8080"] {
            assert_eq!(good.parse::<ProxyAddress>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "name",
            "name:",
            "name:0",
            ":80",
            "0.0.0.0:80",
            "10.0.0.1:0",
            "a:b:1",
        ] {
            assert!(bad.parse::<ProxyAddress>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn all_that_are_named_are_told() {
        let (found, mut told) = watch::channel(Vec::new());
        let proxies = ["127.0.0.1:1", "localhost:2", "127.0.0.1:1"];
        let proxies = proxies.map(|text| text.parse().unwrap()).to_vec();
        let finding = tokio::spawn(find(proxies, found));
        told.changed().await.unwrap();
        let addresses = told.borrow().clone();
        assert_eq!(addresses.first(), Some(&"127.0.0.1:1".parse().unwrap()));
        assert!(addresses.iter().any(|addr| addr.port() == 2));
        finding.abort();
    }
}
