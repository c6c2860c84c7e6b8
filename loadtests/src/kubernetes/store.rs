//! The state of the cluster's objects, and the history of their changes.
//!
//! Objects are kept as the text that is sent, so that a list costs the server
//! no more than copying them.

use super::world::{World, route_name};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::watch;

/// Kinds of objects that are there, by their plurals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Routes,
    ScaledObjects,
    Services,
    Slices,
    /// Of every other kind there is nothing.
    Others,
}

/// What the server and the measurement share.
pub(crate) struct Store {
    pub(crate) world: World,
    state: Mutex<State>,
    /// Routes by namespace and name.
    routes: HashMap<(String, String), usize>,
    version: watch::Sender<u64>,
}

struct State {
    version: u64,
    routes: Vec<Bytes>,
    scaled_objects: Vec<Bytes>,
    services: Vec<Bytes>,
    slices: Vec<Bytes>,
    /// Whether the status of each route was written.
    has_status: Vec<bool>,
    /// Whether the last Pod of each Service is ready.
    last_pods: Vec<bool>,
    lease: Option<Bytes>,
    history: Vec<(u64, Kind, Bytes)>,
}

impl Store {
    pub(crate) fn new(world: World) -> Self {
        let named = |route: usize| ((world.namespace_of(route), route_name(route)), route);
        let of_services = |text: &dyn Fn(usize) -> String| {
            (0..world.services)
                .map(|service| Bytes::from(text(service)))
                .collect()
        };
        let routes = (0..world.routes).map(|route| world.route(route, 1, None).into());
        Self {
            world,
            state: Mutex::new(State {
                version: 1,
                routes: routes.collect(),
                scaled_objects: of_services(&|service| world.scaled_object(service, 1)),
                services: of_services(&|service| world.service(service, 1)),
                slices: of_services(&|service| world.slice(service, 1, true)),
                has_status: vec![false; world.routes],
                last_pods: vec![true; world.services],
                lease: None,
                history: Vec::new(),
            }),
            routes: (0..world.routes).map(named).collect(),
            version: watch::Sender::new(1),
        }
    }

    /// Routes whose status was written.
    pub(crate) fn statuses(&self) -> usize {
        let state = self.state.lock();
        state.has_status.iter().filter(|has| **has).count()
    }

    /// Whether the last Pod of each Service is ready.
    pub(crate) fn last_pods(&self) -> Vec<bool> {
        self.state.lock().last_pods.clone()
    }

    /// The last Pod of a Service gets ready, or is not any more.
    pub(crate) fn change_slice(&self, update: usize) {
        let service = update % self.world.services;
        let mut state = self.state.lock();
        let version = state.version + 1;
        let Some(is_ready) = state.last_pods.get_mut(service) else {
            return;
        };
        *is_ready = !*is_ready;
        let object = Bytes::from(self.world.slice(service, version, *is_ready));
        if let Some(slice) = state.slices.get_mut(service) {
            slice.clone_from(&object);
        }
        state.note(version, Kind::Slices, &object);
        drop(state);
        self.version.send_replace(version);
    }

    /// Writes a status; gives the route as it is then. `None`: there is none.
    pub(crate) fn write_status(&self, namespace: &str, name: &str, status: &str) -> Option<Bytes> {
        let key = (namespace.to_owned(), name.to_owned());
        let index = *self.routes.get(&key)?;
        let mut state = self.state.lock();
        let version = state.version + 1;
        let object = Bytes::from(self.world.route(index, version, Some(status)));
        state.routes.get_mut(index)?.clone_from(&object);
        *state.has_status.get_mut(index)? = true;
        state.note(version, Kind::Routes, &object);
        drop(state);
        self.version.send_replace(version);
        Some(object)
    }

    pub(crate) fn lease(&self) -> Option<Bytes> {
        self.state.lock().lease.clone()
    }

    pub(crate) fn set_lease(&self, lease: Bytes) {
        self.state.lock().lease = Some(lease);
    }

    /// Objects of a kind from that one on, at most `limit`, and the version of
    /// the list; true if there are more.
    pub(crate) fn list(&self, kind: Kind, from: usize, limit: usize) -> (Vec<Bytes>, u64, bool) {
        let state = self.state.lock();
        let all = match kind {
            Kind::Routes => &state.routes[..],
            Kind::ScaledObjects => &state.scaled_objects,
            Kind::Services => &state.services,
            Kind::Slices => &state.slices,
            Kind::Others => &[],
        };
        let end = all.len().min(from.saturating_add(limit));
        let items = all.get(from..end).unwrap_or_default().to_vec();
        (items, state.version, end < all.len())
    }

    /// The lines of a watch after a version, and the version that they reach.
    pub(crate) fn since(&self, kind: Kind, version: u64) -> (Vec<Bytes>, u64) {
        let state = self.state.lock();
        let from = state
            .history
            .partition_point(|(known, ..)| *known <= version);
        let lines = state.history.iter().skip(from);
        let lines = lines
            .filter(|(_, of, _)| *of == kind)
            .map(|(.., line)| line.clone());
        (lines.collect(), state.version)
    }

    /// Tells when there is something new.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

impl State {
    fn note(&mut self, version: u64, kind: Kind, object: &[u8]) {
        let line = [&b"{\"type\":\"MODIFIED\",\"object\":"[..], object, b"}\n"].concat();
        self.version = version;
        self.history.push((version, kind, line.into()));
    }
}
