//! The served model: immutable, with everything compiled.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use vtl::Template;

use crate::expression::Expression;
use crate::parameter::ParameterMapping;
use crate::policy::Policy;
use crate::source::Span;

/// Everything that a set of templates defines and that is served.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Every API and stage.
    pub stages: Vec<Arc<Stage>>,
    /// Functions by any name that a template may use for them.
    pub functions: Vec<Arc<Function>>,
    /// Custom domains with their mappings.
    pub domains: Vec<Domain>,
    /// Parameters that the templates create, by name.
    pub parameters: Vec<(String, String)>,
    /// Queues that functions read.
    pub queue_sources: Vec<QueueSource>,
    /// Tables, queues, topics and state machines, each after what it depends on.
    pub provisions: Vec<Provision>,
    /// Resource types that load but are not served, with how many there are.
    pub unserved: Vec<(String, usize)>,
}

/// One stage of one API: what a client connects to.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The API it belongs to.
    pub api: Arc<Api>,
    /// Stage name, a path segment.
    pub name: String,
    /// Stage variables.
    pub variables: Vec<(String, String)>,
    /// Routes of its deployment.
    pub routes: HashMap<String, Arc<Route>>,
    /// `DefaultRouteSettings`: throttling of each route without its own.
    pub throttle: Option<Rate>,
    /// `RouteSettings`: throttling by route key.
    pub route_throttles: HashMap<String, Rate>,
}

/// What all stages of an API share.
#[derive(Clone, Debug)]
pub struct Api {
    /// Ten lower-case alphanumerics.
    pub api_id: String,
    /// Name in the template.
    pub logical_id: String,
    /// `Name`.
    pub name: String,
    /// Stack it comes from.
    pub stack: String,
    /// Region in its ARNs.
    pub region: String,
    /// Account in its ARNs.
    pub account_id: String,
    /// Partition in its ARNs, such as `aws`.
    pub partition: String,
    /// Selects the route of a message.
    pub route_selection: Expression,
    /// Closes every address but custom domains.
    pub disable_execute_api_endpoint: bool,
}

impl Api {
    /// `arn:aws:execute-api:{region}:{account}:{apiId}/{rest}`.
    pub fn execute_arn(&self, rest: &str) -> String {
        format!(
            "arn:{}:execute-api:{}:{}:{}/{rest}",
            self.partition, self.region, self.account_id, self.api_id
        )
    }
}

/// Requests per second, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests per second in the long run.
    pub per_second: f64,
    /// Requests at once.
    pub burst: u32,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// `RouteKey`.
    pub key: String,
    /// Name in the template.
    pub logical_id: String,
    /// Who may take it; only `$connect` has more than `None`.
    pub authorization: Authorization,
    /// Where it leads; a `$connect` without one accepts.
    pub integration: Option<Arc<Integration>>,
    /// Whether replies go to the client: both settings of a two-way route are there.
    pub two_way: bool,
    /// `Required: true` parameters of `$connect`.
    pub required: Vec<RequiredParameter>,
}

/// A parameter that `$connect` demands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RequiredParameter {
    /// A header.
    Header(String),
    /// A query parameter.
    QueryString(String),
}

/// Authorization of `$connect`.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// A Lambda authorizer decides.
    Custom(Arc<Authorizer>),
    /// Everybody.
    None,
}

/// A `REQUEST` authorizer.
#[derive(Clone, Debug)]
pub struct Authorizer {
    /// Name in the template.
    pub logical_id: String,
    /// Physical id, part of its source ARN.
    pub authorizer_id: String,
    /// The function that decides.
    pub function: LambdaUri,
    /// All must be present and not empty, else 401 without asking.
    pub identity_sources: Vec<IdentitySource>,
    /// `AuthorizerResultTtlInSeconds`, which AWS refuses here.
    pub result_ttl: Option<Duration>,
}

/// Where an authorizer finds the identity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IdentitySource {
    /// `context.NAME`.
    Context(String),
    /// `route.request.header.NAME`.
    Header(String),
    /// `route.request.querystring.NAME`.
    QueryString(String),
    /// `stageVariables.NAME`.
    StageVariable(String),
}

/// The function of an `AuthorizerUri` or Lambda `IntegrationUri`: its ARN,
/// which may hold stage variables.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LambdaUri {
    /// The function ARN as text with stage variables.
    pub arn: VariableText,
}

/// Text with `${stageVariables.NAME}` in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VariableText {
    /// Parts in order.
    pub parts: Vec<VariablePart>,
}

/// One part of a [`VariableText`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VariablePart {
    /// Fixed text.
    Literal(String),
    /// The value of a stage variable.
    StageVariable(String),
}

