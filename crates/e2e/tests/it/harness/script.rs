//! The language of a case's `session`: commands in, transcript out.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::function::Exchange;
use super::gateway::Gateway;
use super::http::{DEADLINE, Message};
use super::normal::Normaliser;
use super::server::Server;
use super::sign::{self, Key};
use super::token;
use super::ws::{self, Client, Frame, Incoming};

/// Longest text shown whole.
const TEXT_SHOWN_MAX: usize = 2000;

/// Reason of the close with which the harness ends what a script left open.
const END_REASON: &str = "end of case";

/// Everything one case talks to.
pub(crate) struct Script {
    pub(crate) gateway: Gateway,
    pub(crate) functions: BTreeMap<String, Server>,
    pub(crate) backend: Server,
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) talk: Arc<Exchange>,
    /// What `{{name}}` stands for.
    pub(crate) vars: BTreeMap<String, String>,
}

struct Player {
    script: Script,
    clients: BTreeMap<String, Client>,
    normaliser: Normaliser,
}

/// A command with the headers indented below it.
struct Step {
    command: String,
    headers: Vec<(String, String)>,
}

type Played = Result<String, String>;

/// Plays `session` and returns the transcript and the gateway's stderr.
pub(crate) fn play(mut script: Script, session: &str) -> (String, String) {
    let mut normaliser = Normaliser::new();
    let listen = script.gateway.listen;
    normaliser.literal(&listen.to_string(), "<host>");
    normaliser.literal(&script.backend.address.to_string(), "<backend>");
    normaliser.literal(&format!("\"{}\"", listen.port()), "\"<port>\"");
    normaliser.literal(&format!(":{}\"", listen.port()), ":<port>\"");
    normaliser.literal(&ws::accept_value(), "<accept>");
    for (name, value) in [
        ("host", listen.to_string()),
        ("port", listen.port().to_string()),
        ("backend", script.backend.address.to_string()),
    ] {
        script.vars.insert(name.to_owned(), value);
    }
    let mut player = Player { script, clients: BTreeMap::new(), normaliser };
    let mut transcript = String::new();
    let mut lines = session.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            transcript += &format!("{line}\n");
        }
        let Some(command) = line.strip_prefix("> ").filter(|rest| !rest.starts_with(' ')) else {
            continue;
        };
        transcript += &format!("{line}\n");
        let mut headers = Vec::new();
        while let Some(more) = lines.next_if(|next| next.starts_with(">   ")) {
            transcript += &format!("{more}\n");
            let (name, value) = more[4..].split_once(':').unwrap_or_else(|| (&more[4..], ""));
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let output = player.step(&Step { command: command.to_owned(), headers });
        let output = output.unwrap_or_else(|error| format!("! {error}"));
        transcript += &player.normaliser.apply(&output);
        if !output.is_empty() && !output.ends_with('\n') {
            transcript.push('\n');
        }
    }
    transcript += &player.finish();
    (transcript, player.script.gateway.stderr())
}

