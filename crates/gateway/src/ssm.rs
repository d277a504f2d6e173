//! The parameters of [SSM] for functions, over the JSON 1.1 protocol.
//!
//! Read only: `GetParameter`, `GetParameters` and `GetParametersByPath`, signed by a function's
//! own key and as far as its role allows.
//!
//! [SSM]: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html

mod error;
mod name;
mod read;
mod store;

use std::net::IpAddr;

use api_model::api::Function;
use api_model::policy::{Access, Policy, Verdict};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::Full;

use crate::id;
use crate::local;
use crate::sigv4::{self, Key, Received, Scope};
use error::Error;
pub(crate) use store::Parameters;

/// Largest question: ten names, or a path with filters, at their longest.
pub(crate) const QUESTION_BYTES_MAX: usize = 64 * 1024;

/// Who may ask: a function with the key of this start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// The only key that it may sign with.
    pub(crate) key: &'a Key,
    /// Its ARN says region and account, its role what it may read.
    pub(crate) function: &'a Function,
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// Address of the peer.
    pub(crate) source_ip: IpAddr,
    /// Whether it came over TLS.
    pub(crate) is_tls: bool,
}

/// Answers a request. Its [local rules] come first, then the signature.
///
/// [local rules]: crate::local::check
pub(crate) fn answer<'a>(
    parameters: &Parameters,
    callers: impl Iterator<Item = Caller<'a>>,
    received: &Received<'_>,
    origin: Origin,
) -> Response<Full<Bytes>> {
    if local::check(received.headers).is_err() {
        return respond(StatusCode::FORBIDDEN, r#"{"message":"Forbidden"}"#.to_owned());
    }
    match decide(parameters, callers, received, origin) {
        Ok(body) => respond(StatusCode::OK, body),
        Err(error) => respond(StatusCode::BAD_REQUEST, error.body()),
    }
}

fn respond(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amzn-requestid", id::uuid())
        .body(Full::from(body))
        .expect("status and headers are valid")
}

fn decide<'a>(
    parameters: &Parameters,
    callers: impl Iterator<Item = Caller<'a>>,
    received: &Received<'_>,
    origin: Origin,
) -> Result<String, Error> {
    let (first, others) = authenticate(callers, received)?;
    let place = Place::of(&first.function.arn);
    let session = Session { first, others, place, origin, now: received.now };
    if received.method != Method::POST.as_str() || !is_endpoint(received.raw_path) {
        return Err(Error::UnknownOperation);
    }
    let target = header(received.headers, "x-amz-target").ok_or(Error::UnknownOperation)?;
    if QUESTION_BYTES_MAX < received.body.len() {
        return Err(Error::Serialization);
    }
    match target.strip_prefix("AmazonSSM.") {
        Some("GetParameter") => read::one(parameters, &session, received.body),
        Some("GetParameters") => read::several(parameters, &session, received.body),
        Some("GetParametersByPath") => read::by_path(parameters, &session, received.body),
        Some(_) | None => Err(Error::UnknownOperation),
    }
}

/// Where the endpoint is; SDKs add the slash.
pub(crate) const PATH: &str = "/_aws/ssm";

/// Whether a path is that of the endpoint.
pub(crate) fn is_endpoint(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest == "/")
}

/// The value of a header that is there once.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok()
}

/// The function whose key signed the request, and those that share the key.
fn authenticate<'a>(
    callers: impl Iterator<Item = Caller<'a>>,
    received: &Received<'_>,
) -> Result<(Caller<'a>, Vec<Caller<'a>>), Error> {
    // Nobody is believed by this; it only says which region the signature must be for.
    let (id, region) = named(received.headers).unwrap_or_default();
    let mut callers = callers.filter(|caller| caller.key.id == id);
    let first = callers.next();
    let region = first.map_or(region, |caller| Place::of(&caller.function.arn).region);
    let scope = Scope { region, service: "ssm" };
    let find = |id: &str| first.map(|caller| caller.key).filter(|key| key.id == id);
    sigv4::verify(received, scope, find)?;
    let first = first.ok_or(Error::Signature(sigv4::Refusal::UnrecognizedClient))?;
    Ok((first, callers.collect()))
}

/// Key id and region of the credential in the `Authorization` header.
fn named(headers: &HeaderMap) -> Option<(&str, &str)> {
    let (_, credential) = header(headers, "authorization")?.split_once("Credential=")?;
    let mut parts = credential.split('/');
    let (id, _day, region) = (parts.next()?, parts.next()?, parts.next()?);
    Some((id, region))
}

/// Where a function, and so its parameters, are: parts of its ARN.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    partition: &'a str,
    region: &'a str,
    account_id: &'a str,
}

impl<'a> Place<'a> {
    fn of(arn: &'a str) -> Self {
        let mut parts = arn.split(':').skip(1);
        let partition = parts.next().unwrap_or_default();
        let mut parts = parts.skip(1);
        let region = parts.next().unwrap_or_default();
        Self { partition, region, account_id: parts.next().unwrap_or_default() }
    }

    /// The ARN of a parameter; it has one slash where the name starts with one.
    fn arn(&self, name: &str) -> String {
        let Self { partition, region, account_id } = self;
        let name = name.strip_prefix('/').unwrap_or(name);
        format!("arn:{partition}:ssm:{region}:{account_id}:parameter/{name}")
    }
}

/// A function as AWS calls it in refusals: its role in a session of its name.
pub(crate) fn user_of(function: &Function) -> String {
    let Place { partition, account_id, .. } = Place::of(&function.arn);
    let role = function.role.rsplit('/').next().unwrap_or_default();
    format!("arn:{partition}:sts::{account_id}:assumed-role/{role}/{}", function.name)
}

/// One request of a function that is who it says.
#[derive(Debug)]
struct Session<'a> {
    first: Caller<'a>,
    /// Who may be behind the key as well.
    others: Vec<Caller<'a>>,
    place: Place<'a>,
    origin: Origin,
    now: i64,
}

impl Session<'_> {
    /// Whether the role of each function that may have asked allows the action on this ARN. A role
    /// that is not in the templates allows nothing here.
    fn permit(&self, action: &'static str, resource: &str) -> Result<(), Error> {
        let access = Access {
            action,
            resource,
            source_ip: self.origin.source_ip,
            now: self.now,
            secure_transport: self.origin.is_tls,
        };
        std::iter::once(&self.first).chain(&self.others).try_for_each(|caller| {
            let policies = caller.function.policies.as_deref().unwrap_or_default();
            let explicit = match Policy::evaluate(policies, &access) {
                Verdict::Allow => return Ok(()),
                Verdict::ExplicitDeny => true,
                Verdict::ImplicitDeny => false,
            };
            let user = user_of(caller.function);
            Err(Error::AccessDenied { user, action, resource: resource.to_owned(), explicit })
        })
    }
}

#[cfg(test)]
mod tests;
