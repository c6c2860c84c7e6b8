//! Following one kind in one scope: list, then watch, for ever.
//!
//! One task each, run by the composition root until the stop; the cluster's
//! loop, or who else follows the kind, takes what it sends. A failure changes
//! nothing of what is known: the last state stays until a list or an event says
//! otherwise. A watch ends by itself soon, and one on which nothing comes is
//! given up: a connection that died without a word is noticed within
//! [`SILENT_AFTER`].

use super::{
    api::{Api, Lines, Listed, Page, Selector},
    contact::Contact,
    failure::Failure,
    kind::Kind,
    store::{Change, Key, Scope, Seen},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

/// The server ends a watch after this long, and we open the next one.
const WATCH_FOR: Duration = Duration::from_secs(20);
/// A watch that has said nothing for so long is dead: the server should have
/// ended it.
const SILENT_AFTER: Duration = Duration::from_secs(25);
/// After a failure, the first and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often it is looked whether a kind has come that a cluster may do without.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// A watch that lasted that long was a good one.
const LASTED: Duration = Duration::from_secs(5);

/// A kind of objects that is followed.
pub(super) trait Watched: Sized + Send + 'static {
    /// Which one.
    const KIND: &'static Kind;
    /// What whoever follows it is told.
    type News: Send;

    /// The object, from its JSON text; why it cannot be understood.
    fn decode(key: &Key, json: &str) -> Result<Self, String>;

    /// For whoever follows it.
    fn news(change: Change<Self>) -> Self::News;
}

/// Follows one kind in one scope.
pub(super) struct Watch<N> {
    pub(super) api: Api,
    pub(super) scope: Scope,
    /// Which objects of the kind.
    pub(super) selector: Selector,
    pub(super) news: mpsc::Sender<N>,
    pub(super) contact: Arc<Contact>,
}

/// An event of a watch.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    what: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// What is read of every object, whatever its kind.
#[derive(Deserialize)]
struct Any<'a> {
    #[serde(default, borrow)]
    metadata: Meta<'a>,
}

/// The metadata that every object has.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
}

/// How a watch came to its end.
enum Ended {
    /// It can go on from the last version.
    Here,
    /// A list is needed: that version is too old.
    Gone,
}

/// Nobody listens any more.
struct Closed;

