//! One HTTP request on its own connection, with the instants that matter.
//!
//! Used by the cold-start and held measurements. Loopback only.

use crate::{
    clock::monotonic_ns,
    http1::{Head, Reader},
};
use anyhow::{Context as _, Result};
use std::net::SocketAddr;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// A request that was sent.
pub(crate) struct Sent {
    stream: TcpStream,
    /// Just before the request was written, CLOCK_MONOTONIC ns.
    pub(crate) at: u64,
}

/// Its answer.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// When the whole answer was here, CLOCK_MONOTONIC ns.
    pub(crate) at: u64,
}

/// Connects and sends `GET path` for `host`.
pub(crate) async fn send(proxy: SocketAddr, host: &str, path: &str) -> Result<Sent> {
    let mut stream = TcpStream::connect(proxy).await.context("connect")?;
    stream.set_nodelay(true)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let at = monotonic_ns();
    stream.write_all(request.as_bytes()).await?;
    Ok(Sent { stream, at })
}

impl Sent {
    /// Waits for the answer and closes the connection.
    pub(crate) async fn answer(mut self) -> Result<Answer> {
        let mut reader = Reader::new();
        let head = reader.head(&mut self.stream, || {}).await?;
        let head = head.context("closed without an answer")?;
        let body = reader.body(&mut self.stream, head.body_length()?).await?;
        let at = monotonic_ns();
        Ok(Answer { head, body, at })
    }

    /// Whether nothing came back, and the connection is still open.
    pub(crate) fn is_waiting(&self) -> bool {
        let mut byte = [0; 1];
        let read = self.stream.try_read(&mut byte);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}
