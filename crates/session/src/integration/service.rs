//! Requests to AWS services ([integration URI]).
//!
//! [integration URI]: https://docs.aws.amazon.com/apigateway/latest/api/API_Integration.html

use std::fmt;

use api_model::api::{AwsRequest, AwsTarget, Integration};

use super::request::{add_own_headers, filled, has, joined, last, mapped};
use crate::connection::{Names, Operation};
use crate::error::Failure;
use crate::mapping::Input;
use crate::text::form_decode;

/// A request to an AWS service. Where the service is, and the signature with
/// everything it consists of, is for the gateway to add: `Host`, `X-Amz-Date`,
/// `X-Amz-Content-Sha256`, `X-Amz-Security-Token` and `Authorization` are not
/// among the headers.
#[derive(Clone, Eq, PartialEq)]
pub struct AwsCall {
    /// Service as its address names it, such as `dynamodb`.
    pub service: String,
    /// Name before the service's own, such as `streams` of `streams.dynamodb`.
    pub subdomain: Option<String>,
    /// Region of the service.
    pub region: String,
    /// Role that signs; without one the request is not signed.
    pub role: Option<String>,
    /// Method.
    pub method: String,
    /// Encoded path with its leading slash.
    pub path: String,
    /// Encoded query without `?`, perhaps empty.
    pub query: String,
    /// Headers, the mapped ones first.
    pub headers: Vec<(String, String)>,
    /// Body, perhaps empty.
    pub body: Vec<u8>,
}

