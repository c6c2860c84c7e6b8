//! `loadtests soak-backend`: the application behind the soak, killed and
//! started again all the time.
//!
//! Any request is answered with the number of bytes of its body, padded to
//! 1 KiB; `/events` with a slow stream of events; an upgrade to `echo` with
//! everything that is sent.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, net::Ipv4Addr, time::Duration};
use tokio::net::{TcpSocket, TcpStream};

/// Of `/events`.
pub(super) const EVENTS: usize = 10;
const BETWEEN_EVENTS: Duration = Duration::from_millis(30);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Options of `soak-backend`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// Only makes its command line another one
    #[arg(long, default_value_t = 0)]
    generation: u64,
}

/// Serves until the process is ended.
pub(crate) async fn run(args: Args) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    // The one before was killed with connections open.
    socket.set_reuseaddr(true)?;
    socket
        .bind((Ipv4Addr::LOCALHOST, args.port).into())
        .with_context(|| format!("port {}", args.port))?;
    let listener = socket.listen(1024)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream));
    }
}

async fn serve(stream: TcpStream) {
    // A connection that cannot be tuned still works.
    stream.set_nodelay(true).ok();
    let server = hyper::server::conn::http1::Builder::new();
    let served = server.serve_connection(TokioIo::new(stream), service_fn(answer));
    // It ends when the proxy closes it, in whatever way.
    served.with_upgrades().await.ok();
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Body>> {
    if request.headers().contains_key(header::UPGRADE) {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(switched) = upgrade.await {
                let (mut read, mut write) = tokio::io::split(TokioIo::new(switched));
                tokio::io::copy(&mut read, &mut write).await.ok();
            }
        });
        let mut response = Response::new(Full::default().boxed_unsync());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("echo"));
        return Ok(response);
    }
    if request.uri().path() == "/events" {
        return Ok(Response::new(events()));
    }
    let length = request.into_body().collect().await?.to_bytes().len();
    let text = format!("{length:<1024}");
    Ok(Response::new(Full::from(text).boxed_unsync()))
}

fn events() -> Body {
    let events = stream::unfold(0, |n| async move {
        if n == EVENTS {
            return None;
        }
        tokio::time::sleep(BETWEEN_EVENTS).await;
        let event = Bytes::from(format!("data: {n}\n\n"));
        Some((Ok(Frame::data(event)), n + 1))
    });
    StreamBody::new(events).boxed_unsync()
}
