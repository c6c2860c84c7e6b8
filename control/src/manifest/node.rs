//! The neutral tree a manifest is decoded from, whether it came as YAML text or as a JSON object
//! of a Kubernetes API.
//!
//! Built by `yaml` and by [`Node::from_json`]; read through the cursors of `decode`. It must never
//! know what an object means.

use super::scalar;

/// A value and the line it begins on.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Line in the text, from 1; 0 for what was not read from text.
    pub line: usize,
}

/// The value of a [`Node`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text, quoted or not.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text. Keys are unique.
    Map(Vec<Entry>),
}

/// One key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key. A key such as `8080` is its text.
    pub key: String,
    /// The line of the key.
    pub line: usize,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The tree of a JSON value. All lines are 0.
    ///
    /// Recurses as deep as the value; `serde_json` refuses texts deeper than 128.
    pub fn from_json(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(value),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Value::Int(value),
                (None, Some(value)) => Value::Float(value),
                (None, None) => scalar::plain(&number.to_string()),
            },
            Json::String(value) => Value::String(value),
            Json::Array(items) => Value::List(items.into_iter().map(Self::from_json).collect()),
            Json::Object(fields) => Value::Map(
                fields
                    .into_iter()
                    .map(|(key, value)| Entry {
                        key,
                        line: 0,
                        value: Self::from_json(value),
                    })
                    .collect(),
            ),
        };
        Self { value, line: 0 }
    }

    /// The entry of `key`, if this is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text of this node, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The node at a path of map keys, such as `["spec", "target"]`.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter()
            .try_fold(self, |node, key| node.entry(key).map(|entry| &entry.value))
    }

    /// The line of the field at a path such as `spec.triggers[0].metadata.name`, or of the
    /// innermost part of that path that exists. Only for keys without dots and brackets.
    pub fn line_of(&self, path: &str) -> usize {
        let mut node = self;
        let mut line = self.line;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match (step.strip_suffix(']'), &node.value) {
                (Some(index), Value::List(items)) => index
                    .parse()
                    .ok()
                    .and_then(|index: usize| items.get(index))
                    .map(|item| (item, item.line)),
                (None, _) => node.entry(step).map(|entry| (&entry.value, entry.line)),
                _ => None,
            };
            match next {
                Some((next, at)) => (node, line) = (next, at),
                None => break,
            }
        }
        line
    }

    /// What this is, for messages: `a list`, `the number 5`.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::String(_) => "a string".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_the_same_tree_without_lines() {
        let node = Node::from_json(serde_json::json!({
            "s": "x", "n": null, "b": true, "i": -3, "f": 1.5, "big": u64::MAX, "l": [1, {"k": 2}]
        }));
        assert_eq!(node.at(&["s"]).unwrap().as_str(), Some("x"));
        assert_eq!(node.at(&["i"]).unwrap().value, Value::Int(-3));
        assert_eq!(node.at(&["f"]).unwrap().value, Value::Float(1.5));
        assert_eq!(
            node.at(&["big"]).unwrap().value,
            Value::Float(18_446_744_073_709_551_615.0)
        );
        let Value::List(items) = &node.at(&["l"]).unwrap().value else {
            panic!("a list")
        };
        assert_eq!(items[1].at(&["k"]).unwrap().value, Value::Int(2));
        assert_eq!(node.line_of("l[1].k"), 0);
    }
}
