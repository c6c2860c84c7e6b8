//! Pages as a whole: what is kept, what is skipped, and where chunks end.

use super::*;
use crate::series::{Limits, Store};
use proptest::prelude::*;

fn filter(allowed: &[&str]) -> Arc<Filter> {
    let allowed: Vec<_> = allowed.iter().map(|name| name.parse().unwrap()).collect();
    let store = Store::new(Limits::default());
    Arc::new(Filter::new(allowed.into(), store.needed_names()))
}

fn small() -> PageLimits {
    PageLimits {
        bytes: 100_000,
        line_bytes: 1_000,
        samples: 50,
    }
}

fn read(format: Format, text: &[u8]) -> Result<Page, BadPage> {
    let mut reader = Reader::new(format, small(), filter(&["a*", "é"]));
    reader.feed(text)?;
    reader.finish()
}

/// Samples as text; those that count with a `+`.
fn shown(page: &Page) -> Vec<String> {
    let line = |sample: &Sample| {
        let identity = String::from_utf8_lossy(page.identity(sample));
        let plus = if sample.counts { "+" } else { "" };
        let time = sample.at_ms.map(|at| format!(" @{at}")).unwrap_or_default();
        format!("{identity} {plus}{}{time}", sample.value)
    };
    page.samples.iter().map(line).collect()
}

fn dropped(page: &Page) -> Vec<(DropReason, u64)> {
    page.outcome.dropped().collect()
}

const TEXT: &str = r##"# HELP a_requests Requests, "all" of them.
# TYPE a_requests counter
a_requests{code="200"} 1027 1395066363000
a_requests{code="400"} 3
# A comment, and nothing.

b_not_wanted{x="y"} 1
b_not_wanted{x="z"} 1
# TYPE a_level gauge
  a_level	12.47
# TYPE a_time histogram
a_time_bucket{le="0.05"} 24
a_time_bucket{le="+Inf"} 144
a_time_sum 53
a_time_count 144
a_time 1
# TYPE a_rpc summary
a_rpc{quantile="0.5"} NaN
a_rpc_sum 1.7e+07
a_rpc_count 2
a_untyped_total 1
process_start_time_seconds 1.5e9
a_last{x="#"} 2"##;

#[test]
fn a_page_of_text() {
    let page = read(Format::Text, TEXT.as_bytes()).unwrap();
    let expected = [
        r#"a_requests{code="200"} +1027 @1395066363000"#,
        r#"a_requests{code="400"} +3"#,
        "a_level 12.47",
        r#"a_time_bucket{le="0.05"} +24"#,
        r#"a_time_bucket{le="+Inf"} +144"#,
        "a_time_sum +53",
        "a_time_count +144",
        "a_time 1",
        r#"a_rpc{quantile="0.5"} NaN"#,
        "a_rpc_sum +17000000",
        "a_rpc_count +2",
        "a_untyped_total +1",
        r##"a_last{x="#"} 2"##,
    ];
    assert_eq!(shown(&page), expected);
    assert_eq!(page.process_start, Some(1.5e9));
    assert_eq!((dropped(&page), page.bytes), (vec![], TEXT.len()));
}

