//! What the soak says at its end, and whether it passed.

use super::{host::Status, tally::Counts};
use crate::stats::Spread;
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// How much memory under traffic may grow from the second quarter of the run
/// to the last: noise of the allocator.
const GROWTH: f64 = 1.10;
const GROWTH_KIB: f64 = 2_048.0;
/// Of one death, so many requests may be refused or cut off: all that the
/// clients can have under way.
const PER_KILL: u64 = 40;

/// What the subject uses at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Sample {
    pub(super) pss_kib: u64,
    pub(super) descriptors: usize,
    pub(super) threads: usize,
    /// During the run, only the library tells.
    pub(super) status: Option<Status>,
}

/// The whole run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) subject: &'static str,
    pub(super) seconds: u64,
    pub(super) kills: usize,
    /// As often the configuration was to be replaced.
    pub(super) reloads: u64,
    pub(super) counts: BTreeMap<&'static str, Counts>,
    pub(super) reasons: Vec<String>,
    /// Before the first request.
    pub(super) before: Sample,
    /// During the run.
    pub(super) samples: Vec<Sample>,
    /// When all clients have left.
    pub(super) after: Sample,
}

impl Report {
    /// Medians of memory in each quarter of the run, KiB.
    fn memory(&self) -> Vec<f64> {
        let length = self.samples.len().div_ceil(4).max(1);
        let quarters = self.samples.chunks(length);
        quarters
            .filter_map(|quarter| {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                let pss = quarter.iter().map(|sample| sample.pss_kib as f64);
                Some(Spread::of(pss)?.median)
            })
            .collect()
    }

    /// Everything that must not be.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let bound = u64::try_from(self.kills).unwrap_or(u64::MAX) * PER_KILL;
        let broken: u64 = self.counts.values().map(|one| one.refused + one.cut).sum();
        must(
            broken <= bound,
            format!(
                "{broken} requests refused or cut off by {} deaths",
                self.kills
            ),
        );
        for (kind, counts) in &self.counts {
            must(counts.lost == 0, format!("{kind}: {} lost", counts.lost));
            must(
                counts.answered + counts.left > 0,
                format!("{kind}: nothing was answered"),
            );
        }
        problems.extend(self.reasons.iter().map(|why| format!("lost: {why}")));
        let mut must = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        if let [_, second, _, last] = self.memory()[..] {
            must(
                last <= second * GROWTH + GROWTH_KIB,
                format!("memory grew from {second:.0} to {last:.0} KiB under the same traffic"),
            );
        }
        let (before, after) = (&self.before, &self.after);
        // The program keeps what it opens for its own observability, and
        // answers us.
        let is_program = self.samples.iter().all(|one| one.status.is_none());
        let spare = if is_program { 16 } else { 0 };
        must(
            after.descriptors <= before.descriptors + spare,
            format!(
                "{} descriptors before, {} after",
                before.descriptors, after.descriptors
            ),
        );
        must(
            after.threads <= before.threads + 1,
            format!("{} threads before, {} after", before.threads, after.threads),
        );
        if let Some(status) = &after.status {
            let left = (status.connections, status.held, status.in_flight);
            must(
                left == (0, 0, 0),
                format!("(connections, held, in flight) are {left:?} after all have left"),
            );
            // Before, the library does not know its worker yet. Accepting,
            // housekeeping, and what a connection that is closing needs.
            let tasks = before.status.and_then(|status| status.tasks);
            let bound = tasks.unwrap_or(0) + 4;
            must(
                status.tasks.is_some_and(|tasks| tasks <= bound),
                format!("tasks: {tasks:?} before, {:?} after", status.tasks),
            );
            must(
                status.reloads >= self.reloads,
                format!("{} reloads of {}", status.reloads, self.reloads),
            );
            must(status.wakes > 0, "nobody was woken".to_owned());
        }
        problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.after.status;
        write!(
            f,
            "Soak of {}: {} s, {} backends killed",
            self.subject, self.seconds, self.kills
        )?;
        if let Some(status) = status {
            write!(
                f,
                ", {} reloads, {} cold starts",
                status.reloads, status.wakes
            )?;
        }
        writeln!(
            f,
            "\n\n| requests | answered | refused | cut off | client left | lost |\n|---|---|---|---|---|---|"
        )?;
        let mut sum = Counts::default();
        for (kind, one) in &self.counts {
            row(f, kind, one)?;
            sum.answered += one.answered;
            sum.refused += one.refused;
            sum.cut += one.cut;
            sum.left += one.left;
            sum.lost += one.lost;
        }
        row(f, "all", &sum)?;
        writeln!(
            f,
            "\n| | before | during: medians of quarters | after |\n|---|---|---|---|"
        )?;
        let memory: Vec<String> = self
            .memory()
            .iter()
            .map(|kib| format!("{kib:.0}"))
            .collect();
        let (before, after) = (&self.before, &self.after);
        writeln!(
            f,
            "| memory, PSS KiB | {} | {} | {} |",
            before.pss_kib,
            memory.join(", "),
            after.pss_kib
        )?;
        let most = |of: fn(&Sample) -> usize| self.samples.iter().map(of).max().unwrap_or(0);
        writeln!(
            f,
            "| file descriptors | {} | at most {} | {} |",
            before.descriptors,
            most(|one| one.descriptors),
            after.descriptors
        )?;
        writeln!(
            f,
            "| threads | {} | at most {} | {} |",
            before.threads,
            most(|one| one.threads),
            after.threads
        )?;
        if status.is_some() {
            let tasks = |one: &Sample| one.status.and_then(|status| status.tasks).unwrap_or(0);
            let shown = |tasks| match tasks {
                0 => "–".to_owned(),
                tasks => tasks.to_string(),
            };
            writeln!(
                f,
                "| tasks | {} | at most {} | {} |",
                shown(tasks(before)),
                shown(most(tasks)),
                shown(tasks(after)),
            )?;
        }
        let problems = self.problems();
        let verdict = if problems.is_empty() { "PASS" } else { "FAIL" };
        writeln!(f, "\n{verdict}: no lost request, no growth")
    }
}

