//! A connection that switched protocols (RFC 9110 section 7.8): from the 101
//! on, bytes of which nothing is known but that they are for the other side.
//!
//! The request lives on in the tunnel: it is demand, claims its endpoint, and
//! falls under `timeouts.request` and the drain's deadline, until both
//! directions have ended. Its connection never goes back to the pool.
//!
//! Over HTTP/1.1, the tunnel is the rest of the client connection's life:
//! `forward` leaves it with the connection, which runs it once hyper has
//! written the 101. So it needs no task and no tracking of its own. Over HTTP/2
//! (RFC 8441) it is one stream of many and has a task; the connection, which
//! the drain tracks, lives until that stream has ended.

use super::job::Answer;
use crate::{
    endpoint::Lease,
    http::{ProxyBody, headers},
    in_flight::InFlight,
    upstream::Used,
};
use http::{Response, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::{
    future::Future,
    io,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    time::{Instant, timeout, timeout_at},
};

/// Bytes under way in each direction.
const BUFFER: usize = 8 * 1024;
/// One side ended and the other is silent for this long: it will not end by
/// itself. Somebody who is gone looks just like somebody who only listens.
const MOST_SILENCE: Duration = Duration::from_secs(60);

/// Both sides of a connection that switches protocols, with everything that
/// must last as long as it.
#[derive(Debug)]
pub(crate) struct Tunnel {
    client: OnUpgrade,
    endpoint: OnUpgrade,
    deadline: Option<Instant>,
    /// Kept until the endpoint's side has switched, which is after the
    /// request's body.
    used: Option<Used>,
    lease: Lease,
    in_flight: InFlight,
}

impl Tunnel {
    /// The tunnel behind an endpoint's 101, and that 101 as the client gets
    /// it. `client` is its side of the connection.
    pub(super) fn open(
        answer: Answer,
        client: OnUpgrade,
        deadline: Option<Instant>,
        in_flight: InFlight,
    ) -> (Box<Self>, Response<ProxyBody>) {
        let mut response = answer.response;
        let tunnel = Self {
            client,
            endpoint: hyper::upgrade::on(&mut response),
            deadline,
            used: answer.used,
            lease: answer.lease,
            in_flight,
        };
        let (mut head, _no_body) = response.into_parts();
        headers::strip_all_but_upgrade(&mut head.headers);
        // A 1xx has no body, whatever it says (RFC 9110 section 8.6).
        head.headers.remove(header::CONTENT_LENGTH);
        let response = Response::from_parts(head, ProxyBody::Own(None));
        (Box::new(tunnel), response)
    }

    /// As [`Tunnel::run`], but not beyond the drain's deadline.
    pub(super) async fn run_until(self: Box<Self>, deadline: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = deadline => {}
            () = self.run() => {}
        }
    }

    /// Copies until both directions have ended, or the request's time is up.
    /// Dropping it cuts both sides.
    pub(crate) async fn run(self) {
        let Self {
            client,
            endpoint,
            deadline,
            used,
            lease,
            in_flight,
        } = self;
        let copied = async {
            // Fails if a connection broke before it switched.
            let (client, endpoint) =
                tokio::try_join!(client, endpoint).map_err(io::Error::other)?;
            drop(used);
            copy_both(TokioIo::new(client), TokioIo::new(endpoint)).await
        };
        let ended = match deadline {
            Some(at) => timeout_at(at, copied).await.unwrap_or_else(|_elapsed| {
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the request timeout ran out",
                ))
            }),
            None => copied.await,
        };
        if let Err(error) = ended {
            tracing::debug!(
                target = %in_flight.target().id(), endpoint = lease.endpoint().name(), %error,
                "tunnel cut"
            );
        }
    }
}

/// Copies both ways. An end of one direction is passed on, and the other one
/// goes on for as long as something moves in it.
///
/// # Errors
/// A side that broke, or was silent for too long after the other's end.
async fn copy_both<T: AsyncRead + AsyncWrite>(left: T, right: T) -> io::Result<()> {
    let (from_left, to_left) = tokio::io::split(left);
    let (from_right, to_right) = tokio::io::split(right);
    let moved = AtomicU64::new(0);
    let mut rightward = pin!(copy(from_left, to_right, &moved));
    let mut leftward = pin!(copy(from_right, to_left, &moved));
    let mut other = tokio::select! {
        ended = &mut rightward => {
            ended?;
            leftward
        }
        ended = &mut leftward => {
            ended?;
            rightward
        }
    };
    loop {
        let before = moved.load(Ordering::Relaxed);
        match timeout(MOST_SILENCE, other.as_mut()).await {
            Ok(ended) => return ended,
            Err(_elapsed) if moved.load(Ordering::Relaxed) == before => {
                let reason = "one side ended and the other is silent";
                return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
            Err(_elapsed) => {}
        }
    }
}

/// Copies one way and passes the end on.
///
/// # Errors
/// A source that broke: nobody is there to be answered either. A sink that
/// broke is no error: what it said before it did may still be unread.
async fn copy<T: AsyncRead + AsyncWrite>(
    mut from: ReadHalf<T>,
    mut to: WriteHalf<T>,
    moved: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 || write(&mut to, &buffer[..count]).await.is_err() {
            break;
        }
        moved.fetch_add(1, Ordering::Relaxed);
    }
    // It may have closed already.
    let _shut = to.shutdown().await;
    Ok(())
}

async fn write<T: AsyncWrite>(to: &mut WriteHalf<T>, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, duplex};

    type Copying = tokio::task::JoinHandle<io::Result<()>>;

    /// The two ends, and what copies between them.
    fn ends() -> (DuplexStream, DuplexStream, Copying) {
        let (client, left) = duplex(1024);
        let (endpoint, right) = duplex(1024);
        (client, endpoint, tokio::spawn(copy_both(left, right)))
    }

    async fn received(from: &mut DuplexStream, wanted: &[u8]) {
        let mut bytes = vec![0; wanted.len()];
        from.read_exact(&mut bytes).await.expect("enough bytes");
        assert_eq!(bytes, wanted);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_no_end_while_both_sides_are_open() {
        let (mut client, mut endpoint, copying) = ends();
        tokio::time::sleep(MOST_SILENCE * 100).await;
        client.write_all(b"ping").await.expect("open");
        received(&mut endpoint, b"ping").await;
        endpoint.write_all(b"pong").await.expect("open");
        received(&mut client, b"pong").await;
        drop(client);
        assert_eq!(endpoint.read(&mut [0]).await.expect("an end"), 0);
        drop(endpoint);
        copying.await.expect("no panic").expect("both ended");
    }

    #[tokio::test(start_paused = true)]
    async fn one_direction_outlives_the_other_while_it_is_not_silent() {
        let (mut client, mut endpoint, copying) = ends();
        client.shutdown().await.expect("open");
        for _ in 0..10 {
            tokio::time::sleep(MOST_SILENCE * 3 / 4).await;
            endpoint.write_all(b"more").await.expect("open");
            received(&mut client, b"more").await;
        }
        assert!(!copying.is_finished());
        let ended = copying.await.expect("no panic").expect_err("silent");
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn last_words_arrive_although_the_speaker_takes_no_more() {
        let (mut client, mut endpoint, copying) = ends();
        endpoint.write_all(b"good bye").await.expect("open");
        drop(endpoint);
        client.write_all(b"late").await.expect("open");
        received(&mut client, b"good bye").await;
        drop(client);
        copying.await.expect("no panic").expect("both ended");
    }
}
