//! Compiling: what the proxy knows, in Envoy's words.
//!
//! Called by [`super::follow`]. Pure: it reads the route table and endpoints,
//! and gives resources. Whatever Envoy cannot decide exactly as our own table
//! does is sent to our proxy, which can.

pub(super) mod certificate;
pub(super) mod cluster;
pub(super) mod direct;
pub(super) mod endpoints;
mod header;
pub(super) mod hosts;
pub(super) mod listener;
mod path;
mod route;
pub(super) mod tls;

use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, SocketAddress, address,
    config_source::ConfigSourceSpecifier, socket_address::PortSpecifier,
};
use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration as WireDuration, UInt32Value};
use prost::Message;
use std::{net::SocketAddr, time::Duration};

fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

fn yes() -> Option<BoolValue> {
    Some(BoolValue { value: true })
}

/// A time in its wire form. Longer ones than Envoy takes are cut.
pub(super) fn duration(time: Duration) -> Option<WireDuration> {
    Some(WireDuration {
        seconds: i64::try_from(time.as_secs())
            .unwrap_or(i64::MAX)
            .min(315_576_000_000),
        nanos: i32::try_from(time.subsec_nanos()).unwrap_or(0),
    })
}

fn any(type_name: &str, message: &impl Message) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{type_name}"),
        value: message.encode_to_vec(),
    }
}

fn address(addr: SocketAddr) -> Option<Address> {
    Some(Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: addr.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(addr.port().into())),
            ..SocketAddress::default()
        })),
    })
}

/// "From whom you have this", on the same stream.
fn from_us() -> Option<ConfigSource> {
    Some(ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    })
}
