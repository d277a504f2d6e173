//! The Runtime API of Lambda, as far as a first answer needs it ([reference]).
//!
//! [reference]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// No contender takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A function's answer, and when its last byte was here.
pub(crate) struct Answer {
    pub(crate) at: Instant,
    /// The end of the path: `response`, or `error`.
    pub(crate) kind: String,
    pub(crate) body: Vec<u8>,
}

/// Hands one event at a time to whoever asks first.
pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    event: Arc<Mutex<Option<Vec<u8>>>>,
    answers: Receiver<Answer>,
}

impl RuntimeApi {
    /// Listens until this program ends.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let event = Arc::new(Mutex::new(None));
        let (sender, answers) = channel();
        let shared = Arc::clone(&event);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (event, sender) = (Arc::clone(&shared), sender.clone());
                // A function that is stopped takes its connection along.
                std::thread::spawn(move || drop(serve(stream.unwrap(), &event, &sender)));
            }
        });
        Self { address, event, answers }
    }

    /// Puts `event` where the next function finds it.
    pub(crate) fn offer(&self, event: &[u8]) {
        *self.event.lock().unwrap() = Some(event.to_owned());
    }

    /// The answer to the event.
    pub(crate) fn answer(&self) -> Answer {
        self.answers.recv_timeout(PATIENCE).expect("the function answers")
    }
}

fn serve(
    stream: TcpStream,
    event: &Mutex<Option<Vec<u8>>>,
    answers: &Sender<Answer>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let (path, body) = read_request(&mut reader)?;
        let at = Instant::now();
        let kind = path.rsplit('/').next().unwrap_or_default().to_owned();
        if kind == "next" {
            let Some(event) = event.lock().unwrap().take() else {
                // There is no second event; the function waits until it is stopped.
                reader.read_exact(&mut [0])?;
                continue;
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
                 lambda-runtime-deadline-ms: 4102444800000\r\n\
                 lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:111122223333:function:f\r\n\
                 lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700\r\n\r\n",
                event.len()
            );
            reader.get_mut().write_all(&[head.as_bytes(), &event].concat())?;
        } else {
            answers.send(Answer { at, kind, body }).map_err(std::io::Error::other)?;
            let accepted = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
            reader.get_mut().write_all(accepted)?;
        }
    }
}

/// The path and body of a request.
fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<(String, Vec<u8>)> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        assert!(!name.eq_ignore_ascii_case("transfer-encoding"), "bodies have a length");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((path, body))
}
