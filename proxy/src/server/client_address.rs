//! Who is the client? The peer of a connection is the client, or a proxy that
//! names the client in `X-Forwarded-For`. Anybody can send that header, so it
//! is believed only from the networks that the operator trusts.
//!
//! Trust is decided once per connection (`conn.rs`). `http/headers.rs` keeps
//! or replaces what came with a request accordingly; the chain is read only
//! for who needs the client's address (access log, traces).

use super::tls::Transport;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::{IpNet, Ipv4Net};
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// A `::ffff:0:0/96` prefix has this many bits before the IPv4 ones.
const MAPPED_BITS: u8 = 96;

/// The networks whose proxies are believed. Nobody's, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Trusts peers in these networks. An IPv4-mapped IPv6 network means the
    /// IPv4 one.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().map(canonical).collect())
    }

    /// Is nobody trusted?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Is `ip` in one of the networks?
    #[must_use]
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// Reads one network: `10.0.0.0/8`, `fd00::/8`, or an address alone.
///
/// # Errors
/// Says what is wrong with `text`.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    if let Ok(ip) = IpAddr::from_str(text) {
        return Ok(IpNet::from(ip));
    }
    let network = IpNet::from_str(text).map_err(|_| {
        format!("{text:?} is not a network: write an address and a prefix length, such as 10.0.0.0/8 or fd00::/8")
    })?;
    if network.network() != network.addr() {
        return Err(format!(
            "{text:?} has bits beyond its prefix: did you mean {}?",
            network.trunc()
        ));
    }
    Ok(network)
}

fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let mapped = v6.addr().to_ipv4_mapped();
    let bits = v6.prefix_len().checked_sub(MAPPED_BITS);
    match (mapped, bits) {
        (Some(v4), Some(bits)) => Ipv4Net::new(v4, bits).map_or(network, IpNet::V4),
        _ => network,
    }
}

/// The peer of one connection, as requests need to know it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Where the connection comes from; behind a PROXY protocol header, what
    /// that says.
    pub(crate) addr: SocketAddr,
    /// Its address as a header value, made once.
    pub(crate) ip: HeaderValue,
    /// What it says about earlier hops is believed.
    pub(crate) is_trusted: bool,
    /// What the connection comes over.
    pub(crate) transport: Transport,
}

impl Peer {
    pub(crate) fn new(addr: SocketAddr, trusted: &TrustedProxies, transport: Transport) -> Self {
        let ip = addr.ip().to_canonical();
        Self {
            addr: SocketAddr::new(ip, addr.port()),
            ip: HeaderValue::from_str(&ip.to_string())
                .expect("an IP address is a valid header value"),
            is_trusted: trusted.contain(ip),
            transport,
        }
    }

    /// The client of a request on this connection: the right-most address of
    /// the chain that is not a trusted proxy's. What stands left of it, or of
    /// something that is no address, somebody may have invented. If all are
    /// trusted, the first of them asked.
    pub(crate) fn client(&self, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
        let mut client = self.addr.ip();
        if !self.is_trusted {
            return client;
        }
        for line in headers.get_all(FORWARDED_FOR).iter().rev() {
            let Ok(text) = line.to_str() else {
                return client;
            };
            for hop in text.rsplit(',') {
                let Some(ip) = hop_address(hop.trim()) else {
                    return client;
                };
                client = ip;
                if !trusted.contain(ip) {
                    return client;
                }
            }
        }
        client
    }
}

/// An address of `X-Forwarded-For`. Some proxies add the port.
fn hop_address(text: &str) -> Option<IpAddr> {
    let ip = IpAddr::from_str(text)
        .ok()
        .or_else(|| SocketAddr::from_str(text).ok().map(|addr| addr.ip()))
        .or_else(|| {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            Ipv6Addr::from_str(inner).ok().map(IpAddr::V6)
        })?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(networks: &[&str]) -> TrustedProxies {
        TrustedProxies::new(networks.iter().map(|text| parse_network(text).expect(text)))
    }

    #[test]
    fn networks_of_both_families_are_read() {
        for (text, member, other) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("::/0", "2001:db8::1", "203.0.113.9"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
            (" 10.0.0.0/8 ", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            let networks = trusted(&[text]);
            assert!(networks.contain(member.parse().expect(member)), "{text}");
            assert!(!networks.contain(other.parse().expect(other)), "{text}");
        }
        assert!(!TrustedProxies::default().contain(IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_reason() {
        for (text, said) in [
            ("10.0.0.0/33", "is not a network"),
            ("10.0.0/8", "is not a network"),
            ("fd00::/129", "is not a network"),
            ("localhost", "is not a network"),
            ("", "is not a network"),
            ("10.1.0.0/8", "did you mean 10.0.0.0/8?"),
        ] {
            let error = parse_network(text).expect_err(text);
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_client_is_the_right_most_address_that_is_not_trusted() {
        let networks = trusted(&["10.0.0.0/8", "fd00::/8"]);
        let client = |peer: &str, lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
            }
            let peer = Peer::new(
                SocketAddr::new(peer.parse().expect(peer), 1),
                &networks,
                Transport::Clear,
            );
            peer.client(&headers, &networks).to_string()
        };
        // Nobody believes a stranger.
        assert_eq!(client("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("::ffff:10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, 203.0.113.9, 10.2.2.2"]),
            "203.0.113.9"
        );
        assert_eq!(
            client("fd00::1", &["6.6.6.6", "2001:db8::7", "fd00::2,10.3.3.3"]),
            "2001:db8::7"
        );
        assert_eq!(client("10.0.0.1", &["10.4.4.4, 10.5.5.5"]), "10.4.4.4");
        assert_eq!(client("10.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["[2001:db8::7]:80"]), "2001:db8::7");
        assert_eq!(client("10.0.0.1", &["[2001:db8::7]"]), "2001:db8::7");
        // Something that is no address ends what can be known.
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, unknown, 10.2.2.2"]),
            "10.2.2.2"
        );
        assert_eq!(client("10.0.0.1", &["203.0.113.9, "]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["\"; drop"]), "10.0.0.1");
    }
}
