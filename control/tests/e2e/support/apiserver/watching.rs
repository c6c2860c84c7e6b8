//! The stream of a watch: what changed since a version, bookmarks, and its end.

use super::store::{Kind, SAID, Shared, has_fields, has_labels};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use std::{io, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What is watched.
pub(super) struct Wanted {
    pub(super) kind: &'static Kind,
    pub(super) namespace: Option<String>,
    pub(super) labels: String,
    pub(super) fields: String,
    pub(super) from: u64,
    pub(super) limit: Duration,
}

/// Streams until the limit, or until it is cut.
pub(super) fn stream(shared: Arc<Shared>, wanted: Wanted) -> Body {
    let (lines, body) = mpsc::channel(64);
    tokio::spawn(async move {
        tell(&shared, &wanted, lines).await;
    });
    StreamBody::new(ReceiverStream::new(body)).boxed_unsync()
}

type Lines = mpsc::Sender<Result<Frame<Bytes>, io::Error>>;

async fn tell(shared: &Shared, wanted: &Wanted, lines: Lines) {
    let kind = wanted.kind;
    let mut version = shared.version.subscribe();
    let mut cuts = shared.cuts.subscribe();
    let end = tokio::time::sleep(wanted.limit);
    tokio::pin!(end);
    let mut from = wanted.from;
    loop {
        version.mark_unchanged();
        let (oldest, now, changes) = shared.look(|state| {
            let changes = state.history.iter().filter(|change| change.version > from);
            let changes: Vec<_> = changes.cloned().collect();
            (state.oldest, state.version, changes)
        });
        if from < oldest {
            let status = json!({"kind": "Status", "status": "Failure", "code": 410,
                "reason": "Expired", "message": "too old resource version"});
            let _left = lines.send(line("ERROR", &status)).await;
            return;
        }
        for change in changes {
            let namespace = wanted.namespace.as_deref();
            if change.what == SAID && change.plural == kind.plural {
                let text = change.object.as_str().unwrap_or_default();
                let said = Ok(Frame::data(format!("{text}\n").into()));
                if lines.send(said).await.is_err() {
                    return;
                }
                continue;
            }
            let is_wanted = change.plural == kind.plural
                && namespace.is_none_or(|ns| change.object["metadata"]["namespace"] == ns)
                && has_labels(&change.object, &wanted.labels)
                && has_fields(&change.object, &wanted.fields);
            if is_wanted && lines.send(line(change.what, &change.object)).await.is_err() {
                return;
            }
        }
        // A version that is yet to come is waited for without a word.
        from = from.max(now);
        tokio::select! {
            _ = version.changed() => {}
            _ = cuts.changed() => {
                let _left = lines.send(Err(io::Error::other("cut"))).await;
                return;
            }
            () = lines.closed() => return,
            () = &mut end => {
                if from == wanted.from {
                    // Without news there is no bookmark, either.
                    return;
                }
                let bookmark = json!({"kind": kind.name,
                    "metadata": {"resourceVersion": from.to_string()}});
                let _left = lines.send(line("BOOKMARK", &bookmark)).await;
                return;
            }
        }
    }
}

fn line(what: &str, object: &Value) -> Result<Frame<Bytes>, io::Error> {
    let mut text = json!({"type": what, "object": object}).to_string();
    text.push('\n');
    Ok(Frame::data(text.into()))
}
