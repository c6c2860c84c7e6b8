//! What this replica tells one other replica that it needs: all that its own
//! queries read, and each change of that.
//!
//! Polled by the HTTP/2 connection on which [`super::gather`] asks.

use super::spelling::need;
use crate::{
    gen_peers::Needs,
    series::{Selectors, Store},
};
use futures_util::stream::{self, Stream};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// Triggers come many at a time: KEDA starts. They are told together.
const TOGETHER: Duration = Duration::from_millis(5);

/// Needs in one message: at most about 64 KiB, of common ones 8.
const MOST: usize = 64;

/// What one other replica was told.
#[derive(Debug)]
pub(crate) struct Asking {
    store: Arc<Store>,
    changes: watch::Receiver<u64>,
    /// Ids of what was asked, by what it says.
    sent: HashMap<Arc<str>, u64>,
    next: u64,
    waiting: VecDeque<Needs>,
    began: bool,
}

impl Asking {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self {
            changes: store.asked().follow(),
            store,
            sent: HashMap::new(),
            next: 0,
            waiting: VecDeque::new(),
            began: false,
        }
    }

    /// As a stream without end.
    pub(crate) fn messages(self) -> impl Stream<Item = Needs> + Send + 'static {
        stream::unfold(self, |mut asking| async {
            let needs = asking.next().await;
            Some((needs, asking))
        })
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Needs {
        loop {
            if let Some(needs) = self.waiting.pop_front() {
                return needs;
            }
            if self.began {
                // The sender lives in the store, which this holds.
                if self.changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                sleep(TOGETHER).await;
            }
            self.began = true;
            self.compare();
        }
    }

    /// Writes down what changed.
    fn compare(&mut self) {
        self.changes.mark_unchanged();
        let (revision, all) = self.store.asked().all();
        let mut dropped = Vec::new();
        self.sent.retain(|said, id| {
            let stays = all.contains_key(said);
            if !stays {
                dropped.push(*id);
            }
            stays
        });
        let mut added = Vec::new();
        for (said, selector) in &all as &Selectors {
            if self.sent.contains_key(said) {
                continue;
            }
            self.next += 1;
            self.sent.insert(said.clone(), self.next);
            added.push(need(self.next, selector));
        }
        while added.len() > MOST {
            self.waiting.push_back(Needs {
                revision: 0,
                added: added.split_off(added.len() - MOST),
                dropped: Vec::new(),
            });
        }
        self.waiting.push_back(Needs {
            revision,
            added,
            dropped,
        });
    }
}
