//! A source: targets that are fetched alike, as manifests describe it.

use super::{Address, NamePattern};
use proxy::tls::Connector;
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The largest file of addresses.
const MAX_FILE: u64 = 1 << 20;
/// Most targets of one source.
const MAX_TARGETS: usize = 1_000;

/// Which source: namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId {
    /// Its namespace.
    pub namespace: String,
    /// Its name, also the label `job` of its series.
    pub name: String,
}

impl std::fmt::Display for SourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Targets that are fetched alike.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Where they are listed.
    pub targets: TargetList,
    /// Path and query of each page.
    pub path: String,
    /// TLS, if it is spoken.
    pub tls: Option<Arc<Connector>>,
    /// How often each page is fetched.
    pub interval: Duration,
    /// How long that may take.
    pub timeout: Duration,
    /// Labels of all series; `job` and `instance` replace the usual ones.
    pub labels: BTreeMap<String, String>,
    /// What is kept beside what registered queries need.
    pub metrics: Arc<[NamePattern]>,
}

/// Where targets are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetList {
    /// These, and no others.
    Addresses(Vec<Address>),
    /// The same with labels of their own, as somebody else finds them.
    Found(Arc<[FoundTarget]>),
    /// The lines of a file: an address, then labels as `name=value`, with
    /// spaces between; `#` begins a comment. It is read each second.
    File(PathBuf),
}

/// A target in a list, with labels of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundTarget {
    /// Where its page is.
    pub address: Address,
    /// Labels of its series, which beat those of the source.
    pub labels: BTreeMap<String, String>,
}

impl PartialEq for SourceConfig {
    fn eq(&self, other: &Self) -> bool {
        self.targets == other.targets && self.fetches_like(other)
    }
}

impl SourceConfig {
    /// The same but for the targets: who is fetched already is fetched on as
    /// it is.
    pub(super) fn fetches_like(&self, other: &Self) -> bool {
        let tls = match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        tls && self.path == other.path
            && (self.interval, self.timeout) == (other.interval, other.timeout)
            && self.labels == other.labels
            && self.metrics == other.metrics
    }

    /// The labels of a target: its own beat those of the source, and these the
    /// usual ones.
    pub(super) fn labels_of(
        &self,
        id: &SourceId,
        target: &FoundTarget,
    ) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            ("job".to_owned(), id.name.clone()),
            ("instance".to_owned(), target.address.to_string()),
        ]);
        labels.extend(self.labels.clone());
        labels.extend(target.labels.clone());
        labels
    }
}

/// Reads a file of addresses: all of it or nothing, for it may be one that is
/// being written. Blocks.
pub(super) fn read(path: &Path) -> Result<Vec<FoundTarget>, String> {
    let text = read_text(path).map_err(|error| error.to_string())?;
    parse(&text)
}

fn read_text(path: &Path) -> io::Result<String> {
    // Opening a pipe would wait for somebody to write.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!(
            "it is larger than {MAX_FILE} bytes"
        )));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Vec<FoundTarget>, String> {
    let mut listed = Vec::new();
    let mut places = HashMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(address) = words.next() else {
            continue;
        };
        let problem = |problem: String| format!("line {number}: {problem}");
        let address: Address = address
            .parse()
            .map_err(|error| problem(format!("{error}")))?;
        let mut labels = BTreeMap::new();
        for word in words {
            let (name, value) = label(word).map_err(problem)?;
            if labels.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(problem(format!("the label {name} is given twice")));
            }
        }
        let target = FoundTarget { address, labels };
        let key = target.labels.get("instance").cloned();
        let key = key.unwrap_or_else(|| target.address.to_string());
        if let Some(first) = places.insert(key.clone(), number) {
            return Err(problem(format!("{key} is listed in line {first} already")));
        }
        listed.push(target);
        if listed.len() > MAX_TARGETS {
            return Err(problem(format!(
                "more than {MAX_TARGETS} targets: make several sources of them"
            )));
        }
    }
    Ok(listed)
}

fn label(word: &str) -> Result<(&str, &str), String> {
    let bad = || {
        let word: String = word.chars().take(80).collect();
        format!("{word:?} is not a label: use name=value, without spaces")
    };
    let (name, value) = word.split_once('=').ok_or_else(bad)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name = name.bytes().all(fits)
        && name.starts_with(|first: char| !first.is_ascii_digit())
        && !name.starts_with("__");
    if is_name && name.len() <= 256 && value.len() <= 1024 {
        Ok((name, value))
    } else {
        Err(bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_addresses_and_labels() {
        let text = "# sidecars\n10.0.0.1:9090 app_id=a zone=b=c\n\n  [::1]:9090 # local\n\
                    10.0.0.1:9091 instance=other\n";
        let listed = parse(text).unwrap();
        let addresses: Vec<_> = listed.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1:9090", "[::1]:9090", "10.0.0.1:9091"]);
        let labels = [("app_id", "a"), ("zone", "b=c")].map(|(a, b)| (a.into(), b.into()));
        assert_eq!(listed[0].labels, BTreeMap::from(labels));
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let many: String = (1..=1_001).map(|port| format!("a:{port}\n")).collect();
        for (text, problem) in [
            ("a:1\nb\n", "line 2: \"b\" is not an address"),
            ("a:1 x\n", "line 1: \"x\" is not a label"),
            ("a:1 __name__=x\n", "is not a label"),
            ("a:1 9x=x\n", "is not a label"),
            ("a:1 x=1 x=2\n", "line 1: the label x is given twice"),
            ("a:1\n\na:1\n", "line 3: a:1 is listed in line 1 already"),
            ("a:1\nb:1 instance=a:1\n", "line 2: a:1 is listed in line 1"),
            (&many, "line 1001: more than 1000 targets"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(problem), "{told}");
        }
    }

    #[test]
    fn labels_of_a_target_beat_those_of_its_source() {
        let config = SourceConfig {
            targets: TargetList::Addresses(Vec::new()),
            path: "/metrics".to_owned(),
            tls: None,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            labels: [("job", "dapr"), ("team", "a")]
                .map(|(a, b)| (a.into(), b.into()))
                .into(),
            metrics: Arc::new([]),
        };
        let id = SourceId {
            namespace: "default".to_owned(),
            name: "x".to_owned(),
        };
        let listed = parse("a:1 team=b\n").unwrap();
        let labels = config.labels_of(&id, &listed[0]);
        let expected = [("instance", "a:1"), ("job", "dapr"), ("team", "b")];
        assert!(labels.iter().map(|(a, b)| (&**a, &**b)).eq(expected));
    }
}
