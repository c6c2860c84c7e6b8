//! What one other replica is told of the points that arrive here.
//!
//! Opened by [`super::service`], polled by the HTTP/2 connection. A message is
//! made when it is polled for: points at once, or, if they keep coming, those
//! of [`GAP`] together. A replica that reads slowly finds that what it has not
//! read is gone, and is told anew what is kept: nothing is queued for it but
//! one message.

use super::{gathered::MOST_SERIES, spelling};
use crate::{
    gen_peers::{Needs, Points, Series},
    grpc::Connection,
    metric_sources::MetricSources,
    series::{History, Registration, SeriesRef, Told, unix_ms},
};
use futures_util::{
    FutureExt,
    stream::{self, Stream, StreamExt},
};
use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until},
};
use tonic::Status;

/// The messages of one stream.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<Points, Status>> + Send + 'static>>;

/// What the other replica says.
pub(crate) type Asked = Pin<Box<dyn Stream<Item = Result<Needs, Status>> + Send + 'static>>;

/// Messages about points that have just arrived are so far apart.
const GAP: Duration = Duration::from_millis(2);

/// The other one hears something, and when points last arrived, this often.
const KEEP_ALIVE_EACH: Duration = Duration::from_secs(1);

/// Points that are looked for at a time.
const MOST_POINTS: usize = 4096;

/// A message is not much larger.
const MOST_BYTES: usize = 128 * 1024;

/// Needs that one replica may have: twice the triggers that can be known.
const MOST_NEEDS: usize = 10_000;

/// The sender of one stream.
pub(crate) struct Sharing {
    sources: MetricSources,
    asked: Asked,
    closing: watch::Receiver<bool>,
    history: History,
    needs: HashMap<u64, Arc<Registration>>,
    /// Of the needs that were heard, and of those that were answered.
    revision: u64,
    answered: u64,
    waiting: VecDeque<Told>,
    numbers: HashMap<SeriesRef, u32>,
    anew: bool,
    refused: bool,
    ends: bool,
    told_at: Instant,
    _place: Option<OwnedSemaphorePermit>,
}

impl Sharing {
    /// `place` is given back when the stream ends.
    pub(crate) fn new(
        sources: MetricSources,
        asked: Asked,
        connection: &Connection,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            history: History::new(sources.store.clone()),
            sources,
            asked,
            closing: connection.closing.clone(),
            needs: HashMap::new(),
            revision: 0,
            answered: 0,
            waiting: VecDeque::new(),
            numbers: HashMap::new(),
            anew: true,
            refused: false,
            ends: false,
            told_at: Instant::now(),
            _place: place,
        }
    }

    /// As a stream of messages.
    pub(crate) fn messages(self) -> Messages {
        let messages = stream::unfold(self, |mut sharing| async {
            let message = sharing.next().await?;
            Some((Ok(message), sharing))
        });
        Box::pin(messages.fuse())
    }

    async fn next(&mut self) -> Option<Points> {
        loop {
            if *self.closing.borrow() {
                return self.last();
            }
            // However much there is to say, it is heard what is needed.
            while let Some(needs) = self.asked.next().now_or_never() {
                self.hear(&needs?.ok()?);
            }
            if let Some(points) = self.message() {
                return Some(self.told(points));
            }
            if !self.history.is_told() {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                closing = self.closing.changed() => closing.ok()?,
                needs = self.asked.next() => self.hear(&needs?.ok()?),
                () = self.history.more() => sleep_until(self.told_at + GAP).await,
                () = sleep_until(self.told_at + KEEP_ALIVE_EACH) => {
                    let points = self.about_now();
                    return Some(self.told(points));
                }
            }
        }
    }

    fn told(&mut self, points: Points) -> Points {
        self.told_at = Instant::now();
        points
    }

    /// The other one has said what it needs.
    fn hear(&mut self, needs: &Needs) {
        for id in &needs.dropped {
            let Some(gone) = self.needs.remove(id) else {
                continue;
            };
            if self.needs.values().all(|other| other.id() != gone.id()) {
                self.history.remove(gone.id());
            }
        }
        for need in &needs.added {
            let selector = spelling::selector(need).map_err(|error| error.to_string());
            let selector = match selector {
                Ok(_) if self.needs.len() >= MOST_NEEDS => {
                    Err(format!("it needs more than {MOST_NEEDS} selectors"))
                }
                selector => selector,
            };
            match selector {
                Ok(selector) => {
                    let registration = self.sources.store.register_for_another(&selector);
                    self.history.add(registration.id());
                    self.needs.insert(need.id, registration);
                }
                Err(error) if !self.refused => {
                    self.refused = true;
                    tracing::warn!(
                        %error,
                        "a replica asks for series that it cannot be told of; it is told of others"
                    );
                }
                Err(_) => {}
            }
        }
        self.revision = self.revision.max(needs.revision);
    }

    /// What is to be said now, if anything.
    fn message(&mut self) -> Option<Points> {
        if self.waiting.is_empty() {
            self.waiting.extend(self.history.arrived_here(MOST_POINTS));
            let kept = self.history.kept(MOST_POINTS, unix_ms());
            self.waiting.extend(kept);
        }
        self.compose()
    }

    /// What is to be said before the end: what arrived. What is kept is for
    /// the next stream.
    fn last(&mut self) -> Option<Points> {
        if !std::mem::replace(&mut self.ends, true) {
            let arrived = self.history.arrived_here(usize::MAX);
            self.waiting.extend(arrived);
        }
        self.compose().filter(|points| !points.points.is_empty())
    }

    /// A message of what waits.
    fn compose(&mut self) -> Option<Points> {
        if self.numbers.len() + self.waiting.len() > MOST_SERIES {
            self.numbers = HashMap::new();
            self.anew = true;
        }
        let mut points = self.about_now();
        let mut bytes = 0;
        while bytes < MOST_BYTES
            && let Some(told) = self.waiting.pop_front()
        {
            bytes += 16 * (told.points.len() + 1);
            let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
            let number = *self.numbers.entry(told.series).or_insert(next);
            if number == next {
                bytes += told.labels.bytes();
                let labels = told.labels.iter();
                points.series.push(Series {
                    number,
                    labels: labels
                        .flat_map(|(name, value)| [name.to_owned(), value.to_owned()])
                        .collect(),
                });
            }
            points.points.push(spelling::series_points(number, &told));
        }
        let is_told = self.waiting.is_empty() && self.history.is_told();
        if is_told && self.answered < self.revision {
            self.answered = self.revision;
            points.complete = self.revision;
        }
        let says = !points.points.is_empty() || points.complete > 0;
        if says {
            points.anew = std::mem::take(&mut self.anew);
        }
        says.then_some(points)
    }

    fn about_now(&self) -> Points {
        let arrived = self.sources.counters.last_arrival_here_ms();
        let ago = arrived.map(|at| unix_ms().saturating_sub(at));
        Points {
            arrived_ms_ago: ago.map(|ago| u64::try_from(ago).unwrap_or(0)),
            ..Points::default()
        }
    }
}

#[cfg(test)]
mod tests;
