//! The addresses of one cluster: 127.A.B.1 and so on, with the same ports on
//! each, as Pods have it.
//!
//! A network is taken for as long as it lives, against other tests and other
//! processes: by a listener at its last address. Ports are below those that
//! the system gives to whoever asks for any, so nobody meets them by accident.

use parking_lot::Mutex;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// Whoever listens here has the network.
const TAKEN: u16 = 20_404;
/// Hosts: the last address is the lock's.
const LAST: u8 = 254;

/// The network of one cluster.
#[derive(Debug)]
pub(crate) struct Network {
    lock: TcpListener,
    next: Mutex<u8>,
}

impl Network {
    /// One that nobody has.
    pub(crate) fn new() -> Self {
        let all = (100..=250).flat_map(|a| (1..=254).map(move |b| Ipv4Addr::new(127, a, b, LAST)));
        let lock = all
            .into_iter()
            .find_map(|last| TcpListener::bind((last, TAKEN)).ok());
        Self {
            lock: lock.expect("a network that nobody has"),
            next: Mutex::new(1),
        }
    }

    /// An address that nobody had before.
    pub(crate) fn address(&self) -> IpAddr {
        let mut next = self.next.lock();
        assert!(*next < LAST, "a test has that many Pods");
        let SocketAddr::V4(lock) = self.lock.local_addr().expect("bound") else {
            unreachable!("it was bound to IPv4")
        };
        let [a, b, c, _] = lock.ip().octets();
        let address = Ipv4Addr::new(a, b, c, *next);
        *next += 1;
        address.into()
    }
}
