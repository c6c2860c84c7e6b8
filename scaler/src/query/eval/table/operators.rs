//! Arithmetic, comparison, sets, and how two vectors match.

use super::{Memory, check};

const ARITHMETIC: &str = "doc querying/operators, Arithmetic binary operators";
const COMPARISON: &str = "doc querying/operators, Comparison binary operators";
const MATCHING: &str = "doc querying/operators, Vector matching";
const SETS: &str = "doc querying/operators, Logical/set binary operators";
const PRECEDENCE: &str = "doc querying/operators, Binary operator precedence";

#[test]
fn numbers_are_reckoned_with() {
    check(
        &Memory::default(),
        1_500,
        &[
            ("1 + 2 * 3", "7", PRECEDENCE),
            ("(1 + 2) * 3", "9", PRECEDENCE),
            ("2 ^ 3 ^ 2", "512", PRECEDENCE),
            ("-2 ^ 2", "-4", PRECEDENCE),
            ("2 * 3 % 4", "2", PRECEDENCE),
            ("10 - 2 - 3", "5", PRECEDENCE),
            ("1 / 0", "Inf", ARITHMETIC),
            ("-1 / 0", "-Inf", ARITHMETIC),
            ("0 / 0", "NaN", ARITHMETIC),
            ("5 % 0", "NaN", "go math.Mod"),
            ("-5 % 3", "-2", "go math.Mod, the sign of the dividend"),
            ("5.5 % 2", "1.5", "go math.Mod"),
            ("2 ^ -1", "0.5", ARITHMETIC),
            ("1 == bool 1", "1", COMPARISON),
            ("1 > bool 2", "0", COMPARISON),
            ("NaN == bool NaN", "0", "hand: NaN equals nothing"),
            ("NaN != bool NaN", "1", "hand: NaN equals nothing"),
            ("1 + (2 <= bool 2)", "2", COMPARISON),
            ("0x1F", "31", "doc querying/basics, Float literals"),
            ("1e-3", "0.001", "doc querying/basics, Float literals"),
            (
                "5m",
                "300",
                "doc querying/basics, Float literals and time durations",
            ),
            ("-Inf", "-Inf", "doc querying/basics, Float literals"),
            ("time()", "1.5", "doc querying/functions, time"),
            ("--3", "3", "hand"),
        ],
    );
}

fn memory() -> Memory {
    Memory::load(
        1000,
        "a{p=0} 6
         a{p=1} 8
         b{p=0} 2
         b{p=1} 4
         b{p=2} 5
         errors{method=get,code=500} 24
         errors{method=get,code=404} 30
         errors{method=put,code=501} 3
         errors{method=post,code=500} 6
         errors{method=post,code=404} 21
         requests{method=get,path=x} 600
         requests{method=del,path=x} 34
         requests{method=post,path=y} 120",
    )
}

