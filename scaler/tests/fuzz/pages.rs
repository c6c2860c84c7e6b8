//! Pages of metrics: what was written is what is stored, whatever it holds and
//! however it is cut; and what is no page at all never panics and never depends
//! on where it is cut.

use crate::fuzz;
use fastrand::Rng;
use scaler::{
    ingest::{
        Outcome,
        prometheus::{BadPage, Format, Intake, NamePattern, PageLimits},
    },
    series::{Labels, Limits, METRIC_NAME, MatchOp, Matcher, Points, Select, Store, unix_ms},
};
use std::{collections::BTreeMap, fmt::Write, sync::Arc};

const LIMITS: PageLimits = PageLimits {
    bytes: 1 << 20,
    line_bytes: 400,
    samples: 200,
};

/// Labels and value of each series.
type Stored = BTreeMap<String, String>;

fn stored(store: &Store) -> Stored {
    let mut all = Stored::new();
    let any = Matcher::new(METRIC_NAME, MatchOp::NotEqual, "").expect("no expression");
    let mut found = |labels: &Labels, points: Points<'_>| {
        let values: Vec<String> = points.iter().map(|point| point.value.to_string()).collect();
        all.insert(labels.to_string(), values.join(" "));
    };
    store.select(&[any], 0, i64::MAX, &mut found);
    all
}

/// Reads a page in these chunks.
fn read<'c>(
    format: Format,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> (Result<Outcome, BadPage>, Stored) {
    let store = Arc::new(Store::new(Limits::default()));
    let metrics: Arc<[NamePattern]> = Arc::new(["a*".parse().expect("a pattern")]);
    let mut intake = Intake::new(store.clone(), Arc::new([]), LIMITS, 0);
    let outcome = intake.page(format, &metrics, chunks, unix_ms());
    (outcome, stored(&store))
}

fn cut<'t>(rng: &mut Rng, text: &'t [u8]) -> Vec<&'t [u8]> {
    let mut rest = text;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(rng.usize(0..=rest.len().min(60)));
        chunks.push(chunk);
        rest = more;
    }
    chunks
}

const PIECES: &[&str] = &[
    "a",
    "b",
    "a_total",
    "a:b",
    "{",
    "}",
    "\"",
    "\\",
    "\\\"",
    "\\n",
    "=",
    ",",
    " ",
    "\t",
    "\n",
    "\n",
    "\r\n",
    "1",
    "NaN",
    "+Inf",
    "-1e9",
    "1.5",
    "#",
    "# TYPE a counter\n",
    "# TYPE \"a",
    "# HELP",
    "# EOF\n",
    "a{x=\"y\"} 1\n",
    "{\"a.b\",c=\"d\"} 2 ",
    "ä",
    "\u{0}",
    "le",
    "process_start_time_seconds 1e9\n",
    "a_created 1e9\n",
    "1700000000000",
];

#[test]
fn any_text_reads_alike_wherever_it_is_cut() {
    fuzz(3_000, |rng| {
        let mut text = Vec::new();
        for _ in 0..rng.usize(0..60) {
            match rng.u8(0..20) {
                0 => text.push(rng.u8(..)),
                1 => text.extend(std::iter::repeat_n(rng.u8(b' '..b'~'), rng.usize(0..900))),
                _ => text.extend_from_slice(PIECES[rng.usize(..PIECES.len())].as_bytes()),
            }
        }
        let format = if rng.bool() {
            Format::Text
        } else {
            Format::OpenMetrics
        };
        let whole = read(format, [&text[..]]);
        let parts = read(format, cut(rng, &text));
        assert_eq!(whole, parts, "{:?}", String::from_utf8_lossy(&text));
    });
}

/// A name of letters, so that its spelling does not change.
fn name(rng: &mut Rng) -> String {
    (0..rng.usize(1..6)).map(|_| rng.char('a'..='e')).collect()
}

fn value(rng: &mut Rng) -> String {
    let chars = [
        '"', '\\', '\n', '{', '}', ',', '#', ' ', 'n', 'ä', '\t', '=',
    ];
    (0..rng.usize(1..8))
        .map(|_| chars[rng.usize(..chars.len())])
        .collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[test]
fn what_is_written_is_stored() {
    fuzz(2_000, |rng| {
        let mut expected = Stored::new();
        let mut page = String::new();
        for _ in 0..rng.usize(0..20) {
            let metric = format!("a{}", name(rng));
            let labels: BTreeMap<String, String> = (0..rng.usize(0..5))
                .map(|_| (name(rng), value(rng)))
                .collect();
            let number = f64::from(rng.i32(-1000..1000)) / 8.0;
            let pairs = labels.iter().map(|(name, value)| (&**name, &**value));
            let series = Labels::new(pairs.chain([(METRIC_NAME, &*metric)])).expect("names differ");
            // The first of a series counts.
            expected
                .entry(series.to_string())
                .or_insert_with(|| number.to_string());
            let space = |rng: &mut Rng| [" ", "", "  ", "\t"][rng.usize(..4)];
            let mut written: Vec<String> = labels
                .iter()
                .map(|(name, value)| {
                    let quote = if rng.bool() { "\"" } else { "" };
                    let (before, after) = (space(rng), space(rng));
                    format!(
                        "{before}{quote}{name}{quote}={after}\"{}\"{after}",
                        escaped(value)
                    )
                })
                .collect();
            rng.shuffle(&mut written);
            let is_quoted = rng.bool();
            if is_quoted {
                written.insert(0, format!("\"{metric}\""));
            }
            let outside = if is_quoted { "" } else { &metric };
            let inside = written.join(",");
            let braces = if inside.is_empty() && rng.bool() {
                String::new()
            } else {
                format!("{{{inside}}}")
            };
            // Writing to a string does not fail.
            let _written = write!(
                page,
                "{outside}{braces} {number}\n# {}\nb{{}} x\n",
                name(rng)
            );
        }
        let (outcome, stored) = read(Format::Text, cut(rng, page.as_bytes()));
        outcome.expect("a page");
        assert_eq!(stored, expected, "{page}");
    });
}
