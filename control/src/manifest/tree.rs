//! Builds trees from the events of a YAML parser.
//!
//! Driven by `yaml`. It must never let a text grow beyond its own size by more than a fixed budget
//! (aliases of aliases), nor nest deeper than the recursive code behind it can bear.

use std::collections::HashMap;

use granit_parser::{Event, ScalarStyle, Tag};

use super::node::{Entry, Node, Value};
use super::path;
use super::scalar;
use super::yaml::{Document, Flaw};

/// Kubernetes objects nest about ten deep; everything that walks a tree may recurse this far.
const MAX_DEPTH: usize = 64;

/// Memory that copies made for anchors and aliases may take, in bytes, over one document.
const COPY_BUDGET: usize = 4 << 20;

/// Flaws that are told of one document; the first ones are enough to see what is wrong.
const MAX_FLAWS: usize = 100;

/// What a node weighs beside its text, in bytes.
const NODE_WEIGHT: usize = 100;

/// Builds one tree at a time from parser events.
#[derive(Default)]
pub(super) struct Builder {
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Built>,
    copied: usize,
    flaws: Vec<Flaw>,
}

/// A finished node with its size.
#[derive(Clone)]
struct Built {
    node: Node,
    weight: usize,
    height: usize,
}

/// A list or map that is not finished yet.
struct Frame {
    anchor: usize,
    line: usize,
    weight: usize,
    height: usize,
    open: Open,
}

enum Open {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<String, usize>,
        key: Option<Key>,
        merged: Vec<Node>,
    },
}

enum Key {
    Text {
        text: String,
        line: usize,
    },
    Merge,
    /// Already reported; its value is dropped.
    Unusable,
}

