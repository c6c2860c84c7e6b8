//! One resource as it is sent: encoded once, whoever gets it.

use super::Kind;
use bytes::Bytes;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;
use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// Tells states of a resource apart. Made of its content, so that replicas, and
/// a replica before and after a restart, give equal states equal versions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Version(u64);

impl Version {
    /// Of any content.
    pub(super) fn of(content: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Of a set that has `resource`, too. Sums, so that neither the order nor
    /// the size of the set matters.
    pub(super) fn with(self, resource: &Resource) -> Self {
        Self(self.0.wrapping_add(resource.share().0))
    }

    /// Of a set that has `resource` no more.
    pub(super) fn without(self, resource: &Resource) -> Self {
        Self(self.0.wrapping_sub(resource.share().0))
    }

    /// As it was written; `None`: we write no such version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A resource in its wire form.
#[derive(Debug)]
pub struct Resource {
    name: Arc<str>,
    version: Version,
    kind: Kind,
    body: Bytes,
}

impl Resource {
    /// Encodes `message`, which must be of that kind.
    pub(super) fn new(kind: Kind, name: &str, message: &impl Message) -> Arc<Self> {
        let body = Bytes::from(message.encode_to_vec());
        Arc::new(Self {
            name: name.into(),
            version: Version::of(&body),
            kind,
            body,
        })
    }

    /// Its name among those of its kind.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Of which kind it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// What it adds to the version of a set.
    fn share(&self) -> Version {
        Version::of(&(&*self.name, self.version))
    }

    /// Which state of it this is.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// As messages carry it.
    pub(super) fn any(&self) -> Any {
        Any {
            type_url: self.kind.type_url().to_owned(),
            value: self.body.to_vec(),
        }
    }
}
