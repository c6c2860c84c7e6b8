//! `loadtests compare A.json B.json`: two runs side by side, such as before and
//! after a change. Each was written by `report` or by `compare`.

use super::results::Results;
use crate::{
    figure::{Figure, Verdict},
    overview::Overview,
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{fmt::Write as _, path::Path};

/// Prints a table.
pub(super) fn run(before: &Path, after: &Path) -> Result<()> {
    let (before, after) = (read(before)?, read(after)?);
    let text = table(&before, &after);
    ensure!(!text.is_empty(), "the runs have no figure in common");
    print!("{text}");
    Ok(())
}

/// What both kinds of files have.
struct Run {
    machine: String,
    setup: String,
    figures: Vec<Figure>,
}

fn read(path: &Path) -> Result<Run> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| name.to_string())?;
    if let Ok(run) = serde_json::from_str::<Overview>(&text) {
        return Ok(Run {
            machine: run.machine,
            setup: run.setup,
            figures: run.figures,
        });
    }
    match serde_json::from_str::<Results>(&text) {
        Ok(results) => Ok(Run {
            figures: results.figures(),
            machine: results.machine,
            setup: results.setup,
        }),
        Err(error) => bail!("{name}: written neither by `report` nor by `compare`: {error}"),
    }
}

/// Empty if there is nothing to compare.
fn table(before: &Run, after: &Run) -> String {
    let mut out = format!(
        "before: {}; {}\nafter: {}; {}\n\n",
        before.machine, before.setup, after.machine, after.setup
    );
    if before.machine != after.machine {
        out += "Different machines: only ratios compare.\n\n";
    }
    out += "| figure | before | after | change | |\n|---|---|---|---|---|\n";
    let mut compared = 0;
    for new in &after.figures {
        let Some(old) = before.figures.iter().find(|old| old.name == new.name) else {
            continue;
        };
        let (Some(was), Some(is)) = (old.spread(), new.spread()) else {
            continue;
        };
        let change = match was.median {
            0.0 => "–".to_owned(),
            median => format!("{:+.0} %", 100.0 * (is.median / median - 1.0)),
        };
        let verdict = Verdict::of(new.better, &old.values, &new.values);
        writeln!(
            out,
            "| {}, {} | {:.2} ({:.2}–{:.2}) | {:.2} ({:.2}–{:.2}) | {change} | {} |",
            new.name,
            new.unit,
            was.median,
            was.min,
            was.max,
            is.median,
            is.min,
            is.max,
            verdict.as_str()
        )
        .expect("a String takes everything");
        compared += 1;
    }
    if compared == 0 {
        return String::new();
    }
    out += "\nMedian (least–greatest) of rounds or of slices of the run. Within noise: these bands \
            overlap.\n";
    out
}

#[cfg(test)]
mod tests {
    use super::{Run, read, table};
    use crate::{
        compare::{peer::Peer, results::tests::results},
        figure::Figure,
    };
    use std::fs;

    fn run(machine: &str, figures: Vec<Figure>) -> Run {
        Run {
            machine: machine.to_owned(),
            setup: "a setup".to_owned(),
            figures,
        }
    }

    #[test]
    fn side_by_side_with_bands() {
        let before = run(
            "a",
            vec![
                Figure::lower("wait", "ms", vec![4.0, 5.0, 6.0]),
                Figure::lower("gone", "ms", vec![1.0]),
                Figure::higher("rate", "/s", vec![10.0, 12.0]),
            ],
        );
        let after = run(
            "a",
            vec![
                Figure::lower("wait", "ms", vec![1.0, 2.0, 3.0]),
                Figure::lower("new", "ms", vec![1.0]),
                Figure::higher("rate", "/s", vec![11.0, 13.0]),
            ],
        );
        let text = table(&before, &after);
        for line in [
            "| wait, ms | 5.00 (4.00–6.00) | 2.00 (1.00–3.00) | -60 % | better |",
            "| rate, /s | 11.00 (10.00–12.00) | 12.00 (11.00–13.00) | +9 % | within noise |",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
        assert!(!text.contains("gone") && !text.contains("new,"), "{text}");
        assert!(!text.contains("Different machines"));
        let elsewhere = run("b", after.figures);
        assert!(table(&before, &elsewhere).contains("Different machines"));
        assert!(table(&before, &run("a", Vec::new())).is_empty());
    }

    #[test]
    fn what_compare_wrote_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("compare.json");
        let results = results(&[
            (0, Peer::Nginx, 2.0),
            (0, Peer::Reveille, 4.0),
            (1, Peer::Nginx, 2.0),
            (1, Peer::Reveille, 3.0),
        ]);
        fs::write(&path, serde_json::to_string(&results).unwrap()).unwrap();
        let run = read(&path).unwrap();
        let of = |name: &str| {
            let mut figures = run.figures.iter();
            figures.find(|one| one.name == name).unwrap().values.clone()
        };
        assert_eq!(of("Reveille get-64 CPU"), [4.0, 3.0]);
        assert_eq!(of("Reveille get-64 CPU by nginx"), [2.0, 1.5]);
    }

    #[test]
    fn anything_else_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other.json");
        fs::write(&path, "{\"a\": 1}").unwrap();
        let why = read(&path).err().unwrap().to_string();
        assert!(why.contains("other.json"), "{why}");
        assert!(read(&dir.path().join("none.json")).is_err());
    }
}
