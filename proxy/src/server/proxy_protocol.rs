//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): a
//! load balancer that passes bytes through says before the first of them who
//! the client is.
//!
//! `accept.rs` asks for the header before anything else reads from the
//! connection. Exactly the header is taken from the socket, whatever arrives
//! with it, so that HTTP (or TLS) finds its first byte. A peer that is not
//! trusted is never read from here: it could be anybody.

use super::Drain;
use parking_lot::Mutex;
use rustix::net::RecvFlags;
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, Interest},
    net::TcpStream,
    time::Instant,
};

const V1_PREFIX: &[u8] = b"PROXY ";
/// Section 2.1: the longest line, its end included.
const V1_LONGEST: usize = 107;
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED: usize = 16;
/// Section 2.2 allows 64 KiB. Addresses and what load balancers add to them
/// take a few hundred bytes; nginx and HAProxy have bounds like this one.
const V2_LONGEST: usize = 4096;
/// Refusals are logged this often at the most; all of them are counted.
const LOG_EACH: Duration = Duration::from_secs(1);

/// Whether connections begin with a PROXY protocol header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocolMode {
    /// Never: it would be bad HTTP.
    #[default]
    Off,
    /// Those of trusted peers may.
    Optional,
    /// Only trusted peers may connect, and all must send one.
    Required,
}

/// Why a connection was refused before its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// What came is no valid header.
    Malformed,
    /// The header is required and something else came.
    Missing,
    /// The header was not complete in time.
    Timeout,
    /// The peer closed before the header was complete.
    Closed,
    /// The header is required and the peer is not in a trusted network.
    Untrusted,
}

impl Refused {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Malformed,
        Self::Missing,
        Self::Timeout,
        Self::Closed,
        Self::Untrusted,
    ];

    /// As a metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Untrusted => "untrusted",
        }
    }
}

/// What became of connections at this point.
#[derive(Debug, Default)]
pub struct ProxyProtocolCounters {
    accepted: AtomicU64,
    refused: [AtomicU64; Refused::ALL.len()],
}

impl ProxyProtocolCounters {
    /// Connections that began with a valid header.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: Refused) -> u64 {
        self.refused[reason as usize].load(Ordering::Relaxed)
    }
}

/// The header's state for a proxy as a whole.
#[derive(Debug)]
pub(crate) struct ProxyProtocol {
    mode: ProxyProtocolMode,
    within: Duration,
    pub(crate) counters: ProxyProtocolCounters,
    last_logged: Mutex<Option<Instant>>,
}

/// A refusal and what to tell the operator.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    reason: Refused,
    what: String,
}

impl Problem {
    fn malformed(what: impl Into<String>) -> Self {
        Self {
            reason: Refused::Malformed,
            what: what.into(),
        }
    }

    fn closed() -> Self {
        Self {
            reason: Refused::Closed,
            what: "the peer closed before its header was complete".to_owned(),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::closed(),
            _ => Self {
                reason: Refused::Closed,
                what: format!("the connection broke: {error}"),
            },
        }
    }
}

/// What a connection's first bytes are.
#[derive(Debug, PartialEq, Eq)]
enum Beginning {
    V1,
    V2,
    Other,
    /// They may become a header.
    Undecided,
}

impl ProxyProtocol {
    pub(crate) fn new(mode: ProxyProtocolMode, within: Duration) -> Self {
        Self {
            mode,
            within,
            counters: ProxyProtocolCounters::default(),
            last_logged: Mutex::default(),
        }
    }

    /// Who is at the other end of a new connection: `peer`, or who it says in
    /// its header, which is taken from `stream`. None: the connection is
    /// refused, or the proxy is draining.
    pub(crate) async fn client(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
        is_trusted: bool,
        drain: &Drain,
    ) -> Option<SocketAddr> {
        match (self.mode, is_trusted) {
            (ProxyProtocolMode::Off, _) | (ProxyProtocolMode::Optional, false) => {
                return Some(peer);
            }
            (ProxyProtocolMode::Required, false) => {
                let what = "a PROXY protocol header is required and this peer is in no network of --trusted-proxies";
                self.refuse(peer, Refused::Untrusted, what);
                return None;
            }
            (ProxyProtocolMode::Optional | ProxyProtocolMode::Required, true) => {}
        }
        let read = tokio::select! {
            biased;
            read = self.read(stream) => read,
            () = drain.begun() => return None,
        };
        match read {
            Ok(Some(header)) => {
                self.counters.accepted.fetch_add(1, Ordering::Relaxed);
                Some(header.unwrap_or(peer))
            }
            Ok(None) => Some(peer),
            Err(problem) => {
                self.refuse(peer, problem.reason, &problem.what);
                None
            }
        }
    }

