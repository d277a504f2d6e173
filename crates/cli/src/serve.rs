//! `wsgate serve`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api_model::Model;
use cloudformation::Destination;
use gateway::admin::AdminToken;
use gateway::ca::{BrowserCa, FileCertificates, LocalCertificates, server_config};
use gateway::client::Client;
use gateway::function::{CodeBase, Functions};
use gateway::listener::{Policy, Tls};
use gateway::server::bind;
use gateway::settings::Listen;
use gateway::{Gateway, Server, Settings};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::Exit;
use crate::arguments::Serve;
use crate::assembly::{self, TemplateFile};
use crate::directory::{self, AdminFile};
use crate::load::{Loaded, Request, Template, client, load, overrides, read};
use crate::output::{data, findings, talk};
use crate::watch::Watch;

/// Serves until a signal.
pub(crate) fn run(arguments: &Serve) -> anyhow::Result<Exit> {
    let client = client()?;
    let runtime = runtime()?;
    let functions = functions(arguments);
    // The first look comes before the reading, so that no change falls in between.
    let mut files = arguments.watch.then(|| {
        Watch::new(arguments.templates.iter().chain(&arguments.config).cloned().collect())
    });
    let loaded = match runtime.block_on(load_files(arguments, &client, &functions)) {
        Ok(loaded) => loaded,
        Err(errors) => {
            for error in errors {
                talk(&format!("error: {error}"));
            }
            return Ok(Exit::Rejected);
        }
    };
    report(&loaded);
    if loaded.has_errors() {
        return Ok(Exit::Rejected);
    }
    if let Some(files) = &mut files {
        files.also(functions.code());
    }
    start_logs(&loaded.snapshot.settings);
    runtime.block_on(serve(arguments, loaded, client, functions, files))
}

/// A runtime with one worker per core.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Sends log lines to standard error.
pub(crate) fn start_logs(settings: &Settings) {
    use std::io::IsTerminal as _;
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.telemetry.level)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false);
    // A second start in one process keeps the first one's settings.
    drop(if settings.telemetry.json { builder.json().try_init() } else { builder.try_init() });
}

/// What functions on this machine share. They trust the local CA too, which vouches for
/// `localhost`.
fn functions(arguments: &Serve) -> Arc<Functions> {
    let domains = arguments.ca_domain.clone();
    Functions::new(move || {
        let folder = directory::data().ok()?;
        match BrowserCa::load_or_create(&folder, &domains, SystemTime::now()) {
            Ok(ca) => Some(ca.authority.certificate_pem().to_owned()),
            Err(error) => {
                talk(&format!("warning: functions do not trust the local CA: {error}"));
                None
            }
        }
    })
}

async fn load_files(
    arguments: &Serve,
    client: &Client,
    functions: &Arc<Functions>,
) -> Result<Loaded, Vec<String>> {
    let files = open_all(&arguments.templates);
    let config = read(arguments.config.as_slice());
    let (files, config) = match (files, config) {
        (Ok(files), Ok(config)) => (files, config),
        (files, config) => {
            let errors = [files.err(), config.err()];
            return Err(errors.into_iter().flatten().flatten().collect());
        }
    };
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    let texts = read(&paths)?;
    let mut request = Request {
        templates: Vec::new(),
        config: config.into_iter().next(),
        stack_names: Vec::new(),
        parameters: Vec::new(),
        region: arguments.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
        account_id: arguments.account_id.clone().unwrap_or_else(|| "000000000000".to_owned()),
        environment: overrides(),
        client,
        functions: Some(functions),
    };
    for (index, (file, (name, text))) in files.into_iter().zip(texts).enumerate() {
        let stem = || cloudformation::stack_name(&name);
        let given = arguments.stack_name.get(index).cloned();
        request.stack_names.push(given.or(file.stack_name).unwrap_or_else(stem));
        request.parameters.extend(file.parameters);
        let folder = std::path::absolute(&file.folder).unwrap_or(file.folder);
        let base = CodeBase { folder, assets: file.assets };
        // Who names one here means all stacks.
        let destination = Destination {
            region: file.region.filter(|_| arguments.region.is_none()),
            account_id: file.account_id.filter(|_| arguments.account_id.is_none()),
        };
        request.templates.push(Template { name, text, base, destination });
    }
    // The last value of a name wins.
    request.parameters.extend(arguments.parameter.iter().cloned());
    let adjust = |settings: &mut Settings| {
        if !arguments.listen.is_empty() {
            settings.listen.addresses.clone_from(&arguments.listen);
        }
        if let Some(admin) = arguments.admin {
            settings.admin.listen = admin;
        }
    };
    Ok(load(request, adjust).await)
}

