//! Measured processes: the gateway, and the bare peers beside it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::template::Template;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use websocket::{Connection, Event, Limits, handshake, write};

/// A process under load; killed, by its own id, when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: Option<TempDir>,
}

impl Process {
    /// Starts `wsgate serve`.
    pub(crate) fn gateway(template: &Template, config: &str, environment: &[(&str, &str)]) -> Self {
        assert!(template.functions.is_empty(), "nobody plays functions here");
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("bench.yaml"), &template.text).unwrap();
        std::fs::write(folder.path().join("wsgate.toml"), config).unwrap();
        let mut command = Command::new(binary());
        command
            .args(["serve", "bench.yaml", "--config", "wsgate.toml", "--ready-json"])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path())
            .envs(environment.iter().copied())
            .stderr(Stdio::null());
        let (child, line) = start(&mut command);
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = ready["listen"][0].as_str().unwrap().parse().unwrap();
        Self { child, address, _folder: Some(folder) }
    }

    /// Starts this program in another role.
    pub(crate) fn peer(role: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--role", role]);
        let (child, line) = start(&mut command);
        Self { child, address: line.trim().parse().unwrap(), _folder: None }
    }

    /// CPU time used so far, user and system.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Fields 14 and 15, in ticks of 10 ms; the name before them may hold blanks.
        let after_name = stat.rsplit(')').next().unwrap();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays `role` until killed.
pub(crate) fn serve(role: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            match role {
                "backend" => drop(tokio::spawn(echo_requests(stream))),
                "bare-echo" => drop(tokio::spawn(echo_frames(stream))),
                other => panic!("no such role: {other}"),
            }
        }
    });
}

fn start(command: &mut Command) -> (Child, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "{command:?} did not get ready");
    (child, line)
}

/// `$WSGATE_BIN`, which `cargo xtask bench` sets.
fn binary() -> PathBuf {
    std::env::var_os("WSGATE_BIN").expect("run `cargo xtask bench`").into()
}

/// Answers every request with its own body.
async fn echo_requests(mut stream: TcpStream) {
    let mut input = Vec::with_capacity(4096);
    loop {
        while let Some((head, length)) = whole_request(&input) {
            let body = &input[head..head + length];
            let mut answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
            answer.extend_from_slice(body);
            input.drain(..head + length);
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Length of head and body of the request at the start of `input`, when all of it is there.
fn whole_request(input: &[u8]) -> Option<(usize, usize)> {
    let head = input.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&input[..head]).ok()?.to_ascii_lowercase();
    let length = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    (head + length <= input.len()).then_some((head, length))
}

/// A handshake without any check, then our framing and nothing else.
async fn echo_frames(mut stream: TcpStream) {
    let mut input = vec![0; 64 * 1024];
    let count = stream.read(&mut input).await.unwrap_or(0);
    let head = String::from_utf8_lossy(&input[..count]).into_owned();
    let Some(key) = head.split("Sec-WebSocket-Key: ").nth(1).and_then(|k| k.split("\r\n").next())
    else {
        return;
    };
    let accept = handshake::accept_key(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {}\r\n\r\n",
        String::from_utf8_lossy(&accept)
    );
    if stream.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    let limits = Limits::default();
    let mut connection = Connection::server();
    let mut output = Vec::new();
    while let Ok(count @ 1..) = stream.read(&mut input).await {
        let mut incoming = connection.receive(&mut input[..count], &limits);
        while let Some(event) = incoming.next() {
            match event {
                Ok(Event::Text(text)) => write::text(&mut output, text),
                Ok(_) => {}
                Err(_) => return,
            }
        }
        if stream.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
    }
}
