//! `/api/v1/events`: what happens, as it happens: server-sent events.
//!
//! First everything there is: `targets` (in parts, the first says so) and
//! `events`; then `changed` once a second with the targets that have changed,
//! `gone` with names, and `happened` at once. A comment tells now and then that
//! the line is alive. Who reads too slowly is cut off and should come again; the
//! number of readers is bounded; all of it ends when the admin server does.

use super::{Admin, targets};
use crate::sight::{Subscription, frame};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a line may be silent.
const BEAT_EACH: Duration = Duration::from_secs(10);
/// Targets in one event.
const PART: usize = 500;
/// Events of the past that are told.
const PAST: usize = 200;

#[derive(Serialize)]
struct Part {
    /// What was known before is forgotten.
    first: bool,
    targets: Vec<super::TargetView>,
}

/// One reader.
struct Reader {
    subscription: Subscription,
    /// Targets that are still to be told of: where the next part begins.
    past: VecDeque<Bytes>,
    admin: Arc<Admin>,
}

pub(super) async fn stream(State(admin): State<Arc<Admin>>) -> Response {
    let Some(subscription) = admin.sight.feed().subscribe() else {
        let said = "too many follow the events already: close some pages\n";
        let again = [(header::RETRY_AFTER, "10")];
        return (StatusCode::SERVICE_UNAVAILABLE, again, said).into_response();
    };
    let reader = Reader {
        past: past(&admin),
        subscription,
        admin: admin.clone(),
    };
    let frames = stream::unfold(reader, |mut reader| async {
        let frame = reader.next().await?;
        Some((frame, reader))
    });
    let body = Body::from_stream(frames.map(Ok::<_, Infallible>));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Everything there is. The subscription was made before: what happens
/// meanwhile is told after it.
fn past(admin: &Admin) -> VecDeque<Bytes> {
    let all = targets::view(admin);
    let mut frames = VecDeque::new();
    let mut rest = all.into_iter().peekable();
    loop {
        let part = Part {
            first: frames.is_empty(),
            targets: rest.by_ref().take(PART).collect(),
        };
        frames.push_back(frame("targets", &part));
        if rest.peek().is_none() {
            break;
        }
    }
    frames.push_back(frame("events", &admin.sight.events(None, PAST)));
    frames
}

impl Reader {
    /// The next frame; `None`: it is over.
    async fn next(&mut self) -> Option<Bytes> {
        let stop = self.admin.stopping.clone();
        if stop.is_cancelled() {
            return None;
        }
        if let Some(frame) = self.past.pop_front() {
            return Some(frame);
        }
        let next = timeout(BEAT_EACH, self.subscription.next());
        match stop.run_until_cancelled(next).await? {
            Ok(frame) => frame,
            Err(_silence) => Some(Bytes::from_static(b": still here\n\n")),
        }
    }
}
