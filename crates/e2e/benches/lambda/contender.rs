//! The programs that are started.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use super::Start;
use super::issuer::{self, Issuer};
use super::runtime_api::RuntimeApi;

/// What Lambda sets for every function, but for the address of its Runtime API.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "authorizer"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/authorizer"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/20/[$LATEST]0"),
    ("AWS_REGION", "us-east-1"),
    ("LANG", "en_US.UTF-8"),
];

/// One program under one configuration.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    program: PathBuf,
    argument: Option<PathBuf>,
    environment: Vec<(&'static str, String)>,
    event: Vec<u8>,
    /// Whether it decides, or only answers.
    decides: bool,
}

/// All that can be started: `$BOOTSTRAP_BIN` and `$BARE_BIN`, which `cargo xtask bench` sets, and
/// the authorizer for Node.js if `$NODE` is set.
pub(crate) fn all(issuer: &Issuer) -> Vec<Contender> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let bootstrap = named("BOOTSTRAP_BIN").expect("run `cargo xtask bench lambda`");
    let ours = |name, key: String, algorithm, event, roots: Option<String>| {
        let mut environment = vec![
            ("WSGATE_AUTHORIZER_TOML", configuration(algorithm, &key)),
            ("JWT_SECRET", issuer::SECRET.to_owned()),
            ("JWK", issuer.jwk.to_string()),
            ("CSRF_SECRET", issuer::CSRF_SECRET.to_owned()),
        ];
        environment.extend(roots.map(|roots| ("SSL_CERT_FILE", roots)));
        let program = bootstrap.clone();
        Contender { name, program, argument: None, environment, event, decides: true }
    };
    let jwks = format!("jwks:https://{}/jwks.json", issuer.address);
    let mut contenders = vec![
        ours(
            "`bootstrap`, HS256",
            "hmac:env:JWT_SECRET".into(),
            "HS256",
            issuer.event_hs256(),
            None,
        ),
        ours("`bootstrap`, RS256", "jwk:env:JWK".into(), "RS256", issuer.event_rs256(), None),
        ours(
            "`bootstrap`, RS256, keys over TLS",
            jwks,
            "RS256",
            issuer.event_rs256(),
            Some(issuer.roots()),
        ),
    ];
    contenders.extend(named("BARE_BIN").map(|program| Contender {
        name: "bare lambda_runtime",
        program,
        argument: None,
        environment: Vec::new(),
        event: issuer.event_rs256(),
        decides: false,
    }));
    contenders.extend(named("NODE").map(|program| Contender {
        name: "Node.js, RS256",
        program,
        argument: Some(node_authorizer()),
        environment: vec![
            ("ISSUER", issuer::NAME.to_owned()),
            ("AUDIENCE", issuer::AUDIENCE.to_owned()),
            ("ORIGIN", "https://ui.example.com".to_owned()),
            ("KEYS", json!({ "keys": [issuer.jwk] }).to_string()),
            ("CSRF_SECRET", issuer::CSRF_SECRET.to_owned()),
        ],
        event: issuer.event_rs256(),
        decides: true,
    }));
    contenders
}

fn node_authorizer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/node-authorizer/main.mjs")
}

fn configuration(algorithm: &str, key: &str) -> String {
    format!(
        r#"[authorizer]
origins = ["https://ui.example.com"]
context_claims = ["role", "tenant"]

[authorizer.csrf]
secret = "env:CSRF_SECRET"

[[authorizer.issuers]]
issuer = "{}"
audience = ["{}"]
algorithms = ["{algorithm}"]
keys = ["{key}"]
"#,
        issuer::NAME,
        issuer::AUDIENCE
    )
}

impl Contender {
    /// Bytes of the file that runs.
    pub(crate) fn program_bytes(&self) -> u64 {
        std::fs::metadata(&self.program).unwrap().len()
    }

    /// Starts the program, waits for its first answer, and ends it.
    pub(crate) fn start(&self, api: &RuntimeApi) -> Start {
        api.offer(&self.event);
        let mut command = Command::new(&self.program);
        command
            .args(&self.argument)
            .env_clear()
            .envs(ENVIRONMENT)
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started_at = Instant::now();
        let process = Process(command.spawn().unwrap());
        let answer = api.answer();
        let time = answer.at.saturating_duration_since(started_at);
        let is_right = answer.kind == "response" && self.is_right(&answer.body);
        Start { time, resident_kib: process.resident_kib(), is_right }
    }

    fn is_right(&self, body: &[u8]) -> bool {
        if !self.decides {
            return true;
        }
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return false };
        let principal = answer["principalId"].as_str().unwrap_or_default();
        let effect = &answer["policyDocument"]["Statement"][0]["Effect"];
        principal.ends_with(issuer::PRINCIPAL)
            && effect == "Allow"
            && answer["context"]["tenant"] == "acme"
            && answer["context"]["csrf"] == "signed"
    }
}

/// Killed, by its own id, when dropped.
struct Process(Child);

impl Process {
    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
