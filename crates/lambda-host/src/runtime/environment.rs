//! The environment of a function: what Lambda sets, what the function sets, and what its
//! surroundings add. Nothing of this process's own environment is in it ([environment]).
//!
//! [environment]: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Family, Start};
use crate::code::Prepared;
use crate::{Spec, Surroundings, shim};

/// Variables that a function cannot set, as on Lambda.
const RESERVED: [&str; 22] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    shim::VARIABLE,
];

/// Variables that name a file of trusted certificates. A function's own counts only if the file
/// is on this machine: `/var/runtime/ca-cert.pem` is on Lambda's.
const CERTIFICATES: [&str; 4] =
    ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"];

pub(super) struct Environment {
    variables: BTreeMap<String, OsString>,
}

impl Environment {
    /// The environment of `spec`, started by `start`.
    pub(super) fn of(
        spec: &Spec,
        prepared: &Prepared,
        surroundings: &dyn Surroundings,
        start: &Start,
        warnings: &mut Vec<String>,
    ) -> Self {
        let mut environment = Self { variables: BTreeMap::new() };
        environment.set_defaults(spec, prepared, start);
        environment.set_own(spec, prepared, warnings);
        let own = |name: &str| environment.variables.contains_key(name) && is_own(spec, name);
        let added: Vec<_> = surroundings.environment(spec);
        let added: Vec<_> = added.into_iter().filter(|(name, _)| !own(name)).collect();
        for (name, value) in added {
            environment.set(&name, value);
        }
        environment.set_reserved(spec, prepared);
        if start.shim {
            let value = shim_value(spec, prepared, surroundings, start);
            environment.set(shim::VARIABLE, value);
        }
        environment
    }

    pub(super) fn into_pairs(self) -> Vec<(String, OsString)> {
        self.variables.into_iter().collect()
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// What the function may set otherwise.
    fn set_defaults(&mut self, spec: &Spec, prepared: &Prepared, start: &Start) {
        let task_root = &prepared.task_root;
        self.set("LANG", "en_US.UTF-8");
        self.set("TZ", ":UTC");
        self.set("HOME", prepared.scratch.path());
        self.set("TMPDIR", prepared.scratch.path());
        self.set("PATH", join(path_folders(prepared, start)));
        let libraries = layers_last_first(prepared).map(|layer| layer.join("lib"));
        let own = [task_root.clone(), task_root.join("lib")];
        self.set("LD_LIBRARY_PATH", join(own.into_iter().chain(libraries)));
        match Family::of(&spec.runtime) {
            Some(Family::Node) => {
                self.set("NODE_PATH", join(node_folders(spec, prepared, start)));
            }
            Some(Family::Python) => self.set("PYTHONPATH", prepared.runtime_dir.as_os_str()),
            Some(Family::Custom) | None => {}
        }
    }

    fn set_own(&mut self, spec: &Spec, prepared: &Prepared, warnings: &mut Vec<String>) {
        for (name, value) in &spec.environment {
            let missing_file =
                CERTIFICATES.contains(&name.as_str()) && !prepared.task_root.join(value).is_file();
            if RESERVED.contains(&name.as_str()) {
                warnings.push(format!("Lambda reserves the variable `{name}`; it is ignored"));
            } else if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                let name = name.escape_debug();
                warnings.push(format!("the variable `{name}` cannot be set; it is ignored"));
            } else if !missing_file {
                self.set(name, value);
            }
            if name == "AWS_LAMBDA_EXEC_WRAPPER" {
                warnings.push("AWS_LAMBDA_EXEC_WRAPPER is set, but no wrapper is run".to_owned());
            }
        }
    }

    fn set_reserved(&mut self, spec: &Spec, prepared: &Prepared) {
        self.set("_HANDLER", &spec.handler);
        self.set("AWS_REGION", &spec.region);
        self.set("AWS_DEFAULT_REGION", &spec.region);
        // Lambda does not define it for custom runtimes.
        if matches!(Family::of(&spec.runtime), Some(Family::Node | Family::Python)) {
            self.set("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", spec.runtime));
        }
        self.set("AWS_LAMBDA_FUNCTION_NAME", &spec.name);
        self.set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory_mb.to_string());
        self.set("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        self.set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
        self.set("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", spec.name));
        self.set("LAMBDA_TASK_ROOT", prepared.task_root.as_os_str());
        self.set("LAMBDA_RUNTIME_DIR", prepared.runtime_dir.as_os_str());
        if 1 < spec.invocations_per_instance {
            self.set("AWS_LAMBDA_MAX_CONCURRENCY", spec.invocations_per_instance.to_string());
        }
    }
}

