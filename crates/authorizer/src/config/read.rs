//! From the configuration tree to a [`Config`].

use serde_json::Value;

use super::issuer::{self, KeySpec, Source};
use super::table::{Report, Table, kind};
use super::{
    Cache, Carrier, Config, ConfigError, Csrf, CsrfMode, Delegate, ProtocolRules, ReportOnly,
    Structured, Submit, Warning,
};
use crate::grant::RESERVED_NAMES;
use crate::origin::{OriginAbsent, Origins};

/// Places a token may travel in; the decision keeps a slot for each on its stack.
pub(crate) const SOURCES_MAX: usize = 8;
/// Default of `token_bytes_max`: what fits a common server's header limit.
const TOKEN_BYTES: u64 = 8 * 1024;
/// Bound of `token_bytes_max`, so that no setting makes one handshake expensive.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;
/// Default and bound of `leeway`, in seconds.
const LEEWAY: u64 = 5;
const LEEWAY_MAX: u64 = 60;
/// Bound of durations that have no other, in seconds: a year.
const YEAR: u64 = 366 * 24 * 3600;

/// Default and bounds of `stale_max`, in seconds: a day; a refresh takes seconds; a week.
const STALE: u64 = 24 * 3600;
const STALE_MIN: u64 = 60;
const STALE_MAX: u64 = 7 * 24 * 3600;
/// Default and bounds of `delegate.timeout`, in milliseconds.
const DELEGATE_MILLIS: u64 = 1000;
const DELEGATE_MILLIS_RANGE: std::ops::RangeInclusive<u64> = 10..=10_000;

const KNOWN: [&str; 22] = [
    "sources",
    "origins",
    "origin_absent",
    "origin_wildcards",
    "leeway",
    "token_bytes_max",
    "query_life_max",
    "protocol_markers",
    "protocol_prefixes",
    "protocol_bare",
    "principal_claim",
    "principal_prefix",
    "context_claims",
    "context_structured",
    "required_claims",
    "required_scopes",
    "report_only",
    "issuers",
    "delegate",
    "stale_max",
    "csrf",
    "cache",
];

pub(super) fn read(tree: &Value) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    let mut report = Report::default();
    let report = &mut report;
    let table = Table::open(report, "authorizer".to_owned(), Some(tree), &KNOWN);
    let mut sources = read_sources(report, &table);
    let prefix = table.text(report, "principal_prefix").unwrap_or_default();
    let delegate = read_delegate(report, &table, &mut sources, prefix);
    let origins = read_origins(report, &table);
    let csrf = read_csrf(report, &table, &sources);
    let config = Config {
        cookie_names: cookie_names(&sources, &csrf),
        protocol: read_protocol(report, &table),
        origins,
        csrf,
        issuers: match (&delegate, table.value("issuers")) {
            (Some(_), None) => Vec::new(),
            (_, issuers) => issuer::read_all(report, issuers, prefix),
        },
        delegate,
        stale_max: table.seconds(report, "stale_max", STALE_MIN, STALE_MAX).unwrap_or(STALE),
        leeway: table.seconds(report, "leeway", 0, LEEWAY_MAX).unwrap_or(LEEWAY),
        token_bytes_max: table
            .bytes(report, "token_bytes_max", 64, TOKEN_BYTES_MAX)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(TOKEN_BYTES as usize),
        query_life_max: table.seconds(report, "query_life_max", 1, YEAR),
        principal_claim: read_name(report, &table, "principal_claim", "sub"),
        context_claims: read_context_claims(report, &table),
        context_structured: match table.choice(report, "context_structured", &["refuse", "json"]) {
            Some(1) => Structured::Json,
            _ => Structured::Refuse,
        },
        required_claims: read_required_claims(report, &table),
        required_scopes: read_scopes(report, &table),
        report_only: read_report_only(report, &table),
        cache: read_cache(report, &table),
        text: canonical(tree),
        source_names: sources.iter().map(ToString::to_string).collect(),
        sources,
    };
    check_together(report, &table, &config);
    if report.errors.is_empty() {
        Ok((config, std::mem::take(&mut report.warnings)))
    } else {
        Err(std::mem::take(&mut report.errors))
    }
}

