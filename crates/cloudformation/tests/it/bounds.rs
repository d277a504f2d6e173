//! Nothing in a template panics, and its cost is bounded.

use cloudformation::Options;
use proptest::prelude::*;

use crate::load_one;

/// Loads a text and tells the codes of its findings.
fn codes(text: &str) -> Vec<&'static str> {
    let (_, diagnostics) = load_one(text, &Options::default());
    for one in &diagnostics.list {
        assert!(one.span.start.line >= 1 && one.span.start.column >= 1, "{one:?}");
    }
    diagnostics.list.iter().map(|one| one.code).collect()
}

#[test]
fn a_template_above_the_size_limit_is_refused() {
    assert_eq!(codes(&"a: b\n".repeat(2_000_000)), ["WSG-002"]);
}
