//! A free loopback port for a replica.
//!
//! Taken from below the range that the kernel gives to outgoing connections
//! (32768 and up): otherwise any connection of ours could take the port
//! between the choice and the replica's bind, and a probe of a port where
//! nobody listens yet could connect to itself.
//!
//! Another Reveille on this machine looks for ports in the same way, and a
//! replica can take seconds to bind its own: on Linux, a port is therefore
//! claimed for as long as its replica lives.

use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
};

const PORTS: Range<u16> = 20_000..32_768;
const ATTEMPTS: usize = 200;
/// Ports given out lately are not given out again: their replicas may not
/// have bound them yet.
const REMEMBERED: usize = 1_024;

static RECENT: Mutex<VecDeque<u16>> = Mutex::new(VecDeque::new());

/// A loopback address that is one replica's until this is dropped.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) addr: SocketAddr,
    _claim: Claim,
}

#[cfg(target_os = "linux")]
type Claim = std::os::unix::net::UnixDatagram;

/// A name in the abstract namespace, which is as wide as that of ports and
/// forgets its names when their owners end.
#[cfg(target_os = "linux")]
fn claim(port: u16) -> io::Result<Claim> {
    use std::os::{linux::net::SocketAddrExt, unix::net};
    let name = net::SocketAddr::from_abstract_name(format!("reveille-replica-port-{port}"))?;
    Claim::bind_addr(&name)
}

#[cfg(not(target_os = "linux"))]
type Claim = ();

#[cfg(not(target_os = "linux"))]
fn claim(_port: u16) -> io::Result<Claim> {
    Ok(())
}

/// A loopback address that nobody listens on.
///
/// # Errors
/// No free port was found.
pub(super) fn free() -> io::Result<Port> {
    let mut recent = RECENT.lock();
    for _ in 0..ATTEMPTS {
        let port = fastrand::u16(PORTS);
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if !recent.contains(&port)
            && let Ok(claim) = claim(port)
            && TcpListener::bind(addr).is_ok()
        {
            if recent.len() == REMEMBERED {
                recent.pop_front();
            }
            recent.push_back(port);
            return Ok(Port {
                addr,
                _claim: claim,
            });
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "no free port from 20000 to 32767",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ports_are_free_distinct_and_outside_of_the_outgoing_range() {
        let ports: HashSet<u16> = (0..100)
            .map(|_| free().expect("a free port").addr.port())
            .collect();
        assert_eq!(ports.len(), 100);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }
    #[cfg(target_os = "linux")]
    #[test]
    fn a_port_is_claimed_until_it_is_dropped() {
        let port = free().expect("a free port");
        let number = port.addr.port();
        assert_eq!(claim(number).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(port);
        claim(number).expect("given back");
    }
}
