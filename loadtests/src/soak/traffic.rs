//! The clients of the soak: every kind of request at once, until they are
//! dropped.

use super::{
    backend::EVENTS,
    tally::{Outcome, Tally, judge},
};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Who waits longer than this was forgotten.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests on a connection before the client opens a new one.
const PER_CONNECTION: usize = 100;

/// The targets that fall asleep.
pub(super) const SLEEPY: usize = 8;

/// The host of backends that are always up, and die.
pub(super) const STEADY: &str = "steady.localhost";

/// The host of the n-th target that falls asleep.
pub(super) fn sleepy(n: usize) -> String {
    format!("sleepy-{n}.localhost")
}

/// A route that comes and goes with each reload.
pub(super) const COMES_AND_GOES: &str = "comes-and-goes.localhost";

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How many clients of each kind.
const CLIENTS: [(&str, usize); 10] = [
    ("GET, keep-alive", 8),
    ("GET, new connection", 2),
    ("POST 64 KiB", 2),
    ("POST chunked", 2),
    ("slow stream of events", 3),
    ("upgrade", 2),
    ("h2c", 3),
    ("GET, cold start", 4),
    ("no or changing route", 1),
    ("client leaves", 2),
];

/// Starts all clients.
pub(super) fn start(proxy: SocketAddr, tally: &Arc<Tally>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for (kind, count) in CLIENTS {
        for _ in 0..count {
            clients.spawn(client(kind, proxy, tally.clone()));
        }
    }
    clients
}

