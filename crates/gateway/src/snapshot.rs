//! Everything that a reload replaces: model, settings, functions and buckets.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api_model::api::{Authorization, Authorizer, Function, QueueSource, Stage, Target};
use api_model::{Compat, Diagnostics, Model, Span};
use authorizer_lambda::aws::Aws;
use authorizer_lambda::{Handler, Reading, SourceError, Sources as KeySources};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use lambda_host::{Client, InvokeUrl};

use crate::aws::AwsClient;
use crate::clock::epoch_seconds;
use crate::function::remote::RemoteFunction;
use crate::function::{self, Around, CodeBase, Functions, Local};
use crate::router::Router;
use crate::settings::{
    Builtin, CacheKey, FunctionSettings, Integrations, SecretSources, Settings, codes,
};
use crate::sigv4::{Key, Received, Secret};
use crate::ssm::{self, Parameters};
use crate::throttle::{Bucket, Rate};

/// The serial of the next snapshot.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// An immutable picture of what is served.
#[derive(Debug)]
pub struct Snapshot {
    /// The configuration.
    pub settings: Settings,
    /// Addresses.
    pub router: Router,
    /// Differs from that of every other snapshot of this process.
    pub serial: u64,
    /// Calls of AWS services.
    pub(crate) aws: Arc<AwsClient>,
    /// What the SSM endpoint of functions answers.
    parameters: Parameters,
    /// Queues that functions read.
    pub(crate) queue_sources: Vec<QueueSource>,
    functions: HashMap<String, Entry>,
    requests: Option<Bucket>,
    connects: Option<Bucket>,
    routes: RouteBuckets,
}

#[derive(Debug)]
struct Entry {
    function: Arc<Function>,
    callable: Callable,
    /// What a function on this machine signs its calls with.
    key: Option<Arc<Key>>,
}

/// How a function of the templates is invoked.
#[derive(Clone, Debug)]
pub enum Callable {
    /// Nothing here can run it.
    Absent,
    /// Its settings are wrong, which was reported.
    Broken,
    /// The built-in authorizer, in-process.
    Authorizer(Arc<Handler>),
    /// Answers each event's body.
    Echo,
    /// A function somewhere else.
    Host(Arc<dyn lambda_host::Function>),
    /// A function on this machine.
    Local(Local),
}

/// What the outside lends to [`Snapshot::build`].
#[derive(Clone, Copy)]
pub struct Lenders<'a> {
    /// Client for Invoke APIs.
    pub client: &'a Client,
    /// Environment variables and files named by the configuration; read again when keys may have
    /// changed.
    pub secrets: &'static (dyn SecretSources + Send + Sync),
    /// Runs functions on this machine; without it none runs here.
    pub functions: Option<&'a Arc<Functions>>,
    /// Where the local code of each template is, by the number of its source.
    pub bases: &'a [CodeBase],
}

impl std::fmt::Debug for Lenders<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lenders")
    }
}

impl Snapshot {
    /// Puts the parts together. With errors among the findings the snapshot
    /// must not be served.
    ///
    /// Waits for the keys of built-in authorizers, wherever they come from.
    pub async fn build(
        model: &Model,
        settings: Settings,
        lenders: Lenders<'_>,
    ) -> (Self, Diagnostics) {
        let mut out = Diagnostics::default();
        check_names(model, &settings, &mut out);
        warn_compat(&settings, &mut out);
        let look = |name: &str| lenders.secrets.environment(name);
        let aws = Arc::new(AwsClient::new(&settings.integrations, lenders.client.clone(), &look));
        let mut functions = HashMap::new();
        for function in &model.functions {
            let (callable, key) =
                callable(function, model, &settings, &aws, lenders, &mut out).await;
            let entry = Entry { function: Arc::clone(function), callable, key };
            functions.insert(function.arn.clone(), entry);
        }
        let snapshot = Self {
            router: Router::new(model),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            queue_sources: queue_sources(model, &aws, &mut out),
            aws,
            parameters: Parameters::new(model, &settings.parameters, epoch()),
            functions,
            requests: settings.throttle.requests.map(bucket),
            connects: settings.throttle.connects.map(bucket),
            routes: route_buckets(&model.stages),
            settings,
        };
        snapshot.check_uses(model, &mut out);
        (snapshot, out)
    }

