//! The cluster's loop: takes what watches tell, and keeps what is served the
//! same as the objects say.
//!
//! One task of the composition root's. Before all kinds were listed once it
//! serves nothing; after that, whatever happens to the API server, what was
//! last seen is served on.

use super::{
    board::Board,
    condition::REASONS,
    contact::Contact,
    duty::Duty,
    kind::{HTTP_SCALED_OBJECT, INTERCEPTOR_ROUTE},
    made::Made,
    news::News,
    reconcile::Reconciler,
    status::Status,
    trust_bundle::TrustBundle,
    wakes::Wakes,
};
use crate::discovery::Wired;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

/// So many changes are taken in at once.
const BATCH: usize = 1024;
/// A new route table is built, and what to write is thought over, at most every so
/// many times the time that it takes, so that churn costs a part of one core.
const PAUSE_FACTOR: u32 = 10;
/// And the longest pauses that follow from that.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_WISHES_PAUSE: Duration = Duration::from_secs(10);

/// What others see of the cluster.
pub struct Cluster {
    contact: Arc<Contact>,
    duty: Arc<Duty>,
    trust_bundle: Arc<TrustBundle>,
    wired: ArcSwap<Shown>,
    census: Mutex<Census>,
    is_served: watch::Sender<bool>,
}

/// How many routes are ready or not, by kind and the reason of that.
type Census = BTreeMap<(&'static str, &'static str), usize>;

/// What should be written, for the writers.
#[derive(Default)]
pub(super) struct Boards {
    pub(super) statuses: Arc<Board<Status>>,
    pub(super) made: Arc<Board<Made>>,
}

#[derive(Default)]
struct Shown {
    wired: Arc<[Wired]>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn new(
        contact: Arc<Contact>,
        duty: Arc<Duty>,
        trust_bundle: Arc<TrustBundle>,
    ) -> Self {
        Self {
            contact,
            duty,
            trust_bundle,
            wired: ArcSwap::default(),
            census: Mutex::default(),
            is_served: watch::Sender::new(false),
        }
    }

    /// How we stand with the API server.
    #[must_use]
    pub fn contact(&self) -> &Contact {
        &self.contact
    }

    /// What this replica writes for all of them.
    #[must_use]
    pub fn duty(&self) -> &Duty {
        &self.duty
    }

    /// Dapr's trust bundle; nothing in it where it is not followed.
    #[must_use]
    pub fn trust_bundle(&self) -> &TrustBundle {
        &self.trust_bundle
    }

    /// How many routes are ready or not, by kind and the reason of that; none is
    /// left out.
    #[must_use]
    pub fn census(&self) -> Vec<(&'static str, &'static str, usize)> {
        let census = self.census.lock();
        let kinds = [INTERCEPTOR_ROUTE.name, HTTP_SCALED_OBJECT.name];
        let all = kinds
            .into_iter()
            .flat_map(|kind| REASONS.map(|reason| (kind, reason)));
        let count = |of| census.get(&of).copied().unwrap_or(0);
        all.map(|(kind, reason)| (kind, reason, count((kind, reason))))
            .collect()
    }

    /// Resolves when all objects were read once, and what they say is served.
    /// Cancel safe.
    pub async fn served(&self) {
        let mut served = self.is_served.subscribe();
        // The sender is ours.
        let _open = served.wait_for(|served| *served).await;
    }

    /// Every route with what stands behind it, in the order of their names.
    #[must_use]
    pub fn wired(&self) -> Arc<[Wired]> {
        self.wired.load().wired.clone()
    }

    /// Keeps what is served the same as what `news` says, and what should be
    /// written on `boards`, until nobody tells any more.
    pub(super) async fn run(
        self: Arc<Self>,
        mut reconciler: Reconciler,
        mut news: mpsc::Receiver<News>,
        wakes: Arc<Wakes>,
        boards: Boards,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut is_synced = false;
        let (mut routes_due, mut wishes_due) = (Instant::now(), Instant::now());
        loop {
            let routes_wait = is_synced && reconciler.has_dirty_routes();
            let wishes_wait = is_synced && reconciler.has_stale_wishes();
            tokio::select! {
                taken = news.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                }
                () = wakes.told() => reconciler.woken(wakes.take()),
                () = self.contact.synced_all(), if !is_synced => {
                    is_synced = true;
                    // What was listed was told before.
                    while let Ok(one) = news.try_recv() {
                        batch.push(one);
                    }
                }
                () = sleep_until(routes_due), if routes_wait => {}
                () = sleep_until(wishes_due), if wishes_wait => {}
                () = boards.made.refused() => reconciler.heard_of_refusals(),
            }
            batch.drain(..).for_each(|one| reconciler.take(one));
            if !is_synced {
                continue;
            }
            reconciler.settle_endpoints();
            let began = Instant::now();
            if reconciler.has_dirty_routes() && began >= routes_due {
                self.settle_routes(&mut reconciler);
                routes_due = after(began, LONGEST_PAUSE);
            }
            let began = Instant::now();
            if reconciler.has_stale_wishes() && began >= wishes_due {
                self.settle_wishes(&mut reconciler, &boards);
                wishes_due = after(began, LONGEST_WISHES_PAUSE);
            }
        }
    }

    fn settle_wishes(&self, reconciler: &mut Reconciler, boards: &Boards) {
        let wishes = reconciler.wishes(&boards.made.refusals());
        *self.census.lock() = wishes.census;
        boards.made.show(wishes.made);
        boards.statuses.show(wishes.statuses);
    }

    fn settle_routes(&self, reconciler: &mut Reconciler) {
        reconciler.settle_routes();
        let wired = reconciler.wired();
        let routes = wired.len();
        self.wired.store(Arc::new(Shown { wired }));
        if !self.is_served.send_replace(true) {
            tracing::info!(routes, "the cluster's routes are served");
        }
    }
}

/// When what was begun then may be done again.
fn after(began: Instant, longest: Duration) -> Instant {
    Instant::now() + (began.elapsed() * PAUSE_FACTOR).min(longest)
}