#[test]
fn a_page_of_openmetrics() {
    let text = "# TYPE a_x counter\n# UNIT a_x seconds\n# HELP a_x X.\n\
        a_x_total{k=\"v\"} 17.0 1520879607.789 # {trace_id=\"K\"} 0.5 1520879607.0\n\
        a_x_created{k=\"v\"} 1520430000.123\n\
        # TYPE a_info info\na_info{v=\"1\"} 1\n\
        # TYPE a_gh gaugehistogram\na_gh_bucket{le=\"1\"} 1\na_gh_gcount 1\n\
        # EOF\n";
    let page = read(Format::OpenMetrics, text.as_bytes()).unwrap();
    let expected = [
        r#"a_x_total{k="v"} +17 @1520879607789"#,
        r#"a_x_created{k="v"} 1520430000.123"#,
        r#"a_info{v="1"} 1"#,
        r#"a_gh_bucket{le="1"} 1"#,
        "a_gh_gcount 1",
    ];
    assert_eq!(shown(&page), expected);
    assert_eq!(page.created.len(), 1);
    assert_eq!(page.identity(&page.created[0]), br#"a_x_created{k="v"}"#);
}

#[test]
fn openmetrics_without_its_end_was_cut_off() {
    let cut = read(Format::OpenMetrics, b"a 1\n");
    assert_eq!(cut.map(|_| ()), Err(BadPage::NoEnd));
    let text = b"a 1\n# EOF\na 2\nb 3\n";
    let page = read(Format::OpenMetrics, text).unwrap();
    assert_eq!(shown(&page), ["a 1"]);
    assert_eq!(dropped(&page), [(DropReason::Syntax, 1)]);
    assert_eq!(shown(&read(Format::Text, text).unwrap()), ["a 1", "a 2"]);
}

#[test]
fn a_bad_line_costs_itself_alone() {
    let long = "x".repeat(1 << 20);
    let text = format!(
        "a 1\na{{x=y}} 2\na{{x=\"\u{0}\"}} 3\na x\na_long{{l=\"{long}\"}} 1\n{long} 1\n\
         b_long{{l=\"{long}\"}} 1\n# HELP a {long}\n=\n{{}} 1\r\na_2 4\r\n"
    );
    let limits = PageLimits {
        bytes: 8 << 20,
        ..small()
    };
    let mut reader = Reader::new(Format::Text, limits, filter(&["a*"]));
    reader.feed(text.as_bytes()).unwrap();
    let page = reader.finish().unwrap();
    assert_eq!(shown(&page), ["a 1", "a{x=\"\0\"} 3", "a_2 4"]);
    assert_eq!(
        dropped(&page),
        [(DropReason::Syntax, 4), (DropReason::LineTooLong, 2)]
    );
    assert!(page.flawed.has("a") && page.flawed.has("a_long"));
    assert!(!page.flawed.has("b_long"));
    let message = page.outcome.message();
    assert!(message.contains("such as of \"a\" (syntax)"), "{message}");
    assert!(message.len() < 1000, "{message}");
}

#[test]
fn what_is_too_much_is_refused_as_a_whole() {
    let many: String = (0..51).map(|i| format!("a{i} 1\n")).collect();
    let refused = read(Format::Text, many.as_bytes()).map(|_| ());
    assert_eq!(refused, Err(BadPage::TooManySamples(50)));
    let other: String = (0..51).map(|i| format!("b{i} 1\n")).collect();
    assert_eq!(read(Format::Text, other.as_bytes()).unwrap().samples, []);
    let large = read(Format::Text, &[b'\n'; 100_001]).map(|_| ());
    assert_eq!(large, Err(BadPage::TooLarge(100_000)));
}

#[test]
fn names_in_quotes_are_names() {
    let text = "# TYPE \"a.x\" counter\n{\"a.x\"} 1\n{\"a.x\",l=\"1\"} 2\n{\"b\"} 3\n{\"é\"} 4\n";
    let page = read(Format::Text, text.as_bytes()).unwrap();
    let expected = ["{\"a.x\"} +1", "{\"a.x\",l=\"1\"} +2", "{\"é\"} 4"];
    assert_eq!(shown(&page), expected);
}

/// Pieces that make lines awkward to cut.
const PIECES: [&str; 24] = [
    "a",
    "a_x_total",
    "b",
    "{",
    "}",
    "\"",
    "\\",
    "=",
    ",",
    " ",
    "\t",
    "\n",
    "\n",
    "\r\n",
    "1",
    "NaN",
    "# TYPE a counter\n",
    "# EOF\n",
    "{l=\"v\"} 1\n",
    "a{l=\"v\"} 2 3\n",
    "é",
    "\u{0}",
    "process_start_time_seconds 5\n",
    "a_created 7\n",
];

proptest! {
    /// Wherever chunks end, the page is the same.
    #[test]
    fn chunks_may_end_anywhere(
        pieces in prop::collection::vec(0..PIECES.len(), 0..80),
        long in prop::collection::vec((0_usize..80, 0_usize..2_000), 0..3),
        cuts in prop::collection::vec(0_usize..4_000, 0..20),
        is_text in any::<bool>(),
    ) {
        let mut text: Vec<String> = pieces.iter().map(|i| PIECES[*i].to_owned()).collect();
        for (at, count) in long {
            text.insert(at.min(text.len()), "x".repeat(count));
        }
        let text = text.concat().into_bytes();
        let format = if is_text { Format::Text } else { Format::OpenMetrics };
        let whole = read(format, &text);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let mut reader = Reader::new(format, small(), filter(&["a*", "é"]));
        for cut in cuts.windows(2) {
            reader.feed(&text[cut[0]..cut[1]]).unwrap();
        }
        match (whole, reader.finish()) {
            (Ok(whole), Ok(parts)) => {
                prop_assert_eq!(shown(&whole), shown(&parts));
                prop_assert_eq!(&whole.outcome, &parts.outcome);
                prop_assert_eq!(&whole.flawed, &parts.flawed);
                prop_assert_eq!(whole.created.len(), parts.created.len());
                prop_assert_eq!(whole.process_start, parts.process_start);
            }
            (whole, parts) => prop_assert_eq!(whole.map(|_| ()), parts.map(|_| ())),
        }
    }
}
