//! Who sends on a stream: the node and the resource that were told last.
//!
//! OpenCensus tells them once; every later message is from them. They become a
//! `Resource` of OTLP, by the names that the OpenTelemetry collector gave them.

use crate::ingest::{
    encode,
    wire::{Fields, WireError},
};
use std::collections::BTreeMap;

/// Most bytes of a node, and of a resource: a stream keeps them all its life.
pub(super) const MOST: usize = 8 << 10;

/// The languages of `LibraryInfo`, as OpenTelemetry calls them.
const LANGUAGES: [&str; 11] = [
    "", "cpp", "dotnet", "erlang", "go", "java", "nodejs", "php", "python", "ruby", "webjs",
];

type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// Node and resource of a stream.
#[derive(Debug, Default)]
pub(super) struct Identity {
    node: Option<Attributes>,
    resource: Attributes,
}

impl Identity {
    /// Whether somebody has said who sends.
    pub(super) fn is_known(&self) -> bool {
        self.node.is_some()
    }

    /// From now on it is the node in the bytes of a `Node`.
    pub(super) fn set_node(&mut self, node: &[u8]) -> Result<(), WireError> {
        self.node = Some(node_attributes(node)?);
        Ok(())
    }

    /// From now on it is the resource in the bytes of a `Resource`.
    pub(super) fn set_resource(&mut self, resource: &[u8]) -> Result<(), WireError> {
        self.resource = resource_attributes(resource)?;
        Ok(())
    }

    /// The bytes of OTLP's `Resource` for it.
    pub(super) fn encode(&self) -> Vec<u8> {
        encoded(self.node.as_ref(), &self.resource)
    }

    /// The same with another resource, for one metric.
    pub(super) fn encode_with(&self, resource: &[u8]) -> Result<Vec<u8>, WireError> {
        let resource = resource_attributes(resource)?;
        Ok(encoded(self.node.as_ref(), &resource))
    }
}

/// What a resource says goes before what the node says by the same name. In the
/// order of names, so that one sender has one form.
fn encoded(node: Option<&Attributes>, resource: &Attributes) -> Vec<u8> {
    let mut all: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for (key, value) in node.into_iter().flatten().chain(resource) {
        all.insert(key, value);
    }
    let mut out = Vec::new();
    for (key, value) in all {
        attribute(&mut out, 1, key, value);
    }
    out
}

/// A `KeyValue` of text.
pub(super) fn attribute(out: &mut Vec<u8>, field: u8, key: &[u8], value: &[u8]) {
    encode::message(out, field, |out| {
        encode::bytes(out, 1, key);
        encode::message(out, 2, |out| encode::bytes(out, 1, value));
    });
}

fn node_attributes(node: &[u8]) -> Result<Attributes, WireError> {
    let mut all = Attributes::new();
    for field in Fields::of("Node", node) {
        let field = field?;
        match field.number {
            1 => identifier(field.bytes()?, &mut all)?,
            2 => library(field.bytes()?, &mut all)?,
            3 => {
                for field in Fields::of("ServiceInfo", field.bytes()?) {
                    let field = field?;
                    if field.number == 1 {
                        put(&mut all, "service.name", field.bytes()?);
                    }
                }
            }
            4 => entry("Node.AttributesEntry", field.bytes()?, &mut all)?,
            _ => {}
        }
    }
    Ok(all)
}

fn identifier(bytes: &[u8], to: &mut Attributes) -> Result<(), WireError> {
    for field in Fields::of("ProcessIdentifier", bytes) {
        let field = field?;
        match field.number {
            1 => put(to, "host.name", field.bytes()?),
            2 => put(to, "process.pid", field.varint()?.to_string().as_bytes()),
            3 => {
                let start = super::point::nanos(field.bytes()?)?;
                put(to, "opencensus.starttime", start.to_string().as_bytes());
            }
            _ => {}
        }
    }
    Ok(())
}

fn library(bytes: &[u8], to: &mut Attributes) -> Result<(), WireError> {
    for field in Fields::of("LibraryInfo", bytes) {
        let field = field?;
        match field.number {
            1 => {
                let index = usize::try_from(field.varint()?).unwrap_or(usize::MAX);
                let language = LANGUAGES.get(index).copied().unwrap_or_default();
                put(to, "telemetry.sdk.language", language.as_bytes());
            }
            2 => put(to, "opencensus.exporterversion", field.bytes()?),
            3 => put(to, "telemetry.sdk.version", field.bytes()?),
            _ => {}
        }
    }
    Ok(())
}

fn resource_attributes(resource: &[u8]) -> Result<Attributes, WireError> {
    let mut all = Attributes::new();
    for field in Fields::of("Resource", resource) {
        let field = field?;
        match field.number {
            1 => put(&mut all, "opencensus.resourcetype", field.bytes()?),
            2 => entry("Resource.LabelsEntry", field.bytes()?, &mut all)?,
            _ => {}
        }
    }
    Ok(all)
}

/// An entry of a map from text to text.
fn entry(message: &'static str, bytes: &[u8], to: &mut Attributes) -> Result<(), WireError> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(message, bytes) {
        let field = field?;
        match field.number {
            1 => key = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    if !key.is_empty() && !value.is_empty() {
        to.insert(key.to_vec(), value.to_vec());
    }
    Ok(())
}

/// What is empty was not said.
fn put(to: &mut Attributes, key: &str, value: &[u8]) {
    if !value.is_empty() {
        to.insert(key.as_bytes().to_vec(), value.to_vec());
    }
}
