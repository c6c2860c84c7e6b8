//! `loadtests backend`: the application that is woken.
//!
//! A small HTTP/1.1 server that waits before it listens, as real ones do, and
//! tells in response headers when it did what. Started by `reveille` as a
//! Process; must itself add as little time as possible.

use crate::{clock::monotonic_ns, http1::Reader};
use anyhow::{Context as _, Result};
use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpSocket, TcpStream},
};

/// When `main` began.
pub(crate) const STARTED: &str = "x-started-ns";
/// When `listen(2)` was called: no connection can be accepted before.
pub(crate) const LISTENING: &str = "x-listening-ns";
/// When the first byte of any request was read.
pub(crate) const FIRST_BYTE: &str = "x-first-byte-ns";

/// Options of `backend`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// Milliseconds before it listens: a number, or a range A..B to draw from
    #[arg(long, default_value = "0")]
    delay_ms: Delay,
    /// Bytes of each response's body
    #[arg(long, default_value_t = 1024)]
    body_bytes: usize,
}

/// A range of milliseconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Delay {
    least: u64,
    most: u64,
}

impl Delay {
    fn draw(self) -> Duration {
        Duration::from_millis(fastrand::u64(self.least..=self.most))
    }
}

impl FromStr for Delay {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let (least, most) = (least.parse()?, most.parse()?);
        anyhow::ensure!(least <= most, "{least} is above {most}");
        Ok(Self { least, most })
    }
}

struct App {
    started: u64,
    listening: u64,
    first_byte: AtomicU64,
    body: Vec<u8>,
}

/// Serves bodies of `body_bytes` from a task of this process, on a port of its
/// own, until the runtime ends.
pub(crate) async fn spawn(body_bytes: usize) -> Result<SocketAddr> {
    let started = monotonic_ns();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let app = App::new(started, body_bytes);
    tokio::spawn(async move {
        if let Err(error) = app.accept(listener).await {
            eprintln!("backend: {error:#}");
        }
    });
    Ok(address)
}

/// Serves until the process is ended. `started`: when `main` began, ns.
pub(crate) async fn run(args: Args, started: u64) -> Result<()> {
    tokio::time::sleep(args.delay_ms.draw()).await;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)))
        .with_context(|| format!("port {}", args.port))?;
    let app = App::new(started, args.body_bytes);
    app.accept(socket.listen(1024)?).await
}

impl App {
    /// One that listens now.
    fn new(started: u64, body_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            started,
            listening: monotonic_ns(),
            first_byte: AtomicU64::new(0),
            body: vec![b'x'; body_bytes],
        })
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) -> Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            let app = self.clone();
            tokio::spawn(async move {
                if let Err(error) = app.serve(stream).await {
                    eprintln!("connection: {error:#}");
                }
            });
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = Reader::new();
        while let Some(head) = reader.head(&mut stream, || self.note_byte()).await? {
            let length = match head.body_length() {
                Ok(length) => length,
                Err(error) => {
                    let refusal = "HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    stream.write_all(refusal.as_bytes()).await?;
                    return Err(error);
                }
            };
            reader.body(&mut stream, length).await?;
            let wants_body = !head.first_line.starts_with("HEAD ");
            stream.write_all(&self.response(wants_body)).await?;
            if head.closes() {
                break;
            }
        }
        Ok(())
    }

    /// Takes the time of the first byte, once per process.
    fn note_byte(&self) {
        if self.first_byte.load(Ordering::Relaxed) == 0 {
            self.first_byte.store(monotonic_ns(), Ordering::Relaxed);
        }
    }

    fn response(&self, with_body: bool) -> Vec<u8> {
        let mut response = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{STARTED}: {}\r\n{LISTENING}: {}\r\n{FIRST_BYTE}: {}\r\n\r\n",
            self.body.len(),
            self.started,
            self.listening,
            self.first_byte.load(Ordering::Relaxed),
        )
        .into_bytes();
        if with_body {
            response.extend_from_slice(&self.body);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::Delay;

    #[test]
    fn delays() {
        let delay = |text: &str| text.parse::<Delay>();
        let range = |least, most| Delay { least, most };
        assert_eq!(delay("20..150").unwrap(), range(20, 150));
        assert_eq!(delay("7").unwrap(), range(7, 7));
        assert!(delay("9..1").is_err());
        assert!(delay("soon").is_err());
        let drawn = range(3, 5).draw().as_millis();
        assert!((3..=5).contains(&drawn));
    }
}
