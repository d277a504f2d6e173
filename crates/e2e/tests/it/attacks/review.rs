//! `docs/security-review.md` names files and tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

/// Columns of each of its tables.
const COLUMNS: usize = 4;

#[test]
fn every_file_and_test_of_the_review_exists() {
    let text = fs::read_to_string(root().join("docs/security-review.md")).unwrap();
    let (mut rows, mut wrong) = (0, Vec::new());
    for line in text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), COLUMNS, "{line}");
        let [_, _, files, tests] = cells[..] else { unreachable!("just counted") };
        if (files, tests) == ("file", "test") {
            continue;
        }
        rows += 1;
        for (cell, kind) in [(files, "file"), (tests, "test")] {
            if quoted(cell).is_empty() {
                wrong.push(format!("no {kind}: {line}"));
            }
            let missing = quoted(cell).into_iter().filter(|name| !exists(name));
            wrong.extend(missing.map(|name| format!("there is no {name}")));
        }
    }
    wrong.extend(prose(&text).into_iter().filter(|name| !exists(name)).map(str::to_owned));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A table that is read as no table would prove nothing.
    assert!(60 < rows, "only {rows} rows were read");
}

/// What stands between back quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The tests that are named outside the tables.
fn prose(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('|'));
    lines
        .flat_map(quoted)
        .filter(|name| name.contains("::") && !name.starts_with("file::"))
        .collect()
}

fn exists(name: &str) -> bool {
    let (path, function) = name.split_once("::").map_or((name, None), |(p, f)| (p, Some(f)));
    let places = ["", "crates", "crates/e2e/cases"];
    let place = places.map(|place| root().join(place).join(path)).into_iter().find(|p| p.is_file());
    let Some(place) = place else { return false };
    function.is_none_or(|function| {
        let code = fs::read_to_string(place).unwrap_or_default();
        // Tests, data of the table, and tests that a macro wraps.
        code.contains(&format!("fn {function}(")) || code.contains(&format!("fn {function}<"))
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
