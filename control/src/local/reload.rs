//! Reloading: the manifests have changed, so the world does.
//!
//! Run by the composition root from the start until the stop. A set is applied
//! as a whole or not at all: with any error in it, what is served stays.

use super::{Plan, Reloads, World, disk::Disk};
use crate::{
    autoscaler::Objects,
    manifest::{Files, Manifests, Problem, Severity},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

/// An editor may write a file in several steps: it is read when it was the
/// same twice, so long apart.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// A file that never settles is read after so many looks all the same.
const MOST_LOOKS: usize = 20;

/// Reads the manifests again and applies them.
#[derive(Debug)]
pub struct Reloader {
    files: Files,
    every: Option<Duration>,
    asked: Arc<Notify>,
    world: Arc<World>,
    autoscaler: Arc<Objects>,
    reloads: Arc<Reloads>,
}

impl Reloader {
    /// Looks at `files` that often (`None`: never), and at once when `asked`
    /// is notified.
    #[must_use]
    pub fn new(
        files: Files,
        every: Option<Duration>,
        asked: Arc<Notify>,
        world: Arc<World>,
        autoscaler: Arc<Objects>,
        reloads: Arc<Reloads>,
    ) -> Self {
        if files.read_once().is_none() {
            reloads.follow(files.paths());
        }
        Self {
            files,
            every,
            asked,
            world,
            autoscaler,
            reloads,
        }
    }

    /// Follows the files until `stop`. A reload under way is finished first.
    pub async fn run(mut self, stop: CancellationToken) {
        if let Some(path) = self.files.read_once() {
            let path = path.display();
            tracing::info!(%path, "can be read only once: manifests are not reloaded");
            return;
        }
        let disk = match Disk::start() {
            Ok(disk) => disk,
            Err(error) => {
                tracing::error!(%error, "no thread for it: manifests are not reloaded");
                return;
            }
        };
        let mut ticks = interval(self.every.unwrap_or(Duration::from_secs(3_600)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.asked.notified() => self.reload(&disk).await,
                _ = ticks.tick(), if self.every.is_some() => {
                    if self.has_changed(&disk).await {
                        self.reload(&disk).await;
                    }
                }
            }
        }
    }

    /// Are the files others than were read last, and done with changing?
    async fn has_changed(&self, disk: &Disk) -> bool {
        let mut before = self.look(disk).await;
        if !self.files.differs(before) {
            return false;
        }
        let pause = self
            .every
            .map_or(SETTLED_AFTER, |every| every.min(SETTLED_AFTER));
        for _ in 0..MOST_LOOKS {
            sleep(pause).await;
            let now = self.look(disk).await;
            if now == before {
                break;
            }
            before = now;
        }
        self.files.differs(before)
    }

    async fn look(&self, disk: &Disk) -> u64 {
        let files = self.files.clone();
        disk.run(move || files.look()).await
    }

    async fn reload(&mut self, disk: &Disk) {
        let (mut files, world) = (self.files.clone(), self.world.clone());
        let (files, planned) = disk
            .run(move || {
                let planned = plan(files.load(), &world);
                (files, planned)
            })
            .await;
        self.files = files;
        match planned {
            Ok(plan) => self.apply(plan, disk).await,
            Err(problems) => {
                tracing::error!(
                    errors = problems.len(),
                    "manifests not reloaded: what was served before is served on"
                );
                self.reloads.count_refused(problems);
            }
        }
    }

    async fn apply(&self, plan: Plan, disk: &Disk) {
        // Nobody asks about a route that goes; whoever asks about a new one
        // finds it.
        self.autoscaler.keep_only(&plan.scaled_objects());
        let world = self.world.clone();
        let applied = disk.run(move || world.apply(plan)).await;
        self.autoscaler.set(self.world.scaled());
        self.reloads.count_applied(applied.routes);
        tracing::info!(
            routes = applied.routes,
            added = applied.added,
            removed = applied.removed,
            replaced = applied.replaced,
            "manifests reloaded"
        );
    }
}

/// Everything that can be wrong with a set; the errors, which are logged with
/// the warnings.
fn plan(mut manifests: Manifests, world: &World) -> Result<Plan, Vec<String>> {
    let problems = std::mem::take(&mut manifests.problems);
    log_problems(&problems);
    let errors = problems
        .iter()
        .filter(|one| one.severity == Severity::Error);
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let errors = if manifests.do_nothing() {
        vec![
            "there is nothing to serve or to scale: no InterceptorRoute and no ScaledObject"
                .to_owned(),
        ]
    } else {
        match world.plan(manifests) {
            Ok(plan) => return Ok(plan),
            Err(errors) => errors,
        }
    };
    errors.iter().for_each(|error| tracing::error!("{error}"));
    Err(errors)
}

/// Logs what is wrong with manifests, in the words of `reveille check`.
pub fn log_problems(problems: &[Problem]) {
    for problem in problems {
        match problem.severity {
            Severity::Error => tracing::error!("{problem}"),
            Severity::Warning => tracing::warn!("{problem}"),
        }
    }
}