async fn client(kind: &'static str, proxy: SocketAddr, tally: Arc<Tally>) {
    let mut connection = None;
    let mut used = 0;
    loop {
        let request = one(kind, proxy, &mut connection);
        let outcome = match tokio::time::timeout(PATIENCE, request).await {
            Ok(outcome) => outcome,
            Err(_) => Ok(Outcome::Lost(format!("no answer within {PATIENCE:?}"))),
        };
        let went_well = matches!(outcome, Ok(Outcome::Answered));
        used += 1;
        if !went_well || used == PER_CONNECTION {
            connection = None;
            used = 0;
        }
        tally.add(kind, outcome);
        let pause = match kind {
            // Longer and shorter than it takes to fall asleep.
            "GET, cold start" => fastrand::u64(50..1_500),
            _ => fastrand::u64(1..6),
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// A connection of a client, kept from request to request.
enum Connection {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

async fn one(
    kind: &'static str,
    proxy: SocketAddr,
    kept: &mut Option<Connection>,
) -> Result<Outcome> {
    let ok = StatusCode::OK;
    match kind {
        "GET, keep-alive" => counted(proxy, kept, get(STEADY, "/"), 0).await,
        "GET, new connection" => {
            let mut request = get(STEADY, "/");
            let close = http::HeaderValue::from_static("close");
            request.headers_mut().insert(header::CONNECTION, close);
            counted(proxy, &mut None, request, 0).await
        }
        "POST 64 KiB" => counted(proxy, kept, post(STEADY, 64 * 1024), 64 * 1024).await,
        "POST chunked" => counted(proxy, kept, chunked(STEADY), 8 * 4096).await,
        "slow stream of events" => {
            let response = send(proxy, kept, get(STEADY, "/events")).await?;
            let outcome = judge(response.status(), ok);
            let body = collect(response).await;
            Ok(whole(outcome, body, |body| {
                body.windows(6).filter(|six| six == b"data: ").count() == EVENTS
            }))
        }
        "upgrade" => upgrade(proxy).await,
        "h2c" => {
            if kept.is_none() {
                *kept = Some(connect_http2(proxy).await?);
            }
            if fastrand::bool() {
                counted(proxy, kept, get(&format!("http://{STEADY}"), "/"), 0).await
            } else {
                let request = post(&format!("http://{STEADY}"), 10_000);
                counted(proxy, kept, request, 10_000).await
            }
        }
        "GET, cold start" => {
            let host = sleepy(fastrand::usize(0..SLEEPY));
            counted(proxy, &mut None, get(&host, "/"), 0).await
        }
        "no or changing route" => {
            let host = if fastrand::bool() {
                COMES_AND_GOES
            } else {
                "nobody.localhost"
            };
            let response = send(proxy, kept, get(host, "/")).await?;
            let found = host == COMES_AND_GOES && response.status() != StatusCode::NOT_FOUND;
            let expected = if found { ok } else { StatusCode::NOT_FOUND };
            let outcome = judge(response.status(), expected);
            Ok(whole(outcome, collect(response).await, |_| true))
        }
        "client leaves" => leave(proxy).await,
        other => anyhow::bail!("no such kind: {other}"),
    }
}

fn get(host: &str, path: &str) -> Request<Body> {
    request(Method::GET, host, path, Full::default().boxed_unsync())
}

fn post(host: &str, length: usize) -> Request<Body> {
    let body = Full::from(vec![b'x'; length]).boxed_unsync();
    request(Method::POST, host, "/", body)
}

fn chunked(host: &str) -> Request<Body> {
    let chunk = || Ok(Frame::data(Bytes::from_static(&[b'x'; 4096])));
    let body = StreamBody::new(stream::iter((0..8).map(move |_| chunk()))).boxed_unsync();
    request(Method::POST, host, "/", body)
}

/// `host` is a name for HTTP/1.1 and `http://name` for HTTP/2.
fn request(method: Method, host: &str, path: &str, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    if host.starts_with("http://") {
        let uri = format!("{host}{path}");
        *request.uri_mut() = uri.parse().expect("a name and a path make a URI");
    } else {
        *request.uri_mut() = path.parse().expect("a path is a URI");
        let host = host.parse().expect("a name is a header value");
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

/// Sends a request whose answer is the length of its body.
async fn counted(
    proxy: SocketAddr,
    kept: &mut Option<Connection>,
    request: Request<Body>,
    length: usize,
) -> Result<Outcome> {
    let response = send(proxy, kept, request).await?;
    let outcome = judge(response.status(), StatusCode::OK);
    let expected = length.to_string();
    Ok(whole(outcome, collect(response).await, |body| {
        body.len() == 1024 && body.trim_ascii_end() == expected.as_bytes()
    }))
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, hyper::Error> {
    Ok(response.into_body().collect().await?.to_bytes())
}

/// Judges the body of an answer that is otherwise as expected.
fn whole(
    outcome: Outcome,
    body: Result<Bytes, hyper::Error>,
    is_right: impl Fn(&[u8]) -> bool,
) -> Outcome {
    match (outcome, body) {
        (Outcome::Answered, Ok(body)) if !is_right(&body) => {
            Outcome::Lost(format!("a wrong body of {} bytes", body.len()))
        }
        (Outcome::Answered, Err(_)) => Outcome::Cut,
        (outcome, _) => outcome,
    }
}

async fn send(
    proxy: SocketAddr,
    kept: &mut Option<Connection>,
    request: Request<Body>,
) -> Result<Response<Incoming>> {
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(connect_http1(proxy).await?),
    };
    match connection {
        Connection::Http1(sender) => {
            sender.ready().await.context("before the request")?;
            sender.send_request(request).await.context("no answer")
        }
        Connection::Http2(sender) => {
            sender.ready().await.context("before the request")?;
            sender.send_request(request).await.context("no answer")
        }
    }
}

async fn connect_http1(proxy: SocketAddr) -> Result<Connection> {
    let stream = TcpStream::connect(proxy).await.context("connect")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // Whoever waits for an answer sees the error.
        connection.with_upgrades().await.ok();
    });
    Ok(Connection::Http1(sender))
}

async fn connect_http2(proxy: SocketAddr) -> Result<Connection> {
    let stream = TcpStream::connect(proxy).await.context("connect")?;
    stream.set_nodelay(true)?;
    let io = TokioIo::new(stream);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(async move {
        connection.await.ok();
    });
    Ok(Connection::Http2(sender))
}

/// Switches to `echo` and says some things.
async fn upgrade(proxy: SocketAddr) -> Result<Outcome> {
    let mut request = get(STEADY, "/");
    let headers = request.headers_mut();
    headers.insert(
        header::CONNECTION,
        http::HeaderValue::from_static("upgrade"),
    );
    headers.insert(header::UPGRADE, http::HeaderValue::from_static("echo"));
    let mut response = send(proxy, &mut None, request).await?;
    let outcome = judge(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    if outcome != Outcome::Answered {
        return Ok(outcome);
    }
    let mut tunnel = TokioIo::new(hyper::upgrade::on(&mut response).await?);
    for n in 0..5 {
        let words = format!("message {n} of the soak\n");
        let mut heard = vec![0; words.len()];
        // The backend may die at any time.
        let said = tunnel.write_all(words.as_bytes()).await;
        if said.is_err() || tunnel.read_exact(&mut heard).await.is_err() {
            return Ok(Outcome::Cut);
        }
        ensure!(heard == words.as_bytes(), "another echo");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Outcome::Answered)
}

/// Asks and leaves: while it waits, or in the middle of an answer.
async fn leave(proxy: SocketAddr) -> Result<Outcome> {
    let mut stream = TcpStream::connect(proxy).await.context("connect")?;
    let (host, path) = match fastrand::usize(0..2) {
        0 => (sleepy(fastrand::usize(0..SLEEPY)), "/"),
        _ => (STEADY.to_owned(), "/events"),
    };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..80))).await;
    Ok(Outcome::Left)
}
