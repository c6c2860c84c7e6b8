//! What one follower is sent.
//!
//! Opened by [`super::service`], polled by the HTTP/2 connection. The next
//! frame is made when it is polled for, from the board as it then is: a
//! follower that reads slowly gets the latest states, never a backlog.
//!
//! Ends with OK on shutdown, after the last states and a goodbye.

use super::service::PROTOCOL;
use crate::{
    gen_peers::{
        Complete, DemandState, Frame, Goodbye, Hello, KeepAlive, TargetState, frame::Part,
    },
    ledger::Ledger,
};
use futures_util::stream::{self, Stream, StreamExt};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::Status;

/// The frames of one stream.
pub(crate) type Frames = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send + 'static>>;

/// A follower hears something at least this often.
const KEEP_ALIVE_EACH: Duration = Duration::from_secs(1);

/// Targets in one frame: at most about 350 KiB.
const MOST_TARGETS: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Hello,
    Whole,
    Changes,
    Last,
    Ended,
}

/// The sender of one stream. Counts as a follower while it lives: the outbox
/// must have let it join.
pub(crate) struct FollowerStream {
    ledger: Arc<Ledger>,
    closing: watch::Receiver<bool>,
    revision: watch::Receiver<u64>,
    phase: Phase,
    /// Everything up to this revision was sent.
    sent: u64,
    sequence: u64,
    keep_alive_at: Instant,
}

impl FollowerStream {
    pub(crate) fn new(ledger: Arc<Ledger>, closing: watch::Receiver<bool>) -> Self {
        let revision = ledger.outbox().follow_revision();
        Self {
            ledger,
            closing,
            revision,
            phase: Phase::Hello,
            sent: 0,
            sequence: 0,
            keep_alive_at: Instant::now(),
        }
    }

    /// As a stream of frames.
    pub(crate) fn frames(self) -> Frames {
        let frames = stream::unfold(self, |mut sender| async {
            let frame = sender.next().await?;
            Some((Ok(frame), sender))
        });
        Box::pin(frames.fuse())
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.phase {
                Phase::Hello => {
                    (self.phase, self.sent) = (Phase::Whole, 0);
                    // The board may be as old as its last follower.
                    let outbox = self.ledger.outbox();
                    outbox.look_at_all(&self.ledger);
                    let hello = Hello {
                        protocol: PROTOCOL,
                        identity: outbox.identity().to_wire(),
                        name: outbox.name().to_owned(),
                    };
                    return Some(self.frame(Part::Hello(hello)));
                }
                Phase::Whole => match self.take(true) {
                    Some(targets) if targets.is_empty() => {
                        self.phase = Phase::Changes;
                        return Some(self.frame(Part::Complete(Complete {})));
                    }
                    Some(targets) => return Some(self.demand(targets)),
                    None => self.phase = Phase::Hello,
                },
                Phase::Changes => {
                    if *self.closing.borrow() {
                        self.ledger.outbox().look_at_all(&self.ledger);
                        self.phase = Phase::Last;
                        continue;
                    }
                    self.revision.mark_unchanged();
                    match self.take(false) {
                        Some(targets) if targets.is_empty() => {}
                        Some(targets) => return Some(self.demand(targets)),
                        None => {
                            self.phase = Phase::Hello;
                            continue;
                        }
                    }
                    let (dropped, silent) = tokio::select! {
                        biased;
                        // Err: the server was dropped, nobody is left to say it to.
                        closing = self.closing.wait_for(|closing| *closing) => {
                            (closing.is_err(), false)
                        }
                        // The sender lives in the ledger, which this holds.
                        _ = self.revision.changed() => (false, false),
                        () = sleep_until(self.keep_alive_at) => (false, true),
                    };
                    if dropped {
                        self.phase = Phase::Ended;
                    } else if silent {
                        return Some(self.frame(Part::KeepAlive(KeepAlive {})));
                    }
                }
                Phase::Last => match self.take(false) {
                    Some(targets) if !targets.is_empty() => return Some(self.demand(targets)),
                    _ => {
                        self.phase = Phase::Ended;
                        return Some(self.frame(Part::Goodbye(Goodbye {})));
                    }
                },
                Phase::Ended => return None,
            }
        }
    }

    /// The next states. `None`: the whole state is needed.
    fn take(&mut self, whole: bool) -> Option<Vec<TargetState>> {
        let outbox = self.ledger.outbox();
        let (targets, sent) = outbox.board(|board| board.after(self.sent, MOST_TARGETS, whole))?;
        self.sent = sent;
        Some(targets)
    }

    fn demand(&mut self, targets: Vec<TargetState>) -> Frame {
        self.frame(Part::Demand(DemandState { targets }))
    }

    fn frame(&mut self, part: Part) -> Frame {
        self.sequence += 1;
        self.keep_alive_at = Instant::now() + KEEP_ALIVE_EACH;
        self.ledger.outbox().count_frame();
        Frame {
            sequence: self.sequence,
            clock_us: self.ledger.now_us(),
            part: Some(part),
        }
    }
}

impl Drop for FollowerStream {
    fn drop(&mut self) {
        self.ledger.outbox().leave();
    }
}