fn row(f: &mut fmt::Formatter<'_>, kind: &str, one: &Counts) -> fmt::Result {
    let Counts {
        answered,
        refused,
        cut,
        left,
        lost,
    } = one;
    writeln!(
        f,
        "| {kind} | {answered} | {refused} | {cut} | {left} | {lost} |"
    )
}

#[cfg(test)]
mod tests {
    use super::{Counts, Report, Sample, Status};
    use std::collections::BTreeMap;

    fn sample(pss_kib: u64, descriptors: usize) -> Sample {
        let status = Status {
            wakes: 1,
            reloads: 2,
            tasks: Some(2),
            ..Status::default()
        };
        Sample {
            pss_kib,
            descriptors,
            threads: 3,
            status: Some(status),
        }
    }

    fn report(last_kib: u64, descriptors: usize, lost: u64) -> Report {
        let counts = Counts {
            answered: 5,
            lost,
            ..Counts::default()
        };
        let quarters = [90_000, 90_000, 90_000, last_kib];
        Report {
            subject: "a test",
            seconds: 4,
            kills: 1,
            reloads: 2,
            counts: BTreeMap::from([("GET", counts)]),
            reasons: Vec::new(),
            before: sample(10_000, 8),
            samples: quarters.map(|kib| sample(kib, 50)).to_vec(),
            after: sample(20_000, descriptors),
        }
    }

    #[test]
    fn passes_and_fails() {
        assert_eq!(report(91_000, 8, 0).problems(), [""; 0]);
        assert!(report(91_000, 8, 0).to_string().contains("PASS"));
        assert!(report(120_000, 8, 0).problems()[0].starts_with("memory grew"));
        assert_eq!(
            report(91_000, 9, 0).problems(),
            ["8 descriptors before, 9 after"]
        );
        assert_eq!(report(91_000, 8, 2).problems(), ["GET: 2 lost"]);
    }
}
