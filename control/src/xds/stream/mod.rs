//! One stream of the aggregated discovery service, without its wire form.
//!
//! ```text
//! requests ─► sotw.rs | delta.rs ─► session.rs (order) ─► subscription.rs (one kind)
//!                 responses ◄─ quarantine.rs ◄┘ ◄── snapshot     pending.rs (what changed)
//!                              (refused hosts)
//! ```
//!
//! Used by [`super::server`]. Pure but for the clock: a session is told what
//! came and asked what is to be sent.

pub(super) mod delta;
mod pending;
mod quarantine;
mod session;
pub(super) mod sotw;
mod subscription;

pub use quarantine::Instead;
pub(super) use quarantine::Verdicts;
pub(super) use session::{Answered, Message, Session};
pub(super) use subscription::{Flavour, Refusal, Standing};

#[cfg(test)]
mod tests;