impl VariableText {
    /// Reads text with `${stageVariables.NAME}` in it; any other `${` is text.
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${stageVariables.") {
            let name_start = start + "${stageVariables.".len();
            let Some(end) = rest[name_start..].find('}') else { break };
            if 0 < start {
                parts.push(VariablePart::Literal(rest[..start].to_owned()));
            }
            parts.push(VariablePart::StageVariable(rest[name_start..name_start + end].to_owned()));
            rest = &rest[name_start + end + 1..];
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(VariablePart::Literal(rest.to_owned()));
        }
        Self { parts }
    }

    /// The text with the stage's values; a variable that is not set is empty.
    pub fn resolve(&self, variables: &[(String, String)]) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                VariablePart::Literal(text) => out.push_str(text),
                VariablePart::StageVariable(name) => {
                    let found = variables.iter().find(|(key, _)| key == name);
                    out.push_str(found.map_or("", |(_, value)| value));
                }
            }
        }
        out
    }

    /// The text if it holds no variable.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [VariablePart::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// One integration.
#[derive(Clone, Debug)]
pub struct Integration {
    /// Name in the template.
    pub logical_id: String,
    /// Where it stands, for messages.
    pub span: Span,
    /// What it calls.
    pub target: Target,
    /// `TimeoutInMillis`, 29 s by default.
    pub timeout: Duration,
    /// `RequestParameters`.
    pub parameters: Vec<ParameterMapping>,
    /// `RequestTemplates` and `TemplateSelectionExpression`.
    pub templates: Templates,
    /// What happens without a matching template.
    pub passthrough: Passthrough,
    /// Integration responses, in source order.
    pub responses: Vec<IntegrationResponse>,
}

/// What an integration calls.
#[derive(Clone, Debug)]
pub enum Target {
    /// `AWS`: an AWS service, with templates.
    Aws(AwsTarget),
    /// `AWS_PROXY`: a Lambda function.
    Function(LambdaUri),
    /// `AWS` with the invocation URI of a Lambda function: its payload and its
    /// result go through templates.
    Invoke(LambdaUri),
    /// `HTTP`: a URL, with templates.
    Http(HttpTarget),
    /// `HTTP_PROXY`: a URL, bodies as they are.
    HttpProxy(HttpTarget),
    /// `MOCK`: the request template's status.
    Mock,
}

/// An HTTP back end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpTarget {
    /// `IntegrationMethod`.
    pub method: String,
    /// `IntegrationUri`: an absolute URL, `{name}` segments and stage variables allowed.
    pub url: VariableText,
}

/// An operation of an AWS service: `arn:aws:apigateway:{region}:{service}:…`
/// ([integration URI]).
///
/// [integration URI]: https://docs.aws.amazon.com/apigateway/latest/api/API_Integration.html
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AwsTarget {
    /// Service as its address names it, such as `dynamodb` or `states`.
    pub service: String,
    /// Name before the service's own, such as `streams` of `streams.dynamodb`.
    pub subdomain: Option<String>,
    /// Region of the service.
    pub region: String,
    /// `IntegrationMethod`.
    pub method: String,
    /// What is asked of the service.
    pub request: AwsRequest,
    /// `CredentialsArn`: the role that signs; without one nobody does.
    pub role: Option<String>,
}

/// The last part of a service's integration URI; `{name}` segments and stage
/// variables are allowed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AwsRequest {
    /// `action/…`: the action's name, perhaps with `&NAME=VALUE` parameters.
    Action(VariableText),
    /// `path/…`: the path as it is requested, with its leading slash and perhaps a query.
    Path(VariableText),
}

/// `PassthroughBehavior`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Passthrough {
    /// The body is never passed as it is.
    Never,
    /// Passed when no template matches: the default.
    WhenNoMatch,
    /// Passed only when there are no templates at all.
    WhenNoTemplates,
}

/// Templates by selection key.
#[derive(Clone, Default)]
pub struct Templates {
    /// Chooses the key; without it `$default`, then `application/json`.
    pub selection: Option<Expression>,
    /// Compiled templates by key, in source order.
    pub list: Vec<(String, Arc<Template>)>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.list.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("Templates")
            .field("selection", &self.selection)
            .field("keys", &keys)
            .finish()
    }
}

impl Templates {
    /// The template under `key`.
    pub fn find(&self, key: &str) -> Option<&Arc<Template>> {
        self.list.iter().find(|(name, _)| name == key).map(|(_, template)| template)
    }
}

/// One integration response.
#[derive(Clone, Debug)]
pub struct IntegrationResponse {
    /// Which answers it is for.
    pub key: ResponseKey,
    /// `ResponseTemplates` and `TemplateSelectionExpression`.
    pub templates: Templates,
    /// `ResponseParameters`: header name and source.
    pub parameters: Vec<(String, ResponseSource)>,
}

/// `IntegrationResponseKey`.
#[derive(Clone, Debug)]
pub enum ResponseKey {
    /// `$default`.
    Default,
    /// `/regular expression/`, matched against the whole subject.
    Pattern(Regex),
}