/// Every template behind the arguments; everything that cannot be opened is named.
fn open_all(paths: &[PathBuf]) -> Result<Vec<TemplateFile>, Vec<String>> {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match assembly::open(path) {
            Ok(opened) => files.extend(opened),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

fn report(loaded: &Loaded) {
    findings(&loaded.sources, &loaded.diagnostics);
    if !loaded.has_errors() && !loaded.model.unserved.is_empty() {
        let types: Vec<String> =
            loaded.model.unserved.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        talk(&format!("not served, only named: {}", types.join(", ")));
    }
}

async fn serve(
    arguments: &Serve,
    loaded: Loaded,
    client: Client,
    functions: Arc<Functions>,
    files: Option<Watch>,
) -> anyhow::Result<Exit> {
    if loaded.model.stages.is_empty() {
        talk(
            "error: the templates define no WebSocket API with a stage; there is nothing to serve",
        );
        return Ok(Exit::Rejected);
    }
    let listen = loaded.snapshot.settings.listen.clone();
    let admin_settings = loaded.snapshot.settings.admin.clone();
    let problems = check_listen(&listen);
    if !problems.is_empty() {
        for problem in problems {
            talk(&format!("error: {problem}"));
        }
        return Ok(Exit::Rejected);
    }
    if arguments.provision && !provision(&loaded).await {
        return Ok(Exit::Failure);
    }
    let is_default = arguments.listen.is_empty() && is_default(&listen.addresses);
    let listeners = bind_all(&listen.addresses, is_default)?;
    let admin = bind(admin_settings.listen)?;
    let token = admin_settings.token.map_or_else(AdminToken::fresh, AdminToken::new);
    let gateway = Gateway::new(loaded.snapshot, client.clone(), &directory::id_key()?);
    let tls = certificates(&gateway, &listen, Some(&functions), arguments.ca_domain.clone())?;
    let addresses: Vec<SocketAddr> =
        listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let admin_address = format!("http://{}", admin.local_addr()?);
    let file = AdminFile { address: admin_address.clone(), token: token.expose().to_owned() };
    let admin_file = file.write()?;
    let ready = Ready::new(&gateway, &loaded.model, &addresses, &admin_address, &token);
    let mut public: Vec<_> = listeners
        .into_iter()
        .zip(&addresses)
        .map(|(listener, address)| {
            let plain = address.ip().is_loopback() || listen.insecure;
            (listener, Policy { plain, tls: tls.clone(), for_functions: false })
        })
        .collect();
    // A reload may bring the first function.
    if functions.is_used() || arguments.watch {
        hide();
        public.push(functions_listener(&gateway, &functions)?);
    }
    let server = Server::new(Arc::clone(&gateway), public, admin, token);
    let (stop, now) = signals()?;
    if arguments.ready_json {
        data(&serde_json::to_string(&ready).expect("text serialises"));
    } else {
        ready.talk(admin_file.path());
    }
    let watcher = files.map(|files| {
        let (gateway, arguments) = (Arc::clone(&gateway), arguments.clone());
        tokio::spawn(watch(gateway, arguments, client, Arc::clone(&functions), files))
    });
    server.run(stop, now).await;
    if let Some(watcher) = watcher {
        watcher.abort();
    }
    functions.stop(FUNCTIONS_GRACE).await;
    Ok(Exit::Success)
}

/// Makes what the templates need of other services; whether all of it is there.
async fn provision(loaded: &Loaded) -> bool {
    match gateway::provision::provision(&loaded.model, &loaded.snapshot).await {
        Ok(made) => {
            for made in made {
                talk(&format!("made {made}"));
            }
            true
        }
        Err(errors) => {
            for error in errors {
                talk(&format!("error: {error}"));
            }
            false
        }
    }
}

/// How long a function may take to end when it is asked to.
const FUNCTIONS_GRACE: Duration = Duration::from_secs(1);

/// Functions run as the same user: without this they could read the environment and the memory
/// of this process in `/proc`.
fn hide() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            tracing::warn!(%error, "functions may be able to read this process");
        }
    }
}

