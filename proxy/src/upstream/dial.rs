//! Dialling: TCP connections to endpoints.

use socket2::{SockRef, TcpKeepalive};
use std::{io, net::SocketAddr, time::Duration};
use tokio::net::TcpStream;

/// A peer that vanished without a word is noticed after this long.
const KEEPALIVE: Duration = Duration::from_secs(10);
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A TCP connection to `addr` within `limit`.
///
/// # Errors
/// What the operating system says, or `TimedOut`. A connection to itself is a
/// refused one: where nobody listens on a port of the ephemeral range, the
/// kernel may choose that very port for our side, and the two ends meet (TCP's
/// simultaneous open, RFC 9293 section 3.5).
///
/// Cancel safe.
pub(crate) async fn connect(addr: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(limit, TcpStream::connect(addr))
        .await
        .map_err(|_elapsed| io::ErrorKind::TimedOut)??;
    if stream.local_addr()? == addr {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// A TCP connection that is set up to carry requests.
///
/// # Errors
/// As [`connect`].
///
/// Cancel safe.
pub(super) async fn open(addr: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = connect(addr, limit).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE),
    )?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(stream)
}
