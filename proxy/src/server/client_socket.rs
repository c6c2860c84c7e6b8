//! A client's socket that can be watched for the client leaving while nobody
//! reads from it.
//!
//! A held request's body stays unread, and so do requests behind it, so an
//! end of stream after them would go unnoticed. [`ClientSocket::gone`] asks the kernel for news instead of
//! bytes. To be told of news only, it has to forget that bytes are there;
//! [`RawIo`] makes up for that by trying the socket before it trusts the
//! runtime's knowledge again.
//!
//! For requests that an endpoint works on, [`ClientSocket::look`] is enough:
//! it sees the end of the stream if nothing comes before it. hyper could do
//! that too, but by reading, into a new buffer for each request.

use super::activity::Activity;
use socket2::SockRef;
use std::{
    io::{self, IoSlice, Read},
    mem::MaybeUninit,
    net::Shutdown,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
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
    /// What happened last: see [`last`].
    last: AtomicU8,
    activity: Arc<Activity>,
}

/// What was last done about reading.
mod last {
    /// Whoever reads asked for bytes.
    pub(super) const READ: u8 = 0;
    /// A look found bytes.
    pub(super) const FOUND: u8 = 1;
    /// A look found nothing.
    pub(super) const QUIET: u8 = 2;
}

/// What there is to read from a client, see [`ClientSocket::look`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    Nothing,
    Bytes,
    /// Only the end of the stream.
    End,
}

impl ClientSocket {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>) -> Arc<Self> {
        Arc::new(Self {
            stream,
            forgotten: AtomicBool::new(false),
            last: AtomicU8::new(last::READ),
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

    /// What is there to read? Reads nothing, and wakes the task when something
    /// comes where nothing was; bytes hide what comes behind them. Costs no
    /// system call while nothing happens.
    ///
    /// For the task that reads from the socket, and only if it is in clear:
    /// TLS has to read to know the end.
    pub(super) fn look(&self, cx: &mut Context<'_>) -> Unread {
        let last = self.last.load(Ordering::Relaxed);
        if last == last::FOUND {
            return Unread::Bytes;
        }
        self.last.store(last::QUIET, Ordering::Relaxed);
        let peek = || loop {
            match SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                seen => return seen,
            }
        };
        let would_block = |seen: &io::Result<usize>| matches!(seen, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        if self.forgotten.load(Ordering::Relaxed) {
            let seen = peek();
            if !would_block(&seen) {
                return self.found(&seen);
            }
            self.forgotten.store(false, Ordering::Relaxed);
        }
        loop {
            match self.stream.poll_read_ready(cx) {
                Poll::Pending => return Unread::Nothing,
                Poll::Ready(Err(_)) => return Unread::End,
                // It did not read to the end, and most likely goes on with
                // it: it would be a waste to ask before.
                Poll::Ready(Ok(())) if last == last::READ => {
                    cx.waker().wake_by_ref();
                    return Unread::Nothing;
                }
                Poll::Ready(Ok(())) => {
                    let seen = self.stream.try_io(Interest::READABLE, peek);
                    if !would_block(&seen) {
                        return self.found(&seen);
                    }
                }
            }
        }
    }

    fn found(&self, seen: &io::Result<usize>) -> Unread {
        match seen {
            Ok(1..) => {
                self.last.store(last::FOUND, Ordering::Relaxed);
                Unread::Bytes
            }
            Ok(0) | Err(_) => Unread::End,
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

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.last.store(last::READ, Ordering::Relaxed);
        if self.forgotten.load(Ordering::Relaxed) {
            match self.read_unasked(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Drained: from here on the runtime knows again.
                    self.forgotten.store(false, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                read => return Poll::Ready(read.map(|_count| ())),
            }
        }
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.read_known(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|_count| ())),
            }
        }
    }

    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.stream.poll_write_ready(cx)?.is_pending() {
                self.activity.wrote(false);
                return Poll::Pending;
            }
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.activity.wrote(true);
                    return Poll::Ready(written);
                }
            }
        }
    }

    /// Bytes came that mean something.
    pub(super) fn received(&self) {
        self.activity.received();
    }
}

/// The bytes of the socket, as they are.
#[derive(Debug)]
pub(crate) struct RawIo(pub(super) Arc<ClientSocket>);

impl AsyncRead for RawIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for RawIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0
            .poll_write(cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = SockRef::from(&self.0.stream).shutdown(Shutdown::Write);
        // The peer may have closed first; that is what was wanted.
        Poll::Ready(shut.or_else(|error| match error.kind() {
            io::ErrorKind::NotConnected => Ok(()),
            _ => Err(error),
        }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::server::{Drain, sweep::Sweep};
    use std::future::poll_fn;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    fn sweep() -> Arc<Sweep> {
        Sweep::new(Default::default(), Drain::new().subscribe())
    }

    pub(in crate::server) async fn pair() -> (TcpStream, RawIo) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await;
        let (server, _) = listener.accept().await.expect("a connection");
        (
            client.expect("a connection"),
            RawIo(ClientSocket::new(
                server,
                sweep().watch().activity().clone(),
            )),
        )
    }

    #[tokio::test]
    async fn a_client_that_leaves_behind_unread_bytes_is_noticed() {
        let (mut client, io) = pair().await;
        client.write_all(b"unread body").await.expect("sent");
        io.0.stream.readable().await.expect("bytes arrive");
        let socket = io.0.clone();
        let watch = tokio::spawn(async move { socket.gone().await });
        tokio::task::yield_now().await;
        assert!(!watch.is_finished());
        client.write_all(b" and more").await.expect("sent");
        drop(client);
        watch.await.expect("notices");
    }

    #[tokio::test]
    async fn a_look_sees_the_end_unless_bytes_come_first() {
        let look = async |io: &RawIo, wanted| {
            poll_fn(|cx| match io.0.look(cx) {
                found if found == wanted => Poll::Ready(()),
                found => {
                    assert_eq!(found, Unread::Nothing);
                    Poll::Pending
                }
            })
            .await;
        };
        let (mut client, mut io) = pair().await;
        look(&io, Unread::Nothing).await;
        client.write_all(b"ab").await.expect("sent");
        look(&io, Unread::Bytes).await;
        client.shutdown().await.expect("open");
        assert_eq!(io.read_u8().await.expect("a byte"), b'a');
        look(&io, Unread::Bytes).await;
        assert_eq!(io.read_u8().await.expect("a byte"), b'b');
        look(&io, Unread::End).await;
    }

    #[tokio::test]
    async fn a_look_after_a_watch_asks_the_socket_itself() {
        let (mut client, io) = pair().await;
        client.write_all(b"unread").await.expect("sent");
        io.0.stream.readable().await.expect("bytes arrive");
        tokio::select! {
            biased;
            () = io.0.gone() => panic!("the client is still there"),
            () = tokio::task::yield_now() => {}
        }
        let seen = poll_fn(|cx| Poll::Ready(io.0.look(cx))).await;
        assert_eq!(seen, Unread::Bytes, "without a new event");
    }

    #[tokio::test]
    async fn bytes_that_were_there_before_the_watch_are_read_after_it() {
        let (mut client, mut io) = pair().await;
        client.write_all(b"0123456789").await.expect("sent");
        io.0.stream.readable().await.expect("bytes arrive");
        tokio::select! {
            biased;
            () = io.0.gone() => panic!("the client is still there"),
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
}
