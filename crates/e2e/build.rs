//! Gives every file in `cases/` a test of its own name.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=cases");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets the package folder");
    let mut names: Vec<String> = fs::read_dir(Path::new(&root).join("cases"))
        .expect("the folder of cases exists")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".case").map(str::to_owned))
        .collect();
    names.sort();
    let tests: String = names
        .iter()
        .map(|name| {
            let function = name.replace(['-', '.'], "_");
            format!("#[test]\nfn {function}() {{\n    check({name:?});\n}}\n")
        })
        .collect();
    let out = env::var("OUT_DIR").expect("cargo sets the output folder");
    fs::write(Path::new(&out).join("cases.rs"), tests).expect("the output folder is writable");
}