    /// The function that an ARN names, if `source_arn` may invoke it.
    pub fn function(&self, arn: &str, source_arn: &str) -> Option<(&Function, &Callable)> {
        let (function, callable) = self.own_function(arn)?;
        let (_, qualifier) = split_arn(arn);
        let permitted = self.settings.compat == Compat::Wsgate
            || api_model::resolve::permits(function, qualifier.map(str::to_owned), source_arn);
        permitted.then_some((function, callable))
    }

    /// The function that an ARN names, for who needs no permission of it.
    pub(crate) fn own_function(&self, arn: &str) -> Option<(&Function, &Callable)> {
        let (base, qualifier) = split_arn(arn);
        let entry = self.functions.get(base)?;
        let known = |qualifier: &str| {
            qualifier == "$LATEST" || entry.function.qualifiers.iter().any(|q| q == qualifier)
        };
        let is_known = qualifier.is_none_or(known);
        is_known.then_some((&*entry.function, &entry.callable))
    }

    /// The functions that the built-in authorizer stands for.
    pub fn authorizers(&self) -> impl Iterator<Item = (&Function, &Arc<Handler>)> {
        self.functions.values().filter_map(|entry| match &entry.callable {
            Callable::Authorizer(handler) => Some((&*entry.function, handler)),
            Callable::Absent
            | Callable::Broken
            | Callable::Echo
            | Callable::Host(_)
            | Callable::Local(_) => None,
        })
    }

    /// The functions that sign with the key of this id, and the key: several have it only where
    /// they inherit it.
    pub(crate) fn signers(&self, key_id: &str) -> Option<(Vec<&Function>, &Key)> {
        let mut key = None;
        let mut functions: Vec<&Function> = Vec::new();
        for entry in self.functions.values() {
            if let Some(own) = entry.key.as_deref().filter(|own| own.id == key_id) {
                key = Some(own);
                functions.push(&entry.function);
            }
        }
        Some((functions, key?))
    }

    /// Answers a question of a function for parameters.
    pub(crate) fn answer_ssm(
        &self,
        received: &Received<'_>,
        origin: ssm::Origin,
    ) -> Response<Full<Bytes>> {
        let callers = self.functions.values().filter_map(|entry| {
            Some(ssm::Caller { key: entry.key.as_deref()?, function: &entry.function })
        });
        ssm::answer(&self.parameters, callers, received, origin)
    }

    /// Whether a function of this ARN runs on this machine.
    pub(crate) fn runs(&self, arn: &str) -> bool {
        matches!(self.functions.get(arn), Some(Entry { callable: Callable::Local(_), .. }))
    }

    /// Takes a connect from the account's bucket of new connections.
    pub fn admit_connect(&self, now: Duration) -> bool {
        self.connects.as_ref().is_none_or(|bucket| bucket.take(now))
    }

    /// Takes a request from the account's bucket.
    pub fn admit_request(&self, now: Duration) -> bool {
        self.requests.as_ref().is_none_or(|bucket| bucket.take(now))
    }

    /// Takes a request from the buckets of route and account.
    pub fn admit_route(&self, stage: &Stage, route_key: &str, now: Duration) -> bool {
        let has_own = stage.throttle.is_some() || !stage.route_throttles.is_empty();
        if has_own {
            let stages = self.routes.get(&stage.api.api_id);
            let routes = stages.and_then(|stages| stages.get(&stage.name));
            let bucket = routes.and_then(|routes| routes.get(route_key));
            if bucket.is_some_and(|bucket| !bucket.take(now)) {
                return false;
            }
        }
        self.admit_request(now)
    }

