//! How `reveille top` looks: lines of text, each with its colour, for so many
//! columns and lines. Knows no terminal, and lets nothing through that one
//! would take for a command.

use super::model::{Model, Target};

/// What a line is, and so how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Head,
    Selected,
    Soft,
    Waking,
    Warm,
    Failing,
}

/// A line as it should look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) style: Style,
    pub(super) text: String,
}

const HEAD: [&str; 9] = [
    "TARGET",
    "STATE",
    "REPLICAS",
    "ENDPOINTS",
    "IN FLIGHT",
    "HELD",
    "AT ONCE",
    "REQ/S",
    "TOLD",
];
/// Columns that go first where there is no room for all.
const GOES_FIRST: [usize; 5] = [8, 6, 3, 7, 4];
const LONGEST_NAME: usize = 40;

const KEYS: &str = "q quit  / filter  enter explain  up down select  sort: n name  s state  i in \
                    flight  h held  r rate  ? less";

/// All targets, as one table.
pub(super) fn table(model: &Model) -> Vec<String> {
    let rows = model.rows();
    let cells: Vec<[String; 9]> = rows.iter().map(|row| cells(row)).collect();
    let widths = widths(&cells, usize::MAX);
    let head = line(&HEAD.map(str::to_owned), &widths);
    std::iter::once(head)
        .chain(cells.iter().map(|row| line(row, &widths)))
        .collect()
}

/// The whole screen, top to bottom.
pub(super) fn screen(model: &Model, (width, height): (u16, u16)) -> Vec<Line> {
    let (width, height) = (usize::from(width), usize::from(height));
    let rows = model.rows();
    let all: Vec<[String; 9]> = rows.iter().map(|row| cells(row)).collect();
    let widths = widths(&all, width);
    let mut lines = vec![Line {
        style: Style::Plain,
        text: format!("reveille {}  {}", model.admin, model.counts()),
    }];
    lines.push(match &model.trouble {
        Some(why) => Line {
            style: Style::Failing,
            text: format!("what is shown is old, trying again: {why}"),
        },
        None => status(model),
    });
    lines.push(Line {
        style: Style::Head,
        text: line(&HEAD.map(str::to_owned), &widths),
    });
    let below = below(model, width, height.saturating_sub(lines.len()));
    let room = height.saturating_sub(lines.len() + below.len());
    let selected = model.selected(&rows);
    // The selected one is always to be seen.
    let first = selected.map_or(0, |at| at.saturating_sub(room.saturating_sub(1)));
    for (at, cells) in all.iter().enumerate().skip(first).take(room) {
        let style = match (&*rows[at].state, selected == Some(at)) {
            (_, true) => Style::Selected,
            ("waking", _) => Style::Waking,
            ("warm", _) => Style::Warm,
            ("failing", _) => Style::Failing,
            _ => Style::Soft,
        };
        let text = line(cells, &widths);
        lines.push(Line { style, text });
    }
    let plain = |text| Line {
        style: Style::Plain,
        text,
    };
    lines.resize_with(height.saturating_sub(below.len()).max(lines.len()), || {
        plain(String::new())
    });
    lines.extend(below.into_iter().map(plain));
    lines.truncate(height);
    for line in &mut lines {
        line.text = fit(&line.text, width);
    }
    lines
}

fn status(model: &Model) -> Line {
    let text = match (model.is_filtering, model.filter.is_empty(), model.helps) {
        (true, ..) => format!("filter: {}_", model.filter),
        (_, false, _) => format!("filter: {}  (esc: all)", model.filter),
        (_, _, true) => KEYS.to_owned(),
        _ => "q quit  / filter  enter explain  ? keys".to_owned(),
    };
    Line {
        style: Style::Soft,
        text,
    }
}

/// The explanation, in the lower half.
fn below(model: &Model, width: usize, room: usize) -> Vec<String> {
    let Some(name) = model.explained() else {
        return Vec::new();
    };
    let asking = format!("{name}: asking ...");
    let text = model.explanation().unwrap_or(&asking);
    let mut lines = vec!["-".repeat(width.min(200))];
    lines.extend(text.lines().flat_map(|line| wrapped(line, width.max(20))));
    // At least a few rows of the table stay.
    lines.truncate(room.saturating_sub(3).min(room * 2 / 3).max(1));
    lines
}

fn cells(target: &Target) -> [String; 9] {
    let ejected = target.endpoints.iter().filter(|one| one.ejected).count();
    let endpoints = target.endpoints.len();
    let told = match &target.told {
        None => "-".to_owned(),
        Some(told) => {
            let what = match told.active {
                Some(true) => "active",
                Some(false) => "idle",
                None => "error",
            };
            format!("{what} {:.0}s ago", told.ago_seconds)
        }
    };
    [
        fit(&target.name, LONGEST_NAME).trim_end().to_owned(),
        plain(&target.state),
        target.replicas.map_or("-".to_owned(), |now| {
            format!("{}/{}", now.ready, now.wanted)
        }),
        match ejected {
            0 => endpoints.to_string(),
            _ => format!("{endpoints} ({ejected} out)"),
        },
        target.in_flight.to_string(),
        target.held.to_string(),
        format!("{:.1}", target.concurrency),
        format!("{:.1}", target.request_rate),
        told,
    ]
}

