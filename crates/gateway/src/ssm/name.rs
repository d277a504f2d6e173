//! Names as requests give them: with a version or label, or as an ARN.

use super::Place;
use super::error::Error;

/// Longest name with everything around it ([GetParameter]).
///
/// [GetParameter]: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
pub(super) const NAME_CHARS_MAX: usize = 2048;

/// What a request asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    /// Names of parameters that it may mean; the first that exists is meant.
    pub(super) names: Vec<String>,
    /// ARN that the role must allow.
    pub(super) arn: String,
    /// Version or label behind the colon.
    pub(super) selector: Option<String>,
}

impl Wanted {
    /// Reads what stands for a parameter in a request.
    pub(super) fn parse(text: &str, place: &Place<'_>) -> Result<Self, Error> {
        let chars = text.chars().count();
        if chars == 0 {
            let constraint = "Member must have length greater than or equal to 1";
            return Err(Error::constraint("''", "name", constraint));
        }
        if NAME_CHARS_MAX < chars {
            let constraint = "Member must have length less than or equal to 2048";
            return Err(Error::constraint("of the request", "name", constraint));
        }
        if let Some(rest) = text.strip_prefix("arn:") {
            return Self::parse_arn(text, rest, place);
        }
        let (name, selector) = split(text)?;
        Ok(Self {
            names: vec![name.to_owned()],
            arn: place.arn(name),
            selector: selector.map(str::to_owned),
        })
    }

    /// `arn:{partition}:ssm:{region}:{account}:parameter/{name}`; names with and without a slash
    /// at their start look the same in it.
    fn parse_arn(text: &str, rest: &str, place: &Place<'_>) -> Result<Self, Error> {
        let Some((_, name)) = rest.split_once(":parameter/") else {
            return Err(Error::Validation(format!("Invalid parameter ARN: {text}")));
        };
        let (name, selector) = split(name)?;
        let arn = match selector {
            Some(selector) => &text[..text.len() - selector.len() - 1],
            None => text,
        };
        let is_here = arn == place.arn(name);
        let names = if is_here { vec![format!("/{name}"), name.to_owned()] } else { Vec::new() };
        Ok(Self { names, arn: arn.to_owned(), selector: selector.map(str::to_owned) })
    }
}

/// Takes the version or label off, and checks the name.
fn split(text: &str) -> Result<(&str, Option<&str>), Error> {
    let (name, selector) = match text.split_once(':') {
        Some((name, selector)) => (name, Some(selector)),
        None => (text, None),
    };
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let of_secret = name.starts_with(SECRET_PREFIX);
    if name.is_empty() || !of_secret && !name.chars().all(is_allowed) {
        let text = "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_";
        return Err(Error::Validation(text.to_owned()));
    }
    Ok((name, selector.filter(|selector| !selector.is_empty())))
}

/// Under this name a secret is a parameter ([reference]).
///
/// [reference]: https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html
pub(super) const SECRET_PREFIX: &str = "/aws/reference/secretsmanager/";
