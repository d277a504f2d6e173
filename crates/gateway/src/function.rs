//! Functions on this machine: their code, what surrounds them, and their life across reloads.
//!
//! Each function has a key pair and session token of its own, made at the start of the gateway and
//! worth something here only. It reaches the gateway through a listener of its own on loopback
//! ([`Functions::address`]), whose certificates the function CA signs; that CA is in the bundle of
//! trusted certificates that functions get, after the roots of the system.

pub(crate) mod remote;

use std::collections::HashMap;
use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use api_model::Model;
use api_model::api::{Authorization, Code, Function, Layer, Stage, Target};
use base64::Engine as _;
use lambda_host::{LocalFunction, Redirect, SharedSurroundings, Spec, Surroundings};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::ca::{self, Authority};
use crate::id;
use crate::server::Gateway;
use crate::settings::{FunctionSettings, Settings};
use crate::sigv4::{Key, Secret};
use crate::ssm;

/// Instances of one function at once, unless configured: each is a process.
const INSTANCES_MAX: u32 = 64;

/// Where the local code of one template is.
#[derive(Clone, Debug, Default)]
pub struct CodeBase {
    /// The folder that paths in the template start from.
    pub folder: PathBuf,
    /// Files of objects that build tools would upload, by object key.
    pub assets: HashMap<String, PathBuf>,
}

/// What the functions of this process share.
pub struct Functions {
    /// PEM of further authorities that functions trust, asked for once.
    also_trusted: Box<dyn Fn() -> Option<String> + Send + Sync>,
    inside: Mutex<Option<Arc<Inside>>>,
    address: OnceLock<SocketAddr>,
    keys: Mutex<HashMap<String, Arc<Key>>>,
    running: Mutex<HashMap<String, Running>>,
}

/// What only functions that exist need.
struct Inside {
    folder: TempDir,
    authority: Arc<Authority>,
}

/// A function as it was last built, to be kept while nothing about it changes.
struct Running {
    spec: Spec,
    fingerprint: u64,
    surroundings: Arc<Around>,
    local: Local,
}

/// A local function: one pool for messages, another for authorization.
#[derive(Clone, Debug)]
pub struct Local {
    /// Invoked by integrations.
    pub messages: Arc<LocalFunction>,
    /// Invoked as authorizer, never starved by messages.
    pub authorizers: Arc<LocalFunction>,
}

