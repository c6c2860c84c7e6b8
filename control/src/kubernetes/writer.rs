//! Writing what is on a board.
//!
//! One task for each board, which writes only while this replica holds the
//! Lease, one after the other. A refusal costs its object alone; an API server
//! that is away stops all of them for a while.

use super::{
    api::Api,
    board::{Board, Next, Wanted},
    duty::Duty,
    failure::Failure,
};
use proxy::TargetId;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

/// Who owns the fields that are applied.
pub(super) const MANAGER: &str = "reveille";
/// Nobody could be asked: a pause, as long as the server wants it, within this.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Between one refusal and the next try of something else.
const BREATH: Duration = Duration::from_millis(50);
/// The same trouble is told again after this long.
const TOLD_FOR: Duration = Duration::from_secs(300);
/// So many troubles are remembered.
const MAX_TOLD: usize = 1000;

/// What the writer can do.
pub(super) trait Errand: Wanted {
    /// What it writes, as permissions name it: for metrics.
    fn resource(&self) -> &'static str;

    /// Writes it; the version of the object that this led to.
    fn write(
        &self,
        api: &Api,
        id: &TargetId,
    ) -> impl Future<Output = Result<Option<u64>, Failure>> + Send;

    /// Is that no trouble, as there will be news of the object?
    fn is_overtaken(&self, failure: &Failure) -> bool {
        matches!(failure, Failure::Missing | Failure::Conflict(_))
    }

    /// What went wrong, and what to do, for operators.
    fn describe(&self, failure: &Failure) -> String;
}

/// Writes what is on `board` while `holds`, for ever.
pub(super) async fn write<E: Errand>(
    api: Api,
    board: Arc<Board<E>>,
    mut holds: watch::Receiver<bool>,
    duty: Arc<Duty>,
) {
    let mut troubles = Troubles::default();
    loop {
        if holds.wait_for(|holds| *holds).await.is_err() {
            return;
        }
        let (id, errand) = match board.next() {
            Next::One(id, errand) => (id, errand),
            Next::Until(due) => {
                let waits = due.is_some();
                tokio::select! {
                    () = board.changed() => {}
                    _ = holds.changed() => {}
                    () = sleep_until(due.unwrap_or_else(Instant::now)), if waits => {}
                }
                continue;
            }
        };
        let written = duty.wrote(errand.resource(), errand.write(&api, &id).await);
        match written {
            Ok(version) => board.wrote(id, &errand, version),
            Err(failure) if errand.is_overtaken(&failure) => {}
            Err(failure) => {
                let message = errand.describe(&failure);
                if troubles.is_news(&message) {
                    tracing::warn!(object = %id, "{message}");
                }
                match failure {
                    Failure::Denied(_) | Failure::Refused(400..=499, _) | Failure::Missing => {
                        board.put_aside(id, errand, message);
                        sleep(BREATH).await;
                    }
                    failure => {
                        board.put_back(id, errand);
                        sleep(failure.asks_for().unwrap_or(PAUSE).min(LONGEST_PAUSE)).await;
                    }
                }
            }
        }
    }
}

/// What was told, and when.
#[derive(Default)]
struct Troubles(HashMap<String, Instant>);

impl Troubles {
    fn is_news(&mut self, message: &str) -> bool {
        if self
            .0
            .get(message)
            .is_some_and(|at| at.elapsed() < TOLD_FOR)
        {
            return false;
        }
        if self.0.len() >= MAX_TOLD {
            self.0.clear();
        }
        self.0.insert(message.to_owned(), Instant::now());
        true
    }
}
