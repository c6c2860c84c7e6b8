//! One stream of frames from another replica, understood.
//!
//! Owned by [`super::follow`], which does the network. Pure but for the ledger
//! that it tells. A session that is dropped without a goodbye leaves a lost
//! replica behind.

use super::{
    anchor::Anchor, hear::Replicas, identity::Identity, replica::Replica, report, service,
};
use crate::{
    gen_peers::{DemandState, Frame, Hello, frame::Part},
    ledger::Ledger,
};
use proxy::TargetId;
use std::{collections::HashSet, sync::Arc, time::Duration};

/// Targets that one replica may have: what is above is not counted.
const MAX_TARGETS: usize = 65_536;

/// What a frame meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing that its connection must know.
    Told,
    /// Its whole state is known now.
    Complete,
    /// It stops in order.
    Goodbye,
    /// This is ourselves.
    Myself,
}

/// Why a stream cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misunderstood {
    #[error(
        "it speaks protocol {theirs}, {} is spoken here: are all replicas of one version?",
        service::PROTOCOL
    )]
    Protocol { theirs: u32 },
    #[error("its hello has no `identity` of 16 bytes")]
    Identity,
    #[error("it did not say hello first")]
    NoHello,
    #[error("it changed its identity within one stream")]
    TwoIdentities,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Session {
    ledger: Arc<Ledger>,
    replicas: Arc<Replicas>,
    grace: Duration,
    replica: Option<Arc<Replica>>,
    sequence: u64,
    anchor: Anchor,
    /// Targets of the whole state, until it is complete.
    mentioned: Option<HashSet<TargetId>>,
    refused: u64,
    said_goodbye: bool,
}

impl Session {
    pub(crate) fn new(ledger: Arc<Ledger>, replicas: Arc<Replicas>, grace: Duration) -> Self {
        Self {
            ledger,
            replicas,
            grace,
            replica: None,
            sequence: 0,
            anchor: Anchor::default(),
            mentioned: None,
            refused: 0,
            said_goodbye: false,
        }
    }

    /// Who it is, after its hello.
    pub(crate) fn replica(&self) -> Option<&Replica> {
        self.replica.as_deref()
    }

    /// Targets that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// The next frame, as it arrives.
    pub(crate) fn frame(&mut self, frame: &Frame) -> Result<Step, Misunderstood> {
        if frame.sequence <= self.sequence {
            return Ok(Step::Told); // once more, or overtaken
        }
        self.sequence = frame.sequence;
        self.anchor.arrived(frame.clock_us, self.ledger.now_us());
        match &frame.part {
            Some(Part::Hello(hello)) => self.hello(hello),
            Some(Part::Demand(demand)) => {
                self.demand(demand)?;
                Ok(Step::Told)
            }
            Some(Part::Complete(_)) => {
                let replica = self.replica.as_ref().ok_or(Misunderstood::NoHello)?;
                if let Some(mentioned) = self.mentioned.take() {
                    self.ledger.complete(replica, &mentioned);
                }
                Ok(Step::Complete)
            }
            Some(Part::Goodbye(_)) => {
                let replica = self.replica.as_ref().ok_or(Misunderstood::NoHello)?;
                self.said_goodbye = true;
                self.replicas.left(replica, self.ledger.now_us());
                Ok(Step::Goodbye)
            }
            // Nothing changed, or something that a later version tells.
            Some(Part::KeepAlive(_)) | None => Ok(Step::Told),
        }
    }

    fn hello(&mut self, hello: &Hello) -> Result<Step, Misunderstood> {
        if hello.protocol != service::PROTOCOL {
            return Err(Misunderstood::Protocol {
                theirs: hello.protocol,
            });
        }
        let identity = Identity::from_wire(&hello.identity).ok_or(Misunderstood::Identity)?;
        if identity == self.ledger.outbox().identity() {
            return Ok(Step::Myself);
        }
        match &self.replica {
            // The whole state comes anew.
            Some(known) if known.identity() == identity => {}
            Some(_) => return Err(Misunderstood::TwoIdentities),
            None => {
                let name: String = hello.name.chars().take(256).collect();
                self.replica = Some(self.replicas.joined(identity, &name));
            }
        }
        self.mentioned = Some(HashSet::new());
        Ok(Step::Told)
    }

    fn demand(&mut self, demand: &DemandState) -> Result<(), Misunderstood> {
        let replica = self.replica.as_ref().ok_or(Misunderstood::NoHello)?;
        let now_us = self.ledger.now_us();
        for state in &demand.targets {
            let (id, news) = match report::read(state, self.mentioned.is_some()) {
                Ok(read) => read,
                Err(error) => {
                    if self.refused == 0 {
                        tracing::warn!(
                            replica = replica.name(),
                            %error,
                            "a replica reports what cannot be; that target is not counted"
                        );
                    }
                    self.refused += 1;
                    continue;
                }
            };
            let at_us = match &news {
                report::News::State(report) => self.anchor.ours(report.at_us, now_us),
                report::News::Removed { .. } => now_us,
            };
            let room = self
                .mentioned
                .as_ref()
                .is_none_or(|mentioned| mentioned.len() < MAX_TARGETS);
            if !room || !self.ledger.hear(replica, &id, &news, at_us) {
                if self.refused == 0 {
                    tracing::warn!(
                        replica = replica.name(),
                        "a replica reports more targets than can be remembered"
                    );
                }
                self.refused += 1;
                continue;
            }
            if let Some(mentioned) = &mut self.mentioned {
                mentioned.insert(id);
            }
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(replica) = &self.replica
            && !self.said_goodbye
        {
            self.replicas
                .lost(replica, self.ledger.now_us(), self.grace);
        }
    }
}

#[cfg(test)]
mod tests;
