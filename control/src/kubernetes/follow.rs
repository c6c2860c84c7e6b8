//! Starting to follow a cluster.
//!
//! Called by the composition root, which owns the tasks.

use super::{
    ConnectSettings,
    api::Api,
    backends::Backends,
    cluster::Cluster,
    connect::connect,
    contact::Contact,
    news::News,
    reconcile::Reconciler,
    route::RouteObject,
    scaled::ScaledObject,
    service::ServiceObject,
    slice::Slice,
    store::Scope,
    wakes::Wakes,
    watch::{Watch, Watched},
};
use crate::{
    crew::{Crash, Crew},
    manifest::ConfigMapSpec,
};
use proxy::{DemandSink, Proxy};
use scaler::Ledger;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Changes that wait for the loop: more make the watches wait.
const QUEUE: usize = 1024;

/// What can be set about a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Which API server.
    pub connect: ConnectSettings,
    /// Only what is in these namespaces; none: all.
    pub namespaces: Vec<String>,
}

/// Who waits for what, told by the proxy.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Wakes>);

impl Waiting {
    /// What the proxy tells of waits: `ledger`, and whoever follows the cluster.
    #[must_use]
    pub fn sink(&self, ledger: Arc<Ledger>) -> Arc<dyn DemandSink> {
        Arc::new(self.0.sink(ledger))
    }
}

/// A cluster that is followed. Dropping it ends that where it is.
#[derive(Debug)]
pub struct Followed {
    cluster: Arc<Cluster>,
    crew: Crew,
}

impl Followed {
    /// Follows the cluster of `settings` from now on. `waiting` must be what the
    /// proxy's sink was made of. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// No configuration of an API server, or one that cannot be used. One that
    /// does not answer is no error: it may come later.
    pub async fn start(
        settings: &ClusterSettings,
        proxy: Arc<Proxy>,
        ledger: Arc<Ledger>,
        waiting: &Waiting,
    ) -> anyhow::Result<Self> {
        let (api, server) = connect(&settings.connect).await?;
        tracing::info!(server, namespaces = ?settings.namespaces, "following the cluster");
        let mut scopes: Vec<Scope> = settings
            .namespaces
            .iter()
            .map(|namespace| Some(namespace.as_str().into()))
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            scopes.push(None);
        }
        let kinds = [
            <Box<RouteObject>>::KIND,
            ScaledObject::KIND,
            ServiceObject::KIND,
            Slice::KIND,
            <Arc<ConfigMapSpec>>::KIND,
        ];
        let all = kinds
            .iter()
            .flat_map(|kind| scopes.iter().map(|scope| (*kind, scope.clone())));
        let contact = Arc::new(Contact::new(all));
        let cluster = Arc::new(Cluster::new(contact.clone()));
        let crew = Crew::new();
        let (sender, news) = mpsc::channel(QUEUE);
        let watches = Watches {
            api,
            contact,
            news: sender,
            crew: &crew,
        };
        for scope in scopes {
            watches.start::<Box<RouteObject>>(&scope);
            watches.start::<ScaledObject>(&scope);
            watches.start::<ServiceObject>(&scope);
            watches.start::<Slice>(&scope);
            watches.start::<Arc<ConfigMapSpec>>(&scope);
        }
        let backends = Backends::new(proxy.clone(), crew.handle());
        let reconciler = Reconciler::new(proxy, ledger, backends);
        let run = cluster.clone().run(reconciler, news, waiting.0.clone());
        crew.handle().spawn("the cluster's loop", run);
        Ok(Self { cluster, crew })
    }

    /// What others see of it.
    #[must_use]
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Resolves when a task has panicked; never if none does. Cancel safe.
    pub async fn crashed(&mut self) -> Crash {
        self.crew.crashed().await
    }
}

struct Watches<'a> {
    api: Api,
    contact: Arc<Contact>,
    news: mpsc::Sender<News>,
    crew: &'a Crew,
}

impl Watches<'_> {
    fn start<T: Watched>(&self, scope: &Scope) {
        let watch = Watch {
            api: self.api.clone(),
            scope: scope.clone(),
            news: self.news.clone(),
            contact: self.contact.clone(),
        };
        let name = format!("the watch of {}", T::KIND.plural);
        self.crew.handle().spawn(&name, watch.run::<T>());
    }
}