/// Why a function cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its code.
    #[error(transparent)]
    Code(#[from] lambda_host::CodeError),
    /// No function CA.
    #[error(transparent)]
    Authority(#[from] ca::Error),
    /// The working folder or the bundle of certificates cannot be written.
    #[error("the working folder of functions cannot be written: {0}")]
    Folder(#[from] std::io::Error),
}

impl Functions {
    /// Nothing is made before the first function needs it. `also_trusted` gives PEM of further
    /// authorities that functions shall trust.
    pub fn new(also_trusted: impl Fn() -> Option<String> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            also_trusted: Box::new(also_trusted),
            inside: Mutex::default(),
            address: OnceLock::new(),
            keys: Mutex::default(),
            running: Mutex::default(),
        })
    }

    /// Makes the authority, a private working folder (removed in the end) and the bundle of
    /// certificates: the system's roots, then the authorities of this machine.
    fn inside(&self) -> Result<Arc<Inside>, Error> {
        let mut inside = self.inside.lock();
        if let Some(inside) = &*inside {
            return Ok(Arc::clone(inside));
        }
        let authority = Arc::new(Authority::for_functions(SystemTime::now())?);
        let folder = tempfile::Builder::new().prefix("wsgate-").tempdir()?;
        let roots = rustls_native_certs::load_native_certs();
        if roots.certs.is_empty() {
            tracing::warn!(
                "this machine has no root certificates: functions cannot verify AWS or other services"
            );
        }
        let mut bundle = std::fs::File::create(folder.path().join(BUNDLE))?;
        for root in &roots.certs {
            write_pem(&mut bundle, root)?;
        }
        let also = (self.also_trusted)().unwrap_or_default();
        writeln!(bundle, "{}\n{}", authority.certificate_pem().trim_end(), also.trim_end())?;
        std::fs::create_dir(folder.path().join(CODE))?;
        let made = Arc::new(Inside { folder, authority });
        *inside = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Whether any function was ever run here.
    pub fn is_used(&self) -> bool {
        self.inside.lock().is_some()
    }

    /// The function CA, which signs for the names that functions call.
    pub fn authority(&self) -> Result<Arc<Authority>, Error> {
        Ok(Arc::clone(&self.inside()?.authority))
    }

    /// Says where functions reach the gateway; only the first address counts.
    pub fn listen_on(&self, address: SocketAddr) {
        let _ = self.address.set(address);
    }

    /// Where functions reach the gateway, once it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.get().copied()
    }

    /// The key pair of a function, made when it is first asked for.
    pub(crate) fn key(&self, arn: &str) -> Arc<Key> {
        let mut keys = self.keys.lock();
        Arc::clone(keys.entry(arn.to_owned()).or_insert_with(|| Arc::new(fresh_key())))
    }

    /// The function as `spec` has it: the running one if nothing changed.
    ///
    /// Reads and unpacks files, so it blocks.
    pub(crate) fn host(self: &Arc<Self>, spec: Spec, surroundings: Around) -> Result<Local, Error> {
        let fingerprint = lambda_host::fingerprint(&spec)?;
        let arn = spec.arn.clone();
        if let Some(running) = self.running.lock().get(&arn)
            && running.spec == spec
            && running.fingerprint == fingerprint
            && running.surroundings.is_same(&surroundings)
        {
            return Ok(running.local.clone());
        }
        let surroundings = Arc::new(surroundings);
        let shared: SharedSurroundings = Arc::clone(&surroundings) as SharedSurroundings;
        let messages =
            LocalFunction::new(spec.clone(), &self.inside()?.folder.path().join(CODE), shared)?;
        let authorizers = Arc::new(messages.sibling());
        let local = Local { messages: Arc::new(messages), authorizers };
        let running = Running { spec, fingerprint, surroundings, local: local.clone() };
        self.running.lock().insert(arn, running);
        Ok(local)
    }

    /// Forgets functions that are no longer served: they end with their last invocation.
    pub fn retain(&self, gateway: &Gateway) {
        let snapshot = gateway.snapshot.load();
        self.running.lock().retain(|arn, _| snapshot.runs(arn));
    }

    /// Folders and archives of the code that runs, layers included.
    pub fn code(&self) -> Vec<PathBuf> {
        let running = self.running.lock();
        let mut paths: Vec<PathBuf> = running
            .values()
            .flat_map(|one| {
                let code = match &one.spec.code {
                    lambda_host::Code::Folder(path) | lambda_host::Code::Zip(path) => Some(path),
                    lambda_host::Code::Inline(_) => None,
                };
                code.into_iter().chain(&one.spec.layers).cloned()
            })
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Ends all instances, each within `grace`.
    pub async fn stop(&self, grace: Duration) {
        let running: Vec<Running> = self.running.lock().drain().map(|(_, one)| one).collect();
        let all = running.iter().flat_map(|one| [&one.local.messages, &one.local.authorizers]);
        futures_util::future::join_all(all.map(|function| function.stop(grace))).await;
    }

    fn bundle(&self) -> Result<PathBuf, Error> {
        Ok(self.inside()?.folder.path().join(BUNDLE))
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions").field("address", &self.address).finish_non_exhaustive()
    }
}

const BUNDLE: &str = "certificates.pem";
const CODE: &str = "code";

fn write_pem(out: &mut std::fs::File, der: &[u8]) -> std::io::Result<()> {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    writeln!(out, "-----BEGIN CERTIFICATE-----")?;
    for line in text.as_bytes().chunks(64) {
        out.write_all(line)?;
        out.write_all(b"\n")?;
    }
    writeln!(out, "-----END CERTIFICATE-----")
}

/// A temporary key in AWS's form ([identifiers]): `ASIA` and sixteen characters, with a token.
///
/// [identifiers]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
fn fresh_key() -> Key {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random: [u8; 16] = id::random();
    let name: String =
        random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    Key {
        id: format!("ASIA{name}"),
        secret: Secret::new(base64(&id::random::<30>())),
        session_token: Some(Secret::new(base64(&id::random::<48>()))),
        expires_at: None,
    }
}

/// What surrounds one function: its credentials, and where it finds services.
pub(crate) struct Around {
    functions: std::sync::Weak<Functions>,
    bundle: PathBuf,
    key: Arc<Key>,
    /// Credentials of this process in place of `key`.
    inherited: Vec<(String, String)>,
    /// The API that the endpoint variable leads to: id and stage.
    api: Option<(String, String)>,
    endpoints: Vec<(String, String)>,
    names: Vec<String>,
}

impl Around {
    pub(crate) fn new(
        functions: &Arc<Functions>,
        function: &Function,
        key: Arc<Key>,
        inherited: Vec<(String, String)>,
        model: &Model,
        settings: &Settings,
    ) -> Result<Self, Error> {
        Ok(Self {
            functions: Arc::downgrade(functions),
            bundle: functions.bundle()?,
            key,
            inherited,
            api: api_of(function, model),
            endpoints: settings.integrations.environment(),
            names: own_names(model),
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.key.id == other.key.id
            && self.inherited == other.inherited
            && self.api == other.api
            && self.endpoints == other.endpoints
            && self.names == other.names
    }

    fn address(&self) -> Option<SocketAddr> {
        self.functions.upgrade()?.address()
    }
}

/// Without the credentials.
impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Around").field("api", &self.api).finish_non_exhaustive()
    }
}

impl Surroundings for Around {
    fn environment(&self, _: &Spec) -> Vec<(String, String)> {
        let mut list = Vec::new();
        let mut set = |name: &str, value: String| list.push((name.to_owned(), value));
        if self.inherited.is_empty() {
            let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
            set("AWS_ACCESS_KEY_ID", self.key.id.clone());
            set("AWS_SECRET_ACCESS_KEY", text(&self.key.secret));
            if let Some(token) = &self.key.session_token {
                set("AWS_SESSION_TOKEN", text(token));
            }
        }
        let bundle = self.bundle.display().to_string();
        for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"]
        {
            set(name, bundle.clone());
        }
        if let Some(address) = self.address() {
            if let Some((api_id, stage)) = &self.api {
                let url = format!("http://{address}/_aws/execute-api/{api_id}/{stage}");
                set("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", url);
            }
            let configured = |name: &str| self.endpoints.iter().any(|(other, _)| other == name);
            if !configured(SSM_VARIABLE) {
                set(SSM_VARIABLE, format!("http://{address}{}", ssm::PATH));
            }
        }
        list.extend(self.inherited.iter().cloned());
        list.extend(self.endpoints.iter().cloned());
        list
    }

    fn redirect(&self) -> Option<Redirect> {
        Some(Redirect { names: self.names.clone(), address: self.address()? })
    }
}

const SSM_VARIABLE: &str = "AWS_ENDPOINT_URL_SSM";

/// The API that calls a function, or the only one of its stack, with one of its stages: a
/// connection is known to all of them.
fn api_of(function: &Function, model: &Model) -> Option<(String, String)> {
    let calls = |stage: &Stage| {
        let is_it = |uri: &api_model::api::LambdaUri| {
            let arn = uri.arn.resolve(&stage.variables);
            arn == function.arn
                || arn.strip_prefix(&function.arn).is_some_and(|rest| rest.starts_with(':'))
        };
        stage.routes.values().any(|route| {
            let target = route.integration.as_ref().map(|integration| &integration.target);
            matches!(target, Some(Target::Function(uri) | Target::Invoke(uri)) if is_it(uri))
                || matches!(&route.authorization, Authorization::Custom(authorizer) if is_it(&authorizer.function))
        })
    };
    let name = |stage: &Arc<Stage>| (stage.api.api_id.clone(), stage.name.clone());
    let mut callers = model.stages.iter().filter(|stage| calls(stage));
    if let Some(first) = callers.next() {
        let is_one = callers.all(|other| other.api.api_id == first.api.api_id);
        return is_one.then(|| name(first));
    }
    let mut of_stack = model.stages.iter().filter(|stage| stage.api.stack == function.stack);
    let first = of_stack.next()?;
    of_stack.all(|other| other.api.api_id == first.api.api_id).then(|| name(first))
}

/// Names that lead to this gateway although they resolve elsewhere, or nowhere.
fn own_names(model: &Model) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for stage in &model.stages {
        let api = &stage.api;
        if api.disable_execute_api_endpoint {
            continue;
        }
        let prefix = format!("{}.execute-api.{}", api.api_id, api.region);
        names.extend(
            ["amazonaws.com", "amazonaws.com.cn", "localhost"].map(|s| format!("{prefix}.{s}")),
        );
        names.push(format!("{}.execute-api.localhost", api.api_id));
    }
    let exact = model.domains.iter().filter(|domain| !domain.name.starts_with('*'));
    names.extend(exact.map(|domain| domain.name.clone()));
    names.sort();
    names.dedup();
    names
}

