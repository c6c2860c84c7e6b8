//! `loadtests passthrough`: a proxy of hyper and almost nothing else.
//!
//! The floor of what Reveille is built on: hyper's HTTP/1.1 client and server
//! (and its HTTP/2 server) on one current-thread runtime, a last-in-first-out
//! pool, and the client's address in `X-Forwarded-For`. No routes, no
//! timeouts, no counters, no retries: not for
//! use.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Response, Uri, Version,
    header::{CONNECTION, HOST},
};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1::SendRequest,
    rt::Executor,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    cell::RefCell,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
};

/// Options of `passthrough`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where it takes HTTP/1.1
    #[arg(long)]
    http1: SocketAddr,
    /// Where it takes HTTP/2 with prior knowledge
    #[arg(long)]
    http2: SocketAddr,
    /// Where everything goes
    #[arg(long)]
    origin: SocketAddr,
}

/// Idle connections to the origin.
#[derive(Clone)]
struct Pool {
    idle: Rc<RefCell<Vec<SendRequest<Incoming>>>>,
    origin: SocketAddr,
}

/// Runs until the process is ended.
pub(crate) async fn run(args: Args) -> Result<()> {
    LocalSet::new().run_until(serve(args)).await
}

async fn serve(args: Args) -> Result<()> {
    let http1 = listen(args.http1)?;
    let http2 = listen(args.http2)?;
    let pool = Pool {
        idle: Rc::default(),
        origin: args.origin,
    };
    loop {
        tokio::select! {
            accepted = http1.accept() => {
                let (stream, client) = accepted?;
                spawn_local(serve_http1(stream, client, pool.clone()));
            }
            accepted = http2.accept() => {
                let (stream, client) = accepted?;
                spawn_local(serve_http2(stream, client, pool.clone()));
            }
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096).with_context(|| address.to_string())
}

async fn serve_http1(stream: TcpStream, client: SocketAddr, pool: Pool) {
    // A connection that cannot be tuned still works.
    stream.set_nodelay(true).ok();
    let address = forwarded_for(client);
    let service = service_fn(|request| forward(request, address.clone(), &pool));
    let server = hyper::server::conn::http1::Builder::new();
    let served = server.serve_connection(TokioIo::new(stream), service);
    // It ends when the client leaves, in whatever way.
    served.await.ok();
}

async fn serve_http2(stream: TcpStream, client: SocketAddr, pool: Pool) {
    stream.set_nodelay(true).ok();
    let address = forwarded_for(client);
    let service = service_fn(move |request| {
        let (pool, address) = (pool.clone(), address.clone());
        async move { forward(request, address, &pool).await }
    });
    let server = hyper::server::conn::http2::Builder::new(OnThisThread);
    let served = server.serve_connection(TokioIo::new(stream), service);
    served.await.ok();
}

/// HTTP/2 needs a task per stream.
#[derive(Clone)]
struct OnThisThread;

impl<F: Future + 'static> Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        spawn_local(async move {
            task.await;
        });
    }
}

fn forwarded_for(client: SocketAddr) -> HeaderValue {
    let address = client.ip().to_string();
    HeaderValue::from_str(&address).expect("an address is ASCII")
}

async fn forward(
    mut request: Request<Incoming>,
    address: HeaderValue,
    pool: &Pool,
) -> Result<Response<Pooled>> {
    if request.version() == Version::HTTP_2 {
        let authority = request.uri().authority().context("no authority")?;
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(HOST, host);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        *request.version_mut() = Version::HTTP_11;
    }
    // Or a client that closes would have the origin close too.
    request.headers_mut().remove(CONNECTION);
    let name = HeaderName::from_static("x-forwarded-for");
    request.headers_mut().append(name, address);
    let mut sender = pool.take().await?;
    let response = sender.send_request(request).await?;
    Ok(response.map(|body| Pooled {
        body,
        home: Some((sender, pool.idle.clone())),
    }))
}

impl Pool {
    async fn take(&self) -> Result<SendRequest<Incoming>> {
        loop {
            let Some(sender) = self.idle.borrow_mut().pop() else {
                break;
            };
            if sender.is_ready() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.origin).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        spawn_local(async move {
            // Whoever uses it sees the error.
            connection.await.ok();
        });
        Ok(sender)
    }
}

type Home = (
    SendRequest<Incoming>,
    Rc<RefCell<Vec<SendRequest<Incoming>>>>,
);

/// An answer's body that gives its connection back at its end.
struct Pooled {
    body: Incoming,
    home: Option<Home>,
}

impl Body for Pooled {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some((sender, idle)) = self.home.take()
            && self.body.is_end_stream()
        {
            idle.borrow_mut().push(sender);
        }
    }
}
