//! A sidecar of Dapr, as whoever fetches its metrics sees it.

use super::wait_until;
use parking_lot::Mutex;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A sidecar: serves the same page to all until the test gives it another.
pub(crate) struct Sidecar {
    addr: SocketAddr,
    page: Arc<Mutex<String>>,
    served: Arc<AtomicUsize>,
}

impl Sidecar {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let sidecar = Self {
            addr: listener.local_addr().expect("bound"),
            page: Arc::default(),
            served: Arc::default(),
        };
        let (page, served) = (sidecar.page.clone(), sidecar.served.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (page, served) = (page.clone(), served.clone());
                thread::spawn(move || serve(stream, &page, &served));
            }
        });
        sidecar
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on this is its page.
    pub(crate) fn says(&self, page: &str) {
        page.clone_into(&mut self.page.lock());
    }

    /// Calls that the sidecar has counted; none: the row is not there yet.
    pub(crate) fn counts(&self, calls: u32) {
        let row = match calls {
            0 => String::new(),
            _ => format!(
                "# TYPE dapr_runtime_service_invocation_req_sent_total counter\n\
                 dapr_runtime_service_invocation_req_sent_total\
                 {{app_id=\"pythonapp\",dst_app_id=\"web\",type=\"unary\"}} {calls}\n"
            ),
        };
        let other = "# TYPE go_goroutines gauge\ngo_goroutines 7\n";
        self.says(&format!("{row}{other}"));
    }

    /// Waits until it has served so many pages more.
    pub(crate) fn until_served(&self, more: usize) {
        let wanted = self.served.load(Ordering::Relaxed) + more;
        wait_until("the page is fetched", || {
            self.served.load(Ordering::Relaxed) >= wanted
        });
    }
}

fn serve(mut stream: TcpStream, page: &Mutex<String>, served: &AtomicUsize) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let body = page.lock().clone();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
        served.fetch_add(1, Ordering::Relaxed);
    }
}
