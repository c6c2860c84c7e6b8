//! The state-of-the-world variant on the wire. Each request names all that is
//! wanted, and may be an answer at the same time.

use super::{Message, Session, session::Answered, subscription::MOST_NAMES};
use crate::xds::Kind;
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use tonic::Status;

/// Takes a request in.
///
/// # Errors
/// More names than anybody needs.
pub(in crate::xds) fn hear(
    session: &mut Session,
    kind: Kind,
    request: DiscoveryRequest,
) -> Result<Answered, Status> {
    let reason = request.error_detail.map(|detail| detail.message);
    let answered = session.answered(kind, &request.response_nonce, reason);
    let subscription = session.of(kind);
    if answered == Answered::Other {
        if subscription.standing().is_waiting {
            // Sent before our last response came: its answer will name all.
            return Ok(answered);
        }
        if subscription.asks_the_same(&request.resource_names) {
            // It wants them again.
            subscription.forget_named();
        }
    }
    if !subscription.subscribe_to_just(request.resource_names) {
        return Err(too_many(kind));
    }
    Ok(answered)
}

/// More than [`MOST_NAMES`].
pub(super) fn too_many(kind: Kind) -> Status {
    Status::resource_exhausted(format!(
        "more than {MOST_NAMES} resources of kind {} are asked for by name",
        kind.as_str()
    ))
}

/// A response.
pub(in crate::xds) fn response(message: Message) -> DiscoveryResponse {
    DiscoveryResponse {
        version_info: message.version,
        resources: message.resources.iter().map(|one| one.any()).collect(),
        type_url: message.kind.type_url().to_owned(),
        nonce: message.nonce,
        ..DiscoveryResponse::default()
    }
}
