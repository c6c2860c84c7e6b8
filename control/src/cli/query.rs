//! Flags of `reveille query`.

use super::AskArgs;
use crate::query::Question;
use clap::Args;

/// `reveille query`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 with a value, 1 for a query or an address that is wrong, 3 if no series has data."
)]
pub struct QueryArgs {
    /// PromQL, such as 'sum(rate(http_requests_total[1m]))'
    #[arg(value_name = "EXPR")]
    pub expr: String,
    /// Whom to ask
    #[command(flatten)]
    pub ask: AskArgs,
    /// Read EXPR as a trigger with this operationOverTime does: last_one, rate,
    /// avg, min, max or count
    #[arg(long, env = "REVEILLE_OPERATION_OVER_TIME", value_name = "WORD")]
    pub operation_over_time: Option<String>,
    /// Window of that operation [default: 60s]
    #[arg(
        long,
        env = "REVEILLE_WINDOW",
        value_name = "DURATION",
        requires = "operation_over_time"
    )]
    pub window: Option<String>,
}

impl QueryArgs {
    /// What to ask.
    #[must_use]
    pub fn question(&self) -> Question {
        Question {
            query: self.expr.clone(),
            operation_over_time: self.operation_over_time.clone(),
            window: self.window.clone(),
        }
    }
}
