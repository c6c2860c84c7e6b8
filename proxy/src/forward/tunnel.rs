//! A connection that switched protocols (RFC 9110 section 7.8): from the 101
//! on, bytes of which nothing is known but that they are for the other side.
//!
//! The request lives on in the tunnel: it is demand, claims its endpoint, and
//! falls under `timeouts.request` and the drain's deadline, until both
//! directions have ended. Its connection never goes back to the pool.
//!
//! Over HTTP/1.1, the tunnel is the rest of the client connection's life:
//! `forward` leaves it with the connection, which runs it once hyper has
//! written the 101. Over HTTP/2 (RFC 8441) it is the rest of its stream. So it
//! needs no task and no tracking of its own: the drain tracks connections.

use super::upgrades::UpgradePlace;
use crate::http2::StreamIo;
use crate::{
    endpoint::Lease,
    http::{ProxyBody, hop},
    in_flight::InFlight,
    journal::{Blame, Moved},
    upstream::Switched,
};
use futures_util::TryFutureExt;
use http::{Response, header};
use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
    place: Option<UpgradePlace>,
    endpoint: Box<Switched>,
    deadline: Option<Instant>,
    lease: Lease,
    in_flight: InFlight,
    moved: Arc<Moved>,
}

impl Tunnel {
    /// The tunnel behind an endpoint's 101, and that 101 as the client gets
    /// it. With its claims: on the endpoint, and its place among tunnels.
    pub(super) fn open(
        response: Response<Box<Switched>>,
        (lease, place): (Lease, Option<UpgradePlace>),
        deadline: Option<Instant>,
        mut in_flight: InFlight,
    ) -> (Box<Self>, Response<ProxyBody>) {
        let moved = Arc::new(Moved::default());
        in_flight.journal.tunnel(&moved);
        in_flight
            .journal
            .answered(response.status(), response.headers());
        let (mut head, endpoint) = response.into_parts();
        let tunnel = Self {
            place,
            endpoint,
            deadline,
            lease,
            in_flight,
            moved,
        };
        hop::strip_all_but_upgrade(&mut head.headers);
        // A 1xx has no body, whatever it says (RFC 9110 section 8.6).
        head.headers.remove(header::CONTENT_LENGTH);
        let response = Response::from_parts(head, ProxyBody::Own(None));
        (Box::new(tunnel), response)
    }

    /// As [`Tunnel::run`] for a client's HTTP/2 stream, but not beyond
    /// `deadline`. Boxed, so that it costs other streams nothing.
    pub(crate) fn run_on_stream(
        self: Box<Self>,
        client: StreamIo,
        deadline: impl Future<Output = ()> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                () = deadline => {}
                () = self.run(client) => {}
            }
        })
    }

    /// Copies until both directions have ended, or the request's time is up.
    /// `client` is the client's connection behind the 101. Dropping it cuts
    /// both sides.
    pub(crate) async fn run(self, client: impl AsyncRead + AsyncWrite + Send) {
        let Self {
            place: _place,
            mut endpoint,
            deadline,
            lease,
            mut in_flight,
            moved,
        } = self;
        let copied = async {
            let sent = endpoint.finish_request();
            sent.map_err(|error| Cut::new(Blame::Endpoint, error))
                .await?;
            copy_both(client, *endpoint, &moved).await
        };
        let ended = match deadline {
            Some(at) => timeout_at(at, copied)
                .await
                .unwrap_or_else(|_elapsed| Err(Cut::overdue("the request timeout ran out"))),
            None => copied.await,
        };
        let blame = ended.as_ref().err().map_or(Blame::None, |cut| cut.by);
        in_flight.journal.ended_by(blame);
        if let Err(Cut { error, .. }) = ended {
            tracing::debug!(
                target = %in_flight.target().id(), endpoint = lease.endpoint().name(), %error,
                "tunnel cut"
            );
        }
    }
}

/// Why a tunnel did not end by itself.
#[derive(Debug)]
struct Cut {
    by: Blame,
    error: io::Error,
}

impl Cut {
    fn new(by: Blame, error: io::Error) -> Self {
        Self { by, error }
    }

    fn overdue(what: &'static str) -> Self {
        Self::new(Blame::Proxy, io::Error::new(io::ErrorKind::TimedOut, what))
    }
}

/// Copies both ways, `left` being the client. An end of one direction is passed on, and the other one
/// goes on for as long as something moves in it.
///
/// # Errors
/// A side that broke, or was silent for too long after the other's end.
async fn copy_both<L, R>(left: L, right: R, moved: &Moved) -> Result<(), Cut>
where
    L: AsyncRead + AsyncWrite + Send,
    R: AsyncRead + AsyncWrite + Send,
{
    let (from_left, to_left) = tokio::io::split(left);
    let (from_right, to_right) = tokio::io::split(right);
    let rightward = copy(from_left, to_right, &moved.from_client);
    let leftward = copy(from_right, to_left, &moved.to_client);
    let mut rightward = pin!(rightward.map_err(|error| Cut::new(Blame::Client, error)));
    let mut leftward = pin!(leftward.map_err(|error| Cut::new(Blame::Endpoint, error)));
    let (mut other, count): (Pin<&mut (dyn Future<Output = _> + Send)>, _) = tokio::select! {
        ended = &mut rightward => {
            ended?;
            (leftward, &moved.to_client)
        }
        ended = &mut leftward => {
            ended?;
            (rightward, &moved.from_client)
        }
    };
    loop {
        let before = count.load(Ordering::Relaxed);
        match timeout(MOST_SILENCE, other.as_mut()).await {
            Ok(ended) => return ended,
            Err(_elapsed) if count.load(Ordering::Relaxed) == before => {
                return Err(Cut::overdue("one side ended and the other is silent"));
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
async fn copy<F: AsyncRead, T: AsyncWrite>(
    mut from: ReadHalf<F>,
    mut to: WriteHalf<T>,
    moved: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 || write(&mut to, &buffer[..count]).await.is_err() {
            break;
        }
        moved.fetch_add(count as u64, Ordering::Relaxed);
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

    type Copying = tokio::task::JoinHandle<Result<(), Cut>>;

    /// The two ends, and what copies between them.
    fn ends() -> (DuplexStream, DuplexStream, Copying) {
        let (client, left) = duplex(1024);
        let (endpoint, right) = duplex(1024);
        (
            client,
            endpoint,
            tokio::spawn(async move { copy_both(left, right, &Moved::default()).await }),
        )
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
        assert_eq!(ended.error.kind(), io::ErrorKind::TimedOut);
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
