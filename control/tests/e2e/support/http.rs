//! A small HTTP/1.1 client that does only what it is told: it can send many
//! requests before it reads the first answer, and leave in the middle.

use super::PATIENCE;
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

/// Sends requests for one host to one address.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    addr: SocketAddr,
    host: String,
}

/// An answer, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header that occurs at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert_eq!(values.next(), None, "{name} twice");
        value
    }

    /// What `X-KEDA-HTTP-Cold-Start` says.
    pub(crate) fn cold_start(&self) -> Option<&str> {
        self.header("x-keda-http-cold-start")
    }
}

impl Client {
    pub(crate) fn new(addr: SocketAddr, host: &str) -> Self {
        Self {
            addr,
            host: host.to_owned(),
        }
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.begin("GET", path).answer()
    }

    /// Sends a request and does not wait for the answer.
    pub(crate) fn begin(&self, method: &str, path: &str) -> Connection {
        let mut connection = self.connect();
        connection.request(method, path);
        connection
    }

    /// A connection without a request.
    pub(crate) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.addr).expect("the address accepts connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        Connection {
            reader: BufReader::new(stream),
            host: self.host.clone(),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    /// Sends the head of a request without a body.
    pub(crate) fn request(&mut self, method: &str, path: &str) {
        let host = &self.host;
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("sent");
    }

    /// Leaves: whatever was not read is lost.
    pub(crate) fn leave(self) {
        let stream = self.reader.into_inner();
        // It may be closed by the other side already.
        let _closed = stream.shutdown(Shutdown::Both);
    }

    /// Reads one answer.
    ///
    /// # Panics
    /// If there is none, or it is not what HTTP/1.1 wants.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    /// Reads one answer, or the error that came in its place.
    pub(crate) fn try_answer(&mut self) -> io::Result<Answer> {
        let (status, headers) = self.head()?;
        let mut answer = Answer {
            status,
            headers,
            body: String::new(),
        };
        let body = if answer.header("transfer-encoding") == Some("chunked") {
            self.chunks()?
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            let mut body = vec![0; length];
            self.reader.read_exact(&mut body)?;
            body
        } else {
            self.rest()?
        };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    /// Reads the head of an answer: its status and headers.
    pub(crate) fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let status_line = self.line()?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("not a status line: {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| io::Error::other(format!("not a header: {line:?}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The body that goes with these headers of [`Connection::head`].
    pub(crate) fn rest_of(&mut self, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, value)| value.parse().ok());
        let mut body = vec![0; length.ok_or_else(|| io::Error::other("no length"))?];
        self.reader.read_exact(&mut body)?;
        Ok(body)
    }

    /// Everything until the other side closes.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest)?;
        Ok(rest)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
            let mut chunk = vec![0; size];
            self.reader.read_exact(&mut chunk)?;
            body.extend(chunk);
            let end = self.line()?;
            assert_eq!(end, "", "a chunk ends with an empty line");
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        line(&mut self.reader)
    }
}

/// Reads the head of a request, for a test that is the endpoint itself.
pub(crate) fn read_head(reader: &mut impl BufRead) -> Vec<String> {
    let lines = std::iter::from_fn(|| Some(line(reader).expect("a line")));
    lines.take_while(|line| !line.is_empty()).collect()
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::Error::other(format!("not a whole line: {line:?}"))),
    }
}
