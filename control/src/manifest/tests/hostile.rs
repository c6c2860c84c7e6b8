//! Whatever the text, reading it neither panics nor takes long.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::cases::GOOD;
use crate::manifest::parse;

/// Generous: a debug build on a busy machine. A loop or an explosion takes for ever.
const LIMIT: Duration = Duration::from_secs(10);

fn read(text: &str) {
    let start = Instant::now();
    let manifests = parse("x.yaml", Path::new("/srv"), text);
    for problem in &manifests.problems {
        assert!(!problem.to_string().is_empty());
    }
    assert!(
        start.elapsed() < LIMIT,
        "{:?} for {text:?}",
        start.elapsed()
    );
}

/// Pieces that YAML and our decoders care about.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "---\n",
            "...\n",
            "- ",
            "? ",
            ": ",
            "\n",
            "  ",
            "    ",
            "\t",
            "[",
            "]",
            "{",
            "}",
            ",",
            "&a ",
            "*a",
            "<<: *a\n",
            "!!str ",
            "!x ",
            "%TAG ! x\n",
            "|\n",
            ">-\n",
            "\"",
            "'",
            "#",
            "\r\n",
            "\u{feff}",
            "~",
            "0x1",
            "1e9",
            "-1",
            "5x",
            "apiVersion: ",
            "kind: ",
            "spec:\n",
            "http.keda.sh/v1beta1\n",
            "InterceptorRoute\n",
            "metadata: {name: a}\n",
            "rules:\n",
            "hosts: ",
            "keda.sh/v1alpha1\n",
            "ScaledObject\n",
            "triggers:\n",
            "Process\n",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,8}",
        any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_yaml(pieces in prop::collection::vec(piece(), 0..60)) {
        read(&pieces.concat());
    }

    #[test]
    fn a_good_manifest_with_a_hole(at in 0..GOOD.len(), cut in 0..40usize, put in piece()) {
        let text: String = GOOD.chars().take(at).collect::<String>()
            + &put
            + &GOOD.chars().skip(at + cut).collect::<String>();
        read(&text);
    }

    #[test]
    fn durations(text in "[-+]?[0-9.]{0,25}[a-zµ]{0,3}[0-9]{0,3}[hms]?") {
        // Either way is fine; panics and lies about the size are not.
        if let Ok(duration) = crate::manifest::duration::parse(&text) {
            prop_assert!(duration.as_nanos() <= i64::MAX as u128);
        }
    }
}

#[test]
fn large_files_are_read_in_time() {
    let many_documents = "a: 1\n---\n".repeat(20_000);
    let broken_documents = "a: [\n---\n".repeat(20_000);
    let many_keys: String = (0..50_000).map(|i| format!("k{i}: 1\n")).collect();
    let many_unknown = format!("{}{many_keys}", GOOD.split("---\n").next().unwrap());
    let many_hosts: String = (0..20_000)
        .map(|i| format!("    - h{i}.example.com\n"))
        .collect();
    let wide = GOOD.replacen(
        "hosts: [good.localhost]",
        &format!("hosts:\n{many_hosts}"),
        1,
    );
    let one_line = "x".repeat(1 << 20);
    let open = "{a: ".repeat(50_000);
    for text in [
        many_documents,
        broken_documents,
        many_keys,
        many_unknown,
        wide,
        one_line,
        open,
    ] {
        read(&text);
    }
}
