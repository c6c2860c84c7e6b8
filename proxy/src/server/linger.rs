//! The end of a connection whose client still sends (RFC 9112 section 9.6).
//!
//! A socket that is closed with unread bytes, or that gets more of them, says
//! so with a reset, and a client that sees one may lose the answer which it
//! has not read yet. So: the sending side ends first, and what comes is read
//! and forgotten, until the client has read the answer and closes too, within
//! bounds.

use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// Who has not sent anything for so long has either read the answer, or never
/// will.
const SILENCE: Duration = Duration::from_secs(5);
/// Nobody is helped by an upload that goes on for ever.
const MOST_BYTES: usize = 256 * 1024 * 1024;
const BUFFER: usize = 16 * 1024;

/// Ends the sending side and forgets what comes, until the client closes its
/// own, or is silent, for `limit` at most.
///
/// Cancel safe.
pub(super) async fn linger(mut io: impl AsyncRead + AsyncWrite + Unpin, limit: Duration) {
    if limit.is_zero() || io.shutdown().await.is_err() {
        return;
    }
    let forget = async {
        let mut buffer = vec![0; BUFFER];
        let mut read = 0;
        while read < MOST_BYTES {
            match timeout(SILENCE, io.read(&mut buffer)).await {
                Ok(Ok(count)) if count > 0 => read += count,
                _ => return,
            }
        }
    };
    let _in_time = timeout(limit, forget).await;
}
