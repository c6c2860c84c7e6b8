//! The publisher: the one task that keeps the board.
//!
//! Run by the gRPC server beside its service. An edge is on the board as soon
//! as the task is scheduled; everything else is found by a look at all targets
//! ten times a second, and only while somebody follows.

use crate::{ledger::Ledger, tracked::Tracked};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

/// Changes are told this often.
const LOOK_EACH: Duration = Duration::from_millis(100);

/// Edges in quick succession are told together: a client that comes and goes
/// all the time must not cost each replica a frame each time.
const EDGES_EACH: Duration = Duration::from_millis(1);

/// After so many targets an edge gets its turn.
const BATCH: usize = 256;

/// Publishes until `closing` is true or without a sender.
///
/// Cancellation safe; but only the first call for a ledger publishes.
pub(crate) async fn run(ledger: Arc<Ledger>, mut closing: watch::Receiver<bool>) {
    let Some(mut edges) = ledger.outbox().take_edges() else {
        tracing::error!("the ledger is published already: a second gRPC server was started for it");
        return;
    };
    let outbox = ledger.outbox();
    let mut followers = outbox.follow_followers();
    let mut ticks = interval(LOOK_EACH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch: Vec<Arc<Tracked>> = Vec::new();
    let mut told_at: Option<Instant> = None;
    loop {
        let followed = *followers.borrow_and_update() > 0;
        tokio::select! {
            biased;
            () = closed(&mut closing) => return,
            received = edges.recv_many(&mut batch, BATCH) => {
                if received == 0 {
                    return; // the ledger is gone, which we hold: never
                }
                if let Some(at) = told_at {
                    sleep_until(at + EDGES_EACH).await;
                    while batch.len() < BATCH && let Ok(more) = edges.try_recv() {
                        batch.push(more);
                    }
                }
                told_at = Some(Instant::now());
                tell_edges(&ledger, &mut batch);
            }
            _ = ticks.tick(), if followed => {
                look_at_all(&ledger, &mut edges).await;
            }
            changed = followers.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Ready when the streams are to end.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // Err: the sender is gone, which means the same.
    let _ended = closing.wait_for(|closing| *closing).await.is_err();
}

fn tell_edges(ledger: &Ledger, batch: &mut Vec<Arc<Tracked>>) {
    let outbox = ledger.outbox();
    // Before the look: who waits after it is an edge again.
    batch.iter().for_each(|tracked| tracked.leave_edges());
    let untouched_us = ledger.now_us();
    // A target that was removed meanwhile is not to come back on the board.
    batch.retain(|tracked| {
        ledger
            .known(tracked.id())
            .is_some_and(|known| Arc::ptr_eq(&known, tracked))
    });
    outbox.look(batch.iter(), untouched_us);
    batch.clear();
}

/// A look at all targets, with a pause for edges after each batch.
async fn look_at_all(
    ledger: &Ledger,
    edges: &mut tokio::sync::mpsc::UnboundedReceiver<Arc<Tracked>>,
) {
    let outbox = ledger.outbox();
    let Some(table) = ledger.targets() else {
        return;
    };
    let before_us = outbox.change(|board| {
        board.keep_only(|id| table.contains_key(id));
        board.look_begins(ledger.now_us())
    });
    let targets: Vec<&Arc<Tracked>> = table.values().collect();
    for batch in targets.chunks(BATCH) {
        outbox.look(batch.iter().copied(), before_us);
        tokio::task::yield_now().await;
        let mut waiting = Vec::new();
        while waiting.len() < BATCH
            && let Ok(tracked) = edges.try_recv()
        {
            waiting.push(tracked);
        }
        if !waiting.is_empty() {
            tell_edges(ledger, &mut waiting);
        }
    }
}