    /// The header, if there is one: the client that it names, or nobody.
    async fn read(&self, stream: &mut TcpStream) -> Result<Option<Option<SocketAddr>>, Problem> {
        let until = Instant::now() + self.within;
        let required = self.mode == ProxyProtocolMode::Required;
        let timeout = |what: &str| Problem {
            reason: Refused::Timeout,
            what: format!("{what} within {:?}", self.within),
        };
        let begins = match tokio::time::timeout_at(until, begin(stream)).await {
            Ok(begins) => begins?,
            // The wait for a header must not cost a slow client its request.
            Err(_elapsed) if !required => Beginning::Other,
            Err(_elapsed) => return Err(timeout("no PROXY protocol header came")),
        };
        let header = async {
            match begins {
                Beginning::V1 => read_v1(stream).await,
                _ => read_v2(stream).await,
            }
        };
        match begins {
            Beginning::Other if required => Err(Problem {
                reason: Refused::Missing,
                what: "the connection does not begin with a PROXY protocol header".to_owned(),
            }),
            Beginning::Undecided if required => Err(Problem::closed()),
            Beginning::Other | Beginning::Undecided => Ok(None),
            Beginning::V1 | Beginning::V2 => tokio::time::timeout_at(until, header)
                .await
                .map_err(|_elapsed| timeout("the PROXY protocol header was not complete"))?
                .map(Some),
        }
    }

    fn refuse(&self, peer: SocketAddr, reason: Refused, what: &str) {
        self.counters.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let is_due = {
            let mut last = self.last_logged.lock();
            let is_due = last.is_none_or(|last| now - last >= LOG_EACH);
            if is_due {
                *last = Some(now);
            }
            is_due
        };
        // Load balancers check a port by opening and closing it.
        if is_due && reason != Refused::Closed {
            tracing::warn!(%peer, reason = reason.as_str(), "connection refused: {what}");
        } else {
            tracing::debug!(%peer, reason = reason.as_str(), "connection refused: {what}");
        }
    }
}

/// Tells what a connection begins with, and takes nothing from it. Undecided:
/// the peer closed too early to tell.
async fn begin(stream: &TcpStream) -> io::Result<Beginning> {
    let mut buffer = [0; V2_SIGNATURE.len()];
    let mut seen = 0;
    loop {
        let count = peek_beyond(stream, &mut buffer, seen).await?;
        let begins = Beginning::of(&buffer[..count]);
        if begins != Beginning::Undecided || count == seen {
            return Ok(begins);
        }
        seen = count;
    }
}

impl Beginning {
    fn of(bytes: &[u8]) -> Self {
        let is = |whole: &[u8]| bytes.starts_with(whole);
        let may_become = |whole: &[u8]| whole.starts_with(bytes);
        if is(V1_PREFIX) {
            Self::V1
        } else if is(V2_SIGNATURE) {
            Self::V2
        } else if may_become(V1_PREFIX) || may_become(V2_SIGNATURE) {
            Self::Undecided
        } else {
            Self::Other
        }
    }
}

/// Peeks until more than `seen` bytes are there, or nothing more will come.
/// Gives how many there are, at most as many as fit.
///
/// Cancel safe. Once it was cut off by a timeout, the runtime's knowledge of
/// the socket is whole again: it forgets only what it was told before the
/// look that found nothing new.
async fn peek_beyond(stream: &TcpStream, buffer: &mut [u8], seen: usize) -> io::Result<usize> {
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let peeked = stream.try_io(Interest::READABLE, || {
            let (count, _) = rustix::net::recv(stream, &mut *buffer, RecvFlags::PEEK)?;
            if count > seen || ready.is_read_closed() {
                Ok(count)
            } else {
                // Wait for news instead of looking at the same again.
                Err(io::ErrorKind::WouldBlock.into())
            }
        });
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            peeked => return peeked,
        }
    }
}

