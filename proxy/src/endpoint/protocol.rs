//! What an endpoint speaks.

/// The protocol of an endpoint, given when it is made: which one a server in
/// clear text speaks cannot be asked, only known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: one request at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2 in clear text by prior knowledge (RFC 9113 section 3.3): many
    /// requests at a time on a connection. gRPC needs it.
    H2c,
}
