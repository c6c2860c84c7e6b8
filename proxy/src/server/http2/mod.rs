//! HTTP/2 on one connection: accepting streams (here), each with its request
//! and answer (`stream.rs`), until it ends, is told to go, or falls silent
//! (`keep_alive.rs`).
//!
//! Everything runs in the connection's own task: what the streams have to say
//! at a time then goes out in one write. Must not read ahead of the streams'
//! windows nor keep finished streams.

mod date;
mod keep_alive;
mod stream;

use super::{
    activity::{Activity, Orders, Stage, Verdict, order},
    client_io::ClientIo,
    coalesce::{CoalescingIo, Flush, coalesce},
    conn::LAST_WORDS,
    exchange::Served,
    limits::ClientLimits,
};
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use h2::{
    RecvStream,
    server::{Builder, Connection, Handshake, SendResponse},
};
use http::Request;
use keep_alive::KeepAlive;
pub(super) use keep_alive::PING_INTERVAL;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
};

/// Resets of one connection that have not even become requests, and resets of
/// ours because of what it sent; then it is closed (GOAWAY,
/// ENHANCE_YOUR_CALM). Requests that it gives up are in `resets.rs`.
const MOST_UNSEEN_RESETS: usize = 20;
const MOST_OWN_RESETS: usize = 1024;
/// Flow control windows.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What one stream may hand over ahead of a client that reads slowly.
const MOST_UNSENT: usize = 400 * 1024;
/// A client may take this long to answer a GOAWAY, if it asked for nothing in
/// a while: polite ones answer at once, and others must not hold up a drain.
const LEAVE_GRACE_MS: u64 = 2_000;

/// Serves requests until the connection ends.
///
/// # Errors
/// A client that broke the connection or the protocol.
///
/// Cancel safe: dropped, the connection is closed and its requests are given up.
pub(super) async fn serve(served: &Served, io: ClientIo) -> Result<(), h2::Error> {
    let activity = &*served.1.activity;
    activity.enter(Stage::NoStream);
    let (io, flush) = coalesce(io);
    let accept = |(request, respond)| stream::serve(served, request, respond);
    let mut connection = Serving {
        state: State::Shaking(builder(&served.0.config.clients).handshake(io)),
        must_leave: false,
        accept,
        streams: FuturesUnordered::new(),
        flush,
        activity,
    };
    let mut orders = Orders::of(activity);
    let mut left_at = None;
    let ended = poll_fn(|cx| {
        let orders = orders.poll(cx);
        if orders & order::CUT != 0 {
            return Poll::Ready(None);
        }
        let verdict = activity.verdict().filter(|_| orders != 0);
        if verdict == Some(Verdict::GoAway) {
            let counters = activity.sweep().counters();
            counters.idle.fetch_add(1, Ordering::Relaxed);
        }
        let is_over =
            orders & order::DRAIN != 0 || verdict == Some(Verdict::GoAway) || activity.is_used_up();
        let now = activity.sweep().now_ms();
        if is_over && left_at.is_none() {
            left_at = Some(now);
            activity.relabel(Stage::Leaving);
            connection.leave();
        }
        if orders & order::LOOK != 0 && !connection.is_alive(cx) {
            tracing::debug!("a client vanished: it answers no PING");
            return Poll::Ready(Some(Ok(())));
        }
        let is_gone = verdict == Some(Verdict::Close)
            && left_at.is_some_and(|since| now >= since + LEAVE_GRACE_MS);
        match connection.poll(cx) {
            Poll::Pending if is_gone => Poll::Ready(Some(Ok(()))),
            polled => polled.map(Some),
        }
    })
    .await;
    match ended {
        Some(ended) => ended,
        None => {
            // Held requests are refused at this moment; give their answers
            // one chance to get out, then cut.
            let last_words = poll_fn(|cx| connection.poll(cx).map(|_ended| ()));
            let _cut = tokio::time::timeout(LAST_WORDS, last_words).await;
            Ok(())
        }
    }
}

type Io = CoalescingIo<ClientIo>;

enum State {
    /// The preface and the settings have not come.
    Shaking(Handshake<Io, Bytes>),
    Open(Connection<Io, Bytes>, KeepAlive),
}

/// A connection and the requests in progress on it. `A` makes of what was
/// accepted the future that serves it.
struct Serving<'a, A, F> {
    state: State,
    /// It was told to go before it was open.
    must_leave: bool,
    accept: A,
    streams: FuturesUnordered<F>,
    flush: Flush<ClientIo>,
    activity: &'a Activity,
}

impl<A, F> Serving<'_, A, F>
where
    A: Fn((Request<RecvStream>, SendResponse<Bytes>)) -> F,
    F: Future<Output = ()>,
{
    /// Takes no more requests (GOAWAY).
    fn leave(&mut self) {
        match &mut self.state {
            State::Shaking(_) => self.must_leave = true,
            State::Open(connection, _) => connection.graceful_shutdown(),
        }
    }

    fn is_alive(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.state {
            State::Shaking(_) => true,
            State::Open(_, keep_alive) => keep_alive.look(self.activity.silence(), cx),
        }
    }

    /// Goes on with everything, and writes what came of it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        // First what others waited for, so that it goes out with the rest.
        self.poll_streams(cx);
        let ended = self.poll_accept(cx);
        let flushed = self.flush.poll(cx);
        if self.activity.is_free() {
            self.flush.release();
        }
        match (ended, flushed) {
            (Poll::Ready(ended), _) => Poll::Ready(ended),
            // Nobody takes our words any more.
            (Poll::Pending, Poll::Ready(Err(_))) => Poll::Ready(Ok(())),
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        if let State::Shaking(handshake) = &mut self.state {
            let mut connection = ready!(Pin::new(handshake).poll(cx))?;
            if self.must_leave {
                connection.graceful_shutdown();
            }
            let keep_alive = KeepAlive::new(connection.ping_pong());
            self.state = State::Open(connection, keep_alive);
        }
        let State::Open(connection, _) = &mut self.state else {
            return Poll::Pending;
        };
        let mut has_new = false;
        let ended = loop {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok(accepted))) => {
                    self.streams.push((self.accept)(accepted));
                    has_new = true;
                }
                Poll::Ready(Some(Err(error))) => break Poll::Ready(Err(error)),
                Poll::Ready(None) => break Poll::Ready(Ok(())),
                Poll::Pending => break Poll::Pending,
            }
        };
        if has_new {
            self.poll_streams(cx);
        }
        ended
    }

    /// What they have to say wakes the connection once more.
    fn poll_streams(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = self.streams.poll_next_unpin(cx) {}
    }
}

fn builder(limits: &ClientLimits) -> Builder {
    let mut builder = Builder::new();
    builder
        // WebSocket over HTTP/2 (RFC 8441).
        .enable_connect_protocol()
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(MOST_UNSEEN_RESETS)
        .max_local_error_reset_streams(Some(MOST_OWN_RESETS))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(limits.header_bytes.max(ClientLimits::LEAST_HEADER_BYTES))
        .max_send_buffer_size(MOST_UNSENT);
    builder
}
