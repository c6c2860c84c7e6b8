//! Readiness: asking a starting replica, or an address that a cluster calls not
//! ready yet, until it can serve.

use crate::manifest::Readiness;
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use proxy::ProbePace;
use std::{io, net::SocketAddr, pin::pin, time::Duration};
use tokio::net::TcpStream;

/// How long one question may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Resolves when `addr` is ready. Asks every 10 ms at first, then less often
/// (see [`ProbePace`]). Never gives up; put it under a deadline. Cancel safe.
pub(crate) async fn until_ready(addr: SocketAddr, readiness: &Readiness) {
    let pace = ProbePace::new();
    while !is_ready(addr, readiness).await {
        tokio::time::sleep(pace.next_delay()).await;
    }
}

async fn is_ready(addr: SocketAddr, readiness: &Readiness) -> bool {
    let question = async {
        let stream = TcpStream::connect(addr).await?;
        match readiness {
            Readiness::Tcp => Ok(true),
            Readiness::Http { path } => get(stream, addr, path).await,
        }
    };
    matches!(
        tokio::time::timeout(ANSWER_LIMIT, question).await,
        Ok(Ok(true))
    )
}

/// As the kubelet judges it: 200 to 399 is ready.
async fn get(stream: TcpStream, addr: SocketAddr, path: &str) -> io::Result<bool> {
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(header::HOST, addr.to_string())
        .header(
            header::USER_AGENT,
            concat!("reveille-probe/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONNECTION, "close")
        .body(Empty::<&[u8]>::new())
        .map_err(io::Error::other)?;
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // It may have answered and closed in one go; if it did not answer,
        // this is an error.
        _ended = connection => answer.await,
    };
    let status = answer.map_err(io::Error::other)?.status();
    Ok(status.is_success() || status.is_redirection())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    async fn server(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a probe");
                let mut head = [0; 1024];
                let _read = stream.read(&mut head).await.expect("a request");
                stream.write_all(answer.as_bytes()).await.expect("answered");
            }
        });
        addr
    }

    #[tokio::test]
    async fn http_readiness_waits_for_a_good_status() {
        let readiness = Readiness::Http {
            path: "/healthz".into(),
        };
        let addr = server(&[
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            "not http\r\n\r\n",
            "",
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ])
        .await;
        for ready in [false, false, false, true, true] {
            assert_eq!(is_ready(addr, &readiness).await, ready);
        }
        until_refused(addr).await;
        assert!(!is_ready(addr, &Readiness::Tcp).await);
    }

    /// The server's task drops its listener after the last answer.
    async fn until_refused(addr: SocketAddr) {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn tcp_readiness_is_an_accepted_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        until_ready(addr, &Readiness::Tcp).await;
    }
}
