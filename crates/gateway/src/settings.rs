//! The configuration: `wsgate.toml` and `WSGATE_SECTION__KEY`.
//!
//! Raw text becomes [`Settings`] in one go; every mistake is reported with its
//! place, unknown keys included. Defaults are those of each field.

mod document;
mod functions;
mod integrations;
mod section;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use api_model::api::Rate;
use api_model::policy::Policy;
use api_model::{Compat, Diagnostics, Node, Sources, Span, Value};
use ipnet::IpNet;

use crate::sigv4;
pub use functions::{Builtin, FunctionSettings};
pub use integrations::Integrations;
use section::{Section, wrong};

/// Codes of findings about the configuration.
pub mod codes {
    /// The file is not TOML.
    pub const SYNTAX: &str = "WSG-901";
    /// A key that does not exist.
    pub const UNKNOWN_KEY: &str = "WSG-902";
    /// A value that is not allowed.
    pub const VALUE: &str = "WSG-903";
    /// A secret's source cannot be read.
    pub const SOURCE: &str = "WSG-904";
    /// A setting that is not supported in this version.
    pub const UNSUPPORTED: &str = "WSG-905";
    /// A setting that is ignored under `compat = "aws"`.
    pub const COMPAT: &str = "WSG-906";
    /// Settings of an authorizer are wrong.
    pub const AUTHORIZER: &str = "WSG-907";
    /// A function that nothing here can run.
    pub const FUNCTION: &str = "WSG-908";
    /// A certificate or address that cannot be used.
    pub const LISTEN: &str = "WSG-909";
    /// A service of AWS that an integration needs and that nothing here reaches.
    pub const SERVICE: &str = "WSG-910";
}

/// The whole configuration, valid.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose behaviour decides where wsgate and AWS differ.
    pub compat: Compat,
    /// `[listen]`
    pub listen: Listen,
    /// `[limits]`
    pub limits: Limits,
    /// `[throttle]`
    pub throttle: Throttle,
    /// `[authorizer]` without `cache`: defaults of every built-in authorizer.
    pub authorizer: toml::Table,
    /// `[authorizer.cache]`
    pub cache: CacheSettings,
    /// `[authorizers.NAME]`
    pub authorizers: HashMap<String, AuthorizerSettings>,
    /// `[functions.NAME]`
    pub functions: Vec<(String, FunctionSettings)>,
    /// `[parameters]`: values of SSM parameters by name.
    pub parameters: BTreeMap<String, sigv4::Secret>,
    /// `[integrations]`
    pub integrations: Integrations,
    /// `[events] domain_name`
    pub domain_name: DomainNameMode,
    /// `[management]`
    pub management: Management,
    /// `[revocation] keep`: how long revocations are remembered, 24 h.
    pub revocation_keep: Duration,
    /// `[session] renewal`: whether a message with a fresh token moves the end
    /// of its session; off, and always off under `compat = "aws"`.
    pub renewal: bool,
    /// `[drain]`
    pub drain: Drain,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// `[admin]`
    pub admin: Admin,
}

/// Where clients connect.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Addresses; `127.0.0.1:8080` and `[::1]:8080`.
    pub addresses: Vec<SocketAddr>,
    /// PEM files of certificate chain and key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Plain text on listeners that are not loopback; off.
    pub insecure: bool,
    /// Peers whose `X-Forwarded-For` is believed; none.
    pub trusted_proxies: Vec<IpNet>,
}

/// Bounds of what a peer may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// First byte to end of headers, TLS included; 10 s.
    pub head_time: Duration,
    /// Bytes of a request's head; 32 KiB.
    pub head_bytes: usize,
    /// Bytes of a request target; 4096.
    pub url_bytes: usize,
    /// Header lines of a request; 100.
    pub headers: usize,
    /// Open connections; no limit.
    pub connections: usize,
    /// Open connections of one address; no limit.
    pub connections_per_address: usize,
    /// Handshakes that wait for a verdict or an integration; 10,000.
    pub handshakes_pending: usize,
    /// The same for one address; 64.
    pub handshakes_pending_per_address: usize,
    /// Authorizer invocations at once; 256, beyond it 429.
    pub authorizer_concurrency: usize,
    /// What a message may be, and how long a connection may last.
    pub session: session::Limits,
    /// Bytes that may wait for one slow client; 1 MiB.
    pub queue_bytes: usize,
}

