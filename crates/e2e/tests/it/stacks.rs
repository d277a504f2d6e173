//! The demo's stacks: what we ship as CloudFormation would deploy as it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::tool::tool;

#[test]
fn the_demo_stacks_pass_the_linter_without_a_word() {
    let Some(linter) = tool("cfn-lint", "CFN_LINT") else { return };
    let stacks = stacks();
    assert!(!stacks.is_empty(), "demo/aws holds templates");
    let output = Command::new(linter).args(&stacks).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.trim().is_empty(), "{said}{complained}");
}

fn stacks() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/aws");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}
