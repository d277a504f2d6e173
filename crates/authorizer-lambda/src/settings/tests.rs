use super::*;
use crate::https::Client;
use crate::source::{CONTENT_BYTES_MAX, Reading, SourceError};

const DOCUMENT_TEXT: &str = r#"
[authorizer]
sources = ["header:Authorization"]
leeway = "7s"

[[authorizer.issuers]]
issuer = "i"
audience = ["a"]
algorithms = ["HS256"]
keys = ["hmac:env:SECRET"]
"#;
const SECRET: &str = "the secret of the tokens, 32 bytes at least";

struct Fake;

impl Sources for Fake {
    fn env(&self, name: &str) -> Result<Vec<u8>, SourceError> {
        match name {
            "SECRET" => Ok(SECRET.into()),
            "CSRF" => Ok(b"the secret of the CSRF values, 32 bytes at least".to_vec()),
            "HUGE" => Ok(vec![b'a'; CONTENT_BYTES_MAX + 1]),
            _ => Err(SourceError::Absent),
        }
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        match path {
            "/keys/secret" => Ok(format!("{SECRET}\n").into()),
            _ => Err(SourceError::Failed("permission denied".to_owned())),
        }
    }

    fn parameter<'a>(&'a self, name: &'a str) -> Reading<'a> {
        let value = match name {
            "/chat/authorizer" => Ok(DOCUMENT_TEXT.into()),
            "/chat/secret" => Ok(SECRET.into()),
            _ => Err(SourceError::Absent),
        };
        Box::pin(async { value })
    }

    fn secret<'a>(&'a self, _: &'a str) -> Reading<'a> {
        Box::pin(async { Err(SourceError::Failed("no such account".to_owned())) })
    }