/// `[authorizer.delegate]`; `sources` are left with exactly the cookies that are sent.
fn read_delegate(
    report: &mut Report,
    outer: &Table<'_>,
    sources: &mut Vec<Carrier>,
    prefix: &str,
) -> Option<Delegate> {
    outer.value("delegate")?;
    let path = outer.at("delegate");
    let known = ["url", "cookies", "timeout"];
    let table = Table::open(report, path, outer.value("delegate"), &known);
    if outer.value("issuers").is_some() {
        let hint = "tokens are verified here by their issuers, or by the delegate; remove one";
        report.hint(outer.at("issuers"), "cannot stand beside a delegate", hint);
    }
    let url = table.text(report, "url");
    if url.is_none_or(|url| !issuer::is_fetchable(url) || url.contains('#')) {
        let hint = "an https:// address without user or fragment; http:// to this machine only";
        report.hint(table.at("url"), "is not an address that can be asked", hint);
    }
    let cookies = read_delegate_cookies(report, &table, outer.value("sources").is_some(), sources);
    let millis = table.millis(report, "timeout", DELEGATE_MILLIS_RANGE);
    Some(Delegate {
        url: url.unwrap_or_default().to_owned(),
        cookies,
        timeout_millis: millis.unwrap_or(DELEGATE_MILLIS),
        principal_prefix: prefix.to_owned(),
    })
}

fn read_delegate_cookies(
    report: &mut Report,
    table: &Table<'_>,
    sources_written: bool,
    sources: &mut Vec<Carrier>,
) -> Vec<String> {
    let Some(texts) = table.texts(report, "cookies") else {
        let names = sources.iter().filter_map(|source| match source {
            Carrier::Cookie(name) => Some(name.clone()),
            Carrier::Header(_) | Carrier::Protocol | Carrier::Query(_) => None,
        });
        return names.collect();
    };
    let mut cookies = Vec::new();
    for (path, text) in texts {
        match is_token(text) {
            true => cookies.push(text.to_owned()),
            false => report.error(path, format!("{text:?} cannot be a cookie name")),
        }
    }
    let is_other = |source: &Carrier| match source {
        Carrier::Cookie(name) => !cookies.contains(name),
        Carrier::Header(_) | Carrier::Protocol | Carrier::Query(_) => false,
    };
    if sources_written && sources.iter().any(is_other) {
        let hint = "every cookie among the sources must be one that the delegate is sent";
        report.hint(table.at("cookies"), "lacks a cookie that `sources` names", hint);
    }
    sources.retain(|source| !matches!(source, Carrier::Cookie(_)));
    sources.splice(0..0, cookies.iter().cloned().map(Carrier::Cookie));
    if SOURCES_MAX < sources.len() {
        let message = format!("make more than {SOURCES_MAX} sources together with the others");
        report.error(table.at("cookies"), message);
        // Slots exist for no more.
        sources.truncate(SOURCES_MAX);
    }
    cookies
}

fn read_sources(report: &mut Report, table: &Table<'_>) -> Vec<Carrier> {
    let Some(texts) = table.texts(report, "sources") else {
        return vec![
            Carrier::Cookie("JWT".to_owned()),
            Carrier::Protocol,
            Carrier::Header("authorization".to_owned()),
        ];
    };
    let path = table.at("sources");
    if texts.is_empty() {
        report.error(&path, "no source is named, so no token could ever be found");
    }
    if SOURCES_MAX < texts.len() {
        report.error(&path, format!("at most {SOURCES_MAX} sources can be named"));
    }
    let mut sources = Vec::new();
    for (path, text) in texts {
        match parse_carrier(text) {
            Some(carrier) if sources.contains(&carrier) => {
                report.error(path, "is named twice");
            }
            Some(carrier) => {
                if matches!(carrier, Carrier::Query(_)) {
                    report.warning(
                        path,
                        "tokens in the URL leak into histories, logs and proxies; bound their \
                         life with query_life_max",
                    );
                }
                sources.push(carrier);
            }
            None => report.hint(
                path,
                format!("{text:?} is not a source"),
                "cookie:NAME, protocol, header:NAME or query:NAME; not the headers that the \
                 decision reads otherwise",
            ),
        }
    }
    sources
}

