//! `wsgate token`: development tokens.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use api_model::Model;
use authorizer::config::{Audience, IssuerName, KeyKind, KeySpec, Source};
use authorizer::mint::{SigningKey, csrf_value, jwt};
use authorizer::{Algorithm, Config};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::Settings;
use serde_json::{Map, Value, json};

use crate::Exit;
use crate::arguments::{Inspect, Mint, Token};
use crate::load::{Loaded, Request, Template, client, load, overrides, read};
use crate::output::{data, findings, talk};
use crate::serve::runtime;

/// Makes or reads a token.
pub(crate) fn run(verb: Token) -> anyhow::Result<Exit> {
    match verb {
        Token::Mint(arguments) => mint(&arguments),
        Token::Inspect(arguments) => inspect(arguments),
    }
}

/// What the configuration says about the authorizer that the token is for.
struct Authority {
    config: Option<Config>,
    settings: Settings,
    model: Model,
    /// `Environment` of the authorizer function.
    environment: BTreeMap<String, String>,
}

fn mint(arguments: &Mint) -> anyhow::Result<Exit> {
    let Some(authority) = find_authority(arguments)? else { return Ok(Exit::Rejected) };
    let key = signing_key(arguments, &authority)?;
    let session = match &arguments.session {
        Some(session) => session.clone(),
        None => URL_SAFE_NO_PAD.encode(gateway::id::random::<16>()),
    };
    let claims = claims(arguments, &authority, &session)?;
    let token = jwt(&key.header(arguments.kid.as_deref()), &claims.to_string(), &key)
        .context("cannot sign the token")?;
    let csrf = csrf(arguments, &authority, &session)?;
    if !arguments.json {
        data(&token);
        return Ok(Exit::Success);
    }
    let mut out = json!({ "jwt": token, "claims": claims });
    let mut cookie = format!("JWT={token}");
    let mut protocols = vec!["wsgate".to_owned()];
    if let Some(csrf) = csrf {
        cookie.push_str(&format!("; CSRF-TOKEN={csrf}"));
        protocols.push(format!("csrf.{csrf}"));
        out["csrf"] = csrf.into();
    }
    out["cookie"] = cookie.into();
    out["protocols"] = protocols.into();
    data(&out.to_string());
    Ok(Exit::Success)
}

/// Reads `--template` and `--config`; `None` if they were rejected.
fn find_authority(arguments: &Mint) -> anyhow::Result<Option<Authority>> {
    let texts = |paths: &[std::path::PathBuf]| {
        read(paths).map_err(|errors| anyhow::anyhow!(errors.join("\n")))
    };
    let client = client()?;
    let request = Request {
        templates: texts(&arguments.template)?.into_iter().map(Template::new).collect(),
        config: texts(arguments.config.as_slice())?.pop(),
        stack_names: Vec::new(),
        parameters: Vec::new(),
        region: "us-east-1".to_owned(),
        account_id: "000000000000".to_owned(),
        environment: overrides(),
        client: &client,
        functions: None,
    };
    let loaded = runtime()?.block_on(load(request, |_| {}));
    if loaded.has_errors() && !arguments.template.is_empty() {
        findings(&loaded.sources, &loaded.diagnostics);
        return Ok(None);
    }
    let Loaded { model, snapshot, .. } = loaded;
    let found = snapshot.authorizers().next().map(|(function, handler)| {
        let environment = function.environment.iter().cloned().collect();
        (handler.authorizer().config().clone(), environment)
    });
    let (config, environment) = match found {
        Some((config, environment)) => (Some(config), environment),
        None => (config_alone(&snapshot.settings), BTreeMap::new()),
    };
    Ok(Some(Authority { config, settings: snapshot.settings, model, environment }))
}

/// The `[authorizer]` table by itself, if it is a whole configuration.
fn config_alone(settings: &Settings) -> Option<Config> {
    let tree = serde_json::to_value(&settings.authorizer).ok()?;
    Config::read(&tree).ok().map(|(config, _)| config)
}

fn signing_key(arguments: &Mint, authority: &Authority) -> anyhow::Result<SigningKey> {
    let issuer = authority.config.as_ref().and_then(|config| config.issuers().first());
    let spec = match &arguments.key {
        Some(text) => KeySpec::parse(text).with_context(|| {
            format!("`{text}` is not a key; write hmac:env:NAME or pem:file:PATH")
        })?,
        None => issuer
            .and_then(|issuer| issuer.keys.first().cloned())
            .context("there is no key: give --key, or --config or --template with an authorizer")?,
    };
    let KeySpec::Static(kind, source) = spec else {
        bail!("that key is published elsewhere; give the private one by --key");
    };
    let named = arguments.algorithm.as_deref().map(|name| {
        Algorithm::parse(name)
            .with_context(|| format!("`{name}` is not an algorithm of RFC 7518 or EdDSA"))
    });
    let configured = issuer.and_then(|issuer| issuer.algorithms.first().copied());
    let content = content(&source, authority)?;
    match kind {
        KeyKind::Hmac => {
            let algorithm = named.transpose()?.or(configured).unwrap_or(Algorithm::Hs256);
            SigningKey::hmac(algorithm, &content)
                .with_context(|| format!("{source} does not fit {algorithm}"))
        }
        KeyKind::Pem => {
            let algorithm = named.transpose()?.or(configured).context(
                "say which algorithm the key is for: --algorithm RS256, ES256, EdDSA, …",
            )?;
            let pem = String::from_utf8_lossy(&content);
            SigningKey::pem(algorithm, &pem)
                .with_context(|| format!("{source} is not a private key (PKCS #8) for {algorithm}"))
        }
        KeyKind::Jwk => {
            bail!("a JWK of the configuration is a public key; give the private one by --key pem:…")
        }
    }
}

