//! Just enough HTTP/1.1: heads, and bodies with a Content-Length.
//!
//! Used by the backend (requests) and the client (responses), where a whole
//! HTTP library would hide the instants that are measured. Refuses what it
//! does not know instead of guessing.

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Most bytes of a head.
const MAX_HEAD: usize = 16 * 1024;

/// A start line and its header fields.
#[derive(Debug)]
pub(crate) struct Head {
    /// `GET / HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub(crate) first_line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Parses a head without its empty last line.
    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        ensure!(!first_line.is_empty(), "an empty start line");
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            let plain = !name.is_empty() && !name.contains(char::is_whitespace);
            ensure!(plain, "not a header name: {name:?}");
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self {
            first_line,
            headers,
        })
    }

    /// The first value of a header, by its name in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// A header that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> Result<u16> {
        let mut words = self.first_line.split(' ');
        let version = words.next().unwrap_or_default();
        ensure!(
            version.starts_with("HTTP/1."),
            "not HTTP/1: {:?}",
            self.first_line
        );
        let status = words.next().unwrap_or_default();
        status
            .parse()
            .with_context(|| format!("not a status: {status:?}"))
    }

    /// Whether the connection ends after this message.
    pub(crate) fn closes(&self) -> bool {
        let old = self.first_line.ends_with("HTTP/1.0");
        let said = self.get("connection").unwrap_or_default();
        let mut tokens = said.split(',').map(str::trim);
        old || tokens.any(|token| token.eq_ignore_ascii_case("close"))
    }

    /// Bytes of the body.
    pub(crate) fn body_length(&self) -> Result<usize> {
        if self.get("transfer-encoding").is_some() {
            bail!("Transfer-Encoding is not supported");
        }
        let own = |(name, _): &&(String, String)| name == "content-length";
        let mut lengths = self.headers.iter().filter(own).map(|(_, value)| value);
        let Some(first) = lengths.next() else {
            return Ok(0);
        };
        ensure!(lengths.all(|other| other == first), "two Content-Lengths");
        let digits = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
        ensure!(digits, "not a Content-Length: {first:?}");
        Ok(first.parse()?)
    }
}

/// Reads messages from one connection, keeping what came too early.
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::with_capacity(2048),
        }
    }

    /// The next head, or `None` when the peer closed between messages.
    /// `on_bytes` is called after each read that brought something.
    pub(crate) async fn head<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        mut on_bytes: impl FnMut(),
    ) -> Result<Option<Head>> {
        loop {
            if let Some(end) = find_end(&self.buffer) {
                let rest = self.buffer.split_off(end + 4);
                let mut head = std::mem::replace(&mut self.buffer, rest);
                head.truncate(end);
                let text = std::str::from_utf8(&head).context("a head that is not UTF-8")?;
                return Head::parse(text).map(Some);
            }
            ensure!(
                self.buffer.len() < MAX_HEAD,
                "a head above {MAX_HEAD} bytes"
            );
            if stream.read_buf(&mut self.buffer).await? == 0 {
                ensure!(self.buffer.is_empty(), "closed within a head");
                return Ok(None);
            }
            on_bytes();
        }
    }

    /// The `length` bytes of body after the head.
    pub(crate) async fn body<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        length: usize,
    ) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            let read = stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "closed within a body");
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }
}

fn find_end(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|four| four == b"\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::{Head, Reader};

    async fn read(mut bytes: &[u8]) -> anyhow::Result<Option<Head>> {
        Reader::new().head(&mut bytes, || {}).await
    }

    #[tokio::test]
    async fn two_messages_in_one_read() {
        let mut bytes: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nConnection: keep-alive, Close\r\n\r\n";
        let mut reader = Reader::new();
        let first = reader.head(&mut bytes, || {}).await.unwrap().unwrap();
        assert_eq!(first.first_line, "POST / HTTP/1.1");
        assert!(!first.closes());
        let length = first.body_length().unwrap();
        assert_eq!(reader.body(&mut bytes, length).await.unwrap(), b"abc");
        let second = reader.head(&mut bytes, || {}).await.unwrap().unwrap();
        assert_eq!(second.first_line, "GET /b HTTP/1.1");
        assert!(second.closes());
        assert!(reader.head(&mut bytes, || {}).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn responses() {
        let head = read(b"HTTP/1.1 503 Service Unavailable\r\nX-Ns:  42 \r\n\r\n").await;
        let head = head.unwrap().unwrap();
        assert_eq!(head.status().unwrap(), 503);
        assert_eq!(head.number("x-ns"), Some(42));
        assert_eq!(head.body_length().unwrap(), 0);
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_know() {
        assert!(read(b"GET / HTTP/1.1\r\nno colon\r\n\r\n").await.is_err());
        assert!(read(b"GET / HTTP/1.1\r\n folded: 1\r\n\r\n").await.is_err());
        assert!(read(b"GET / HTTP/1.1\r\nHost: cut").await.is_err());
        for body in [
            "Transfer-Encoding: chunked",
            "Content-Length: +1",
            "Content-Length: 1\r\nContent-Length: 2",
        ] {
            let head = format!("GET / HTTP/1.1\r\n{body}\r\n\r\n");
            let head = read(head.as_bytes()).await.unwrap().unwrap();
            assert!(head.body_length().is_err(), "{body}");
        }
    }
}