/// A listener of its own for functions: on loopback, with certificates that they alone trust.
fn functions_listener(
    gateway: &Arc<Gateway>,
    functions: &Arc<Functions>,
) -> anyhow::Result<(TcpListener, Policy)> {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into())?;
    functions.listen_on(listener.local_addr()?);
    let (served, functions) = (Arc::downgrade(gateway), Arc::clone(functions));
    let tls = Tls::lazy(move || {
        let served = served.clone();
        let is_served =
            move |name: &str| served.upgrade().is_some_and(|gateway| gateway.serves_name(name));
        let resolver = LocalCertificates::new(
            functions.authority().into_iter().collect(),
            vec![Ipv4Addr::LOCALHOST.into()],
            is_served,
            SystemTime::now,
        )?;
        Ok(server_config(Arc::new(resolver)))
    });
    Ok((listener, Policy { plain: true, tls: Some(tls), for_functions: true }))
}

/// Reloads when a file changes; an invalid change is told and the old serves on.
async fn watch(
    gateway: Arc<Gateway>,
    arguments: Serve,
    client: Client,
    functions: Arc<Functions>,
    mut files: Watch,
) {
    loop {
        files.changed().await;
        match load_files(&arguments, &client, &functions).await {
            Ok(loaded) => {
                report(&loaded);
                if loaded.has_errors() || loaded.model.stages.is_empty() {
                    talk("reload refused; the old configuration serves on");
                } else {
                    let kept = gateway.reload(loaded.snapshot);
                    functions.retain(&gateway);
                    files.also(functions.code());
                    talk("reloaded");
                    if !kept.is_empty() {
                        talk(&format!("these changes need a restart: {}", kept.join(", ")));
                    }
                }
            }
            Err(errors) => {
                for error in errors {
                    talk(&format!("error: {error}"));
                }
                talk("reload refused; the old configuration serves on");
            }
        }
    }
}

fn is_default(addresses: &[SocketAddr]) -> bool {
    let default: [SocketAddr; 2] =
        [(Ipv4Addr::LOCALHOST, 8080).into(), (Ipv6Addr::LOCALHOST, 8080).into()];
    addresses == default
}

/// Binds every address. Of the two default ones the second may be missing: not
/// every machine speaks IPv6.
fn bind_all(addresses: &[SocketAddr], is_default: bool) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        match bind(*address) {
            Ok(listener) => listeners.push(listener),
            Err(error)
                if is_default
                    && address.is_ipv6()
                    && error.error.kind() != std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(listeners)
}

/// Beyond loopback nothing is served in plain text unless somebody wrote so.
fn check_listen(listen: &Listen) -> Vec<String> {
    let open = |address: &&SocketAddr| !address.ip().is_loopback();
    if listen.certificate.is_some() || listen.insecure {
        return Vec::new();
    }
    listen
        .addresses
        .iter()
        .filter(open)
        .map(|address| {
            format!(
                "{address} is not loopback and needs TLS: write `certificate` and `key` under `[listen]` in wsgate.toml, or `insecure = true` behind a proxy that ends TLS"
            )
        })
        .collect()
}

