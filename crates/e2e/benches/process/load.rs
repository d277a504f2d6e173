//! The load: blocking sockets on one thread, checked answer by answer.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use websocket::write::{client, text};

use super::peer::Process;

/// Sockets that messages are sent on before their answers are read.
const WINDOW: usize = 64;

/// Handshakes under way at once; the gateway allows one address 64.
const HANDSHAKES: usize = 32;

/// What one row came to.
#[derive(Clone, Copy, Debug)]
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

/// Takes wall and CPU time of `work`, which says how much it did and how much
/// of that was wrong.
fn measure(measured: &Process, work: impl FnOnce() -> (u64, u64)) -> Run {
    let (start, cpu) = (Instant::now(), measured.cpu_time());
    let (count, wrong) = work();
    Run { count, wrong, wall: start.elapsed(), cpu: measured.cpu_time() - cpu }
}

/// Messages of one row and what must come back.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// Frames of one write.
    frames: Vec<u8>,
    depth: usize,
    /// An answer frame; `#` stands for any digit.
    answer: Vec<u8>,
}

impl Traffic {
    /// Each message comes back as it is.
    pub(crate) fn echo(message: &str, depth: usize) -> Self {
        Self::answered(message, depth, message)
    }

    /// Each message is answered with the time.
    pub(crate) fn pong(message: &str, depth: usize) -> Self {
        Self::answered(message, depth, "{\"type\":\"pong\",\"at\":\"#############\"}")
    }

    fn answered(message: &str, depth: usize, reply: &str) -> Self {
        let (mut frames, mut answer) = (Vec::new(), Vec::new());
        for n in 0..depth {
            client::text(&mut frames, message, [0x37, 0xFA, 0x21, n as u8]);
        }
        text(&mut answer, reply);
        Self { frames, depth, answer }
    }

    fn is_right(&self, frame: &[u8]) -> bool {
        let pairs = self.answer.iter().zip(frame);
        frame.len() == self.answer.len()
            && pairs.into_iter().all(|(want, byte)| match want {
                b'#' => byte.is_ascii_digit(),
                want => want == byte,
            })
    }
}

/// Sends `depth` messages on every one of `count` sockets and waits for their
/// answers, again and again for `time`; [`WINDOW`] sockets at once.
pub(crate) fn messages(measured: &Process, traffic: &Traffic, count: usize, time: Duration) -> Run {
    let mut sockets = hold(measured.address, count);
    let mut answers = vec![0; traffic.answer.len() * traffic.depth];
    rounds(measured, sockets.chunks_mut(WINDOW).collect(), time, &traffic.frames, |socket| {
        socket.read_exact(&mut answers).unwrap();
        let frames = answers.chunks(traffic.answer.len());
        let wrong = frames.filter(|frame| !traffic.is_right(frame)).count();
        (traffic.depth as u64, wrong as u64)
    })
}

/// One request in flight on every one of `count` keep-alive connections for `time`.
pub(crate) fn requests(measured: &Process, body: &str, count: usize, time: Duration) -> Run {
    let address = measured.address;
    let mut sockets: Vec<TcpStream> = (0..count).map(|_| connect(address)).collect();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut buffer = vec![0; 4096];
    rounds(measured, vec![&mut sockets], time, request.as_bytes(), |socket| {
        let mut filled = 0;
        // The head's length does not vary, and the body is not in it.
        while !buffer[..filled].ends_with(body.as_bytes()) {
            match socket.read(&mut buffer[filled..]).unwrap() {
                0 => return (1, 1),
                count => filled += count,
            }
        }
        (1, u64::from(!buffer.starts_with(b"HTTP/1.1 200 ")))
    })
}

/// Writes `bytes` to all sockets of a window, then reads an answer from each;
/// one window after the other until `time` is over.
fn rounds(
    measured: &Process,
    mut windows: Vec<&mut [TcpStream]>,
    time: Duration,
    bytes: &[u8],
    mut read: impl FnMut(&mut TcpStream) -> (u64, u64),
) -> Run {
    // Once unmeasured, so that every connection is as warm as it will be.
    for socket in windows.iter_mut().flat_map(|window| window.iter_mut()) {
        socket.write_all(bytes).unwrap();
        assert_eq!(read(socket).1, 0, "the first answer is right");
    }
    measure(measured, || {
        let (start, mut sum) = (Instant::now(), (0, 0));
        while start.elapsed() < time {
            for window in &mut windows {
                for socket in window.iter_mut() {
                    socket.write_all(bytes).unwrap();
                }
                for socket in window.iter_mut() {
                    let (done, wrong) = read(socket);
                    sum = (sum.0 + done, sum.1 + wrong);
                }
            }
        }
        sum
    })
}

/// An upgrade request.
pub(crate) fn handshake(target: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUser-Agent: bench\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: q0x2Jm1oY2hhbGxlbmdlMQ==\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// Performs each handshake once, and drops the connection.
pub(crate) fn connects(measured: &Process, handshakes: &[Vec<u8>]) -> Run {
    measure(measured, || {
        let wrong: u64 = handshakes
            .chunks(HANDSHAKES)
            .map(|batch| {
                let begin = |handshake: &Vec<u8>| {
                    let mut socket = connect(measured.address);
                    socket.write_all(handshake).unwrap();
                    socket
                };
                let sockets: Vec<TcpStream> = batch.iter().map(begin).collect();
                let end = |mut socket: TcpStream| {
                    let is_open = is_accepted(&mut socket);
                    let _ = socket.shutdown(Shutdown::Both);
                    u64::from(!is_open)
                };
                sockets.into_iter().map(end).sum::<u64>()
            })
            .sum();
        (handshakes.len() as u64, wrong)
    })
}

/// Opens `count` connections and keeps them.
pub(crate) fn hold(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let handshake = handshake("/dev", "");
    let open = |_| {
        let mut socket = connect(address);
        socket.write_all(&handshake).unwrap();
        assert!(is_accepted(&mut socket), "the handshake is accepted");
        socket
    };
    (0..count).map(open).collect()
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Reads a 101 and nothing beyond it: nobody speaks first.
pub(crate) fn is_accepted(socket: &mut impl std::io::Read) -> bool {
    let mut answer = [0; 1024];
    let mut filled = 0;
    while !answer[..filled].ends_with(b"\r\n\r\n") {
        match socket.read(&mut answer[filled..]) {
            Ok(count @ 1..) => filled += count,
            Ok(_) | Err(_) => return false,
        }
    }
    answer.starts_with(b"HTTP/1.1 101 ")
}