fn cookie_names(sources: &[Carrier], csrf: &Csrf) -> Vec<String> {
    let tokens = sources.iter().filter_map(|carrier| match carrier {
        Carrier::Cookie(name) => Some(name.clone()),
        Carrier::Header(_) | Carrier::Protocol | Carrier::Query(_) => None,
    });
    let mut names: Vec<_> = tokens.collect();
    if !names.is_empty() && csrf.mode != CsrfMode::Off {
        names.push(csrf.cookie.clone());
    }
    names
}

fn parse_carrier(text: &str) -> Option<Carrier> {
    if text == "protocol" {
        return Some(Carrier::Protocol);
    }
    let (kind, name) = text.split_once(':')?;
    match kind {
        "cookie" if is_token(name) => Some(Carrier::Cookie(name.to_owned())),
        "header" if is_token(name) => {
            let name = name.to_ascii_lowercase();
            let taken = ["cookie", "origin", "sec-websocket-protocol", "host"];
            let is_taken = taken.contains(&name.as_str()) || name.starts_with("sec-fetch-");
            (!is_taken).then_some(Carrier::Header(name))
        }
        "query" if is_plain(name) => Some(Carrier::Query(name.to_owned())),
        _ => None,
    }
}

fn read_origins(report: &mut Report, table: &Table<'_>) -> Origins {
    let wildcards = table.flag(report, "origin_wildcards").unwrap_or(false);
    let absent = match table.choice(report, "origin_absent", &["refuse", "allow"]) {
        Some(1) => OriginAbsent::Allow,
        _ => OriginAbsent::Refuse,
    };
    let mut origins = Origins::new(absent);
    for (path, text) in table.texts(report, "origins").unwrap_or_default() {
        if let Err(error) = origins.add(text, wildcards) {
            report.hint(path, error.message(), error.hint());
        }
    }
    origins
}