/// Where a response header's value comes from.
#[derive(Clone, Debug)]
pub enum ResponseSource {
    /// A path below the answer's body.
    Body(jsonpath::Path),
    /// A header of the answer.
    Header(String),
    /// Fixed text.
    Static(String),
}

/// One function of the templates.
#[derive(Clone, Debug)]
pub struct Function {
    /// Name in the template.
    pub logical_id: String,
    /// `FunctionName`, given or generated.
    pub name: String,
    /// Unqualified ARN.
    pub arn: String,
    /// Where it stands, for messages.
    pub span: Span,
    /// `Metadata: { wsgate: { builtin: … } }`.
    pub builtin: Option<String>,
    /// `Environment.Variables`.
    pub environment: Vec<(String, String)>,
    /// Published versions and aliases: the qualifiers that resolve.
    pub qualifiers: Vec<String>,
    /// ARN of its role.
    pub role: String,
    /// Policies of its role; `None` if the role is not in the templates.
    pub policies: Option<Vec<Policy>>,
    /// `AWS::Lambda::Permission` entries that name it.
    pub permissions: Vec<Permission>,
    /// Stack it comes from.
    pub stack: String,
    /// Where its code is; `None` if the template does not say.
    pub code: Option<Code>,
    /// `Runtime`, such as `nodejs22.x`; images have none.
    pub runtime: Option<String>,
    /// `Handler`; empty if not given.
    pub handler: String,
    /// `Layers` in order: ARNs, or local paths as written.
    pub layers: Vec<Layer>,
    /// `Timeout`, 3 s by default.
    pub timeout: Duration,
    /// `MemorySize` in MB, 128 by default.
    pub memory_mb: u32,
    /// `ReservedConcurrentExecutions`.
    pub reserved_concurrency: Option<u32>,
}

/// Where the code of a function, or the content of a layer, is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Code {
    /// `ZipFile`: the text itself.
    Inline(String),
    /// A path as written, relative to the folder of the template.
    Local(String),
    /// An object of a bucket, which build tools also keep on this machine.
    S3 {
        /// `S3Bucket`.
        bucket: String,
        /// `S3Key`.
        key: String,
    },
    /// A container image.
    Image,
}

/// One of a function's layers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layer {
    /// ARN, or path, as written.
    pub name: String,
    /// Its content, if a template defines it; `None` for a layer that only AWS has.
    pub content: Option<Code>,
    /// Which template names the content; paths are relative to its folder.
    pub file: u32,
}

/// One `AWS::Lambda::EventSourceMapping` of a queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueSource {
    /// Name in the template.
    pub logical_id: String,
    /// Where it stands, for messages.
    pub span: Span,
    /// ARN of the queue.
    pub queue_arn: String,
    /// ARN of the function, perhaps qualified.
    pub function_arn: String,
    /// `BatchSize`, 10 by default.
    pub batch_size: u32,
    /// Whether `FunctionResponseTypes` holds `ReportBatchItemFailures`.
    pub reports_failures: bool,
}

/// A resource of another service that `--provision` creates at that service's endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Provision {
    /// Name in the template.
    pub logical_id: String,
    /// Type, such as `AWS::DynamoDB::Table`.
    pub resource_type: String,
    /// Name, URL or ARN that `Ref` gives.
    pub physical_id: String,
    /// Resolved properties.
    pub properties: serde_json::Value,
    /// Where it stands, for messages.
    pub span: Span,
    /// Region of its stack.
    pub region: String,
}

/// One `AWS::Lambda::Permission`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Permission {
    /// `Principal`.
    pub principal: String,
    /// `SourceArn`, with wildcards; `None` allows any source.
    pub source_arn: Option<String>,
    /// Qualifier of the function it is attached to.
    pub qualifier: Option<String>,
}

impl Permission {
    /// Whether API Gateway is among those it is for: `*` is everybody.
    pub fn allows_api_gateway(&self) -> bool {
        matches!(self.principal.as_str(), "apigateway.amazonaws.com" | "*")
    }
}

/// One custom domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Domain {
    /// Lower-case name; may start with `*.`.
    pub name: String,
    /// Its mappings.
    pub mappings: Vec<Mapping>,
}

/// One `AWS::ApiGatewayV2::ApiMapping`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapping {
    /// `ApiMappingKey`, empty for the root.
    pub key: String,
    /// API id.
    pub api_id: String,
    /// Stage name.
    pub stage: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_variables_are_filled_in_and_missing_ones_are_empty() {
        let text = VariableText::parse("http://${stageVariables.host}/a/${stageVariables.nope}b");
        let variables = [("host".to_owned(), "h:1".to_owned())];
        assert_eq!(text.resolve(&variables), "http://h:1/a/b");
        assert_eq!(VariableText::parse("plain").constant(), Some("plain"));
        assert_eq!(
            VariableText::parse("${stageVariables.open").constant(),
            Some("${stageVariables.open")
        );
    }
}
