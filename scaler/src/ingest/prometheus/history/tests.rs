//! From when counters count, and when series end.

use super::*;
use crate::{
    ingest::prometheus::{Format, PageLimits, page::Reader},
    query::Query,
    series::{METRIC_NAME, MatchOp, Matcher, Select, unix_ms},
};
use std::time::Duration;

/// The time of the first page: a minute ago, so that all of it is kept.
fn begin() -> i64 {
    unix_ms() - 60_000
}

struct Target {
    store: Arc<Store>,
    history: History,
    filter: Arc<Filter>,
    /// Of the page before.
    at_ms: i64,
    format: Format,
}

fn filter(store: &Store, allowed: &[&str]) -> Arc<Filter> {
    let allowed: Vec<_> = allowed.iter().map(|name| name.parse().unwrap()).collect();
    Arc::new(Filter::new(allowed.into(), store.needed_names()))
}

impl Target {
    /// Watched for ten seconds before its first page.
    fn new() -> Self {
        let store = Arc::new(Store::new(Limits::default()));
        let pairs = [("job", "j"), ("instance", "a:1")];
        let labels: Vec<_> = pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        Self {
            history: History::new(labels.into(), begin() - 10_000),
            filter: filter(&store, &["c*", "g*", "h*"]),
            store,
            at_ms: begin() - 2_000,
            format: Format::Text,
        }
    }

    /// The next page, two seconds after the one before.
    fn page(&mut self, text: &str) -> Outcome {
        self.at_ms += 2_000;
        let mut reader = Reader::new(self.format, PageLimits::default(), self.filter.clone());
        reader.feed(text.as_bytes()).unwrap();
        let page = reader.finish().unwrap();
        self.history
            .take(page, &self.filter, &self.store, self.at_ms)
    }

    fn fails(&mut self) {
        self.at_ms += 2_000;
        self.history.end(&self.store, self.at_ms);
    }

    /// A time before or after the last page, in seconds as a page tells it.
    fn seconds(&self, after_ms: i64) -> String {
        format!("{:.3}", (self.at_ms + after_ms) as f64 / 1000.0)
    }

    /// Values of a metric, `-` for an end, with how long before the last page.
    fn points(&self, name: &str) -> Vec<(i64, String)> {
        let matcher = Matcher::new(METRIC_NAME, MatchOp::Equal, name).unwrap();
        let mut all = Vec::new();
        let mut found = |_: &Labels, points: crate::series::Points<'_>| {
            all.extend(points.iter().map(|point| {
                let value = if point.is_stale() {
                    "-".to_owned()
                } else {
                    point.value.to_string()
                };
                (point.at_ms - self.at_ms, value)
            }));
        };
        self.store.select(&[matcher], 0, i64::MAX, &mut found);
        all.sort_unstable();
        all
    }

    fn assert_points(&self, name: &str, expected: &[(i64, &str)]) {
        let expected = expected.iter().map(|(at, value)| (*at, value.to_string()));
        assert_eq!(self.points(name), expected.collect::<Vec<_>>(), "{name}");
    }

    /// How much a counter grew within a minute, as a query says.
    fn growth(&self, name: &str) -> f64 {
        let query = Query::promql(&format!("sum(increase({name}[1m]))")).unwrap();
        let answer = query.answer(&*self.store, self.at_ms).unwrap();
        answer.number().unwrap().expect("a value")
    }
}

const C: &str = "# TYPE c counter\nc";

#[test]
fn the_first_page_is_where_growth_is_reckoned_from() {
    let mut target = Target::new();
    target.page(&format!("{C} 7\n"));
    target.page(&format!("{C} 9\n"));
    target.assert_points("c", &[(-2_000, "7"), (0, "9")]);
}

#[test]
fn a_row_that_appears_began_at_zero() {
    let mut target = Target::new();
    target.page("# TYPE g gauge\ng 1\n");
    target.page(&format!(
        "{C}{{a=\"1\"}} 1\n# TYPE g gauge\ng 1\ng{{a=\"1\"}} 5\n"
    ));
    target.assert_points("c", &[(-1_999, "0"), (0, "1")]);
    // A level that appears is no growth.
    target.assert_points("g", &[(-2_000, "1"), (0, "1"), (0, "5")]);
}