impl Builder {
    /// Takes the next event; gives the document when it is complete. An error makes the rest of
    /// the document meaningless.
    pub(super) fn event(
        &mut self,
        event: Event<'_>,
        line: usize,
    ) -> Result<Option<Document>, Flaw> {
        match event {
            Event::DocumentStart(..) => *self = Self::default(),
            Event::DocumentEnd => {
                let done = std::mem::take(self);
                let root = done.root.unwrap_or(Node {
                    value: Value::Null,
                    line,
                });
                return Ok(Some(Document {
                    root,
                    flaws: done.flaws,
                }));
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), line)?;
            }
            Event::Alias(anchor) => self.alias(anchor, line)?,
            Event::SequenceStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", line);
                self.open(anchor, line, Open::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", line);
                let open = Open::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.open(anchor, line, open)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            _ => {}
        }
        Ok(None)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        line: usize,
    ) -> Result<(), Flaw> {
        let plain = style == ScalarStyle::Plain;
        let value = scalar::resolve(text, plain, tag).unwrap_or_else(|message| {
            self.flaw(line, &message);
            Value::String(text.to_owned())
        });
        let weight = NODE_WEIGHT + text.len();
        let built = Built {
            node: Node { value, line },
            weight,
            height: 0,
        };
        self.remember(anchor, &built)?;
        if let Some(key) = self.key_slot() {
            if plain && tag.is_none() && scalar::plain(text) == Value::Null {
                *key = Some(Key::Unusable);
                self.flaw(line, "a key must not be empty or null");
            } else if plain && text == "<<" {
                *key = Some(Key::Merge);
            } else {
                // The text, not the value: `8080:` and `true:` are keys like any other.
                *key = Some(Key::Text {
                    text: text.to_owned(),
                    line,
                });
            }
            return Ok(());
        }
        self.deliver(built);
        Ok(())
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, expected: &str, line: usize) {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(expected)
        {
            self.flaw(
                line,
                &format!("the tag {} is not supported", tag.original()),
            );
        }
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Result<(), Flaw> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(self.fatal(line, "an alias must not stand inside the node it repeats"));
        };
        if self.stack.len() + target.height > MAX_DEPTH {
            return Err(too_deep(line));
        }
        self.copied = budget(self.copied, target.weight, line)?;
        let mut built = target.clone();
        // What the alias repeats keeps the lines of its definition; the alias itself is here.
        built.node.line = line;
        let Some(key) = self.key_slot() else {
            self.deliver(built);
            return Ok(());
        };
        if let Value::String(text) = built.node.value {
            *key = Some(Key::Text { text, line });
        } else {
            *key = Some(Key::Unusable);
            self.flaw(line, "a key must be a string");
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, line: usize, open: Open) -> Result<(), Flaw> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(line));
        }
        self.stack.push(Frame {
            anchor,
            line,
            weight: NODE_WEIGHT,
            height: 1,
            open,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Flaw> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let value = match frame.open {
            Open::List(items) => Value::List(items),
            Open::Map {
                mut entries,
                mut seen,
                merged,
                ..
            } => {
                for node in merged {
                    self.merge(node, &mut entries, &mut seen);
                }
                Value::Map(entries)
            }
        };
        let node = Node {
            value,
            line: frame.line,
        };
        let built = Built {
            node,
            weight: frame.weight,
            height: frame.height,
        };
        self.remember(frame.anchor, &built)?;
        if let Some(key) = self.key_slot() {
            *key = Some(Key::Unusable);
            let message = format!("a key must be a string, not {}", built.node.describe());
            self.flaw(frame.line, &message);
            return Ok(());
        }
        self.deliver(built);
        Ok(())
    }

    /// `<<: *defaults`: the keys that the map does not have itself.
    fn merge(&mut self, node: Node, into: &mut Vec<Entry>, seen: &mut HashMap<String, usize>) {
        match node.value {
            Value::Map(entries) => {
                for entry in entries {
                    if !seen.contains_key(&entry.key) {
                        seen.insert(entry.key.clone(), entry.line);
                        into.push(entry);
                    }
                }
            }
            Value::List(maps) => maps.into_iter().for_each(|map| self.merge(map, into, seen)),
            _ => self.flaw(node.line, "<< must be followed by a map or a list of maps"),
        }
    }

    /// The place for the next node, if a map waits for a key.
    fn key_slot(&mut self) -> Option<&mut Option<Key>> {
        match &mut self.stack.last_mut()?.open {
            Open::Map {
                key: key @ None, ..
            } => Some(key),
            _ => None,
        }
    }

    /// Puts a finished node where it belongs.
    fn deliver(&mut self, built: Built) {
        let Built {
            mut node,
            weight,
            height,
        } = built;
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        frame.weight += weight;
        frame.height = frame.height.max(height + 1);
        match &mut frame.open {
            Open::List(items) => items.push(node),
            Open::Map {
                entries,
                seen,
                key,
                merged,
            } => match key.take() {
                Some(Key::Merge) => merged.push(node),
                Some(Key::Text { text, line }) => {
                    frame.weight += text.len();
                    if let Some(first) = seen.get(&text).copied() {
                        let path = path::child(&self.path(), &text);
                        let message = format!("duplicate key: the first is on line {first}");
                        self.keep(Flaw {
                            line,
                            path,
                            message,
                        });
                        return;
                    }
                    if node.value == Value::Null {
                        // Nothing at all has the place of whatever comes next.
                        node.line = line;
                    }
                    seen.insert(text.clone(), line);
                    entries.push(Entry {
                        key: text,
                        line,
                        value: node,
                    });
                }
                Some(Key::Unusable) | None => {}
            },
        }
    }

    fn remember(&mut self, anchor: usize, built: &Built) -> Result<(), Flaw> {
        if anchor > 0 {
            self.copied = budget(self.copied, built.weight, built.node.line)?;
            self.anchors.insert(anchor, built.clone());
        }
        Ok(())
    }

    fn fatal(&self, line: usize, message: &str) -> Flaw {
        Flaw {
            line,
            path: self.path(),
            message: message.to_owned(),
        }
    }

    fn flaw(&mut self, line: usize, message: &str) {
        let flaw = self.fatal(line, message);
        self.keep(flaw);
    }

    fn keep(&mut self, flaw: Flaw) {
        if self.flaws.len() < MAX_FLAWS {
            self.flaws.push(flaw);
        }
    }

    /// The path of the node that comes next.
    fn path(&self) -> String {
        self.stack
            .iter()
            .fold(String::new(), |at, frame| match &frame.open {
                Open::List(items) => path::item(&at, items.len()),
                Open::Map {
                    key: Some(Key::Text { text, .. }),
                    ..
                } => path::child(&at, text),
                Open::Map { .. } => at,
            })
    }
}

/// Counts a copy before it is made: what all copies weigh with it.
fn budget(copied: usize, weight: usize, line: usize) -> Result<usize, Flaw> {
    let copied = copied.saturating_add(weight);
    if copied > COPY_BUDGET {
        let message = "anchors and aliases expand to more than 4 MiB".to_owned();
        return Err(Flaw {
            line,
            path: String::new(),
            message,
        });
    }
    Ok(copied)
}

fn too_deep(line: usize) -> Flaw {
    let message = format!("lists and maps are nested more than {MAX_DEPTH} deep");
    Flaw {
        line,
        path: String::new(),
        message,
    }
}
