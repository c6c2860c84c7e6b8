//! Where the addresses of replicas come from: a list, a DNS name, a file.
//!
//! Run by the composition root beside [`super::roster`], which takes what is
//! found here. What cannot be read or resolved for a while changes nothing:
//! the last addresses stay.

use super::roster::Addresses;
use std::{
    collections::BTreeSet,
    fmt,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::pin,
    str::FromStr,
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// A DNS name is resolved again this often; replicas come and go with roll-outs.
const RESOLVE_EACH: Duration = Duration::from_secs(2);
/// A file is read again this often.
const READ_EACH: Duration = Duration::from_secs(1);
/// A resolver that does not answer is given up after this.
const RESOLVE_WITHIN: Duration = Duration::from_secs(3);
/// The largest file.
const MAX_FILE: u64 = 64 * 1024;

/// A source of addresses. This replica may be among them: it recognises itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerSource {
    /// These addresses, each `host:port`.
    List(BTreeSet<String>),
    /// All addresses of a DNS name, with this port.
    Dns {
        /// The name: that of a headless Service, for example.
        name: String,
        /// The port of each.
        port: u16,
    },
    /// The lines of a file, each `host:port`; `#` begins a comment.
    File(PathBuf),
}

/// What is wrong with a source or with an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// No address at all.
    #[error("names no peer: give host:port,host:port or dns://name:port or file:PATH")]
    Empty,
    /// Not an address.
    #[error("\"{0}\" is not host:port (an IPv6 address in brackets)")]
    Address(String),
    /// More than are followed.
    #[error("names {0} peers, at most {MAX} are followed", MAX = super::roster::MAX_PEERS)]
    TooMany(usize),
    /// A source of another kind.
    #[error("\"{0}://\" is unknown: give host:port,host:port or dns://name:port or file:PATH")]
    Scheme(String),
}

impl FromStr for PeerSource {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(BadSource::Empty),
                path => Ok(Self::File(path.into())),
            };
        }
        if let Some(address) = text.strip_prefix("dns://") {
            let (name, port) = host_and_port(address)?;
            return Ok(Self::Dns {
                name: name.to_owned(),
                port,
            });
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(BadSource::Scheme(scheme.to_owned()));
        }
        let list = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        let list: BTreeSet<String> = list.map(address).collect::<Result<_, _>>()?;
        match list.len() {
            0 => Err(BadSource::Empty),
            n if n > super::roster::MAX_PEERS => Err(BadSource::TooMany(n)),
            _ => Ok(Self::List(list)),
        }
    }
}

impl fmt::Display for PeerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(list) => {
                let list: Vec<&str> = list.iter().map(String::as_str).collect();
                f.write_str(&list.join(","))
            }
            Self::Dns { name, port } => write!(f, "dns://{name}:{port}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Keeps `found` up to date until `shutdown` is ready.
pub async fn discover(
    source: PeerSource,
    found: watch::Sender<Addresses>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut shutdown = pin!(shutdown);
    let mut trouble: Option<String> = None;
    loop {
        let (looked, pause) = match &source {
            PeerSource::List(list) => (Ok(list.clone()), None),
            PeerSource::Dns { name, port } => (resolve(name, *port).await, Some(RESOLVE_EACH)),
            PeerSource::File(path) => (read(path).await, Some(READ_EACH)),
        };
        match looked {
            Ok(addresses) => {
                if trouble.take().is_some() {
                    tracing::info!(%source, "the peers are known again");
                }
                found.send_if_modified(|known| {
                    let news = known.as_ref() != Some(&addresses);
                    if news {
                        tracing::info!(%source, peers = addresses.len(), "peers");
                        *known = Some(addresses);
                    }
                    news
                });
            }
            Err(problem) => {
                if trouble.as_ref() != Some(&problem) {
                    tracing::warn!(%source, "the peers cannot be found: {problem}; those that are known stay");
                    trouble = Some(problem);
                }
            }
        }
        let next = async {
            match pause {
                Some(pause) => sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            () = next => {}
        }
    }
}

async fn resolve(name: &str, port: u16) -> Result<BTreeSet<String>, String> {
    let looking = tokio::net::lookup_host((name, port));
    match tokio::time::timeout(RESOLVE_WITHIN, looking).await {
        Ok(Ok(found)) => Ok(found.map(|address| address.to_string()).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {RESOLVE_WITHIN:?}")),
    }
}

/// All or nothing: a file with a line that is no address is one that is being
/// written, or wrong.
async fn read(path: &Path) -> Result<BTreeSet<String>, String> {
    let text = read_text(path).await.map_err(|error| error.to_string())?;
    let mut addresses = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        addresses.insert(address(line).map_err(|error| format!("line {}: {error}", number + 1))?);
    }
    Ok(addresses)
}

async fn read_text(path: &Path) -> io::Result<String> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        use std::io::Read;
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        file.take(MAX_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_FILE {
            return Err(io::Error::other(format!(
                "it is larger than {MAX_FILE} bytes"
            )));
        }
        Ok(text)
    });
    read.await?
}

fn address(text: &str) -> Result<String, BadSource> {
    host_and_port(text).map(|_| text.to_owned())
}

fn host_and_port(text: &str) -> Result<(&str, u16), BadSource> {
    let bad = || BadSource::Address(text.chars().take(256).collect());
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?;
    let name = |host: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        !host.is_empty() && host.len() <= 253 && host.chars().all(fits)
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    if bracketed || name(host) {
        Ok((host, port))
    } else {
        Err(bad())
    }
}

#[cfg(test)]
mod tests;
