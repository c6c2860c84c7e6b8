//! One target: a task that fetches its page again and again.
//!
//! Spawned by `scraper`, which says what to do and when to stop. One target
//! that hangs or lies holds up no other.

use super::{
    Address, Intake, PageLimits, SourceConfig,
    fetch::{Ask, Client},
    reading::{LastScrape, Shown, SourceCounters},
};
use crate::{
    ingest::{IngestCounters, Outcome, Source},
    series::Store,
};
use foldhash::fast::FixedState;
use std::{hash::BuildHasher, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at},
};

/// What all targets share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) store: Arc<Store>,
    pub(super) counters: Arc<IngestCounters>,
    pub(super) limits: PageLimits,
    pub(super) now_ms: fn() -> i64,
}

/// What a task is to do.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Fetch.
    Fetch(Arc<SourceConfig>),
    /// Stop: another replica goes on with it, or all of us stop.
    Release,
    /// Stop: it is no target any more, and its series end.
    End,
}

/// Which target, and what of it is shared with the scraper.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) labels: Arc<[(String, String)]>,
    /// Since when its source is watched.
    pub(super) watched_ms: i64,
    pub(super) counters: Arc<SourceCounters>,
    pub(super) shown: Arc<Shown>,
}

/// Fetches until it is told to stop, or nobody tells it anything any more.
pub(super) async fn run(target: Target, mut orders: watch::Receiver<Order>, context: Arc<Context>) {
    let (store, labels) = (context.store.clone(), target.labels.clone());
    let mut intake = Intake::new(store, labels, context.limits, target.watched_ms);
    let mut client = Client::new(target.address.clone());
    loop {
        let config = match &*orders.borrow_and_update() {
            Order::Fetch(config) => config.clone(),
            Order::Release => return,
            Order::End => {
                intake.end((context.now_ms)());
                return;
            }
        };
        let first = Instant::now() + offset(&target.labels, config.interval);
        let mut ticks = interval_at(first, config.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let told = loop {
            let round = async {
                ticks.tick().await;
                scrape(&target, &config, &context, &mut client, &mut intake).await;
            };
            tokio::select! {
                biased;
                told = orders.changed() => break told,
                () = round => {}
            }
        };
        if told.is_err() {
            return;
        }
    }
}

/// When within an interval: the same for a target at all times, another for
/// each, so that they do not all come at once.
fn offset(labels: &[(String, String)], interval: Duration) -> Duration {
    // Seeds that are the same in each process.
    let hash = FixedState::default().hash_one(labels);
    let parts = u32::try_from(hash % 1024).unwrap_or(0);
    interval * parts / 1024
}

/// Cancel safe: what is read is stored as a whole or not at all.
async fn scrape(
    target: &Target,
    config: &SourceConfig,
    context: &Context,
    client: &mut Client,
    intake: &mut Intake,
) {
    let filter = intake.filter(&config.metrics);
    let ask = Ask {
        path: config.path.clone(),
        tls: config.tls.clone(),
        timeout: config.timeout,
    };
    let (at_ms, began) = ((context.now_ms)(), Instant::now());
    let fetched = client.fetch(&ask, context.limits, filter.clone()).await;
    let mut last = LastScrape {
        at_ms,
        took: began.elapsed(),
        error: None,
        samples: 0,
        dropped: 0,
        problems: String::new(),
        bytes: 0,
    };
    let counters = &context.counters;
    match fetched {
        Ok(page) => {
            last.bytes = page.bytes;
            let outcome: Outcome = intake.take(page, &filter, at_ms);
            (last.samples, last.dropped) = (outcome.accepted(), outcome.rejected());
            last.problems = outcome.message();
            counters.took(Source::Scrape, &outcome, at_ms);
            // An answer without anything that is wanted is an answer, too.
            counters.heard(Source::Scrape, at_ms);
        }
        Err(error) => {
            intake.end(at_ms);
            counters.refused(Source::Scrape);
            last.error = Some(error.to_string());
        }
    }
    let before = target.shown.get();
    let was_up = before.as_ref().map(|before| before.error.is_none());
    tell(target, config, was_up, &last);
    target.counters.count(&last);
    target.shown.set(last);
}

/// Logs what has changed: not each of a thousand failures.
fn tell(target: &Target, config: &SourceConfig, was_up: Option<bool>, last: &LastScrape) {
    let (address, path) = (&target.address, &config.path);
    match &last.error {
        Some(error) if was_up != Some(false) => {
            tracing::warn!(%address, path, "metrics cannot be fetched, their series end: {error}");
        }
        None if was_up == Some(false) => {
            tracing::info!(%address, path, samples = last.samples, "metrics are fetched again");
        }
        _ => {}
    }
}
