//! Code that is not there, breaks or misbehaves: AWS's outcome for the client, a line that names
//! function, file and cause, and a host that serves on.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{UNTHROTTLED, application, ask, assert_failure, connect, eventually, open, start};
use crate::harness::gateway::Gateway;
use crate::harness::ws::Client;

/// Another function of the same template, which is well.
const HEALTHY: &str = "exports.handler = async () => ({ statusCode: 200, body: 'well' });\n";

/// What a function prints in one test.
const PRINTED_BYTES: u64 = 64 * 1024 * 1024;
/// How much the gateway may grow by that, in KiB of resident memory.
const GROWTH_KIB_MAX: u64 = 32 * 1024;

/// A function that fails before it is asked anything.
struct Broken {
    /// Its name, a route, and the folder of its code.
    name: &'static str,
    runtime: &'static str,
    handler: &'static str,
    code: &'static str,
    /// Words of its line in the log.
    said: &'static [&'static str],
}

const fn broken(
    name: &'static str,
    runtime: &'static str,
    handler: &'static str,
    code: &'static str,
    said: &'static [&'static str],
) -> Broken {
    Broken { name, runtime, handler, code, said }
}

const NODE: &str = "nodejs22.x";
const PYTHON: &str = "python3.12";
const MISSING: &str = "@aws-sdk/client-that-is-not-there";

const BROKEN: [Broken; 9] = [
    broken("NoFileJs", NODE, "nowhere.handler", "", &["nowhere", "Cannot find module"]),
    broken(
        "NoHandlerJs",
        NODE,
        "app.other",
        "exports.handler = () => {};",
        &["app.other is undefined or not exported"],
    ),
    broken("SyntaxJs", NODE, "app.handler", "exports.handler = (\n", &["app.js", "SyntaxError"]),
    broken(
        "ThrowsJs",
        NODE,
        "app.handler",
        "throw new Error('no database here');",
        &["app.js", "no database here"],
    ),
    broken(
        "PackageJs",
        NODE,
        "app.handler",
        "require('@aws-sdk/client-that-is-not-there');",
        &[MISSING, "npm install"],
    ),
    broken("NoFilePy", PYTHON, "nowhere.handler", "", &["Unable to import module 'nowhere'"]),
    broken(
        "NoHandlerPy",
        PYTHON,
        "app.other",
        "def handler(event, context):\n    pass\n",
        &["Handler 'other' missing on module 'app'"],
    ),
    broken("SyntaxPy", PYTHON, "app.handler", "def handler(:\n", &["app", "Syntax"]),
    broken(
        "RaisesPy",
        PYTHON,
        "app.handler",
        "raise RuntimeError('no database here')\n",
        &["app", "no database here"],
    ),
];

/// Whether one line names the function `name` and says all `words`.
fn is_said(log: &str, name: &str, words: &[&str]) -> bool {
    log.lines().any(|line| line.contains(name) && words.iter().all(|word| line.contains(word)))
}

