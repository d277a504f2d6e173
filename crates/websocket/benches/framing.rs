//! Echo of masked 125-byte text frames, without sockets: reading and answering what
//! one read brought, next to tungstenite doing the same.
//!
//! `echo/depth-16/ours` over `echo/depth-16/tungstenite` is the figure to compare.

use std::hint::black_box;
use std::io::{self, Read, Write};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, WebSocket};
use websocket::write::{self, client};
use websocket::{Connection, Event, Limits};

criterion_group!(benches, echo);
criterion_main!(benches);

fn echo(c: &mut Criterion) {
    for depth in [1, 16] {
        let mut group = c.benchmark_group(format!("echo/depth-{depth}"));
        group.throughput(Throughput::Elements(depth as u64));
        let input = frames(depth);
        let want = depth * (MESSAGE_BYTES + 2);

        let mut connection = Connection::server();
        let limits = Limits::default();
        let mut buffer = vec![0; input.len()];
        let mut output = Vec::new();
        group.bench_function(BenchmarkId::from_parameter("ours"), |b| {
            b.iter(|| {
                // Stands for the read, as tungstenite's copy does.
                buffer.copy_from_slice(black_box(&input));
                output.clear();
                let mut incoming = connection.receive(&mut buffer, &limits);
                while let Some(event) = incoming.next() {
                    let Ok(Event::Text(text)) = event else { panic!("only texts are sent") };
                    write::text(&mut output, text);
                }
                drop(incoming);
                assert_eq!(black_box(&output).len(), want);
            });
        });

        // Its default of 128 KiB is cleared at each read, which would flatter us.
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let pipe = Pipe { at: input.len(), input, output: Vec::new() };
        let mut socket = WebSocket::from_raw_socket(pipe, Role::Server, Some(config));
        group.bench_function(BenchmarkId::from_parameter("tungstenite"), |b| {
            b.iter(|| {
                let pipe = socket.get_mut();
                pipe.at = 0;
                pipe.output.clear();
                loop {
                    match socket.read() {
                        Ok(message) => socket.write(message).expect("the pipe takes all"),
                        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => panic!("{error}"),
                    }
                }
                socket.flush().expect("the pipe takes all");
                assert_eq!(black_box(&socket.get_ref().output).len(), want);
            });
        });
        group.finish();
    }
}

fn frames(depth: usize) -> Vec<u8> {
    let text = "x".repeat(MESSAGE_BYTES);
    let mut out = Vec::new();
    for n in 0..depth {
        client::text(&mut out, &text, [0x37, 0xFA, 0x21, n as u8]);
    }
    out
}

/// A socket whose peer has sent `input` from `at` on.
struct Pipe {
    at: usize,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = black_box(&self.input[self.at..]);
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The longest payload with the shortest header.
const MESSAGE_BYTES: usize = 125;
