//! A virtual host in its wire form: encoded once, whatever route
//! configurations it is in.
//!
//! Made by [`super::compile::hosts`], put together by [`super::Resource`].

use super::Version;
use bytes::Bytes;
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use prost::Message;
use std::sync::Arc;

/// One virtual host.
#[derive(Debug)]
pub(super) struct Host {
    name: Arc<str>,
    domains: Vec<String>,
    version: Version,
    field: Bytes,
}

impl Host {
    /// Encodes `host`.
    pub(super) fn new(host: VirtualHost) -> Arc<Self> {
        let (name, domains) = (host.name.as_str().into(), host.domains.clone());
        // Messages of one type that follow one another are one message, with
        // the repeated fields of all.
        let alone = RouteConfiguration {
            virtual_hosts: vec![host],
            ..RouteConfiguration::default()
        };
        let field = Bytes::from(alone.encode_to_vec());
        Arc::new(Self {
            name,
            domains,
            version: Version::of(&field),
            field,
        })
    }

    /// Its name, which no other of a configuration has.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whose requests it is for.
    pub(super) fn domains(&self) -> &[String] {
        &self.domains
    }

    /// Which state of it this is.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// What adds it to a route configuration.
    pub(super) fn field(&self) -> &[u8] {
        &self.field
    }
}
