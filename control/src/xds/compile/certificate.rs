//! TLS on the listener that Envoys are given: with a certificate and a key of
//! Envoy's own file system.
//!
//! Named in a secret, not in the listener: Envoy watches the files of a secret
//! and takes renewed ones. It must never hold a key: whatever goes to an Envoy
//! may go there in the clear.

use super::{any, from_us};
use crate::xds::{EnvoyCertificate, Kind, Resource, names};
use envoy_types::pb::envoy::{
    config::core::v3::{DataSource, TransportSocket, data_source, transport_socket::ConfigType},
    extensions::transport_sockets::tls::v3::{
        CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, Secret, TlsCertificate, secret,
    },
};
use std::{path::Path, sync::Arc};

/// TLS with the certificate of [`certificate`], and in it HTTP/2 or HTTP/1.1.
pub(super) fn socket() -> TransportSocket {
    let common = CommonTlsContext {
        alpn_protocols: ["h2", "http/1.1"].map(str::to_owned).to_vec(),
        tls_certificate_sds_secret_configs: vec![SdsSecretConfig {
            name: names::CERTIFICATE.to_owned(),
            sds_config: from_us(),
        }],
        ..CommonTlsContext::default()
    };
    let context = DownstreamTlsContext {
        common_tls_context: Some(common),
        ..DownstreamTlsContext::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(any(
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            &context,
        ))),
    }
}

/// Where Envoy finds the certificate of its listener.
pub(in crate::xds) fn certificate(files: &EnvoyCertificate) -> Arc<Resource> {
    let file = |path: &Path| {
        let name = path.to_string_lossy().into_owned();
        Some(DataSource {
            specifier: Some(data_source::Specifier::Filename(name)),
            ..DataSource::default()
        })
    };
    let certificate = TlsCertificate {
        certificate_chain: file(&files.chain),
        private_key: file(&files.key),
        ..TlsCertificate::default()
    };
    let secret = Secret {
        name: names::CERTIFICATE.to_owned(),
        r#type: Some(secret::Type::TlsCertificate(certificate)),
    };
    Resource::new(Kind::Secret, names::CERTIFICATE, &secret)
}
