//! The environment variables of the HTTP add-on, of the OTel scaler and of
//! OpenTelemetry, so that a deployment of either keeps what was set.
//!
//! One table says what each becomes: the default of a flag, or nothing, and
//! why. So a flag wins over its own variable (`REVEILLE_…`), that over these,
//! and these over the built-in default. Called once, before the command line is
//! read; it must never fail on what it does not know.

mod read;
mod table;

use clap::Command;
use std::collections::{BTreeMap, HashMap};
use table::{Effect, Row, TABLE};

/// What `--help` of these commands ends with.
pub(super) const HELP: &str = "\
The HTTP add-on's variables (KEDA_HTTP_PROXY_PORT, KEDA_HTTP_REQUEST_TIMEOUT, …), the OTel \
scaler's (OTLP_RECEIVER_PORT, METRIC_STORE_RETENTION_SECONDS, …) and OpenTelemetry's (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, …) are understood as well. \
A flag wins over its own variable, that over these, and these over the default. \
control/README.md lists them.";

/// The program's own commands; variables concern these only.
const COMMANDS: [&str; 2] = ["local", "kubernetes"];
/// Variables of the add-on begin with this, and of no one else.
const PREFIX: &str = "KEDA_HTTP_";

/// What to tell the operator about variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Deprecated or unknown names, and what is wanted and not served.
    pub warnings: Vec<String>,
    /// Variables without an effect, each with the reason.
    pub unused: Vec<String>,
}

impl Notes {
    /// Logs them, once logging has started.
    pub fn log(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        for unused in &self.unused {
            tracing::info!("{unused}");
        }
    }
}

/// `command` with defaults from `environment`; what to tell about it; and all
/// values that are wrong, each with the name of its variable.
pub(super) fn apply(
    mut command: Command,
    environment: &HashMap<String, String>,
) -> (Command, Notes, Vec<String>) {
    let (defaults, mut notes, problems) = defaults(environment);
    for (flag, (variable, value)) in defaults {
        let mut is_known = false;
        for name in COMMANDS {
            command = command.mut_subcommand(name, |local| {
                let arg = local
                    .get_arguments()
                    .find(|arg| arg.get_long() == Some(flag));
                let Some(id) = arg.map(|arg| arg.get_id().clone()) else {
                    return local;
                };
                is_known = true;
                local.mut_arg(id, |arg| arg.default_value(value.clone()))
            });
        }
        if !is_known {
            let unused = format!("{variable} has no effect: this version does not serve it");
            notes.unused.push(unused);
        }
    }
    (command, notes, problems)
}

type Defaults = BTreeMap<&'static str, (&'static str, String)>;

/// Flags and the defaults that variables give them.
fn defaults(environment: &HashMap<String, String>) -> (Defaults, Notes, Vec<String>) {
    let mut defaults = Defaults::new();
    let (mut notes, mut problems) = (Notes::default(), Vec::new());
    let mut off: Vec<&'static str> = Vec::new();
    let mut turned_on: Vec<(&str, &[&'static str])> = Vec::new();
    // Set to nothing is as good as not set, for the add-on as well.
    let value = |name: &str| {
        environment
            .get(name)
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
    };
    for Row { name, effect } in TABLE {
        let mut problem = |what| problems.push(format!("{name}: {what}"));
        let text = match (value(name), effect) {
            (Some(text), _) => text,
            (
                None,
                Effect::Switch {
                    unset: Some(text), ..
                },
            ) => text,
            (None, _) => continue,
        };
        match effect {
            Effect::Flag(flag, read) => match read(text) {
                Ok(Some(value)) => {
                    defaults.insert(flag, (name, value));
                }
                Ok(None) => {}
                Err(what) => problem(what),
            },
            Effect::Flags(flags) => {
                for (flag, read) in *flags {
                    match read(text) {
                        Ok(Some(value)) => {
                            defaults.insert(flag, (name, value));
                        }
                        Ok(None) => {}
                        Err(what) => problem(what),
                    }
                }
            }
            Effect::Renamed(now, flag, read) => {
                match read(text) {
                    Ok(Some(value)) => {
                        defaults.insert(flag, (name, value));
                    }
                    Ok(None) => {}
                    Err(what) => problem(what),
                }
                notes
                    .warnings
                    .push(format!("{name} is deprecated: use {now}, or --{flag}"));
            }
            Effect::Switch {
                read, on, governs, ..
            } => match read(text) {
                Ok(Some(true)) => {
                    if on.is_empty() {
                        turned_on.push((*name, *governs));
                    }
                    for (flag, value) in *on {
                        defaults.insert(flag, (name, (*value).to_owned()));
                    }
                }
                Ok(Some(false)) => off.extend(*governs),
                Ok(None) => {}
                Err(what) => problem(what),
            },
            Effect::Unused(check, why) => match check(text) {
                Ok(true) => notes.unused.push(format!("{name} has no effect: {why}")),
                Ok(false) => {}
                Err(what) => problem(what),
            },
            Effect::Unserved(check, instead) => match check(text) {
                Ok(true) => notes
                    .warnings
                    .push(format!("{name} is not supported: {instead}")),
                Ok(false) => {}
                Err(what) => problem(what),
            },
        }
    }
    for flag in off {
        defaults.remove(flag);
    }
    for (name, governs) in turned_on {
        // To go on without would be to go on without TLS.
        if !governs.iter().any(|flag| defaults.contains_key(flag)) {
            let flags = governs.join(", --");
            problems.push(format!("{name}: no variable sets one of --{flags}"));
        }
    }
    let is_unknown = |name: &&String| {
        name.starts_with(PREFIX) && TABLE.iter().all(|row| row.name != name.as_str())
    };
    let mut unknown: Vec<&String> = environment.keys().filter(is_unknown).collect();
    unknown.sort();
    let warn = |name| format!("{name} is not known and has no effect");
    notes.warnings.extend(unknown.into_iter().map(warn));
    (defaults, notes, problems)
}

#[cfg(test)]
mod tests;
