//! AWS's parameter and secret stores, as `moto_server` plays them.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::gateway::exchange;
use super::tool::tool;

/// Longest wait for a start: Python reads much before it listens.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A running server; killed, by its own id, when dropped.
pub(crate) struct Moto {
    child: Child,
    reader: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl Moto {
    /// Starts a server without content; `None` when the caller left it out.
    pub(crate) fn start() -> Option<Self> {
        let mut command = Command::new(tool("moto", "MOTO_SERVER")?);
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto_server starts");
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let (found, address) = sync_channel(1);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("Running on http://") {
                    let _ = found.try_send(address.trim().to_owned());
                }
            }
        });
        let address = address.recv_timeout(START_DEADLINE).ok();
        let address = address.and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("moto_server does not say where it listens");
        };
        let moto = Self { child, reader: Some(reader), address };
        // The first call of each service takes seconds, in which it is loaded.
        moto.ask("ssm", "AmazonSSM.DescribeParameters", &json!({}));
        moto.ask("secretsmanager", "secretsmanager.ListSecrets", &json!({}));
        Some(moto)
    }

    /// Where both stores listen.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a program needs to find its stores here.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let endpoint = self.url();
        [
            ("AWS_ACCESS_KEY_ID", "AKIAMOTO"),
            ("AWS_SECRET_ACCESS_KEY", "not-looked-at"),
            ("AWS_SESSION_TOKEN", "not-looked-at-either"),
            ("AWS_ENDPOINT_URL_SSM", &endpoint),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Writes a parameter, encrypted as secrets are.
    pub(crate) fn put_parameter(&self, name: &str, value: &str) {
        let parameter = json!({
            "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true,
        });
        self.ask("ssm", "AmazonSSM.PutParameter", &parameter);
    }

    /// Makes a secret of text.
    pub(crate) fn put_secret(&self, id: &str, value: &str) {
        let secret = json!({ "Name": id, "SecretString": value });
        self.ask("secretsmanager", "secretsmanager.CreateSecret", &secret);
    }

    /// Makes a secret of bytes, in base64.
    pub(crate) fn put_secret_bytes(&self, id: &str, encoded: &str) {
        let secret = json!({ "Name": id, "SecretBinary": encoded });
        self.ask("secretsmanager", "secretsmanager.CreateSecret", &secret);
    }

    /// Calls operation `target` of `service`, which must succeed.
    #[track_caller]
    pub(crate) fn ask(&self, service: &str, target: &str, body: &Value) -> Value {
        // It reads the service from the signature and verifies nothing.
        let credential = format!("AKIAMOTO/20260101/us-east-1/{service}/aws4_request");
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0");
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", target),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = body.to_string();
        let answer = exchange(self.address, "POST", "/", &headers, body.as_bytes())
            .unwrap_or_else(|error| panic!("{target}: {error}"));
        assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
