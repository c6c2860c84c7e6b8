//! The incremental variant on the wire. A request says what is wanted from now
//! on, or no more, and may be an answer at the same time.

use super::{Message, Session, session::Answered, sotw::too_many};
use crate::xds::{Kind, resource::Version};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use tonic::Status;

/// Takes a request in.
///
/// # Errors
/// More names than anybody needs.
pub(in crate::xds) fn hear(
    session: &mut Session,
    kind: Kind,
    request: DeltaDiscoveryRequest,
) -> Result<Answered, Status> {
    let reason = request.error_detail.map(|detail| detail.message);
    let answered = session.answered(kind, &request.response_nonce, reason);
    let subscription = session.of(kind);
    let is_first = !subscription.is_asked();
    let wants_more = is_first || !request.resource_names_subscribe.is_empty();
    if wants_more && !subscription.subscribe(request.resource_names_subscribe) {
        return Err(too_many(kind));
    }
    subscription.unsubscribe(&request.resource_names_unsubscribe);
    if is_first {
        for (name, version) in request.initial_resource_versions {
            if let Some(version) = Version::parse(&version) {
                subscription.had_before(name, version);
            }
        }
    }
    Ok(answered)
}

/// A response.
pub(in crate::xds) fn response(message: Message) -> DeltaDiscoveryResponse {
    let resources = message.resources.iter().map(|one| Resource {
        name: one.name().to_string(),
        version: one.version().to_string(),
        resource: Some(one.any()),
        ..Resource::default()
    });
    DeltaDiscoveryResponse {
        system_version_info: message.version,
        resources: resources.collect(),
        type_url: message.kind.type_url().to_owned(),
        removed_resources: message
            .removed
            .iter()
            .map(|name| name.to_string())
            .collect(),
        nonce: message.nonce,
        ..DeltaDiscoveryResponse::default()
    }
}
