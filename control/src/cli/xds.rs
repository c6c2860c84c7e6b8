//! The flags of the xDS port, where Envoys connect.

use super::{
    positive, time,
    tls::{self, ClientAuthArg, VersionArg, pairs},
};
use crate::xds::{EnvoyCertificate, EnvoyListener, NodePattern, ProxyAddress, XdsSettings};
use clap::Args;
use proxy::tls::{ServerTls, TlsProblem};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Beside Envoy.
#[derive(Debug, Args)]
pub struct XdsArgs {
    /// Where Envoys connect (xDS and load reports), such as 0.0.0.0:18000 [default: nowhere]
    #[arg(long, env = "REVEILLE_XDS_ADDR", value_name = "ADDR")]
    pub xds_addr: Option<SocketAddr>,
    /// Where Envoys find the proxies of all replicas: ADDRESS:PORT or NAME:PORT (all addresses of
    /// the name); may be given several times [default: --proxy-addr, if that is one address]
    #[arg(
        long,
        env = "REVEILLE_XDS_PROXY_ADDR",
        value_name = "ADDR",
        value_delimiter = ','
    )]
    pub xds_proxy_addr: Vec<ProxyAddress>,
    /// Where Envoys are to listen that take everything from here, such as 0.0.0.0:10000
    /// [default: they have listeners of their own]
    #[arg(long, env = "REVEILLE_XDS_LISTENER", value_name = "ADDR")]
    pub xds_listener: Option<SocketAddr>,
    /// Certificate chain (PEM) of that listener, which then speaks TLS only: a file of the Envoys,
    /// which they read, and read again when it is replaced [default: the listener speaks in the
    /// clear]
    #[arg(
        long,
        env = "REVEILLE_XDS_LISTENER_TLS_CERT",
        value_name = "ENVOYS-FILE"
    )]
    pub xds_listener_tls_cert: Option<PathBuf>,
    /// Its private key (PEM), a file of the Envoys as well
    #[arg(
        long,
        env = "REVEILLE_XDS_LISTENER_TLS_KEY",
        value_name = "ENVOYS-FILE"
    )]
    pub xds_listener_tls_key: Option<PathBuf>,
    /// Envoys that may connect, by node id, or its begin and `*`; may be given several times
    /// [default: all]
    #[arg(
        long,
        env = "REVEILLE_XDS_NODES",
        value_name = "ID",
        value_delimiter = ','
    )]
    pub xds_nodes: Vec<NodePattern>,
    /// Envoys report their load this often
    #[arg(long, env = "REVEILLE_XDS_LOAD_INTERVAL", default_value = "500ms", value_parser = positive)]
    pub xds_load_interval: Duration,
    /// For so long, requests in flight at an Envoy that fell silent go on to count, and no target
    /// is called idle; likewise after the start
    #[arg(long, env = "REVEILLE_XDS_LOAD_GRACE", default_value = "15s", value_parser = time)]
    pub xds_load_grace: Duration,
    /// Most connections on the xDS port; more are closed as they come
    #[arg(
        long,
        env = "REVEILLE_XDS_MAX_CLIENTS",
        default_value = "256",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub xds_max_clients: u32,

    /// Certificate chain (PEM) of the xDS port, which then speaks TLS only; may be given several
    /// times
    #[arg(
        long,
        env = "REVEILLE_XDS_TLS_CERT",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub xds_tls_cert: Vec<PathBuf>,
    /// Private keys (PEM), in the order of the chains; without one, the key
    /// is in the file of the chain
    #[arg(
        long,
        env = "REVEILLE_XDS_TLS_KEY",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub xds_tls_key: Vec<PathBuf>,
    /// Directory of pairs, NAME.crt and NAME.key, and of such directories (a
    /// mounted secret is one); may be given several times
    #[arg(
        long,
        env = "REVEILLE_XDS_TLS_CERT_DIR",
        value_name = "DIR",
        value_delimiter = ','
    )]
    pub xds_tls_cert_dir: Vec<PathBuf>,
    /// Oldest version of TLS that Envoys may speak
    #[arg(
        long,
        env = "REVEILLE_XDS_TLS_MIN_VERSION",
        value_enum,
        default_value = "1.2"
    )]
    pub xds_tls_min_version: VersionArg,
    /// Authorities that sign the certificates of Envoys (PEM)
    #[arg(long, env = "REVEILLE_XDS_TLS_CLIENT_CA", value_name = "FILE")]
    pub xds_tls_client_ca: Option<PathBuf>,
    /// Whether Envoys must show a certificate
    #[arg(
        long,
        env = "REVEILLE_XDS_TLS_CLIENT_AUTH",
        value_enum,
        default_value = "none"
    )]
    pub xds_tls_client_auth: ClientAuthArg,
}

