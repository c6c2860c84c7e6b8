//! HTTP/1 on one connection, from one parking to the next.

use super::{
    activity::{Orders, Stage, Verdict, order},
    client_io::ClientIo,
    client_socket::Unread,
    conn::{self, LAST_WORDS},
    exchange::{Served, exchange},
    head_scan::Scanned,
    interim::InterimIo,
    limits::ClientLimits,
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::atomic::Ordering,
    task::Poll,
};

/// What is left of the connection when its HTTP state is not needed any more.
pub(super) enum After {
    Closed,
    /// Nothing for some time.
    Parked(ClientIo),
    /// To be parked, but it had read something.
    Resume(ClientIo),
    /// A head that does not end; to be answered.
    TooSlow(ClientIo),
    /// The answer was a 101.
    Switched(ClientIo),
}

/// Why the state is not needed any more.
enum End {
    Ended(hyper::Result<()>),
    Due(Verdict),
    /// The client left in the middle of a request.
    Left,
    Cut,
}

/// Serves requests until the connection ends, or its state can be given back.
///
/// # Errors
/// A client that broke the connection or the protocol.
pub(super) async fn serve(served: &Served, io: ClientIo) -> Result<After, hyper::Error> {
    let client = &served.1;
    let activity = &*client.activity;
    // What has arrived must be seen before the drain, which ends a connection
    // on which nobody asks for anything.
    let mut must_look = io.has_unread();
    // hyper notices a client that leaves in the middle by reading. That takes
    // another buffer, so where a look is enough we do it.
    let is_clear = io.is_clear();
    let service = service_fn(|request| exchange(served.clone(), request));
    let io = Scanned::new(io, client.verdicts.clone());
    let io = TokioIo::new(InterimIo::new(io, client.interim.clone()));
    let mut builder = builder(&served.0.config.clients);
    let mut connection = builder.half_close(is_clear).serve_connection(io, service);
    let mut orders = Orders::of(activity);
    let mut is_draining = false;
    let end = poll_fn(|cx| {
        let orders = orders.poll(cx);
        if orders & order::CUT != 0 {
            return Poll::Ready(End::Cut);
        }
        let must_drain = orders & order::DRAIN != 0 && !is_draining;
        if must_drain && activity.is_free() {
            client.socket.look_again();
            must_look = true;
        }
        if std::mem::take(&mut must_look)
            && let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx)
        {
            return Poll::Ready(End::Ended(ended));
        }
        // First the drain: an answer that goes out after it began must say
        // that the connection closes.
        // hyper would close over half a head; the sweep gives it a moment.
        let has_half_head = activity.is_free() && activity.stage() == Stage::Head;
        if must_drain && !has_half_head {
            is_draining = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(End::Ended(ended));
        }
        if is_clear && !activity.is_free() {
            match client.socket.look(cx) {
                Unread::Nothing => {}
                Unread::Bytes => client.verdicts.more_came(),
                Unread::End => return Poll::Ready(End::Left),
            }
        }
        if orders != 0
            && let Some(verdict) = activity.verdict()
        {
            return Poll::Ready(End::Due(verdict));
        }
        Poll::Pending
    })
    .await;
    let due = match end {
        End::Ended(ended) => {
            ended?;
            if !client.has_tunnel() {
                return Ok(After::Closed);
            }
            None
        }
        End::Due(Verdict::Close | Verdict::GoAway) => {
            if activity.stage() != Stage::Head && !is_draining {
                let counters = activity.sweep().counters();
                counters.idle.fetch_add(1, Ordering::Relaxed);
            }
            return Ok(After::Closed);
        }
        End::Due(verdict) => Some(verdict),
        End::Left => return Ok(After::Closed),
        End::Cut => {
            // Held requests were refused at this moment; give their answers
            // one chance to get out.
            let _cut = tokio::time::timeout(LAST_WORDS, &mut connection).await;
            return Ok(After::Closed);
        }
    };
    let parts = connection.into_parts();
    let mut io = parts.io.into_inner().into_inner().into_inner();
    let read_ahead = !parts.read_buf.is_empty();
    if read_ahead {
        io.unread(parts.read_buf);
    }
    Ok(match due {
        None => After::Switched(io),
        Some(Verdict::TooSlow) => {
            conn::count_slow(activity);
            After::TooSlow(io)
        }
        Some(_) if read_ahead => {
            activity.enter(Stage::Head);
            After::Resume(io)
        }
        Some(_) => After::Parked(io),
    })
}

fn builder(limits: &ClientLimits) -> http1::Builder {
    let head = limits.header_bytes.max(ClientLimits::LEAST_HEADER_BYTES);
    let mut builder = http1::Builder::new();
    builder
        // A timer of hyper's would cost every request; the sweep is there.
        .header_read_timeout(None)
        .max_buf_size(head as usize);
    // Even the same number, if it is set, would be slower.
    if limits.headers != ClientLimits::FREE_HEADERS {
        builder.max_headers(limits.headers);
    }
    builder
}
