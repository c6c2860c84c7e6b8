//! A client of the gRPC port in the same process, such as the embedded
//! autoscaler: the same protocol over a pipe in memory, so that neither TLS nor
//! client certificates are in its way.

use hyper_util::rt::TokioIo;
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};
use tonic::{
    codegen::{Service, http::Uri},
    transport::{Channel, Endpoint},
};

/// What may be under way in each direction.
const BUFFER: usize = 64 * 1024;
/// Connections that were not accepted yet.
const BACKLOG: usize = 16;

/// Makes connections to the server that has the other end.
#[derive(Clone, Debug)]
pub struct InProcess(mpsc::Sender<DuplexStream>);

/// The server's end; see [`super::Server`].
#[derive(Debug)]
pub struct InProcessListener(mpsc::Receiver<DuplexStream>);

/// Both ends.
#[must_use]
pub fn in_process() -> (InProcess, InProcessListener) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (InProcess(sender), InProcessListener(receiver))
}

impl InProcess {
    /// A channel that connects at its first call, and again when its
    /// connection ended. Must be called within a Tokio runtime.
    #[must_use]
    pub fn channel(&self) -> Channel {
        Endpoint::from_static("http://in-process").connect_with_connector_lazy(self.clone())
    }
}

impl InProcessListener {
    /// The next connection. Pending for ever once no client is left.
    pub(super) async fn accept(&mut self) -> DuplexStream {
        match self.0.recv().await {
            Some(stream) => stream,
            None => std::future::pending().await,
        }
    }
}

impl Service<Uri> for InProcess {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        let sender = self.0.clone();
        Box::pin(async move {
            let (ours, theirs) = duplex(BUFFER);
            let gone = |_| io::Error::new(io::ErrorKind::ConnectionRefused, "the server stopped");
            sender.send(theirs).await.map_err(gone)?;
            Ok(TokioIo::new(ours))
        })
    }
}
