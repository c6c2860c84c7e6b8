//! Functions of values, of presence, and of histograms.

use super::{Memory, check};

const CLAMP: &str = "doc querying/functions, clamp";
const ABSENT: &str = "doc querying/functions, absent";
const QUANTILE: &str = "doc querying/functions, histogram_quantile";

#[test]
fn values_are_changed_one_by_one() {
    let memory = Memory::load(1000, "v{a=1} -1.5\nv{a=2} 2.5\nv{a=3} NaN");
    let all = |one, two| -> &'static str {
        Box::leak(format!(r#"{{a="1"}} {one}; {{a="2"}} {two}; {{a="3"}} NaN"#).into_boxed_str())
    };
    check(
        &memory,
        0,
        &[
            ("abs(v)", all("1.5", "2.5"), "doc querying/functions, abs"),
            ("ceil(v)", all("-1", "3"), "doc querying/functions, ceil"),
            ("floor(v)", all("-2", "2"), "doc querying/functions, floor"),
            ("clamp(v, 0, 2)", all("0", "2"), CLAMP),
            (
                "clamp(v, 2, 0)",
                "",
                "doc querying/functions, clamp: empty if min > max",
            ),
            (
                "clamp(v, NaN, 2)",
                all("NaN", "NaN"),
                "doc querying/functions, clamp: NaN",
            ),
            (
                "clamp_min(v, 0)",
                all("0", "2.5"),
                "doc querying/functions, clamp_min",
            ),
            (
                "clamp_max(v, 0)",
                all("-1.5", "0"),
                "doc querying/functions, clamp_max",
            ),
            (
                "clamp_max(v, scalar(nothing))",
                all("NaN", "NaN"),
                "go math.Min",
            ),
        ],
    );
}

#[test]
fn presence_and_kinds() {
    let memory = Memory::load(1000, "v{a=1} 5\nw{a=1} 6\nw{a=2} 7");
    check(
        &memory,
        0,
        &[
            ("absent(v)", "", ABSENT),
            ("absent(nothing)", "{} 1", ABSENT),
            (
                r#"absent(nothing{job="x",i=~".*"})"#,
                r#"{job="x"} 1"#,
                ABSENT,
            ),
            (
                r#"absent(nothing{job="x",job="y",b="z"})"#,
                r#"{b="z"} 1"#,
                "go createLabelsForAbsentFunction",
            ),
            (r#"absent(sum(nothing{job="x"}))"#, "{} 1", ABSENT),
            (r#"absent(nothing{job!="x"})"#, "{} 1", ABSENT),
            ("scalar(v)", "5", "doc querying/functions, scalar"),
            (
                "scalar(w)",
                "NaN",
                "doc querying/functions, scalar: not one element",
            ),
            (
                "scalar(nothing)",
                "NaN",
                "doc querying/functions, scalar: not one element",
            ),
            ("vector(3)", "{} 3", "doc querying/functions, vector"),
            (
                "vector(scalar(v) + 1)",
                "{} 6",
                "doc querying/functions, vector",
            ),
            (
                "w / scalar(v)",
                r#"{a="1"} 1.2; {a="2"} 1.4"#,
                "doc querying/functions, scalar",
            ),
        ],
    );
}

#[test]
fn quantiles_come_from_buckets() {
    let memory = Memory::load(
        1000,
        "h{le=0.1} 10
         h{le=0.5} 30
         h{le=1} 40
         h{le=+Inf} 50
         neg{le=-1} 5
         neg{le=1} 10
         neg{le=+Inf} 10
         open{le=1} 5
         only{le=+Inf} 5
         empty{le=1} 0
         empty{le=+Inf} 0
         dent{le=1} 10
         dent{le=2} 8
         dent{le=+Inf} 20
         twice{le=1} 4
         twice{le=1.0} 6
         twice{le=+Inf} 20
         odd{le=x} 3
         odd{le=1} 4
         odd{le=+Inf} 8
         two{job=a,le=1} 1
         two{job=a,le=+Inf} 1
         two{job=b,le=2} 1
         two{job=b,le=+Inf} 1
         plain 4",
    );
    check(
        &memory,
        0,
        &[
            // Rank 25 of 50: 15 of the 20 in (0.1, 0.5].
            ("histogram_quantile(0.5, h)", "{} 0.4", QUANTILE),
            // Rank 5: half of the lowest bucket, which begins at zero.
            ("histogram_quantile(0.1, h)", "{} 0.05", QUANTILE),
            // Rank 40 is just what the third holds.
            ("histogram_quantile(0.8, h)", "{} 1", QUANTILE),
            // In the bucket without bound: the highest bound.
            ("histogram_quantile(0.9, h)", "{} 1", QUANTILE),
            ("histogram_quantile(1, h)", "{} 1", QUANTILE),
            ("histogram_quantile(0, h)", "{} 0", QUANTILE),
            ("histogram_quantile(-0.1, h)", "{} -Inf", QUANTILE),
            ("histogram_quantile(1.1, h)", "{} Inf", QUANTILE),
            ("histogram_quantile(NaN, h)", "{} NaN", QUANTILE),
            // The lowest bucket lies below zero: its bound.
            ("histogram_quantile(0.3, neg)", "{} -1", QUANTILE),
            // Rank 7.5: half of (-1, 1].
            ("histogram_quantile(0.75, neg)", "{} 0", QUANTILE),
            ("histogram_quantile(0.5, open)", "{} NaN", QUANTILE),
            ("histogram_quantile(0.5, only)", "{} NaN", QUANTILE),
            ("histogram_quantile(0.5, empty)", "{} NaN", QUANTILE),
            // 8 is read as 10: rank 10 is in the first.
            (
                "histogram_quantile(0.5, dent)",
                "{} 1",
                "go ensureMonotonicAndIgnoreSmallDeltas",
            ),
            // Equal bounds are one bucket of 10; rank 5 is half of it.
            (
                "histogram_quantile(0.25, twice)",
                "{} 0.5",
                "go coalesceBuckets",
            ),
            (
                "histogram_quantile(0.25, odd)",
                "{} 0.5",
                "go funcHistogramQuantile, passes over bad bounds",
            ),
            (
                "histogram_quantile(0.5, two)",
                r#"{job="a"} 0.5; {job="b"} 1"#,
                QUANTILE,
            ),
            (
                "histogram_quantile(0.5, sum by (le) (two))",
                "{} 1",
                "hand: rank 1 of 1, 1, 2 is in the first",
            ),
            ("histogram_quantile(0.5, plain)", "", QUANTILE),
        ],
    );
}
