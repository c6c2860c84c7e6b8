//! An endpoint that speaks HTTP/2 without TLS and does what the test says,
//! request by request.

use super::{backend::bind_own, h2::Upload, within};
use bytes::Bytes;
use http::{HeaderMap, Response, request};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

/// A request that waits for the test to answer it.
pub(crate) struct Call {
    /// The connection it came on, numbered from 0.
    pub(crate) connection: usize,
    pub(crate) head: request::Parts,
    pub(crate) body: Incoming,
    answer: oneshot::Sender<Result<Response<Upload>, h2::Error>>,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let value = self.head.headers.get(name)?;
        Some(value.to_str().expect("ASCII"))
    }

    /// The next piece of the body.
    pub(crate) async fn piece(&mut self) -> Bytes {
        let frame = within("a piece", self.body.frame()).await.expect("a piece");
        frame.expect("data").into_data().expect("data")
    }

    /// The rest of the body, and the trailers.
    pub(crate) async fn rest(&mut self) -> (Bytes, Option<HeaderMap>) {
        let rest = within("the rest", (&mut self.body).collect()).await;
        let rest = rest.expect("a complete body");
        let trailers = rest.trailers().cloned();
        (rest.to_bytes(), trailers)
    }

    /// Waits until the proxy gives the request up.
    pub(crate) async fn until_reset(mut self) {
        within("the end of the stream", self.answer.closed()).await;
    }

    pub(crate) fn answer(self, answer: Response<Upload>) {
        drop(self.answer_early(answer));
    }

    /// Answers before the end of the request's body, and gives that.
    pub(crate) fn answer_early(self, answer: Response<Upload>) -> Incoming {
        // Whoever asked may have left.
        let _sent = self.answer.send(Ok(answer));
        self.body
    }

    /// 200 with this body.
    pub(crate) fn say(self, text: &'static str) {
        self.answer(Response::new(Upload::full(text)));
    }

    /// Resets the stream.
    pub(crate) fn reset(self, reason: h2::Reason) {
        let _sent = self.answer.send(Err(reason.into()));
    }
}

pub(crate) struct H2Backend {
    addr: SocketAddr,
    calls: mpsc::UnboundedReceiver<Call>,
    connections: Arc<AtomicUsize>,
    go_away: watch::Sender<usize>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl H2Backend {
    pub(crate) async fn start() -> Self {
        Self::limited(100).await
    }

    /// One that allows so many concurrent streams on a connection.
    pub(crate) async fn limited(streams: u32) -> Self {
        Self::with(streams, None).await
    }

    /// One that speaks TLS.
    pub(crate) async fn over_tls(tls: TlsAcceptor) -> Self {
        Self::with(100, Some(tls)).await
    }

    async fn with(streams: u32, tls: Option<TlsAcceptor>) -> Self {
        let listener = bind_own();
        let addr = listener.local_addr().expect("bound");
        let (found, calls) = mpsc::unbounded_channel();
        let (go_away, going_away) = watch::channel(0);
        let (stop, stopped) = oneshot::channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepting = Accepting {
            streams,
            tls,
            found,
            going_away,
            connections: connections.clone(),
        };
        let task = tokio::spawn(accepting.run(listener, stopped));
        Self {
            addr,
            calls,
            connections,
            go_away,
            stop,
            task,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The next request.
    pub(crate) async fn call(&mut self) -> Call {
        let call = within("a request from the proxy", self.calls.recv()).await;
        call.expect("it runs")
    }

    /// Sends GOAWAY on the connections that are open; what they carry goes on.
    pub(crate) fn go_away(&self) {
        self.go_away.send_modify(|round| *round += 1);
    }

    /// Closes the port and all connections. Resolves when they are closed.
    pub(crate) async fn kill(self) {
        self.stop.send(()).expect("it runs");
        within("the backend's end", self.task)
            .await
            .expect("no panic");
    }
}

#[derive(Clone)]
struct Accepting {
    streams: u32,
    tls: Option<TlsAcceptor>,
    found: mpsc::UnboundedSender<Call>,
    going_away: watch::Receiver<usize>,
    connections: Arc<AtomicUsize>,
}

impl Accepting {
    async fn run(self, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (stream, _) = accepted.expect("a connection");
                    let number = self.connections.fetch_add(1, Ordering::SeqCst);
                    connections.spawn(self.clone().serve(stream, number));
                }
                _ = &mut stopped => break,
            }
        }
        drop(listener);
        connections.shutdown().await;
    }

    async fn serve(self, stream: TcpStream, connection: usize) {
        match self.tls.clone() {
            None => self.serve_on(stream, connection).await,
            Some(tls) => {
                // What went wrong shows at the other side.
                if let Ok(stream) = tls.accept(stream).await {
                    self.serve_on(stream, connection).await;
                }
            }
        }
    }

    async fn serve_on<S>(mut self, stream: S, connection: usize)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let found = self.found;
        let service = service_fn(move |request: http::Request<Incoming>| {
            let (head, body) = request.into_parts();
            let (answer, answered) = oneshot::channel();
            let call = Call {
                connection,
                head,
                body,
                answer,
            };
            // A test that is over wants no more of them.
            let _found = found.send(call);
            async move {
                let cancelled = h2::Error::from(h2::Reason::CANCEL);
                answered.await.unwrap_or(Err(cancelled))
            }
        });
        self.going_away.mark_unchanged();
        let mut serving = std::pin::pin!(
            http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(self.streams)
                .serve_connection(TokioIo::new(stream), service)
        );
        loop {
            tokio::select! {
                // How it ended shows at the other side.
                _ended = serving.as_mut() => return,
                Ok(()) = self.going_away.changed() => serving.as_mut().graceful_shutdown(),
            }
        }
    }
}
