//! Reflection, versions v1 and v1alpha: what services there are, for grpcurl
//! and its like.

use crate::DESCRIPTORS;
use tonic::service::Routes;
use tonic_reflection::server::Builder;

/// The most that a client may ask at once.
const MAX_MESSAGE: usize = 4 * 1024;

/// Services that describe all others and themselves. Make them once and clone
/// them for each connection.
#[must_use]
pub fn reflection() -> Routes {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = builder()
        .build_v1()
        .expect("checked-in descriptors are valid");
    let v1alpha = builder().build_v1alpha();
    let v1alpha = v1alpha.expect("checked-in descriptors are valid");
    Routes::new(v1.max_decoding_message_size(MAX_MESSAGE))
        .add_service(v1alpha.max_decoding_message_size(MAX_MESSAGE))
}
