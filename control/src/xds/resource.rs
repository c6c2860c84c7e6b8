//! One resource as it is sent: encoded once, whoever gets it.

use super::{Host, Kind};
use bytes::Bytes;
use envoy_types::pb::{envoy::config::route::v3::RouteConfiguration, google::protobuf::Any};
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
    /// Of a cluster: what its endpoints are called, if not like it.
    endpoints: Option<Arc<str>>,
    version: Version,
    kind: Kind,
    body: Bytes,
    /// What follows the body, by name.
    hosts: Vec<Arc<Host>>,
}

impl Resource {
    /// Encodes `message`, which must be of that kind.
    pub(super) fn new(kind: Kind, name: &str, message: &impl Message) -> Arc<Self> {
        Arc::new(Self::encoded(kind, name, None, message))
    }

    /// Likewise a cluster whose endpoints are called otherwise.
    pub(super) fn cluster(name: &str, endpoints: &str, message: &impl Message) -> Arc<Self> {
        let endpoints = (endpoints != name).then(|| endpoints.into());
        Arc::new(Self::encoded(Kind::Cluster, name, endpoints, message))
    }

    fn encoded(
        kind: Kind,
        name: &str,
        endpoints: Option<Arc<str>>,
        message: &impl Message,
    ) -> Self {
        let body = Bytes::from(message.encode_to_vec());
        Self {
            name: name.into(),
            endpoints,
            version: Version::of(&body),
            kind,
            body,
            hosts: Vec::new(),
        }
    }

    /// A route configuration: these hosts, and whatever else `rest` says.
    pub(super) fn of_hosts(rest: &RouteConfiguration, hosts: Vec<Arc<Host>>) -> Arc<Self> {
        Self::new(Kind::Routes, &rest.name, rest).with_hosts(hosts)
    }

    /// The same route configuration with exactly these hosts.
    pub(super) fn with_hosts(&self, mut hosts: Vec<Arc<Host>>) -> Arc<Self> {
        hosts.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        let versions: Vec<Version> = hosts.iter().map(|host| host.version()).collect();
        Arc::new(Self {
            name: self.name.clone(),
            endpoints: None,
            version: Version::of(&(&self.body, versions)),
            kind: self.kind,
            body: self.body.clone(),
            hosts,
        })
    }

    /// The hosts of a route configuration, by name.
    pub(super) fn hosts(&self) -> &[Arc<Host>] {
        &self.hosts
    }

    /// One of them.
    pub(super) fn host(&self, name: &str) -> Option<&Arc<Host>> {
        let found = self
            .hosts
            .binary_search_by(|host| (**host.name()).cmp(name));
        self.hosts.get(found.ok()?)
    }

    /// Its name among those of its kind.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What the endpoints of a cluster are called.
    pub(super) fn endpoints(&self) -> &Arc<str> {
        self.endpoints.as_ref().unwrap_or(&self.name)
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
        let fields = self.hosts.iter().map(|host| host.field());
        let length = fields.clone().map(<[u8]>::len).sum::<usize>();
        let mut value = Vec::with_capacity(self.body.len() + length);
        value.extend_from_slice(&self.body);
        fields.for_each(|field| value.extend_from_slice(field));
        Any {
            type_url: self.kind.type_url().to_owned(),
            value,
        }
    }
}
