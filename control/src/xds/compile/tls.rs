//! TLS towards endpoints, on the terms of our own proxy: whom it trusts, whom a
//! certificate must name, what is spoken in it.
//!
//! It must never hold a key.

use super::{any, from_us};
use crate::xds::{Kind, Resource, names};
use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::cluster::TransportSocketMatch,
            core::v3::{
                DataSource, Metadata, TransportSocket, data_source, transport_socket::ConfigType,
            },
        },
        extensions::transport_sockets::tls::v3::{
            CertificateValidationContext, CommonTlsContext, SdsSecretConfig, Secret,
            SubjectAltNameMatcher, TlsParameters, UpstreamTlsContext,
            common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
            secret,
            subject_alt_name_matcher::SanType,
            tls_parameters::TlsProtocol,
        },
        r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
    },
    google::protobuf::{Struct, Value, value},
};
use proxy::tls::{ServerIdentity, Spoken, Terms};
use std::{collections::HashMap, sync::Arc};

/// By what Envoy finds the transport socket of an endpoint.
const MATCHED_BY: &str = "envoy.transport_socket_match";

fn mark() -> Struct {
    let yes = Value {
        kind: Some(value::Kind::BoolValue(true)),
    };
    Struct {
        fields: HashMap::from([("tls".to_owned(), yes)]),
    }
}

/// What marks an endpoint that speaks TLS.
pub(super) fn metadata() -> Metadata {
    Metadata {
        filter_metadata: HashMap::from([(MATCHED_BY.to_owned(), mark())]),
        ..Metadata::default()
    }
}

/// TLS for endpoints with that mark. Others of the cluster, our proxies, are
/// spoken to in the clear.
pub(super) fn for_marked(terms: &Terms, spoken: Spoken) -> TransportSocketMatch {
    TransportSocketMatch {
        name: "tls".to_owned(),
        r#match: Some(mark()),
        transport_socket: Some(TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(ConfigType::TypedConfig(any(
                "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                &context(terms, spoken),
            ))),
        }),
    }
}

fn context(terms: &Terms, spoken: Spoken) -> UpstreamTlsContext {
    let alpn = match spoken {
        Spoken::Http1 => "http/1.1",
        Spoken::H2 => "h2",
    };
    UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(versions()),
            alpn_protocols: vec![alpn.to_owned()],
            validation_context_type: validation(terms),
            ..CommonTlsContext::default()
        }),
        sni: match &terms.server {
            ServerIdentity::Dns(name) => name.clone(),
            ServerIdentity::Ip(_) => String::new(),
        },
        ..UpstreamTlsContext::default()
    }
}

/// Those that our proxy speaks. Envoy's own newest one towards endpoints is 1.2.
fn versions() -> TlsParameters {
    TlsParameters {
        tls_minimum_protocol_version: TlsProtocol::TlSv12.into(),
        tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
        ..TlsParameters::default()
    }
}

/// `None`: any certificate will do.
fn validation(terms: &Terms) -> Option<ValidationContextType> {
    let authorities = names::authorities(&terms.trust)?;
    let (san_type, pattern) = match &terms.server {
        ServerIdentity::Dns(name) => {
            let regex = RegexMatcher {
                regex: presented(name),
                ..RegexMatcher::default()
            };
            (SanType::Dns, MatchPattern::SafeRegex(regex))
        }
        ServerIdentity::Ip(ip) => (SanType::IpAddress, MatchPattern::Exact(ip.to_string())),
    };
    let named = SubjectAltNameMatcher {
        san_type: san_type.into(),
        matcher: Some(StringMatcher {
            match_pattern: Some(pattern),
            ..StringMatcher::default()
        }),
        ..SubjectAltNameMatcher::default()
    };
    let context = CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: vec![named],
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(SdsSecretConfig {
            name: authorities,
            sds_config: from_us(),
        }),
        ..CombinedCertificateValidationContext::default()
    };
    Some(ValidationContextType::CombinedValidationContext(context))
}

/// The names of certificates that are good for `name`: itself, and the wildcard
/// for its first label if two labels are left, as rustls has it. Envoy's own
/// comparison knows more wildcards.
fn presented(name: &str) -> String {
    let literal = |text: &str| text.replace('.', r"\.");
    let wildcard = name
        .split_once('.')
        .map(|(_, parent)| parent)
        .filter(|parent| parent.contains('.'));
    match wildcard {
        Some(parent) => format!(r"(?i)(?:{}|\*\.{})", literal(name), literal(parent)),
        None => format!("(?i){}", literal(name)),
    }
}

/// Authorities under their name.
pub(in crate::xds) fn authorities(name: &str, pem: &str) -> Arc<Resource> {
    let trusted = DataSource {
        specifier: Some(data_source::Specifier::InlineString(pem.to_owned())),
        ..DataSource::default()
    };
    let context = CertificateValidationContext {
        trusted_ca: Some(trusted),
        ..CertificateValidationContext::default()
    };
    let secret = Secret {
        name: name.to_owned(),
        r#type: Some(secret::Type::ValidationContext(context)),
    };
    Resource::new(Kind::Secret, name, &secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_the_first_of_three_labels() {
        for (name, regex) in [
            ("localhost", r"(?i)localhost"),
            ("web.default", r"(?i)web\.default"),
            ("a.b.test", r"(?i)(?:a\.b\.test|\*\.b\.test)"),
        ] {
            assert_eq!(presented(name), regex);
        }
    }
}
