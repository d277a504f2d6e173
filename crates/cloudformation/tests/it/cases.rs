//! Every file of `cases/`: a template, a line of ten dashes, and what comes out.
//!
//! A YAML template may begin with directives: `# parameter K=V`, `# ssm K=V`,
//! `# stack NAME`. A line `# next FILE` starts another template of the same
//! load. `UPDATE_EXPECT=1` rewrites what comes out.

use std::path::Path;

use api_model::Sources;
use cloudformation::{Options, load};

use crate::render;

#[test]
fn every_case_comes_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    #[expect(clippy::disallowed_methods, reason = "tests read their cases")]
    let update = std::env::var("UPDATE_EXPECT").is_ok();
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut failures = Vec::new();
    for path in paths {
        #[expect(clippy::disallowed_methods, reason = "tests read their cases")]
        let case = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (input, want) = case.split_once(SEPARATOR).unwrap_or((&case, ""));
        let got = run(name, input);
        if got != want {
            failures.push(format!("{name}:\n--- want\n{want}\n--- got\n{got}"));
            if update {
                std::fs::write(&path, format!("{input}{SEPARATOR}{got}")).unwrap();
            }
        }
    }
    assert!(update || failures.is_empty(), "{}", failures.join("\n"));
}

const SEPARATOR: &str = "\n----------\n";

fn run(name: &str, input: &str) -> String {
    let mut options = Options::default();
    for line in input.lines().take_while(|line| line.starts_with('#')) {
        let pair = |rest: &str| {
            let (name, value) = rest.split_once('=').expect("a directive has a value");
            (name.to_owned(), value.to_owned())
        };
        match line[1..].trim().split_once(' ') {
            Some(("parameter", rest)) => options.parameters.push(pair(rest)),
            Some(("ssm", rest)) => options.ssm_parameters.extend([pair(rest)]),
            Some(("stack", rest)) => options.stack_names.push(rest.to_owned()),
            _ => {}
        }
    }
    let mut sources = Sources::default();
    for (index, part) in input.split("\n# next ").enumerate() {
        if index == 0 {
            sources.add(name, part);
        } else {
            let (name, text) = part.split_once('\n').expect("a file name ends its line");
            sources.add(name, text);
        }
    }
    let (stacks, diagnostics) = load(&sources, &options);
    render(&stacks, &diagnostics)
}