/// Requests per second for everybody.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    /// Messages, connects and management calls; `None` is off. 10,000/s, burst 5,000.
    pub requests: Option<Rate>,
    /// New connections; `None` is off. 500/s, burst 500.
    pub connects: Option<Rate>,
}

/// The verdict cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// How long a built-in authorizer's grant is reused; 300 s, zero is off.
    pub ttl: Duration,
    /// Bytes of all stored verdicts; 64 MiB.
    pub bytes_max: u64,
}

/// `[authorizers.NAME]`: NAME is the logical id of an authorizer.
#[derive(Clone, Debug, Default)]
pub struct AuthorizerSettings {
    /// How long a verdict is reused; off.
    pub cache_ttl: Option<Duration>,
    /// What a verdict is keyed by.
    pub cache_key: CacheKey,
    /// The context key that holds the session's end, in epoch seconds.
    pub session_end: Option<String>,
    /// Where it stands.
    pub span: Span,
}

/// What the verdicts of a function are keyed by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CacheKey {
    /// The whole event, without what differs on every connect.
    #[default]
    Event,
    /// The identity sources alone, which lets a foreign page in on a user's own cookie.
    IdentitySources,
}

/// What `requestContext.domainName` is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DomainNameMode {
    /// The client's `Host`, with its port.
    Host,
    /// `{apiId}.execute-api.{region}.localhost:{port}`.
    Local,
}

/// Who may use `@connections`.
#[derive(Clone, Debug)]
pub struct Management {
    /// Whether calls must be signed.
    pub auth: ManagementAuth,
    /// Keys that may sign.
    pub keys: Vec<ManagementKey>,
}

/// Whether `@connections` calls must be signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ManagementAuth {
    /// Not at all, on loopback and under the rules of a local endpoint.
    Off,
    /// By Signature Version 4.
    SigV4,
}

/// One signing key and what it may do.
#[derive(Clone, Debug)]
pub struct ManagementKey {
    /// The key.
    pub key: sigv4::Key,
    /// Its policy; without one it may manage connections of every API.
    pub policy: Option<Policy>,
}

/// How the gateway stops.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// Over how long the closes are spread; 5 s.
    pub spread: Duration,
    /// How long to wait for the last one; 8 s.
    pub grace: Duration,
}

/// What is written about the gateway's work.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Log filter, such as `info`.
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Its address; a free loopback port.
    pub listen: SocketAddr,
    /// Its token instead of a fresh one.
    pub token: Option<sigv4::Secret>,
}

/// Reads sources of secrets: the only way the configuration reaches outside.
pub trait SecretSources {
    /// An environment variable.
    fn environment(&self, name: &str) -> Option<String>;
    /// A file.
    fn file(&self, path: &str) -> std::io::Result<String>;
}

impl Settings {
    /// Reads the configuration. With errors among the findings the settings
    /// must not be used.
    pub fn parse(
        sources: &mut Sources,
        file: Option<(&str, &str)>,
        environment: &[(String, String)],
        secrets: &dyn SecretSources,
    ) -> (Self, Diagnostics) {
        let mut out = Diagnostics::default();
        let node = document::parse(sources, file, environment, &mut out);
        let settings = read(&node, secrets, &mut out);
        (settings, out)
    }
}

