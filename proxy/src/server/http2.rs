//! HTTP/2 on one connection.

use super::{
    activity::{Orders, Stage, Verdict, order},
    client_io::ClientIo,
    coalesce::coalesce,
    conn::LAST_WORDS,
    exchange::{Served, exchange},
    limits::ClientLimits,
};
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::Ordering,
    task::Poll,
    time::Duration,
};

/// Resets of one HTTP/2 connection that have not even become requests, and
/// resets of ours because of what it sent; then it is closed (GOAWAY,
/// ENHANCE_YOUR_CALM). Requests that it gives up are in `resets.rs`.
const MOST_UNSEEN_RESETS: usize = 20;
const MOST_OWN_RESETS: usize = 1024;
/// Flow control windows.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// A silent connection is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// A client may take this long to answer a GOAWAY, if it asked for nothing in
/// a while: polite ones answer at once, and others must not hold up a drain.
const LEAVE_GRACE_MS: u64 = 2_000;

/// Serves requests until the connection ends.
///
/// # Errors
/// A client that broke the connection or the protocol.
pub(super) async fn serve(served: &Served, io: ClientIo) -> Result<(), hyper::Error> {
    let activity = &*served.1.activity;
    activity.enter(Stage::NoStream);
    let (io, flush) = coalesce(io);
    let service = {
        let served = served.clone();
        service_fn(move |request| exchange(served.clone(), request))
    };
    let mut connection =
        pin!(builder(&served.0.config.clients).serve_connection(TokioIo::new(io), service));
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
            connection.as_mut().graceful_shutdown();
        }
        let is_gone = verdict == Some(Verdict::Close)
            && left_at.is_some_and(|since| now >= since + LEAVE_GRACE_MS);
        let ended = connection.as_mut().poll(cx);
        // Whatever came of it, what it has to say goes out now.
        let flushed = flush.poll(cx);
        if activity.is_free() {
            flush.release();
        }
        match (ended, flushed) {
            (Poll::Ready(ended), _) => Poll::Ready(Some(ended)),
            // Nobody takes our words any more.
            (Poll::Pending, Poll::Ready(Err(_))) => Poll::Ready(Some(Ok(()))),
            (Poll::Pending, _) if is_gone => Poll::Ready(Some(Ok(()))),
            _ => Poll::Pending,
        }
    })
    .await;
    match ended {
        Some(ended) => ended,
        None => {
            // Held requests were refused at this moment; give their answers
            // one chance to get out, then cut.
            let last_words = poll_fn(|cx| {
                let ended = connection.as_mut().poll(cx);
                match flush.poll(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(()),
                    _ => ended.map(|_ended| ()),
                }
            });
            let _cut = tokio::time::timeout(LAST_WORDS, last_words).await;
            Ok(())
        }
    }
}

fn builder(limits: &ClientLimits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        // WebSocket over HTTP/2 (RFC 8441).
        .enable_connect_protocol()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(MOST_UNSEEN_RESETS)
        .max_local_error_reset_streams(MOST_OWN_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(limits.header_bytes.max(ClientLimits::LEAST_HEADER_BYTES))
        .keep_alive_interval(PING_INTERVAL);
    builder
}
