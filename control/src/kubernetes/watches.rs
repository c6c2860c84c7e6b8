//! Starting watches: a task of the crew for each kind and scope.

use super::{
    api::{Api, Selector},
    contact::Contact,
    store::Scope,
    watch::{Watch, Watched},
};
use crate::crew::Crew;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What all watches of a cluster have in common.
pub(super) struct Watches<'a> {
    pub(super) api: Api,
    pub(super) contact: Arc<Contact>,
    pub(super) crew: &'a Crew,
}

impl Watches<'_> {
    /// Follows a kind from now on; `news` is told.
    pub(super) fn start<T: Watched>(&self, scope: &Scope, news: &mpsc::Sender<T::News>) {
        self.start_of::<T>(Selector::of(T::KIND), scope, news);
    }

    /// Likewise those objects of it that `selector` says.
    pub(super) fn start_of<T: Watched>(
        &self,
        selector: Selector,
        scope: &Scope,
        news: &mpsc::Sender<T::News>,
    ) {
        let watch = Watch {
            api: self.api.clone(),
            scope: scope.clone(),
            selector,
            news: news.clone(),
            contact: self.contact.clone(),
        };
        let name = format!("the watch of {}", T::KIND.plural);
        self.crew.handle().spawn(&name, watch.run::<T>());
    }
}
