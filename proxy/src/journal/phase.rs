//! What a request spent its time on: holds, connections, attempts.

use super::Entries;
use crate::{
    endpoint::Endpoint,
    trace::{SpanId, new_span_id},
};
use std::{net::SocketAddr, sync::Arc};

/// How a wait for an endpoint ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldEnd {
    Ready,
    Refused,
    Rejected,
    Cancelled,
}

impl HoldEnd {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PhaseKind {
    /// Waiting; until it ended, cancelled.
    Hold {
        end: Option<HoldEnd>,
    },
    Connect,
    /// One attempt: from when the request is sent to the end of the answer.
    Upstream {
        status: Option<u16>,
    },
}

#[derive(Debug)]
pub(super) struct Phase {
    pub(super) kind: PhaseKind,
    pub(super) span_id: SpanId,
    pub(super) endpoint: Option<(Arc<str>, SocketAddr)>,
    pub(super) begun_us: u64,
    /// None: it lasts.
    pub(super) ended_us: Option<u64>,
    pub(super) error: Option<String>,
}

impl Phase {
    pub(super) fn is_upstream(&self) -> bool {
        matches!(self.kind, PhaseKind::Upstream { .. })
    }
}

impl Entries {
    fn now_us(&self) -> u64 {
        self.observe.clock.now_us()
    }

    pub(super) fn phase_began(&mut self, kind: PhaseKind, endpoint: Option<&Endpoint>) {
        let begun_us = self.now_us();
        self.phases.push(Phase {
            kind,
            span_id: new_span_id(),
            endpoint: endpoint.map(|endpoint| (endpoint.shared_name(), endpoint.addr())),
            begun_us,
            ended_us: None,
            error: None,
        });
    }

    /// The last phase is over.
    pub(super) fn phase_ended(&mut self, error: Option<String>, note: impl FnOnce(&mut PhaseKind)) {
        let now_us = self.now_us();
        if let Some(phase) = self.phases.last_mut() {
            note(&mut phase.kind);
            phase.ended_us = Some(now_us);
            phase.error = error;
        }
    }

    fn last_upstream(&mut self) -> Option<&mut Phase> {
        self.phases.iter_mut().rfind(|phase| phase.is_upstream())
    }

    pub(super) fn upstream_failed(&mut self, error: String) {
        let now_us = self.now_us();
        if let Some(phase) = self.last_upstream() {
            phase.ended_us = Some(now_us);
            phase.error = Some(error);
        }
    }

    pub(super) fn upstream_answered(&mut self, status: u16) {
        if let Some(phase) = self.last_upstream() {
            phase.kind = PhaseKind::Upstream {
                status: Some(status),
            };
        }
    }

    /// The request goes out on a connection that was made for it: from now.
    pub(super) fn resume_upstream(&mut self) {
        let now_us = self.now_us();
        if let Some(phase) = self.last_upstream() {
            phase.begun_us = now_us;
        }
    }
}
