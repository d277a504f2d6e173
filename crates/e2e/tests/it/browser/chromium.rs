//! A real Chromium with a home of its own.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::devtools::{DevTools, PATIENCE};
use super::tab::Tab;
use crate::harness::secrets::Secrets;
use crate::harness::tool::{is_left_out, tool};

/// How long the browser may take to end by itself.
const END_TIME: Duration = Duration::from_secs(10);

/// Names of the browser, in order of preference.
const NAMES: [&str; 4] = ["google-chrome", "google-chrome-stable", "chromium", "chromium-browser"];

/// No window, no sandbox (it does not work for root), no calls of its own, and no rest for tabs
/// that lie behind others.
const FLAGS: [&str; 13] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--remote-debugging-port=0",
];

/// Cookies of other sites are allowed, as many people have it: what does not travel then, never
/// does.
const PREFERENCES: &str =
    r#"{"profile":{"cookie_controls_mode":0,"block_third_party_cookies":false}}"#;

/// The browser's file; `None` when the caller leaves browser tests out.
pub(crate) fn chromium() -> Option<PathBuf> {
    program("chromium", "CHROME", &NAMES)
}

/// The tool that fills certificate stores; `None` when the caller leaves it out.
pub(crate) fn certutil() -> Option<PathBuf> {
    program("certutil", "CERTUTIL", &["certutil"])
}

fn program(name: &str, variable: &str, names: &[&str]) -> Option<PathBuf> {
    if is_left_out(name) || std::env::var_os(variable).is_some() {
        return tool(name, variable);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = names.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    on_path.or_else(|| tool(name, variable))
}

/// Whom a browser trusts beside the authorities it brings along.
#[derive(Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Nobody.
    Nobody,
    /// The authority of this PEM file, by an NSS store that `certutil` makes.
    Authority { certutil: &'a Path, pem: &'a Path },
}

/// A running browser; ended, by its own process group, when dropped.
pub(crate) struct Browser {
    child: Child,
    /// What it writes to stderr; disconnected when its last process is gone.
    lines: Receiver<String>,
    devtools: RefCell<DevTools>,
    _home: TempDir,
}

impl Browser {
    /// Starts a browser that remembers nothing.
    pub(crate) fn start(chromium: &Path, trust: Trust<'_>) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        if let Trust::Authority { certutil, pem } = trust {
            trust_authority(home.path(), certutil, pem);
        }
        let profile = home.path().join("profile");
        std::fs::create_dir_all(profile.join("Default"))
            .and_then(|()| std::fs::write(profile.join("Default/Preferences"), PREFERENCES))
            .expect("the temporary folder is writable");
        let mut command = Command::new(chromium);
        command
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .env("HOME", home.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", chromium.display()));
        let lines = read_lines(&mut child);
        let url = remote_control(&lines).unwrap_or_else(|said| {
            kill(&mut child);
            panic!("{} did not start:\n{said}", chromium.display())
        });
        let devtools = RefCell::new(DevTools::connect(&url));
        Self { child, lines, devtools, _home: home }
    }

    /// Opens a tab; all tabs share one jar of cookies.
    pub(crate) fn tab(&self, name: &str) -> Tab<'_> {
        let target = self.run("", "Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = self.run(
            "",
            "Target.attachToTarget",
            &json!({ "targetId": target["targetId"], "flatten": true }),
        );
        let session = attached["sessionId"].as_str().expect("a tab has a session").to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            self.run(&session, &format!("{domain}.enable"), &json!({}));
        }
        Tab { browser: self, session, name: name.to_owned() }
    }

    /// All cookies, each with `name`, `value`, `domain` and its attributes.
    pub(crate) fn cookies(&self) -> Vec<Value> {
        let mut answer = self.run("", "Storage.getCookies", &json!({}));
        match answer["cookies"].take() {
            Value::Array(cookies) => cookies,
            other => panic!("no cookies: {other}"),
        }
    }

    /// Puts cookies into the jar, in place of those of the same name and host.
    pub(crate) fn plant(&self, cookies: &[Value]) {
        self.run("", "Storage.setCookies", &json!({ "cookies": cookies }));
    }

    /// What pages said so far goes where secrets are looked for; an exception that a page did not
    /// catch is a failure, and so is anything that its own policy forbids.
    pub(crate) fn hand_over_speech(&self, secrets: &Secrets) {
        for event in &self.devtools.borrow().said {
            let text = event.to_string();
            assert_ne!(event["method"], "Runtime.exceptionThrown", "the page failed: {text}");
            assert!(!text.contains("Content Security Policy"), "the page went too far: {text}");
            secrets.capture("the browser's console", &text);
        }
    }

    /// Runs a command that has no reason to fail.
    pub(crate) fn run(&self, session: &str, method: &str, params: &Value) -> Value {
        self.try_run(session, method, params).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_run(
        &self,
        session: &str,
        method: &str,
        params: &Value,
    ) -> Result<Value, String> {
        self.devtools.borrow_mut().run(session, method, params)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to, it ends its own children first; it may also be gone already.
        let _ = self.try_run("", "Browser.close", &json!({}));
        let due = Instant::now() + END_TIME;
        while let Some(rest) = due.checked_duration_since(Instant::now()) {
            if self.lines.recv_timeout(rest).is_err() {
                break;
            }
        }
        kill(&mut self.child);
    }
}

/// Ends what is left of the browser and its children: the group was made for them.
fn kill(child: &mut Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _ = child.kill();
    let _ = child.wait();
}

/// Makes the store that Chromium reads on Linux.
fn trust_authority(home: &Path, certutil: &Path, pem: &Path) {
    if !cfg!(target_os = "linux") {
        panic!(
            "only on Linux does the browser take its trust from a store that a test can make; \
             `cargo xtask test --without certutil` leaves this test out"
        );
    }
    let store = home.join(".pki/nssdb");
    std::fs::create_dir_all(&store).expect("the temporary folder is writable");
    let store = format!("sql:{}", store.display());
    let run = |arguments: &[&str]| {
        let output = Command::new(certutil)
            .args(["-d", &store])
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", certutil.display()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "certutil {arguments:?}: {said}");
    };
    run(&["-N", "--empty-password"]);
    let pem = pem.to_str().expect("temporary folders have plain names");
    run(&["-A", "-t", "C,,", "-n", "local authority", "-i", pem]);
}

fn read_lines(child: &mut Child) -> Receiver<String> {
    let pipe = child.stderr.take().expect("stderr is a pipe");
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    lines
}

/// The address that the browser prints when it is ready, or all it said instead.
fn remote_control(lines: &Receiver<String>) -> Result<String, String> {
    let due = Instant::now() + PATIENCE;
    let mut said = String::new();
    while let Some(rest) = due.checked_duration_since(Instant::now()) {
        let Ok(line) = lines.recv_timeout(rest) else { break };
        if let Some((_, url)) = line.split_once("DevTools listening on ") {
            return Ok(url.trim().to_owned());
        }
        said.push_str(&line);
        said.push('\n');
    }
    Err(said)
}