impl fmt::Debug for AwsCall {
    /// Names and sizes only: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCall")
            .field("service", &self.service)
            .field("subdomain", &self.subdomain)
            .field("region", &self.region)
            .field("role", &self.role)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &Names(&self.headers))
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// How a service is told which action is meant.
#[derive(Clone, Copy)]
enum Protocol {
    /// `X-Amz-Target: {prefix}.{action}` and `application/x-amz-json-{version}`
    /// ([JSON 1.0], [JSON 1.1]).
    ///
    /// [JSON 1.0]: https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
    /// [JSON 1.1]: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
    Json(&'static str, &'static str),
    /// `Action={action}&Version={version}` ([query]).
    ///
    /// [query]: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
    Query(&'static str),
}

/// Services by subdomain and name, as their addresses spell them. One that is
/// not here is asked with `Action` alone, and its templates map the headers it needs.
const PROTOCOLS: [(&str, &str, Protocol); 29] = [
    ("", "athena", Protocol::Json("1.1", "AmazonAthena")),
    ("", "autoscaling", Protocol::Query("2011-01-01")),
    ("", "cloudformation", Protocol::Query("2010-05-15")),
    ("", "codebuild", Protocol::Json("1.1", "CodeBuild_20161006")),
    ("", "cognito-identity", Protocol::Json("1.1", "AWSCognitoIdentityService")),
    ("", "cognito-idp", Protocol::Json("1.1", "AWSCognitoIdentityProviderService")),
    ("", "comprehend", Protocol::Json("1.1", "Comprehend_20171127")),
    ("", "dynamodb", Protocol::Json("1.0", "DynamoDB_20120810")),
    ("", "ec2", Protocol::Query("2016-11-15")),
    ("", "ecs", Protocol::Json("1.1", "AmazonEC2ContainerServiceV20141113")),
    ("", "email", Protocol::Query("2010-12-01")),
    ("", "events", Protocol::Json("1.1", "AWSEvents")),
    ("", "firehose", Protocol::Json("1.1", "Firehose_20150804")),
    ("", "glue", Protocol::Json("1.1", "AWSGlue")),
    ("", "iam", Protocol::Query("2010-05-08")),
    ("", "kinesis", Protocol::Json("1.1", "Kinesis_20131202")),
    ("", "kms", Protocol::Json("1.1", "TrentService")),
    ("", "logs", Protocol::Json("1.1", "Logs_20140328")),
    ("", "monitoring", Protocol::Query("2010-08-01")),
    ("", "rekognition", Protocol::Json("1.1", "RekognitionService")),
    ("", "secretsmanager", Protocol::Json("1.1", "secretsmanager")),
    ("", "sns", Protocol::Query("2010-03-31")),
    ("", "sqs", Protocol::Query("2012-11-05")),
    ("", "ssm", Protocol::Json("1.1", "AmazonSSM")),
    ("", "states", Protocol::Json("1.0", "AWSStepFunctions")),
    ("", "sts", Protocol::Query("2011-06-15")),
    ("", "textract", Protocol::Json("1.1", "Textract")),
    ("", "translate", Protocol::Json("1.1", "AWSShineFrontendService_20170701")),
    ("streams", "dynamodb", Protocol::Json("1.0", "DynamoDBStreams_20120810")),
];

/// Headers that the signature consists of or covers: no mapping may say them.
const OF_THE_SIGNATURE: [&str; 5] =
    ["authorization", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

const FORM: &str = "application/x-www-form-urlencoded";

/// Works out the request. Nothing of the client's handshake goes along but
/// what is mapped.
pub(super) fn service_call(
    integration: &Integration,
    target: &AwsTarget,
    operation: &Operation,
    input: &Input<'_>,
    body: String,
) -> Result<AwsCall, Failure> {
    let mut mapped = mapped(integration, operation, input)?;
    let of_signature =
        |name: &str| OF_THE_SIGNATURE.iter().any(|own| name.eq_ignore_ascii_case(own));
    mapped.headers.retain(|(name, _)| !of_signature(name));
    let mut call = AwsCall {
        service: target.service.clone(),
        subdomain: target.subdomain.clone(),
        region: target.region.clone(),
        role: target.role.clone(),
        method: target.method.clone(),
        path: "/".to_owned(),
        query: mapped.query,
        headers: mapped.headers,
        body: Vec::new(),
    };
    let variables = &operation.stage.variables;
    match &target.request {
        AwsRequest::Action(action) => {
            let action = filled(&action.resolve(variables), &mapped.path_values);
            call.body = ask(&mut call, &action, body)?.into_bytes();
        }
        AwsRequest::Path(path) => {
            let path = filled(&path.resolve(variables), &mapped.path_values);
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            path.clone_into(&mut call.path);
            call.query = joined(query, &call.query);
            call.body = body.into_bytes();
        }
    }
    add_own_headers(operation, &mut call.headers);
    add_header(&mut call.headers, "Accept", "application/json");
    if !call.body.is_empty() {
        add_header(&mut call.headers, "Content-Type", "application/json");
    }
    Ok(call)
}

/// Says which action is meant, in the way of the service's protocol; gives the body.
fn ask(call: &mut AwsCall, action: &str, body: String) -> Result<String, Failure> {
    let (name, parameters) = action.split_once('&').unwrap_or((action, ""));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Failure::TemplateFailed); // Of a stage variable.
    }
    let subdomain = call.subdomain.as_deref().unwrap_or_default();
    let protocol = PROTOCOLS.iter().find(|entry| (entry.0, entry.1) == (subdomain, &call.service));
    let version = match protocol {
        Some((_, _, Protocol::Json(version, prefix))) => {
            add_header(&mut call.headers, "X-Amz-Target", &format!("{prefix}.{name}"));
            let kind = format!("application/x-amz-json-{version}");
            add_header(&mut call.headers, "Content-Type", &kind);
            call.query = joined(parameters, &call.query);
            return Ok(body);
        }
        Some((_, _, Protocol::Query(version))) => Some(*version),
        None => None,
    };
    call.query = joined(parameters, &call.query);
    let kind = last(&call.headers, "content-type").unwrap_or_default();
    let is_form = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM));
    if is_form && !body.is_empty() {
        return Ok(with_action(&body, name, version));
    }
    call.query = with_action(&call.query, name, version);
    Ok(body)
}

/// A form or query that asks for the action and for no other.
fn with_action(pairs: &str, action: &str, version: Option<&str>) -> String {
    let is_named =
        |pair: &str, name: &str| form_decode(pair.split('=').next().unwrap_or_default()) == name;
    let mut out = format!("Action={action}");
    let has_version = pairs.split('&').any(|pair| is_named(pair, "Version"));
    if let Some(version) = version.filter(|_| !has_version) {
        out.push_str("&Version=");
        out.push_str(version);
    }
    for pair in pairs.split('&').filter(|pair| !pair.is_empty() && !is_named(pair, "Action")) {
        out.push('&');
        out.push_str(pair);
    }
    out
}

/// Adds a header that no mapping names.
fn add_header(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !has(headers, name) {
        headers.push((name.to_owned(), value.to_owned()));
    }
}
