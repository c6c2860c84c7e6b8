//! A free loopback port for a replica.
//!
//! Taken from below the range that the kernel gives to outgoing connections
//! (32768 and up): otherwise any connection of ours could take the port
//! between the choice and the replica's bind, and a probe of a port where
//! nobody listens yet could connect to itself.

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

/// A loopback address that nobody listens on.
///
/// # Errors
/// No free port was found.
pub(super) fn free() -> io::Result<SocketAddr> {
    let mut recent = RECENT.lock();
    for _ in 0..ATTEMPTS {
        let port = fastrand::u16(PORTS);
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if !recent.contains(&port) && TcpListener::bind(addr).is_ok() {
            if recent.len() == REMEMBERED {
                recent.pop_front();
            }
            recent.push_back(port);
            return Ok(addr);
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
            .map(|_| free().expect("a free port").port())
            .collect();
        assert_eq!(ports.len(), 100);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }
}
