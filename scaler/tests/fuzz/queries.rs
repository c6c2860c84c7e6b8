//! Queries of any text: refused with a place that is in it, or evaluated;
//! never a panic. Reckoning against plain floats, and loose spellings against
//! what they were written from.

use crate::fuzz;
use scaler::{
    query::{Query, QueryError, Reading, Value},
    series::{Labels, MatchOp, Matcher, Point, Points, Select},
};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);
/// The time of evaluation.
const NOW_MS: i64 = 300_000;

/// A handful of series with all that makes values awkward.
struct Few(Vec<(Labels, Vec<Point>)>);

impl Few {
    fn new() -> Self {
        let series = |pairs: &[(&str, &str)], values: &[f64]| {
            let labels = Labels::new(pairs.iter().copied()).expect("no name twice");
            let point = |(slot, value): (i64, &f64)| Point::new(slot * 20_000, *value);
            (labels, (1..).zip(values).map(point).collect::<Vec<_>>())
        };
        let mut few = vec![
            series(
                &[("__name__", "m"), ("a", "1"), ("le", "1")],
                &[0.0, 5.0, 3.0, 8.0],
            ),
            series(
                &[("__name__", "m"), ("a", "2"), ("le", "+Inf")],
                &[f64::NAN, 1e308, -1e308],
            ),
            series(
                &[("__name__", "n"), ("a", "1")],
                &[f64::INFINITY, 1.0, f64::NEG_INFINITY],
            ),
            series(&[("__name__", "x:y"), ("b", "ä")], &[1.0]),
        ];
        few[3].1.push(Point::stale(100_000));
        Self(few)
    }
}

impl Select for Few {
    fn select(
        &self,
        matchers: &[Matcher],
        from_ms: i64,
        to_ms: i64,
        found: &mut dyn FnMut(&Labels, Points<'_>),
    ) {
        for (labels, points) in &self.0 {
            let points = Points::new(points, &[]).within(from_ms, to_ms);
            if !points.is_empty() && matchers.iter().all(|m| m.matches_series(labels)) {
                found(labels, points);
            }
        }
    }
}

const PIECES: &[&str] = &[
    "m",
    "n",
    "x:y",
    "a",
    "foo_total",
    "http.server",
    "a/b",
    "(",
    ")",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "[5m]",
    "[1h]",
    "[1m:10s]",
    "[300]",
    "[1e30]",
    ",",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    "!=",
    ">",
    "<=",
    "=~",
    "!~",
    "=",
    "!",
    "~",
    "@",
    ":",
    ".",
    "1",
    "0",
    "2.5",
    "1e3",
    "0x1f",
    "010",
    "NaN",
    "Inf",
    "5m",
    "9999999999y",
    "1e400",
    "\"b\"",
    "'c'",
    "`d`",
    "\"\\",
    "\"",
    "\"(\"",
    "\".*\"",
    "\"\\\\w{9}\"",
    "#",
    "\n",
    " ",
    " ",
    "ä",
    "\u{0}",
    "sum",
    "avg",
    "min",
    "max",
    "count",
    "topk",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "and",
    "or",
    "unless",
    "offset",
    "rate",
    "increase",
    "irate",
    "delta",
    "avg_over_time",
    "quantile_over_time",
    "histogram_quantile",
    "clamp",
    "abs",
    "absent",
    "vector",
    "scalar",
    "time()",
    "start",
    "atan2",
];

/// Queries to start from.
const GOOD: &[&str] = &[
    "sum by (a) (rate(m{a=~\"1|2\"}[5m] offset 1m)) / on(a) group_left sum by (a) (n) > bool 1",
    "histogram_quantile(0.9, sum without (b) (m))",
    "clamp_max(max_over_time(m[5m]), 3) or vector(0)",
    "absent(x:y{b!=\"c\"}) + -scalar(n) ^ 2",
    "quantile_over_time(0.5, m[2m]) unless ignoring(le) n",
    "sum(http.server.request{service.name=x y, b=\"c\"})",
    "runtime/service_invocation/req_recv_total{app_id=nodeapp}",
    "avg( m { a = 1 } )",
    "m{a!=\"\",le=~\".+\"}",
    "time() - 5m * (1 <= bool 2)",
];

fn one_of<'a>(random: &mut fastrand::Rng, all: &[&'a str]) -> &'a str {
    random.choice(all).expect("not empty")
}

fn any_text(random: &mut fastrand::Rng) -> String {
    let mut pieces: Vec<&str> = Vec::new();
    if random.bool() {
        let good = one_of(random, GOOD);
        pieces.extend(good.split_inclusive([' ', '(', '{', ',', '[']));
    } else {
        pieces.extend((0..random.usize(1..25)).map(|_| one_of(random, PIECES)));
    }
    for _ in 0..random.usize(..4) {
        let at = random.usize(..=pieces.len());
        if at < pieces.len() && random.bool() {
            pieces.remove(at);
        } else {
            pieces.insert(at, one_of(random, PIECES));
        }
    }
    let between = if random.bool() { " " } else { "" };
    pieces.join(between)
}

