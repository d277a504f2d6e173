//! Functions on this machine.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::code::{self, CodeError, Prepared};
use crate::output::Gate;
use crate::pool::Pool;
use crate::process;
use crate::runtime;
use crate::{Function, Invocation, InvokeError, SharedSurroundings, Spec};

/// Largest payload of a synchronous invocation ([quotas]): 6 MB.
///
/// [quotas]: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// A function on this machine: its instances and who waits for one.
///
/// An instance is a child process that speaks the [Runtime API]. It is started when an invocation
/// finds no idle one, serves one invocation after the other, and is replaced when it ends.
/// Dropping the function ends its instances at once.
///
/// [Runtime API]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
pub struct LocalFunction {
    pool: Arc<Pool>,
}

/// What the instances of a function need to start.
pub(crate) struct Base {
    pub(crate) spec: Spec,
    pub(crate) prepared: Prepared,
    pub(crate) surroundings: SharedSurroundings,
    pub(crate) warnings: Vec<String>,
    pub(crate) gate: Arc<Gate>,
}

/// What the instances of a function are doing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Instances {
    /// Processes, also those that are starting.
    pub running: usize,
    /// Processes with an invocation.
    pub busy: usize,
    /// Processes that wait for an invocation.
    pub idle: usize,
    /// Processes that became ready, ever.
    pub cold_starts: u64,
    /// Invocations that wait for a process.
    pub waiting: usize,
}

impl LocalFunction {
    /// Prepares the code of `spec` in a folder of its own below `workspace`; starts no process.
    pub fn new(
        spec: Spec,
        workspace: &Path,
        surroundings: SharedSurroundings,
    ) -> Result<Self, CodeError> {
        let prepared = code::prepare(&spec, workspace)?;
        let mut warnings = runtime::launch(&spec, &prepared, &*surroundings)?.warnings;
        if !process::LIMITED {
            let message = "on this system memory is not limited, and any process of this machine can ask for the function's events";
            warnings.push(message.to_owned());
        }
        let gate = Arc::new(Gate::new(&spec.name));
        let base = Base { spec, prepared, surroundings, warnings, gate };
        Ok(Self { pool: Arc::new(Pool::new(Arc::new(base))) })
    }

    /// What is not as the template asks for, such as another version of the interpreter.
    pub fn warnings(&self) -> &[String] {
        &self.pool.base.warnings
    }

    /// What the function is.
    pub fn spec(&self) -> &Spec {
        &self.pool.base.spec
    }

    /// The same code with instances of its own, so that neither waits for the other's.
    pub fn sibling(&self) -> Self {
        Self { pool: Arc::new(Pool::new(Arc::clone(&self.pool.base))) }
    }

    /// Ends all instances, for good: invocations that were accepted may finish within `grace`,
    /// new ones are refused. An instance without one is asked to end (SIGTERM); whatever is left
    /// after `grace` is killed. A second call returns at once.
    ///
    /// # Cancel safety
    /// If the future is dropped, what is left is killed at once.
    pub async fn stop(&self, grace: Duration) {
        self.pool.stop(grace).await;
    }

    /// What the instances are doing now.
    pub fn instances(&self) -> Instances {
        self.pool.instances()
    }
}

impl Function for LocalFunction {
    fn invoke(&self, payload: Bytes, timeout: Duration) -> Invocation<'_> {
        Box::pin(async move {
            if PAYLOAD_BYTES_MAX < payload.len() {
                let reason = format!("the payload has more than {PAYLOAD_BYTES_MAX} bytes");
                return Err(InvokeError::NotInvocable { reason });
            }
            self.pool.invoke(payload, timeout).await
        })
    }
}

impl Drop for LocalFunction {
    fn drop(&mut self) {
        self.pool.abandon();
    }
}

impl fmt::Debug for LocalFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instances = self.instances();
        f.debug_struct("LocalFunction")
            .field("name", &self.spec().name)
            .field("instances", &instances)
            .finish()
    }
}
