//! Functions over ranges: extrapolation, resets, too few points.

use super::{Memory, check};

const EXTRAPOLATED: &str = "go extrapolatedRate";
const RATE: &str = "doc querying/functions, rate";
const OVER_TIME: &str = "doc querying/functions, <aggregation>_over_time";

fn counters() -> Memory {
    Memory::load(
        10_000,
        "steady_total 0+10x6
         resets_total 0 10 20 5 15 25 35
         fresh_total _ _ _ _ 1 11 21
         stopped_total 0 10 20 30
         one_total _ _ _ 5
         flat_total 7+0x6
         falling -5 -10 -15 -20 -25 -30 -35
         holes_total 0 _ 20 _ _ 50 60
         late_total _ _ _ _ 1000 1010 1020",
    )
}

#[test]
fn growth_is_extrapolated_to_the_ends_of_the_range() {
    check(
        &counters(),
        60_000,
        &[
            // Points 10…60: 50 in 50 s; the start is 10 s off, below 1.1 x 10 s: 50 x 60/50.
            ("increase(steady_total[1m])", "{} 60", EXTRAPOLATED),
            ("rate(steady_total[1m])", "{} 1", EXTRAPOLATED),
            ("delta(steady_total[1m])", "{} 60", EXTRAPOLATED),
            // 20…60: 40 in 40 s, 10 s to the start: 50 in 50 s.
            ("rate(steady_total[50s])", "{} 1", EXTRAPOLATED),
            ("increase(steady_total[50s])", "{} 50", EXTRAPOLATED),
            // 55 s: points from 10 on, 5 s to the start: 50 x 55/50.
            ("increase(steady_total[55s])", "{} 55", EXTRAPOLATED),
            // Two points, 50 and 60; the start is 5 s off.
            ("increase(steady_total[15s])", "{} 15", EXTRAPOLATED),
            ("rate(flat_total[1m])", "{} 0", EXTRAPOLATED),
            // -35 - -10 = -25 in 50 s, 10 s to the start: -25 x 60/50.
            ("delta(falling[1m])", "{} -30", EXTRAPOLATED),
            // 40, 50, 60: the start is 40 s off, half of 10 s is assumed: 20 x 25/20.
            ("delta(fresh_total[1m])", "{} 25", EXTRAPOLATED),
            // A counter is not stretched below zero: 1 was reached in 1 s: 20 x 21/20.
            ("increase(fresh_total[1m])", "{} 21", EXTRAPOLATED),
            ("rate(fresh_total[1m])", "{} 0.35", EXTRAPOLATED),
            // Far above zero: half the distance, 5 s: 20 x 25/20.
            ("increase(late_total[1m])", "{} 25", EXTRAPOLATED),
            // 10, 20, 30: to the end 30 s, so 5 s; to the start 10 s: 20 x 35/20.
            ("increase(stopped_total[1m])", "{} 35", EXTRAPOLATED),
            (
                "rate(stopped_total[1m])",
                "{} 0.5833333333333334",
                EXTRAPOLATED,
            ),
            // 20, 50, 60: 40 in 40 s, distance 20; 20 s to the start is below 22: 60.
            ("increase(holes_total[1m])", "{} 60", EXTRAPOLATED),
            // A range is open on the left, so this has 0…60 and nothing to add.
            (
                "increase(steady_total[60001ms])",
                "{} 60",
                "hand: 60 x 60.001/60, held at zero",
            ),
        ],
    );
}

#[test]
fn the_threshold_is_1_1_times_the_distance_of_points() {
    // Points 20…60 in both. The end is 10.9 s off: reached. 40 x 60/40.
    check(
        &counters(),
        70_900,
        &[("increase(steady_total[1m])", "{} 60", EXTRAPOLATED)],
    );
    // It is 11.1 s off: 5 s instead; the start 8.9 s. 40 x 53.9/40.
    check(
        &counters(),
        71_100,
        &[("increase(steady_total[1m])", "{} 53.9", EXTRAPOLATED)],
    );
}

