//! The three operations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Session;
use super::error::Error;
use super::name::{NAME_CHARS_MAX, SECRET_PREFIX, Wanted};
use super::store::{Kind, Parameter, Parameters};

/// Names of one request, and parameters of one page ([GetParametersByPath]).
///
/// [GetParametersByPath]: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
const PAGE_MAX: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    name: Option<String>,
    with_decryption: Option<bool>,
}

/// `GetParameter`.
pub(super) fn one(
    parameters: &Parameters,
    session: &Session<'_>,
    body: &[u8],
) -> Result<String, Error> {
    let question: One = parse(body)?;
    let name = question.name.ok_or_else(|| missing("name"))?;
    let wanted = Wanted::parse(&name, &session.place)?;
    session.permit("ssm:GetParameter", &wanted.arn)?;
    let is_decrypted = question.with_decryption.unwrap_or(false);
    let found = find(parameters, session, &wanted, is_decrypted)?;
    Ok(json!({ "Parameter": found }).to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Several {
    names: Option<Vec<String>>,
    with_decryption: Option<bool>,
}

/// `GetParameters`.
pub(super) fn several(
    parameters: &Parameters,
    session: &Session<'_>,
    body: &[u8],
) -> Result<String, Error> {
    let question: Several = parse(body)?;
    let mut names = question.names.ok_or_else(|| missing("names"))?;
    if names.is_empty() {
        let constraint = "Member must have length greater than or equal to 1";
        return Err(Error::constraint("'[]'", "names", constraint));
    }
    if PAGE_MAX < names.len() {
        let constraint = "Member must have length less than or equal to 10";
        return Err(Error::constraint(&format!("'[{}]'", names.join(", ")), "names", constraint));
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let parse = |name: &String| Wanted::parse(name, &session.place);
    let wanted = names.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    for wanted in &wanted {
        session.permit("ssm:GetParameters", &wanted.arn)?;
    }
    let is_decrypted = question.with_decryption.unwrap_or(false);
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for (name, wanted) in names.iter().zip(&wanted) {
        match find(parameters, session, wanted, is_decrypted) {
            Ok(parameter) => found.push(parameter),
            Err(Error::ParameterNotFound | Error::ParameterVersionNotFound { .. }) => {
                invalid.push(name);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(json!({ "Parameters": found, "InvalidParameters": invalid }).to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ByPath {
    path: Option<String>,
    recursive: Option<bool>,
    parameter_filters: Option<Vec<Filter>>,
    with_decryption: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

/// `GetParametersByPath`.
pub(super) fn by_path(
    parameters: &Parameters,
    session: &Session<'_>,
    body: &[u8],
) -> Result<String, Error> {
    let question: ByPath = parse(body)?;
    let path = question.path.ok_or_else(|| missing("path"))?;
    check_path(&path)?;
    let page = match question.max_results {
        None => PAGE_MAX,
        Some(number) => usize::try_from(number)
            .ok()
            .filter(|n| (1..=PAGE_MAX).contains(n))
            .ok_or_else(|| {
                let constraint = if number < 1 {
                    "Member must have value greater than or equal to 1"
                } else {
                    "Member must have value less than or equal to 10"
                };
                Error::constraint(&format!("'{number}'"), "maxResults", constraint)
            })?,
    };
    session.permit("ssm:GetParametersByPath", &session.place.arn(&path))?;
    let filters = question.parameter_filters.unwrap_or_default();
    if filters.iter().any(|filter| {
        filter.key != "Type" || filter.option.as_deref().is_some_and(|o| o != "Equals")
    }) {
        return Err(Error::InvalidFilterKey);
    }
    let slash = if path.ends_with("/") { "" } else { "/" };
    let base = format!("{path}{slash}");
    let after = question.next_token.as_deref().map(|token| resume(token, &base)).transpose()?;
    let is_recursive = question.recursive.unwrap_or(false);
    let is_wanted = |(name, parameter): &(&str, &Parameter)| {
        (is_recursive || !name[base.len()..].contains('/'))
            && filters.iter().all(|f| f.values.iter().any(|v| v == parameter.kind.name()))
    };
    let mut rest = parameters.below(&base, after.as_deref()).filter(is_wanted).peekable();
    let is_decrypted = question.with_decryption.unwrap_or(false);
    let mut list = Vec::new();
    let mut last = "";
    for (name, parameter) in rest.by_ref().take(page) {
        list.push(show(parameters, session, name, parameter, is_decrypted));
        last = name;
    }
    let mut answer = json!({ "Parameters": list });
    if rest.peek().is_some() {
        answer["NextToken"] = Value::String(STANDARD.encode(last));
    }
    Ok(answer.to_string())
}

fn check_path(path: &str) -> Result<(), Error> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if !path.starts_with('/') || NAME_CHARS_MAX < path.len() || !path.chars().all(is_allowed) {
        let text = "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\". It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). It must use only letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, if specified, must use the forward slash symbol \"/\". Valid example: /get/parameters2-/by1./path0_.";
        return Err(Error::Validation(text.to_owned()));
    }
    Ok(())
}

/// The name after which the next page starts; it says nothing about which names exist.
fn resume(token: &str, base: &str) -> Result<String, Error> {
    let bytes = STANDARD.decode(token).map_err(|_| Error::InvalidNextToken)?;
    let name = String::from_utf8(bytes).map_err(|_| Error::InvalidNextToken)?;
    if name.starts_with(base) { Ok(name) } else { Err(Error::InvalidNextToken) }
}

fn find(
    parameters: &Parameters,
    session: &Session<'_>,
    wanted: &Wanted,
    is_decrypted: bool,
) -> Result<Value, Error> {
    let found = wanted.names.iter().find_map(|name| Some((name, parameters.find(name)?)));
    let (name, parameter) = found.ok_or(Error::ParameterNotFound)?;
    let is_secret = name.starts_with(SECRET_PREFIX);
    if is_secret && !is_decrypted {
        let text = "WithDecryption flag must be True for retrieving a Secret Manager secret.";
        return Err(Error::Validation(text.to_owned()));
    }
    if let Some(selector) = wanted.selector.as_deref().filter(|selector| *selector != "1") {
        let (name, selector) = (name.clone(), selector.to_owned());
        return Err(Error::ParameterVersionNotFound { name, selector });
    }
    let mut shown = show(parameters, session, name, parameter, is_decrypted);
    if let Some(selector) = &wanted.selector {
        shown["Selector"] = Value::String(format!(":{selector}"));
    }
    Ok(shown)
}

/// A parameter as answers have it.
fn show(
    parameters: &Parameters,
    session: &Session<'_>,
    name: &str,
    parameter: &Parameter,
    is_decrypted: bool,
) -> Value {
    let value = match parameter.kind {
        Kind::SecureString if !is_decrypted => parameters.sealed(name),
        Kind::SecureString | Kind::String => {
            String::from_utf8_lossy(parameter.value.expose()).into_owned()
        }
    };
    json!({
        "ARN": session.place.arn(name),
        "DataType": "text",
        "LastModifiedDate": parameters.modified(),
        "Name": name,
        "Type": parameter.kind.name(),
        "Value": value,
        "Version": i32::from(!name.starts_with(SECRET_PREFIX)),
    })
}

/// An empty body counts as an empty object.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|_| Error::Serialization)
}

fn missing(field: &str) -> Error {
    Error::constraint("null", field, "Member must not be null")
}
