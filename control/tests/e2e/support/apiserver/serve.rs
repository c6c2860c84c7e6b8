//! The listener: on a thread of its own, and gone on command.

use super::{
    answer::answer,
    cuts::{Armed, CutStream},
    store::Shared,
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::Runtime,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(super) struct Server {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    runtime: Runtime,
    stop: CancellationToken,
    accepting: Option<tokio::task::JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(shared: Arc<Shared>, tls: Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("apiserver")
            .enable_all()
            .build()
            .expect("a runtime");
        let mut server = Self {
            // Not one where Reveilles listen: while it is away, they would take its port.
            addr: SocketAddr::from(([127, 0, 0, 2], 0)),
            shared,
            tls,
            runtime,
            stop: CancellationToken::new(),
            accepting: None,
        };
        server.come_back();
        server
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn come_back(&mut self) {
        let bound = self.runtime.block_on(TcpListener::bind(self.addr));
        let listener = bound.expect("the port is free");
        self.addr = listener.local_addr().expect("bound");
        self.stop = CancellationToken::new();
        let (shared, tls) = (self.shared.clone(), self.tls.clone());
        let accepting = accept(listener, tls, shared, self.stop.clone());
        self.accepting = Some(self.runtime.spawn(accepting));
    }

    pub(super) fn leave(&mut self) {
        self.stop.cancel();
        if let Some(accepting) = self.accepting.take() {
            self.runtime.block_on(accepting).expect("no panic");
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    // Dropped with the listener: all connections break.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (shared, tls) = (shared.clone(), tls.clone());
        connections.spawn(async move {
            let armed = Armed::default();
            let stream = CutStream::new(stream, armed.clone());
            match tls {
                None => serve(stream, armed, shared).await,
                Some(tls) => {
                    // Whoever does not trust us leaves.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, armed, shared).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, armed: Armed, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(shared.clone(), armed.clone(), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Whoever leaves in the middle is no concern of ours.
    let _ended = connection.await;
}
