//! The publisher: the one task that keeps the board.
//!
//! Run by the gRPC server beside its service. An edge is on the board as soon
//! as the task is scheduled; everything else is found by a look at the targets
//! that do not rest ten times a second, and at each other one once a second, and
//! only while somebody follows.

use crate::{ledger::Ledger, tracked::Tracked};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Changes are told this often.
const LOOK_EACH: Duration = Duration::from_millis(100);

/// Of the targets that rest, each is looked at in one of so many looks: only
/// their endpoints can change.
const TURNS: usize = 10;

/// Edges in quick succession are told together: a client that comes and goes
/// all the time must not cost each replica a frame each time.
const EDGES_EACH: Duration = Duration::from_millis(1);

/// After so many targets an edge gets its turn.
const BATCH: usize = 256;

/// Publishes for ever. Drop it when the gRPC server stops.
///
/// Cancellation safe; but only the first call for a ledger publishes, any
/// other logs an error and returns.
pub async fn run(ledger: Arc<Ledger>) {
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
    let mut turn = 0;
    loop {
        let followed = *followers.borrow_and_update() > 0;
        tokio::select! {
            biased;
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
                look_around(&ledger, turn, &mut edges).await;
                turn = (turn + 1) % TURNS;
            }
            changed = followers.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
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

/// A look at the targets that do not rest, and at those whose turn it is, with
/// a pause for edges after each batch.
async fn look_around(
    ledger: &Ledger,
    turn: usize,
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
    let all = table.values().enumerate();
    let some = all.filter(|(nth, tracked)| nth % TURNS == turn || tracked.has_attention());
    let targets: Vec<&Arc<Tracked>> = some.map(|(_, tracked)| tracked).collect();
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
