//! Selectors at one instant: matchers, lookback, staleness, offset.

use super::{Memory, check};

const STALENESS: &str = "doc querying/basics, Staleness";
const MATCHERS: &str = "doc querying/basics, Instant vector selectors";
const OFFSET: &str = "doc querying/basics, Offset modifier";

#[test]
fn matchers_choose_series() {
    let memory = Memory::load(
        1000,
        "up{job=api,zone=a} 1
         up{job=api} 2
         up{job=web,zone=b} 3
         down{job=api,zone=a} 4",
    );
    check(
        &memory,
        0,
        &[
            (
                r#"up{job="api"}"#,
                r#"up{job="api", zone="a"} 1; up{job="api"} 2"#,
                MATCHERS,
            ),
            (
                r#"up{job!="api"}"#,
                r#"up{job="web", zone="b"} 3"#,
                MATCHERS,
            ),
            (
                r#"up{job=~"a.*",zone="a"}"#,
                r#"up{job="api", zone="a"} 1"#,
                MATCHERS,
            ),
            // Anchored: no part of the value is enough.
            (r#"up{job=~"ap"}"#, "", MATCHERS),
            (
                r#"up{job!~"ap|web"}"#,
                r#"up{job="api", zone="a"} 1; up{job="api"} 2"#,
                MATCHERS,
            ),
            // An absent label is an empty one.
            (r#"up{zone=""}"#, r#"up{job="api"} 2"#, MATCHERS),
            (
                r#"up{zone!="a"}"#,
                r#"up{job="api"} 2; up{job="web", zone="b"} 3"#,
                MATCHERS,
            ),
            (
                r#"up{zone=~".*",job="api"}"#,
                r#"up{job="api", zone="a"} 1; up{job="api"} 2"#,
                MATCHERS,
            ),
            (
                r#"up{zone=~".+",job="api"}"#,
                r#"up{job="api", zone="a"} 1"#,
                MATCHERS,
            ),
            (
                r#"{__name__=~"up|down",zone="a"}"#,
                r#"up{job="api", zone="a"} 1; down{job="api", zone="a"} 4"#,
                MATCHERS,
            ),
            (r#"{"down"}"#, r#"down{job="api", zone="a"} 4"#, MATCHERS),
            // Both conditions on one label must hold.
            (r#"up{job="api",job="web"}"#, "", MATCHERS),
            ("nothing", "", MATCHERS),
        ],
    );
}

#[test]
fn the_newest_point_within_five_minutes_counts() {
    let memory = Memory::load(60_000, "old 7\nlate _ _ 5 6");
    check(
        &memory,
        0,
        &[
            ("old", "old 7", STALENESS),
            ("late", "", "hand: its first point is later"),
        ],
    );
    check(
        &memory,
        299_999,
        &[("old", "old 7", STALENESS), ("late", "late 6", STALENESS)],
    );
    // Since version 3 the window is open on the left.
    check(
        &memory,
        300_000,
        &[("old", "", "doc migration to 3, Left open range selectors")],
    );
    check(&memory, 179_999, &[("late", "late 5", STALENESS)]);
}

#[test]
fn a_stale_marker_ends_a_series() {
    let memory = Memory::load(60_000, "gone 1 2 stale\nback 1 stale 3\nbad NaN");
    check(
        &memory,
        120_000,
        &[
            ("gone", "", STALENESS),
            ("back", "back 3", STALENESS),
            ("sum(gone)", "", STALENESS),
            ("absent(gone)", "{} 1", STALENESS),
            (
                "count_over_time(gone[5m])",
                "{} 2",
                "go eval, matrix selectors skip stale markers",
            ),
            (
                "last_over_time(gone[5m])",
                "gone 2",
                "go eval, matrix selectors skip stale markers",
            ),
            ("bad", "bad NaN", "hand: an ordinary NaN is a value"),
        ],
    );
    check(
        &memory,
        60_000,
        &[("gone", "gone 2", STALENESS), ("back", "", STALENESS)],
    );
}

#[test]
fn an_offset_looks_from_another_time() {
    let memory = Memory::load(60_000, "x 0+1x10\nc_total 0+60x10");
    check(
        &memory,
        360_000,
        &[
            ("x", "x 6", OFFSET),
            ("x offset 2m", "x 4", OFFSET),
            ("x offset -2m", "x 8", OFFSET),
            ("x - x offset 1m", "{} 1", OFFSET),
            ("sum(x offset 3m)", "{} 3", OFFSET),
            ("rate(c_total[2m] offset 1m)", "{} 1", OFFSET),
            ("x offset 1h", "", OFFSET),
            (
                "x offset 90s",
                "x 4",
                "hand: the newest at 270 s is that of 240 s",
            ),
        ],
    );
}
