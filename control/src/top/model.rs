//! What `reveille top` shows: targets, how they are sorted and filtered, which
//! one is selected. Knows no terminal.

use serde::Deserialize;

/// A target of `/api/v1/targets`, as far as it is shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) replicas: Option<Replicas>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) in_flight: u64,
    pub(super) held: u64,
    pub(super) concurrency: f64,
    pub(super) request_rate: f64,
    pub(super) told: Option<Told>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Replicas {
    pub(super) wanted: u32,
    pub(super) ready: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Endpoint {
    pub(super) ejected: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    pub(super) active: Option<bool>,
    pub(super) ago_seconds: f64,
}

/// What targets are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SortBy {
    Name,
    State,
    InFlight,
    Held,
    Rate,
}

/// An explanation that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) text: String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) admin: String,
    all: Vec<Target>,
    pub(super) sort: SortBy,
    pub(super) is_reversed: bool,
    pub(super) filter: String,
    /// Keys go into the filter.
    pub(super) is_filtering: bool,
    pub(super) helps: bool,
    selected: Option<String>,
    /// Whether the selected target is explained.
    pub(super) explains: bool,
    shown: Option<Shown>,
    /// Why what is shown is old.
    pub(super) trouble: Option<String>,
}

impl Model {
    pub(super) fn new(admin: String, filter: &str) -> Self {
        Self {
            admin,
            all: Vec::new(),
            sort: SortBy::State,
            is_reversed: false,
            filter: filter.to_owned(),
            is_filtering: false,
            helps: false,
            selected: None,
            explains: false,
            shown: None,
            trouble: None,
        }
    }

    pub(super) fn take(&mut self, targets: Vec<Target>) {
        self.all = targets;
        self.trouble = None;
    }

    pub(super) fn lost(&mut self, why: String) {
        self.trouble = Some(why);
    }

    /// Those that the filter lets through, in order.
    pub(super) fn rows(&self) -> Vec<&Target> {
        let filter = self.filter.to_lowercase();
        let words: Vec<&str> = filter.split_whitespace().collect();
        let fits = |target: &&Target| {
            let text = format!("{} {}", target.name, target.state).to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        let mut rows: Vec<&Target> = self.all.iter().filter(fits).collect();
        rows.sort_by(|a, b| {
            let by = match self.sort {
                SortBy::Name => std::cmp::Ordering::Equal,
                SortBy::State => urgency(a).cmp(&urgency(b)),
                SortBy::InFlight => b.in_flight.cmp(&a.in_flight),
                SortBy::Held => b.held.cmp(&a.held),
                SortBy::Rate => b.request_rate.total_cmp(&a.request_rate),
            };
            by.then_with(|| a.name.cmp(&b.name))
        });
        if self.is_reversed {
            rows.reverse();
        }
        rows
    }

    /// How many are in which state.
    pub(super) fn counts(&self) -> String {
        let states = ["failing", "waking", "warm", "cold"];
        let count = |state: &&str| self.all.iter().filter(|one| one.state == **state).count();
        let counts = states.iter().map(|state| (count(state), state));
        let counts = counts.filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(count, state)| format!("{count} {state}"))
            .collect();
        let s = if self.all.len() == 1 { "" } else { "s" };
        format!("{} target{s}: {}", self.all.len(), counts.join(", "))
    }

    /// Sorts by that; by the same again, in the other direction.
    pub(super) fn sort_by(&mut self, by: SortBy) {
        self.is_reversed = self.sort == by && !self.is_reversed;
        self.sort = by;
    }

    /// Where the selected one is among `rows`.
    pub(super) fn selected(&self, rows: &[&Target]) -> Option<usize> {
        let name = self.selected.as_ref()?;
        rows.iter().position(|row| row.name == *name)
    }

    /// Moves the selection by so many rows.
    pub(super) fn step(&mut self, by: isize) {
        let rows = self.rows();
        let Some(last) = rows.len().checked_sub(1) else {
            return;
        };
        let to = match self.selected(&rows) {
            Some(now) => now.saturating_add_signed(by).min(last),
            None if by < 0 => last,
            None => 0,
        };
        self.selected = Some(rows[to].name.clone());
    }

    /// Which target is to be explained.
    pub(super) fn explained(&self) -> Option<&str> {
        self.selected.as_deref().filter(|_| self.explains)
    }

    pub(super) fn explain(&mut self, shown: Shown) {
        self.shown = Some(shown);
    }

    /// What is said of it, if that has come.
    pub(super) fn explanation(&self) -> Option<&str> {
        let name = self.explained()?;
        let shown = self.shown.as_ref().filter(|shown| shown.name == name)?;
        Some(&shown.text)
    }
}

/// What wants to be looked at first.
fn urgency(target: &Target) -> u8 {
    match &*target.state {
        "failing" => 0,
        "waking" => 1,
        "warm" => 2,
        _ => 3,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::top) fn target(name: &str, state: &str, held: u64) -> Target {
        Target {
            name: name.to_owned(),
            state: state.to_owned(),
            replicas: Some(Replicas {
                wanted: 1,
                ready: 0,
            }),
            endpoints: Vec::new(),
            in_flight: held,
            held,
            concurrency: 0.0,
            request_rate: 0.0,
            told: None,
        }
    }

    fn names(model: &Model) -> Vec<&str> {
        model.rows().iter().map(|row| &*row.name).collect()
    }

    #[test]
    fn sorted_filtered_and_selected_by_name() {
        let mut model = Model::new("x".to_owned(), "");
        model.take(vec![
            target("ns/a", "cold", 0),
            target("ns/b", "waking", 1),
            target("ns/c", "waking", 5),
        ]);
        assert_eq!(names(&model), ["ns/b", "ns/c", "ns/a"]);
        assert_eq!(model.counts(), "3 targets: 2 waking, 1 cold");
        model.step(1);
        model.step(1);
        model.sort_by(SortBy::Held);
        assert_eq!(names(&model), ["ns/c", "ns/b", "ns/a"]);
        assert_eq!(model.selected(&model.rows()), Some(0), "the same target");
        model.sort_by(SortBy::Held);
        assert_eq!(names(&model), ["ns/a", "ns/b", "ns/c"]);
        model.filter = "WAK b".to_owned();
        assert_eq!(names(&model), ["ns/b"]);
        assert_eq!(model.selected(&model.rows()), None);
        model.step(-1);
        assert_eq!(model.selected(&model.rows()), Some(0));
        model.filter = "nothing".to_owned();
        model.step(1);
        assert!(names(&model).is_empty());
    }
}
