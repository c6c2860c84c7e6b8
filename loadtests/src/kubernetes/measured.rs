//! What was measured, as a table with its targets.

use super::world::World;

const LESS_THAN_MIB: f64 = 150.0;
const LESS_THAN_MS: f64 = 1_000.0;
const LESS_THAN_PERCENT: f64 = 10.0;

/// From the start of the process to a route's answer, ms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct First {
    pub(super) took: f64,
    /// CPU time that the process used meanwhile: what it takes where others
    /// want the cores, too.
    pub(super) cpu: f64,
}

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// The first start and the restart.
    pub(super) first: First,
    pub(super) restart: First,
    /// Until all statuses were written, seconds.
    pub(super) statuses_s: f64,
    /// Resident at rest and at most, KiB, in the restart.
    pub(super) resident_kib: u64,
    pub(super) peak_kib: u64,
    /// The same in the first start.
    pub(super) first_resident_kib: u64,
    pub(super) first_peak_kib: u64,
    /// Percent of a core.
    pub(super) idle_cpu: f64,
    pub(super) updates_cpu: f64,
    pub(super) updates: u64,
    /// From the last change until all targets are as the objects say, ms.
    pub(super) caught_up_ms: f64,
}

impl Measured {
    /// Prints a table; true if all targets are met. `seconds` is how long
    /// EndpointSlices changed.
    pub(super) fn print(&self, world: &World, seconds: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let mib = |kib: u64| kib as f64 / 1024.0;
        let mut is_met = true;
        let mut row = |what: &str, value: f64, below: Option<f64>| {
            let verdict = below.map(|below| {
                let verdict = if value < below { "PASS" } else { "MISS" };
                is_met &= value < below;
                format!("< {below}: {verdict}")
            });
            println!("| {what} | {value:.1} | {} |", verdict.unwrap_or_default());
        };
        println!(
            "{} routes, {} Services with a ScaledObject each, {} Pods\n",
            world.routes,
            world.services,
            world.services * world.pods
        );
        println!("| | | target |\n|---|---|---|");
        for (what, first) in [("no status yet", self.first), ("restarted", self.restart)] {
            let served = format!("process start → first route served, ms: {what}");
            row(&served, first.took, Some(LESS_THAN_MS));
            row("CPU time of it until then, ms", first.cpu, None);
        }
        row("all statuses written after, s", self.statuses_s, None);
        row(
            "resident memory, MiB: all statuses written",
            mib(self.first_resident_kib),
            Some(LESS_THAN_MIB),
        );
        row("its peak", mib(self.first_peak_kib), None);
        row(
            "resident memory, MiB: restarted",
            mib(self.resident_kib),
            Some(LESS_THAN_MIB),
        );
        row("its peak", mib(self.peak_kib), None);
        let per_minute = 60.0 * self.updates as f64 / seconds.max(1) as f64;
        row(
            &format!("CPU under {per_minute:.0} changes of EndpointSlices a minute, % of a core"),
            self.updates_cpu,
            Some(LESS_THAN_PERCENT),
        );
        row(
            "the last of them → all targets as the objects say, ms",
            self.caught_up_ms,
            None,
        );
        row("CPU at rest after that, % of a core", self.idle_cpu, None);
        is_met
    }
}
