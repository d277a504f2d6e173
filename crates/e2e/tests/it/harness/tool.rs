//! Programs that some tests drive; `cargo xtask test` finds and installs them.

use std::path::PathBuf;

/// The program called `name`, found by `variable`; `None` when the caller of
/// `cargo xtask test` said `--without NAME`.
///
/// Anything else that keeps a test from running is a failure, never a skip.
pub(crate) fn tool(name: &str, variable: &str) -> Option<PathBuf> {
    if is_left_out(name) {
        return None;
    }
    let found = std::env::var_os(variable).map(PathBuf::from);
    Some(found.unwrap_or_else(|| {
        panic!("{name} is needed: run `cargo xtask test`, or name it by {variable}=/path")
    }))
}

/// Whether the caller of `cargo xtask test` said `--without NAME`.
pub(crate) fn is_left_out(name: &str) -> bool {
    let without = std::env::var("WSGATE_TEST_WITHOUT").unwrap_or_default();
    without.split(',').any(|left_out| left_out == name)
}
