//! `wsgate demo`: back end, page and gateway in one process, on loopback.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use api_model::policy::Policy;
use demo::{
    AUDIENCE, Admin, ApiStage, BACKEND_PORT, Backend, FindAdmin, GatewayAddress, MANAGEMENT_POLICY,
    PARENT_DOMAIN, Scheme, Secrets, TEMPLATES,
};
use gateway::admin::AdminToken;
use gateway::ca::{BrowserCa, LocalCertificates, server_config};

use gateway::listener::Policy as ListenerPolicy;
use gateway::server::{BindError, bind};
use gateway::settings::{ManagementKey, Settings};
use gateway::sigv4;
use gateway::{Gateway, Server};
use tokio::net::TcpListener;

use crate::Exit;
use crate::arguments::Demo;
use crate::directory::{self, AdminFile};
use crate::load::{Request, Template, client, load};
use crate::output::{findings, talk};
use crate::serve::{certificates, runtime, signals, start_logs};

/// Region of the demo's API.
const REGION: &str = "us-east-1";
/// Path of the page's WebSocket address, as the template's default has it.
const MAPPING_KEY: &str = "prod";
/// Ports that are tried from the wanted one on.
const PORTS_TRIED: u16 = 50;

/// Runs the demo until a signal.
pub(crate) fn run(arguments: &Demo) -> anyhow::Result<Exit> {
    if !arguments.listen.ip().is_loopback() {
        bail!("the demo listens on loopback addresses only; `wsgate serve` serves others");
    }
    runtime()?.block_on(async {
        if arguments.backend_only {
            backend_only(arguments).await
        } else {
            everything(arguments).await
        }
    })
}

async fn everything(arguments: &Demo) -> anyhow::Result<Exit> {
    let backend = bind_backend(arguments).await?;
    let scheme = if arguments.tls { Scheme::Tls } else { Scheme::Plain };
    let site = backend.site(PARENT_DOMAIN, scheme);
    let secrets = Secrets::fresh();
    let client = client()?;
    let request = Request {
        templates: TEMPLATES
            .map(|(name, text)| Template::new((name.to_owned(), text.to_owned())))
            .into(),
        config: None,
        stack_names: Vec::new(),
        parameters: vec![
            ("BackendUrl".to_owned(), format!("http://{}", backend.local_addr())),
            ("GatewayKey".to_owned(), text(&secrets.gateway_key)),
        ],
        region: REGION.to_owned(),
        account_id: "000000000000".to_owned(),
        environment: Vec::new(),
        client: &client,
        functions: None,
    };
    let loaded = load(request, |settings| configure(settings, &secrets, &site.ui_origin())).await;
    findings(&loaded.sources, &loaded.diagnostics);
    if loaded.has_errors() {
        return Ok(Exit::Rejected);
    }
    start_logs(&loaded.snapshot.settings);
    let listen = loaded.snapshot.settings.listen.clone();
    let stage = loaded.model.stages.first().context("the demo's template has no stage")?;
    let api = ApiStage::parse(&stage.api.api_id, &stage.name);
    let gateway = Gateway::new(loaded.snapshot, client, &gateway::id::random());
    let listeners = bind_pair(arguments.listen)?;
    let address = listeners[0].local_addr()?;
    let admin = bind(([127, 0, 0, 1], 0).into())?;
    let token = AdminToken::fresh();
    let admin_file = AdminFile {
        address: format!("http://{}", admin.local_addr()?),
        token: token.expose().to_owned(),
    };
    let _file = admin_file.write()?;
    let tls = certificates(&gateway, &listen, None, Vec::new())?;
    let policy = ListenerPolicy { plain: true, tls, for_functions: false };
    let public = listeners.into_iter().map(|listener| (listener, policy.clone())).collect();
    let server = Server::new(gateway, public, admin, token);

    let settings = demo::Settings {
        parent_domain: PARENT_DOMAIN.to_owned(),
        audience: AUDIENCE.to_owned(),
        secrets,
        gateway: address_of(address, api),
        admin: find_admin(move || Some(admin_file.clone())),
        tls: page_certificates(arguments)?,
    };
    let (stop, now) = signals()?;
    let (ended, mut ending) = tokio::sync::watch::channel(false);
    let page = tokio::spawn(backend.run(settings, async move {
        drop(ending.wait_for(|ended| *ended).await);
    }));
    talk(&format!("open {}", site.ui_origin()));
    talk(&format!("gateway {address}; stop with Ctrl-C"));
    server.run(stop, now).await;
    ended.send_replace(true);
    page.await.context("the back end ended early")?;
    Ok(Exit::Success)
}