impl Default for Settings {
    fn default() -> Self {
        struct Nothing;
        impl SecretSources for Nothing {
            fn environment(&self, _: &str) -> Option<String> {
                None
            }
            fn file(&self, _: &str) -> std::io::Result<String> {
                Err(std::io::ErrorKind::NotFound.into())
            }
        }
        Self::parse(&mut Sources::default(), None, &[], &Nothing).0
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn read(node: &Node, secrets: &dyn SecretSources, out: &mut Diagnostics) -> Settings {
    let mut root = Section::root(node);
    let compat = root.word("compat", &[("wsgate", Compat::Wsgate), ("aws", Compat::Aws)], out);
    let compat = compat.unwrap_or_default();
    let (authorizer, cache) = read_authorizer(&mut root, out);
    let settings = Settings {
        compat,
        listen: read_listen(root.table("listen", out), out),
        limits: read_limits(root.table("limits", out), out),
        throttle: read_throttle(root.table("throttle", out), out),
        authorizer,
        cache,
        authorizers: read_authorizers(&mut root, out),
        functions: functions::read(&mut root, out),
        parameters: read_parameters(&mut root, secrets, out),
        integrations: integrations::read(root.table("integrations", out), out),
        domain_name: {
            let mut section = root.table("events", out);
            let words = [("host", DomainNameMode::Host), ("local", DomainNameMode::Local)];
            let mode = section.word("domain_name", &words, out);
            section.finish(out);
            mode.unwrap_or(DomainNameMode::Host)
        },
        management: read_management(root.table("management", out), secrets, out),
        revocation_keep: {
            let mut section = root.table("revocation", out);
            let keep = section.duration("keep", DAY / 24..=DAY * 365, out);
            section.finish(out);
            keep.unwrap_or(DAY)
        },
        renewal: read_renewal(root.table("session", out), compat, out),
        drain: {
            let mut section = root.table("drain", out);
            let minute = Duration::from_secs(60);
            let drain = Drain {
                spread: section
                    .duration("spread", Duration::ZERO..=minute * 60, out)
                    .unwrap_or(Duration::from_secs(5)),
                grace: section
                    .duration("grace", Duration::ZERO..=minute * 60, out)
                    .unwrap_or(Duration::from_secs(8)),
            };
            section.finish(out);
            drain
        },
        telemetry: {
            let mut section = root.table("telemetry", out);
            let telemetry = Telemetry {
                level: section.text("level", out).unwrap_or("info").to_owned(),
                json: section
                    .word("format", &[("text", false), ("json", true)], out)
                    .unwrap_or(false),
            };
            section.finish(out);
            telemetry
        },
        admin: read_admin(root.table("admin", out), secrets, out),
    };
    if let Some(entry) = node.entries().iter().find(|entry| entry.key == "cluster") {
        out.error(
            codes::UNSUPPORTED,
            entry.key_span,
            "`[cluster]` is not supported in this version",
        )
        .hint("remove the section");
    }
    root.find("cluster");
    root.finish(out);
    settings
}

fn read_listen(mut section: Section<'_>, out: &mut Diagnostics) -> Listen {
    let mut addresses = Vec::new();
    for (text, span) in section.texts("addresses", out) {
        match text.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => wrong(
                out,
                span,
                "listen.addresses",
                "must hold addresses such as \"127.0.0.1:8080\"",
            ),
        }
    }
    if addresses.is_empty() {
        addresses.push((Ipv4Addr::LOCALHOST, 8080).into());
        addresses.push((Ipv6Addr::LOCALHOST, 8080).into());
    }
    let mut trusted_proxies = Vec::new();
    for (text, span) in section.texts("trusted_proxies", out) {
        match text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)) {
            Ok(net) => trusted_proxies.push(net),
            Err(_) => wrong(
                out,
                span,
                "listen.trusted_proxies",
                "must hold addresses or networks such as \"10.0.0.0/8\"",
            ),
        }
    }
    let certificate = section.text("certificate", out).map(PathBuf::from);
    let key = section.text("key", out).map(PathBuf::from);
    if certificate.is_some() != key.is_some() {
        wrong(out, section.span(), "listen", "needs both `certificate` and `key`, or neither");
    }
    if let Some(node) = section.find("proxy_protocol") {
        out.error(
            codes::UNSUPPORTED,
            node.span,
            "`listen.proxy_protocol` is not supported in this version",
        );
    }
    let insecure = section.flag("insecure", out).unwrap_or(false);
    section.finish(out);
    Listen { addresses, certificate: certificate.zip(key), insecure, trusted_proxies }
}