    /// A function that nothing here can run is an error for an authorizer of a
    /// served route, and a warning for an integration.
    fn check_uses(&self, model: &Model, out: &mut Diagnostics) {
        self.check_services(model, out);
        const WAYS: &str = "`builtin`, `url`, `command` or `remote`";
        let mut told = Vec::new();
        for stage in &model.stages {
            for route in stage.routes.values() {
                if let Authorization::Custom(authorizer) = &route.authorization
                    && let Some((function, span)) = self.absent(&authorizer.function, stage)
                    && !told.contains(&(function.clone(), true))
                {
                    let message = format!(
                        "the authorizer `{}` needs the function `{function}`, which nothing here can run; no connect could be authorized",
                        authorizer.logical_id
                    );
                    out.error(codes::FUNCTION, span, message).hint(format!(
                        "write one of {WAYS} under `[functions.{function}]` in wsgate.toml"
                    ));
                    told.push((function, true));
                }
                if let Some(integration) = &route.integration
                    && let Target::Function(uri) | Target::Invoke(uri) = &integration.target
                    && let Some((function, span)) = self.absent(uri, stage)
                    && !told.contains(&(function.clone(), false))
                {
                    let message = format!(
                        "the integration `{}` needs the function `{function}`, which nothing here can run; its calls fail",
                        integration.logical_id
                    );
                    out.warning(codes::FUNCTION, span, message).hint(format!(
                        "write one of {WAYS} under `[functions.{function}]` in wsgate.toml"
                    ));
                    told.push((function, false));
                }
            }
        }
    }

    /// A service that cannot be called is an error: the route could only fail.
    fn check_services(&self, model: &Model, out: &mut Diagnostics) {
        let mut told = Vec::new();
        let routes = model.stages.iter().flat_map(|stage| stage.routes.values());
        for integration in routes.filter_map(|route| route.integration.as_ref()) {
            let Target::Aws(target) = &integration.target else { continue };
            if told.contains(&&integration.logical_id) {
                continue;
            }
            told.push(&integration.logical_id);
            if let Err(missing) = self.aws.check(&target.service) {
                let message = format!("the integration `{}` {missing}", integration.logical_id);
                out.error(codes::SERVICE, integration.span, message)
                    .at(&integration.logical_id, "Properties.IntegrationUri")
                    .hint("write it in wsgate.toml");
            }
        }
    }

    /// The name and place of the function behind a URI, if it cannot be invoked.
    fn absent(&self, uri: &api_model::api::LambdaUri, stage: &Stage) -> Option<(String, Span)> {
        let arn = uri.arn.resolve(&stage.variables);
        let (base, qualifier) = split_arn(&arn);
        match self.functions.get(base) {
            Some(entry) => {
                let unknown = qualifier.is_some_and(|qualifier| {
                    qualifier != "$LATEST"
                        && !entry.function.qualifiers.iter().any(|q| q == qualifier)
                });
                let absent = unknown || matches!(entry.callable, Callable::Absent);
                absent.then(|| (entry.function.logical_id.clone(), entry.function.span))
            }
            None => Some((base.rsplit(':').next().unwrap_or_default().to_owned(), Span::default())),
        }
    }
}

/// Splits a function ARN from its qualifier.
fn split_arn(arn: &str) -> (&str, Option<&str>) {
    match arn.match_indices(':').nth(6) {
        Some((index, _)) => (&arn[..index], Some(&arn[index + 1..])),
        None => (arn, None),
    }
}

/// The queues that can be read; of others it is said.
fn queue_sources(model: &Model, aws: &AwsClient, out: &mut Diagnostics) -> Vec<QueueSource> {
    let Some(first) = model.queue_sources.first() else { return Vec::new() };
    match aws.check("sqs") {
        Ok(()) => model.queue_sources.clone(),
        Err(missing) => {
            let message = format!("queues are not read: the event source {missing}");
            out.warning(codes::SERVICE, first.span, message).at(&first.logical_id, "");
            Vec::new()
        }
    }
}

