//! `Process` (local.reveille.dev/v1alpha1): a workload of local mode, one child process per replica.
//!
//! Decoded for the process runner. It must never look at the machine (does the folder exist, is the
//! command there): checking a manifest must give the same answer everywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::app_protocol::{self, AppProtocol};
use super::decode::Field;

/// What a Process asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessSpec {
    /// Program and arguments; `{port}` stands for the replica's loopback port.
    pub command: Vec<String>,
    /// Variables added to Reveille's own environment and `PORT`.
    pub env: BTreeMap<String, String>,
    /// Working directory, absolute; relative ones are meant from the manifest's folder.
    pub working_dir: PathBuf,
    /// How it shows that it can serve.
    pub readiness: Readiness,
    /// What its replicas speak; default HTTP/1.1.
    pub protocol: AppProtocol,
    /// Time to become ready before it counts as failed; default 60 s.
    pub start_timeout: Duration,
    /// Time between the request to stop and the kill; default 5 s.
    pub termination_grace_period: Duration,
}

/// How a replica shows that it can serve.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// It accepts a TCP connection.
    Tcp,
    /// It answers a GET with a status from 200 to 399.
    Http {
        /// Path and query of the request, beginning with `/`.
        path: String,
    },
}

impl ProcessSpec {
    /// Decodes `spec`; `base_dir` is the folder of the manifest.
    pub fn decode(spec: &Field<'_>, base_dir: &Path) -> Option<Self> {
        let fields = spec.map()?;
        let command = fields.required("command").map(|field| command(&field));
        let env = fields
            .optional("env")
            .map(|field| environment(&field))
            .unwrap_or_default();
        let folder = match fields.optional("workingDir") {
            Some(field) => field.non_empty().filter(|folder| no_nul(&field, folder)),
            None => Some("."),
        };
        let readiness = match fields.optional("readiness") {
            Some(field) => readiness(&field),
            None => Some(Readiness::Tcp),
        };
        let start_timeout = match fields.optional("startTimeout") {
            Some(field) => field.duration().inspect(|timeout| {
                if timeout.is_zero() {
                    field.error("must be more than zero");
                }
            }),
            None => Some(Duration::from_secs(60)),
        };
        let termination_grace_period = match fields.optional("terminationGracePeriod") {
            Some(field) => field.duration(),
            None => Some(Duration::from_secs(5)),
        };
        let protocol = app_protocol::decode(&fields, base_dir);
        if matches!(protocol, Some(AppProtocol::Tls { .. }))
            && matches!(readiness, Some(Readiness::Http { .. }))
            && let Some(field) = fields.optional("readiness")
        {
            field.warning("httpGet is sent in clear text, which this appProtocol does not expect: use tcpSocket");
        }
        fields.finish();
        Some(Self {
            command: command?,
            env,
            working_dir: resolve(base_dir, folder?),
            readiness: readiness?,
            protocol: protocol?,
            start_timeout: start_timeout?,
            termination_grace_period: termination_grace_period?,
        })
    }
}

fn command(list: &Field<'_>) -> Vec<String> {
    if list.list_is_empty() {
        list.error("must name a program");
    }
    let mut first = true;
    list.list_of(|field| {
        let program = std::mem::take(&mut first);
        let word = if program {
            field.non_empty()
        } else {
            field.string()
        }?;
        no_nul(&field, word).then(|| word.to_owned())
    })
}

fn environment(map: &Field<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (name, field) in map.entries().unwrap_or_default() {
        if name.is_empty() || name.contains(['=', '\0']) {
            field.error(format!(
                "{name:?} is not a name of a variable: it must not have a '='"
            ));
        } else if let Some(value) = field.string()
            && no_nul(&field, value)
        {
            env.insert(name.to_owned(), value.to_owned());
        }
    }
    env
}

fn readiness(readiness: &Field<'_>) -> Option<Readiness> {
    let fields = readiness.map()?;
    let http = fields.optional("httpGet");
    let tcp = fields.optional("tcpSocket");
    fields.finish();
    if http.is_some() && tcp.is_some() {
        readiness.error("at most one of 'httpGet' or 'tcpSocket' may be set");
    }
    if let Some(tcp) = tcp {
        tcp.map()?
            .finish_without_fields("there is nothing to set, the port is the replica's own");
    }
    let Some(http) = http else {
        return Some(Readiness::Tcp);
    };
    let fields = http.map()?;
    let path = match fields.optional("path") {
        Some(field) => field.parse(|path| match path.parse::<http::uri::PathAndQuery>() {
            Ok(parsed) if path.starts_with('/') => Ok(parsed.to_string()),
            _ => Err(format!("{path:?} is not a path such as /healthz")),
        }),
        None => Some("/".to_owned()),
    };
    fields.finish();
    Some(Readiness::Http { path: path? })
}

/// The system takes text up to a NUL; the rest would be cut off in silence.
fn no_nul(field: &Field<'_>, text: &str) -> bool {
    let clean = !text.contains('\0');
    if !clean {
        field.error("must not contain a NUL character");
    }
    clean
}

fn resolve(base_dir: &Path, folder: &str) -> PathBuf {
    let joined = base_dir.join(folder);
    // Fails only where the current directory is gone; then relative is the best there is.
    std::path::absolute(&joined).unwrap_or(joined)
}