fn read_protocol(report: &mut Report, table: &Table<'_>) -> ProtocolRules {
    let mut markers = vec!["access_token".to_owned(), "bearer".to_owned()];
    let mut prefixes = vec!["bearer.".to_owned()];
    for (path, text) in table.texts(report, "protocol_markers").unwrap_or_default() {
        if !is_token(text) {
            report.error(path, format!("{text:?} cannot be a subprotocol name"));
        } else if !markers.iter().any(|marker| marker == text) {
            markers.push(text.to_owned());
        }
    }
    for (path, text) in table.texts(report, "protocol_prefixes").unwrap_or_default() {
        if !is_token(text) {
            report.error(path, format!("{text:?} cannot begin a subprotocol name"));
            continue;
        }
        let named = text.ends_with(|c: char| c.is_ascii_alphanumeric());
        let prefix = if named { format!("{text}.") } else { text.to_owned() };
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    let bare = table.flag(report, "protocol_bare").unwrap_or(false);
    ProtocolRules { markers, prefixes, bare }
}

fn read_csrf(report: &mut Report, outer: &Table<'_>, sources: &[Carrier]) -> Csrf {
    const KNOWN: [&str; 5] = ["mode", "cookie", "submit", "secret", "session_claim"];
    let path = outer.at("csrf");
    let table = Table::open(report, path, outer.value("csrf"), &KNOWN);
    let mode = match table.choice(report, "mode", &["signed", "submit", "claim", "off"]) {
        Some(1) => CsrfMode::Submit,
        Some(2) => CsrfMode::Claim,
        Some(3) => CsrfMode::Off,
        _ => CsrfMode::Signed,
    };
    let cookie = table.text(report, "cookie").unwrap_or("CSRF-TOKEN");
    if !is_token(cookie) {
        report.error(table.at("cookie"), format!("{cookie:?} cannot be a cookie name"));
    }
    let guarded = sources.iter().any(|source| matches!(source, Carrier::Cookie(_)));
    if sources.contains(&Carrier::Cookie(cookie.to_owned())) && mode != CsrfMode::Off {
        report.error(table.at("cookie"), "is a source of tokens too");
    }
    let secret = read_secret(report, &table, mode, guarded);
    let warning = match mode {
        CsrfMode::Signed => None,
        CsrfMode::Submit => {
            Some("a value that is not signed can be planted by a sibling subdomain")
        }
        CsrfMode::Claim => Some("shows that two cookies belong together; stops no foreign page"),
        CsrfMode::Off => Some("only the Origin rule stops foreign pages"),
    };
    if let Some(warning) = warning.filter(|_| guarded) {
        report.warning(table.at("mode"), warning);
    }
    Csrf {
        mode,
        cookie: cookie.to_owned(),
        submit: read_submit(report, &table),
        secret,
        session_claim: read_name(report, &table, "session_claim", "sid"),
    }
}

fn read_secret(
    report: &mut Report,
    table: &Table<'_>,
    mode: CsrfMode,
    guarded: bool,
) -> Option<Source> {
    let hint = "env:NAME, file:path, ssm:/name or secretsmanager:id of at least 32 random bytes";
    let Some(text) = table.text(report, "secret") else {
        if mode == CsrfMode::Signed && guarded && table.value("secret").is_none() {
            report.hint(table.at("secret"), "is missing", hint);
        }
        return None;
    };
    let source = Source::parse(text);
    if source.is_none() {
        // The text is not repeated: it may be the secret itself, put in the wrong place.
        report.hint(table.at("secret"), "does not name a source", hint);
    }
    source.filter(|_| mode == CsrfMode::Signed && guarded)
}

fn read_submit(report: &mut Report, table: &Table<'_>) -> Vec<Submit> {
    let Some(texts) = table.texts(report, "submit") else {
        return vec![Submit::Protocol("csrf.".to_owned()), Submit::Query("csrf_token".to_owned())];
    };
    if texts.is_empty() {
        report.error(table.at("submit"), "no place is named, so no value could be submitted");
    }
    let mut submit = Vec::new();
    for (path, text) in texts {
        match text.split_once(':') {
            Some(("protocol", prefix)) if is_token(prefix) => {
                submit.push(Submit::Protocol(prefix.to_owned()));
            }
            Some(("query", name)) if is_plain(name) => submit.push(Submit::Query(name.to_owned())),
            _ => report.hint(
                path,
                // The text is not repeated: it may be the secret itself, put in the wrong place.
                "is not a place for a CSRF value",
                "protocol:PREFIX or query:NAME",
            ),
        }
    }
    submit
}

fn read_context_claims(report: &mut Report, table: &Table<'_>) -> Vec<String> {
    let mut claims = Vec::new();
    for (path, text) in table.texts(report, "context_claims").unwrap_or_default() {
        if RESERVED_NAMES.contains(&text) {
            report.error(path, format!("{text:?} is a name the context uses itself"));
        } else if text.is_empty() {
            report.error(path, "must not be empty");
        } else {
            claims.push(text.to_owned());
        }
    }
    claims
}

fn read_required_claims(report: &mut Report, table: &Table<'_>) -> Vec<(String, Vec<Value>)> {
    let path = table.at("required_claims");
    let map = match table.value("required_claims") {
        None => return Vec::new(),
        Some(Value::Object(map)) => map,
        Some(_) => {
            report.hint(path, "must be a table", "such as { token_use = \"access\" }");
            return Vec::new();
        }
    };
    let mut claims = Vec::new();
    for (name, value) in map {
        let values = match value {
            Value::Array(values) => values.clone(),
            one => vec![one.clone()],
        };
        let plain = |v: &Value| v.is_string() || v.is_boolean() || v.is_i64() || v.is_u64();
        if values.is_empty() || !values.iter().all(plain) {
            report.hint(
                format!("{path}.{name}"),
                format!("cannot be compared with {}", kind(value)),
                "a string, whole number or boolean, or a list of them of which one must match",
            );
        } else {
            claims.push((name.clone(), values));
        }
    }
    claims
}

fn read_scopes(report: &mut Report, table: &Table<'_>) -> Vec<String> {
    let mut scopes = Vec::new();
    for (path, text) in table.texts(report, "required_scopes").unwrap_or_default() {
        if text.is_empty() || text.contains(char::is_whitespace) {
            report.error(path, format!("{text:?} is not one scope"));
        } else {
            scopes.push(text.to_owned());
        }
    }
    scopes
}

fn read_report_only(report: &mut Report, table: &Table<'_>) -> ReportOnly {
    let mut only = ReportOnly::default();
    for (path, text) in table.texts(report, "report_only").unwrap_or_default() {
        match text {
            "origin" => only.origin = true,
            "csrf" => only.csrf = true,
            _ => {
                let message = format!("{text:?} cannot be switched to report only");
                report.hint(path, message, "origin, csrf");
                continue;
            }
        }
        report.warning(path, format!("the {text} rule lets every request pass"));
    }
    only
}

fn read_cache(report: &mut Report, outer: &Table<'_>) -> Cache {
    let path = outer.at("cache");
    let table = Table::open(report, path, outer.value("cache"), &["ttl", "bytes_max"]);
    Cache {
        ttl_seconds: table.seconds(report, "ttl", 0, 3600).unwrap_or(300),
        bytes_max: table.bytes(report, "bytes_max", 0, 1 << 40).unwrap_or(64 << 20),
    }
}

/// A claim name that must not be empty.
fn read_name(report: &mut Report, table: &Table<'_>, key: &str, default: &str) -> String {
    let name = table.text(report, key).unwrap_or(default);
    if name.is_empty() {
        report.error(table.at(key), "must not be empty");
    }
    name.to_owned()
}

/// Rules between tables.
fn check_together(report: &mut Report, table: &Table<'_>, config: &Config) {
    let csrf = &config.csrf;
    if csrf.mode == CsrfMode::Claim && config.has_cookie_source() {
        let hint = "the mode `claim` stops no foreign page, so the Origin rule has to";
        if config.origins.absent() == OriginAbsent::Allow {
            let message = "cannot be \"allow\" with csrf.mode = \"claim\"";
            report.hint(table.at("origin_absent"), message, hint);
        }
        if config.report_only.origin {
            let message = "cannot hold \"origin\" with csrf.mode = \"claim\"";
            report.hint(table.at("report_only"), message, hint);
        }
        if config.origins.has_wildcards() || table.value("origin_wildcards") == Some(&true.into()) {
            let message = "cannot be true with csrf.mode = \"claim\"";
            report.hint(table.at("origin_wildcards"), message, hint);
        }
    }
    let keys = config.issuers.iter().flat_map(|issuer| &issuer.keys);
    let shares =
        |key: &KeySpec| matches!(key, KeySpec::Static(_, s) if Some(s) == csrf.secret.as_ref());
    if keys.into_iter().any(shares) {
        let hint = "whoever signs CSRF values must not be able to sign tokens: make another";
        report.hint(format!("{}.secret", table.at("csrf")), "is a key of the tokens", hint);
    }
    for submit in &csrf.submit {
        let (Submit::Query(name) | Submit::Protocol(name)) = submit;
        let clashes = match submit {
            Submit::Query(_) => config.sources.contains(&Carrier::Query(name.clone())),
            Submit::Protocol(_) => {
                let rules = &config.protocol;
                rules.markers.iter().any(|marker| marker.starts_with(name.as_str()))
                    || rules.prefixes.iter().chain([&KUBERNETES_PREFIX.to_owned()]).any(|prefix| {
                        prefix.starts_with(name.as_str()) || name.starts_with(prefix.as_str())
                    })
            }
        };
        if clashes {
            report.error(format!("{}.submit", table.at("csrf")), "clashes with a token's place");
        }
    }
    if config.has_cookie_source()
        && config.origins.is_empty()
        && config.origins.absent() == OriginAbsent::Refuse
        && !config.report_only.origin
    {
        report.warning(table.at("origins"), "is empty, so every request with a cookie is refused");
    }
}

/// What a Kubernetes client puts before its encoded token.
pub(crate) const KUBERNETES_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// Whether `text` is a token of [RFC 9110 §5.6.2].
///
/// [RFC 9110 §5.6.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
pub(crate) fn is_token(text: &str) -> bool {
    const IS_TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let special = b"!#$%&'*+-.^_`|~";
        let mut n = 0;
        while n < 256 {
            table[n] = (n as u8).is_ascii_alphanumeric();
            n += 1;
        }
        n = 0;
        while n < special.len() {
            table[special[n] as usize] = true;
            n += 1;
        }
        table
    };
    // Without a branch per byte: nearly every text is one.
    !text.is_empty() && text.bytes().fold(true, |all, byte| all & IS_TOKEN[usize::from(byte)])
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

/// The tree as text with sorted members, so that spelling does not change it.
fn canonical(tree: &Value) -> String {
    match tree {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by_key(|(name, _)| name.as_str());
            let members: Vec<_> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => tree.to_string(),
    }
}
