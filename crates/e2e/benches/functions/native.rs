//! A native handler that does nothing, as a function and in a bare request loop: what this program
//! does in a process of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// What the handler answers to every event.
pub(crate) const RESULT: &str = r#"{"statusCode":200,"body":"done"}"#;

/// The message that a client gets for [`RESULT`].
pub(crate) const ANSWER: &str = "done";

/// Plays `role` until killed, or until nobody asks any more: `bootstrap` is the function, `loop`
/// listens itself.
pub(crate) fn serve(role: &str) {
    match role {
        "bootstrap" => bootstrap(),
        "loop" => listen(),
        other => panic!("no such role: {other}"),
    }
}

/// Takes one event after the other from the [Runtime API].
///
/// [Runtime API]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
fn bootstrap() {
    let host = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let stream = TcpStream::connect(&host).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    let next = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {host}\r\n\r\n");
    loop {
        reader.get_mut().write_all(next.as_bytes()).unwrap();
        let Some(event) = read_message(&mut reader) else { return };
        let answer = format!(
            "POST /2018-06-01/runtime/invocation/{}/response HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{RESULT}",
            event.id,
            RESULT.len()
        );
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
        // As every runtime does, it waits until its answer was taken.
        if read_message(&mut reader).is_none() {
            return;
        }
    }
}

/// Answers requests, whose bodies are events.
fn listen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{RESULT}",
        RESULT.len()
    );
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream);
        while read_message(&mut reader).is_some() {
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    }
}

/// What a handler would want to know of a request or response.
struct Message {
    id: String,
}

/// Reads a message to its end; `None` if there is none.
fn read_message(reader: &mut BufReader<TcpStream>) -> Option<Message> {
    let (mut line, mut id, mut length) = (String::new(), String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        } else if name.eq_ignore_ascii_case("lambda-runtime-aws-request-id") {
            value.clone_into(&mut id);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Message { id })
}
