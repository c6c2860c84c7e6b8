//! Flags of `reveille top`.

use super::{AskArgs, positive};
use crate::top::TopSettings;
use clap::Args;
use std::time::Duration;

/// `reveille top`.
#[derive(Debug, Args)]
#[command(
    after_help = "Keys: q quits, / filters, n s i h r sort by name, state, in flight, held, rate (again: the other way round), up and down select, enter explains, ? lists them.\nWithout a terminal it prints one table. NO_COLOR holds."
)]
pub struct TopArgs {
    /// Whom to ask
    #[command(flatten)]
    pub ask: AskArgs,
    /// Print one table and end
    #[arg(long)]
    pub once: bool,
    /// How often to ask
    #[arg(long, default_value = "1s", value_parser = positive)]
    pub interval: Duration,
    /// Only targets and states with these words
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub filter: String,
}

impl TopArgs {
    /// How it is shown.
    #[must_use]
    pub fn settings(&self) -> TopSettings {
        TopSettings {
            once: self.once,
            interval: self.interval,
            filter: self.filter.clone(),
        }
    }
}
