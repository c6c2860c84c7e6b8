//! Clients that vanished without a word: a silent connection is asked for a
//! sign of life (PING), and closed if none comes.
//!
//! The sweep says when a connection is silent, so this needs no timer.

use h2::{Ping, PingPong};
use std::{task::Context, time::Duration};

/// Silent for so long, it is asked.
pub(in crate::server) const PING_INTERVAL: Duration = Duration::from_secs(20);
/// For how long it may not answer.
const MOST_WAITED: Duration = Duration::from_secs(20);

/// See the module.
pub(super) struct KeepAlive(Option<PingPong>);

impl KeepAlive {
    pub(super) fn new(pings: Option<PingPong>) -> Self {
        Self(pings)
    }

    /// To be told how long a connection that is looked at has been silent.
    /// False: nobody is there any more.
    pub(super) fn look(&mut self, silence: Duration, cx: &mut Context<'_>) -> bool {
        if silence < PING_INTERVAL {
            return true;
        }
        if let Some(pings) = &mut self.0 {
            // The answer to an earlier one; any byte is sign enough.
            let _pong = pings.poll_pong(cx);
            // Fails while another one is on its way.
            let _sent = pings.send_ping(Ping::opaque());
        }
        silence < PING_INTERVAL + MOST_WAITED
    }
}
