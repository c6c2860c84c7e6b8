//! The command line. Each flag has an environment variable of its name. Flags
//! of one topic are in its file in `cli/`.

mod connections;

pub use connections::ConnectionArgs;

mod admin;
mod client_address;
mod clients;
mod endpoints;
mod explain;
pub mod grpc;
pub mod ingest;
mod keda_env;
mod kubernetes;
mod observe;
pub mod peers;
mod query;
mod reload;
mod run;
mod top;
pub mod xds;

pub use admin::{AdminArgs, AskArgs};
pub use client_address::ClientAddressArgs;
pub use clients::ClientArgs;
pub use endpoints::EndpointArgs;
pub use explain::{ExplainArgs, OutputArg};
pub use grpc::GrpcArgs;
pub use ingest::IngestArgs;
pub use keda_env::Notes;
pub use kubernetes::KubernetesArgs;
pub use observe::ObserveArgs;
pub use peers::{PeerArgs, PeerSettings, PeersFrom};
pub use query::QueryArgs;
pub use reload::ReloadArgs;
pub use run::{RunArgs, RuntimeArg};
pub use top::TopArgs;
pub use xds::XdsArgs;

pub mod tls;

use crate::manifest::duration;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Lets services sleep at zero replicas and still answer their first request.
#[derive(Debug, Parser)]
#[command(name = "reveille", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do; nothing: `local` with the built-in example.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run proxy, scaler and autoscaler here, with processes as workloads
    Local(Box<LocalArgs>),
    /// Run proxy and scaler in a cluster, with KEDA, for what its objects say
    Kubernetes(Box<KubernetesArgs>),
    /// Validate manifests: print every problem; exit 0 if there is no error, else 1
    Check(CheckArgs),
    /// Evaluate a query in a running Reveille: its value, matched series, and their age
    Query(QueryArgs),
    /// Say why a target of a running Reveille is awake or asleep, and what comes next
    Explain(ExplainArgs),
    /// Show what the targets of a running Reveille are doing, in a terminal
    Top(TopArgs),
    /// Print a ready manifest
    Example(ExampleArgs),
    /// Print the CustomResourceDefinitions, for `kubectl apply --server-side -f -`
    Crds,
    /// Run a small HTTP server, the workload of the built-in example
    Hello(HelloArgs),
}

/// `reveille local`.
#[derive(Debug, Args)]
#[command(after_help = keda_env::HELP)]
pub struct LocalArgs {
    /// YAML file, or directory of them; may be given several times. Without
    /// it, the built-in example runs
    #[arg(
        short,
        long = "file",
        value_name = "FILE_OR_DIR",
        env = "REVEILLE_FILE",
        value_delimiter = ','
    )]
    pub file: Vec<PathBuf>,

    /// Following them
    #[command(flatten)]
    pub reload: ReloadArgs,

    /// How often the embedded autoscaler does what the HPA does
    #[arg(long, env = "REVEILLE_HPA_SYNC_PERIOD", default_value = "1s", value_parser = positive)]
    pub hpa_sync_period: Duration,

    /// What both modes have
    #[command(flatten)]
    pub run: RunArgs,
}

/// `reveille check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// YAML file, or directory of them; may be given several times
    #[arg(short, long = "file", value_name = "FILE_OR_DIR", required = true)]
    pub file: Vec<PathBuf>,
}

/// `reveille example`.
#[derive(Debug, Args)]
pub struct ExampleArgs {
    /// Which one; without a name, the list
    pub name: Option<String>,
}

/// `reveille hello`.
#[derive(Debug, Args)]
pub struct HelloArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub addr: SocketAddr,
}

impl Cli {
    /// Reads the command line and the environment. Ends the program, as clap
    /// does, for `--help` and for flags that are wrong.
    ///
    /// # Errors
    /// All `KEDA_HTTP_*` and `OTEL_*` variables that are wrong.
    pub fn read() -> Result<(Self, Notes), Vec<String>> {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        let (command, notes, problems) = keda_env::apply(
            kubernetes::with_defaults(Self::command()),
            &environment.collect(),
        );
        let mut matches = command.clone().get_matches();
        if matches.subcommand().is_none() {
            matches = command.get_matches_from(["reveille", "local"]);
        }
        let cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        match (&cli.command, problems.is_empty()) {
            (Some(Command::Local(_) | Command::Kubernetes(_)), false) => Err(problems),
            _ => Ok((cli, notes)),
        }
    }
}

impl LocalArgs {
    /// What cannot be as it is given, flag by flag.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.run.problems();
        problems.extend(self.run.peers.problem_without_cluster());
        problems
    }
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

fn positive(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if time.is_zero() {
        Err("must be more than zero".to_owned())
    } else {
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_a_run_has_an_environment_variable_of_its_name() {
        let command = Cli::command();
        for name in ["local", "kubernetes"] {
            let command = command.find_subcommand(name).expect("it exists");
            for arg in command.get_arguments().filter(|arg| arg.get_id() != "help") {
                let flag = arg.get_long().expect("no positional arguments");
                let wanted = format!("REVEILLE_{}", flag.replace('-', "_").to_uppercase());
                let env = arg.get_env().map(|env| env.to_string_lossy().into_owned());
                assert_eq!(env, Some(wanted), "--{flag} of {name}");
            }
        }
    }
}