impl<N: Send> Watch<N> {
    /// Runs until nobody takes the news. Drop it to stop: nothing is lost.
    pub(super) async fn run<T: Watched<News = N>>(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.list::<T>().await {
                Ok(Ok(version)) => {
                    pause = FIRST_PAUSE;
                    if self.follow::<T>(version).await.is_err() {
                        return;
                    }
                }
                Ok(Err(Closed)) => return,
                Err(failure) => {
                    let is_absent = T::KIND.optional && failure == Failure::Missing;
                    if is_absent {
                        self.contact.absent(T::KIND);
                        // That there is none is known as well.
                        if !self.knows::<T>() && self.send(T::news(self.none())).await.is_err() {
                            return;
                        }
                        self.contact.synced(T::KIND, &self.scope);
                        sleep(LOOK_AGAIN).await;
                    } else {
                        self.contact.trouble(T::KIND, &self.scope, "list", &failure);
                        wait(&mut pause, &failure).await;
                    }
                }
            }
        }
    }

    fn knows<T: Watched<News = N>>(&self) -> bool {
        self.contact.is_synced(T::KIND, &self.scope)
    }

    fn none<T>(&self) -> Change<T> {
        Change::All(self.scope.clone(), Vec::new())
    }

    async fn send(&self, news: N) -> Result<(), Closed> {
        self.news.send(news).await.map_err(|_| Closed)
    }

    /// All objects as they are now, page by page, told as one change; the
    /// version to watch from.
    async fn list<T: Watched<News = N>>(&self) -> Result<Result<String, Closed>, Failure> {
        let mut all = Vec::new();
        let mut coming = self.fetch(T::KIND, String::new());
        let version = loop {
            let page = coming
                .await
                .expect("fetching does not panic, and is aborted only when nobody waits")?;
            let Listed { metadata, items } = page.read()?;
            let next = metadata.next.filter(|from| !from.is_empty());
            // Comes while this one is read: each takes about as long.
            let following = next.map(|from| self.fetch(T::KIND, from));
            for item in items {
                all.extend(self.seen::<T>(item));
            }
            match following {
                Some(following) => coming = following,
                None => break metadata.resource_version,
            }
        };
        if version.is_empty() {
            let what = "a list without metadata.resourceVersion".to_owned();
            return Err(Failure::Garbled(what));
        }
        tracing::debug!(kind = T::KIND.name, objects = all.len(), version, "listed");
        let change = Change::All(self.scope.clone(), all);
        if self.send(T::news(change)).await.is_err() {
            return Ok(Err(Closed));
        }
        self.contact.synced(T::KIND, &self.scope);
        Ok(Ok(version))
    }

    /// One page, from a place in the list; aborted when nobody waits for it.
    fn fetch(&self, kind: &Kind, from: String) -> AbortOnDropHandle<Result<Page, Failure>> {
        let path = kind.path(self.scope.as_deref());
        let (api, selector) = (self.api.clone(), self.selector.clone());
        let fetching = async move { api.page(&path, &selector, &from).await };
        AbortOnDropHandle::new(tokio::spawn(fetching))
    }

    /// Tells what changes after `version`, until a list is needed.
    async fn follow<T: Watched<News = N>>(&self, mut version: String) -> Result<(), Closed> {
        let path = T::KIND.path(self.scope.as_deref());
        let mut pause = FIRST_PAUSE;
        // It was there then, and had come to that version.
        let mut there = Instant::now();
        loop {
            let (opened, before) = (Instant::now(), version.clone());
            let ended = match self.open(&path, &version, there).await {
                Ok(Some(lines)) => {
                    there = Instant::now();
                    self.events::<T>(lines, &mut version).await?
                }
                Ok(None) => Ok(Ended::Gone),
                Err(failure) => Err(failure),
            };
            match ended {
                Ok(Ended::Here) if opened.elapsed() > LASTED => pause = FIRST_PAUSE,
                Ok(Ended::Here) => {
                    // It was good for something.
                    if version != before {
                        pause = FIRST_PAUSE;
                    }
                    wait(&mut pause, &Failure::Missing).await;
                }
                Ok(Ended::Gone) | Err(Failure::Gone) => return Ok(()),
                Err(failure) => {
                    self.contact
                        .trouble(T::KIND, &self.scope, "watch", &failure);
                    wait(&mut pause, &failure).await;
                }
            }
        }
    }

    /// A watch from `version` on; `None`: the API server came back without having come so
    /// far, as its store was restored from a backup. It would say nothing until it has.
    async fn open(
        &self,
        path: &str,
        version: &str,
        there: Instant,
    ) -> Result<Option<Lines>, Failure> {
        if self.api.was_away_since(there) {
            let now = self.api.version(path, &self.selector).await?;
            // Numbers, since Kubernetes 1.35 by its word; of others nothing is known.
            let numbers = now.parse::<u64>().ok().zip(version.parse::<u64>().ok());
            if numbers.is_some_and(|(now, ours)| now < ours) {
                tracing::info!(
                    path,
                    now,
                    known = version,
                    "the API server's store was set back; listing anew"
                );
                return Ok(None);
            }
        }
        let watched = self.api.watch(path, &self.selector, version, WATCH_FOR);
        watched.await.map(Some)
    }

    /// Tells the events of one watch.
    async fn events<T: Watched<News = N>>(
        &self,
        mut lines: Lines,
        version: &mut String,
    ) -> Result<Result<Ended, Failure>, Closed> {
        self.contact.heard(T::KIND, &self.scope);
        loop {
            let line = match timeout(SILENT_AFTER, lines.next()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) => return Ok(Ok(Ended::Here)),
                // Connections break every day. If the next one fails, that is told.
                Ok(Err(Failure::Unreachable(why))) => {
                    tracing::debug!(kind = T::KIND.name, why, "a watch broke off");
                    return Ok(Ok(Ended::Here));
                }
                Ok(Err(failure)) => return Ok(Err(failure)),
                Err(_) => {
                    let kind = T::KIND.name;
                    tracing::info!(kind, after = ?SILENT_AFTER, "a watch went silent; opened anew");
                    return Ok(Ok(Ended::Here));
                }
            };
            self.contact.heard(T::KIND, &self.scope);
            let change = match self.event::<T>(&line, version) {
                Ok(Some(change)) => change,
                Ok(None) => continue,
                Err(Failure::Gone) => return Ok(Ok(Ended::Gone)),
                // One event that makes no sense must not hide those after it.
                Err(failure @ Failure::Garbled(_)) => {
                    self.contact
                        .trouble(T::KIND, &self.scope, "watch", &failure);
                    continue;
                }
                Err(failure) => return Ok(Err(failure)),
            };
            self.send(T::news(change)).await?;
        }
    }

    /// What one event says, if it says anything.
    fn event<T: Watched<News = N>>(
        &self,
        line: &Bytes,
        version: &mut String,
    ) -> Result<Option<Change<T>>, Failure> {
        let event: Event<'_> = serde_json::from_slice(line)
            .map_err(|error| Failure::Garbled(format!("an event: {error}")))?;
        if event.what == "ERROR" {
            return Err(Failure::of_event(event.object.get()));
        }
        let meta = meta(event.object)?;
        if !meta.resource_version.is_empty() {
            version.clear();
            version.push_str(&meta.resource_version);
        }
        Ok(match &*event.what {
            "ADDED" | "MODIFIED" => self.seen::<T>(event.object).map(Change::Put),
            "DELETED" => Some(Change::Gone(Key::new(&meta.namespace, &meta.name))),
            // Bookmarks, and what later servers may say.
            _ => None,
        })
    }

    /// One object, also one that cannot be understood.
    fn seen<T: Watched<News = N>>(&self, json: &RawValue) -> Option<Seen<T>> {
        let meta = match meta(json) {
            Ok(meta) if !meta.name.is_empty() => meta,
            _ => {
                self.contact.nameless(T::KIND);
                return None;
            }
        };
        let key = Key::new(&meta.namespace, &meta.name);
        let decoded = T::decode(&key, json.get());
        if let Err(why) = &decoded {
            tracing::warn!(
                kind = T::KIND.name, object = %key,
                "cannot be understood, what was known of it stays: {why}"
            );
        }
        Some(Seen {
            key,
            version: meta.resource_version.into(),
            object: decoded.ok(),
        })
    }
}

fn meta(object: &RawValue) -> Result<Meta<'_>, Failure> {
    serde_json::from_str(object.get())
        .map(|any: Any<'_>| any.metadata)
        .map_err(|error| Failure::Garbled(format!("metadata: {error}")))
}

/// Waits before the next try: longer each time, with jitter, and as long as
/// the server asks for.
async fn wait(pause: &mut Duration, failure: &Failure) {
    let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
    let asked = match failure {
        Failure::Throttled(after) => after
            .unwrap_or(Duration::from_secs(1))
            .min(LONGEST_PAUSE * 6),
        _ => Duration::ZERO,
    };
    sleep(jittered.max(asked)).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}

#[cfg(test)]
mod tests;