/// Configured certificates, or on loopback those of the local CA, which is made
/// when the first client asks for TLS.
pub(crate) fn certificates(
    gateway: &Arc<Gateway>,
    listen: &Listen,
    functions: Option<&Arc<Functions>>,
    ca_domains: Vec<String>,
) -> anyhow::Result<Option<Tls>> {
    if let Some(paths) = &listen.certificate {
        let files = Arc::new(FileCertificates::load(vec![paths.clone()])?);
        return Ok(Some(Tls::lazy(move || {
            let resolver: Arc<dyn rustls::server::ResolvesServerCert> = files.clone();
            Ok(server_config(resolver))
        })));
    }
    if !listen.addresses.iter().any(|address| address.ip().is_loopback()) {
        return Ok(None);
    }
    let served = Arc::downgrade(gateway);
    let folder = directory::data()?;
    let addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let functions = functions.cloned();
    Ok(Some(Tls::lazy(move || {
        let ca = BrowserCa::load_or_create(&folder, &ca_domains, SystemTime::now())?;
        if ca.is_new {
            tracing::info!(file = %ca.certificate_path.display(), "made a local CA; `wsgate ca show` prints it");
        }
        let served = served.clone();
        let is_served =
            move |name: &str| served.upgrade().is_some_and(|gateway| gateway.serves_name(name));
        // For the names that a browser may not trust it with there is the CA of functions.
        let of_functions = functions.as_ref().filter(|functions| functions.is_used());
        let of_functions = of_functions.map(|functions| functions.authority()).transpose();
        let authorities = [Some(ca.authority), of_functions.ok().flatten()];
        let resolver = LocalCertificates::new(
            authorities.into_iter().flatten().collect(),
            addresses.clone(),
            is_served,
            SystemTime::now,
        )?;
        Ok(server_config(Arc::new(resolver)))
    })))
}

/// The first SIGINT or SIGTERM drains, the second ends at once.
pub(crate) fn signals() -> anyhow::Result<(impl Future<Output = ()>, impl Future<Output = ()>)> {
    let (count, mut first) = tokio::sync::watch::channel(0_u32);
    let mut second = first.clone();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Lives as long as the process: nothing else may take the signals.
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            count.send_modify(|count| *count += 1);
        }
    });
    let stop = async move { drop(first.wait_for(|count| 1 <= *count).await) };
    let now = async move { drop(second.wait_for(|count| 2 <= *count).await) };
    Ok((stop, now))
}

/// The ready line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    ready: bool,
    listen: Vec<String>,
    apis: Vec<ReadyApi>,
    admin: String,
}

/// One API and stage.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadyApi {
    api_id: String,
    logical_id: String,
    stage: String,
    url: String,
    endpoint: String,
    domains: Vec<String>,
}

impl Ready {
    fn new(
        gateway: &Gateway,
        model: &Model,
        addresses: &[SocketAddr],
        admin: &str,
        token: &AdminToken,
    ) -> Self {
        let first = addresses.first().map(SocketAddr::to_string).unwrap_or_default();
        let only = model.stages.iter().all(|s| s.api.api_id == model.stages[0].api.api_id);
        let snapshot = gateway.snapshot.load();
        let apis = model
            .stages
            .iter()
            .map(|stage| {
                let api_id = &stage.api.api_id;
                let prefix =
                    if only { String::new() } else { format!("/_aws/execute-api/{api_id}") };
                let domains = snapshot.router.domains_of(api_id);
                ReadyApi {
                    api_id: api_id.clone(),
                    logical_id: stage.api.logical_id.clone(),
                    stage: stage.name.clone(),
                    url: format!("ws://{first}{prefix}/{}", stage.name),
                    endpoint: format!("http://{first}{prefix}/{}", stage.name),
                    domains: domains
                        .filter(|(_, mapped)| *mapped == stage.name)
                        .map(|(name, _)| name.to_owned())
                        .collect(),
                }
            })
            .collect();
        Self {
            ready: true,
            listen: addresses.iter().map(SocketAddr::to_string).collect(),
            apis,
            admin: format!("{admin}/#token={}", token.expose()),
        }
    }

    /// Tells a person; the admin token stays in its file.
    fn talk(&self, file: &Path) {
        for api in &self.apis {
            talk(&format!("{} stage {}: {}", api.logical_id, api.stage, api.url));
            for domain in &api.domains {
                talk(&format!("  also as {domain}"));
            }
        }
        let address = self.admin.split("/#").next().unwrap_or_default();
        talk(&format!("admin: {address}, token in {}", file.display()));
    }
}