/// Section 2.1, the text line.
async fn read_v1(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Problem> {
    let mut line = [0; V1_LONGEST];
    let mut seen = 0;
    let length = loop {
        let count = peek_beyond(stream, &mut line, seen).await?;
        if let Some(at) = line[..count].iter().position(|&byte| byte == b'\n') {
            break at + 1;
        }
        if count == V1_LONGEST {
            let what = format!("a version 1 header without an end in its first {V1_LONGEST} bytes");
            return Err(Problem::malformed(what));
        }
        if count == seen {
            return Err(Problem::closed());
        }
        seen = count;
    };
    stream.read_exact(&mut line[..length]).await?;
    parse_v1(&line[..length])
}

/// Section 2.2, the binary header.
async fn read_v2(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Problem> {
    let mut fixed = [0; V2_FIXED];
    stream.read_exact(&mut fixed).await?;
    let [.., high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if V2_FIXED + length > V2_LONGEST {
        let what = format!(
            "a version 2 header of {} bytes; {V2_LONGEST} are allowed",
            V2_FIXED + length
        );
        return Err(Problem::malformed(what));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    parse_v2(&fixed, &rest)
}

/// `PROXY TCP4 <source> <destination> <port> <port>` and CRLF.
fn parse_v1(line: &[u8]) -> Result<Option<SocketAddr>, Problem> {
    let malformed = |what: &dyn fmt::Display| Problem::malformed(format!("version 1: {what}"));
    let text = line
        .strip_suffix(b"\r\n")
        .ok_or_else(|| malformed(&"the line does not end with CRLF"))?;
    let text = std::str::from_utf8(text).map_err(|_| malformed(&"the line is not ASCII"))?;
    let mut words = text.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // Whatever follows is to be ignored.
        return Ok(None);
    }
    let mut word = |name: &'static str| {
        let word = words.next().filter(|word| !word.is_empty());
        word.ok_or_else(|| malformed(&format_args!("the {name} is missing")))
    };
    let ip: fn(&str) -> Option<IpAddr> = match family {
        "TCP4" => |text| Ipv4Addr::from_str(text).ok().map(IpAddr::V4),
        "TCP6" => |text| Ipv6Addr::from_str(text).ok().map(IpAddr::V6),
        _ => {
            let what = format!("the protocol {family:?} is none of TCP4, TCP6, UNKNOWN");
            return Err(malformed(&what));
        }
    };
    let address = |name, text: &str| {
        ip(text).ok_or_else(|| {
            malformed(&format_args!(
                "the {name} {text:?} is no address of {family}"
            ))
        })
    };
    let source = address("source address", word("source address")?)?;
    address("destination address", word("destination address")?)?;
    let port = |name, text: &str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let leads = text.len() > 1 && text.starts_with('0');
        let port = u16::from_str(text).ok().filter(|_| plain && !leads);
        port.ok_or_else(|| malformed(&format_args!("the {name} {text:?} is no port")))
    };
    let source_port = port("source port", word("source port")?)?;
    port("destination port", word("destination port")?)?;
    if words.next().is_some() {
        return Err(malformed(&"something follows the destination port"));
    }
    Ok(Some(SocketAddr::new(source, source_port)))
}

/// `rest`: addresses, then TLVs, as long as the fixed part says.
fn parse_v2(fixed: &[u8; V2_FIXED], rest: &[u8]) -> Result<Option<SocketAddr>, Problem> {
    let malformed = |what: &dyn fmt::Display| Problem::malformed(format!("version 2: {what}"));
    let (version_command, family) = (fixed[12], fixed[13]);
    if version_command >> 4 != 2 {
        let what = format!("the version is {}", version_command >> 4);
        return Err(malformed(&what));
    }
    let is_local = match version_command & 0xf {
        0 => true,
        1 => false,
        command => return Err(malformed(&format_args!("the command {command} is unknown"))),
    };
    // How long the addresses are; of the source, the address and the port.
    let (name, length) = match family {
        _ if is_local => ("", 0),
        0x00 => ("unspecified", 0),
        0x11 => ("TCP over IPv4", 12),
        0x21 => ("TCP over IPv6", 36),
        0x31 => ("a UNIX stream", 216),
        0x12 | 0x22 | 0x32 => {
            return Err(malformed(&"the client's connection is no stream"));
        }
        _ => {
            let what = format!("the address family and protocol {family:#04x} are unknown");
            return Err(malformed(&what));
        }
    };
    if is_local || family == 0x00 {
        // The real connection's; what follows is to be ignored.
        return Ok(None);
    }
    let Some((addresses, tlvs)) = rest.split_at_checked(length) else {
        let what = format!("{} bytes of addresses; {name} takes {length}", rest.len());
        return Err(malformed(&what));
    };
    skip_tlvs(tlvs).map_err(|what| malformed(&what))?;
    Ok(match (family, addresses) {
        (0x11, &[a, b, c, d, _, _, _, _, high, low, ..]) => {
            let port = u16::from_be_bytes([high, low]);
            Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port))
        }
        (0x21, addresses) => {
            let source = addresses.first_chunk::<16>().copied();
            let port = addresses.get(32..34).and_then(<[u8]>::first_chunk::<2>);
            source.zip(port).map(|(source, port)| {
                SocketAddr::new(Ipv6Addr::from(source).into(), u16::from_be_bytes(*port))
            })
        }
        // A path says nothing about a network.
        _ => None,
    })
}

/// Type, length, value, again and again (section 2.2.7); none is of use here.
fn skip_tlvs(mut tlvs: &[u8]) -> Result<(), String> {
    while !tlvs.is_empty() {
        let &[kind, high, low, ref rest @ ..] = tlvs else {
            return Err("the last TLV has no length".to_owned());
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        tlvs = rest.get(length..).ok_or_else(|| {
            format!("the TLV {kind:#04x} is longer than what is left of the header")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
