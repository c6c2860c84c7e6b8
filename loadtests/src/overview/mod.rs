//! `loadtests report`: one report of everything that can be measured here in a
//! few minutes, as Markdown, pictures and JSON.
//!
//! Each part adds to the findings as it goes: interrupted, or when its time is
//! over, the report has what there is. A part that cannot run is skipped and
//! named; one that fails is told, and the others go on.

mod axes;
mod page;
mod scripts;
mod starts_plot;
mod timeline;
mod timeline_plot;

use crate::{
    cold_start::{self, Start},
    compare,
    figure::{Figure, slices},
    interrupt, machine,
    progress::Progress,
    reveille,
    stats::Percentiles,
};
use anyhow::{Context as _, Result, ensure};
use page::Pictures;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use timeline::Timeline;

/// Options of `report`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which parts
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "cold-starts,timeline,scripts,peers"
    )]
    parts: Vec<Part>,
    /// Cold starts
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=2000))]
    starts: u16,
    /// Seconds after which it reports what there is
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit_seconds: u64,
    /// The Envoy binary. Default: `envoy` on PATH
    #[arg(long, env = "ENVOY")]
    envoy: Option<PathBuf>,
    /// Directory for report.md, report.json and the pictures
    #[arg(long, default_value = "target/report")]
    dir: PathBuf,
    #[command(flatten)]
    reveille: reveille::Args,
}

/// What is measured, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// How long first requests wait, and for what
    ColdStarts,
    /// One target that sleeps, wakes, grows and sleeps again
    Timeline,
    /// The scripts of k6 and hey
    Scripts,
    /// Cost beside other proxies: needs two cores, nginx and taskset
    Peers,
}

/// A run, as it is written to report.json.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Overview {
    pub(crate) machine: String,
    /// How it was made.
    pub(crate) setup: String,
    /// Why it is not whole.
    ended: Option<String>,
    pub(crate) figures: Vec<Figure>,
    /// What was not run, and why.
    skipped: Vec<String>,
    failures: Vec<String>,
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    starts: cold_start::Measured,
    /// Its own tasks write into it.
    timeline: Arc<Mutex<Timeline>>,
    scripts: Vec<scripts::Ended>,
    peers: compare::Measured,
    skipped: Vec<String>,
    failures: Vec<String>,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::ColdStarts => "cold starts",
            Self::Timeline => "one target over time",
            Self::Scripts => "scripts of k6 and hey",
            Self::Peers => "beside other proxies",
        }
    }

    /// About how long it takes.
    fn takes(self, args: &Args) -> Duration {
        match self {
            Self::ColdStarts => Duration::from_millis(150) * u32::from(args.starts),
            Self::Timeline => timeline::TAKES,
            Self::Scripts => scripts::takes(),
            Self::Peers => compare::QUICK_TAKES,
        }
    }

    /// Adds to `findings` as it goes. Cancel safe.
    async fn run(self, args: &Args, findings: &mut Findings) -> Result<()> {
        match self {
            Self::ColdStarts => {
                let args = cold_start::Args::of(usize::from(args.starts), args.reveille.clone());
                let log = cold_start::measure(&args, &mut findings.starts).await?;
                let failed = findings.starts.errors.len();
                ensure!(failed == 0, "{failed} starts failed; the log ends:\n{log}");
                Ok(())
            }
            Self::Timeline => timeline::measure(&args.reveille, &findings.timeline).await,
            Self::Scripts => {
                let Findings {
                    scripts, skipped, ..
                } = findings;
                scripts::run(&args.reveille, scripts, skipped).await
            }
            Self::Peers => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                if cores < 2 {
                    let why = "beside other proxies: needs two cores";
                    findings.skipped.push(why.to_owned());
                    return Ok(());
                }
                let args = compare::Args::quick(args.envoy.clone(), args.reveille.clone());
                if let Some(why) = compare::impossible() {
                    findings
                        .skipped
                        .push(format!("beside other proxies: {why}"));
                    return Ok(());
                }
                findings.skipped.extend(args.left_out());
                compare::measure(args, &mut findings.peers).await
            }
        }
    }
}

/// Runs all parts, and writes the report.
pub(crate) async fn run(args: Args) -> Result<()> {
    // Said now, and not by each part.
    args.reveille.binary()?;
    std::fs::create_dir_all(&args.dir).with_context(|| format!("--dir {}", args.dir.display()))?;
    let mut findings = Findings::default();
    let limit = Duration::from_secs(args.limit_seconds);
    let ended = tokio::select! {
        () = all(&args, &mut findings) => None,
        () = tokio::time::sleep(limit) => Some(format!("its {limit:?} were over")),
        told = interrupt::told() => Some(told?.to_owned()),
    };
    let overview = overview(&args, &findings, ended);
    let pictures = draw(&args.dir, &findings)?;
    write(
        &args.dir,
        "report.json",
        &serde_json::to_string_pretty(&overview)?,
    )?;
    let page = page::markdown(&overview, &findings, pictures);
    write(&args.dir, "report.md", &page)?;
    println!("{page}\nwritten to {}", args.dir.display());
    ensure!(overview.ended.is_none(), "it is not whole, see above");
    ensure!(overview.failures.is_empty(), "parts failed, see above");
    Ok(())
}

async fn all(args: &Args, findings: &mut Findings) {
    let parts = args.parts.iter();
    let parts = parts.map(|part| (part.name(), part.takes(args)));
    let mut progress = Progress::new(parts.collect());
    for part in &args.parts {
        // Boxed: it is large, and there are four.
        let done = progress.next(Box::pin(part.run(args, findings))).await;
        if let Err(error) = done {
            findings
                .failures
                .push(format!("{}: {error:#}", part.name()));
        }
    }
}

