//! The report as Markdown.

use super::{Findings, Overview};
use crate::{figure::Figure, stats::Spread};
use std::fmt::Write as _;

/// Names of the pictures beside it, as far as they were drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pictures {
    pub(super) timeline: bool,
    pub(super) starts: bool,
    pub(super) peers: bool,
}

/// The whole page.
pub(super) fn markdown(overview: &Overview, findings: &Findings, pictures: Pictures) -> String {
    let mut out = format!(
        "# Reveille under load\n\n{}; {}.\n",
        overview.machine, overview.setup
    );
    if let Some(why) = &overview.ended {
        line(&mut out, format_args!("\n**It is not whole: {why}.**"));
    }
    list(&mut out, "Not run", &overview.skipped);
    list(&mut out, "Failed", &overview.failures);

    if pictures.starts {
        out += "\n## Cold starts\n\nEach target is woken once, one after another; its application \
                takes 20 to 150 ms to start, which is Reveille's fault in no case.\n\n\
                ![How many cold starts were faster than what](starts.svg)\n\n";
        figures(&mut out, &overview.figures, "cold start");
    }
    if pictures.timeline {
        out += "\n## One target over time\n\nIt sleeps; a few requests wake it; more and more come, \
                and replicas with them; nobody comes, and it falls asleep; then a crowd comes at once. \
                Each answer takes the application 40 ms.\n\n\
                ![Latency over time, with held requests and replicas beneath](timeline.svg)\n\n";
        figures(&mut out, &overview.figures, "timeline");
    }
    if !findings.scripts.is_empty() {
        out += "\n## Scripts of k6 and hey\n\nSome seconds of each; README.md says what each \
                answers. k6 and hey share the processor with what they measure.\n\n";
        scripts(&mut out, findings);
    }
    if let Some((peers, _, _)) = findings.peers.overview() {
        out += "\n## Beside other proxies\n\n";
        if pictures.peers {
            out += "![Cost per request and idle connection beside other proxies](compare.svg)\n\n";
        }
        out += "CPU in seconds per 100,000 requests, memory in KiB per connection, × the ratio to \
                nginx. compare.md has every figure.\n\n";
        out += &peers;
    }
    out += "\nreport.json has all figures: `loadtests compare A.json B.json` sets two runs side by \
            side.\n";
    out
}

fn line(out: &mut String, what: std::fmt::Arguments<'_>) {
    writeln!(out, "{what}").expect("a String takes everything");
}

fn list(out: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    line(out, format_args!("\n{title}:\n"));
    for item in items {
        // One item, whatever is in it.
        let item = item.replace('\n', "\n  ");
        line(out, format_args!("- {item}"));
    }
}

/// Those whose name begins so, as a table.
fn figures(out: &mut String, all: &[Figure], prefix: &str) {
    *out += "| | median of slices | least–greatest | |\n|---|---|---|---|\n";
    for figure in all.iter().filter(|one| one.name.starts_with(prefix)) {
        if let Some(Spread { median, min, max }) = figure.spread() {
            let (name, unit) = (&figure.name, &figure.unit);
            line(
                out,
                format_args!("| {name} | {median:.2} | {min:.2}–{max:.2} | {unit} |"),
            );
        }
    }
}

fn scripts(out: &mut String, findings: &Findings) {
    *out += "| script | | figures |\n|---|---|---|\n";
    for ended in &findings.scripts {
        let verdict = if ended.passed { "PASS" } else { "FAIL" };
        let figures = ended.figures.iter().filter_map(|figure| {
            let name = figure.name.strip_prefix(&ended.script)?.trim();
            let Spread { median, .. } = figure.spread()?;
            Some(format!("{name} {median:.1} {}", figure.unit))
        });
        let figures: Vec<String> = figures.collect();
        let (script, figures) = (&ended.script, figures.join(", "));
        line(out, format_args!("| {script} | {verdict} | {figures} |"));
    }
    for ended in findings.scripts.iter().filter(|ended| !ended.passed) {
        line(
            out,
            format_args!(
                "\n{} ended with:\n\n```text\n{}\n```",
                ended.script, ended.said
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Findings, Overview, Pictures, markdown};
    use crate::{figure::Figure, overview::scripts::Ended};

    #[test]
    fn what_was_measured_and_what_was_not() {
        let overview = Overview {
            machine: "a machine".to_owned(),
            setup: "a setup".to_owned(),
            ended: Some("interrupted".to_owned()),
            figures: vec![Figure::lower("cold start told p50", "ms", vec![1.0, 3.0])],
            skipped: vec!["peers: no nginx".to_owned()],
            failures: vec!["scripts: two\nlines".to_owned()],
        };
        let mut findings = Findings::default();
        findings.scripts.push(Ended {
            script: "hey/a.sh".to_owned(),
            passed: false,
            said: "FAIL: it is slow".to_owned(),
            figures: vec![Figure::lower("hey/a.sh p95", "ms", vec![12.34])],
        });
        let pictures = Pictures {
            starts: true,
            ..Pictures::default()
        };
        let page = markdown(&overview, &findings, pictures);
        for text in [
            "**It is not whole: interrupted.**",
            "- peers: no nginx",
            "- scripts: two\n  lines",
            "| cold start told p50 | 2.00 | 1.00–3.00 | ms |",
            "| hey/a.sh | FAIL | p95 12.3 ms |",
            "FAIL: it is slow",
            "(starts.svg)",
        ] {
            assert!(page.contains(text), "no {text:?} in\n{page}");
        }
        assert!(!page.contains("timeline.svg") && !page.contains("compare.svg"));
    }
}