    fn client(&self) -> Result<Client, SourceError> {
        Err(SourceError::Failed("no network".to_owned()))
    }
}

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn run(variables: &[(&str, &str)], layers: &[&str]) -> Result<Loaded, Vec<ConfigError>> {
    let layers: Vec<toml::Table> = layers.iter().map(|layer| layer.parse().unwrap()).collect();
    let layers: Vec<&toml::Table> = layers.iter().collect();
    block_on(load(&environment(variables), &layers, Arc::new(Fake), 1_800_000_000))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The effective configuration as its fingerprint shows it.
#[track_caller]
fn effective(variables: &[(&str, &str)], layers: &[&str]) -> Value {
    let loaded = run(variables, layers).unwrap_or_else(|errors| panic!("{errors:#?}"));
    serde_json::from_str(loaded.handler.authorizer().config_fingerprint()).unwrap()
}

#[track_caller]
fn paths(variables: &[(&str, &str)], layers: &[&str]) -> Vec<String> {
    let errors = run(variables, layers).err().unwrap_or_default();
    for error in &errors {
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    errors.into_iter().map(|error| error.path).collect()
}

const TOML: (&str, &str) = ("WSGATE_AUTHORIZER_TOML", DOCUMENT_TEXT);

#[test]
fn the_document_comes_from_a_variable_or_a_parameter() {
    let from_variable = effective(&[TOML, ("PATH", "/bin")], &[]);
    assert_eq!(from_variable["leeway"], "7s");
    let parameter = ("WSGATE_AUTHORIZER_SSM", "/chat/authorizer");
    assert_eq!(effective(&[parameter], &[]), from_variable);
    assert_eq!(paths(&[TOML, parameter], &[]), ["WSGATE_AUTHORIZER_SSM"]);
    assert_eq!(paths(&[("WSGATE_AUTHORIZER_SSM", "/none")], &[]), ["WSGATE_AUTHORIZER_SSM"]);
}

#[test]
fn variables_override_the_document_and_layers_override_variables() {
    let variable = ("WSGATE_AUTHORIZER__LEEWAY", "8s");
    assert_eq!(effective(&[TOML, variable], &[])["leeway"], "8s");
    assert_eq!(effective(&[TOML, variable], &["leeway = \"9s\""])["leeway"], "9s");
    let layers = ["leeway = \"9s\"", "leeway = \"10s\""];
    assert_eq!(effective(&[TOML, variable], &layers)["leeway"], "10s");
}

#[test]
fn tables_are_merged_and_lists_are_replaced() {
    let layers = [
        "origins = [\"https://a.example\", \"https://b.example\"]\n[csrf]\nmode = \"submit\"\ncookie = \"X\"",
        "origins = [\"https://c.example\"]\n[csrf]\nmode = \"off\"",
    ];
    let config = effective(&[TOML], &layers);
    assert_eq!(config["origins"], serde_json::json!(["https://c.example"]));
    assert_eq!(config["csrf"], serde_json::json!({ "mode": "off", "cookie": "X" }));
    assert_eq!(config["leeway"], "7s");
}

#[test]
fn variables_alone_are_enough() {
    let config = effective(
        &[
            ("WSGATE_AUTHORIZER__SOURCES", r#"["cookie:JWT"]"#),
            ("WSGATE_AUTHORIZER__ORIGINS", r#"["https://ui.example.com"]"#),
            ("WSGATE_AUTHORIZER__ORIGIN_WILDCARDS", "true"),
            ("WSGATE_AUTHORIZER__TOKEN_BYTES_MAX", "4096"),
            ("WSGATE_AUTHORIZER__PRINCIPAL_PREFIX", "7"),
            ("WSGATE_AUTHORIZER__CSRF__SECRET", "env:CSRF"),
            ("WSGATE_AUTHORIZER__REQUIRED_CLAIMS__TOKEN_USE", "access"),
            (
                "WSGATE_AUTHORIZER__ISSUERS",
                r#"[{"issuer":"i","audience":"any","algorithms":["HS256"],"keys":["hmac:file:/keys/secret"]}]"#,
            ),
        ],
        &[],
    );
    assert_eq!(config["token_bytes_max"], 4096);
    assert_eq!(config["origin_wildcards"], true);
    assert_eq!(config["principal_prefix"], "7");
    assert_eq!(config["required_claims"]["token_use"], "access");
}

#[test]
fn mistakes_in_variables_have_their_place() {
    for (name, value, path) in [
        ("WSGATE_AUTHORIZER__ORIGINS", "https://ui.example.com", "authorizer.origins"),
        ("WSGATE_AUTHORIZER__ORIGINS", "\"x\"", "authorizer.origins"),
        ("WSGATE_AUTHORIZER__PROTOCOL_BARE", "yes", "authorizer.protocol_bare"),
        ("WSGATE_AUTHORIZER__LEEWAY__X", "1", "authorizer.leeway.x"),
        ("WSGATE_AUTHORIZER__ISSUERS__0__KEYS", "x", "authorizer.issuers.0.keys"),
        ("WSGATE_AUTHORIZER__ORGINS", "x", "authorizer.orgins"),
        ("WSGATE_AUTHORIZER__", "x", "authorizer."),
        ("WSGATE_AUTHORIZER_TOMl", "hunter2", "WSGATE_AUTHORIZER_TOMl"),
        ("WSGATE_AUTHORIZER", "hunter2", "WSGATE_AUTHORIZER"),
        ("WSGATE_AUTHORIZER__CSRF__SECRET", "hunter2", "authorizer.csrf.secret"),
    ] {
        assert_eq!(paths(&[TOML, (name, value)], &[]), [path], "{name}");
    }
}

#[test]
fn two_variables_for_one_setting_are_a_mistake() {
    let twice = [TOML, ("WSGATE_AUTHORIZER__LEEWAY", "8s"), ("WSGATE_AUTHORIZER__Leeway", "60s")];
    assert_eq!(paths(&twice, &[]), ["authorizer.leeway"]);
    let within = [
        TOML,
        ("WSGATE_AUTHORIZER__REQUIRED_CLAIMS", r#"{"a":"x"}"#),
        ("WSGATE_AUTHORIZER__REQUIRED_CLAIMS__B", "y"),
    ];
    assert_eq!(
        effective(&within, &[])["required_claims"],
        serde_json::json!({ "a": "x", "b": "y" })
    );
}

#[test]
fn mistakes_in_documents_have_their_place_and_show_no_content() {
    let variable = "WSGATE_AUTHORIZER_TOML";
    assert_eq!(paths(&[(variable, "[authorizer]\nsecret = hunter2")], &[]), [variable]);
    let broken = run(&[(variable, "[authorizer]\nsecret = hunter2")], &[]).unwrap_err();
    assert!(broken[0].message.contains("line 2"), "{broken:?}");
    assert_eq!(paths(&[(variable, "authorizer = 1")], &[]), ["authorizer"]);
    let other = format!("{DOCUMENT_TEXT}\n[listen]\nx = 1\n[throttle]\n");
    assert_eq!(paths(&[(variable, &other)], &[]), ["listen", "throttle"]);
    let typo = DOCUMENT_TEXT.replace("leeway", "leaway");
    assert_eq!(paths(&[(variable, &typo)], &[]), ["authorizer.leaway"]);
    let dated = DOCUMENT_TEXT.replace("\"7s\"", "1979-05-27");
    assert_eq!(paths(&[(variable, &dated)], &[]), ["authorizer.leeway"]);
    assert!(!paths(&[], &[]).is_empty(), "no configuration is no permission");
}

#[test]
fn all_missing_keys_are_told_at_once() {
    let layer = r#"
sources = ["cookie:JWT"]
[csrf]
secret = "ssm:/none"
[[issuers]]
issuer = "i"
audience = "any"
algorithms = ["HS256"]
keys = ["hmac:env:NONE", "hmac:file:/none", "hmac:ssm:/chat/secret", "hmac:secretsmanager:x", "hmac:env:HUGE"]
"#;
    assert_eq!(
        paths(&[], &[layer]),
        [
            "authorizer.issuers[0].keys[0]",
            "authorizer.issuers[0].keys[1]",
            "authorizer.issuers[0].keys[3]",
            "authorizer.issuers[0].keys[4]",
            "authorizer.csrf.secret",
        ]
    );
}

#[test]
fn mistakes_and_missing_contents_are_told_at_once() {
    let layer = r#"
colour = 1
sources = ["cookie:JWT"]
[csrf]
secret = "file:/none"
[[issuers]]
issuer = "i"
audience = "any"
algorithms = ["HS256"]
keys = ["hmac:env:NONE", "hmac:ssm:/chat/secret"]
"#;
    assert_eq!(
        paths(&[], &[layer]),
        ["authorizer.colour", "authorizer.issuers[0].keys[0]", "authorizer.csrf.secret"]
    );
}

#[test]
fn what_the_network_should_give_and_does_not_is_an_error_with_its_place() {
    for key in ["jwks:https://login.example.com/keys", "oidc:https://login.example.com"] {
        let layer = format!(
            "sources = [\"protocol\"]\n[[issuers]]\nissuer = \"i\"\naudience = \"any\"\nalgorithms = [\"RS256\"]\nkeys = [\"{key}\"]"
        );
        let errors = run(&[], &[&layer]).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].path, "authorizer.issuers[0].keys[0]");
        assert!(errors[0].message.contains("no network"), "{errors:?}");
    }
    let layer = "sources = [\"protocol\"]\n[delegate]\nurl = \"https://app.example.com/session\"";
    assert_eq!(paths(&[], &[layer]), ["authorizer.delegate.url"]);
}

#[test]
fn warnings_reach_the_caller() {
    let loaded = run(&[TOML], &["sources = [\"query:t\"]"]).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(loaded.warnings[0].path, "authorizer.sources[0]");
}
