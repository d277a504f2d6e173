//! Functions that are files of Node.js or Python, run by the shims.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use lambda_host::{Code, Function, InvokeError, LocalFunction, Redirect, Spec, Surroundings};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{DEADLINE, Fixture, function};

/// A function whose code is in a folder of its own.
pub(crate) struct Program {
    fixture: Fixture,
    pub(crate) code: TempDir,
}

impl Deref for Program {
    type Target = Arc<LocalFunction>;

    fn deref(&self) -> &Self::Target {
        &self.fixture.function
    }
}

/// A file: its path and its text.
pub(crate) type File<'a> = (&'a str, &'a str);

/// A function of these files; `change` may change its spec.
pub(crate) fn program(
    runtime: &str,
    handler: &str,
    files: &[File<'_>],
    change: impl FnOnce(&mut Spec),
) -> Program {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("{runtime}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let code = folder(files);
    let fixture = function(&name, |spec| {
        spec.runtime = runtime.to_owned();
        spec.handler = handler.to_owned();
        spec.command = None;
        spec.code = Code::Folder(code.path().to_owned());
        change(spec);
    });
    Program { fixture, code }
}

/// A folder with these files.
pub(crate) fn folder(files: &[File<'_>]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// The result, or the error as the function's runtime tells it.
pub(crate) async fn invoke(function: &LocalFunction, event: Value) -> Result<Value, Value> {
    match function.invoke(Bytes::from(event.to_string()), DEADLINE).await {
        Ok(result) => Ok(serde_json::from_slice(&result).unwrap()),
        Err(InvokeError::Function { document, .. }) => {
            Err(serde_json::from_slice(&document).unwrap())
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// What these files answer to `{}`.
pub(crate) async fn outcome(
    runtime: &str,
    handler: &str,
    files: &[File<'_>],
) -> Result<Value, Value> {
    invoke(&program(runtime, handler, files, |_| {}), json!({})).await
}

/// Type and message of an error.
pub(crate) fn kind(error: &Value) -> (&str, &str) {
    (error["errorType"].as_str().unwrap(), error["errorMessage"].as_str().unwrap())
}

/// Surroundings with these variables and this redirect.
#[derive(Debug)]
pub(crate) struct Around {
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) redirect: Option<Redirect>,
}

impl Surroundings for Around {
    fn environment(&self, _spec: &Spec) -> Vec<(String, String)> {
        self.variables.clone()
    }

    fn redirect(&self) -> Option<Redirect> {
        self.redirect.clone()
    }
}
