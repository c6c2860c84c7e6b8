//! `reveille explain`: asks a running Reveille why a target is awake or asleep.
//! Knows the shape of the answer and how it reads, not what it says.

pub mod wire;

use crate::ask::Asker;
use anyhow::{Context, bail};
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;
use wire::{Explanation, NotExplained};

/// In a part of a path, as they are.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// What came of the question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The target is known.
    Explained(Box<Explanation>),
    /// It is not, or it could be several.
    Unknown(NotExplained),
}

/// Asks for a target: `namespace/name`, or its name where there is only one of
/// it.
///
/// # Errors
/// Nobody listens there, who does is no Reveille, or wants a token.
pub async fn ask(asker: &Asker, target: &str) -> anyhow::Result<Answer> {
    let part = |text| utf8_percent_encode(text, KEPT).to_string();
    let target = match target.split_once('/') {
        Some((namespace, name)) => format!("{}/{}", part(namespace), part(name)),
        None => part(target),
    };
    let path = format!("/api/v1/targets/{target}/explain");
    let (status, body) = asker.get(&path).await?;
    let answer = match status {
        StatusCode::OK => serde_json::from_slice(&body).map(Answer::Explained),
        StatusCode::NOT_FOUND | StatusCode::CONFLICT => {
            serde_json::from_slice(&body).map(Answer::Unknown)
        }
        other => bail!("{} answered {other}", asker.admin()),
    };
    answer.with_context(|| format!("{} answered, but not as a reveille does", asker.admin()))
}

impl Explanation {
    /// In lines for a terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{} is {}: {}\n", self.name, self.state, self.why);
        let mut table = |title: &str, rows: Vec<[String; 3]>| {
            if rows.is_empty() {
                return;
            }
            let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
            let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
            // Writing to a String does not fail.
            let _written = writeln!(text, "\n{title}");
            for [one, two, three] in &rows {
                let line = format!("  {one:first$}  {two:second$}  {three}");
                let _written = writeln!(text, "{}", line.trim_end());
            }
        };
        let awake = |active: bool| if active { "keeps it awake" } else { "" }.to_owned();
        let demand = self.demand.iter();
        let demand = demand.map(|one| [one.source.clone(), one.says.clone(), awake(one.active)]);
        table("Demand", demand.collect());
        let told = self.told.iter();
        let told = told.map(|one| {
            let ago = format!("{:.1} s ago", one.ago_seconds);
            [one.about.clone(), one.said.clone(), ago]
        });
        table("KEDA was told", told.collect());
        let events = self.events.iter().map(|event| {
            let times = event.times.map(|times| format!("{times} times"));
            [
                clock(event.at),
                event.text.clone(),
                times.unwrap_or_default(),
            ]
        });
        table("Lately (UTC)", events.collect());
        let _written = write!(text, "\nNext: {}", self.next);
        // Manifests may say what a terminal would take for a command.
        let calm = |char: char| {
            if char == '\n' || !char.is_control() {
                char
            } else {
                '?'
            }
        };
        text.chars().map(calm).collect()
    }
}

/// The time of day, UTC.
pub(crate) fn clock(unix: f64) -> String {
    let second = unix as u64 % 86_400;
    format!(
        "{:02}:{:02}:{:02}",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sight::{EventKind, EventView};
    use wire::{Source, Told};

    #[test]
    fn it_reads_from_why_to_what_comes() {
        let explanation = Explanation {
            name: "ns/web".to_owned(),
            state: "waking".to_owned(),
            why: "1 request waits".to_owned(),
            demand: vec![
                Source {
                    source: "this proxy".to_owned(),
                    says: "1 in flight".to_owned(),
                    active: true,
                },
                Source {
                    source: "others".to_owned(),
                    says: "none".to_owned(),
                    active: false,
                },
            ],
            told: vec![Told {
                about: "interceptorRoute=web".to_owned(),
                said: "active".to_owned(),
                ago_seconds: 1.25,
            }],
            next: "it serves.".to_owned(),
            next_in_seconds: None,
            events: vec![EventView {
                id: 1,
                at: 86_400.0 + 3_723.5,
                target: None,
                kind: EventKind::Woken,
                text: "woken".to_owned(),
                times: None,
            }],
        };
        let text = "\
ns/web is waking: 1 request waits

Demand
  this proxy  1 in flight  keeps it awake
  others      none

KEDA was told
  interceptorRoute=web  active  1.2 s ago

Lately (UTC)
  01:02:03  woken

Next: it serves.";
        assert_eq!(explanation.to_text(), text);
    }
}
