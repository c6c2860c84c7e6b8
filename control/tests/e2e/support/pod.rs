//! A stand-in for a Pod: an HTTP server on a loopback address of its own that
//! answers every request with its name.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// A running Pod.
pub(crate) struct Pod {
    pub(crate) name: String,
    addr: SocketAddr,
    requests: Arc<AtomicUsize>,
    is_stopped: Arc<AtomicBool>,
}

impl Pod {
    /// One that accepts connections at once.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_at(name, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The same at an address that is known already.
    pub(crate) fn start_at(name: &str, addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).expect("a port");
        let addr = listener.local_addr().expect("bound");
        let requests = Arc::new(AtomicUsize::new(0));
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (counted, stopped, said) = (requests.clone(), is_stopped.clone(), name.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { return };
                let (counted, said) = (counted.clone(), said.clone());
                thread::spawn(move || serve(stream, &said, &counted));
            }
        });
        Self {
            name: name.to_owned(),
            addr,
            requests,
            is_stopped,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Requests that it answered.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the one that accepts.
        let _woken = TcpStream::connect(self.addr);
    }
}

fn serve(stream: TcpStream, name: &str, requests: &AtomicUsize) {
    let mut reader = BufReader::new(stream);
    while has_request(&mut reader) {
        requests.fetch_add(1, Ordering::SeqCst);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}",
            name.len()
        );
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads the head of a request. Who only connects, as a probe does, sends none.
fn has_request(reader: &mut impl BufRead) -> bool {
    let mut line = String::new();
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return false,
            Ok(_) if line == "\r\n" => return true,
            Ok(_) => {}
        }
    }
}