/// Whether the function itself set a variable that it may set.
fn is_own(spec: &Spec, name: &str) -> bool {
    !RESERVED.contains(&name) && spec.environment.iter().any(|(own, _)| own == name)
}

/// The interpreter's folder, the machine's usual ones, and those of the layers.
fn path_folders(prepared: &Prepared, start: &Start) -> Vec<PathBuf> {
    let own = |folder: &&Path| {
        std::iter::once(&prepared.task_root)
            .chain(&prepared.layers)
            .any(|place| folder.starts_with(place))
    };
    let program = start.program.parent().filter(|folder| !own(folder)).map(Path::to_owned);
    let usual = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
    let layers = layers_last_first(prepared).map(|layer| layer.join("bin"));
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in program.into_iter().chain(usual).chain(layers) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// Where Node.js looks after the function's own `node_modules`: in the order of Lambda, with the
/// machine's modules in the place of those that Lambda's runtime brings.
fn node_folders(spec: &Spec, prepared: &Prepared, start: &Start) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for layer in layers_last_first(prepared) {
        if let Some(major) = super::interpreter::node_major(&spec.runtime) {
            folders.push(layer.join(format!("nodejs/node{major}/node_modules")));
        }
        folders.push(layer.join("nodejs/node_modules"));
    }
    folders.extend(start.modules.iter().cloned());
    folders.push(prepared.task_root.clone());
    folders
}

/// Where Python looks after the function's own folder: layers, then the machine's interpreter.
fn python_folders(prepared: &Prepared) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for layer in layers_last_first(prepared) {
        folders.push(layer.join("python"));
        // `python/lib/python3.12/site-packages`, whatever the version.
        if let Ok(versions) = std::fs::read_dir(layer.join("python/lib")) {
            let versions = versions.filter_map(Result::ok);
            let mut sites: Vec<_> =
                versions.map(|version| version.path().join("site-packages")).collect();
            sites.sort_unstable();
            folders.extend(sites);
        }
    }
    folders
}

/// A later layer covers an earlier one.
fn layers_last_first(prepared: &Prepared) -> impl Iterator<Item = &PathBuf> {
    prepared.layers.iter().rev()
}

/// Joins folders for a variable; one with a colon in its name cannot be in it.
fn join(folders: impl IntoIterator<Item = PathBuf>) -> OsString {
    let fits = |folder: &PathBuf| !folder.as_os_str().as_encoded_bytes().contains(&b':');
    let folders: Vec<PathBuf> = folders.into_iter().filter(fits).collect();
    folders.iter().map(|folder| folder.as_os_str()).collect::<Vec<_>>().join(OsStr::new(":"))
}

/// What a shim must know and the function's code must not see.
fn shim_value(
    spec: &Spec,
    prepared: &Prepared,
    surroundings: &dyn Surroundings,
    start: &Start,
) -> String {
    let redirect = surroundings.redirect().map(|redirect| {
        json!({
            "names": redirect.names,
            "host": redirect.address.ip().to_string(),
            "port": redirect.address.port(),
        })
    });
    let texts = |folders: Vec<PathBuf>| -> Vec<String> {
        folders.iter().filter_map(|folder| folder.to_str().map(str::to_owned)).collect()
    };
    let (before, after) = match Family::of(&spec.runtime) {
        Some(Family::Python) => (texts(python_folders(prepared)), texts(start.modules.clone())),
        _ => (Vec::new(), Vec::new()),
    };
    // Where to install what is missing: an own folder stays, ours goes with the host.
    let folder = match &spec.code {
        crate::Code::Folder(_) => prepared.task_root.to_str(),
        crate::Code::Inline(_) | crate::Code::Zip(_) => None,
    };
    json!({ "redirect": redirect, "before": before, "after": after, "folder": folder }).to_string()
}
