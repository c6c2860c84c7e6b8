//! The neutral tree a manifest is decoded from, whether it came as YAML text or as a JSON object
//! of a Kubernetes API.
//!
//! Built by `yaml` and by [`Node::from_json`]; read through the cursors of `decode`. It must never
//! know what an object means.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

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
    /// The tree of an API object's JSON text, without what nothing here is made of: its status
    /// and what the server notes of who wrote which field. All lines are 0.
    ///
    /// # Errors
    /// It is no JSON, or nests deeper than 128.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let node = Place::Root.deserialize(&mut reader)?;
        reader.end()?;
        Ok(node)
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

/// Where in an object a value stands, as far as some of it is left out.
#[derive(Clone, Copy)]
enum Place {
    Root,
    Metadata,
    Annotations,
    Elsewhere,
}

impl Place {
    /// The place of the value of `key`; `None`: it is left out.
    fn below(self, key: &str) -> Option<Self> {
        match (self, key) {
            (Self::Root, "status")
            | (Self::Metadata, "managedFields")
            | (Self::Annotations, "kubectl.kubernetes.io/last-applied-configuration") => None,
            (Self::Root, "metadata") => Some(Self::Metadata),
            (Self::Metadata, "annotations") => Some(Self::Annotations),
            _ => Some(Self::Elsewhere),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Node, D::Error> {
        let value = reader.deserialize_any(self)?;
        Ok(Node { value, line: 0 })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Place::Elsewhere.deserialize(reader)
    }
}

impl<'de> Visitor<'de> for Place {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        // Of a key that comes twice, the last one counts.
        let mut fields: BTreeMap<String, Node> = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            match self.below(&key) {
                Some(place) => {
                    let value = map.next_value_seed(place)?;
                    fields.insert(key, value);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let entry = |(key, value)| Entry {
            key,
            line: 0,
            value,
        };
        Ok(Value::Map(fields.into_iter().map(entry).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(json: &serde_json::Value) -> Node {
        Node::from_json(&json.to_string()).expect("JSON")
    }

    #[test]
    fn what_others_write_into_an_object_is_left_out() {
        let object = node(&serde_json::json!({
            "metadata": {
                "name": "a", "managedFields": [{"status": 1}],
                "annotations": {"mine": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "status": {"conditions": []},
            "spec": {"status": 1, "managedFields": 2, "annotations": {"status": 3}},
        }));
        assert_eq!(object.entry("status"), None);
        let metadata = object.at(&["metadata"]).expect("kept");
        assert!(metadata.entry("managedFields").is_none() && metadata.entry("name").is_some());
        let annotations = node(&serde_json::json!({"mine": "x"}));
        assert_eq!(metadata.at(&["annotations"]), Some(&annotations));
        for path in [
            &["spec", "status"][..],
            &["spec", "managedFields"],
            &["spec", "annotations", "status"],
        ] {
            assert!(object.at(path).is_some(), "{path:?}");
        }
    }

    #[test]
    fn what_is_no_object_at_all_is_refused() {
        for json in ["", "{", "{} {}", &"[".repeat(200)] {
            assert!(Node::from_json(json).is_err(), "{json}");
        }
        let twice = Node::from_json(r#"{"a": 1, "a": 2}"#).expect("JSON");
        assert_eq!(
            twice.entry("a").map(|entry| &entry.value.value),
            Some(&Value::Int(2))
        );
    }

    #[test]
    fn json_becomes_the_same_tree_without_lines() {
        let node = node(&serde_json::json!({
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