/// Now, in seconds since 1970.
fn epoch() -> i64 {
    i64::try_from(epoch_seconds()).unwrap_or(i64::MAX)
}

fn bucket(rate: api_model::api::Rate) -> Bucket {
    Bucket::new(Rate { per_second: rate.per_second, burst: rate.burst })
}

/// Buckets by API id, stage and route key: looked up per message, without a copy.
type RouteBuckets = HashMap<String, HashMap<String, HashMap<String, Bucket>>>;

fn route_buckets(stages: &[Arc<Stage>]) -> RouteBuckets {
    let mut buckets = RouteBuckets::new();
    for stage in stages {
        let of_api = buckets.entry(stage.api.api_id.clone()).or_default();
        let of_stage = of_api.entry(stage.name.clone()).or_default();
        let predefined = ["$connect", "$disconnect", "$default"].map(str::to_owned);
        for key in stage.routes.keys().cloned().chain(predefined) {
            if let Some(rate) = stage.route_throttles.get(&key).copied().or(stage.throttle) {
                of_stage.entry(key).or_insert_with(|| bucket(rate));
            }
        }
    }
    buckets
}

fn settings_of<'s>(function: &Function, settings: &'s Settings) -> Option<&'s FunctionSettings> {
    let named =
        |name: &str| name == function.logical_id || name == function.name || name == function.arn;
    settings.functions.iter().find(|(name, _)| named(name)).map(|(_, settings)| settings)
}

/// Names in the configuration that mean nothing are mistakes.
fn check_names(model: &Model, settings: &Settings, out: &mut Diagnostics) {
    for (name, function) in &settings.functions {
        let known = model
            .functions
            .iter()
            .any(|f| f.logical_id == *name || f.name == *name || f.arn == *name);
        if !known {
            let names: Vec<&str> = model.functions.iter().map(|f| f.logical_id.as_str()).collect();
            out.error(
                codes::FUNCTION,
                function.span,
                format!("`functions.{name}` names no function of the templates"),
            )
            .hint(format!("known are: {}", names.join(", ")));
        }
    }
    let authorizers: Vec<&Authorizer> = model
        .stages
        .iter()
        .flat_map(|stage| stage.routes.values())
        .filter_map(|route| match &route.authorization {
            Authorization::Custom(authorizer) => Some(&**authorizer),
            Authorization::None => None,
        })
        .collect();
    for (name, of_authorizer) in &settings.authorizers {
        let Some(authorizer) = authorizers.iter().find(|a| a.logical_id == *name) else {
            let names: Vec<&str> = authorizers.iter().map(|a| a.logical_id.as_str()).collect();
            out.error(
                codes::VALUE,
                of_authorizer.span,
                format!("`authorizers.{name}` names no authorizer of a served route"),
            )
            .hint(format!("known are: {}", names.join(", ")));
            continue;
        };
        if of_authorizer.cache_key == CacheKey::IdentitySources
            && authorizer.identity_sources.is_empty()
        {
            out.error(codes::VALUE, of_authorizer.span, format!("`authorizers.{name}.cache.key` is \"identity-sources\", but the authorizer has none: everybody would share one verdict"))
                .hint("use `key = \"event\"`, or give the authorizer an `IdentitySource`");
        }
    }
}

/// Under `compat = "aws"` the extensions are off; who configured one is told.
fn warn_compat(settings: &Settings, out: &mut Diagnostics) {
    if settings.compat != Compat::Aws {
        return;
    }
    for (name, authorizer) in &settings.authorizers {
        if authorizer.cache_ttl.is_some() || authorizer.session_end.is_some() {
            out.warning(
                codes::COMPAT,
                Span::default(),
                format!(
                    "`authorizers.{name}` is ignored: AWS has no verdict cache and no session end"
                ),
            );
        }
    }
}

