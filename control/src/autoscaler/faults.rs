//! Which triggers cannot be read, so that an outage is told twice: when it
//! begins and when it ends.
//!
//! Kept by the driver for one ScaledObject. A trigger is asked on several
//! paths (polls, HPA syncs, the push stream); its outage begins with the first
//! failure on any and ends when none fails any more. Pure: it must never log.

/// On which path a trigger was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Poll,
    Hpa,
    Stream,
}

/// What an answer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The trigger could be read until now.
    Began,
    /// It can be read again.
    Ended,
}

/// The failing paths of each trigger.
#[derive(Debug)]
pub(super) struct Faults {
    failing: Vec<[bool; 3]>,
}

impl Faults {
    /// All `triggers` well.
    pub(super) fn new(triggers: usize) -> Self {
        Self {
            failing: vec![[false; 3]; triggers],
        }
    }

    /// An answer (or none) on a path of the trigger at `index`; `None` if it
    /// neither begins nor ends an outage.
    pub(super) fn record(&mut self, index: usize, path: Path, failed: bool) -> Option<Turn> {
        let paths = self.failing.get_mut(index)?;
        let before = paths.contains(&true);
        paths[path as usize] = failed;
        match (before, paths.contains(&true)) {
            (false, true) => Some(Turn::Began),
            (true, false) => Some(Turn::Ended),
            _ => None,
        }
    }

    /// Some trigger cannot be read.
    pub(super) fn any(&self) -> bool {
        self.failing.iter().any(|paths| paths.contains(&true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_when_it_begins_and_when_it_ends() {
        let mut faults = Faults::new(1);
        assert_eq!(
            faults.record(0, Path::Poll, false),
            None,
            "well from the start"
        );
        assert_eq!(faults.record(0, Path::Poll, true), Some(Turn::Began));
        assert_eq!(
            faults.record(0, Path::Poll, true),
            None,
            "still the same outage"
        );
        assert_eq!(
            faults.record(0, Path::Hpa, true),
            None,
            "on another path as well"
        );
        assert_eq!(
            faults.record(0, Path::Poll, false),
            None,
            "not yet on all paths"
        );
        assert!(faults.any());
        assert_eq!(faults.record(0, Path::Hpa, false), Some(Turn::Ended));
        assert!(!faults.any());
    }

    #[test]
    fn triggers_fail_on_their_own() {
        let mut faults = Faults::new(2);
        assert_eq!(faults.record(0, Path::Stream, true), Some(Turn::Began));
        assert_eq!(faults.record(1, Path::Stream, true), Some(Turn::Began));
        assert_eq!(faults.record(0, Path::Stream, false), Some(Turn::Ended));
        assert!(faults.any());
    }
}
