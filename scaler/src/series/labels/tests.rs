use super::*;
use proptest::{collection::btree_map, prelude::*};
use std::collections::BTreeMap;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().copied()).expect("no name twice")
}

#[test]
fn labels_are_sorted_and_empty_values_are_absent() {
    let labels = labels(&[("b", "2"), (METRIC_NAME, "up"), ("c", ""), ("a", "1")]);
    let all: Vec<_> = labels.iter().collect();
    assert_eq!(all, [(METRIC_NAME, "up"), ("a", "1"), ("b", "2")]);
    assert_eq!(labels.get("a"), Some("1"));
    assert_eq!(labels.get("c"), None);
    assert_eq!(labels.metric_name(), Some("up"));
}

#[test]
fn a_name_given_twice_is_refused_even_with_equal_values() {
    let twice = Labels::new([("a", "1"), ("b", "2"), ("a", "1")]);
    assert_eq!(twice, Err(DuplicateLabel("a".to_owned())));
    // An empty value is no label, so it is not a second one either.
    assert!(Labels::new([("a", "1"), ("a", "")]).is_ok());
}

#[test]
fn the_text_is_as_prometheus_writes_it() {
    assert_eq!(Labels::empty().to_string(), "{}");
    assert_eq!(labels(&[(METRIC_NAME, "up")]).to_string(), "up");
    assert_eq!(labels(&[("a", "1")]).to_string(), r#"{a="1"}"#);
    assert_eq!(
        labels(&[("b", "say \"x\"\n"), ("a", "1"), (METRIC_NAME, "up")]).to_string(),
        r#"up{a="1", b="say \"x\"\n"}"#
    );
}

#[test]
fn by_and_without_keep_what_prometheus_keeps() {
    let names = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    let all = labels(&[(METRIC_NAME, "up"), ("a", "1"), ("b", "2")]);
    assert_eq!(all.only(&names(&["a", "z"])), labels(&[("a", "1")]));
    // `by (__name__)` is allowed and keeps the name.
    let name = names(&[METRIC_NAME]);
    assert_eq!(all.only(&name), labels(&[(METRIC_NAME, "up")]));
    assert_eq!(all.without(&names(&["a"])), labels(&[("b", "2")]));
    assert_eq!(all.without_name(), labels(&[("a", "1"), ("b", "2")]));
    assert!(all.only(&[]).is_empty());
}

proptest! {
    /// Whatever the lengths and the characters, what goes in comes out.
    #[test]
    fn packing_loses_nothing(map in btree_map(".{0,70}", ".{1,70}|x{4000,5000}", 0..8)) {
        let map: BTreeMap<String, String> = map;
        let pairs = map.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = Labels::new(pairs.clone().rev()).expect("keys of a map");
        prop_assert!(labels.iter().eq(pairs));
        for (name, value) in &map {
            prop_assert_eq!(labels.get(name), Some(value.as_str()));
        }
    }
}
