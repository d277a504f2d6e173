//! The bill of materials: which packages a program was made of, as [CycloneDX 1.6].
//!
//! `cargo tree` knows exactly what is in it, for one package, its features and one target; `cargo
//! metadata` would join the features of the whole workspace. Sums come from `Cargo.lock`. There is
//! no date and no serial number: the same source gives the same bytes.
//!
//! [CycloneDX 1.6]: https://cyclonedx.org/docs/1.6/json/

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::build::{self, Checkout};
use super::{Arch, FEATURES, PROGRAM};
use crate::Failure;

/// The bill of the program whose sum is `sha256`.
pub(super) fn of(checkout: &Checkout, arch: Arch, sha256: &str) -> Result<String, Failure> {
    let tree = Tree::parse(&checkout.packages(arch)?)?;
    let facts = [
        ("wsgate:features", FEATURES.to_owned()),
        ("wsgate:program", PROGRAM.to_owned()),
        ("wsgate:rustc", build::rustc_version()?),
        ("wsgate:target", arch.target().to_owned()),
    ];
    Ok(write(&tree, &sums(&checkout.lock()?), &facts, sha256))
}

/// Name and version.
type Id = (String, String);

/// The packages of a program.
#[derive(Debug, Default, Eq, PartialEq)]
struct Tree {
    root: Id,
    /// The licence of each, as its manifest says it.
    licences: BTreeMap<Id, String>,
    /// What each needs.
    edges: BTreeMap<Id, BTreeSet<Id>>,
}

impl Tree {
    /// Reads the lines of [`Checkout::packages`].
    fn parse(text: &str) -> Result<Self, String> {
        let mut tree = Self::default();
        let mut above: Vec<Id> = Vec::new();
        for line in text.lines() {
            let (depth, id, licence) = parse_line(line)
                .ok_or_else(|| format!("cannot read what cargo tree says: {line}"))?;
            if above.len() < depth || (depth == 0 && !above.is_empty()) {
                return Err(format!("cargo tree skips a level: {line}"));
            }
            above.truncate(depth);
            match above.last() {
                Some(parent) => {
                    tree.edges.entry(parent.clone()).or_default().insert(id.clone());
                }
                None => tree.root = id.clone(),
            }
            tree.edges.entry(id.clone()).or_default();
            tree.licences.insert(id.clone(), licence);
            above.push(id);
        }
        if above.is_empty() { Err("cargo tree says nothing".to_owned()) } else { Ok(tree) }
    }
}

/// `DEPTH|NAME vVERSION …|LICENCE`, and `(*)` behind a package that was listed before.
fn parse_line(line: &str) -> Option<(usize, Id, String)> {
    let mut parts = line.trim_end().trim_end_matches(" (*)").splitn(3, '|');
    let depth = parts.next()?.parse().ok()?;
    let mut package = parts.next()?.split(' ');
    let name = package.next()?.to_owned();
    let version = package.next()?.strip_prefix('v')?.to_owned();
    Some((depth, (name, version), parts.next()?.trim().to_owned()))
}

/// SHA-256 sums of the packages that come from a registry.
fn sums(lock: &str) -> BTreeMap<Id, String> {
    let value = |entry: &str, key: &str| {
        entry.lines().find_map(|line| {
            let text = line.strip_prefix(key)?.strip_prefix(" = \"")?;
            Some(text.strip_suffix('"')?.to_owned())
        })
    };
    lock.split("[[package]]\n")
        .filter_map(|entry| {
            let id = (value(entry, "name")?, value(entry, "version")?);
            Some((id, value(entry, "checksum")?))
        })
        .collect()
}

fn write(
    tree: &Tree,
    sums: &BTreeMap<Id, String>,
    facts: &[(&str, String)],
    sha256: &str,
) -> String {
    let hashes = |sum: &str| json!([{ "alg": "SHA-256", "content": sum }]);
    let component = |id: &Id, kind: &str| {
        let mut component = json!({
            "type": kind,
            "bom-ref": purl(id),
            "name": id.0,
            "version": id.1,
            "purl": purl(id),
        });
        // Old manifests write `MIT/Apache-2.0`, which is no SPDX expression.
        let licence = tree.licences.get(id).map(|it| it.replace('/', " OR "));
        if let Some(licence) = licence.filter(|it| !it.is_empty()) {
            component["licenses"] = json!([{ "expression": licence }]);
        }
        component
    };
    let mut program = component(&tree.root, "application");
    program["hashes"] = hashes(sha256);
    let components: Vec<Value> = tree
        .licences
        .keys()
        .filter(|id| **id != tree.root)
        .map(|id| {
            let mut library = component(id, "library");
            if let Some(sum) = sums.get(id) {
                library["hashes"] = hashes(sum);
            }
            library
        })
        .collect();
    let edges: Vec<Value> = tree
        .edges
        .iter()
        .map(|(id, needs)| {
            json!({ "ref": purl(id), "dependsOn": needs.iter().map(purl).collect::<Vec<_>>() })
        })
        .collect();
    let facts: Vec<Value> =
        facts.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": program, "properties": facts },
        "components": components,
        "dependencies": edges,
    });
    format!("{bill:#}\n")
}

