//! `MetricSource` (local.reveille.dev/v1alpha1): pages of metrics that are fetched every few
//! seconds, such as those of Dapr sidecars.
//!
//! Decoded for local mode. It must never look at the machine: neither names nor the file of
//! addresses are looked up here.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proxy::tls::UpstreamTls;
use scaler::ingest::prometheus::{Address, NamePattern};

use super::app_protocol;
use super::decode::{Field, Fields};

/// How often a page may be fetched. More often: it takes its target some
/// milliseconds to write. Less often: series would end before the next time.
pub const FETCH_INTERVALS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
const DEFAULT_PATH: &str = "/metrics";

/// Most labels that may be added.
const MAX_LABELS: usize = 16;
/// Longest name of a label and longest value, in bytes.
const MAX_LABEL_NAME: usize = 256;
const MAX_LABEL_VALUE: usize = 1024;

/// What a MetricSource is.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSourceSpec {
    /// Where its targets are listed.
    pub targets: MetricTargets,
    /// Path and query of each page, beginning with `/`; default `/metrics`.
    pub path: String,
    /// How TLS is spoken; `None`: in clear text (`scheme: http`, the default).
    pub tls: Option<UpstreamTls>,
    /// How often each page is fetched; default 2 s.
    pub interval: Duration,
    /// How long that may take; default: the interval, and never longer.
    pub timeout: Duration,
    /// Labels of all its series. `job` and `instance` replace the usual ones.
    pub labels: BTreeMap<String, String>,
    /// Metrics that are kept whether a query needs them or not; none: only those that one needs.
    pub metrics: Vec<NamePattern>,
}

/// Where the targets of a MetricSource are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricTargets {
    /// In the manifest, at least one, each once.
    Addresses(Vec<Address>),
    /// In a file with an address in each line, which is followed as it changes. Absolute;
    /// relative ones are meant from the manifest's folder.
    File(PathBuf),
}

impl MetricSourceSpec {
    /// Decodes `spec`; `base_dir` is the folder of the manifest. `None` only after an error was
    /// noted.
    pub fn decode(spec: &Field<'_>, base_dir: &Path) -> Option<Self> {
        let fields = spec.map()?;
        let targets = targets(spec, &fields, base_dir);
        let path = match fields.optional("path") {
            Some(field) => field.parse(path_and_query),
            None => Some(DEFAULT_PATH.to_owned()),
        };
        let tls = tls(&fields, base_dir);
        let interval = match fields.optional("interval") {
            Some(field) => interval(&field),
            None => Some(DEFAULT_INTERVAL),
        };
        let timeout = match fields.optional("timeout") {
            Some(field) => timeout(&field, interval),
            None => interval,
        };
        let labels = match fields.optional("labels") {
            Some(field) => labels(&field, targets.as_ref()),
            None => BTreeMap::new(),
        };
        let metrics = match fields.optional("metrics") {
            Some(field) => field.list_of(|field| field.parse(str::parse)),
            None => Vec::new(),
        };
        fields.finish();
        Some(Self {
            targets: targets?,
            path: path?,
            tls: tls?,
            interval: interval?,
            timeout: timeout?,
            labels,
            metrics,
        })
    }
}

fn targets(spec: &Field<'_>, fields: &Fields<'_>, base_dir: &Path) -> Option<MetricTargets> {
    let (listed, file) = (fields.optional("addresses"), fields.optional("file"));
    match (listed, file) {
        (Some(field), None) => {
            if field.list_is_empty() {
                field.error("must have at least one address");
            }
            let mut seen = HashSet::new();
            let addresses = field.list_of(|field| {
                let address: Address = field.parse(str::parse)?;
                if !seen.insert(address.clone()) {
                    field.error(format!("{address} is listed twice"));
                }
                Some(address)
            });
            Some(MetricTargets::Addresses(addresses))
        }
        (None, Some(field)) => {
            let path = field.non_empty()?;
            Some(MetricTargets::File(app_protocol::resolve(base_dir, path)))
        }
        _ => {
            spec.error("needs either 'addresses' or 'file'");
            None
        }
    }
}

fn path_and_query(path: &str) -> Result<String, String> {
    match path.parse::<http::uri::PathAndQuery>() {
        Ok(parsed) if path.starts_with('/') => Ok(parsed.to_string()),
        _ => Err(format!("{path:?} is not a path such as /metrics")),
    }
}

fn tls(fields: &Fields<'_>, base_dir: &Path) -> Option<Option<UpstreamTls>> {
    let is_https = match fields.optional("scheme") {
        Some(field) => field.choice(&[("http", false), ("https", true)]),
        None => Some(false),
    };
    let tls = fields.optional("tls");
    let settings = match &tls {
        Some(field) => app_protocol::settings(field, base_dir),
        None => Some(UpstreamTls::default()),
    };
    if is_https? {
        return settings.map(Some);
    }
    if let Some(field) = &tls {
        field.error("needs scheme: https");
    }
    Some(None)
}

fn interval(field: &Field<'_>) -> Option<Duration> {
    let interval = field.duration()?;
    if !FETCH_INTERVALS.contains(&interval) {
        let (shortest, longest) = (FETCH_INTERVALS.start(), FETCH_INTERVALS.end());
        field.error(format!(
            "must be between {shortest:?} and {longest:?}, not {interval:?}"
        ));
    }
    Some(interval)
}

fn timeout(field: &Field<'_>, interval: Option<Duration>) -> Option<Duration> {
    let timeout = field.duration()?;
    let longest = interval.unwrap_or(*FETCH_INTERVALS.end());
    if timeout.is_zero() {
        field.error("must be more than zero");
    } else if timeout > longest {
        field.error(format!(
            "must not be longer than the interval of {longest:?}, not {timeout:?}"
        ));
    }
    Some(timeout)
}

fn labels(map: &Field<'_>, targets: Option<&MetricTargets>) -> BTreeMap<String, String> {
    let entries = map.entries().unwrap_or_default();
    if entries.len() > MAX_LABELS {
        map.error(format!("must have at most {MAX_LABELS} labels"));
    }
    let is_one = matches!(targets, Some(MetricTargets::Addresses(list)) if list.len() < 2);
    let mut labels = BTreeMap::new();
    for (name, field) in entries {
        let Some(value) = field.string() else {
            continue;
        };
        if !is_label(name) {
            field.error(format!(
                "{name:?} is not a label's name: use letters, digits and '_', no digit first and \
                 no '__' before it"
            ));
        } else if value.len() > MAX_LABEL_VALUE {
            field.error(format!("must be at most {MAX_LABEL_VALUE} bytes long"));
        } else if name == "instance" && !is_one {
            field.error("would make the series of all targets one: give it in 'file', per address");
        } else {
            labels.insert(name.to_owned(), value.to_owned());
        }
    }
    labels
}

fn is_label(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty()
        && name.len() <= MAX_LABEL_NAME
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.starts_with("__")
        && name.bytes().all(fits)
}