#[test]
fn what_was_not_looked_for_was_not_absent() {
    let mut target = Target::new();
    target.filter = filter(&target.store, &["g"]);
    target.page(&format!("{C} 7\n"));
    target.filter = filter(&target.store, &["c"]);
    target.page(&format!("{C} 8\n"));
    target.assert_points("c", &[(0, "8")]);
}

#[test]
fn a_bad_line_is_not_an_absent_one() {
    let mut target = Target::new();
    target.page(&format!("{C} x\n"));
    target.page(&format!("{C} 8\nc{{a=\"1\"}} 5\n"));
    target.assert_points("c", &[(0, "5"), (0, "8")]);
    // The name is the metric's: others may begin.
    target.page(&format!("{C} 8\nc{{a=\"1\"}} 5\n# TYPE c2 counter\nc2 3\n"));
    target.assert_points("c2", &[(-1_999, "0"), (0, "3")]);
}

#[test]
fn a_process_that_is_younger_than_the_source_is_watched_counts_from_zero() {
    let mut target = Target::new();
    let start = target.seconds(2_000 - 1_500);
    target.page(&format!("{C} 1\nprocess_start_time_seconds {start}\n"));
    target.assert_points("c", &[(-1_500, "0"), (0, "1")]);
}

#[test]
fn a_process_that_is_older_has_a_past() {
    let mut target = Target::new();
    let start = target.seconds(-30_000);
    target.page(&format!("{C} 100\nprocess_start_time_seconds {start}\n"));
    target.assert_points("c", &[(0, "100")]);
}

#[test]
fn a_process_that_was_started_again_counts_anew_even_to_the_same_value() {
    let mut target = Target::new();
    let start = target.seconds(-30_000);
    target.page(&format!("{C} 1\nprocess_start_time_seconds {start}\n"));
    let again = target.seconds(500);
    target.page(&format!("{C} 1\nprocess_start_time_seconds {again}\n"));
    target.page(&format!("{C} 2\nprocess_start_time_seconds {again}\n"));
    let expected = [(-4_000, "1"), (-3_500, "0"), (-2_000, "1"), (0, "2")];
    target.assert_points("c", &expected);
}

#[test]
fn a_clock_that_is_wrong_makes_no_difference_to_a_restart() {
    for skew in [-3_600_000, 3_600_000] {
        let mut target = Target::new();
        let start = target.seconds(skew);
        target.page(&format!("{C} 1\nprocess_start_time_seconds {start}\n"));
        // Corrected by the system meanwhile.
        let same = target.seconds(skew - 2_000 + 900);
        target.page(&format!("{C} 2\nprocess_start_time_seconds {same}\n"));
        let again = target.seconds(skew + 1_500);
        target.page(&format!("{C} 2\nprocess_start_time_seconds {again}\n"));
        let zeros = target.points("c").into_iter();
        let zeros: Vec<_> = zeros
            .filter(|(at, value)| value == "0" && *at > -2_000)
            .collect();
        assert_eq!(zeros.len(), 1, "{skew}: {zeros:?}");
        assert!(zeros[0].0 < 0, "{zeros:?}");
    }
}

#[test]
fn a_restart_behind_an_outage_counts_from_zero() {
    let mut target = Target::new();
    let start = target.seconds(-30_000);
    target.page(&format!("{C} 1\nprocess_start_time_seconds {start}\n"));
    let again = target.seconds(1_000);
    target.fails();
    target.page(&format!("{C} 1\nprocess_start_time_seconds {again}\n"));
    let expected = [(-4_000, "1"), (-2_000, "-"), (-1_999, "0"), (0, "1")];
    target.assert_points("c", &expected);
}

#[test]
fn an_outage_alone_is_no_growth() {
    let mut target = Target::new();
    target.page(&format!("{C} 5\n"));
    target.fails();
    target.fails();
    target.page(&format!("{C} 6\n"));
    target.assert_points("c", &[(-6_000, "5"), (-4_000, "-"), (0, "6")]);
}

#[test]
fn a_row_that_appears_behind_an_outage_began_at_zero() {
    let mut target = Target::new();
    target.page("");
    target.fails();
    target.page(&format!("{C} 1\n"));
    target.assert_points("c", &[(-3_999, "0"), (0, "1")]);
}

