//! `Backend` (local.reveille.dev/v1alpha1): addresses that are always there and never scaled.
//!
//! Decoded for local discovery.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;

use super::app_protocol::{self, AppProtocol};
use super::decode::Field;

/// What a Backend is.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendSpec {
    /// Its endpoints, at least one, each once.
    pub addresses: Vec<SocketAddr>,
    /// What they speak; default HTTP/1.1.
    pub protocol: AppProtocol,
}

impl BackendSpec {
    /// Decodes `spec`; `base_dir` is the folder of the manifest. `None` only after an error was
    /// noted.
    pub fn decode(spec: &Field<'_>, base_dir: &Path) -> Option<Self> {
        let fields = spec.map()?;
        let mut seen = HashSet::new();
        let addresses = fields.required("addresses").map(|field| {
            if field.list_is_empty() {
                field.error("must have at least one address");
            }
            field.list_of(|field| {
                let address = field.parse(parse)?;
                if !seen.insert(address) {
                    field.error(format!("{address} is listed twice"));
                }
                Some(address)
            })
        });
        let protocol = app_protocol::decode(&fields, base_dir);
        fields.finish();
        Some(Self {
            addresses: addresses?,
            protocol: protocol?,
        })
    }
}

fn parse(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok(address),
        _ => Err(format!(
            "{text:?} is not an address: use IP:port, such as 127.0.0.1:9000"
        )),
    }
}