#[test]
fn code_that_cannot_start_fails_alone_and_is_named() {
    let mut source =
        r#"@function Well {"Runtime":"nodejs22.x","Handler":"well.handler","Code":"well/"}
@route well Well two-way
"#
        .to_owned();
    let mut files = vec![("well/well.js".to_owned(), HEALTHY)];
    for Broken { name, runtime, handler, code, .. } in BROKEN {
        let properties =
            json!({ "Runtime": runtime, "Handler": handler, "Code": format!("{name}/") });
        source += &format!("@function {name} {properties}\n@route {name} {name} two-way\n");
        let file = if runtime == PYTHON { "app.py" } else { "app.js" };
        files.push((format!("{name}/{file}"), code));
    }
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, code)| (name.as_str(), *code)).collect();
    let Some(setup) = application(&source, &files) else { return };
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    for Broken { name, said, .. } in BROKEN {
        for _ in 0..2 {
            let message = json!({ "action": name }).to_string();
            assert_failure(&gateway, &ask(&gateway, &mut client, &message));
            assert_eq!(ask(&gateway, &mut client, r#"{"action":"well"}"#), "well", "after {name}");
        }
        eventually(&gateway, &format!("the line about {name}"), || {
            is_said(&gateway.stderr(), name, said)
        });
    }
}

/// What cannot be run at all is said before anybody connects.
#[test]
fn a_native_function_without_a_program_is_refused_at_the_start() {
    let source = "@function Worker {\"Runtime\":\"provided.al2023\",\"Handler\":\"x\"}\n\
                  @route $default Worker\n";
    let Some(setup) = application(source, &[("src/other", "")]) else { return };
    let refused = Gateway::start(&setup, Arc::default()).err().expect("it does not start");
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    for word in ["Worker", "bootstrap", "src"] {
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
}

#[test]
fn a_connect_route_that_cannot_start_refuses_with_502() {
    let source = "@function Worker {\"Runtime\":\"nodejs22.x\",\"Handler\":\"app.handler\"}\n\
                  @route $connect Worker\n";
    let Some(setup) = application(source, &[("src/app.js", "throw 'a string';")]) else { return };
    let gateway = start(&setup);
    let opened = connect(&gateway, "/dev", &[]);
    assert_eq!((opened.0.status(), opened.1.is_some()), (502, false));
    assert!(opened.0.text().contains("Internal server error"));
}

/// A function that misbehaves as it is told, and one connection to it.
struct World {
    gateway: Gateway,
    client: Client,
}

impl World {
    fn start(runtime: &str, file: &str, code: &str) -> Option<Self> {
        let source = format!(
            "@function Worker {{\"Runtime\":\"{runtime}\",\"Handler\":\"app.handler\",\"Timeout\":2}}\n\
             @route $default Worker two-way\n"
        );
        let mut setup = application(&source, &[(file, code)])?;
        setup.config = format!(
            "{UNTHROTTLED}[drain]\nspread = \"0s\"\n[functions.Worker]\ninstances_max = 1\n"
        );
        let gateway = start(&setup);
        let client = open(&gateway, "/dev");
        Some(Self { gateway, client })
    }

    fn act(&mut self, act: &str) -> String {
        let message = json!({ "act": act, "mark": mark(), "bytes": PRINTED_BYTES });
        ask(&self.gateway, &mut self.client, &message.to_string())
    }

    /// `act` is a failure for the client, the log says `words`, and the next message is served.
    #[track_caller]
    fn fails(&mut self, act: &str, words: &[&str]) {
        let answer = self.act(act);
        assert_failure(&self.gateway, &answer);
        assert_eq!(self.act("echo"), "ok", "after {act}");
        let gateway = &self.gateway;
        eventually(gateway, &format!("a line with {words:?}"), || {
            is_said(&gateway.stderr(), "Worker", words)
        });
    }
}

/// How long a child sleeps: long, and unlike any other process here.
fn mark() -> String {
    format!("8{:06}", std::process::id() % 1_000_000)
}

/// Whether a process runs whose command line ends with `mark`.
fn is_running(mark: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes()))
}

fn resident_kib(gateway: &Gateway) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[track_caller]
fn check(world: Option<World>) {
    let Some(mut world) = world else { return };
    assert_eq!(world.act("echo"), "ok");
    world.fails("raise", &["no such room"]);
    world.fails("list", &["Worker"]);
    world.fails("huge", &["Worker"]);
    world.fails("never", &["Task timed out after 2.00 seconds"]);
    world.fails("exit", &["exit"]);
    world.fails("kill", &["signal"]);
    world.fails("fork", &["exit"]);
    let gateway = &world.gateway;
    if Path::new("/proc/self").exists() {
        eventually(gateway, "the end of the child", || !is_running(&mark()));
    }
    let before = resident_kib(gateway);
    assert_eq!(world.act("print"), "ok");
    if let (Some(before), Some(after)) = (before, resident_kib(&world.gateway)) {
        let growth = after.saturating_sub(before);
        assert!(growth < GROWTH_KIB_MAX, "{growth} KiB more");
    }
    let printed = world.gateway.stderr().len() as u64;
    assert!(printed < PRINTED_BYTES / 4, "{printed} bytes in the log");
}

#[test]
fn javascript_that_misbehaves_harms_nobody() {
    let world = World::start("nodejs22.x", "src/app.js", include_str!("code/bad.js"));
    check(world);
}

#[test]
fn python_that_misbehaves_harms_nobody() {
    let world = World::start("python3.12", "src/app.py", include_str!("code/bad.py"));
    check(world);
}

#[test]
fn what_only_javascript_can_do_harms_nobody_either() {
    let world = World::start("nodejs22.x", "src/app.js", include_str!("code/bad.js"));
    let Some(mut world) = world else { return };
    world.fails("string", &["only a string"]);
    world.fails("later", &["nobody waited"]);
}

#[test]
fn control_characters_and_broken_text_reach_no_terminal() {
    for (runtime, file, code) in [
        ("nodejs22.x", "src/app.js", include_str!("code/bad.js")),
        ("python3.12", "src/app.py", include_str!("code/bad.py")),
    ] {
        let Some(mut world) = World::start(runtime, file, code) else { return };
        assert_eq!(world.act("colour"), "ok");
        let gateway = &world.gateway;
        eventually(gateway, "what it printed", || gateway.stderr().contains('\u{fffd}'));
        let log = gateway.stderr();
        let line = log.lines().find(|line| line.contains("red"));
        let line = line.unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains("Worker") && line.contains("one"), "{line}");
        assert!(!log.contains(['\u{1b}', '\u{7}', '\r']), "{log:?}");
    }
}