#[test]
fn a_counter_that_falls_is_left_to_the_query() {
    let mut target = Target::new();
    target.page(&format!("{C} 9\n"));
    target.page(&format!("{C} 1\n"));
    target.assert_points("c", &[(-2_000, "9"), (0, "1")]);
}

#[test]
fn a_row_that_vanishes_ends_and_begins_at_zero_when_it_is_back() {
    let mut target = Target::new();
    target.page(&format!("{C} 1\n"));
    target.page("");
    target.page(&format!("{C} 1\n"));
    let expected = [(-4_000, "1"), (-2_000, "-"), (-1_999, "0"), (0, "1")];
    target.assert_points("c", &expected);
    assert!(target.growth("c") >= 1.0);
}

#[test]
fn what_nobody_asks_for_any_more_does_not_end() {
    let mut target = Target::new();
    target.page(&format!("{C} 1\n"));
    target.filter = filter(&target.store, &[]);
    target.page(&format!("{C} 2\n"));
    target.assert_points("c", &[(-2_000, "1")]);
}

#[test]
fn openmetrics_tells_when_a_series_began() {
    let mut target = Target::new();
    target.format = Format::OpenMetrics;
    let created = target.seconds(1_000);
    let old = target.seconds(-600_000);
    target.page(&format!(
        "# TYPE c counter\nc_total{{a=\"1\",b=\"2\"}} 3\nc_created{{b=\"2\",a=\"1\"}} {created}\n\
         c_total{{a=\"2\",b=\"2\"}} 50\nc_created{{b=\"2\",a=\"2\"}} {old}\n\
         # TYPE h histogram\nh_bucket{{le=\"1.0\"}} 2\nh_bucket{{le=\"+Inf\"}} 2\nh_count 2\n\
         h_sum 0.5\nh_created {created}\n# EOF\n"
    ));
    target.assert_points("c_total", &[(-1_000, "0"), (0, "3"), (0, "50")]);
    target.assert_points("h_count", &[(-1_000, "0"), (0, "2")]);
    let buckets = [(-1_000, "0"), (-1_000, "0"), (0, "2"), (0, "2")];
    target.assert_points("h_bucket", &buckets);
    // The same again changes nothing.
    target.page(&format!(
        "# TYPE c counter\nc_total{{a=\"1\",b=\"2\"}} 4\nc_created{{b=\"2\",a=\"1\"}} {created}\n# EOF\n"
    ));
    let expected = [
        (-3_000, "0"),
        (-2_000, "3"),
        (-2_000, "50"),
        (0, "-"),
        (0, "4"),
    ];
    target.assert_points("c_total", &expected);
}

#[test]
fn a_target_that_is_gone_ends_its_series() {
    let mut target = Target::new();
    target.page(&format!("{C} 1\n# TYPE g gauge\ng 2\n"));
    target.fails();
    target.assert_points("c", &[(-2_000, "1"), (0, "-")]);
    target.assert_points("g", &[(-2_000, "2"), (0, "-")]);
    // Once is enough.
    target.fails();
    assert_eq!(target.points("c").len(), 2);
}

#[test]
fn times_of_their_own_are_kept_and_not_ended() {
    let mut target = Target::new();
    let at_ms = target.at_ms + 1_500;
    target.page(&format!("# TYPE g gauge\ng 1 {at_ms}\n"));
    let outcome = target.page(&format!("# TYPE g gauge\ng 1 {at_ms}\n"));
    assert_eq!((outcome.accepted(), outcome.rejected()), (1, 0));
    target.fails();
    target.assert_points("g", &[(-4_500, "1")]);
}

