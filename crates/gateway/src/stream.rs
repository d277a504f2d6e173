//! The transport under HTTP and WebSocket: TCP or TLS, and a record of the
//! head of a request.
//!
//! The HTTP library folds header names to lower case, but handlers see them as
//! the client wrote them; so the head is kept as it came until it was read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: Transport,
    /// Records heads of requests, until the connection is a WebSocket.
    head: Option<Arc<Head>>,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The first bytes of a request.
#[derive(Debug)]
pub(crate) struct Head {
    bytes_max: usize,
    state: Mutex<Option<Vec<u8>>>,
}

impl Head {
    /// A record of at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, state: Mutex::new(Some(Vec::new())) })
    }

    /// What was recorded; ends the recording. `None` the second time, or if the
    /// head was too long.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        self.state.lock().take()
    }

    /// Records the next request.
    pub(crate) fn restart(&self) {
        *self.state.lock() = Some(Vec::new());
    }

    fn record(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        let Some(recorded) = state.as_mut() else { return };
        if self.bytes_max < recorded.len() + bytes.len() {
            *state = None;
        } else {
            recorded.extend_from_slice(bytes);
        }
    }
}

impl Stream {
    /// A plain TCP connection.
    pub(crate) fn plain(stream: TcpStream, head: Arc<Head>) -> Self {
        Self { transport: Transport::Plain(stream), head: Some(head) }
    }

    /// Ends the recording: no request follows any more.
    pub(crate) fn stop_recording(&mut self) {
        self.head = None;
    }

    /// Whether bytes go to the network as they are.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.transport, Transport::Plain(_))
    }

    /// A TLS connection.
    pub(crate) fn tls(stream: TlsStream<TcpStream>, head: Arc<Head>) -> Self {
        Self { transport: Transport::Tls(Box::new(stream)), head: Some(head) }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if let Some(head) = &self.head
            && polled.is_ready()
        {
            head.record(&buf.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