impl Player {
    fn step(&mut self, step: &Step) -> Played {
        let command = self.fill(&step.command)?;
        let mut headers = Vec::new();
        for (name, value) in &step.headers {
            // A bare `Name:` drops a default header; `{{empty}}` sends it without a value.
            let value = if value == "{{empty}}" { " ".to_owned() } else { self.fill(value)? };
            headers.push((name.clone(), value));
        }
        let (verb, rest) = command.split_once(' ').unwrap_or((&command, ""));
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "as" | "badly-signed" | "full" | "unsigned" | "DELETE" | "GET" | "POST" | "PUT" => {
                self.call(&command, &headers)
            }
            "close" => self.close(first, more),
            "connect" => self.connect(first, more, &headers, Shown::Short),
            "csrf" => {
                let value = token::csrf(more, &self.script.vars["csrf"]);
                self.define(first, "csrf", &value)
            }
            "drop" => {
                self.take(first)?.abort();
                Ok(String::new())
            }
            "event" => self.event(first, more),
            "fragments" => self.fragments(first, more),
            "frame" => self.frame(first, more),
            "identify" => self.identify(first, more),
            "mint" => self.mint(first, more),
            "notes" => {
                let notes = std::mem::take(&mut self.script.talk.lock().notes);
                Ok(notes.join("\n"))
            }
            "raw" => {
                let bytes = payload(more)?;
                self.client(first)?.send_raw(&bytes).map_err(text_of)?;
                Ok(String::new())
            }
            "recv" => {
                let received = self.client(first)?.receive().map_err(text_of)?;
                Ok(show_incoming(&received))
            }
            "refusals" => self.refusals(first),
            "request" => self.request(rest),
            "send" => {
                let text = payload(more)?;
                self.client(first)?.send(&Frame::new(1, text)).map_err(text_of)?;
                Ok(String::new())
            }
            "until" => self.until(first, more, &headers),
            "until-refused" => self.until_refused(first, &headers),
            "tick" => {
                tick();
                Ok(String::new())
            }
            _ => Err(format!("unknown command {verb}")),
        }
    }

    /// `[full] [as KEY | unsigned | badly-signed] METHOD TARGET [BODY]`, signed by `admin`.
    fn call(&mut self, command: &str, headers: &[(String, String)]) -> Played {
        let (mut shown, mut key, mut rest) = (Shown::Short, Some("admin".to_owned()), command);
        let mut spoil = false;
        loop {
            let (word, more) = rest.split_once(' ').unwrap_or((rest, ""));
            match word {
                "full" => shown = Shown::Full,
                "unsigned" => key = None,
                "badly-signed" => spoil = true,
                "as" => {
                    let (name, after) = more.split_once(' ').unwrap_or((more, ""));
                    key = Some(name.to_owned());
                    rest = after;
                    continue;
                }
                "connect" => {
                    let (name, target) = more.split_once(' ').unwrap_or((more, ""));
                    return self.connect(name, target, headers, shown);
                }
                _ => break,
            }
            rest = more;
        }
        let (method, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let (target, body) = more.split_once(' ').unwrap_or((more, ""));
        let body = payload(body)?;
        let listen = self.script.gateway.listen;
        let mut all = headers.to_vec();
        if let Some(name) = key {
            let mut key = self.script.keys.get(&name).ok_or("unknown key")?.clone();
            if spoil {
                key.secret.push('x');
            }
            all.extend(sign::headers(&key, method, listen, target, headers, &body));
        }
        let answer = self.script.gateway.request(method, target, &all, &body).map_err(text_of)?;
        self.capture_refusal(target, &answer);
        Ok(show_answer(&answer, shown))
    }

    fn connect(
        &mut self,
        name: &str,
        target: &str,
        headers: &[(String, String)],
        shown: Shown,
    ) -> Played {
        self.script.talk.lock().connecting = None;
        let listen = self.script.gateway.listen;
        let (answer, client) = Client::open(listen, target, headers).map_err(text_of)?;
        self.capture_refusal(target, &answer);
        let id = self.script.talk.lock().connecting.take();
        if let Some(id) = id {
            self.know(name, &id);
        }
        if let Some(client) = client {
            self.clients.insert(name.to_owned(), client);
        }
        Ok(show_answer(&answer, shown))
    }

    /// Sends `text` and takes the client's connection id from the answer.
    fn identify(&mut self, name: &str, text: &str) -> Played {
        let client = self.client(name)?;
        client.send_text(text).map_err(text_of)?;
        let Incoming::Text(answer) = client.receive().map_err(text_of)? else {
            return Err("no text came back".to_owned());
        };
        let value: Value = serde_json::from_str(&answer).map_err(text_of)?;
        let id = value["connectionId"].as_str().ok_or("no connectionId in the answer")?;
        self.know(name, id);
        Ok(String::new())
    }

    /// Makes `{{NAME}}` the connection id, `{{NAME.encoded}}` its form in a path, and
    /// `{{NAME.tampered}}` the same with another first character.
    fn know(&mut self, name: &str, id: &str) {
        self.script.vars.insert(name.to_owned(), id.to_owned());
        self.script.vars.insert(format!("{name}.encoded"), id.replace('=', "%3D"));
        let first = if id.starts_with('A') { "B" } else { "A" };
        self.script.vars.insert(format!("{name}.tampered"), format!("{first}{}", &id[1..]));
    }

    fn close(&mut self, name: &str, rest: &str) -> Played {
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = match code {
            "" => None,
            digits => Some(digits.parse().map_err(text_of)?),
        };
        self.client(name)?.send(&Frame::close(code, reason)).map_err(text_of)?;
        Ok(String::new())
    }

    /// `NAME A | B | C`: one text message in as many frames.
    fn fragments(&mut self, name: &str, parts: &str) -> Played {
        let parts: Vec<&str> = parts.split(" | ").collect();
        for (index, part) in parts.iter().enumerate() {
            let mut frame = Frame::new(u8::from(index == 0), payload(part)?);
            frame.fin = index + 1 == parts.len();
            self.client(name)?.send(&frame).map_err(text_of)?;
        }
        Ok(String::new())
    }

    /// `NAME OPCODE [nofin] [unmasked] [rsv=N] [PAYLOAD]`.
    fn frame(&mut self, name: &str, rest: &str) -> Played {
        let (opcode, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let opcode = match opcode {
            "cont" => 0,
            "text" => 1,
            "binary" => 2,
            "close" => 8,
            "ping" => 9,
            "pong" => 10,
            number => number.parse().map_err(text_of)?,
        };
        let mut frame = Frame::new(opcode, Vec::new());
        loop {
            let (word, more) = rest.split_once(' ').unwrap_or((rest, ""));
            match word {
                "nofin" => frame.fin = false,
                "unmasked" => frame.masked = false,
                _ => match word.strip_prefix("rsv=") {
                    Some(bits) => frame.rsv = bits.parse().map_err(text_of)?,
                    None => break,
                },
            }
            rest = more;
        }
        frame.payload = payload(rest)?;
        self.client(name)?.send(&frame).map_err(text_of)?;
        Ok(String::new())
    }

    /// `NAME CLAIMS`: a JWT; `"+N"` in `exp`, `nbf`, `iat` counts from now.
    fn mint(&mut self, name: &str, claims: &str) -> Played {
        let mut claims: Value = serde_json::from_str(claims).map_err(text_of)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(text_of)?.as_secs();
        for time in ["exp", "nbf", "iat"] {
            let offset = claims[time].as_str().and_then(|text| text.parse::<i64>().ok());
            if let Some(offset) = offset {
                claims[time] = now.saturating_add_signed(offset).into();
            } else if claims[time].is_null() {
                claims.as_object_mut().ok_or("claims are an object")?.remove(time);
            }
        }
        let token = token::jwt(&claims, &self.script.vars["jwt"]);
        self.define(name, "token", &token)
    }

    fn define(&mut self, name: &str, kind: &str, value: &str) -> Played {
        self.script.gateway.secrets.register(&format!("{kind} {name}"), value);
        self.script.vars.insert(name.to_owned(), value.to_owned());
        Ok(String::new())
    }

    /// `FUNCTION [POINTER…]`: the next event, whole or the members named.
    fn event(&self, name: &str, pointers: &str) -> Played {
        let server = self.script.functions.get(name).ok_or("unknown function")?;
        let event = Self::next_event(name, server)?;
        if pointers.is_empty() {
            return serde_json::to_string_pretty(&event).map_err(text_of);
        }
        let members = pointers.split(' ').map(|pointer| {
            let key = pointer.rsplit('/').next().unwrap_or_default();
            match event.pointer(pointer) {
                Some(value) => format!("\"{key}\": {value}\n"),
                None => format!("\"{key}\" is absent\n"),
            }
        });
        Ok(members.collect())
    }

    /// The next event of a function that this harness did not cause itself.
    fn next_event(name: &str, server: &Server) -> Result<Value, String> {
        loop {
            let request = server.next().ok_or_else(|| format!("no event of {name} arrived"))?;
            let event: Value = serde_json::from_slice(&request.body).map_err(text_of)?;
            if event["requestContext"]["disconnectReason"] != END_REASON {
                return Ok(event);
            }
        }
    }

    /// `[HEADER…]`: the back end's next request, with all headers or those named.
    fn request(&self, names: &str) -> Played {
        let request = self.script.backend.next().ok_or("no request arrived")?;
        let mut shown = format!("{} {}\n", request.method(), request.target());
        if names.is_empty() {
            shown += &sorted_headers(&request);
        }
        for name in names.split_whitespace() {
            let values: Vec<&str> = request
                .headers
                .iter()
                .filter(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
                .collect();
            match values.is_empty() {
                true => shown += &format!("{name} is absent\n"),
                false => shown += &format!("{name}: {}\n", values.join(" | ")),
            }
        }
        if !request.body.is_empty() {
            shown += &format!("{}\n", shorten(&request.text()));
        }
        Ok(shown)
    }

    /// `[ATTEMPT]`: status and code of what was refused, newest first.
    fn refusals(&self, attempt: &str) -> Played {
        let target = match attempt {
            "" => "/refusals".to_owned(),
            attempt => format!("/refusals?attempt={attempt}"),
        };
        let answer = self.script.gateway.ask_admin(&target);
        let list: Value = serde_json::from_slice(&answer.body).map_err(text_of)?;
        let rows = list.as_array().ok_or("refusals are no array")?.iter();
        Ok(rows
            .map(|row| format!("{} {}\n", row["status"], row["code"].as_str().unwrap_or("?")))
            .collect())
    }

    /// `STATUS CALL`: repeats the call until its answer has that status.
    fn until(&mut self, status: &str, call: &str, headers: &[(String, String)]) -> Played {
        let due = Instant::now() + DEADLINE;
        while Instant::now() < due {
            let shown = self.call(call, headers)?;
            if shown.split(' ').any(|word| word == status) {
                return Ok(shown);
            }
        }
        Err(format!("never {status}"))
    }

    /// Connects anew until the answer is a refusal, and shows its status.
    fn until_refused(&self, target: &str, headers: &[(String, String)]) -> Played {
        let due = Instant::now() + DEADLINE;
        while Instant::now() < due {
            let listen = self.script.gateway.listen;
            let (answer, client) = Client::open(listen, target, headers).map_err(text_of)?;
            self.forget_attempt(client)?;
            if answer.status() != 101 {
                return Ok(answer.status().to_string());
            }
        }
        Err("never refused".to_owned())
    }

    /// Closes `client` and drops what functions heard of it.
    fn forget_attempt(&self, client: Option<Client>) -> Result<(), String> {
        let Some(mut client) = client else { return Ok(()) };
        client.send(&Frame::close(Some(1000), END_REASON)).map_err(text_of)?;
        client.receive().map_err(text_of)?;
        for (name, server) in &self.script.functions {
            while Self::next_event(name, server)?["requestContext"]["eventType"] != "CONNECT" {}
        }
        Ok(())
    }

    /// Closes what is open, ends the gateway, and reports what nobody read.
    fn finish(&mut self) -> String {
        for client in self.clients.values_mut() {
            let closing = client.send(&Frame::close(Some(1000), END_REASON));
            while closing.is_ok()
                && !matches!(client.receive(), Ok(Incoming::End | Incoming::Close(..)) | Err(_))
            {
            }
        }
        self.clients.clear();
        let mut report = match self.script.gateway.stop() {
            None => "! the gateway does not end when told to\n".to_owned(),
            Some(status) if !status.success() => format!("! the gateway ended with {status}\n"),
            Some(_) => String::new(),
        };
        for request in self.script.backend.unread() {
            report += &format!("! unread request of the back end: {}\n", request.start);
        }
        for (name, server) in &self.script.functions {
            for request in server.unread() {
                let event: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
                let context = &event["requestContext"];
                if context["disconnectReason"] != END_REASON {
                    report += &format!("! unread event of {name}: {}\n", context["eventType"]);
                }
            }
        }
        report
    }

    fn capture_refusal(&self, target: &str, answer: &Message) {
        if 400 <= answer.status() {
            let place = target.split('?').next().unwrap_or_default();
            self.script.gateway.secrets.capture(&format!("answer to {place}"), &answer.text());
        }
    }

    fn client(&mut self, name: &str) -> Result<&mut Client, String> {
        self.clients.get_mut(name).ok_or_else(|| format!("no open client {name}"))
    }

    fn take(&mut self, name: &str) -> Result<Client, String> {
        self.clients.remove(name).ok_or_else(|| format!("no open client {name}"))
    }

    fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = text.to_owned();
        while let Some(from) = filled.find("{{") {
            let Some(length) = filled[from..].find("}}") else { break };
            let name = &filled[from + 2..from + length];
            let value = self.script.vars.get(name).ok_or_else(|| format!("no value {name}"))?;
            filled = format!("{}{value}{}", &filled[..from], &filled[from + length + 2..]);
        }
        Ok(filled)
    }
}

/// How much of an answer a transcript shows.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Shown {
    Full,
    Short,
}