#[test]
fn labels_of_the_target_win_and_the_pages_are_exported() {
    let mut target = Target::new();
    target.page(
        "g{instance=\"x\",job=\"\",exported_job=\"y\",a_b=\"1\"} 1\n\
         g{instance=\"x\",exported_instance=\"z\"} 2\ng{\"a.b\"=\"2\"} 3\n",
    );
    let mut all = Vec::new();
    let matcher = Matcher::new(METRIC_NAME, MatchOp::Equal, "g").unwrap();
    let mut found = |labels: &Labels, _: crate::series::Points<'_>| all.push(labels.to_string());
    target.store.select(&[matcher], 0, i64::MAX, &mut found);
    all.sort();
    let expected = [
        r#"g{a_b="1", exported_instance="x", exported_job="y", instance="a:1", job="j"}"#,
        r#"g{a_b="2", instance="a:1", job="j"}"#,
        r#"g{exported_exported_instance="x", exported_instance="z", instance="a:1", job="j"}"#,
    ];
    assert_eq!(all, expected);
}

#[test]
fn of_a_counter_that_is_there_twice_the_larger_is_right() {
    let mut target = Target::new();
    let outcome = target.page(&format!("{C} 3\nc 7\nc 5\n# TYPE g gauge\ng 1\ng 2\n"));
    target.assert_points("c", &[(0, "7")]);
    target.assert_points("g", &[(0, "1")]);
    assert_eq!(
        outcome.dropped().collect::<Vec<_>>(),
        [(DropReason::Duplicate, 1)]
    );
}

#[test]
fn a_series_that_is_written_in_another_way_is_the_same() {
    let mut target = Target::new();
    target.page(&format!("{C}{{a=\"1\",b=\"2\"}} 3\n"));
    target.page(&format!("{C}{{b=\"2\",a=\"1\"}} 4\n"));
    target.page("# TYPE c counter\n{\"c\",a=\"1\",b=\"2\"} 5\n");
    target.assert_points("c", &[(-4_000, "3"), (-2_000, "4"), (0, "5")]);
    // Twice on one page: the first one counts.
    let outcome = target.page(&format!(
        "{C}{{a=\"1\",b=\"2\"}} 6\nc{{b=\"2\",a=\"1\"}} 7\n"
    ));
    assert_eq!((outcome.accepted(), outcome.rejected()), (1, 1));
}

#[test]
fn labels_beyond_the_limits_are_refused_by_reason() {
    let mut target = Target::new();
    let long = "n".repeat(300);
    let many: String = (0..70).map(|i| format!("l{i}=\"x\",")).collect();
    let outcome = target.page(&format!(
        "g{{a=\"1\",a=\"2\"}} 1\ng{{{many}}} 1\ng{long} 1\ng{{{long}=\"x\"}} 1\n\
         g{{a=\"{}\"}} 1\ng 1\n",
        "v".repeat(2_000)
    ));
    let expected = [
        (DropReason::NameTooLong, 2),
        (DropReason::ValueTooLong, 1),
        (DropReason::TooManyLabels, 1),
        (DropReason::DuplicateLabel, 1),
    ];
    assert_eq!(outcome.dropped().collect::<Vec<_>>(), expected);
    target.assert_points("g", &[(0, "1")]);
}

#[test]
fn a_series_that_made_room_comes_back_without_growth() {
    let mut target = Target::new();
    target.store = Arc::new(Store::new(Limits {
        series: 2,
        ..Limits::default()
    }));
    target.page(&format!("{C}{{a=\"1\"}} 5\nc{{a=\"2\"}} 6\n"));
    let mut writer = target.store.write(target.at_ms + 1);
    let other = Labels::new([(METRIC_NAME, "other")]).unwrap();
    writer.intern(other).unwrap();
    drop(writer);
    target.page(&format!("{C}{{a=\"1\"}} 6\nc{{a=\"2\"}} 7\n"));
    let values = target.points("c");
    assert!(values.iter().all(|(_, value)| value != "0"), "{values:?}");
    assert_eq!(values.iter().filter(|(at, _)| *at == 0).count(), 2);
}

#[test]
fn a_query_that_is_registered_makes_its_metric_wanted() {
    let mut target = Target::new();
    let name = Matcher::new(METRIC_NAME, MatchOp::Equal, "dapr_http_x").unwrap();
    let _needed = target.store.register(&[crate::series::Selector {
        matchers: vec![name],
        back: Duration::from_secs(60),
    }]);
    target.filter = filter(&target.store, &[]);
    target.page("# TYPE dapr_http_x counter\ndapr_http_x 1\ndapr_http_y 1\n");
    target.assert_points("http_x", &[(0, "1")]);
    target.assert_points("http_y", &[]);
}
