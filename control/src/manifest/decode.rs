//! Cursors for decoding a tree: a [`Field`] knows its node, its line and its path, and notes every
//! problem in the object's [`Report`].
//!
//! Used by every typed object of `manifest`. A getter that finds the wrong thing notes it and gives
//! `None`; the decoder goes on with the other fields and gives up only at the end. It must never
//! note nothing and give `None`, or an object would vanish without a word.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::duration;
use super::hint;
use super::node::{Entry, Node, Value};
use super::path;
use super::report::{Report, Scope};

/// A value inside an object.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    node: &'a Node,
    line: usize,
    path: String,
    report: &'a Report,
}

/// The fields of a map, each asked for by name; what nobody asked for is unknown.
#[derive(Debug)]
pub struct Fields<'a> {
    owner: Field<'a>,
    entries: &'a [Entry],
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Field<'a> {
    /// The whole object.
    pub fn root(node: &'a Node, report: &'a Report) -> Self {
        Self {
            node,
            line: node.line,
            path: String::new(),
            report,
        }
    }

    /// Line of the field's key, or of the item in a list; 0 when unknown.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What the object is decoded for.
    pub fn scope(&self) -> Scope {
        self.report.scope()
    }

    /// What relative paths in the object are meant from; `None`: there are no files.
    pub fn base_dir(&self) -> Option<&'a Path> {
        self.report.base_dir()
    }

    /// Notes an error at this field.
    pub fn error(&self, message: impl Into<String>) {
        self.report.error(self.line, &self.path, message);
    }

    /// Notes a warning at this field.
    pub fn warning(&self, message: impl Into<String>) {
        self.report.warning(self.line, &self.path, message);
    }

    /// Warns, in local mode, that this field is understood but has no effect there.
    pub fn not_served_locally(&self, why: &str) {
        if self.scope() == Scope::Local {
            self.warning(format!("is not served in local mode: {why}"));
        }
    }

    /// The field's text, or nothing and no problem if it is no string.
    pub fn as_str(&self) -> Option<&'a str> {
        self.node.as_str()
    }

    /// What the field is, for messages: `a list`, `the number 5`.
    pub fn describe(&self) -> String {
        self.node.describe()
    }

    /// The number, or nothing and no problem if it is no whole number.
    pub fn as_int(&self) -> Option<i64> {
        match self.node.value {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The field `name`, or nothing and no problem if this is no map that has it.
    pub fn entry(&self, name: &str) -> Option<Field<'a>> {
        let entry = self.node.entry(name)?;
        (entry.value.value != Value::Null).then(|| self.child(entry))
    }

    /// The entries of a map; none, and no problem, if this is no map.
    pub fn as_entries(&self) -> Vec<(&'a str, Field<'a>)> {
        match &self.node.value {
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.as_str(), self.child(entry)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The field's text.
    pub fn string(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                let found = self.node.describe();
                self.error(format!("must be a string, not {found}: put it in quotes"));
                None
            }
            _ => self.wrong_type("a string"),
        }
    }

    /// The field's text, which must have at least one character.
    pub fn non_empty(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.is_empty() {
            self.error("must not be empty");
            return None;
        }
        Some(text)
    }

    /// The field's text as something more; the error of `parse` is the problem's message.
    pub fn parse<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match parse(self.string()?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(error.to_string());
                None
            }
        }
    }

    /// One of the named values.
    pub fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string()?;
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.error(format!("must be {}, not {text:?}", names.join(" or ")));
        }
        found.map(|(_, value)| value.clone())
    }

    /// `true` or `false`.
    pub fn bool(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => self.wrong_type("true or false"),
        }
    }

    /// A whole number within `range`, which must fit into `T`.
    pub fn int<T: TryFrom<i64>>(&self, range: RangeInclusive<i64>) -> Option<T> {
        let Value::Int(value) = self.node.value else {
            return self.wrong_type("a whole number");
        };
        let fitting = range
            .contains(&value)
            .then(|| T::try_from(value).ok())
            .flatten();
        if fitting.is_none() {
            let (min, max) = (range.start(), range.end());
            self.error(format!("must be between {min} and {max}, not {value}"));
        }
        fitting
    }

    /// A whole number of seconds within `range`.
    pub fn seconds(&self, range: RangeInclusive<i64>) -> Option<Duration> {
        self.int(range).map(Duration::from_secs)
    }

    /// A number, also written as text with Kubernetes' suffix for thousandths: `0.1`, `"100m"`.
    pub fn quantity(&self) -> Option<f64> {
        let value = match &self.node.value {
            Value::Int(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::String(text) => match text.strip_suffix('m') {
                Some(thousandths) => thousandths.parse().ok().map(|value: f64| value / 1000.0),
                None => text.parse().ok(),
            },
            _ => return self.wrong_type("a number"),
        };
        let value = value.filter(|value| value.is_finite());
        if value.is_none() {
            self.error("must be a number such as 0.1 or \"100m\"");
        }
        value
    }

    /// A Go duration such as `1m30s`.
    pub fn duration(&self) -> Option<Duration> {
        match &self.node.value {
            Value::String(_) => self.parse(duration::parse),
            _ => self.wrong_type("a duration such as 300ms, 30s or 1h30m"),
        }
    }

    /// The items of a list.
    pub fn list(&self) -> Option<Vec<Field<'a>>> {
        let Value::List(items) = &self.node.value else {
            return self.wrong_type("a list");
        };
        let field = |(index, node): (usize, &'a Node)| Field {
            node,
            line: node.line,
            path: path::item(&self.path, index),
            report: self.report,
        };
        Some(items.iter().enumerate().map(field).collect())
    }

    /// Every item of a list, decoded. Items that cannot be decoded have noted why.
    pub fn list_of<T>(&self, item: impl FnMut(Field<'a>) -> Option<T>) -> Vec<T> {
        self.list()
            .map(|items| items.into_iter().filter_map(item).collect())
            .unwrap_or_default()
    }

    /// Whether this is a list without items.
    pub fn list_is_empty(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    /// The fields of a map with known names.
    pub fn map(&self) -> Option<Fields<'a>> {
        let Value::Map(entries) = &self.node.value else {
            return self.wrong_type("a map");
        };
        Some(Fields {
            owner: self.clone(),
            entries,
            known: RefCell::new(Vec::new()),
        })
    }

    /// The entries of a map with free names.
    pub fn entries(&self) -> Option<Vec<(&'a str, Field<'a>)>> {
        match &self.node.value {
            Value::Map(_) => Some(self.as_entries()),
            _ => self.wrong_type("a map"),
        }
    }

    /// A map of strings.
    pub fn strings(&self) -> BTreeMap<String, String> {
        let entries = self.entries().unwrap_or_default().into_iter();
        entries
            .filter_map(|(key, field)| Some((key.to_owned(), field.string()?.to_owned())))
            .collect()
    }

    fn child(&self, entry: &'a Entry) -> Field<'a> {
        Field {
            node: &entry.value,
            line: entry.line,
            path: path::child(&self.path, &entry.key),
            report: self.report,
        }
    }

    fn wrong_type<T>(&self, wanted: &str) -> Option<T> {
        self.error(format!("must be {wanted}, not {}", self.node.describe()));
        None
    }
}

impl<'a> Fields<'a> {
    /// The field `name`; absent and `null` are the same.
    pub fn optional(&self, name: &'static str) -> Option<Field<'a>> {
        self.known.borrow_mut().push(name);
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        (entry.value.value != Value::Null).then(|| self.owner.child(entry))
    }

    /// The field `name`, whose absence is an error.
    pub fn required(&self, name: &'static str) -> Option<Field<'a>> {
        let field = self.optional(name);
        if field.is_none() {
            let path = path::child(&self.owner.path, name);
            self.owner
                .report
                .error(self.owner.line, &path, "is required");
        }
        field
    }

    /// Warns that the field `name` is missing.
    pub fn absent(&self, name: &str, message: &str) {
        let path = path::child(&self.owner.path, name);
        self.owner.report.warning(self.owner.line, &path, message);
    }

    /// Field names that may be there and mean nothing here.
    pub fn ignore(&self, names: &[&'static str]) {
        self.known.borrow_mut().extend_from_slice(names);
    }

    /// Warns of every field of a map that has none.
    pub fn finish_without_fields(&self, why: &str) {
        for entry in self.entries {
            self.owner
                .child(entry)
                .warning(format!("unknown field; {why}"));
        }
    }

    /// Warns of every field that was not asked for. Call it last.
    pub fn finish(&self) {
        let known = self.known.borrow();
        for entry in self.entries {
            if !known.contains(&entry.key.as_str()) {
                let hint = hint::of(&entry.key, &known);
                self.owner
                    .child(entry)
                    .warning(format!("unknown field; {hint}"));
            }
        }
    }
}