/// How `function` is invoked, and what it signs with if it runs on this machine.
async fn callable(
    function: &Function,
    model: &Model,
    settings: &Settings,
    aws: &Arc<AwsClient>,
    lenders: Lenders<'_>,
    out: &mut Diagnostics,
) -> (Callable, Option<Arc<Key>>) {
    let own = settings_of(function, settings);
    if let Some(own) = own.filter(|own| own.is_remote) {
        let region = function.arn.split(':').nth(3).unwrap_or_default();
        if let Err(missing) = aws.check("lambda") {
            let message = format!("`functions.{}.remote` {missing}", function.logical_id);
            out.error(codes::SERVICE, own.span, message);
            return (Callable::Broken, None);
        }
        let remote = RemoteFunction::new(Arc::clone(aws), region, &function.name);
        return (Callable::Host(Arc::new(remote)), None);
    }
    if let Some(url) = own.and_then(|own| own.url.as_deref()) {
        return match InvokeUrl::new(url, &function.name, lenders.client.clone()) {
            Ok(host) => (Callable::Host(Arc::new(host)), None),
            Err(error) => {
                let span = own.map(|own| own.span).unwrap_or_default();
                out.error(
                    codes::FUNCTION,
                    span,
                    format!("`functions.{}.url`: {error}", function.logical_id),
                );
                (Callable::Broken, None)
            }
        };
    }
    let builtin = own.and_then(|own| own.builtin).or_else(|| match function.builtin.as_deref() {
        Some("authorizer") => Some(Builtin::Authorizer),
        Some("echo") => Some(Builtin::Echo),
        Some(other) => {
            out.error(
                codes::FUNCTION,
                function.span,
                format!("`wsgate.builtin` is `{other}`; known are authorizer and echo"),
            )
            .at(&function.logical_id, "Metadata.wsgate.builtin");
            None
        }
        None => None,
    });
    match builtin {
        None => local(function, own, model, settings, lenders, out).await,
        Some(Builtin::Echo) => (Callable::Echo, None),
        Some(Builtin::Authorizer) => {
            (load_authorizer(function, own, model, settings, lenders, out).await, None)
        }
    }
}

/// A function whose code is on this machine, or for which a command is configured.
async fn local(
    function: &Function,
    own: Option<&FunctionSettings>,
    model: &Model,
    settings: &Settings,
    lenders: Lenders<'_>,
    out: &mut Diagnostics,
) -> (Callable, Option<Arc<Key>>) {
    let spec = lenders.functions.and_then(|host| {
        let (spec, absent) = function::spec(function, own, settings, lenders.bases)?;
        Some((Arc::clone(host), spec, absent))
    });
    let Some((host, spec, absent)) = spec else { return (Callable::Absent, None) };
    for layer in absent {
        let message = format!(
            "layer `{layer}` is not on this machine, so `{}` runs without it",
            function.logical_id
        );
        out.warning(codes::FUNCTION, function.span, message)
            .at(&function.logical_id, "Properties.Layers")
            .hint("name a local folder or zip instead of the ARN");
    }
    let inherited = match own {
        Some(own) if own.inherits_credentials => inherited(lenders),
        _ => Vec::new(),
    };
    if own.is_some_and(|own| own.inherits_credentials) && inherited_key(&inherited).is_none() {
        let message = format!(
            "`functions.{}.credentials` is \"inherit\", but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set",
            function.logical_id
        );
        out.error(codes::FUNCTION, own.map(|own| own.span).unwrap_or_default(), message);
        return (Callable::Broken, None);
    }
    let key = inherited_key(&inherited).unwrap_or_else(|| host.key(&function.arn));
    let around = Around::new(&host, function, Arc::clone(&key), inherited, model, settings);
    let hosted = match around {
        // Unpacks archives.
        Ok(around) => tokio::task::spawn_blocking(move || host.host(spec, around)).await,
        Err(error) => Ok(Err(error)),
    };
    match hosted {
        Ok(Ok(local)) => {
            for warning in local.messages.warnings() {
                out.warning(codes::FUNCTION, function.span, warning.clone())
                    .at(&function.logical_id, "Properties.Runtime");
            }
            warn_role(function, out);
            (Callable::Local(local), Some(key))
        }
        Ok(Err(error)) => {
            out.error(codes::FUNCTION, function.span, error.to_string())
                .at(&function.logical_id, "Properties.Code");
            (Callable::Broken, None)
        }
        Err(error) => {
            out.error(codes::FUNCTION, function.span, format!("its code was not read: {error}"))
                .at(&function.logical_id, "Properties.Code");
            (Callable::Broken, None)
        }
    }
}

