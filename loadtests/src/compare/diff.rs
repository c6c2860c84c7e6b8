//! `loadtests diff A B`: two runs of `compare`, such as before and after a
//! change.

use super::results::Results;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Options of `diff`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// compare.json of the first run
    before: PathBuf,
    /// compare.json of the second
    after: PathBuf,
}

/// Prints a table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    print!("{}", table(&before, &after));
    Ok(())
}

fn read(path: &Path) -> Result<Results> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text)
        .with_context(|| format!("{}: not written by `compare`", path.display()))
}

/// Ratios to nginx are compared where there are some: they depend less on the
/// machine's mood.
fn table(before: &Results, after: &Results) -> String {
    let mut out = format!(
        "before: {}; {}\nafter: {}; {}\n\n\
         | peer | load | before | after | change | ratio to nginx before | after |\n\
         |---|---|---|---|---|---|---|\n",
        before.machine, before.setup, after.machine, after.setup
    );
    for peer in after.peers() {
        for case in after.cases() {
            let metric = case.main_metric();
            let of = |results: &Results| results.spread(peer, case, metric);
            let (Some(old), Some(new)) = (of(before), of(after)) else {
                continue;
            };
            let ratio = |results: &Results| match results.ratio(peer, case, metric) {
                Some(ratio) => format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.min, ratio.max),
                None => "–".to_owned(),
            };
            out += &format!(
                "| {} | {} | {:.2} | {:.2} | {:+.0} % | {} | {} |\n",
                peer.name(),
                case.name(),
                old.median,
                new.median,
                100.0 * (new.median / old.median - 1.0),
                ratio(before),
                ratio(after)
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::compare::{peer::Peer, results::tests::results};

    #[test]
    fn what_changed() {
        let before = results(&[(0, Peer::Nginx, 2.0), (0, Peer::Reveille, 4.0)]);
        let after = results(&[(0, Peer::Nginx, 2.0), (0, Peer::Reveille, 3.0)]);
        let text = table(&before, &after);
        let line =
            "| Reveille | get-64 | 4.00 | 3.00 | -25 % | 2.00 (2.00–2.00) | 1.50 (1.50–1.50) |";
        assert!(text.contains(line), "{text}");
    }
}
