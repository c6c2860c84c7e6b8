//! `loadtests application`: what the scripts of k6 and hey put load on.
//!
//! Started by `reveille local` as a Process, see `run.sh`. One program for all
//! scripts: plain answers, slow ones, gRPC (`k6/hello.proto`), WebSockets, and
//! services that call the next one. Must take no time beyond what it is told
//! to, so that what is seen is Reveille.

mod chain;
mod grpc;
mod websocket;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use chain::Next;
use futures_util::stream;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    signal::unix::{SignalKind, signal},
    time::Instant,
};

/// How many requests have come so far, this one included.
const REQUESTS: &str = "x-requests";
/// `/drip/MS`: the body comes in so many pieces over so many milliseconds.
const DRIP: &str = "/drip/";
const DRIP_PIECES: usize = 10;
const LONGEST_DRIP: Duration = Duration::from_secs(60);
/// How long requests may take to end after SIGTERM.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Options of `application`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// Milliseconds before it listens
    #[arg(long, default_value_t = 0)]
    start_ms: u64,
    /// Milliseconds before each answer
    #[arg(long, default_value_t = 0)]
    work_ms: u64,
    /// Bytes of an answer's body
    #[arg(long, default_value_t = 1024)]
    body_bytes: usize,
    /// HTTP/2 with prior knowledge in place of HTTP/1.1: what gRPC needs
    #[arg(long)]
    http2: bool,
    /// Calls this host through Reveille before each answer
    #[arg(long, requires = "addresses")]
    next: Option<String>,
    /// The addresses file of the Reveille that it calls through
    #[arg(long)]
    addresses: Option<PathBuf>,
}

struct App {
    work: Duration,
    body: Bytes,
    http2: bool,
    next: Option<Next>,
    requests: AtomicU64,
    under_way: AtomicU64,
}

/// Serves until SIGTERM, then ends what is under way.
pub(crate) async fn run(args: Args) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::time::sleep(Duration::from_millis(args.start_ms)).await;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket
        .bind((Ipv4Addr::LOCALHOST, args.port).into())
        .with_context(|| format!("port {}", args.port))?;
    let app = Arc::new(App::new(args));
    let listener = socket.listen(1024)?;
    tokio::select! {
        accepted = app.clone().accept(listener) => accepted,
        _ = terminate.recv() => {
            app.until_idle().await;
            Ok(())
        }
    }
}

impl App {
    fn new(args: Args) -> Self {
        let next = args.next.zip(args.addresses);
        Self {
            work: Duration::from_millis(args.work_ms),
            body: vec![b'x'; args.body_bytes].into(),
            http2: args.http2,
            next: next.map(|(host, addresses)| Next { host, addresses }),
            requests: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
        }
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) -> Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(self.clone().serve(stream));
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        // A connection that cannot be tuned still works.
        stream.set_nodelay(true).ok();
        let io = TokioIo::new(stream);
        let http2 = self.http2;
        let service = service_fn(move |request| {
            let app = self.clone();
            async move { app.counted(request).await }
        });
        // It ends when the proxy closes it, in whatever way.
        if http2 {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            server.serve_connection(io, service).await.ok();
        } else {
            let server = hyper::server::conn::http1::Builder::new();
            let served = server.serve_connection(io, service);
            served.with_upgrades().await.ok();
        }
    }

    async fn counted(&self, request: Request<Incoming>) -> Result<Response<Body>> {
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer(request).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let mut answer = answer?;
        answer.headers_mut().insert(REQUESTS, count.into());
        Ok(answer)
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Result<Response<Body>> {
        if request.headers().contains_key(header::UPGRADE) {
            return Ok(websocket::accept(&mut request).map(boxed));
        }
        tokio::time::sleep(self.work).await;
        if grpc::is_call(&request) {
            return Ok(grpc::echo(request));
        }
        if let Some(over) = drip_time(request.uri().path()) {
            return Ok(self.drip(over));
        }
        // Uploads are read to their end.
        request.into_body().collect().await?;
        match &self.next {
            Some(next) => Ok(next.call().await.map(boxed)),
            None => {
                let mut answer = Response::new(boxed(self.body.clone()));
                let headers = answer.headers_mut();
                headers.insert(chain::LINKS, HeaderValue::from_static("1"));
                Ok(answer)
            }
        }
    }

    /// The body, in pieces over that time.
    fn drip(&self, over: Duration) -> Response<Body> {
        let pause = over / u32::try_from(DRIP_PIECES).unwrap_or(u32::MAX);
        let size = self.body.len().div_ceil(DRIP_PIECES).max(1);
        let pieces = stream::unfold(self.body.clone(), move |mut left| async move {
            if left.is_empty() {
                return None;
            }
            tokio::time::sleep(pause).await;
            let piece = left.split_to(size.min(left.len()));
            Some((Ok(Frame::data(piece)), left))
        });
        let mut answer = Response::new(StreamBody::new(pieces).boxed_unsync());
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_LENGTH, self.body.len().into());
        answer
    }

    async fn until_idle(&self) {
        let deadline = Instant::now() + DRAIN_WITHIN;
        while self.under_way.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn boxed(body: Bytes) -> Body {
    Full::from(body)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A refusal that says why.
fn refuse(status: StatusCode, why: &str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(format!("{why}\n")));
    *answer.status_mut() = status;
    answer
}

/// `None` unless a body is to come slowly.
fn drip_time(path: &str) -> Option<Duration> {
    let ms = path.strip_prefix(DRIP)?.parse().ok()?;
    Some(Duration::from_millis(ms).min(LONGEST_DRIP))
}

#[cfg(test)]
mod tests {
    use super::{App, Args, drip_time};
    use crate::client;
    use std::{net::SocketAddr, sync::Arc, time::Duration};

    async fn spawn(body_bytes: usize) -> SocketAddr {
        let app = Arc::new(App::new(Args {
            port: 0,
            start_ms: 0,
            work_ms: 0,
            body_bytes,
            http2: false,
            next: None,
            addresses: None,
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(app.accept(listener));
        address
    }

    #[test]
    fn times_of_bodies() {
        assert_eq!(drip_time("/drip/250"), Some(Duration::from_millis(250)));
        assert_eq!(drip_time("/drip/99999999"), Some(Duration::from_secs(60)));
        assert_eq!(drip_time("/drip/soon"), None);
        assert_eq!(drip_time("/"), None);
    }

    #[tokio::test]
    async fn answers_count_requests() {
        let address = spawn(10).await;
        for expected in [1, 2] {
            let sent = client::send(address, "a", "/").await.unwrap();
            let answer = sent.answer().await.unwrap();
            assert_eq!(answer.head.number(super::REQUESTS), Some(expected));
            assert_eq!(answer.head.number(super::chain::LINKS), Some(1));
            assert_eq!(answer.body.len(), 10);
        }
    }

    #[tokio::test]
    async fn a_slow_body_is_whole() {
        let address = spawn(25).await;
        let sent = client::send(address, "a", "/drip/20").await.unwrap();
        let answer = sent.answer().await.unwrap();
        assert_eq!(answer.body, [b'x'; 25]);
    }
}