/// A role that is not in the templates may still be the right one.
fn warn_role(function: &Function, out: &mut Diagnostics) {
    if function.policies.is_none() {
        let message = format!(
            "the role of `{}` is not in the templates; here it may manage the connections of its stack's APIs, and nothing else",
            function.logical_id
        );
        out.warning(codes::FUNCTION, function.span, message)
            .at(&function.logical_id, "Properties.Role");
    }
}

/// Variables by which AWS's SDKs find credentials.
const CREDENTIAL_VARIABLES: [&str; 3] =
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

fn inherited(lenders: Lenders<'_>) -> Vec<(String, String)> {
    let one = |name: &str| Some((name.to_owned(), lenders.secrets.environment(name)?));
    CREDENTIAL_VARIABLES.into_iter().filter_map(one).collect()
}

/// Credentials of this process as a key that may sign calls to it.
fn inherited_key(variables: &[(String, String)]) -> Option<Arc<Key>> {
    let find = |name: &str| {
        let found = variables.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    let [id, secret, token] = CREDENTIAL_VARIABLES.map(find);
    Some(Arc::new(Key {
        id: id?,
        secret: Secret::new(secret?),
        session_token: token.map(Secret::new),
        expires_at: None,
    }))
}

async fn load_authorizer(
    function: &Function,
    own: Option<&FunctionSettings>,
    model: &Model,
    settings: &Settings,
    lenders: Lenders<'_>,
    out: &mut Diagnostics,
) -> Callable {
    let environment: BTreeMap<String, String> = function.environment.iter().cloned().collect();
    let empty = toml::Table::new();
    let layers = [&settings.authorizer, own.map_or(&empty, |own| &own.authorizer)];
    let region = function.arn.split(':').nth(3).unwrap_or_default();
    let sources = FunctionSources::new(&environment, model, settings, lenders, region);
    let sources = Arc::new(sources);
    let place = |path: &str| format!("the authorizer function `{}`: `{path}`", function.logical_id);
    let has_cache = own.is_some_and(|own| own.authorizer.contains_key("cache"))
        || environment.keys().any(|name| name.starts_with("WSGATE_AUTHORIZER__CACHE__"));
    if has_cache {
        let message = format!(
            "{} has no effect for one function: there is one cache for the gateway",
            place("authorizer.cache")
        );
        let finding = out.warning(codes::AUTHORIZER, function.span, message);
        finding.at(&function.logical_id, "").hint("set `[authorizer.cache]`");
    }
    let loaded = authorizer_lambda::load(&environment, &layers, sources, epoch_seconds());
    match loaded.await {
        Ok(loaded) => {
            for warning in loaded.warnings {
                let message = format!("{} {}", place(&warning.path), warning.message);
                out.warning(codes::AUTHORIZER, function.span, message).at(&function.logical_id, "");
            }
            Callable::Authorizer(Arc::new(loaded.handler))
        }
        Err(errors) => {
            for error in errors {
                let message = format!("{} {}", place(&error.path), error.message);
                let finding = out.error(codes::AUTHORIZER, function.span, message);
                finding.at(&function.logical_id, "").hint = error.hint;
            }
            Callable::Broken
        }
    }
}

/// What a built-in authorizer may read: its own environment, then the
/// gateway's; files; the parameters that are configured or in the templates;
/// and those of AWS where that is configured.
struct FunctionSources {
    environment: BTreeMap<String, String>,
    parameters: BTreeMap<String, Secret>,
    secrets: &'static (dyn SecretSources + Send + Sync),
    client: Client,
    aws: Option<Result<Aws, SourceError>>,
}

impl FunctionSources {
    fn new(
        environment: &BTreeMap<String, String>,
        model: &Model,
        settings: &Settings,
        lenders: Lenders<'_>,
        region: &str,
    ) -> Self {
        let of_templates = model.parameters.iter();
        let mut parameters: BTreeMap<_, _> = of_templates
            .map(|(name, value)| (name.clone(), Secret::new(value.clone().into_bytes())))
            .collect();
        parameters.extend(settings.parameters.clone());
        Self {
            environment: environment.clone(),
            parameters,
            secrets: lenders.secrets,
            client: lenders.client.clone(),
            aws: settings
                .integrations
                .is_ambient
                .then(|| reach_aws(&settings.integrations, lenders, region)),
        }
    }

    fn configured(&self, name: &str) -> Option<Vec<u8>> {
        self.parameters.get(name).map(|secret| secret.expose().to_vec())
    }

    fn aws(&self, name: &str) -> Result<&Aws, SourceError> {
        match &self.aws {
            Some(aws) => aws.as_ref().map_err(Clone::clone),
            None => Err(SourceError::Failed(format!(
                "write its value under `[parameters]` in wsgate.toml: \"{name}\" = \"…\"; \
                 or let it be read from AWS by `[integrations] credentials = \"environment\"`"
            ))),
        }
    }
}

/// AWS in the name of the process environment, in the function's region if it names none.
fn reach_aws(
    integrations: &Integrations,
    lenders: Lenders<'_>,
    region: &str,
) -> Result<Aws, SourceError> {
    let variable = |name: &str| {
        let endpoint = match name {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER" => integrations.endpoints.get("secretsmanager"),
            "AWS_ENDPOINT_URL_SSM" => integrations.endpoints.get("ssm"),
            _ => None,
        };
        let own = || lenders.secrets.environment(name);
        let default = || (name == "AWS_DEFAULT_REGION").then(|| region.to_owned());
        endpoint.cloned().or_else(own).or_else(default)
    };
    let aws = Aws::from_environment(&variable, lenders.client.clone());
    aws.map_err(|error| SourceError::Failed(error.to_string()))
}

impl KeySources for FunctionSources {
    fn env(&self, name: &str) -> Result<Vec<u8>, SourceError> {
        let own = self.environment.get(name).cloned();
        let value = own.or_else(|| self.secrets.environment(name));
        value.map(String::into_bytes).ok_or(SourceError::Absent)
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        let text = self.secrets.file(path);
        text.map(String::into_bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => SourceError::Absent,
            _ => SourceError::Failed(error.to_string()),
        })
    }

    fn parameter<'a>(&'a self, name: &'a str) -> Reading<'a> {
        Box::pin(async move {
            match self.configured(name) {
                Some(value) => Ok(value),
                None => self.aws(name)?.parameter(name).await,
            }
        })
    }

    /// A secret has a name among the parameters too ([reference]).
    ///
    /// [reference]: https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html
    fn secret<'a>(&'a self, id: &'a str) -> Reading<'a> {
        Box::pin(async move {
            let name = format!("/aws/reference/secretsmanager/{id}");
            match self.configured(&name) {
                Some(value) => Ok(value),
                None => self.aws(&name)?.secret(id).await,
            }
        })
    }

    fn client(&self) -> Result<Client, SourceError> {
        Ok(self.client.clone())
    }
}
