//! Keeps the tables of `docs/errors.md` complete.

use std::collections::BTreeSet;

use authorizer::Denial;

macro_rules! file {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../", $path))
    };
}

const DOCUMENT: &str = file!("docs/errors.md");

/// Where codes of findings are given out.
const FINDINGS: [&str; 3] = [
    file!("crates/cloudformation/src/codes.rs"),
    file!("crates/api-model/src/codes.rs"),
    file!("crates/gateway/src/settings.rs"),
];

#[test]
fn every_denial_stands_with_its_status_and_rule() {
    for denial in Denial::ALL {
        let row = format!("| `{}` | {} | {} |", denial.code(), denial.status(), denial.rule());
        assert!(DOCUMENT.lines().any(|line| line == row), "write into docs/errors.md: {row}");
    }
}

#[test]
fn every_failure_stands_with_its_status() {
    let source = file!("crates/session/src/error.rs");
    let (_, codes) = source.split_once("pub fn code(self)").expect("the table of codes");
    let (codes, _) = codes.split_once("pub fn status(self)").expect("its end");
    let codes = quoted(codes);
    assert!(10 < codes.len(), "the codes were not found");
    for code in codes {
        assert!(DOCUMENT.contains(&format!("\n| `{code}` | ")), "{code} is not in docs/errors.md");
    }
}

#[test]
fn every_finding_stands_and_no_other() {
    let is_finding = |code: &String| code.starts_with("WSG-") && code.len() == 7;
    let given: BTreeSet<String> =
        FINDINGS.iter().flat_map(|source| quoted(source)).filter(is_finding).collect();
    let told: BTreeSet<String> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .filter(is_finding)
        .collect();
    assert!(60 < given.len(), "the codes were not found");
    assert_eq!(given, told);
}

/// Texts between quotation marks.
fn quoted(source: &str) -> BTreeSet<String> {
    source.lines().flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}
