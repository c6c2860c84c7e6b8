//! What runs in a Pod: a server that speaks HTTP/1.1 with WebSocket, or gRPC
//! over h2c, on an address of its own.
//!
//! It is as rude as many an application: when it is told to stop it closes its
//! listener and its idle connections at once, and only what is under way goes
//! on. Every answer names the Pod.

use super::{rpc, websocket};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// How long `/work` takes.
const WORK: Duration = Duration::from_millis(5);

/// Which server an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Image {
    /// HTTP/1.1 and WebSocket.
    Http,
    /// gRPC without TLS.
    Grpc,
}

impl Image {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }

    pub(crate) fn of_name(name: &str) -> Self {
        [Self::Http, Self::Grpc]
            .into_iter()
            .find(|image| image.name() == name)
            .unwrap_or_else(|| panic!("there is no image {name:?}"))
    }
}

/// What the server knows.
pub(super) struct App {
    /// The Pod that it runs in.
    pub(super) pod: String,
    requests: AtomicUsize,
    /// Requests for `/hold` wait until this is true.
    released: watch::Receiver<bool>,
    is_over: AtomicBool,
}

/// A running container. Dropping it is its death.
#[derive(Debug)]
pub(crate) struct Container {
    app: Arc<App>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.pod)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Container {
    /// Listens from now on; `over` is notified when it was told to stop and
    /// everything has ended. To be called within the cluster's runtime.
    pub(super) fn start(
        pod: &str,
        image: Image,
        addr: SocketAddr,
        released: watch::Receiver<bool>,
        over: Arc<Notify>,
    ) -> Self {
        let listener = listen(addr).unwrap_or_else(|error| panic!("{pod} at {addr}: {error}"));
        let app = Arc::new(App {
            pod: pod.to_owned(),
            requests: AtomicUsize::new(0),
            released,
            is_over: AtomicBool::new(false),
        });
        let stop = CancellationToken::new();
        let served = serve(listener, image, app.clone(), stop.clone());
        let seen = app.clone();
        let serving = tokio::spawn(async move {
            served.await;
            seen.is_over.store(true, Ordering::SeqCst);
            over.notify_one();
        });
        Self { app, stop, serving }
    }

    /// Requests that it has begun to answer.
    pub(super) fn requests(&self) -> usize {
        self.app.requests.load(Ordering::SeqCst)
    }

    /// SIGTERM.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// It was told to stop, and everything has ended.
    pub(super) fn is_over(&self) -> bool {
        self.app.is_over.load(Ordering::SeqCst)
    }
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn serve(listener: TcpListener, image: Image, app: Arc<App>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = stop.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else { continue };
        connections.spawn(connection(stream, image, app.clone(), stop.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, image: Image, app: Arc<App>, stop: CancellationToken) {
    stream.set_nodelay(true).expect("a socket");
    let io = TokioIo::new(stream);
    match image {
        Image::Http => {
            let service = service_fn(|request| answer(app.clone(), request));
            let connection = http1::Builder::new().serve_connection(io, service);
            let mut connection = pin!(connection.with_upgrades());
            tokio::select! {
                _ended = connection.as_mut() => return,
                () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            until_over(connection).await;
        }
        Image::Grpc => {
            let service = service_fn(|request| {
                app.requests.fetch_add(1, Ordering::SeqCst);
                rpc::answer(app.clone(), request)
            });
            let builder = http2::Builder::new(TokioExecutor::new());
            let mut connection = pin!(builder.serve_connection(io, service));
            tokio::select! {
                _ended = connection.as_mut() => return,
                () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            until_over(connection).await;
        }
    }
}

/// Whoever leaves in the middle is no concern of the server's.
async fn until_over<E>(connection: impl Future<Output = Result<(), E>>) {
    let _ended = connection.await;
}

type Answer = Response<Full<Bytes>>;

/// `/hold` waits until the test lets it go, `/work` takes a moment; everything
/// is answered with the Pod's name and what was sent.
async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    app.requests.fetch_add(1, Ordering::SeqCst);
    if request.headers().contains_key(header::UPGRADE) {
        return Ok(websocket::switch(&app.pod, request).map(|()| Full::default()));
    }
    let path = request.uri().path().to_owned();
    let is_post = request.method() == Method::POST;
    let Ok(sent) = request.into_body().collect().await else {
        return Ok(text(StatusCode::BAD_REQUEST, "half a body"));
    };
    match path.as_str() {
        "/hold" => {
            let mut released = app.released.clone();
            // The sender lives as long as the cluster.
            let _released = released.wait_for(|released| *released).await;
        }
        "/work" => tokio::time::sleep(WORK).await,
        _ => {}
    }
    let sent = String::from_utf8_lossy(&sent.to_bytes()).into_owned();
    let said = if is_post {
        format!("{} got {sent}", app.pod)
    } else {
        app.pod.clone()
    };
    Ok(text(StatusCode::OK, &said))
}

fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::from(text.to_owned()));
    *answer.status_mut() = status;
    answer
}
