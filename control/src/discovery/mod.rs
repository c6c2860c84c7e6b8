//! Discovery: which endpoints serve which targets now.
//!
//! A [`Service`] is what an InterceptorRoute's `target.service` names. Who
//! knows addresses (process pools, `Backend` objects) changes its endpoints;
//! the targets attached to it get each new set at once.

mod service;
mod wired;

pub use service::{Service, Speaks};
pub use wired::{Bounds, Wired};