/// `hex:…`, `repeat:COUNT:TEXT`, or the text as it stands.
fn payload(text: &str) -> Result<Vec<u8>, String> {
    if let Some(digits) = text.strip_prefix("hex:") {
        return hex::decode(digits.replace(' ', "")).map_err(text_of);
    }
    if let Some((count, part)) = text.strip_prefix("repeat:").and_then(|r| r.split_once(':')) {
        return Ok(part.repeat(count.parse().map_err(text_of)?).into_bytes());
    }
    Ok(text.as_bytes().to_vec())
}

fn show_incoming(incoming: &Incoming) -> String {
    match incoming {
        Incoming::Binary(bytes) => format!("binary {}", hex::encode(bytes)),
        Incoming::Close(None, _) => "close without status".to_owned(),
        Incoming::Close(Some(code), reason) => format!("close {code} {reason:?}"),
        Incoming::End => "end".to_owned(),
        Incoming::Ping(bytes) => format!("ping {}", String::from_utf8_lossy(bytes)),
        Incoming::Pong(bytes) => format!("pong {}", String::from_utf8_lossy(bytes)),
        Incoming::Text(text) if text.is_empty() => "text (empty)".to_owned(),
        Incoming::Text(text) => format!("text {}", shorten(text)),
    }
}

fn show_answer(answer: &Message, shown: Shown) -> String {
    let body = shorten(&answer.text()).replace('\r', "");
    if shown == Shown::Full {
        return format!("{}\n{}{body}", answer.start, sorted_headers(answer));
    }
    let mut line = answer.status().to_string();
    if let Some(protocol) = answer.header("sec-websocket-protocol") {
        line += &format!(" protocol {protocol}");
    }
    if !body.is_empty() {
        line += &format!(" {body}");
    }
    line
}

/// Headers by name, a line each; how the connection goes on is no one's business but a 101's.
fn sorted_headers(message: &Message) -> String {
    let upgraded = message.status() == 101;
    let mut lines: Vec<String> = message
        .headers
        .iter()
        .filter(|(name, _)| upgraded || !name.eq_ignore_ascii_case("connection"))
        .map(|(name, value)| format!("{}: {value}\n", name.to_ascii_lowercase()))
        .collect();
    lines.sort();
    lines.concat()
}

fn shorten(text: &str) -> String {
    if text.len() <= TEXT_SHOWN_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(20).collect();
    format!("{start}… ({} bytes)", text.len())
}

/// Returns in a later millisecond than it was called in.
fn tick() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let start = now();
    while now() <= start + 1 {
        std::thread::yield_now();
    }
}

fn text_of(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let timed_out = ["timed out", "temporarily unavailable"];
    if timed_out.iter().any(|known| text.contains(known)) {
        return io::Error::from(io::ErrorKind::TimedOut).to_string();
    }
    text
}