impl XdsArgs {
    /// What cannot be as it is given, where the proxy listens on `proxy_addr`.
    pub(super) fn problems(&self, proxy_addr: SocketAddr) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(addr) = self.xds_addr
            && self.xds_proxy_addr.is_empty()
            && proxy_addr.ip().is_unspecified()
        {
            problems.push(format!(
                "--xds-addr {addr}: the proxy listens on every address ({proxy_addr}), so say with \
                 --xds-proxy-addr where Envoys find it"
            ));
        }
        let (cert, key) = ("--xds-listener-tls-cert", "--xds-listener-tls-key");
        let files = [
            (cert, &self.xds_listener_tls_cert, key),
            (key, &self.xds_listener_tls_key, cert),
        ];
        let is_alone = self.xds_listener_tls_cert.is_some() != self.xds_listener_tls_key.is_some();
        for (flag, file, other) in files {
            let Some(file) = file else {
                continue;
            };
            let named = format!("{flag} {}", file.display());
            if self.xds_listener.is_none() {
                problems.push(format!(
                    "{named}: is for the listener that Envoys are given, and there is none: say \
                     with --xds-listener where it is to be"
                ));
            }
            if is_alone {
                problems.push(format!("{named}: needs {other} as well"));
            }
            if !file.is_absolute() {
                problems.push(format!(
                    "{named}: must be an absolute path, as the Envoys read it in their own file \
                     system"
                ));
            }
        }
        problems
    }

    /// The settings, if there is to be an xDS port.
    #[must_use]
    pub fn settings(&self) -> Option<XdsSettings> {
        Some(XdsSettings {
            addr: self.xds_addr?,
            tls: self.tls(),
            nodes: self.xds_nodes.clone(),
            proxies: self.xds_proxy_addr.clone(),
            listener: self.listener(),
            load_interval: self.xds_load_interval,
            load_grace: self.xds_load_grace,
            max_clients: usize::try_from(self.xds_max_clients).unwrap_or(usize::MAX),
        })
    }

    fn listener(&self) -> Option<EnvoyListener> {
        let files = (&self.xds_listener_tls_cert, &self.xds_listener_tls_key);
        Some(EnvoyListener {
            addr: self.xds_listener?,
            certificate: match files {
                (Some(chain), Some(key)) => Some(EnvoyCertificate {
                    chain: chain.clone(),
                    key: key.clone(),
                }),
                _ => None,
            },
        })
    }

    fn tls(&self) -> Option<ServerTls> {
        let dirs = &self.xds_tls_cert_dir;
        tls::if_meant(ServerTls {
            certificates: pairs(&self.xds_tls_cert, &self.xds_tls_key, dirs),
            client_ca: self.xds_tls_client_ca.clone(),
            client_auth: self.xds_tls_client_auth.into(),
            min_version: self.xds_tls_min_version.into(),
            ..ServerTls::default()
        })
    }
}

/// A problem with the port's TLS in the words of the command line.
#[must_use]
pub fn describe(problem: &TlsProblem) -> String {
    tls::describe_listener("xds", problem)
}
