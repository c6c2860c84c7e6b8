//! A complete answer to an incomplete request: what becomes of the rest.
//!
//! It goes on to the endpoint for as long as something moves. If nothing does,
//! because the endpoint takes no more or the client sends no more, the
//! connection to the endpoint is closed, and with it the body is given up. An
//! HTTP/2 client learns that with RST_STREAM and NO_ERROR, as RFC 9113 section
//! 8.1 has it. Not at once: curl 7.88 loses an answer that comes together with
//! its RST_STREAM, and some endpoints answer first and read then.

use super::Used;
use crate::http::body::Upload;
use http::Version;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long nothing may move. It is quick where the client can be told that
/// the rest is of no use and nothing else is harmed.
const QUIET_HTTP2: Duration = Duration::from_secs(1);
/// Over HTTP/1.1, its connection has to be closed for that.
const QUIET_HTTP1: Duration = Duration::from_secs(30);

impl Used {
    /// The answer is complete and `upload` is not. `client` is the version
    /// that the client speaks.
    #[cold]
    pub(crate) fn linger(self, upload: Upload, client: Version) {
        // An HTTP/2 endpoint says itself that it wants no more.
        let (Self::Http1(sender), Ok(runtime)) = (self, Handle::try_current()) else {
            return;
        };
        let quiet = match client {
            Version::HTTP_2 => QUIET_HTTP2,
            _ => QUIET_HTTP1,
        };
        let driver = sender.driver;
        runtime.spawn(async move {
            let mut moved = upload.pieces();
            loop {
                tokio::time::sleep(quiet).await;
                let before = std::mem::replace(&mut moved, upload.pieces());
                if driver.is_finished() || upload.is_over() {
                    return;
                }
                if moved == before {
                    driver.abort();
                    return;
                }
            }
        });
    }
}
