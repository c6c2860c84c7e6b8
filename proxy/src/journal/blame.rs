//! Who ended a request.

use crate::error::Refusal;

/// Who ended a request before it was served in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Nobody: it was served in full, by an endpoint or as its route wants.
    None,
    /// The client left, or what it sent is not to be understood.
    Client,
    /// A limit or a rule of the proxy's: no route, a full queue, a timeout, a
    /// shutdown.
    Proxy,
    /// An endpoint broke its connection or did not speak its protocol, or the
    /// target's starts keep failing.
    Endpoint,
}

impl Blame {
    /// As logs say it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Client => "client",
            Self::Proxy => "proxy",
            Self::Endpoint => "endpoint",
        }
    }

    pub(super) fn of(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Fixed(_) => Self::None,
            Refusal::BadRequest(_) | Refusal::Connect | Refusal::ClientGone => Self::Client,
            Refusal::NoAnswer(_)
            | Refusal::BadAnswer(_)
            | Refusal::SwitchedProtocols
            | Refusal::Failing(_) => Self::Endpoint,
            _ => Self::Proxy,
        }
    }
}