async fn backend_only(arguments: &Demo) -> anyhow::Result<Exit> {
    if arguments.listen.port() == 0 {
        bail!("the back end alone must know the gateway's port: name one by --listen");
    }
    start_logs(&Settings::default());
    let backend = bind_backend(arguments).await?;
    let scheme = if arguments.tls { Scheme::Tls } else { Scheme::Plain };
    let site = backend.site(PARENT_DOMAIN, scheme);
    let address = backend.local_addr();
    let settings = demo::Settings {
        parent_domain: PARENT_DOMAIN.to_owned(),
        audience: AUDIENCE.to_owned(),
        secrets: Secrets::development(),
        gateway: address_of(arguments.listen, None),
        admin: find_admin(AdminFile::newest),
        tls: page_certificates(arguments)?,
    };
    talk(&format!("back end on http://{address}, page on {}", site.ui_origin()));
    if address.port() != BACKEND_PORT {
        talk(&format!(
            "port {BACKEND_PORT} was taken: start `wsgate serve` with `--parameter BackendUrl=http://{address}` and write \"{}\" into `origins` of demo/wsgate.toml",
            site.ui_origin()
        ));
    }
    let (stop, _now) = signals()?;
    backend.run(settings, stop).await;
    Ok(Exit::Success)
}

async fn bind_backend(arguments: &Demo) -> anyhow::Result<Backend> {
    let address = SocketAddr::from(([127, 0, 0, 1], BACKEND_PORT));
    let backend = match arguments.listen.port() {
        // Who asks for any port of the gateway gets any port of the back end.
        0 => Backend::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await,
        _ => Backend::bind_next_free(address).await,
    };
    backend.with_context(|| format!("cannot listen on {address} or the ports that follow"))
}

/// The demo's part of the configuration: secrets made for this start.
fn configure(settings: &mut Settings, secrets: &Secrets, origin: &str) {
    for (name, secret) in secrets.ssm_parameters() {
        settings.parameters.insert(name.to_owned(), sigv4::Secret::new(secret.expose()));
    }
    let origins = toml::Value::Array(vec![origin.into()]);
    settings.authorizer.insert("origins".to_owned(), origins);
    let document = serde_json::from_str(MANAGEMENT_POLICY).expect("the policy is JSON");
    let policy = Policy::parse(&document).expect("the policy is well-formed");
    settings.management.keys.push(ManagementKey {
        key: sigv4::Key {
            id: secrets.management_id.clone(),
            secret: sigv4::Secret::new(secrets.management_secret.expose()),
            session_token: None,
            expires_at: None,
        },
        policy: Some(policy),
    });
}

/// The wanted port or the next free one; port 0 picks one.
fn bind_pair(wanted: SocketAddr) -> anyhow::Result<Vec<TcpListener>> {
    let mut last = None;
    for offset in 0..PORTS_TRIED {
        let next = match wanted.port() {
            0 => Some(0),
            port => port.checked_add(offset),
        };
        let Some(port) = next else { break };
        match bind_with_twin((wanted.ip(), port).into()) {
            Ok(listeners) => return Ok(listeners),
            Err(error) if error.error.kind() == ErrorKind::AddrInUse => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    match last {
        Some(error) => Err(error.into()),
        None => bail!("no port to listen on"),
    }
}

/// The address and, with an IPv4 one, the same port of `::1` where there is one. It must be free
/// too: browsers take either for `*.localhost`, `::1` first, so whoever else listened there would
/// get the handshakes and their cookies.
fn bind_with_twin(address: SocketAddr) -> Result<Vec<TcpListener>, BindError> {
    let first = bind(address)?;
    let Ok(bound) = first.local_addr() else { return Ok(vec![first]) };
    if bound.is_ipv6() {
        return Ok(vec![first]);
    }
    match bind((Ipv6Addr::LOCALHOST, bound.port()).into()) {
        Ok(twin) => Ok(vec![first, twin]),
        Err(error) if error.error.kind() == ErrorKind::AddrInUse => Err(error),
        Err(_) => Ok(vec![first]),
    }
}

fn address_of(address: SocketAddr, api: Option<ApiStage>) -> GatewayAddress {
    GatewayAddress {
        port: address.port(),
        endpoint: format!("http://{address}"),
        region: REGION.to_owned(),
        mapping_key: MAPPING_KEY.to_owned(),
        api,
    }
}

fn find_admin(find: impl Fn() -> Option<AdminFile> + Send + Sync + 'static) -> FindAdmin {
    Arc::new(move || find().map(|file| Admin { address: file.address, token: file.token }))
}

/// Certificates for the page's own hosts.
fn page_certificates(arguments: &Demo) -> anyhow::Result<Option<Arc<rustls::ServerConfig>>> {
    if !arguments.tls {
        return Ok(None);
    }
    let folder = directory::data()?;
    let ca = BrowserCa::load_or_create(&folder, &[], SystemTime::now())?;
    talk(&format!(
        "the browser must trust {} (`wsgate ca show` prints it)",
        ca.certificate_path.display()
    ));
    let is_page = |name: &str| {
        name.strip_suffix(PARENT_DOMAIN).is_some_and(|label| matches!(label, "ui." | "other."))
    };
    let resolver =
        LocalCertificates::new(vec![ca.authority], Vec::new(), is_page, SystemTime::now)?;
    Ok(Some(server_config(Arc::new(resolver))))
}

/// Fresh secrets of the demo are printable ASCII.
fn text(secret: &authorizer::Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}
