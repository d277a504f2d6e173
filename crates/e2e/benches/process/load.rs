//! The load: blocking sockets and plain bytes, checked answer by answer.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::SOCKETS;
use super::peer::Process;

/// Threads of the generator; more would only take the core of the measured process.
const THREADS: usize = 2;

/// What one row came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) count: u64,
    pub(crate) wrong: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Run {
    pub(crate) fn per_second(&self) -> f64 {
        self.count as f64 / self.wall.as_secs_f64()
    }

    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.count as f64 / self.cpu.as_secs_f64()
    }
}

/// Messages of one row and what must come back.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// Frames of one write.
    frames: Vec<u8>,
    depth: usize,
    prefix: Vec<u8>,
    /// Bytes of one answer frame.
    answer_bytes: usize,
}

impl Traffic {
    /// Each message comes back as it is.
    pub(crate) fn echo(message: &str, depth: usize) -> Self {
        Self::answered(message, depth, message, 0)
    }

    /// Each message is answered by `prefix` and `more` further bytes.
    pub(crate) fn answered(message: &str, depth: usize, prefix: &str, more: usize) -> Self {
        let payload_bytes = prefix.len() + more;
        assert!(payload_bytes < 126 && message.len() < 126, "one length byte is enough");
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x81, 0x80 | message.len() as u8];
        frame.extend_from_slice(&mask);
        frame.extend(message.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        let mut start = vec![0x81, payload_bytes as u8];
        start.extend_from_slice(prefix.as_bytes());
        Self { frames: frame.repeat(depth), depth, prefix: start, answer_bytes: payload_bytes + 2 }
    }
}

/// Keeps `depth` messages in flight on every socket for `time`.
pub(crate) fn messages(
    address: SocketAddr,
    traffic: &Traffic,
    measured: &Process,
    time: Duration,
) -> Run {
    let sockets = hold(address, SOCKETS);
    in_threads(sockets, measured, time, &traffic.frames, |socket| {
        let mut answers = vec![0; traffic.answer_bytes * traffic.depth];
        socket.read_exact(&mut answers).unwrap();
        let whole = answers.chunks(traffic.answer_bytes);
        let wrong = whole.filter(|answer| !answer.starts_with(&traffic.prefix)).count();
        (traffic.depth as u64, wrong as u64)
    })
}

/// One request in flight on every keep-alive connection for `time`.
pub(crate) fn requests(
    address: SocketAddr,
    body: &str,
    count: usize,
    time: Duration,
    measured: &Process,
) -> Run {
    let sockets: Vec<TcpStream> = (0..count).map(|_| connect(address)).collect();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer_bytes =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).len() + body.len();
    in_threads(sockets, measured, time, request.as_bytes(), |socket| {
        let mut answer = vec![0; answer_bytes];
        socket.read_exact(&mut answer).unwrap();
        (1, u64::from(!answer.ends_with(body.as_bytes())))
    })
}

/// Requests of `count` handshakes; made before the clock runs.
pub(crate) fn handshakes(
    count: usize,
    make: impl Fn(usize) -> (String, String),
) -> Vec<(String, String)> {
    (0..count).map(make).collect()
}

/// Performs each handshake once, and drops the connection.
pub(crate) fn connects(
    address: SocketAddr,
    handshakes: &[(String, String)],
    measured: &Process,
) -> Run {
    let (start, cpu) = (Instant::now(), measured.cpu_time());
    let wrong = std::thread::scope(|scope| {
        let parts = handshakes.chunks(handshakes.len().div_ceil(THREADS));
        let threads: Vec<_> = parts
            .map(|part| {
                scope.spawn(move || {
                    let opened = part.iter().map(|(target, headers)| {
                        let mut socket = connect(address);
                        let open = upgrade(&mut socket, address, target, headers);
                        let _ = socket.shutdown(Shutdown::Both);
                        u64::from(!open)
                    });
                    opened.sum::<u64>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    Run {
        count: handshakes.len() as u64,
        wrong,
        wall: start.elapsed(),
        cpu: measured.cpu_time() - cpu,
    }
}

/// Opens `count` connections and keeps them.
pub(crate) fn hold(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|_| {
            let mut socket = connect(address);
            assert!(upgrade(&mut socket, address, "/dev", ""), "the handshake is accepted");
            socket
        })
        .collect()
}

/// Plays rounds until `time` is over: `bytes` to all sockets of a thread, then all answers.
fn in_threads(
    sockets: Vec<TcpStream>,
    measured: &Process,
    time: Duration,
    bytes: &[u8],
    read: impl Fn(&mut TcpStream) -> (u64, u64) + Sync,
) -> Run {
    let mut shares: Vec<Vec<TcpStream>> = (0..THREADS).map(|_| Vec::new()).collect();
    for (index, socket) in sockets.into_iter().enumerate() {
        shares[index % THREADS].push(socket);
    }
    let (start, cpu) = (Instant::now(), measured.cpu_time());
    let counts: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let read = &read;
        let threads: Vec<_> = shares
            .into_iter()
            .map(|mut share| {
                scope.spawn(move || {
                    let mut sum = (0, 0);
                    while start.elapsed() < time {
                        for socket in &mut share {
                            socket.write_all(bytes).unwrap();
                        }
                        for socket in &mut share {
                            let (done, wrong) = read(socket);
                            sum = (sum.0 + done, sum.1 + wrong);
                        }
                    }
                    sum
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (wall, cpu) = (start.elapsed(), measured.cpu_time() - cpu);
    let count = counts.iter().map(|(done, _)| done).sum();
    Run { count, wrong: counts.iter().map(|(_, wrong)| wrong).sum(), wall, cpu }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn upgrade(socket: &mut TcpStream, address: SocketAddr, target: &str, headers: &str) -> bool {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: q0x2Jm1oY2hhbGxlbmdlMQ==\r\n{headers}\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0; 512];
    while !answer.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte) {
            Ok(count @ 1..) => answer.extend_from_slice(&byte[..count]),
            Ok(_) | Err(_) => return false,
        }
        if !answer.starts_with(b"HTTP/1.1 101") && 12 <= answer.len() {
            return false;
        }
    }
    true
}