/// How wide each column is; 0: there is no room for it.
fn widths(rows: &[[String; 9]], width: usize) -> [usize; 9] {
    let longest = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([HEAD[at].len()]).max().unwrap_or(0)
    };
    let mut widths: [usize; 9] = std::array::from_fn(longest);
    for at in GOES_FIRST {
        let all: usize = widths
            .iter()
            .filter(|width| **width > 0)
            .map(|width| width + 2)
            .sum();
        if all <= width.saturating_add(2) {
            break;
        }
        widths[at] = 0;
    }
    widths
}

fn line(cells: &[String; 9], widths: &[usize; 9]) -> String {
    let shown = cells
        .iter()
        .zip(widths)
        .enumerate()
        .filter(|(_, (_, width))| **width > 0);
    let texts = shown.map(|(at, (cell, &width))| match at {
        0 | 1 | 8 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    });
    texts.collect::<Vec<_>>().join("  ")
}

/// Printable ASCII as it is; all else takes one column, too.
fn plain(text: &str) -> String {
    let plain = |char: char| {
        if char == ' ' || char.is_ascii_graphic() {
            char
        } else {
            '?'
        }
    };
    text.chars().map(plain).collect()
}

/// Exactly so wide: cut, or filled up.
fn fit(text: &str, width: usize) -> String {
    let text = plain(text);
    match text.len() > width {
        true => text
            .chars()
            .take(width.saturating_sub(1))
            .chain(['~'])
            .take(width)
            .collect(),
        false => format!("{text:<width$}"),
    }
}

/// Lines of at most so many characters, broken at spaces where there are some.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let line = plain(line);
    if line.len() <= width {
        return vec![line];
    }
    let indent = line.len() - line.trim_start().len();
    let mut lines = vec![" ".repeat(indent)];
    for word in line.split_whitespace() {
        let last = lines.last_mut().expect("there is always one");
        let gap = usize::from(!last.trim().is_empty());
        if gap == 1 && last.len() + gap + word.len() > width {
            lines.push(format!("{}{word}", " ".repeat(indent + 2)));
        } else {
            last.push_str(&" ".repeat(gap));
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{
        super::model::{Shown, tests::target},
        *,
    };

    fn texts(model: &Model, width: u16, height: u16) -> Vec<String> {
        let lines = screen(model, (width, height));
        assert_eq!(lines.len(), usize::from(height));
        for line in &lines {
            assert_eq!(line.text.len(), usize::from(width), "{line:?}");
        }
        lines
            .into_iter()
            .map(|line| line.text.trim_end().to_owned())
            .collect()
    }

    fn model() -> Model {
        let mut model = Model::new("127.0.0.1:9901".to_owned(), "");
        model.take(vec![
            target("ns/web", "waking", 3),
            target("ns/\u{1b}[31mred", "cold", 0),
        ]);
        model
    }

    #[test]
    fn a_screen_is_full_and_hostile_names_are_only_names() {
        let shown = texts(&model(), 100, 6);
        assert_eq!(
            shown[0],
            "reveille 127.0.0.1:9901  2 targets: 1 waking, 1 cold"
        );
        assert_eq!(
            shown[3],
            "ns/web       waking       0/1          0          3     3      0.0    0.0  -"
        );
        assert!(shown[4].starts_with("ns/?[31mred  cold"), "{}", shown[4]);
    }

    #[test]
    fn narrow_and_low_terminals_show_what_matters() {
        let shown = texts(&model(), 34, 4);
        assert_eq!(shown[2], "TARGET       STATE   REPLICAS  HE~");
        assert!(shown[3].starts_with("ns/web       waking"));
        for size in [(1, 1), (2, 3), (500, 2)] {
            texts(&model(), size.0, size.1);
        }
    }

    #[test]
    fn an_explanation_is_wrapped_below() {
        let mut model = model();
        model.step(1);
        model.explains = true;
        assert!(texts(&model, 60, 12).contains(&"ns/web: asking ...".to_owned()));
        model.explain(Shown {
            name: "ns/web".to_owned(),
            text: "ns/web is waking: woken by GET web.test/ and waits for an endpoint".to_owned(),
        });
        let shown = texts(&model, 40, 12);
        assert_eq!(
            shown[10..],
            [
                "ns/web is waking: woken by GET web.test/",
                "  and waits for an endpoint"
            ]
        );
        let screen = screen(&model, (40, 12));
        assert_eq!(screen[3].style, Style::Selected);
    }
}
