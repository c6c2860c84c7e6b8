//! Flags about clients' addresses: who is believed, and the PROXY protocol.

use super::positive;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use proxy::{ClientAddressConfig, ProxyProtocolMode, TrustedProxies, parse_network};
use std::time::Duration;

/// Who is believed about clients' addresses.
#[derive(Clone, Debug, Args)]
pub struct ClientAddressArgs {
    /// Networks of proxies in front of this one, such as 10.0.0.0/8,fd00::/8:
    /// their X-Forwarded-* and PROXY protocol headers are believed, everybody
    /// else's are replaced. Without it, nobody is believed
    #[arg(
        long,
        env = "REVEILLE_TRUSTED_PROXIES",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = parse_network
    )]
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections of trusted proxies begin with a PROXY protocol
    /// header (version 1 or 2); required: nobody else may connect
    #[arg(
        long,
        env = "REVEILLE_PROXY_PROTOCOL",
        value_enum,
        default_value = "off"
    )]
    pub proxy_protocol: ProxyProtocolArg,
    /// How long that header may take
    #[arg(long, env = "REVEILLE_PROXY_PROTOCOL_TIMEOUT", default_value = "5s", value_parser = positive)]
    pub proxy_protocol_timeout: Duration,
}

/// Whether connections begin with a PROXY protocol header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProxyProtocolArg {
    /// Never
    Off,
    /// Those of trusted proxies may
    Optional,
    /// All must, and only trusted proxies may connect
    Required,
}

impl ClientAddressArgs {
    /// What cannot be as it is given.
    pub(super) fn problems(&self) -> Option<String> {
        let is_on = self.proxy_protocol != ProxyProtocolArg::Off;
        (is_on && self.trusted_proxies.is_empty()).then(|| {
            "--proxy-protocol needs --trusted-proxies: the networks of the load balancers that \
             send the header (0.0.0.0/0,::/0 believes everybody)"
                .to_owned()
        })
    }

    /// As the proxy wants it.
    #[must_use]
    pub fn config(&self) -> ClientAddressConfig {
        ClientAddressConfig {
            trusted_proxies: TrustedProxies::new(self.trusted_proxies.iter().copied()),
            proxy_protocol: match self.proxy_protocol {
                ProxyProtocolArg::Off => ProxyProtocolMode::Off,
                ProxyProtocolArg::Optional => ProxyProtocolMode::Optional,
                ProxyProtocolArg::Required => ProxyProtocolMode::Required,
            },
            proxy_protocol_timeout: self.proxy_protocol_timeout,
        }
    }
}