#[test]
fn a_counter_that_falls_was_reset() {
    check(
        &counters(),
        60_000,
        &[
            // 35 - 10 + 20 lost at 30 s = 45, 10 s to the start: 45 x 60/50.
            ("increase(resets_total[1m])", "{} 54", RATE),
            ("rate(resets_total[1m])", "{} 0.9", RATE),
            // No counter, no resets: 25 x 60/50.
            (
                "delta(resets_total[1m])",
                "{} 30",
                "doc querying/functions, delta",
            ),
            // Not in the range: 5…35 from 30 s on, 5 s at 30 s since zero: 30 x 35/30.
            ("increase(resets_total[35s])", "{} 35", RATE),
            (
                "irate(resets_total[1m])",
                "{} 1",
                "doc querying/functions, irate",
            ),
        ],
    );
    check(
        &counters(),
        30_000,
        &[
            // From zero to 5 in 10 s.
            ("irate(resets_total[1m])", "{} 0.5", "go instantValue"),
            ("idelta(resets_total[1m])", "{} -15", "go instantValue"),
        ],
    );
}

#[test]
fn too_few_points_give_nothing() {
    let one = "go extrapolatedRate, fewer than two samples";
    check(
        &counters(),
        60_000,
        &[
            ("rate(one_total[1m])", "", one),
            ("increase(one_total[1m])", "", one),
            ("delta(one_total[1m])", "", one),
            (
                "irate(one_total[1m])",
                "",
                "go instantValue, fewer than two samples",
            ),
            (
                "idelta(one_total[1m])",
                "",
                "go instantValue, fewer than two samples",
            ),
            ("rate(nothing_total[1m])", "", one),
            (
                "rate(steady_total[10s])",
                "",
                "hand: only the point at 60 s is in it",
            ),
            ("count_over_time(one_total[1m])", "{} 1", OVER_TIME),
            (
                "idelta(steady_total[1m])",
                "{} 10",
                "doc querying/functions, idelta",
            ),
            (
                "irate(steady_total[1m])",
                "{} 1",
                "doc querying/functions, irate",
            ),
        ],
    );
}

#[test]
fn points_are_summed_up_over_time() {
    let memory = Memory::load(
        10_000,
        "v _ 4 8 1 3
         w{a=1} _ NaN 2 Inf 1
         q _ 1 2 3 4
         n{a=1} 1 1 1 1 1",
    );
    check(
        &memory,
        40_000,
        &[
            ("avg_over_time(v[1m])", "{} 4", OVER_TIME),
            ("min_over_time(v[1m])", "{} 1", OVER_TIME),
            ("max_over_time(v[1m])", "{} 8", OVER_TIME),
            ("sum_over_time(v[1m])", "{} 16", OVER_TIME),
            ("count_over_time(v[1m])", "{} 4", OVER_TIME),
            ("last_over_time(v[1m])", "v 3", OVER_TIME),
            ("present_over_time(v[1m])", "{} 1", OVER_TIME),
            // (0 + 16 + 9 + 1) / 4
            ("stdvar_over_time(v[1m])", "{} 6.5", OVER_TIME),
            (
                "stddev_over_time(v[1m])",
                "{} 2.5495097567963922",
                OVER_TIME,
            ),
            // Rank 0.5 x 3 = 1.5 between 2 and 3.
            ("quantile_over_time(0.5, q[1m])", "{} 2.5", "go quantile"),
            ("quantile_over_time(0, q[1m])", "{} 1", "go quantile"),
            ("quantile_over_time(1, q[1m])", "{} 4", "go quantile"),
            ("quantile_over_time(-1, q[1m])", "{} -Inf", "go quantile"),
            ("quantile_over_time(1.1, q[1m])", "{} Inf", "go quantile"),
            ("quantile_over_time(NaN, q[1m])", "{} NaN", "go quantile"),
            (
                "min_over_time(w[1m])",
                r#"{a="1"} 1"#,
                "go funcMinOverTime, NaN is passed over",
            ),
            (
                "max_over_time(w[1m])",
                r#"{a="1"} Inf"#,
                "go funcMaxOverTime, NaN is passed over",
            ),
            ("sum_over_time(w[1m])", r#"{a="1"} NaN"#, OVER_TIME),
            // (0, 40]: the point at zero is not in it.
            (
                "count_over_time(n[40s])",
                r#"{a="1"} 4"#,
                "doc migration to 3, Left open range selectors",
            ),
            (
                "count_over_time(n[40001ms])",
                r#"{a="1"} 5"#,
                "doc migration to 3, Left open range selectors",
            ),
            ("sum_over_time(v[20s])", "{} 4", "hand: 1 + 3"),
        ],
    );
}
