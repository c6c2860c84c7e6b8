//! The search for hosts that are refused, among those that were refused
//! together: some of them are tried, the rest is left or is what counts.

use super::{Host, Version, hint::Hint};
use std::{collections::HashSet, sync::Arc};

/// At least one of the suspects is refused.
#[derive(Debug)]
pub(super) struct Search {
    /// None of them is with the client yet.
    suspects: Vec<Suspect>,
    /// So many of them are tried next.
    next: usize,
    /// What everybody should have, of which that is known; `None`: of none
    /// that there is now.
    of: Option<Version>,
    /// The client was offered detours for those that it does not know.
    pub(super) has_detours: bool,
    pub(super) reason: Arc<str>,
}

/// A host in one state.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) host: Arc<str>,
    pub(super) of: Version,
}

/// What is left when those that were tried are good.
#[derive(Debug)]
pub(super) enum Left {
    /// Nobody.
    Nobody,
    /// One, which is refused: what was refused before was this one and what
    /// the client has now.
    One(Suspect, Arc<str>),
    /// Others to be tried.
    Others(Search),
}

impl Search {
    /// Among these, more than one, that were refused for that reason when the
    /// state `of` was what everybody should have. First are tried those that
    /// the reason does not speak of.
    pub(super) fn among(news: Vec<&Arc<Host>>, of: Version, reason: &Arc<str>) -> Self {
        let hint = Hint::of(reason);
        let (named, others): (Vec<_>, Vec<_>) = news.into_iter().partition(|own| hint.names(own));
        let next = match others.len() {
            0 => half(named.len()),
            all if named.is_empty() => half(all),
            unnamed => unnamed,
        };
        let suspects = others.into_iter().chain(named).map(|own| Suspect {
            host: own.name().clone(),
            of: own.version(),
        });
        Self {
            suspects: suspects.collect(),
            next,
            of: Some(of),
            has_detours: false,
            reason: reason.clone(),
        }
    }

    pub(super) fn suspects(&self) -> &[Suspect] {
        &self.suspects
    }

    /// The names of those that are tried next.
    pub(super) fn tried(&self) -> HashSet<&str> {
        let tried = self.suspects.iter().take(self.next);
        tried.map(|one| &*one.host).collect()
    }

    /// Those that were tried are with the client.
    pub(super) fn tried_are_good(mut self) -> Left {
        self.suspects.drain(..self.next);
        self.next = half(self.suspects.len());
        if self.suspects.len() == 1
            && self.of.is_some()
            && let Some(last) = self.suspects.pop()
        {
            return Left::One(last, self.reason);
        }
        self.if_any().map_or(Left::Nobody, Left::Others)
    }

    /// Everybody should have the state `of` now. `None`: no suspect is left.
    pub(super) fn still(
        mut self,
        of: Version,
        is_suspect: impl FnMut(&Suspect) -> bool,
    ) -> Option<Self> {
        self.of = self.of.filter(|known| *known == of);
        self.suspects.retain(is_suspect);
        if self.next >= self.suspects.len() {
            self.next = half(self.suspects.len());
        }
        self.if_any()
    }

    fn if_any(self) -> Option<Self> {
        (!self.suspects.is_empty()).then_some(self)
    }
}

fn half(count: usize) -> usize {
    (count / 2).max(1)
}
