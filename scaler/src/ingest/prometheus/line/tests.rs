//! Lines of both formats, good and bad.

use super::*;
use Format::{OpenMetrics, Text};

type Labels = &'static [(&'static str, &'static str)];

/// A format, a line, and what it says: name, labels, value and time.
type Good = (Format, &'static str, &'static str, Labels, f64, Option<i64>);

/// Name, labels, value and time of a line.
type Read = (String, Vec<(String, String)>, f64, Option<i64>);

fn all(line: &[u8], format: Format) -> Result<Read, BadLine> {
    let (name, rest) = name(line)?;
    let read = read(line, rest, format)?;
    let mut pairs = Vec::new();
    labels::<BadLine>(read.identity, |name, value| {
        pairs.push((name.into_owned(), value.into_owned()));
        Ok(())
    })?;
    Ok((name.into_owned(), pairs, read.value, read.at_ms))
}

#[test]
fn good_lines() {
    let inf = f64::INFINITY;
    let cases: &[Good] = &[
        (Text, "up 1", "up", &[], 1.0, None),
        (Text, "up\t1", "up", &[], 1.0, None),
        (Text, "up{} 1", "up", &[], 1.0, None),
        (Text, "up {} 1", "up", &[], 1.0, None),
        (Text, "a:b_c9 1", "a:b_c9", &[], 1.0, None),
        (Text, "_x 1 ", "_x", &[], 1.0, None),
        (
            Text,
            "up 1 1395066363000",
            "up",
            &[],
            1.0,
            Some(1_395_066_363_000),
        ),
        (Text, "up 1 -3982045", "up", &[], 1.0, Some(-3_982_045)),
        (Text, "up   1   7  ", "up", &[], 1.0, Some(7)),
        (
            OpenMetrics,
            "up 1 1395066363.5",
            "up",
            &[],
            1.0,
            Some(1_395_066_363_500),
        ),
        (
            OpenMetrics,
            "up 1 1.5e9",
            "up",
            &[],
            1.0,
            Some(1_500_000_000_000),
        ),
        (OpenMetrics, "up 1 0.0004", "up", &[], 1.0, Some(0)),
        (Text, "up +Inf", "up", &[], inf, None),
        (Text, "up -Inf", "up", &[], -inf, None),
        (Text, "up Inf", "up", &[], inf, None),
        (Text, "up 1.7638e+09", "up", &[], 1.7638e9, None),
        (Text, "up -0.25", "up", &[], -0.25, None),
        (Text, "up 1e400", "up", &[], inf, None),
        (Text, r#"m{a="b"} 1"#, "m", &[("a", "b")], 1.0, None),
        (Text, r#"m{a="b",} 1"#, "m", &[("a", "b")], 1.0, None),
        (
            Text,
            r#"m{a="b",c="d"}1"#,
            "m",
            &[("a", "b"), ("c", "d")],
            1.0,
            None,
        ),
        (
            Text,
            r#"m { a = "b" , c = "d" , } 1"#,
            "m",
            &[("a", "b"), ("c", "d")],
            1.0,
            None,
        ),
        (Text, r#"m{a=""} 1"#, "m", &[("a", "")], 1.0, None),
        (
            Text,
            r#"m{a="}",b="{"} 1"#,
            "m",
            &[("a", "}"), ("b", "{")],
            1.0,
            None,
        ),
        (
            Text,
            r#"m{a="x,y=\"z\""} 1"#,
            "m",
            &[("a", "x,y=\"z\"")],
            1.0,
            None,
        ),
        (
            Text,
            r#"m{a="C:\\d\n"} 1"#,
            "m",
            &[("a", "C:\\d\n")],
            1.0,
            None,
        ),
        (Text, r#"m{a="\\n"} 1"#, "m", &[("a", "\\n")], 1.0, None),
        (Text, r#"m{a="\t\x"} 1"#, "m", &[("a", "\\t\\x")], 1.0, None),
        (
            Text,
            r#"m{a="größe # 1"} 1"#,
            "m",
            &[("a", "größe # 1")],
            1.0,
            None,
        ),
        (Text, r#"m{le="+Inf"} 3"#, "m", &[("le", "+Inf")], 3.0, None),
        (Text, r#"{"my.metric"} 1"#, "my.metric", &[], 1.0, None),
        (
            Text,
            r#"{"my.metric",a="b"} 1"#,
            "my.metric",
            &[("a", "b")],
            1.0,
            None,
        ),
        (
            Text,
            r#"{a="b","my.metric"} 1"#,
            "my.metric",
            &[("a", "b")],
            1.0,
            None,
        ),
        (
            Text,
            r#"{"größe","a.b"="c"} 1"#,
            "größe",
            &[("a.b", "c")],
            1.0,
            None,
        ),
        (Text, r#"{"a\"b"} 1"#, "a\"b", &[], 1.0, None),
        (Text, r#"m{"a.b"="c"} 1"#, "m", &[("a.b", "c")], 1.0, None),
        (
            OpenMetrics,
            r#"m_bucket{le="1"} 3 # {trace_id="a"} 0.5"#,
            "m_bucket",
            &[("le", "1")],
            3.0,
            None,
        ),
        (
            OpenMetrics,
            r#"m 3 12.5 # {trace_id="}"} 0.5 12.0"#,
            "m",
            &[],
            3.0,
            Some(12_500),
        ),
        (OpenMetrics, "m 3 # {} 1", "m", &[], 3.0, None),
    ];
    for (format, line, name, pairs, value, at_ms) in cases {
        let pairs = pairs.iter().map(|(a, b)| (a.to_string(), b.to_string()));
        let expected = (name.to_string(), pairs.collect(), *value, *at_ms);
        assert_eq!(all(line.as_bytes(), *format), Ok(expected), "{line}");
    }
    let (.., value, _) = all(b"m NaN", Text).unwrap();
    assert!(value.is_nan());
}

#[test]
fn bad_lines() {
    let cases: &[(Format, &[u8], BadLine)] = &[
        (Text, b"", BadLine::Name),
        (Text, b"9up 1", BadLine::Name),
        (Text, b"a.b 1", BadLine::Name),
        (Text, b"a-b{} 1", BadLine::Name),
        (Text, b"=1", BadLine::Name),
        (Text, b"{} 1", BadLine::Name),
        (Text, br#"{a="b"} 1"#, BadLine::Name),
        (Text, b"\xff 1", BadLine::Utf8),
        (Text, b"{\"\xff\"} 1", BadLine::Utf8),
        (Text, b"m{a=\"\xff\"} 1", BadLine::Utf8),
        (Text, b"up", BadLine::Value),
        (Text, b"up ", BadLine::Value),
        (Text, b"up{}", BadLine::Value),
        (Text, b"up x", BadLine::Value),
        (Text, b"up 1,5", BadLine::Value),
        (Text, b"up 0x1p3", BadLine::Value),
        (Text, b"up 1_000", BadLine::Value),
        (Text, b"up 1 x", BadLine::Time),
        (Text, b"up 1 1.5", BadLine::Time),
        (Text, b"up 1 99999999999999999999", BadLine::Time),
        (OpenMetrics, b"up 1 NaN", BadLine::Time),
        (OpenMetrics, b"up 1 1e300", BadLine::Time),
        (Text, b"up 1 2 3", BadLine::Rest),
        (Text, br#"up 1 # {a="b"} 1"#, BadLine::Rest),
        (OpenMetrics, b"up 1 2 3", BadLine::Rest),
        (Text, b"m{", BadLine::Labels),
        (Text, b"m{a", BadLine::Labels),
        (Text, b"m{a=", BadLine::Labels),
        (Text, b"m{a=b} 1", BadLine::Labels),
        (Text, br#"m{a="b"#, BadLine::Labels),
        (Text, br#"m{a="b\"} 1"#, BadLine::Labels),
        (Text, br#"m{a="b" c="d"} 1"#, BadLine::Labels),
        (Text, br#"m{a="b",,c="d"} 1"#, BadLine::Labels),
        (Text, br#"m{,} 1"#, BadLine::Labels),
        (Text, br#"m{9a="b"} 1"#, BadLine::Labels),
        (Text, br#"m{="b"} 1"#, BadLine::Labels),
        (Text, br#"m{a.b="c"} 1"#, BadLine::Labels),
        (Text, br#"{"a","b"} 1"#, BadLine::Labels),
        (Text, br#"m{"a"} 1"#, BadLine::Labels),
    ];
    for (format, line, bad) in cases {
        let shown = String::from_utf8_lossy(line);
        assert_eq!(all(line, *format), Err(*bad), "{shown}");
    }
}

#[test]
fn the_identity_is_name_and_labels_as_written() {
    for (line, identity) in [
        ("up 1", "up"),
        ("up{} 1", "up{}"),
        (r#"m{a="}", } 1 2"#, r#"m{a="}", }"#),
    ] {
        let (_, rest) = name(line.as_bytes()).unwrap();
        let read = read(line.as_bytes(), rest, Text).unwrap();
        assert_eq!(read.identity, identity.as_bytes());
    }
}