/// What the host must know, if the code is on this machine; and the names of layers that are not.
pub(crate) fn spec(
    function: &Function,
    own: Option<&FunctionSettings>,
    settings: &Settings,
    bases: &[CodeBase],
) -> Option<(Spec, Vec<String>)> {
    let base = |file: u32| usize::try_from(file).ok().and_then(|file| bases.get(file));
    let command = own.and_then(|own| own.command.clone());
    let folder = base(function.span.file).map(|base| base.folder.clone()).unwrap_or_default();
    let code = function.code.as_ref().and_then(|code| locate(code, base(function.span.file)));
    let code = match (code, &command) {
        (Some(code), _) => code,
        (None, Some(_)) => lambda_host::Code::Folder(folder),
        (None, None) => return None,
    };
    let (mut layers, mut absent) = (Vec::new(), Vec::new());
    for layer in &function.layers {
        match layer_path(layer, base(layer.file)) {
            Some(path) => layers.push(path),
            None => absent.push(layer.name.clone()),
        }
    }
    let here = |(name, value): &(String, String)| {
        let value = settings.integrations.queue_urls_here(value).unwrap_or_else(|| value.clone());
        (name.clone(), value)
    };
    let configured = own.and_then(|own| own.instances_max).unwrap_or(INSTANCES_MAX);
    let spec = Spec {
        name: function.name.clone(),
        arn: function.arn.clone(),
        region: function.arn.split(':').nth(3).unwrap_or_default().to_owned(),
        runtime: function.runtime.clone().unwrap_or_default(),
        handler: function.handler.clone(),
        code,
        layers,
        environment: function.environment.iter().map(here).collect(),
        timeout: function.timeout,
        memory_mb: function.memory_mb,
        instances_max: function
            .reserved_concurrency
            .map_or(configured, |reserved| reserved.min(configured)),
        invocations_per_instance: own.map_or(1, |own| own.invocations_per_instance),
        command,
    };
    Some((spec, absent))
}

fn locate(code: &Code, base: Option<&CodeBase>) -> Option<lambda_host::Code> {
    match code {
        Code::Inline(text) => Some(lambda_host::Code::Inline(text.clone())),
        Code::Local(path) => Some(folder_or_zip(base?.folder.join(path))),
        Code::S3 { key, .. } => {
            let base = base?;
            let last = key.rsplit('/').next().unwrap_or_default();
            let file = base.assets.get(key).or_else(|| base.assets.get(last))?;
            Some(folder_or_zip(file.clone()))
        }
        Code::Image => None,
    }
}

fn folder_or_zip(path: PathBuf) -> lambda_host::Code {
    if path.is_file() { lambda_host::Code::Zip(path) } else { lambda_host::Code::Folder(path) }
}

fn layer_path(layer: &Layer, base: Option<&CodeBase>) -> Option<PathBuf> {
    match locate(layer.content.as_ref()?, base)? {
        lambda_host::Code::Folder(path) | lambda_host::Code::Zip(path) => Some(path),
        lambda_host::Code::Inline(_) => None,
    }
}
