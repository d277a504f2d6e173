//! The browser's remote control: the [Chrome DevTools Protocol] over one WebSocket.
//!
//! [Chrome DevTools Protocol]: https://chromedevtools.github.io/devtools-protocol/

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::http::{Wire, request_bytes};
use crate::harness::ws::{Client, Incoming, upgrade_headers};

/// Longest wait for the browser. A busy machine starts its renderers slowly.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Events that hold text of the page: what it logs, and what it failed to catch.
const SPEECH: [&str; 3] = ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"];

/// A connection to one browser.
pub(crate) struct DevTools {
    client: Client,
    next_id: u64,
    /// Events of [`SPEECH`] so far, as JSON.
    pub(crate) said: Vec<Value>,
}

impl DevTools {
    /// Connects to the address that the browser printed: `ws://127.0.0.1:PORT/devtools/browser/ID`.
    pub(crate) fn connect(url: &str) -> Self {
        let (authority, path) = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split_once('/'))
            .unwrap_or_else(|| panic!("not a DevTools address: {url}"));
        let address: SocketAddr = authority.parse().expect("Chromium listens on a literal address");
        let stream = TcpStream::connect(address).expect("Chromium listens where it says");
        let timer = stream.try_clone().expect("a socket can be named twice");
        let mut wire = Wire::new(stream).expect("a socket takes options");
        // A condition may take longer than the harness grants a gateway.
        timer.set_read_timeout(Some(PATIENCE)).expect("a socket takes options");
        let headers = upgrade_headers(address, &[]);
        wire.write(&request_bytes("GET", &format!("/{path}"), &headers, &[]))
            .expect("Chromium reads the upgrade");
        let answer = wire.read_response().ok().flatten().expect("Chromium answers the upgrade");
        assert_eq!(answer.status(), 101, "Chromium refused its remote control: {}", answer.start);
        Self { client: Client::over(wire), next_id: 1, said: Vec::new() }
    }

    /// Runs a command of a tab, or of the browser with an empty `session`.
    pub(crate) fn run(
        &mut self,
        session: &str,
        method: &str,
        params: &Value,
    ) -> Result<Value, String> {
        let id = self.next_id;
        self.next_id += 1;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if !session.is_empty() {
            command["sessionId"] = session.into();
        }
        self.client
            .send_text(&command.to_string())
            .map_err(|error| format!("{method}: {error}"))?;
        let due = Instant::now() + PATIENCE;
        while Instant::now() < due {
            let mut message = self.receive(method)?;
            if message["id"] == id {
                return match message.get("error") {
                    Some(error) => Err(format!("{method}: {error}")),
                    None => Ok(message["result"].take()),
                };
            }
            self.note(message);
        }
        Err(format!("{method}: no answer"))
    }

    fn receive(&mut self, method: &str) -> Result<Value, String> {
        match self.client.receive() {
            Ok(Incoming::Text(text)) => {
                serde_json::from_str(&text).map_err(|error| format!("{method}: {error}"))
            }
            Ok(other) => Err(format!("{method}: the browser is gone ({other:?})")),
            Err(error) => Err(format!("{method}: {error}")),
        }
    }

    fn note(&mut self, event: Value) {
        if event["method"].as_str().is_some_and(|method| SPEECH.contains(&method)) {
            self.said.push(event);
        }
    }
}
