//! Connecting to other gRPC ports, over TLS or in the clear: for the exchange
//! between replicas.

use hyper_util::rt::TokioIo;
use proxy::{Stream, tls::Connector};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::net::TcpStream;
use tonic::codegen::{Service, http::Uri};

/// What `tonic::transport::Endpoint::connect_with_connector` wants: connects to
/// the host and port of a URI, whose scheme is `http` in either case.
///
/// With a connector (`proxy::tls::Tls::client`) the connection is encrypted,
/// the server must prove to be that host, and it is shown our certificate if
/// there is one. The files are looked at again for as long as this exists; a
/// connection lives on with what it began with. The limit of time for
/// connecting is the endpoint's.
#[derive(Clone, Debug, Default)]
pub struct Connect {
    tls: Option<Arc<Connector>>,
}

impl Connect {
    /// Over TLS with a connector, in the clear without.
    #[must_use]
    pub fn new(tls: Option<Arc<Connector>>) -> Self {
        Self { tls }
    }
}

impl Service<Uri> for Connect {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else {
                let message = format!("{uri}: needs a host and a port");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            };
            // An IPv6 address stands in brackets.
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            let connected = match tls {
                None => Stream::Clear(stream),
                Some(tls) => Stream::Tls(Box::new(tls.connect_h2(host, stream).await?)),
            };
            Ok(TokioIo::new(connected))
        })
    }
}
