//! A scripted HTTP server on a port of its own.
//!
//! It plays what the gateway calls: an Invoke API in front of one function,
//! or a back end. It records every request before it answers.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::http::{DEADLINE, Message, Wire};

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Closes the connection without a byte.
    Die,
    /// Announces a body, sends half of it, and closes.
    DieMidway,
    /// Sends a body of that many bytes, or until the peer closes.
    Endless(u64),
    /// Says nothing until the server stops.
    Hang,
    /// Answers.
    Reply { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
}

impl Answer {
    pub(crate) fn json(body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self::Reply { status: 200, headers, body: body.into() }
    }
}

/// A running server; stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    connections: usize,
    requests: VecDeque<Message>,
    stopped: bool,
}

impl Server {
    /// Starts a server on a free loopback port.
    pub(crate) fn start(play: impl Fn(&Message) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_over(Ok, play)
    }

    /// Starts a server that answers only when told: each request waits for the next answer.
    pub(crate) fn start_told() -> (Self, Sender<Answer>) {
        let (tell, told) = channel();
        let told = Mutex::new(told);
        let server = Self::start(move |_| {
            told.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap_or(Answer::Die)
        });
        (server, tell)
    }

    /// Starts a server that speaks through what `cover` makes of each connection.
    pub(crate) fn start_over(
        cover: impl Fn(Wire) -> io::Result<Wire> + Send + Sync + 'static,
        play: impl Fn(&Message) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared =
            Arc::new(Shared { state: Mutex::new(State::default()), changed: Condvar::new() });
        let (cover, play) = (Arc::new(cover), Arc::new(play));
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let mut state = accepting.lock();
                if state.stopped {
                    return;
                }
                state.connections += 1;
                drop(state);
                let shared = Arc::clone(&accepting);
                let (cover, play) = (Arc::clone(&cover), Arc::clone(&play));
                std::thread::spawn(move || serve(&shared, cover.as_ref(), play.as_ref(), stream));
            }
        });
        Self { address, shared }
    }

    /// Oldest unread request; waits for one, `None` after [`DEADLINE`].
    pub(crate) fn next(&self) -> Option<Message> {
        let due = Instant::now() + DEADLINE;
        let mut state = self.shared.lock();
        loop {
            if let Some(request) = state.requests.pop_front() {
                return Some(request);
            }
            let rest = due.checked_duration_since(Instant::now())?;
            state = self
                .shared
                .changed
                .wait_timeout(state, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// All unread requests, oldest first, without waiting.
    pub(crate) fn unread(&self) -> Vec<Message> {
        self.shared.lock().requests.iter().cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        // Wakes the accepting thread, which then ends.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(
    shared: &Shared,
    cover: &(dyn Fn(Wire) -> io::Result<Wire> + Send + Sync),
    play: &(dyn Fn(&Message) -> Answer + Send + Sync),
    stream: TcpStream,
) {
    let Ok(raw) = stream.try_clone() else { return };
    let Ok(mut wire) = Wire::new(stream).and_then(cover) else { return };
    // Idle keep-alive connections of the gateway's pool live as long as the test.
    if raw.set_read_timeout(None).is_err() {
        return;
    }
    while let Ok(Some(request)) = wire.read_request() {
        shared.lock().requests.push_back(request.clone());
        shared.changed.notify_all();
        let written = match play(&request) {
            Answer::Die => return wire.abort(),
            Answer::DieMidway => {
                let _ = wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
                return wire.abort();
            }
            Answer::Endless(total) => return stream_body(raw, total),
            Answer::Hang => {
                let mut state = shared.lock();
                while !state.stopped {
                    state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                return wire.abort();
            }
            Answer::Reply { status, headers, body } => {
                wire.write(&response_bytes(status, &headers, &body))
            }
        };
        if written.is_err() {
            return;
        }
    }
}

fn stream_body(mut raw: TcpStream, total: u64) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n");
    if raw.write_all(head.as_bytes()).is_err() {
        return;
    }
    let chunk = [b'x'; 64 * 1024];
    let mut rest = total;
    while 0 < rest {
        let count = rest.min(chunk.len() as u64) as usize;
        if raw.write_all(&chunk[..count]).is_err() {
            return;
        }
        rest -= count as u64;
    }
}

fn response_bytes(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