#[test]
fn a_vector_and_a_number() {
    check(
        &memory(),
        0,
        &[
            ("a * 2", r#"{p="0"} 12; {p="1"} 16"#, ARITHMETIC),
            ("2 - a", r#"{p="0"} -4; {p="1"} -6"#, ARITHMETIC),
            ("a / 0", r#"{p="0"} Inf; {p="1"} Inf"#, ARITHMETIC),
            (
                "-a",
                r#"{p="0"} -6; {p="1"} -8"#,
                "go eval, unary expressions drop the name",
            ),
            ("a > 6", r#"a{p="1"} 8"#, COMPARISON),
            ("a >= 6", r#"a{p="0"} 6; a{p="1"} 8"#, COMPARISON),
            ("6 < a", r#"a{p="1"} 8"#, COMPARISON),
            ("a != 6", r#"a{p="1"} 8"#, COMPARISON),
            ("a > 100", "", COMPARISON),
            ("a > bool 6", r#"{p="0"} 0; {p="1"} 1"#, COMPARISON),
            ("7 > bool a", r#"{p="0"} 1; {p="1"} 0"#, COMPARISON),
            (
                r#"-{__name__=~"a|b",p="0"}"#,
                "error: {p=\"0\"}",
                "go ContainsSameLabelset",
            ),
        ],
    );
}

#[test]
fn two_vectors_match_one_to_one() {
    check(
        &memory(),
        0,
        &[
            ("a + b", r#"{p="0"} 8; {p="1"} 12"#, MATCHING),
            ("b - a", r#"{p="0"} -4; {p="1"} -4"#, MATCHING),
            ("a ^ b", r#"{p="0"} 36; {p="1"} 4096"#, MATCHING),
            ("a > b", r#"a{p="0"} 6; a{p="1"} 8"#, COMPARISON),
            ("a < b", "", COMPARISON),
            ("a == bool b", r#"{p="0"} 0; {p="1"} 0"#, COMPARISON),
            ("a + nothing", "", MATCHING),
            // The example of the documentation.
            (
                r#"errors{code="500"} / ignoring(code, path) requests"#,
                r#"{method="get"} 0.04; {method="post"} 0.05"#,
                MATCHING,
            ),
            (
                r#"errors{code="500"} / on(method) requests"#,
                r#"{method="get"} 0.04; {method="post"} 0.05"#,
                MATCHING,
            ),
            // A filter keeps the name with `ignoring`, `on` keeps only its labels.
            (
                r#"requests > ignoring(code, path) errors{code="500"}"#,
                r#"requests{method="get"} 600; requests{method="post"} 120"#,
                "go resultMetric",
            ),
            (
                r#"requests > on(method) errors{code="500"}"#,
                r#"{method="get"} 600; {method="post"} 120"#,
                "go resultMetric",
            ),
            ("sum(a) / sum(b)", "{} 1.2727272727272727", "hand: 14 / 11"),
            ("a / on() sum(a)", "error: on the left side", MATCHING),
            ("sum(a) + on() b", "error: on the right side", MATCHING),
            (
                "errors / on(method) requests",
                "error: {method=\"get\"}",
                MATCHING,
            ),
            (
                "requests / on(method) errors",
                "error: on the right side",
                MATCHING,
            ),
        ],
    );
}

#[test]
fn two_vectors_match_in_groups() {
    check(
        &memory(),
        0,
        &[
            // The example of the documentation.
            (
                "errors / ignoring(code, path) group_left requests",
                r#"{code="500", method="get"} 0.04; {code="404", method="get"} 0.05;
                   {code="500", method="post"} 0.05; {code="404", method="post"} 0.175"#,
                MATCHING,
            ),
            (
                r#"errors{code="500"} * on(method) group_left(path) requests"#,
                r#"{code="500", method="get", path="x"} 14400; {code="500", method="post", path="y"} 720"#,
                MATCHING,
            ),
            (
                "requests / on(method) group_right errors{code=\"404\"}",
                r#"{code="404", method="get"} 20; {code="404", method="post"} 5.714285714285714"#,
                MATCHING,
            ),
            (
                "requests > on(method) group_right errors{code=\"404\"}",
                r#"errors{code="404", method="get"} 600; errors{code="404", method="post"} 120"#,
                "go VectorBinop, the value of the left side",
            ),
            (
                "a / on() group_left sum(a)",
                r#"{p="0"} 0.42857142857142855; {p="1"} 0.5714285714285714"#,
                MATCHING,
            ),
            (
                "sum(a) + on() group_left b",
                "error: on the right side",
                MATCHING,
            ),
        ],
    );
}

#[test]
fn sets_keep_whole_series() {
    check(
        &memory(),
        0,
        &[
            ("b and a", r#"b{p="0"} 2; b{p="1"} 4"#, SETS),
            ("b unless a", r#"b{p="2"} 5"#, SETS),
            ("a or b", r#"a{p="0"} 6; a{p="1"} 8; b{p="2"} 5"#, SETS),
            (
                "b and on() vector(1)",
                r#"b{p="0"} 2; b{p="1"} 4; b{p="2"} 5"#,
                SETS,
            ),
            ("b unless on() vector(1)", "", SETS),
            ("sum(nothing) or vector(0)", "{} 0", SETS),
            ("sum(a) or vector(0)", "{} 14", SETS),
            (
                r#"errors and on(method) requests{path="y"}"#,
                r#"errors{code="404", method="post"} 21; errors{code="500", method="post"} 6"#,
                SETS,
            ),
            ("a > 7 or a < 7", r#"a{p="0"} 6; a{p="1"} 8"#, PRECEDENCE),
        ],
    );
}