fn read_limits(mut section: Section<'_>, out: &mut Diagnostics) -> Limits {
    const KIB: u64 = 1024;
    const IDLE: Duration = Duration::from_secs(600);
    const AGE: Duration = Duration::from_secs(7200);
    const HEAD_TIME: Duration = Duration::from_secs(10);
    let seconds = Duration::from_secs;
    let number = |value: Option<u64>, default: u64| {
        usize::try_from(value.unwrap_or(default)).unwrap_or(usize::MAX)
    };
    let unlimited = u64::MAX;
    let binary = [("refuse", websocket::Binary::Refuse), ("base64", websocket::Binary::Accept)];
    let framing = websocket::Limits {
        binary: section.word("binary", &binary, out).unwrap_or(websocket::Binary::Refuse),
        frame_bytes: number(section.bytes("frame", 125..=1024 * 1024 * KIB, out), 32 * KIB),
        message_bytes: number(section.bytes("message", 125..=1024 * 1024 * KIB, out), 128 * KIB),
        ..websocket::Limits::default()
    };
    let ping = if section.is_off("ping_interval") {
        section.find("ping_interval");
        None
    } else {
        let interval = section.duration("ping_interval", seconds(1)..=DAY, out);
        Some(interval.unwrap_or(PING_INTERVAL))
    };
    let session = session::Limits {
        framing,
        idle: section.duration("idle", seconds(1)..=DAY * 30, out).unwrap_or(IDLE),
        age: section.duration("age", seconds(1)..=DAY * 365, out).unwrap_or(AGE),
        ping_interval: ping,
    };
    let limits = Limits {
        head_time: section
            .duration("head_time", seconds(1)..=seconds(600), out)
            .unwrap_or(HEAD_TIME),
        head_bytes: number(section.bytes("head_bytes", 8 * KIB..=1024 * KIB, out), 32 * KIB),
        url_bytes: number(section.bytes("url_bytes", 256..=64 * KIB, out), 4096),
        headers: number(section.count("headers", 10..=1000, out), 100),
        connections: number(section.count("connections", 1..=unlimited, out), unlimited),
        connections_per_address: number(
            section.count("connections_per_address", 1..=unlimited, out),
            unlimited,
        ),
        handshakes_pending: number(section.count("handshakes_pending", 1..=1_000_000, out), 10_000),
        handshakes_pending_per_address: number(
            section.count("handshakes_pending_per_address", 1..=1_000_000, out),
            64,
        ),
        authorizer_concurrency: number(
            section.count("authorizer_concurrency", 1..=100_000, out),
            256,
        ),
        queue_bytes: number(section.bytes("queue", 256 * KIB..=1024 * 1024 * KIB, out), 1024 * KIB),
        session,
    };
    section.finish(out);
    limits
}

/// A minute finds dead peers long before the idle limit, at little cost.
const PING_INTERVAL: Duration = Duration::from_secs(60);

fn read_throttle(mut section: Section<'_>, out: &mut Diagnostics) -> Throttle {
    let throttle = Throttle {
        requests: read_rate(
            &mut section,
            "requests",
            Rate { per_second: 10_000.0, burst: 5_000 },
            out,
        ),
        connects: read_rate(&mut section, "connects", Rate { per_second: 500.0, burst: 500 }, out),
    };
    section.finish(out);
    throttle
}

fn read_rate(
    section: &mut Section<'_>,
    name: &'static str,
    default: Rate,
    out: &mut Diagnostics,
) -> Option<Rate> {
    if section.is_off(name) {
        section.find(name);
        return None;
    }
    let mut table = section.table(name, out);
    let max = u64::from(u32::MAX);
    let rate = table.count("rate", 0..=max, out);
    let burst = table.count("burst", 0..=max, out);
    table.finish(out);
    #[expect(clippy::cast_precision_loss, reason = "at most 2^32")]
    let per_second = rate.map_or(default.per_second, |rate| rate as f64);
    let burst = burst.and_then(|burst| u32::try_from(burst).ok()).unwrap_or(default.burst);
    Some(Rate { per_second, burst })
}

