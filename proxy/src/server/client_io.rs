//! A client's socket that can be watched for the client leaving while nobody
//! reads from it.
//!
//! A held request's body stays unread, and so do requests behind it, so an
//! end of stream after them would go unnoticed. [`ClientSocket::gone`] asks the kernel for news instead of
//! bytes. To be told of news only, it has to forget that bytes are there;
//! [`ClientIo`] makes up for that by trying the socket before it trusts the
//! runtime's knowledge again.

use super::activity::Activity;
use bytes::{Buf, Bytes};
use socket2::SockRef;
use std::{
    io::{self, IoSlice, Read},
    net::Shutdown,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// The socket, shared by the connection and by whoever watches it.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    stream: TcpStream,
    /// Readiness was forgotten: bytes may be there although the runtime does
    /// not know.
    forgotten: AtomicBool,
    activity: Arc<Activity>,
}

impl ClientSocket {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>) -> Arc<Self> {
        Arc::new(Self {
            stream,
            forgotten: AtomicBool::new(false),
            activity,
        })
    }

    /// Resolves when the client has closed its side or the connection broke.
    /// A client that only ends its sending side counts as gone, as in hyper.
    ///
    /// Must run in the task that reads from the socket: it takes the runtime's
    /// knowledge away, and only `poll_read` in that task makes up for it.
    /// Cancel safe.
    pub(crate) async fn gone(&self) {
        loop {
            self.forgotten.store(true, Ordering::Relaxed);
            let forget = || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock));
            // Answers "would block" by design; that is what clears readiness.
            let _cleared = self.stream.try_io(Interest::READABLE, forget);
            match self.stream.ready(Interest::READABLE).await {
                Ok(ready) if !ready.is_read_closed() => {}
                _ => return,
            }
        }
    }

    /// Lets the next read ask the socket itself, whatever the runtime knows:
    /// for whoever closes the connection if nothing is there.
    pub(crate) fn look_again(&self) {
        self.forgotten.store(true, Ordering::Relaxed);
    }

    /// Ends both directions at once: whoever reads or writes finds it closed.
    pub(super) fn cut(&self) {
        // It may be closed already.
        let _cut = SockRef::from(&self.stream).shutdown(Shutdown::Both);
    }

    /// Reads bytes that the runtime knows of. A read that leaves room in the
    /// buffer took all there was, so it also tells the runtime to wait for
    /// news: otherwise each request would cost one more read that finds
    /// nothing. (News that came in since then are not forgotten: the runtime
    /// compares the times.)
    fn read_known(&self, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
        let room = buffer.remaining();
        let mut read = Err(io::ErrorKind::WouldBlock.into());
        let _readiness = self.stream.try_io(Interest::READABLE, || {
            read = self.stream.try_read_buf(buffer);
            match read {
                Ok(count) if 0 < count && count < room => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        });
        read
    }

    fn read_unasked(&self, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
        let socket = SockRef::from(&self.stream);
        let count = (&*socket).read(buffer.initialize_unfilled())?;
        buffer.advance(count);
        Ok(count)
    }
}

/// The connection's half.
#[derive(Debug)]
pub(crate) struct ClientIo {
    socket: Arc<ClientSocket>,
    /// What was read and not understood by whoever read it. It comes first.
    unread: Bytes,
}

impl ClientIo {
    pub(crate) fn new(socket: Arc<ClientSocket>) -> Self {
        Self {
            socket,
            unread: Bytes::new(),
        }
    }

    /// Puts back what was read. Nothing else may be put back at the time.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        debug_assert!(self.unread.is_empty(), "put back twice");
        self.unread = bytes;
    }

    pub(crate) fn socket(&self) -> &ClientSocket {
        &self.socket
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    fn read_again(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..count]);
        self.unread.advance(count);
        if self.unread.is_empty() {
            // Lets go of the memory, which an empty slice would keep.
            self.unread = Bytes::new();
        }
    }

    fn poll_read_socket(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = &self.socket;
        if socket.forgotten.load(Ordering::Relaxed) {
            match socket.read_unasked(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Drained: from here on the runtime knows again.
                    socket.forgotten.store(false, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                read => return Poll::Ready(read.map(|_count| ())),
            }
        }
        loop {
            ready!(socket.stream.poll_read_ready(cx))?;
            match socket.read_known(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|_count| ())),
            }
        }
    }

    fn poll_write_socket(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let ClientSocket {
            stream, activity, ..
        } = &*self.socket;
        loop {
            if stream.poll_write_ready(cx)?.is_pending() {
                activity.wrote(false);
                return Poll::Pending;
            }
            match write(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    activity.wrote(true);
                    return Poll::Ready(written);
                }
            }
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_unread() {
            self.read_again(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = self.poll_read_socket(cx, buffer);
        if buffer.filled().len() > before {
            self.socket.activity.received();
        }
        read
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_socket(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_socket(cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = SockRef::from(&self.socket.stream).shutdown(Shutdown::Write);
        // The peer may have closed first; that is what was wanted.
        Poll::Ready(shut.or_else(|error| match error.kind() {
            io::ErrorKind::NotConnected => Ok(()),
            _ => Err(error),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Drain, sweep::Sweep};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    fn sweep() -> Arc<Sweep> {
        Sweep::new(Default::default(), Drain::new().subscribe())
    }

    async fn pair() -> (TcpStream, ClientIo) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await;
        let (server, _) = listener.accept().await.expect("a connection");
        (
            client.expect("a connection"),
            ClientIo::new(ClientSocket::new(
                server,
                sweep().watch().activity().clone(),
            )),
        )
    }

    #[tokio::test]
    async fn a_client_that_leaves_behind_unread_bytes_is_noticed() {
        let (mut client, io) = pair().await;
        client.write_all(b"unread body").await.expect("sent");
        io.socket.stream.readable().await.expect("bytes arrive");
        let socket = io.socket.clone();
        let watch = tokio::spawn(async move { socket.gone().await });
        tokio::task::yield_now().await;
        assert!(!watch.is_finished());
        client.write_all(b" and more").await.expect("sent");
        drop(client);
        watch.await.expect("notices");
    }

    #[tokio::test]
    async fn bytes_that_were_there_before_the_watch_are_read_after_it() {
        let (mut client, mut io) = pair().await;
        client.write_all(b"0123456789").await.expect("sent");
        io.socket.stream.readable().await.expect("bytes arrive");
        tokio::select! {
            biased;
            () = io.socket.gone() => panic!("the client is still there"),
            () = tokio::task::yield_now() => {}
        }
        let mut small = [0; 4];
        io.read_exact(&mut small).await.expect("the first part");
        assert_eq!(&small, b"0123");
        let mut rest = [0; 6];
        io.read_exact(&mut rest)
            .await
            .expect("the rest, without a new event");
        assert_eq!(&rest, b"456789");
        client.write_all(b"x").await.expect("sent");
        assert_eq!(io.read_u8().await.expect("later bytes"), b'x');
        drop(client);
        assert_eq!(io.read(&mut small).await.expect("end of stream"), 0);
    }

    #[tokio::test]
    async fn what_was_put_back_comes_first_and_only_once() {
        let (mut client, mut io) = pair().await;
        client.write_all(b"6789").await.expect("sent");
        io.unread(Bytes::from_static(b"012345"));
        let mut bytes = [0; 10];
        io.read_exact(&mut bytes).await.expect("all of it");
        assert_eq!(&bytes, b"0123456789");
        assert!(!io.has_unread());
    }
}
