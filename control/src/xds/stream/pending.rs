//! Names of one kind of which something may have to be said.
//!
//! Kept by a subscription, so that one that changed among ten thousand is found
//! without a look at the others.

use crate::xds::{resource::Version, snapshot::Resources};
use std::{collections::BTreeSet, sync::Arc};

/// The names, as of a state of the resources.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// What changed after it is not among the names yet; `None`: all are.
    seen: Option<Version>,
    names: BTreeSet<Arc<str>>,
}

impl Pending {
    /// This one may have to be sent.
    pub(super) fn add(&mut self, name: Arc<str>) {
        self.names.insert(name);
    }

    /// Each of them may.
    pub(super) fn add_all(&mut self) {
        self.seen = None;
    }

    /// Was it added, and not taken since?
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// All that are pending in the state `present`, by name; none is any more.
    /// `has` is what the client has, which may be there no more.
    pub(super) fn take<'a>(
        &mut self,
        present: &'a Resources,
        has: impl Iterator<Item = &'a Arc<str>>,
    ) -> BTreeSet<Arc<str>> {
        let mut names = std::mem::take(&mut self.names);
        match self.seen.and_then(|seen| present.changed_since(seen)) {
            Some(changed) => names.extend(changed.cloned()),
            None => {
                names.extend(present.iter().map(|one| one.name().clone()));
                names.extend(has.cloned());
            }
        }
        self.seen = Some(present.version());
        names
    }

    /// Is any of what is there and pending so?
    pub(super) fn any(&self, present: &Resources, is_so: impl Fn(&Arc<str>) -> bool) -> bool {
        if self.names.iter().any(&is_so) {
            return true;
        }
        match self.seen.and_then(|seen| present.changed_since(seen)) {
            Some(mut changed) => changed.any(is_so),
            None => present.iter().any(|one| is_so(one.name())),
        }
    }
}