fn read_authorizer(root: &mut Section<'_>, out: &mut Diagnostics) -> (toml::Table, CacheSettings) {
    let node = root.find("authorizer");
    let mut section = Section::at(node, "authorizer".to_owned(), out);
    let mut cache = section.table("cache", out);
    let settings = CacheSettings {
        ttl: if cache.is_off("ttl") {
            cache.find("ttl");
            Duration::ZERO
        } else {
            cache
                .duration("ttl", Duration::ZERO..=Duration::from_secs(3600), out)
                .unwrap_or(Duration::from_secs(300))
        },
        bytes_max: cache.bytes("bytes_max", 0..=1 << 40, out).unwrap_or(64 << 20),
    };
    cache.finish(out);
    let mut table = table_of(node);
    table.remove("cache");
    (table, settings)
}

fn table_of(node: Option<&Node>) -> toml::Table {
    match node.map(document::to_toml) {
        Some(toml::Value::Table(table)) => table,
        _ => toml::Table::new(),
    }
}

fn read_authorizers(
    root: &mut Section<'_>,
    out: &mut Diagnostics,
) -> HashMap<String, AuthorizerSettings> {
    let section = root.table("authorizers", out);
    let mut list = HashMap::new();
    for entry in section.entries() {
        let mut one = Section::at(Some(&entry.value), format!("authorizers.{}", entry.key), out);
        let mut cache = one.table("cache", out);
        let keys = [("event", CacheKey::Event), ("identity-sources", CacheKey::IdentitySources)];
        let ttl = cache.duration("ttl", Duration::ZERO..=Duration::from_secs(3600), out);
        let cache_key = cache.word("key", &keys, out).unwrap_or_default();
        if cache_key == CacheKey::IdentitySources {
            out.warning(
                codes::VALUE,
                entry.key_span,
                format!("`authorizers.{}.cache.key` lets a foreign page in on a user's own cookie while a verdict is kept", entry.key),
            )
            .hint("use `key = \"event\"`, the default");
        }
        cache.finish(out);
        let session_end = one.text("session_end", out).map(str::to_owned);
        one.finish(out);
        let settings =
            AuthorizerSettings { cache_ttl: ttl, cache_key, session_end, span: entry.key_span };
        list.insert(entry.key.clone(), settings);
    }
    list
}

fn read_renewal(mut section: Section<'_>, compat: Compat, out: &mut Diagnostics) -> bool {
    let renewal = section.flag("renewal", out).unwrap_or(false);
    let is_ignored = renewal && compat == Compat::Aws;
    if is_ignored {
        let message = "`session.renewal` is ignored: AWS has no session renewal";
        out.warning(codes::COMPAT, section.span(), message);
    }
    section.finish(out);
    renewal && !is_ignored
}

fn read_parameters(
    root: &mut Section<'_>,
    secrets: &dyn SecretSources,
    out: &mut Diagnostics,
) -> BTreeMap<String, sigv4::Secret> {
    let section = root.table("parameters", out);
    let mut list = BTreeMap::new();
    for entry in section.entries() {
        let path = format!("parameters.{}", entry.key);
        let Value::String(text) = &entry.value.value else {
            wrong(out, entry.value.span, &path, "must be a string");
            continue;
        };
        if let Some(value) = resolve_source(text, entry.value.span, &path, secrets, out) {
            list.insert(entry.key.clone(), sigv4::Secret::new(value));
        }
    }
    list
}

