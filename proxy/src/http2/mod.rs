//! HTTP/2 streams as the rest of the crate uses them, whichever side of them
//! is ours: `received.rs` is a body that comes on one, `sending.rs` one that
//! goes out, `stream_io.rs` a stream that carries another protocol.
//!
//! Frames, windows and what makes a message sound are the h2 crate's; nothing
//! here may buffer more than one piece of a body.

mod received;
mod sending;
mod stream_io;

pub(crate) use received::ReceivedBody;
pub(crate) use sending::{Broken, SendBody};
pub(crate) use stream_io::StreamIo;

use std::error::Error;

/// What a stream is reset with because of `error`: the same as the stream
/// that it comes from, if it comes from one.
pub(crate) fn reason_of(error: &(dyn Error + 'static)) -> h2::Reason {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            return h2.reason().unwrap_or(h2::Reason::INTERNAL_ERROR);
        }
        cause = error.source();
    }
    h2::Reason::INTERNAL_ERROR
}
