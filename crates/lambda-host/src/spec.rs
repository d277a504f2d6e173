//! What a function is, as far as whoever runs it must know.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A function on this machine: its code and its settings.
#[derive(Clone, Eq, PartialEq)]
pub struct Spec {
    /// Name, `AWS_LAMBDA_FUNCTION_NAME`.
    pub name: String,
    /// Unqualified ARN.
    pub arn: String,
    /// Region, `AWS_REGION`.
    pub region: String,
    /// Identifier as in templates: `nodejs22.x`, `python3.12`, `provided.al2023`.
    pub runtime: String,
    /// Handler, such as `index.handler`; `provided*` only hands it on as `_HANDLER`.
    pub handler: String,
    /// Where the code is.
    pub code: Code,
    /// Layers in the order of the template: folders or zips on this machine.
    pub layers: Vec<PathBuf>,
    /// The function's own `Environment.Variables`.
    pub environment: Vec<(String, String)>,
    /// How long an invocation may take from its hand-over; Lambda's default is 3 s.
    pub timeout: Duration,
    /// `MemorySize` in MB; Lambda's default is 128.
    pub memory_mb: u32,
    /// Instances at once; with 0 every invocation is throttled.
    pub instances_max: u32,
    /// Invocations at once within one instance, at least 1. Above 1 the runtime is told by
    /// `AWS_LAMBDA_MAX_CONCURRENCY` and must poll that often.
    pub invocations_per_instance: u32,
    /// Program and arguments to run instead of the runtime's own start; it speaks the
    /// Runtime API.
    pub command: Option<Vec<String>>,
}

impl fmt::Debug for Spec {
    /// Without code and the values of the environment, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Spec")
            .field("arn", &self.arn)
            .field("runtime", &self.runtime)
            .field("handler", &self.handler)
            .field("environment", &variables)
            .finish_non_exhaustive()
    }
}

/// Where the code of a function is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Code {
    /// Text of the template: `index.js` (or `index.mjs`) or `index.py`.
    Inline(String),
    /// A folder, used where it is.
    Folder(PathBuf),
    /// A zip archive, unpacked into a folder of the host's own.
    Zip(PathBuf),
}

/// What the owner of a host adds to the environment of every instance of a function. Asked at
/// each start of an instance, so that it may hold what is known late.
pub trait Surroundings: Send + Sync + fmt::Debug {
    /// Variables that go before the function's own: credentials, endpoints, trusted
    /// certificates.
    fn environment(&self, spec: &Spec) -> Vec<(String, String)>;

    /// Names whose connections the shims of Node.js and Python lead elsewhere; none by default.
    fn redirect(&self) -> Option<Redirect> {
        None
    }
}

/// Host names that are served on this machine although they resolve elsewhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Redirect {
    /// Lower-case names; one that ends with `*` stands for every name that starts so.
    pub names: Vec<String>,
    /// Where connections to them go, whatever their port.
    pub address: SocketAddr,
}

/// The surroundings that a host shares among its functions.
pub type SharedSurroundings = Arc<dyn Surroundings>;