/// `env:NAME` and `file:path` are read; anything else is the value itself.
fn resolve_source(
    text: &str,
    span: Span,
    path: &str,
    secrets: &dyn SecretSources,
    out: &mut Diagnostics,
) -> Option<String> {
    let failed = |out: &mut Diagnostics, reason: String| {
        out.error(codes::SOURCE, span, format!("`{path}` cannot be read: {reason}")).property =
            Some(path.to_owned());
        None
    };
    if let Some(name) = text.strip_prefix("env:") {
        return secrets
            .environment(name)
            .or_else(|| failed(out, format!("environment variable {name} is not set")));
    }
    if let Some(file) = text.strip_prefix("file:") {
        return match secrets.file(file) {
            Ok(content) => Some(content.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => failed(out, format!("{file}: {error}")),
        };
    }
    Some(text.to_owned())
}

fn read_management(
    mut section: Section<'_>,
    secrets: &dyn SecretSources,
    out: &mut Diagnostics,
) -> Management {
    let words = [("sigv4", ManagementAuth::SigV4), ("off", ManagementAuth::Off)];
    let auth = section.word("auth", &words, out).unwrap_or(ManagementAuth::SigV4);
    let nodes = section.find("keys").map(Node::items).unwrap_or_default();
    let mut keys: Vec<ManagementKey> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let path = format!("management.keys[{index}]");
        let one = Section::at(Some(node), path.clone(), out);
        let Some(key) = read_key(one, node, &path, secrets, out) else { continue };
        if keys.iter().any(|other| other.key.id == key.key.id) {
            wrong(out, node.span, &path, "has the id of another key");
        }
        keys.push(key);
    }
    section.finish(out);
    Management { auth, keys }
}

/// Shortest secret access key: AWS's own have 40 characters.
const KEY_SECRET_BYTES_MIN: usize = 16;

fn read_key(
    mut section: Section<'_>,
    node: &Node,
    path: &str,
    secrets: &dyn SecretSources,
    out: &mut Diagnostics,
) -> Option<ManagementKey> {
    let id = section.text("id", out).filter(|id| !id.is_empty());
    let text = section.text("secret", out);
    let inline = section.find("policy").map(Node::to_json);
    let file = section.text("policy_file", out);
    section.finish(out);
    let document = match (inline, file) {
        (Some(_), Some(_)) => {
            wrong(out, node.span, path, "has both `policy` and `policy_file`; keep one");
            return None;
        }
        (Some(document), None) => Some(document),
        (None, Some(file)) => {
            let text = secrets.file(file).map_err(|error| error.to_string());
            let parsed = text
                .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
            match parsed {
                Ok(document) => Some(document),
                Err(error) => {
                    wrong(
                        out,
                        node.span,
                        path,
                        &format!("cannot read its policy from {file}: {error}"),
                    );
                    return None;
                }
            }
        }
        (None, None) => None,
    };
    let policy = match document.map(|document| Policy::parse(&document)).transpose() {
        Ok(policy) => policy,
        Err(error) => {
            wrong(out, node.span, path, &format!("has a malformed policy: {error}"));
            return None;
        }
    };
    let (Some(id), Some(text)) = (id, text) else {
        wrong(out, node.span, path, "needs `id` and `secret`");
        return None;
    };
    let secret = resolve_source(text, node.span, path, secrets, out)?;
    if secret.len() < KEY_SECRET_BYTES_MIN {
        wrong(out, node.span, path, "needs a secret of at least 16 bytes");
        return None;
    }
    let key = sigv4::Key {
        id: id.to_owned(),
        secret: sigv4::Secret::new(secret),
        session_token: None,
        expires_at: None,
    };
    Some(ManagementKey { key, policy })
}

/// Length of a token in base64url without padding: 32 bytes.
const ADMIN_TOKEN_CHARS: usize = 43;

fn read_admin(
    mut section: Section<'_>,
    secrets: &dyn SecretSources,
    out: &mut Diagnostics,
) -> Admin {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listen = match section.text("listen", out).map(str::parse) {
        None => default,
        Some(Ok(address)) => address,
        Some(Err(_)) => {
            wrong(
                out,
                section.span(),
                "admin.listen",
                "must be an address such as \"127.0.0.1:9090\"",
            );
            default
        }
    };
    let token = section
        .text("token", out)
        .and_then(|text| resolve_source(text, section.span(), "admin.token", secrets, out));
    let is_token = |token: &String| {
        token.len() == ADMIN_TOKEN_CHARS
            && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if token.as_ref().is_some_and(|token| !is_token(token)) {
        wrong(out, section.span(), "admin.token", "must be 43 characters of base64url");
    }
    if !listen.ip().is_loopback() && token.is_none() {
        wrong(out, section.span(), "admin.listen", "beyond loopback needs a configured `token`");
    }
    section.finish(out);
    Admin { listen, token: token.map(sigv4::Secret::new) }
}

#[cfg(test)]
mod tests;