fn overview(args: &Args, findings: &Findings, ended: Option<String>) -> Overview {
    let mut figures = start_figures(&findings.starts.starts);
    figures.extend(timeline_figures(&findings.timeline.lock()));
    for script in &findings.scripts {
        figures.extend(script.figures.iter().cloned());
    }
    let mut failures = findings.failures.clone();
    for script in findings.scripts.iter().filter(|one| !one.passed) {
        failures.push(format!("{} did not pass", script.script));
    }
    if let Some((_, peers, failed)) = findings.peers.overview() {
        figures.extend(peers);
        failures.extend(failed.iter().cloned());
    }
    let parts: Vec<&str> = args.parts.iter().map(|part| part.name()).collect();
    Overview {
        machine: machine::describe(),
        setup: format!(
            "reveille {}; {}",
            env!("CARGO_PKG_VERSION"),
            parts.join(", ")
        ),
        ended,
        figures,
        skipped: findings.skipped.clone(),
        failures,
    }
}

fn start_figures(starts: &[Start]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (what, of) in starts_plot::CURVES {
        let samples: Vec<f64> = starts.iter().map(of).collect();
        figures.extend(percentiles(&format!("cold start: {what}"), &samples));
    }
    figures
}

fn timeline_figures(timeline: &Timeline) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (phase, cold) in [("a few", true), ("many", false), ("a crowd at once", true)] {
        let kind = if cold { "held" } else { "warm" };
        let samples = timeline.latencies(phase, cold);
        figures.extend(percentiles(&format!("timeline {phase}, {kind}"), &samples));
    }
    let good = timeline.answers.iter().filter(|one| one.good).count();
    let failed = timeline.answers.len() - good;
    if good + failed > 0 {
        let failed = u32::try_from(failed).map_or(f64::INFINITY, f64::from);
        figures.push(Figure::lower("timeline failed requests", "", vec![failed]));
    }
    figures
}

/// p50 and p90 of slices of the samples; nothing for none.
fn percentiles(what: &str, samples: &[f64]) -> Vec<Figure> {
    let of = |part: fn(&Percentiles) -> f64| {
        slices(samples, |slice| {
            Percentiles::of(slice.iter().copied()).map(|found| part(&found))
        })
    };
    let mut figures = vec![
        Figure::lower(format!("{what}, p50"), "ms", of(|found| found.p50)),
        Figure::lower(format!("{what}, p90"), "ms", of(|found| found.p90)),
    ];
    figures.retain(|figure| !figure.values.is_empty());
    figures
}

/// Draws what there is to draw.
fn draw(dir: &Path, findings: &Findings) -> Result<Pictures> {
    let starts = starts_plot::svg(&findings.starts.starts);
    let timeline = findings.timeline.lock().clone();
    let over_time = timeline_plot::svg(&timeline);
    for (name, picture) in [("starts.svg", &starts), ("timeline.svg", &over_time)] {
        if let Some(picture) = picture {
            write(dir, name, picture)?;
        }
    }
    if over_time.is_some() {
        write(dir, "timeline.json", &serde_json::to_string(&timeline)?)?;
    }
    findings.peers.write(dir)?;
    Ok(Pictures {
        starts: starts.is_some(),
        timeline: over_time.is_some(),
        peers: findings.peers.overview().is_some(),
    })
}

fn write(dir: &Path, name: &str, text: &str) -> Result<()> {
    let path = dir.join(name);
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::{Findings, Overview, Part, draw, start_figures, timeline_figures};
    use crate::{cold_start::tests::start, overview::timeline::tests::timeline};
    use clap::ValueEnum as _;

    #[test]
    fn every_part_is_run_by_default() {
        let all: Vec<String> = Part::value_variants()
            .iter()
            .filter_map(|part| Some(part.to_possible_value()?.get_name().to_owned()))
            .collect();
        assert_eq!(all.join(","), "cold-starts,timeline,scripts,peers");
    }

    #[test]
    fn figures_have_bands() {
        let starts: Vec<_> = (1..=20).map(start).collect();
        let figures = start_figures(&starts);
        assert!(
            figures[0]
                .name
                .starts_with("cold start: what the client waits")
        );
        assert_eq!(figures[0].values, [8.0, 24.0, 40.0, 56.0, 72.0]);
        assert!(start_figures(&[]).is_empty());
        let figures = timeline_figures(&timeline());
        let failed = figures.last().unwrap();
        assert_eq!(failed.values, [1.0]);
    }

    #[test]
    fn half_a_report_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let findings = Findings::default();
        let pictures = draw(dir.path(), &findings).unwrap();
        assert!(!pictures.starts && !pictures.timeline && !pictures.peers);
        let mut findings = Findings::default();
        findings.starts.starts.push(start(1));
        *findings.timeline.lock() = timeline();
        let pictures = draw(dir.path(), &findings).unwrap();
        assert!(pictures.starts && pictures.timeline && !pictures.peers);
        assert!(dir.path().join("timeline.svg").is_file());
    }

    #[test]
    fn json_is_read_back() {
        let overview = Overview {
            ended: Some("interrupted".to_owned()),
            ..Overview::default()
        };
        let json = serde_json::to_string(&overview).unwrap();
        let back: Overview = serde_json::from_str(&json).unwrap();
        assert_eq!(back.ended, overview.ended);
    }
}
