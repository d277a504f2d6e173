//! HTTP/1.1 as bytes: what our clients send and what our servers answer.
//!
//! It is deliberately plain: it never repairs what it reads, so a test sees
//! what really travelled.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for the other side in any test; nothing healthy comes near it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Largest message head a test reads.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// One TCP connection with the bytes read ahead.
pub(crate) struct Wire {
    /// The connection itself, whatever is spoken on it.
    socket: TcpStream,
    stream: Box<dyn Stream>,
    ahead: Vec<u8>,
}

/// What bytes travel on: TCP, or TLS above it.
pub(crate) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// Head and body of a request or a response.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Request line or status line, without its line end.
    pub(crate) start: String,
    /// Headers as received, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect_timeout(&address, DEADLINE)?)
    }

    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        let socket = stream.try_clone()?;
        Ok(Self { socket, stream: Box::new(stream), ahead: Vec::new() })
    }

    /// Speaks `cover` over this connection from now on, on which nothing was said yet.
    pub(crate) fn cover(
        self,
        cover: impl FnOnce(TcpStream) -> io::Result<Box<dyn Stream>>,
    ) -> io::Result<Self> {
        let stream = cover(self.socket.try_clone()?)?;
        Ok(Self { socket: self.socket, stream, ahead: Vec::new() })
    }

    /// Waits up to `limit` for the other side instead of [`DEADLINE`].
    pub(crate) fn wait_up_to(&self, limit: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(limit))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Ends the connection; unread bytes make the kernel send a reset.
    pub(crate) fn abort(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Reads exactly `count` bytes; `None` at a clean end before the first.
    pub(crate) fn read_exact(&mut self, count: usize) -> io::Result<Option<Vec<u8>>> {
        while self.ahead.len() < count {
            if self.fill()? == 0 {
                if self.ahead.is_empty() {
                    return Ok(None);
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Some(self.ahead.drain(..count).collect()))
    }

    /// Reads to the end of the stream; a reset counts as an end.
    pub(crate) fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => return Err(error),
            }
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Reads a head; `None` when the stream ends before its first byte.
    pub(crate) fn read_head(&mut self) -> io::Result<Option<Message>> {
        let end = loop {
            if let Some(at) = find(&self.ahead, b"\r\n\r\n") {
                break at;
            }
            if HEAD_BYTES_MAX < self.ahead.len() {
                return Err(io::Error::other("head too large"));
            }
            if self.fill()? == 0 {
                if self.ahead.is_empty() {
                    return Ok(None);
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head: Vec<u8> = self.ahead.drain(..end + 4).collect();
        let text = String::from_utf8_lossy(&head[..end]).into_owned();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        Ok(Some(Message { start, headers, body: Vec::new() }))
    }

    /// Reads a response; a `HEAD`-like answer is not expected by any test.
    pub(crate) fn read_response(&mut self) -> io::Result<Option<Message>> {
        let Some(mut message) = self.read_head()? else { return Ok(None) };
        let status = message.status();
        if status == 101 || status == 204 || status == 304 {
            return Ok(Some(message));
        }
        message.body = match message.body_length() {
            Some(length) => self.read_exact(length)?.unwrap_or_default(),
            None if message.is_chunked() => self.read_chunks()?,
            None => self.read_to_end()?,
        };
        Ok(Some(message))
    }

    /// Reads a request; `None` when the client is done.
    pub(crate) fn read_request(&mut self) -> io::Result<Option<Message>> {
        let Some(mut message) = self.read_head()? else { return Ok(None) };
        message.body = match message.body_length() {
            Some(length) => self.read_exact(length)?.unwrap_or_default(),
            None if message.is_chunked() => self.read_chunks()?,
            None => Vec::new(),
        };
        Ok(Some(message))
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = loop {
                if let Some(at) = find(&self.ahead, b"\r\n") {
                    let line: Vec<u8> = self.ahead.drain(..at + 2).collect();
                    let text = String::from_utf8_lossy(&line[..at]).into_owned();
                    let digits = text.split(';').next().unwrap_or_default().trim().to_owned();
                    break usize::from_str_radix(&digits, 16).map_err(io::Error::other)?;
                }
                if self.fill()? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            };
            body.extend(self.read_exact(size)?.unwrap_or_default());
            self.read_exact(2)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let count = self.stream.read(&mut chunk)?;
        self.ahead.extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}

impl Message {
    /// Value of the first header `name`, without regard to case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Status code of a response; 0 when the status line is not one.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// Method of a request.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// Target of a request.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn body_length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
    }
}

/// Bytes of a request; `Content-Length` is added when there is a body.
pub(crate) fn request_bytes(
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
