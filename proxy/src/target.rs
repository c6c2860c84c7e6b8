//! Target: one scalable backend, as one InterceptorRoute names it.

use std::{fmt, sync::Arc};

/// The name of a target: the namespace and name of its InterceptorRoute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl TargetId {
    /// The target of the InterceptorRoute `namespace/name`.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The namespace of the InterceptorRoute.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of the InterceptorRoute.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