/// What must hold of each reading of a text.
fn examine(text: &str, read: Result<Query, QueryError>, few: &Few) {
    match read {
        Err(error) => {
            assert!(text.is_char_boundary(error.offset()), "{text:?}: {error}");
            assert!(
                error.line() >= 1 && error.column() >= 1,
                "{text:?}: {error}"
            );
            assert!(
                !error.message().is_empty() && !error.message().contains('\n'),
                "{text:?}: {error}"
            );
        }
        Ok(query) => {
            assert!(
                query.reach()
                    >= query
                        .selectors()
                        .iter()
                        .map(|s| s.reach())
                        .max()
                        .unwrap_or_default()
            );
            if let Ok(answer) = query.answer(few, NOW_MS) {
                assert!(
                    answer
                        .newest_ms
                        .is_none_or(|newest| newest <= NOW_MS || text.contains("offset"))
                );
                if let Value::Vector(samples) = answer.value {
                    // Sorted, and no labels twice.
                    assert!(
                        samples.is_sorted_by(|one, other| one.labels < other.labels),
                        "{text:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn any_text_is_refused_with_its_place_or_evaluated() {
    let few = Few::new();
    let mut read = 0_u32;
    fuzz(4000, |random| {
        let text = any_text(random);
        let query = Query::promql(&text);
        read += u32::from(query.is_ok());
        examine(&text, query, &few);
        examine(&text, Query::trigger(&text, None, WINDOW), &few);
        examine(
            &text,
            Query::trigger(&text, Some("rate".parse().unwrap()), WINDOW),
            &few,
        );
    });
    // The pieces must not be so odd that nothing is ever evaluated.
    assert!(read > 0 || std::env::var("REVEILLE_FUZZ_SEED").is_ok());
}

/// A random reckoning, written with all its parentheses, and its value.
fn reckoning(random: &mut fastrand::Rng, depth: u32) -> (String, f64) {
    if depth == 0 || random.u8(..4) == 0 {
        let value = f64::from(random.i32(-20..20)) / 4.0;
        return (format!("({value})"), value);
    }
    let (left, l) = reckoning(random, depth - 1);
    let (right, r) = reckoning(random, depth - 1);
    let (op, value) = match random.u8(..9) {
        0 => ("+", l + r),
        1 => ("-", l - r),
        2 => ("*", l * r),
        3 => ("/", l / r),
        4 => ("%", l % r),
        5 => ("^", l.powf(r)),
        6 => ("> bool", f64::from(u8::from(l > r))),
        7 => ("== bool", f64::from(u8::from(l == r))),
        _ => ("!= bool", f64::from(u8::from(l != r))),
    };
    if random.u8(..5) == 0 {
        // In parentheses, or a `^` after it would bind closer.
        (format!("(-({left} {op} {right}))"), -value)
    } else {
        (format!("({left} {op} {right})"), value)
    }
}

#[test]
fn numbers_are_reckoned_as_floats_are() {
    let few = Few::new();
    fuzz(2000, |random| {
        let (text, wanted) = reckoning(random, 4);
        let answer = Query::promql(&text).unwrap().answer(&few, NOW_MS).unwrap();
        let Value::Scalar(given) = answer.value else {
            panic!("{text} is no scalar");
        };
        let same = given == wanted || (given.is_nan() && wanted.is_nan());
        assert!(same, "{text} gives {given}, not {wanted}");
    });
}

fn equal(label: &str, value: &str) -> Matcher {
    Matcher::new(label, MatchOp::Equal, value).expect("no expression")
}

/// A text of the loose form, and the matchers that it must give.
fn loose(random: &mut fastrand::Rng) -> (String, Vec<Matcher>) {
    const NAMES: [&str; 6] = ["m", "a.b", "x/y_total", "vllm:num-waiting", "_x", "sum"];
    const KEYS: [&str; 4] = ["a", "service.name", "k8s/pod", "_z"];
    const VALUES: [&str; 8] = ["1", "b c", "/new/", "x.y", "a:b", "200", "ä", "-1"];
    let gap = |random: &mut fastrand::Rng| " ".repeat(random.usize(..3));
    let name = one_of(random, &NAMES);
    let mut matchers = vec![equal("__name__", name)];
    let mut text = name.to_owned();
    let mut keys = KEYS.to_vec();
    random.shuffle(&mut keys);
    keys.truncate(random.usize(..=KEYS.len()));
    if !keys.is_empty() {
        text.push_str(&gap(random));
        text.push('{');
        for key in keys {
            let value = one_of(random, &VALUES);
            matchers.push(equal(key, value));
            let value = match random.u8(..3) {
                0 => value.to_owned(),
                1 => format!("'{value}'"),
                _ => format!("\"{value}\""),
            };
            let pieces = [
                gap(random),
                key.to_owned(),
                gap(random),
                "=".to_owned(),
                gap(random),
                value,
                gap(random),
            ];
            text.push_str(&pieces.concat());
            text.push(',');
        }
        if random.bool() {
            text.pop();
        }
        text.push('}');
    }
    if random.bool() {
        let op = one_of(random, &["sum", "avg", "min", "max", "count"]);
        text = format!("{op}{}({}{text}{})", gap(random), gap(random), gap(random));
    }
    (format!("{}{text}{}", gap(random), gap(random)), matchers)
}

#[test]
fn loose_spellings_mean_what_they_were_written_from() {
    fuzz(2000, |random| {
        let (text, wanted) = loose(random);
        let query = Query::trigger(&text, None, WINDOW).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(query.reading(), Reading::Simple, "{text}");
        assert_eq!(query.selectors()[0].matchers(), wanted, "{text}");
    });
}
