//! `reveille query` and `/api/v1/query`, as an operator uses them.

use crate::support::{Marker, Reveille, Target, command};
use std::process::Output;

pub(crate) fn query(reveille: &Reveille, args: &[&str]) -> Output {
    let admin = reveille.admin().to_string();
    command(&Marker::new())
        .args(["query", "--admin", &admin])
        .args(args)
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_value_no_data_and_a_mistake_have_exit_codes_of_their_own() {
    let reveille = Reveille::of(Target::hello()).start();
    let value = query(&reveille, &["clamp_max(vector(7), 3) + 2"]);
    assert_eq!(value.status.code(), Some(0), "{}", text(&value.stderr));
    assert_eq!(
        text(&value.stdout),
        "5\n# 0 series matched, no points, read as promql\n"
    );

    let nothing = query(&reveille, &["a.b{c=d}", "--operation-over-time", "rate"]);
    assert_eq!(nothing.status.code(), Some(3), "{}", text(&nothing.stderr));
    assert_eq!(
        text(&nothing.stdout),
        "# no data\n# 0 series matched, no points, read as simple\n"
    );

    let wrong = query(&reveille, &["sum(deriv(x[5m]))"]);
    assert_eq!(wrong.status.code(), Some(1));
    let said = text(&wrong.stderr);
    assert!(
        said.starts_with("reveille: column 5: the function deriv is not supported"),
        "{said}"
    );
    assert!(said.ends_with("\n  sum(deriv(x[5m]))\n      ^\n"), "{said}");
}

#[test]
fn nobody_at_the_address_is_said() {
    // The discard port: below the range that anything here listens on.
    let output = command(&Marker::new())
        .args(["query", "1", "--admin", "127.0.0.1:9"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("nobody listens on 127.0.0.1:9; is that the --admin-addr"),
        "{said}"
    );
}

#[test]
fn the_api_answers_in_the_shape_of_prometheus() {
    let reveille = Reveille::of(Target::hello()).start();
    let good = reveille.ask("/api/v1/query?query=vector(2)*3&time=10.5");
    assert_eq!(good.status, 200);
    assert_eq!(
        good.body,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[10.5,"6"]}]},"matchedSeries":0,"reading":"promql"}"#
    );
    let bad = reveille.ask("/api/v1/query?query=1%20%2B");
    assert_eq!(bad.status, 400);
    assert!(
        bad.body.contains(r#""errorType":"bad_data""#),
        "{}",
        bad.body
    );
    assert!(
        bad.body
            .contains(r#""position":{"offset":3,"line":1,"column":4}"#),
        "{}",
        bad.body
    );
}
