//! The objects of one kind as they were last seen.
//!
//! Written by the cluster's loop from what watches send; a list replaces what
//! is known of its scope at once. It must never forget an object because it
//! could not be understood, or because nobody could be asked.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::Hash,
    sync::Arc,
};

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
}

/// Which namespaces a watch is about; `None`: all.
pub(super) type Scope = Option<Arc<str>>;

/// An object that was seen.
#[derive(Debug)]
pub(super) struct Seen<T> {
    pub(super) key: Key,
    /// Its resourceVersion.
    pub(super) version: String,
    /// `None`: it is there, and cannot be understood.
    pub(super) object: Option<T>,
}

/// What has changed.
#[derive(Debug)]
pub(super) enum Change<T> {
    /// In this scope there are these, and no others.
    All(Scope, Vec<Seen<T>>),
    /// It is new, or it changed.
    Put(Seen<T>),
    /// It was deleted.
    Gone(Key),
}

impl<T> Change<T> {
    /// The same change of what `what` makes of an object.
    pub(super) fn map<U>(self, what: impl Fn(T) -> U) -> Change<U> {
        let seen = |one: Seen<T>| Seen {
            key: one.key,
            version: one.version,
            object: one.object.map(&what),
        };
        match self {
            Self::All(scope, all) => Change::All(scope, all.into_iter().map(seen).collect()),
            Self::Put(one) => Change::Put(seen(one)),
            Self::Gone(key) => Change::Gone(key),
        }
    }
}

/// All objects of one kind.
#[derive(Debug)]
pub(super) struct Store<T> {
    objects: HashMap<Key, Held<T>>,
}

#[derive(Debug)]
struct Held<T> {
    version: String,
    object: T,
}

impl Key {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
        }
    }
}

impl<T> Store<T> {
    /// Takes a change in; gives what each object that changed by it was before.
    pub(super) fn apply(&mut self, change: Change<T>) -> Vec<(Key, Option<T>)> {
        match change {
            Change::Put(seen) => self.put(seen).into_iter().collect(),
            Change::Gone(key) => {
                let before = self.objects.remove(&key);
                before
                    .map(|held| (key, Some(held.object)))
                    .into_iter()
                    .collect()
            }
            Change::All(scope, all) => self.replace(scope.as_deref(), all),
        }
    }

    fn put(&mut self, seen: Seen<T>) -> Option<(Key, Option<T>)> {
        let Seen {
            key,
            version,
            object,
        } = seen;
        if self
            .objects
            .get(&key)
            .is_some_and(|known| known.version == version)
        {
            return None;
        }
        // What cannot be understood stays what it was.
        let object = object?;
        let held = Held { version, object };
        let before = self.objects.insert(key.clone(), held);
        Some((key, before.map(|held| held.object)))
    }

    fn replace(&mut self, scope: Option<&str>, all: Vec<Seen<T>>) -> Vec<(Key, Option<T>)> {
        let listed: HashSet<Key> = all.iter().map(|seen| seen.key.clone()).collect();
        let is_gone =
            |key: &Key| scope.is_none_or(|scope| &*key.namespace == scope) && !listed.contains(key);
        let gone: Vec<Key> = self
            .objects
            .keys()
            .filter(|key| is_gone(key))
            .cloned()
            .collect();
        let mut changed: Vec<(Key, Option<T>)> = gone
            .into_iter()
            .filter_map(|key| {
                let before = self.objects.remove(&key)?;
                Some((key, Some(before.object)))
            })
            .collect();
        changed.extend(all.into_iter().filter_map(|seen| self.put(seen)));
        changed
    }

    pub(super) fn get(&self, key: &Key) -> Option<&T> {
        self.objects.get(key).map(|held| &held.object)
    }

    /// The resourceVersion of what is known of it.
    pub(super) fn version(&self, key: &Key) -> Option<&str> {
        self.objects.get(key).map(|held| held.version.as_str())
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut T> {
        self.objects.get_mut(key).map(|held| &mut held.object)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &T)> {
        self.objects.iter().map(|(key, held)| (key, &held.object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(namespace: &str, name: &str, version: &str, object: Option<u32>) -> Seen<u32> {
        Seen {
            key: Key::new(namespace, name),
            version: version.to_owned(),
            object,
        }
    }

    fn names(mut changed: Vec<(Key, Option<u32>)>) -> Vec<(String, Option<u32>)> {
        changed.sort();
        let one = |(key, before): (Key, _)| (key.to_string(), before);
        changed.into_iter().map(one).collect()
    }

    #[test]
    fn a_list_replaces_its_scope_and_tells_of_changes_only() {
        let mut store = Store::default();
        let all = vec![
            seen("a", "stays", "1", Some(1)),
            seen("a", "changes", "1", Some(2)),
            seen("a", "goes", "1", Some(3)),
            seen("b", "elsewhere", "1", Some(4)),
        ];
        assert_eq!(store.apply(Change::All(None, all)).len(), 4);
        let all = vec![
            seen("a", "stays", "1", Some(1)),
            seen("a", "changes", "2", Some(20)),
            seen("a", "new", "3", Some(5)),
        ];
        let changed = store.apply(Change::All(Some("a".into()), all));
        let wanted = [("a/changes", Some(2)), ("a/goes", Some(3)), ("a/new", None)];
        let wanted: Vec<_> = wanted.map(|(n, b)| (n.to_owned(), b)).into();
        assert_eq!(names(changed), wanted);
        assert_eq!(store.get(&Key::new("b", "elsewhere")), Some(&4));
    }

    #[test]
    fn what_cannot_be_understood_stays_what_it_was() {
        let mut store = Store::default();
        store.apply(Change::Put(seen("a", "x", "1", Some(1))));
        assert!(
            store
                .apply(Change::Put(seen("a", "x", "2", None)))
                .is_empty()
        );
        let all = vec![seen("a", "x", "2", None)];
        assert!(store.apply(Change::All(None, all)).is_empty());
        assert_eq!(store.get(&Key::new("a", "x")), Some(&1));
        let gone = store.apply(Change::Gone(Key::new("a", "x")));
        assert_eq!(names(gone), [("a/x".to_owned(), Some(1))]);
        assert_eq!(store.iter().count(), 0);
    }
}
