//! One test per file of `cases/`.

use crate::harness::case;

fn check(name: &str) {
    case::load(name).check();
}

include!(concat!(env!("OUT_DIR"), "/cases.rs"));
