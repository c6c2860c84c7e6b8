//! An event: one thing that happened to a target, in words.
//!
//! Made by [`super::Sight`]. The four turns of a wake are logged here, one line
//! each; whatever else happens is logged where it does.

use super::target_name;
use proxy::{EjectReason, Happening, HoldRefusal, TargetId};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// Somebody wants it, and nobody serves it.
    Woken,
    /// Its first endpoint is there.
    Ready,
    /// All who waited went on.
    Released,
    /// All who waited left or were refused.
    GivenUp,
    /// Its last endpoint is gone.
    Asleep,
    /// The same while replicas are wanted: something broke.
    Lost,
    /// An endpoint left the rotation.
    Ejected,
    /// Whoever waits for it is refused.
    Failing,
    /// Requests were refused.
    Refused,
    /// It gets another number of replicas.
    Scaled,
    /// Manifests were read again, and are served.
    Reloaded,
    /// Manifests were read again, and are not served.
    ReloadRefused,
}

/// An event, as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Counts up from 1.
    pub id: u64,
    /// When it happened (last), in Unix time.
    pub at: f64,
    /// `namespace/name`; absent: it is about the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What kind of thing.
    pub kind: EventKind,
    /// In words.
    pub text: String,
    /// How often, where that is more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// An event before it has a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) at: SystemTime,
    pub(super) target: Option<String>,
    pub(super) kind: EventKind,
    pub(super) text: String,
    pub(super) times: u64,
    line: Option<Line>,
}

/// What the log says of a wake.
#[derive(Clone, Debug, PartialEq)]
enum Line {
    Woken(String),
    Ready(String, String, Option<Duration>),
    Released(u64, Duration, u64),
    GivenUp(u64, u64, Duration),
    Asleep(Option<Duration>),
    Lost(Option<Duration>),
}

impl Event {
    pub(super) fn new(target: String, kind: EventKind, text: String) -> Self {
        Self {
            at: SystemTime::now(),
            target: Some(target),
            kind,
            text,
            times: 1,
            line: None,
        }
    }

    pub(super) fn about_all(kind: EventKind, text: String) -> Self {
        Self {
            target: None,
            ..Self::new(String::new(), kind, text)
        }
    }

    pub(super) fn refused(id: &TargetId, why: HoldRefusal, times: u64) -> Self {
        let text = format!("refused: {}", why.as_str());
        Self {
            times,
            ..Self::new(target_name(id), EventKind::Refused, text)
        }
    }

    /// `is_wanted`: whether somebody should serve the target.
    pub(super) fn of(id: &TargetId, what: Happening, is_wanted: impl Fn() -> bool) -> Self {
        let (kind, text, line) = match what {
            Happening::Woken { by } => {
                let text = format!("woken by {by}");
                (EventKind::Woken, text, Some(Line::Woken(by)))
            }
            Happening::Ready {
                endpoint,
                address,
                after,
            } => {
                let text = match after {
                    Some(after) => {
                        format!("first endpoint {endpoint} ready after {}", spell(after))
                    }
                    None => format!("first endpoint {endpoint} ready"),
                };
                let line = Line::Ready(endpoint, address.to_string(), after);
                (EventKind::Ready, text, Some(line))
            }
            Happening::Released {
                requests,
                longest,
                lost,
            } => {
                let lost_too = match lost {
                    0 => String::new(),
                    lost => format!("; {lost} left or were refused"),
                };
                let text = format!(
                    "{} released, the longest waited {}{lost_too}",
                    plural(requests, "held request"),
                    spell(longest)
                );
                let line = Line::Released(requests, longest, lost);
                (EventKind::Released, text, Some(line))
            }
            Happening::GivenUp {
                left,
                refused,
                longest,
            } => {
                let text = format!(
                    "nobody waits any more: {left} left, {refused} refused, after at most {}",
                    spell(longest)
                );
                let line = Line::GivenUp(left, refused, longest);
                (EventKind::GivenUp, text, Some(line))
            }
            Happening::Ejected { endpoint, reason } => {
                let why = match reason {
                    EjectReason::Connect => "it accepts no connections",
                    EjectReason::GatewayErrors | EjectReason::ServerErrors => {
                        "it keeps answering with errors"
                    }
                    EjectReason::Broken => "it keeps breaking connections",
                };
                let text = format!("endpoint {endpoint} ejected for a while: {why}");
                (EventKind::Ejected, text, None)
            }
            Happening::Asleep { awake } => {
                let served = match awake {
                    Some(awake) => format!(" after {}", spell(awake)),
                    None => String::new(),
                };
                if is_wanted() {
                    let text = format!("last endpoint lost{served}, although it is wanted");
                    (EventKind::Lost, text, Some(Line::Lost(awake)))
                } else {
                    let text = format!("asleep{served} awake");
                    let text = match awake {
                        Some(_) => text,
                        None => "asleep".to_owned(),
                    };
                    (EventKind::Asleep, text, Some(Line::Asleep(awake)))
                }
            }
            Happening::Failing(reason) => (EventKind::Failing, format!("failing: {reason}"), None),
        };
        Self {
            line,
            ..Self::new(target_name(id), kind, text)
        }
    }

    /// Is one of its kind soon after it just one more of the same?
    pub(super) fn adds_up(&self) -> bool {
        matches!(self.kind, EventKind::Refused | EventKind::Ejected)
    }

    /// One line for each turn of a wake.
    pub(super) fn log(&self) {
        let (Some(target_id), Some(line)) = (&self.target, &self.line) else {
            return;
        };
        match line {
            Line::Woken(by) => tracing::info!(target_id, by, "woken"),
            Line::Ready(endpoint, addr, after) => tracing::info!(
                target_id,
                endpoint,
                addr,
                after_seconds = after.map(seconds),
                "first endpoint ready"
            ),
            Line::Released(requests, longest, lost) => tracing::info!(
                target_id,
                requests,
                longest_seconds = seconds(*longest),
                lost,
                "released"
            ),
            Line::GivenUp(left, refused, longest) => tracing::info!(
                target_id,
                left,
                refused,
                longest_seconds = seconds(*longest),
                "nobody waits any more"
            ),
            Line::Asleep(awake) => {
                tracing::info!(target_id, awake_seconds = awake.map(seconds), "asleep")
            }
            Line::Lost(awake) => tracing::warn!(
                target_id,
                awake_seconds = awake.map(seconds),
                "last endpoint lost, although it is wanted"
            ),
        }
    }

    pub(super) fn view(&self, id: u64) -> EventView {
        EventView {
            id,
            at: unix_seconds(self.at),
            target: self.target.clone(),
            kind: self.kind,
            text: self.text.clone(),
            times: (self.times > 1).then_some(self.times),
        }
    }
}

pub(super) fn unix_seconds(at: SystemTime) -> f64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Milliseconds are enough for people.
    (since.as_secs_f64() * 1e3).round() / 1e3
}

/// To the millisecond, for the log.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

/// `3 replicas`, `1 replica`.
pub(crate) fn plural(count: u64, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

/// A duration for people: `12 ms`, `1.3 s`, `42 s`, `5 min`, `2 h`.
pub(crate) fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 119.5 => format!("{s:.0} s"),
        s if s < 7_170.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3_600.0),
    }
}
