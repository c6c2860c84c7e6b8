//! YAML as people write it: anchors, merge keys, line ends, empty documents, several documents.

use crate::manifest::node::{Node, Value};
use crate::manifest::yaml::documents;

/// The only document of `text`, which must be sound.
fn one(text: &str) -> Node {
    let mut documents = documents(text);
    assert_eq!(documents.len(), 1, "{documents:?}");
    let document = documents.remove(0).unwrap();
    assert!(document.flaws.is_empty(), "{:?}", document.flaws);
    document.root
}

fn flaws(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for document in documents(text) {
        match document {
            Ok(document) => found.extend(document.flaws),
            Err(flaw) => found.push(flaw),
        }
    }
    found
        .iter()
        .map(|flaw| format!("{}:{}: {}", flaw.line, flaw.path, flaw.message))
        .collect()
}

#[test]
fn lines_of_keys_and_values() {
    let root = one("# top\na:\n  b: 1\n  c:\n  - x\n  - y: 2\n    z: |\n      text\nd:\n");
    assert_eq!(root.line, 2);
    for (path, line) in [
        ("a", 2),
        ("a.b", 3),
        ("a.c", 4),
        ("a.c[0]", 5),
        ("a.c[1].y", 6),
        ("a.c[1].z", 7),
        ("d", 9),
    ] {
        assert_eq!(root.line_of(path), line, "{path}");
    }
    // What is missing has the line of what it is missing in.
    assert_eq!(root.line_of("a.x.y"), 2);
    assert_eq!(root.line_of("a.c[7]"), 4);
}

#[test]
fn quoting_decides_the_type() {
    let root = one("[1, '1', \"true\", true, yes, 0x10, !!str 5, ! 6, 1e2, null, ~, '']");
    let Value::List(items) = root.value else {
        panic!("a list")
    };
    let text = |s: &str| Value::String(s.into());
    let values: Vec<Value> = items.into_iter().map(|item| item.value).collect();
    let expected = [
        Value::Int(1),
        text("1"),
        text("true"),
        Value::Bool(true),
        text("yes"),
        Value::Int(16),
        text("5"),
        text("6"),
        Value::Float(100.0),
        Value::Null,
        Value::Null,
        text(""),
    ];
    assert_eq!(values, expected);
}

#[test]
fn keys_are_text() {
    let root = one("8080: a\ntrue: b\n1.10: c\n'': d\n&k key: v\n");
    for (key, value) in [
        ("8080", "a"),
        ("true", "b"),
        ("1.10", "c"),
        ("", "d"),
        ("key", "v"),
    ] {
        assert_eq!(
            root.entry(key).unwrap().value.as_str(),
            Some(value),
            "{key}"
        );
    }
}

#[test]
fn aliases_and_merge_keys() {
    let root = one(
        "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\nuse:\n  <<: [*b, *o]\n  x: 9\nagain: *b\n",
    );
    let int = |path: &[&str]| root.at(path).unwrap().value.clone();
    assert_eq!(int(&["use", "x"]), Value::Int(9));
    assert_eq!(int(&["use", "y"]), Value::Int(2));
    assert_eq!(int(&["use", "z"]), Value::Int(4));
    assert_eq!(int(&["again", "y"]), Value::Int(2));
    assert_eq!(root.line_of("again"), 6);
    assert_eq!(
        flaws("a: {<<: 5}"),
        ["1:a: << must be followed by a map or a list of maps"]
    );
}

#[test]
fn windows_line_ends_and_byte_order_marks() {
    let root = one("\u{feff}a: 1\r\nb:\r\n  c: x\r\n");
    assert_eq!(root.at(&["b", "c"]).unwrap().as_str(), Some("x"));
    assert_eq!(root.line_of("b.c"), 3);
}

#[test]
fn empty_documents_are_null() {
    let roots: Vec<_> = documents("---\n---\n# nothing\n---\na: 1\n...\n---\n")
        .into_iter()
        .map(|d| d.unwrap().root)
        .collect();
    assert_eq!(roots.len(), 4);
    assert_eq!(
        roots
            .iter()
            .filter(|root| root.value == Value::Null)
            .count(),
        3
    );
    assert!(documents("").is_empty());
    assert!(documents("# only a comment\n").is_empty());
}

#[test]
fn a_broken_document_costs_only_itself() {
    for broken in [
        "a: [1, 2",
        "a: \"open",
        "a: 'open",
        "a:\n\tb: 1",
        "a: b: c",
        "}",
        "*nobody",
        "a: *nobody",
        "%YAML",
    ] {
        let text = format!("first: 1\n---\n{broken}\n---\nlast: 1\n");
        let found: Vec<_> = documents(&text);
        let sound: Vec<_> = found.iter().filter_map(|d| d.as_ref().ok()).collect();
        assert!(
            sound.first().unwrap().root.entry("first").is_some(),
            "{broken}"
        );
        assert!(
            sound.last().unwrap().root.entry("last").is_some(),
            "{broken}"
        );
        assert_eq!(found.len() - sound.len(), 1, "{broken}: {found:?}");
    }
}

#[test]
fn what_is_wrong_says_where() {
    assert_eq!(
        flaws("a:\n  b: 1\n  b: 2\n"),
        ["3:a.b: duplicate key: the first is on line 2"]
    );
    assert_eq!(
        flaws("a:\n- ? [x]\n  : 1\n"),
        ["2:a[0]: a key must be a string, not a list"]
    );
    assert_eq!(
        flaws("x: &a 5\ny: {*a : 1}\n"),
        ["2:y: a key must be a string"]
    );
    assert_eq!(flaws("{: 1}"), ["1:: a key must not be empty or null"]);
    assert_eq!(
        flaws("a: !secret x"),
        ["1:a: the tag !secret is not supported"]
    );
    assert_eq!(
        flaws("a: !!int x"),
        ["1:a: \"x\" is not of its tag's type !!int"]
    );
    assert_eq!(
        flaws("a: !!set {x: 1}"),
        ["1:a: the tag !!set is not supported"]
    );
    assert_eq!(
        flaws("a: &a [*a]"),
        ["1:a[0]: an alias must not stand inside the node it repeats"]
    );
}

#[test]
fn nesting_and_expansion_are_bounded() {
    let too_deep = ["lists and maps are nested more than 64 deep"];
    let message = |text: &str| -> Vec<String> {
        documents(text)
            .into_iter()
            .filter_map(Result::err)
            .map(|flaw| flaw.message)
            .collect()
    };
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    assert!(message(&nested(64)).is_empty());
    assert_eq!(message(&nested(65)), too_deep);
    assert_eq!(message(&"- ".repeat(5000)), too_deep);
    // Ten levels of ten aliases each would be ten thousand million nodes.
    let mut bomb = String::from("l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let below = format!("*l{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("l{level}: &l{level} [{below}]\n"));
    }
    assert_eq!(
        message(&bomb),
        ["anchors and aliases expand to more than 4 MiB"]
    );
    // Depth hidden in aliases counts as well.
    let mut deep = String::from("l0: &l0 [x]\n");
    for level in 1..80 {
        deep.push_str(&format!("l{level}: &l{level} [*l{}]\n", level - 1));
    }
    assert_eq!(message(&deep), too_deep);
}
