use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::code::prepare;
use crate::code::tests::spec;
use crate::{Code, Redirect};

#[derive(Debug, Default)]
struct Around {
    variables: Vec<(&'static str, &'static str)>,
    redirect: Option<Redirect>,
}

impl Surroundings for Around {
    fn environment(&self, _spec: &Spec) -> Vec<(String, String)> {
        self.variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn redirect(&self) -> Option<Redirect> {
        self.redirect.clone()
    }
}

/// A function in a folder of its own, with a workspace.
struct Fixture {
    spec: Spec,
    around: Around,
    folder: TempDir,
}

impl Fixture {
    fn of(runtime: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let code = folder.path().join("code");
        fs::create_dir(&code).unwrap();
        let spec = spec(runtime, "index.handler", Code::Folder(code));
        Self { spec, around: Around::default(), folder }
    }

    fn add_layer(&mut self, name: &str, folders: &[&str]) {
        let layer = self.folder.path().join(name);
        fs::create_dir(&layer).unwrap();
        for folder in folders {
            fs::create_dir_all(layer.join(folder)).unwrap();
        }
        self.spec.layers.push(layer);
    }

    fn set(&mut self, name: &str, value: &str) {
        self.spec.environment.push((name.to_owned(), value.to_owned()));
    }

    fn write(&self, path: &str, mode: u32) {
        let path = self.folder.path().join(path);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn launch(&self) -> Result<Launched, CodeError> {
        let prepared = prepare(&self.spec, &self.folder.path().join("workspace"))?;
        let launch = launch(&self.spec, &prepared, &self.around)?;
        let root = self.folder.path().canonicalize().unwrap();
        let places =
            [(&*prepared.task_root, "TASK"), (prepared.scratch.path(), "HOME"), (&root, "ROOT")];
        let shown = |text: &std::ffi::OsStr| {
            places.iter().fold(text.to_str().unwrap().to_owned(), |text, (path, name)| {
                text.replace(path.to_str().unwrap(), name)
            })
        };
        let environment =
            launch.environment.iter().map(|(name, value)| (name.clone(), shown(value)));
        Ok(Launched {
            program: shown(launch.program.as_os_str()),
            arguments: launch.arguments.iter().map(|argument| shown(argument)).collect(),
            environment: environment.collect(),
            directory: shown(launch.directory.as_os_str()),
            warnings: launch.warnings,
        })
    }
}

/// A launch whose folders have names instead of random paths.
#[derive(Debug)]
struct Launched {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    directory: String,
    warnings: Vec<String>,
}

impl Launched {
    fn get(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }
}

#[test]
fn a_custom_runtime_gets_lambdas_environment_and_nothing_else() {
    let mut fixture = Fixture::of("provided.al2023");
    fixture.write("code/bootstrap", 0o755);
    fixture.add_layer("one", &[]);
    fixture.add_layer("two", &[]);
    let launched = fixture.launch().unwrap();
    let expected = [
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_NAME", "chat"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/chat"),
        ("AWS_REGION", "eu-west-1"),
        ("HOME", "HOME"),
        ("LAMBDA_RUNTIME_DIR", "ROOT/workspace/runtime"),
        ("LAMBDA_TASK_ROOT", "TASK"),
        ("LANG", "en_US.UTF-8"),
        ("LD_LIBRARY_PATH", "TASK:TASK/lib:ROOT/two/lib:ROOT/one/lib"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:ROOT/two/bin:ROOT/one/bin"),
        ("TMPDIR", "HOME"),
        ("TZ", ":UTC"),
        ("_HANDLER", "index.handler"),
    ];
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(launched.environment, expected);
    assert_eq!(launched.program, "TASK/bootstrap");
    assert_eq!((launched.arguments.len(), launched.directory.as_str()), (0, "TASK"));
}

#[test]
fn the_functions_variables_win_but_for_reserved_names() {
    let mut fixture = Fixture::of("provided.al2023");
    fixture.write("code/bootstrap", 0o755);
    let own = [
        ("TABLE", "t"),
        ("TZ", "Europe/Berlin"),
        ("AWS_ENDPOINT_URL_SSM", "http://own"),
        ("AWS_REGION", "mars"),
        ("AWS_SECRET_ACCESS_KEY", "own"),
        ("_WSGATE_SHIM", "{}"),
        ("A=B", "x"),
        ("NUL", "\0"),
    ];
    for (name, value) in own {
        fixture.set(name, value);
    }
    fixture.around.variables = vec![
        ("TABLE", "around"),
        ("AWS_ENDPOINT_URL_SSM", "http://around"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://around"),
        ("AWS_SECRET_ACCESS_KEY", "around"),
        ("AWS_LAMBDA_FUNCTION_NAME", "around"),
    ];
    let launched = fixture.launch().unwrap();
    assert_eq!(launched.get("TABLE"), Some("t"));
    assert_eq!(launched.get("TZ"), Some("Europe/Berlin"));
    assert_eq!(launched.get("AWS_ENDPOINT_URL_SSM"), Some("http://own"));
    assert_eq!(launched.get("AWS_ENDPOINT_URL_DYNAMODB"), Some("http://around"));
    assert_eq!(launched.get("AWS_SECRET_ACCESS_KEY"), Some("around"));
    assert_eq!(launched.get("AWS_REGION"), Some("eu-west-1"));
    assert_eq!(launched.get("AWS_LAMBDA_FUNCTION_NAME"), Some("chat"));
    assert_eq!(launched.get("_WSGATE_SHIM"), None, "no shim, no settings");
    assert_eq!((launched.get("A=B"), launched.get("NUL")), (None, None));
    let warned = ["AWS_REGION", "AWS_SECRET_ACCESS_KEY", "_WSGATE_SHIM", "A=B", "NUL"];
    assert_eq!(launched.warnings.len(), warned.len());
    for (warning, name) in launched.warnings.iter().zip(warned) {
        assert!(warning.contains(name), "{warning}");
    }
}

#[test]
fn a_certificate_file_of_the_functions_own_must_be_there() {
    let mut fixture = Fixture::of("provided.al2023");
    fixture.write("code/bootstrap", 0o755);
    fixture.write("code/own.pem", 0o644);
    fixture.set("NODE_EXTRA_CA_CERTS", "/var/runtime/ca-cert.pem");
    fixture.set("AWS_CA_BUNDLE", "own.pem");
    fixture.around.variables =
        vec![("NODE_EXTRA_CA_CERTS", "/around.pem"), ("AWS_CA_BUNDLE", "/around.pem")];
    let launched = fixture.launch().unwrap();
    assert_eq!(launched.get("NODE_EXTRA_CA_CERTS"), Some("/around.pem"));
    assert_eq!(launched.get("AWS_CA_BUNDLE"), Some("own.pem"));
}

#[test]
fn concurrency_is_told_only_where_there_is_some() {
    let mut fixture = Fixture::of("provided.al2023");
    fixture.write("code/bootstrap", 0o755);
    assert_eq!(fixture.launch().unwrap().get("AWS_LAMBDA_MAX_CONCURRENCY"), None);
    fixture.spec.invocations_per_instance = 8;
    assert_eq!(fixture.launch().unwrap().get("AWS_LAMBDA_MAX_CONCURRENCY"), Some("8"));
}

#[test]
fn node_starts_with_lambdas_flags_and_module_paths() {
    let mut fixture = Fixture::of("nodejs22.x");
    fixture.spec.memory_mb = 1024;
    fixture.add_layer("one", &[]);
    fixture.add_layer("two", &[]);
    let launched = fixture.launch().unwrap();
    assert!(launched.program.ends_with("/node"), "{}", launched.program);
    assert_eq!(launched.arguments[..2], ["--max-semi-space-size=51", "--max-old-space-size=922"]);
    assert_eq!(launched.arguments.last().unwrap(), "ROOT/workspace/runtime/node.cjs");
    assert_eq!(launched.get("AWS_EXECUTION_ENV"), Some("AWS_Lambda_nodejs22.x"));
    let path = launched.get("NODE_PATH").unwrap();
    assert!(path.starts_with(
        "ROOT/two/nodejs/node22/node_modules:ROOT/two/nodejs/node_modules:\
         ROOT/one/nodejs/node22/node_modules:ROOT/one/nodejs/node_modules:"
    ));
    assert!(path.ends_with(":TASK"), "{path}");
    assert_eq!(launched.get("PYTHONPATH"), None);
}

#[test]
fn the_functions_own_node_options_decide() {
    let mut fixture = Fixture::of("nodejs22.x");
    fixture.set("NODE_OPTIONS", "--max_old_space_size=64 --experimental-require-module");
    let launched = fixture.launch().unwrap();
    assert_eq!(
        launched.get("NODE_OPTIONS"),
        fixture.spec.environment.first().map(|(_, v)| v.as_str())
    );
    let given = |text: &str| launched.arguments.iter().any(|argument| argument.contains(text));
    assert!(!given("space-size") && !given("require-module"), "{launched:?}");
}

#[test]
fn node_24_detects_modules_as_it_does_on_lambda() {
    let arguments = |runtime| Fixture::of(runtime).launch().unwrap().arguments;
    assert!(!arguments("nodejs24.x").iter().any(|argument| argument.contains("experimental")));
}

#[test]
fn python_gets_its_paths_from_the_shim() {
    let mut fixture = Fixture::of("python3.12");
    fixture.add_layer("one", &["python/lib/python3.12/site-packages"]);
    let launched = fixture.launch().unwrap();
    assert_eq!(launched.arguments, ["-B", "-X", "utf8", "ROOT/workspace/runtime/python.py"]);
    assert_eq!(launched.get("PYTHONPATH"), Some("ROOT/workspace/runtime"));
    assert_eq!(launched.get("AWS_EXECUTION_ENV"), Some("AWS_Lambda_python3.12"));
    let settings: Value = serde_json::from_str(launched.get("_WSGATE_SHIM").unwrap()).unwrap();
    let before = ["ROOT/one/python", "ROOT/one/python/lib/python3.12/site-packages"];
    assert_eq!(settings["before"], Value::from(before.to_vec()));
    assert_eq!(settings["redirect"], Value::Null);
    assert_eq!(settings["folder"], "TASK");
}

#[test]
fn a_redirect_is_handed_to_shims_alone() {
    let redirect =
        Redirect { names: vec!["a*".to_owned()], address: "127.0.0.1:7".parse().unwrap() };
    let mut fixture = Fixture::of("nodejs20.x");
    fixture.around.redirect = Some(redirect.clone());
    let launched = fixture.launch().unwrap();
    let settings: Value = serde_json::from_str(launched.get("_WSGATE_SHIM").unwrap()).unwrap();
    assert_eq!(
        settings["redirect"],
        serde_json::json!({ "names": ["a*"], "host": "127.0.0.1", "port": 7 })
    );
    let mut fixture = Fixture::of("provided.al2");
    fixture.write("code/bootstrap", 0o755);
    fixture.around.redirect = Some(redirect);
    assert_eq!(fixture.launch().unwrap().get("_WSGATE_SHIM"), None);
}

#[test]
fn another_version_is_a_warning_that_names_both() {
    let warning = |runtime| Fixture::of(runtime).launch().unwrap().warnings.join("\n");
    assert!(warning("nodejs99.x").starts_with("nodejs99.x runs on Node.js "));
    assert!(warning("python3.99").starts_with("python3.99 runs on Python 3."));
}

#[test]
fn a_bootstrap_may_come_from_a_layer() {
    let mut fixture = Fixture::of("provided");
    fixture.add_layer("one", &[]);
    fixture.add_layer("two", &[]);
    let none = fixture.launch().unwrap_err();
    assert!(none.to_string().starts_with("there is no file `bootstrap` in"), "{none}");
    fixture.write("one/bootstrap", 0o755);
    assert_eq!(fixture.launch().unwrap().program, "ROOT/one/bootstrap");
    fixture.write("two/bootstrap", 0o755);
    assert_eq!(fixture.launch().unwrap().program, "ROOT/two/bootstrap");
    fixture.write("code/bootstrap", 0o644);
    let plain = fixture.launch().unwrap_err();
    assert!(plain.to_string().ends_with("is not executable; run `chmod +x` on it"), "{plain}");
}

#[test]
fn other_runtimes_say_what_to_do() {
    for runtime in ["java21", "dotnet8", "ruby3.3", "go1.x", "", "providedx"] {
        assert_eq!(
            Fixture::of(runtime).launch().unwrap_err().to_string(),
            format!(
                "runtime `{runtime}` does not run on this machine by itself; serve the function \
                 with `url`, or set `command`"
            )
        );
    }
}

#[test]
fn a_command_is_the_functions_own_or_the_machines() {
    let mut fixture = Fixture::of("ruby3.3");
    let mut start = |command: &[&str]| {
        fixture.spec.command = Some(command.iter().map(|part| (*part).to_owned()).collect());
        fixture.launch().map(|launched| (launched.program, launched.arguments))
    };
    assert_eq!(start(&["sh", "run"]).unwrap().1, ["run"]);
    assert!(start(&["sh", "run"]).unwrap().0.ends_with("/sh"));
    assert_eq!(start(&["/bin/sh"]).unwrap().0, "/bin/sh");
    for missing in [["./run"], ["no-such-program"]] {
        assert_eq!(start(&missing), Err(CodeError::NoCommand { program: missing[0].to_owned() }));
    }
    assert!(matches!(start(&[]), Err(CodeError::NoCommand { .. })));
    fixture.write("code/run", 0o755);
    fixture.spec.command = Some(vec!["./run".to_owned()]);
    let launched = fixture.launch().unwrap();
    assert_eq!(launched.program, "TASK/./run");
    assert_eq!(launched.get("_HANDLER"), Some("index.handler"));
}
