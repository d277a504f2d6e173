//! Invocations by the host of functions alone, in this process.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use lambda_host::{Code, Function as _, LocalFunction, Spec, Surroundings};
use tempfile::TempDir;

use super::latency::{Clock, Times};
use super::{event, native, peer};

/// Far beyond any invocation.
const PATIENCE: Duration = Duration::from_secs(10);

/// A native function.
pub(crate) struct Host {
    runtime: tokio::runtime::Runtime,
    function: Arc<LocalFunction>,
    _folder: TempDir,
}

#[derive(Debug)]
struct Nothing;

impl Surroundings for Nothing {
    fn environment(&self, _: &Spec) -> Vec<(String, String)> {
        Vec::new()
    }
}

impl Host {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let code = folder.path().join("src");
        std::fs::create_dir(&code).unwrap();
        peer::write_code(&code);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let spec = Spec {
            name: "bench".to_owned(),
            arn: "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned(),
            region: "us-east-1".to_owned(),
            runtime: "provided.al2023".to_owned(),
            handler: "bootstrap".to_owned(),
            code: Code::Folder(code),
            layers: Vec::new(),
            environment: Vec::new(),
            timeout: PATIENCE,
            memory_mb: 128,
            instances_max: 1,
            invocations_per_instance: 1,
            command: None,
        };
        let workspace = folder.path().join("workspace");
        let function = LocalFunction::new(spec, &workspace, Arc::new(Nothing)).unwrap();
        Self { runtime, function: Arc::new(function), _folder: folder }
    }

    /// Invokes for as long as a [`Clock`] says. Runs in a task, as in the gateway.
    pub(crate) fn repeat(&self) -> Times {
        let function = Arc::clone(&self.function);
        let event = Bytes::from(event());
        let work = self.runtime.spawn(async move {
            let mut clock = Clock::new();
            while clock.goes_on() {
                let result = function.invoke(event.clone(), PATIENCE).await;
                clock.note(result.is_ok_and(|result| result == native::RESULT));
            }
            clock.finish()
        });
        self.runtime.block_on(work).unwrap()
    }
}
