//! One exchange after the other, each with its time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use websocket::write::{client, text};

use super::load;

/// How long each row runs, each round.
const ROW_TIME: Duration = Duration::from_secs(2);

/// Exchanges before the clock runs, each round.
const WARM_UP: usize = 500;

/// How often each row of a table is measured; rows alternate, and all rounds count together.
const ROUNDS: usize = 3;

/// The times of one row.
#[derive(Default)]
pub(crate) struct Times {
    each: Vec<Duration>,
    wrong: u64,
}

impl Times {
    /// Adds what another round brought.
    fn add(&mut self, mut round: Self) {
        self.each.append(&mut round.each);
        self.wrong += round.wrong;
    }

    fn per_second(&self) -> f64 {
        self.each.len() as f64 / self.each.iter().sum::<Duration>().as_secs_f64()
    }

    /// In microseconds; the times are sorted.
    fn percentile(&self, percent: usize) -> f64 {
        self.each[(self.each.len() - 1) * percent / 100].as_secs_f64() * 1e6
    }
}

/// Takes the time of one exchange after the other.
pub(crate) struct Clock {
    /// Exchanges of the warm-up that are left.
    unmeasured: usize,
    start: Instant,
    before: Instant,
    times: Times,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { unmeasured: WARM_UP, start: now, before: now, times: Times::default() }
    }

    /// Whether another exchange is wanted.
    pub(crate) fn goes_on(&self) -> bool {
        0 < self.unmeasured || self.before.duration_since(self.start) < ROW_TIME
    }

    /// An exchange is over. A wrong answer ends the row, which is void.
    pub(crate) fn note(&mut self, is_right: bool) {
        let now = Instant::now();
        if !is_right {
            self.times.wrong += 1;
            self.unmeasured = 0;
            self.start = now.checked_sub(ROW_TIME).unwrap();
        } else if 0 < self.unmeasured {
            self.unmeasured -= 1;
            self.start = now;
        } else {
            self.times.each.push(now - self.before);
        }
        self.before = now;
    }

    pub(crate) fn finish(self) -> Times {
        self.times
    }
}

/// A connection on which one request has one answer.
pub(crate) struct Exchange {
    socket: TcpStream,
    request: Vec<u8>,
    /// An answer begins and ends so.
    begin: Vec<u8>,
    end: Vec<u8>,
}

impl Exchange {
    /// Requests with the body `event`, answered with the body `result`.
    pub(crate) fn http(address: SocketAddr, event: &str, result: &str) -> Self {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
            event.len()
        );
        Self {
            socket: load::connect(address),
            request: request.into_bytes(),
            begin: b"HTTP/1.1 200 ".to_vec(),
            end: format!("\r\n\r\n{result}").into_bytes(),
        }
    }

    /// Messages over a WebSocket.
    pub(crate) fn websocket(address: SocketAddr, message: &str, answer: &str) -> Self {
        let socket = load::hold(address, 1).pop().unwrap();
        let (mut request, mut end) = (Vec::new(), Vec::new());
        client::text(&mut request, message, [0x37, 0xFA, 0x21, 0x3D]);
        text(&mut end, answer);
        Self { socket, request, begin: end.clone(), end }
    }

    /// Sends the request and reads its answer. Returns whether it is right.
    pub(crate) fn exchange(&mut self) -> bool {
        self.socket.write_all(&self.request).unwrap();
        let mut buffer = [0; 4096];
        let mut filled = 0;
        while !buffer[..filled].ends_with(&self.end) {
            // What does not end as it should is waited for in vain.
            match self.socket.read(&mut buffer[filled..]) {
                Ok(count @ 1..) => filled += count,
                Ok(_) | Err(_) => return false,
            }
        }
        buffer.starts_with(&self.begin)
    }

    /// Exchanges for as long as a [`Clock`] says.
    pub(crate) fn repeat(&mut self) -> Times {
        let mut clock = Clock::new();
        while clock.goes_on() {
            clock.note(self.exchange());
        }
        clock.finish()
    }
}

/// One line of a table.
pub(crate) struct Row<'a> {
    name: &'static str,
    measure: Box<dyn FnMut() -> Times + 'a>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(name: &'static str, measure: impl FnMut() -> Times + 'a) -> Self {
        Self { name, measure: Box::new(measure) }
    }
}

/// Measures the rows in turns and prints them beside the first. Returns whether any is void.
#[must_use]
pub(crate) fn table(title: &str, mut rows: Vec<Row<'_>>) -> bool {
    let mut all: Vec<Times> = rows.iter().map(|_| Times::default()).collect();
    for _ in 0..ROUNDS {
        for (row, times) in rows.iter_mut().zip(&mut all) {
            times.add((row.measure)());
        }
    }
    println!("\n## {title}\n");
    println!(
        "| row | p50, µs | p99, µs | added at p50 | added at p99 | per second | rate | wrong |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for times in &mut all {
        times.each.sort_unstable();
    }
    let base = &all[0];
    for (row, times) in rows.iter().zip(&all) {
        if times.each.is_empty() {
            println!("| {} | | | | | | | {} |", row.name, times.wrong);
            continue;
        }
        let (p50, p99) = (times.percentile(50), times.percentile(99));
        println!(
            "| {} | {p50:.1} | {p99:.1} | {:+.1} | {:+.1} | {:.0} | {:.0} % | {} |",
            row.name,
            p50 - base.percentile(50),
            p99 - base.percentile(99),
            times.per_second(),
            100.0 * times.per_second() / base.per_second(),
            times.wrong,
        );
    }
    all.iter().any(|times| 0 < times.wrong)
}
