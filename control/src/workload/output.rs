//! What a replica writes to its standard output and error goes to our log,
//! line by line, under its name.

use futures_util::StreamExt;
use tokio::io::AsyncRead;
use tokio_util::codec::{AnyDelimiterCodec, FramedRead};

/// Longer lines are dropped, so that a replica cannot fill our memory.
const LONGEST_LINE: usize = 16 * 1024;

/// Logs each line of `stream` until it ends.
pub(super) async fn log_lines(replica: String, stream: impl AsyncRead + Unpin) {
    let codec = AnyDelimiterCodec::new_with_max_length(b"\n".into(), b"".into(), LONGEST_LINE);
    let mut lines = FramedRead::new(stream, codec);
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                tracing::info!(target: "workload", %replica, "{}", line.trim_end());
            }
            Err(error) => {
                tracing::warn!(target: "workload", %replica, %error, "a line of output was dropped");
            }
        }
    }
}
