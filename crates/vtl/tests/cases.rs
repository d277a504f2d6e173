//! The case files: templates and what Velocity 1.7 makes of them.
//!
//! A file in `cases/` holds cases with a line of `=` between them; each is a
//! template, a line of `-`, and the output (or `error LINE:COLUMN reason`).
//! All outputs but those in `own_*.vtl`, which say where this crate refuses or
//! chooses otherwise, were made by the engine itself
//! (`org.apache.velocity` 1.7), given the same names as [`Names`] has.

use std::path::Path;

use vtl::{CallError, Host, Limits, List, Map, Miss, Reference, Scope, Template, Value};

const CASE_END: &str = "\n==========\n";
const INPUT_END: &str = "\n----------\n";

/// What the cases can see.
struct Names {
    list: List,
    map: Map,
}

impl Names {
    fn new() -> Self {
        let json = serde_json::json!({"a": 1, "b": "two", "n": null, "list": [1, 2, 3]});
        let Value::Map(map) = Value::from(&json) else { panic!("not a map") };
        Self { list: ["a", "b", "c"].map(Value::from).into_iter().collect(), map }
    }
}

impl Scope for Names {
    fn find(&self, name: &str) -> Option<Value> {
        Some(match name {
            "x" => Value::from("X"),
            "n" => Value::Int(7),
            "d" => Value::Float(1.5),
            "t" => Value::Bool(true),
            "f" => Value::Bool(false),
            "e" => Value::from(""),
            "m" => Value::Map(self.map.clone()),
            "l" => Value::List(self.list.clone()),
            "host" => Value::Host(Host(1)),
            "silent" => Value::Host(Host(2)),
            _ => return None,
        })
    }

    fn property(&self, host: Host, name: &str) -> Option<Value> {
        (host == Host(1) && name == "name").then(|| Value::from("host"))
    }

    fn call(&self, _: Host, method: &str, args: &[Value]) -> Result<Option<Value>, CallError> {
        match (method, args) {
            ("getName", []) => Ok(Some(Value::from("host"))),
            ("echo", [value]) => {
                Ok(Some(Value::from(value.text(1000).expect("short").into_owned())))
            }
            ("fail", []) => Err(CallError::new("failed")),
            _ => Ok(None),
        }
    }

    fn miss(&self, reference: &Reference<'_>) -> Miss {
        if reference.root() == "silent" { Miss::Empty } else { Miss::Source }
    }
}

fn run(source: &str) -> String {
    match Template::parse(source) {
        Err(error) => format!("error {}:{} {}", error.line, error.column, error.reason),
        Ok(template) => match template.render(&Names::new(), &Limits::default()) {
            Ok(text) => text,
            Err(error) => format!("render error: {error}"),
        },
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the cases are files")]
fn every_case_renders_as_its_file_says() {
    let update = std::env::var("UPDATE_EXPECT").is_ok();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut outcome = Vec::new();
        for case in text.strip_suffix('\n').unwrap_or(&text).split(CASE_END) {
            let (input, expected) = case.split_once(INPUT_END).expect("a line of dashes");
            let input = input.replace("<CR>", "\r");
            let output = run(&input);
            if output.replace('\r', "<CR>") != expected {
                wrong.push(format!(
                    "{}:\n{input}\n  expected: {expected:?}\n  rendered: {output:?}",
                    path.display()
                ));
            }
            outcome.push(format!("{input}{INPUT_END}{output}").replace('\r', "<CR>"));
            count += 1;
        }
        if update {
            std::fs::write(&path, outcome.join(CASE_END) + "\n").unwrap();
        }
    }
    assert!(100 < count, "only {count} cases");
    assert!(wrong.is_empty() || update, "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}
