//! Logging: to standard error, as text for people or as JSON for machines.

use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// The client of API servers tells of each call that fails, without saying which. Who
/// calls tells of it once, with what it means.
const API_CLIENT: &str = "kube_client";

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text each.
    Text,
    /// One JSON object each.
    Json,
}

/// Starts logging.
///
/// # Errors
/// A `level` that is neither a level nor a list of directives, or logging
/// that was started before.
pub fn init(format: LogFormat, level: &str) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_new(level)
        .map_err(|error| anyhow::anyhow!("--log-level {level:?} is not valid: {error}"))?;
    if !level.contains(API_CLIENT) {
        let off = format!("{API_CLIENT}=off").parse();
        filter = filter.add_directive(off.expect("it is a directive"));
    }
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // https://no-color.org
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match format {
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal() && !no_color)
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}

/// Why the program ends: its last line, in the form of the log, whatever the
/// log level is.
pub fn last_words(format: LogFormat, error: &anyhow::Error) {
    match format {
        LogFormat::Text => eprintln!("reveille: {error:#}"),
        LogFormat::Json => {
            let log = fmt().json().flatten_event(true);
            let log = log.with_writer(std::io::stderr).finish();
            tracing::subscriber::with_default(log, || tracing::error!("{error:#}"));
        }
    }
}
