//! One stream of the aggregated discovery service, without its wire form.
//!
//! ```text
//! requests ─► sotw.rs | delta.rs ─► session.rs (order) ─► subscription.rs (one kind)
//!                 responses ◄───────────┘ ◄── snapshot       pending.rs (what changed)
//! ```
//!
//! Used by [`super::server`]. Pure but for the clock: a session is told what
//! came and asked what is to be sent.

pub(super) mod delta;
mod pending;
mod session;
pub(super) mod sotw;
mod subscription;

pub(super) use session::{Answered, Message, Session};
pub(super) use subscription::{Flavour, Refusal, Standing};

#[cfg(test)]
mod tests;
