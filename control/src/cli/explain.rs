//! Flags of `reveille explain`.

use super::AskArgs;
use clap::{Args, ValueEnum};

/// `reveille explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 if the target is known, 1 if nobody can be asked, 3 if there is no such target, or several."
)]
pub struct ExplainArgs {
    /// NAMESPACE/NAME of its InterceptorRoute or HTTPScaledObject, or NAME where
    /// there is only one of it
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Whom to ask
    #[command(flatten)]
    pub ask: AskArgs,
    /// Lines for people, or the answer as it came
    #[arg(long, value_enum, default_value = "text")]
    pub output: OutputArg,
}

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputArg {
    /// Lines
    Text,
    /// One JSON object
    Json,
}
