//! How an exchange with an endpoint broke.

use crate::http::RequestBodyError;
use std::io;

/// Why an endpoint gave no answer, a broken one, or something else.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// The connection closed before the end of the message.
    #[error("connection closed before the message was complete")]
    Closed,
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is not HTTP/1.1.
    #[error("{0}")]
    Malformed(&'static str),
    /// The request's own body ended in an error: the client's, not the
    /// endpoint's.
    #[error("the request's body broke off: {0}")]
    Upload(#[source] RequestBodyError),
    /// What HTTP/2 says about a stream or its connection.
    #[error("{0}")]
    Http2(#[source] h2::Error),
}
