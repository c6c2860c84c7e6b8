//! The server: takes connections and gives each a task of its own.

use super::{
    config::GrpcConfig,
    connection::{self, Client, Services, Shared},
    in_process::InProcessListener,
    metrics::{Ended, GrpcMetrics},
};
use proxy::tls::{HandshakeFailure, Listener};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    io::DuplexStream,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::Instant,
};

/// How long to pause when the process has no file descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// How often to log the same trouble.
const WARN_EACH: Duration = Duration::from_secs(60);

/// The listener is of no use any more.
#[derive(Debug, thiserror::Error)]
#[error("the gRPC listener failed")]
pub struct ServeError(#[from] io::Error);

/// A gRPC server on its listener.
pub struct Server {
    listener: TcpListener,
    name: &'static str,
    services: Services,
    config: GrpcConfig,
    metrics: Arc<GrpcMetrics>,
    tls: Option<Arc<Listener>>,
    in_process: Option<InProcessListener>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// In the clear on `listener`, with the default limits.
    #[must_use]
    pub fn new(listener: TcpListener, services: Services) -> Self {
        Self {
            listener,
            name: "grpc",
            services,
            config: GrpcConfig::default(),
            metrics: Arc::default(),
            tls: None,
            in_process: None,
        }
    }

    /// Under another name in logs; without, it is `grpc`.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// With other limits.
    #[must_use]
    pub fn config(mut self, config: GrpcConfig) -> Self {
        self.config = config;
        self
    }

    /// Counts into `metrics`.
    #[must_use]
    pub fn metrics(mut self, metrics: Arc<GrpcMetrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// With TLS, which must offer HTTP/2 (`proxy::tls::Offers::Http2Only`):
    /// KEDA's client insists on it.
    #[must_use]
    pub fn tls(mut self, tls: Option<Arc<Listener>>) -> Self {
        self.tls = tls;
        self
    }

    /// Takes connections of this process, too.
    #[must_use]
    pub fn in_process(mut self, listener: InProcessListener) -> Self {
        self.in_process = Some(listener);
        self
    }

    /// Serves until `shutdown` is ready, then closes the listener, ends all
    /// connections in order and returns, at the latest after
    /// [`GrpcConfig::drain_within`].
    ///
    /// # Errors
    /// A listener that failed for good. Running out of file descriptors only
    /// slows it down.
    ///
    /// Cancellation: dropping the future cuts all connections off.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let Self {
            listener,
            name,
            services,
            config,
            metrics,
            tls,
            mut in_process,
        } = self;
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared {
            config,
            services,
            metrics,
            stopping,
        });
        let mut connections = Connections {
            name,
            shared,
            tls,
            tasks: JoinSet::new(),
            full: Warned::default(),
            strangers: Warned::default(),
        };
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => connections.over_network(stream, peer),
                    Err(error) => connections.not_accepted(error).await?,
                },
                stream = local(&mut in_process) => connections.within_process(stream),
                Some(ended) = connections.tasks.join_next() => connections.ended(&ended),
            }
        }
        drop(listener);
        drop(in_process);
        stop.send_replace(true);
        while connections.tasks.join_next().await.is_some() {}
        Ok(())
    }
}

async fn local(listener: &mut Option<InProcessListener>) -> DuplexStream {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

struct Connections {
    name: &'static str,
    shared: Arc<Shared>,
    tls: Option<Arc<Listener>>,
    tasks: JoinSet<Option<Stranger>>,
    full: Warned,
    strangers: Warned,
}

/// Who did not shake hands, and why.
type Stranger = (SocketAddr, HandshakeFailure);

/// When some trouble was logged last.
#[derive(Default)]
struct Warned(Option<Instant>);

impl Warned {
    /// May it be logged now? Then it counts as logged.
    fn may(&mut self) -> bool {
        let may = self.0.is_none_or(|at| at.elapsed() > WARN_EACH);
        if may {
            self.0 = Some(Instant::now());
        }
        may
    }
}

impl Connections {
    fn over_network(&mut self, stream: TcpStream, peer: SocketAddr) {
        let shared = self.shared.clone();
        if shared.metrics.open().load(Ordering::Relaxed) >= shared.config.max_connections {
            shared.metrics.ended(Ended::TooMany);
            if self.full.may() {
                tracing::warn!(
                    listener = self.name,
                    limit = shared.config.max_connections,
                    "too many connections; new ones are closed (--grpc-max-connections is the limit \
                     of grpc, --xds-max-clients that of xds)"
                );
            }
            return;
        }
        let open = Open::new(&shared);
        let tls = self.tls.clone();
        self.tasks.spawn(async move {
            let served = serve_network(stream, peer, tls, &shared).await;
            shared.metrics.ended(served.unwrap_or(Ended::Handshake));
            drop(open);
            Some((peer, served.err()?))
        });
    }

    fn within_process(&mut self, stream: DuplexStream) {
        let shared = self.shared.clone();
        let client = Client {
            address: None,
            is_authenticated: true,
            age: None,
        };
        self.tasks.spawn(async move {
            connection::serve(stream, client, shared).await;
            None
        });
    }

    fn ended(&mut self, ended: &Result<Option<Stranger>, JoinError>) {
        // Others are counted, and logged for whoever looks into it.
        if let Ok(Some((peer, HandshakeFailure::ClientCertificate))) = ended
            && self.strangers.may()
        {
            tracing::warn!(
                listener = self.name,
                %peer,
                "a client shows no certificate that is signed by our authority for clients: it is \
                 not served"
            );
        }
    }

    async fn not_accepted(&mut self, error: io::Error) -> io::Result<()> {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput};
        match error.kind() {
            ConnectionAborted | ConnectionReset | Interrupted => Ok(()),
            // No listening socket any more.
            InvalidInput => Err(error),
            _ => {
                if self.full.may() {
                    tracing::warn!(
                        listener = self.name,
                        %error,
                        "cannot accept gRPC connections now; trying on (raise the limit of open \
                         files?)"
                    );
                }
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
                Ok(())
            }
        }
    }
}

async fn serve_network(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Listener>>,
    shared: &Arc<Shared>,
) -> Result<Ended, HandshakeFailure> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "gRPC connection lost before it was served");
        return Ok(Ended::ByClient);
    }
    let mut client = Client {
        address: Some(peer),
        is_authenticated: false,
        age: shared.config.age_of_one(),
    };
    let Some(tls) = tls else {
        return Ok(connection::serve(stream, client, shared.clone()).await);
    };
    let mut stopping = shared.stopping.clone();
    let shaken = tokio::select! {
        biased;
        shaken = tls.accept(stream, peer) => shaken,
        _ = stopping.wait_for(|stopping| *stopping) => return Ok(Ended::Shutdown),
    };
    let stream = shaken?; // counted with its reason
    client.is_authenticated = stream.get_ref().1.peer_certificates().is_some();
    Ok(connection::serve(stream, client, shared.clone()).await)
}

/// A connection that counts as open until it is dropped.
struct Open(Arc<GrpcMetrics>);

impl Open {
    fn new(shared: &Shared) -> Self {
        shared.metrics.open().fetch_add(1, Ordering::Relaxed);
        Self(shared.metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open().fetch_sub(1, Ordering::Relaxed);
    }
}
