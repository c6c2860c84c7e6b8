//! One HTTP/1.1 connection, byte by byte: the tests' client, and the backend's
//! side of a connection.

use super::within;
use socket2::SockRef;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;

/// A connection and what was received on it but not yet looked at.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
}

/// In clear text or over TLS, at either end.
#[derive(Debug)]
enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A request's or a response's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The request line or status line.
    pub(crate) first: String,
    /// The fields in order; names in lower case.
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default().to_owned();
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        let fields = fields.collect();
        Self { first, fields }
    }

    /// The value of the only field of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.fields.iter().filter(|(known, _)| known == name);
        let first = all.next().map(|(_, value)| value.as_str());
        assert!(all.next().is_none(), "several {name}: {self:?}");
        first
    }

    /// The status code of a response.
    pub(crate) fn status(&self) -> u16 {
        let code = self.first.split(' ').nth(1).and_then(|s| s.parse().ok());
        code.unwrap_or_else(|| panic!("not a status line: {}", self.first))
    }

    /// The target of a request.
    pub(crate) fn path(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    fn is_chunked(&self) -> bool {
        self.get("transfer-encoding") == Some("chunked")
    }

    fn content_length(&self) -> Option<usize> {
        self.get("content-length")
            .map(|length| length.parse().expect("a number"))
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn cold_start(&self) -> Option<&str> {
        self.head.get("x-keda-http-cold-start")
    }
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an open socket");
        Self {
            stream: Stream::Clear(stream),
            buffer: Vec::new(),
        }
    }
}

impl Wire {
    /// Over TLS, at either end.
    pub(crate) fn over_tls(stream: TlsStream<TcpStream>) -> Self {
        Self {
            stream: Stream::Tls(Box::new(stream)),
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = within("connect", TcpStream::connect(addr)).await;
        stream.expect("somebody listens").into()
    }

    /// Sends all of it, or as much as the other side takes before it closes.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // What became of it shows in what comes back.
        let sent = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        let _sent = within("send", sent).await;
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response {
        self.send_get(path).await;
        self.response().await
    }

    pub(crate) async fn send_get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n\r\n"))
            .await;
    }

    pub(crate) async fn post(&mut self, path: &str, body: &[u8]) -> Response {
        self.send_post(path, body).await;
        self.response().await
    }

    pub(crate) async fn send_post(&mut self, path: &str, body: &[u8]) {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: a.test\r\ncontent-length: {length}\r\n\r\n");
        self.send([head.as_bytes(), body].concat()).await;
    }

    /// Receives more; false if the connection ended, in whatever way.
    pub(crate) async fn fill(&mut self) -> bool {
        self.buffer.reserve(16 * 1024);
        let read = within("receive", self.stream.read_buf(&mut self.buffer)).await;
        read.is_ok_and(|count| count > 0)
    }

    async fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        let mut looked = 0;
        loop {
            let unseen = self.buffer.get(looked..).unwrap_or_default();
            if let Some(at) = unseen.windows(mark.len()).position(|part| part == mark) {
                return Some(self.buffer.drain(..looked + at + mark.len()).collect());
            }
            looked = self.buffer.len().saturating_sub(mark.len());
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next head; None if the connection ended before it was complete.
    pub(crate) async fn try_head(&mut self) -> Option<Head> {
        self.until(b"\r\n\r\n").await.map(|head| Head::parse(&head))
    }

    pub(crate) async fn head(&mut self) -> Head {
        match self.try_head().await {
            Some(head) => head,
            None => panic!(
                "closed instead of a head, after {:?}",
                String::from_utf8_lossy(&self.buffer)
            ),
        }
    }

    /// The next `count` bytes; None if the connection ended before.
    pub(crate) async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// The next chunk of a chunked body; empty at its end, None if the
    /// connection ended before.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = String::from_utf8(self.until(b"\r\n").await?).expect("a chunk size");
        let size = usize::from_str_radix(line.trim(), 16).expect("a chunk size");
        let chunk = self.exactly(size).await?;
        self.exactly(2).await?;
        Some(chunk)
    }

    /// The body that belongs to `head`, an answer to anything but HEAD, or a
    /// request; None if the connection ended before it was complete.
    pub(crate) async fn body(&mut self, head: &Head) -> Option<Vec<u8>> {
        if head.is_chunked() {
            let mut body = Vec::new();
            loop {
                let chunk = self.chunk().await?;
                if chunk.is_empty() {
                    return Some(body);
                }
                body.extend(chunk);
            }
        }
        let is_response = head.first.starts_with("HTTP/");
        match head.content_length() {
            Some(length) => self.exactly(length).await,
            None if is_response && !matches!(head.status(), 100..=199 | 204 | 304) => {
                Some(self.rest().await)
            }
            None => Some(Vec::new()),
        }
    }

    /// A whole answer to anything but HEAD.
    pub(crate) async fn response(&mut self) -> Response {
        let head = self.head().await;
        let body = self.body(&head).await.expect("a complete body");
        Response { head, body }
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    /// Sends without end until the other side takes no more: for as long as
    /// `quiet`. Says how much it took.
    pub(crate) async fn send_until_stuck(&mut self, piece: &[u8], quiet: Duration) -> usize {
        let mut sent = 0;
        while let Ok(written) = tokio::time::timeout(quiet, self.stream.write(piece)).await {
            sent += written.expect("an open connection");
        }
        sent
    }

    /// Sends all of it; false if the other side closed, or took nothing more
    /// for as long as `quiet`.
    pub(crate) async fn try_send(&mut self, mut bytes: &[u8], quiet: Duration) -> bool {
        while !bytes.is_empty() {
            match tokio::time::timeout(quiet, self.stream.write(bytes)).await {
                Ok(Ok(written)) => bytes = bytes.get(written..).unwrap_or_default(),
                _ => return false,
            }
        }
        true
    }

    /// Ends the sending side only.
    pub(crate) async fn end_sending(&mut self) {
        // The other side may have closed already.
        let _ended = self.stream.shutdown().await;
    }

    /// Closes without a farewell: the other side gets a reset.
    pub(crate) fn reset(self) {
        SockRef::from(self.stream.tcp())
            .set_linger(Some(Duration::ZERO))
            .expect("an open socket");
    }

    /// Two halves that can be used at the same time.
    pub(crate) fn split(
        self,
    ) -> (
        tokio::net::tcp::OwnedReadHalf,
        tokio::net::tcp::OwnedWriteHalf,
    ) {
        assert!(self.buffer.is_empty(), "received and not looked at");
        match self.stream {
            Stream::Clear(stream) => stream.into_split(),
            Stream::Tls(_) => panic!("over TLS, the halves are no sockets"),
        }
    }
}
