//! Aggregation over series, and names that are dropped.

use super::{Memory, check};

const AGGREGATION: &str = "doc querying/operators, Aggregation operators";

fn memory() -> Memory {
    Memory::load(
        1000,
        "m{job=api,pod=0,zone=a} 1
         m{job=api,pod=1,zone=b} 2
         m{job=web,pod=0,zone=a} 4
         m{job=web,pod=1} 8
         some{a=1} NaN
         some{a=2} 3
         far{a=1} Inf
         far{a=2} -Inf
         big{a=1} 1e308
         big{a=2} 1e308
         dotted{service_name=x} 1
         tiny{a=1} 1e100
         tiny{a=2} 1
         tiny{a=3} -1e100",
    )
}

#[test]
fn series_are_aggregated() {
    check(
        &memory(),
        0,
        &[
            ("sum(m)", "{} 15", AGGREGATION),
            ("avg(m)", "{} 3.75", AGGREGATION),
            ("min(m)", "{} 1", AGGREGATION),
            ("max(m)", "{} 8", AGGREGATION),
            ("count(m)", "{} 4", AGGREGATION),
            ("SUM(m)", "{} 15", "go lexer, keywords in any case"),
            (
                "sum by (job) (m)",
                r#"{job="api"} 3; {job="web"} 12"#,
                AGGREGATION,
            ),
            (
                "sum(m) by (job)",
                r#"{job="api"} 3; {job="web"} 12"#,
                AGGREGATION,
            ),
            (
                "avg by (pod) (m)",
                r#"{pod="0"} 2.5; {pod="1"} 5"#,
                AGGREGATION,
            ),
            (
                "max by (job, pod) (m)",
                r#"{job="api", pod="0"} 1; {job="api", pod="1"} 2; {job="web", pod="0"} 4; {job="web", pod="1"} 8"#,
                AGGREGATION,
            ),
            (
                "count without (pod, zone) (m)",
                r#"{job="api"} 2; {job="web"} 2"#,
                AGGREGATION,
            ),
            (
                "min without (job) (m)",
                r#"{pod="0", zone="a"} 1; {pod="1", zone="b"} 2; {pod="1"} 8"#,
                AGGREGATION,
            ),
            // The series without the label form a group of their own.
            (
                "sum by (zone) (m)",
                r#"{zone="a"} 5; {zone="b"} 2; {} 8"#,
                AGGREGATION,
            ),
            ("sum by (nothing) (m)", "{} 15", AGGREGATION),
            (
                "count by (\"service.name\") (dotted)",
                r#"{service_name="x"} 1"#,
                "hand: labels are stored without dots",
            ),
            ("sum by () (m)", "{} 15", AGGREGATION),
            (
                "sum by (__name__) (m)",
                "m 15",
                "hand: the name is a label like others",
            ),
            (
                "sum without () (m{job=\"api\"})",
                r#"{job="api", pod="0", zone="a"} 1; {job="api", pod="1", zone="b"} 2"#,
                AGGREGATION,
            ),
            ("sum(nothing)", "", "hand: no group, no result"),
            ("count(nothing)", "", "hand: no group, no result"),
            ("max(sum by (job) (m))", "{} 12", AGGREGATION),
            ("count(count by (job) (m))", "{} 2", AGGREGATION),
            ("sum(some)", "{} NaN", "hand: NaN + 3"),
            ("min(some)", "{} 3", "go aggregation, NaN is passed over"),
            ("max(some)", "{} 3", "go aggregation, NaN is passed over"),
            ("count(some)", "{} 2", AGGREGATION),
            ("sum(far)", "{} NaN", "hand: Inf - Inf"),
            ("max(far)", "{} Inf", AGGREGATION),
            ("sum(big)", "{} Inf", "hand: beyond the largest float"),
            (
                "avg(big)",
                "{} 1e308",
                "go aggregation, the mean does not overflow",
            ),
            ("sum(tiny)", "{} 1", "go kahanSumInc"),
        ],
    );
}