fn content(source: &Source, authority: &Authority) -> anyhow::Result<Vec<u8>> {
    match source {
        Source::Env(name) => {
            let own = authority.environment.get(name).cloned();
            let value = own.or_else(|| std::env::var(name).ok());
            Ok(value.with_context(|| format!("environment variable {name} is not set"))?.into())
        }
        Source::File(path) => std::fs::read(path).with_context(|| format!("cannot read {path}")),
        Source::Ssm(name) => {
            if let Some(secret) = authority.settings.parameters.get(name) {
                return Ok(secret.expose().to_vec());
            }
            let found = authority.model.parameters.iter().find(|(key, _)| key == name);
            let (_, value) = found.with_context(|| {
                format!("parameter {name} has no value; write it under `[parameters]` of the configuration")
            })?;
            Ok(value.clone().into())
        }
        Source::SecretsManager(_) => bail!("secretsmanager: is not available in this version"),
    }
}

fn claims(arguments: &Mint, authority: &Authority, session: &str) -> anyhow::Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let now = i64::try_from(now.as_secs()).context("the clock is out of range")?;
    let issuer = authority.config.as_ref().and_then(|config| config.issuers().first());
    let mut claims = Map::new();
    let configured_issuer = issuer.and_then(|issuer| match &issuer.issuer {
        IssuerName::Named(name) => Some(name.clone()),
        IssuerName::Any => None,
    });
    if let Some(name) = arguments.issuer.clone().or(configured_issuer) {
        claims.insert("iss".to_owned(), name.into());
    }
    let configured_audience = issuer.and_then(|issuer| match &issuer.audience {
        Audience::OneOf(names) => names.first().cloned(),
        Audience::Any => None,
    });
    let audience = match arguments.audience.as_slice() {
        [] => configured_audience.map(Value::from),
        [one] => Some(one.as_str().into()),
        several => Some(several.into()),
    };
    if let Some(audience) = audience {
        claims.insert("aud".to_owned(), audience);
    }
    claims.insert("sub".to_owned(), arguments.subject.as_str().into());
    claims.insert("sid".to_owned(), session.into());
    // An expired token was issued before it expired.
    let issued = now.min(now.saturating_add(arguments.expires_in).saturating_sub(1));
    claims.insert("iat".to_owned(), issued.into());
    claims.insert("exp".to_owned(), now.saturating_add(arguments.expires_in).into());
    for (name, value) in &arguments.claim {
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into());
        claims.insert(name.clone(), value);
    }
    Ok(Value::Object(claims))
}

/// The CSRF value of the session; `None` without a secret.
fn csrf(arguments: &Mint, authority: &Authority, session: &str) -> anyhow::Result<Option<String>> {
    let source =
        match &arguments.csrf_secret {
            Some(text) => Some(Source::parse(text).with_context(|| {
                format!("`{text}` is not a source; write env:NAME or file:PATH")
            })?),
            None => authority.config.as_ref().and_then(|config| config.csrf_secret().cloned()),
        };
    let Some(source) = source else { return Ok(None) };
    let secret = content(&source, authority)?;
    let value = csrf_value(&secret, session, &gateway::id::random::<16>());
    value.map(Some).with_context(|| format!("{source} is no CSRF secret of 32 bytes"))
}

fn inspect(arguments: Inspect) -> anyhow::Result<Exit> {
    let token = match arguments.token {
        Some(token) => token,
        None => {
            let mut text = String::new();
            std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
            text
        }
    };
    let parts: Vec<&str> = token.trim().split('.').collect();
    let [header, claims, _signature] = parts.as_slice() else {
        bail!("a token has three parts with dots between them; this has {}", parts.len());
    };
    let part = |name: &str, text: &str| -> anyhow::Result<Value> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| anyhow::anyhow!("the {name} is not base64url without padding"))?;
        serde_json::from_slice(&bytes).map_err(|_| anyhow::anyhow!("the {name} is not JSON"))
    };
    let (header, claims) = (part("header", header)?, part("payload", claims)?);
    let out = json!({ "header": header, "claims": claims });
    data(&serde_json::to_string_pretty(&out).expect("JSON serialises"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    talk(&life(&claims, now));
    talk("the signature was not checked");
    Ok(Exit::Success)
}

/// Longest token that is read.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

fn life(claims: &Value, now: u64) -> String {
    match claims.get("exp").and_then(Value::as_u64) {
        Some(exp) if now < exp => format!("expires in {} s", exp - now),
        Some(exp) => format!("expired {} s ago", now - exp),
        None => "it never expires: no authorizer here accepts it".to_owned(),
    }
}
