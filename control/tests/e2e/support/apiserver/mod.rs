//! A double of the Kubernetes API server, over real HTTP: lists in pages,
//! watches with bookmarks, versions that grow old, patches, subresources; and
//! on command everything that goes wrong with the real one.
//!
//! `store.rs` holds the objects and their history, `serve.rs` the listener,
//! `tls.rs` its certificate, `answer.rs` the paths and verbs, `watching.rs` the
//! streams, `patch.rs` the kinds of patches, `cuts.rs` where answers break off.

mod answer;
mod cuts;
mod patch;
mod serve;
mod store;
mod tls;
mod watching;

pub(crate) use cuts::Cut;

use serde_json::{Value, json};
use serve::Server;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use store::{KINDS, Kind, Ordered, Shared};
use tokio::sync::watch;

/// A running API server with an empty cluster.
pub(crate) struct ApiServer {
    shared: Arc<Shared>,
    server: Server,
    /// Where certificates and tokens are, if it speaks TLS.
    secured: Option<PathBuf>,
}

/// All that it held at one moment.
pub(crate) struct Backup(store::State);

/// A request that it got.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: String,
    /// Who says to ask.
    pub(crate) agent: String,
}

impl ApiServer {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        Self {
            server: Server::start(shared.clone(), None),
            shared,
            secured: None,
        }
    }

    /// The same as a real one is met: over TLS, with `server.crt` and
    /// `server.key` of `folder`. Its kubeconfig names `ca.crt` and `token`
    /// there.
    pub(crate) fn start_secured(folder: &Path) -> Self {
        let shared = Arc::new(Shared::default());
        Self {
            server: Server::start(shared.clone(), Some(tls::acceptor(folder))),
            shared,
            secured: Some(folder.to_owned()),
        }
    }

    /// From now on only whoever shows this token is known.
    pub(crate) fn know_only(&self, token: &str) {
        self.shared
            .change(|state| state.token = Some(format!("Bearer {token}")));
        self.cut_watches();
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// A kubeconfig for it in `folder`.
    pub(crate) fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let addr = self.addr();
        let (cluster, user) = match &self.secured {
            None => (json!({"server": format!("http://{addr}")}), json!({})),
            Some(secured) => {
                let authority = secured.join("ca.crt");
                let server = format!("https://{addr}");
                (
                    json!({"server": server, "certificate-authority": authority}),
                    json!({"tokenFile": secured.join("token")}),
                )
            }
        };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "double",
            "clusters": [{"name": "double", "cluster": cluster}],
            "users": [{"name": "double", "user": user}],
            "contexts": [{"name": "double", "context": {"cluster": "double", "user": "double"}}],
        });
        let path = folder.join("kubeconfig");
        fs::write(&path, config.to_string()).expect("written");
        path
    }

    /// Creates an object or replaces it; what a server sets is set.
    pub(crate) fn put(&self, object: Value) {
        self.shared
            .change(|state| state.put(kind_of(&object), object));
    }

    /// Creates or replaces the objects of a YAML-like list in one step.
    pub(crate) fn put_all(&self, objects: impl IntoIterator<Item = Value>) {
        self.shared.change(|state| {
            for object in objects {
                state.put(kind_of(&object), object);
            }
        });
    }

    /// Deletes an object, which must be there.
    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let gone = self
            .shared
            .change(|state| state.delete(named(kind), namespace, name));
        assert!(gone.is_some(), "there is no {kind} {namespace}/{name}");
    }

    /// The object as it is.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.shared
            .look(|state| state.get(named(kind), namespace, name).cloned())
    }

    /// All objects of a kind.
    pub(crate) fn all(&self, kind: &str) -> Vec<Value> {
        self.shared
            .look(|state| state.list(named(kind), None, "").cloned().collect())
    }

    /// All objects of a kind as they were after each of their changes.
    pub(crate) fn history(&self, kind: &str) -> Vec<Value> {
        let plural = named(kind).plural;
        self.shared.look(|state| {
            let changes = state.history.iter();
            let of_kind = changes.filter(|change| change.plural == plural);
            of_kind.map(|change| change.object.clone()).collect()
        })
    }

    /// Goes up with each change of any object.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// From now on this verb of this kind is forbidden; or allowed again.
    pub(crate) fn permit(&self, verb: &str, kind: &str, is_permitted: bool) {
        let denied = (verb.to_owned(), named(kind).plural);
        self.shared.change(|state| {
            if is_permitted {
                state.denied.remove(&denied);
            } else {
                state.denied.insert(denied);
            }
        });
        self.cut_watches();
    }

    /// Takes a kind away, or brings it: its CustomResourceDefinition.
    pub(crate) fn define(&self, kind: &str, is_defined: bool) {
        let plural = named(kind).plural;
        self.shared.change(|state| {
            if is_defined {
                state.undefined.remove(plural);
            } else {
                state.undefined.insert(plural);
            }
        });
        self.cut_watches();
    }

    /// The next so many requests are answered with 429.
    pub(crate) fn throttle(&self, requests: usize, retry_after: u64) {
        self.shared
            .change(|state| state.throttled = (requests, retry_after));
    }

    /// Forgets the history: who goes on from an old version gets 410.
    pub(crate) fn forget_history(&self) {
        self.shared.change(store::State::forget_history);
    }

    /// Its store, to be restored.
    pub(crate) fn backup(&self) -> Backup {
        Backup(self.shared.look(Clone::clone))
    }

    /// Goes back to that, while it is away: versions of before come again. As a real
    /// one, it says nothing to who watches from a version that it has not reached yet.
    pub(crate) fn restore(&self, backup: &Backup) {
        self.shared.change(|state| state.restore(&backup.0));
    }

    /// The answer to the next request of this verb of a kind, in whose query
    /// that stands, breaks off.
    pub(crate) fn cut_next(&self, verb: &'static str, kind: &str, query: &'static str, cut: Cut) {
        let plural = named(kind).plural;
        let ordered = Ordered {
            verb,
            plural,
            query,
            cut,
        };
        self.shared.change(|state| state.cuts.push(ordered));
    }

    /// Cuts that are yet to come.
    pub(crate) fn cuts_left(&self) -> usize {
        self.shared.look(|state| state.cuts.len())
    }

    /// Sends watches of a kind a line that is no event of it.
    pub(crate) fn say(&self, kind: &str, line: &str) {
        self.shared.change(|state| state.say(named(kind), line));
    }

    /// Breaks all watches in the middle.
    pub(crate) fn cut_watches(&self) {
        self.shared.cut();
    }

    /// Is gone: connections break, new ones are refused.
    pub(crate) fn leave(&mut self) {
        self.server.leave();
    }

    /// Is there again, at the same address. As a real one that starts, it first refuses
    /// everybody, once for each kind: it has not read its roles yet.
    pub(crate) fn come_back(&mut self) {
        self.shared
            .change(|state| state.unread = KINDS.iter().map(|kind| kind.plural).collect());
        self.server.come_back();
    }

    /// Before the next request of this verb of a kind is answered, somebody else writes
    /// its object.
    pub(crate) fn meddle_next(&self, verb: &'static str, kind: &str) {
        let meddled = (verb, named(kind).plural);
        self.shared.change(|state| state.meddled.push(meddled));
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.look(|state| state.asked.clone())
    }
}

fn kind_of(object: &Value) -> &'static Kind {
    named(object["kind"].as_str().expect("an object has a kind"))
}

fn named(kind: &str) -> &'static Kind {
    let found = KINDS.iter().find(|known| known.name == kind);
    found.unwrap_or_else(|| panic!("the double knows no {kind}"))
}