/// The [package URL](https://github.com/package-url/purl-spec); `+` of a version is escaped.
fn purl((name, version): &Id) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
0|it v0.1.0 (/home/ada/it)|MIT OR Apache-2.0
1|left v1.0.0|MIT/Apache-2.0
2|deep v2.0.0+upstream.3|ISC AND (Apache-2.0 OR ISC)
1|deep v1.0.0|
1|right v1.0.0 (/home/ada/right)|MIT
2|left v1.0.0|MIT/Apache-2.0 (*)
";

    const LOCK: &str = "\
version = 4

[[package]]
name = \"deep\"
version = \"2.0.0+upstream.3\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"
checksum = \"22\"
dependencies = [
 \"other\",
]

[[package]]
name = \"it\"
version = \"0.1.0\"

[[package]]
name = \"left\"
version = \"1.0.0\"
checksum = \"11\"
";

    fn bill() -> String {
        let tree = Tree::parse(TREE).unwrap();
        write(&tree, &sums(LOCK), &[("wsgate:target", "here".to_owned())], "00")
    }

    #[test]
    fn every_package_is_there_once_with_licence_sum_and_address() {
        let bill: Value = serde_json::from_str(&bill()).unwrap();
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["specVersion"], "1.6");
        assert_eq!(bill["metadata"]["component"]["name"], "it");
        assert_eq!(bill["metadata"]["component"]["hashes"][0]["content"], "00");
        assert_eq!(
            bill["components"],
            json!([
                {
                    "type": "library",
                    "bom-ref": "pkg:cargo/deep@1.0.0",
                    "name": "deep",
                    "version": "1.0.0",
                    "purl": "pkg:cargo/deep@1.0.0",
                },
                {
                    "type": "library",
                    "bom-ref": "pkg:cargo/deep@2.0.0%2Bupstream.3",
                    "name": "deep",
                    "version": "2.0.0+upstream.3",
                    "purl": "pkg:cargo/deep@2.0.0%2Bupstream.3",
                    "licenses": [{ "expression": "ISC AND (Apache-2.0 OR ISC)" }],
                    "hashes": [{ "alg": "SHA-256", "content": "22" }],
                },
                {
                    "type": "library",
                    "bom-ref": "pkg:cargo/left@1.0.0",
                    "name": "left",
                    "version": "1.0.0",
                    "purl": "pkg:cargo/left@1.0.0",
                    "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                    "hashes": [{ "alg": "SHA-256", "content": "11" }],
                },
                {
                    "type": "library",
                    "bom-ref": "pkg:cargo/right@1.0.0",
                    "name": "right",
                    "version": "1.0.0",
                    "purl": "pkg:cargo/right@1.0.0",
                    "licenses": [{ "expression": "MIT" }],
                },
            ])
        );
    }

    #[test]
    fn needs_are_kept_also_of_packages_that_were_listed_before() {
        let bill: Value = serde_json::from_str(&bill()).unwrap();
        let needs = |name: &str| {
            let edges = bill["dependencies"].as_array().unwrap();
            edges.iter().find(|edge| edge["ref"] == name).unwrap()["dependsOn"].clone()
        };
        assert_eq!(needs("pkg:cargo/right@1.0.0"), json!(["pkg:cargo/left@1.0.0"]));
        assert_eq!(needs("pkg:cargo/left@1.0.0"), json!(["pkg:cargo/deep@2.0.0%2Bupstream.3"]));
        assert_eq!(needs("pkg:cargo/deep@1.0.0"), json!([]));
    }

    #[test]
    fn the_bill_knows_no_folder_and_no_time() {
        let bill = bill();
        assert!(!bill.contains("/home") && !bill.contains("timestamp"), "{bill}");
        assert_eq!(bill, self::bill());
    }

    #[test]
    fn what_cargo_does_not_write_is_an_error() {
        for text in ["", "x|y", "0|it|MIT", "0|it v1|MIT\n2|deep v1|MIT", "0|a v1|M\n0|b v1|M"] {
            assert!(Tree::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_lines_of_cargo_are_understood() {
        let here = Checkout::here();
        let mut command = std::process::Command::new("cargo");
        command.args(["tree", "--locked", "--offline", "--package", "xtask"]);
        command.args(["--edges", "normal,no-proc-macro", "--prefix", "depth"]);
        let output = command.args(["--format", "|{p}|{l}"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = Tree::parse(&String::from_utf8(output.stdout).unwrap()).unwrap();
        let sums = sums(&here.lock().unwrap());
        for id in tree.licences.keys().filter(|id| **id != tree.root) {
            assert!(sums.contains_key(id), "{id:?} has no sum");
        }
        assert!(tree.edges[&tree.root].iter().any(|(name, _)| name == "sha2"), "{tree:?}");
    }
}
