//! Resources in AWS's spelling: which properties exist, of which kind.
//!
//! Nothing here compiles or refers; [`crate::resolve`] does. Each reader
//! reports everything that is wrong with its resource and gives what it could read.

use crate::codes;
use crate::diagnostic::Diagnostics;
use crate::node::{Node, Resource, Value};
use crate::source::Span;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// Reads the properties of one resource.
pub(crate) struct Reader<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) out: &'a mut Diagnostics,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(resource: &'a Resource, out: &'a mut Diagnostics) -> Self {
        Self { resource, out }
    }

    /// The node of a property; `AWS::NoValue` and `null` count as absent.
    pub(crate) fn node(&self, name: &str) -> Option<&'a Node> {
        self.resource.properties.find(name).filter(|node| node.value != Value::Null)
    }

    /// Reports properties outside `known`; a typo must not weaken access.
    pub(crate) fn check_names(&mut self, known: &[&str]) {
        for entry in self.resource.properties.entries() {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let hint = match nearest(&entry.key, known) {
                Some(name) => format!("write `{name}`"),
                None => format!("remove it; known are {}", known.join(", ")),
            };
            let message =
                format!("{} has no property `{}`", self.resource.resource_type, entry.key);
            self.out
                .error(codes::PROPERTY_UNKNOWN, entry.key_span, message)
                .at(&self.resource.logical_id, format!("Properties.{}", entry.key))
                .hint(hint);
        }
    }

    /// A string property.
    pub(crate) fn text(&mut self, name: &str) -> Option<Located<String>> {
        let node = self.node(name)?;
        self.text_of(node, name)
    }

    /// A string property that must be there.
    pub(crate) fn required(&mut self, name: &str) -> Option<Located<String>> {
        if self.node(name).is_none() {
            let message = format!("{} needs the property `{name}`", self.resource.resource_type);
            self.out
                .error(codes::PROPERTY_MISSING, self.resource.span, message)
                .at(&self.resource.logical_id, format!("Properties.{name}"))
                .hint(format!("add `{name}`"));
            return None;
        }
        let text = self.text(name)?;
        if text.value.is_empty() {
            self.wrong(codes::PROPERTY_VALUE, text.span, name, format!("`{name}` is empty"), None);
            return None;
        }
        Some(text)
    }

    /// A string out of a list.
    pub(crate) fn one_of(&mut self, name: &str, allowed: &[&str]) -> Option<Located<String>> {
        let text = self.text(name)?;
        if allowed.contains(&text.value.as_str()) {
            return Some(text);
        }
        let message = format!("`{name}` is `{}`, which AWS does not allow", text.value);
        let hint = format!("write one of {}", allowed.join(", "));
        self.wrong(codes::PROPERTY_VALUE, text.span, name, message, Some(hint));
        None
    }

    /// A boolean property, also in quotes.
    pub(crate) fn boolean(&mut self, name: &str) -> Option<Located<bool>> {
        let node = self.node(name)?;
        match node.as_text().as_deref() {
            Some("true") => Some(Located { value: true, span: node.span }),
            Some("false") => Some(Located { value: false, span: node.span }),
            _ => {
                self.wrong_kind(node, name, "true or false");
                None
            }
        }
    }

    /// A number property, also in quotes.
    pub(crate) fn number(&mut self, name: &str) -> Option<Located<f64>> {
        let node = self.node(name)?;
        let number = node.as_text().and_then(|text| text.parse::<f64>().ok());
        match number.filter(|number| number.is_finite()) {
            Some(value) => Some(Located { value, span: node.span }),
            None => {
                self.wrong_kind(node, name, "a number");
                None
            }
        }
    }

    /// A map of strings, in source order.
    pub(crate) fn texts(&mut self, name: &str) -> Vec<(String, Located<String>)> {
        let Some(node) = self.node(name) else { return Vec::new() };
        self.texts_of(node, name)
    }

    /// A list of strings.
    pub(crate) fn list(&mut self, name: &str) -> Vec<Located<String>> {
        let Some(node) = self.node(name) else { return Vec::new() };
        match &node.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| self.text_of(item, &format!("{name}.{index}")))
                .collect(),
            Value::Unresolved => Vec::new(),
            _ => {
                self.wrong_kind(node, name, "a list of strings");
                Vec::new()
            }
        }
    }

    /// A mapping property.
    pub(crate) fn map(&mut self, name: &str) -> Option<&'a Node> {
        let node = self.node(name)?;
        match node.value {
            Value::Map(_) => Some(node),
            _ => {
                self.wrong_kind(node, name, "a mapping");
                None
            }
        }
    }

    pub(crate) fn texts_of(
        &mut self,
        node: &'a Node,
        name: &str,
    ) -> Vec<(String, Located<String>)> {
        if !matches!(node.value, Value::Map(_)) {
            self.wrong_kind(node, name, "a mapping of strings");
            return Vec::new();
        }
        node.entries()
            .iter()
            .filter(|entry| entry.value.value != Value::Null)
            .filter_map(|entry| {
                let text = self.text_of(&entry.value, &format!("{name}.{}", entry.key))?;
                Some((entry.key.clone(), text))
            })
            .collect()
    }

    fn text_of(&mut self, node: &Node, name: &str) -> Option<Located<String>> {
        match node.as_text() {
            Some(text) => Some(Located { value: text.into_owned(), span: node.span }),
            None => {
                self.wrong_kind(node, name, "a string");
                None
            }
        }
    }

    /// A property that changes behaviour and cannot be served.
    pub(crate) fn unsupported(&mut self, name: &str, consequence: &str) {
        if let Some(node) = self.node(name) {
            let message = format!("`{name}` is not supported: {consequence}");
            self.wrong(
                codes::UNSUPPORTED,
                node.span,
                name,
                message,
                Some("remove it, or serve this API elsewhere".to_owned()),
            );
        }
    }

    /// A property that is read by nobody here and does no harm.
    pub(crate) fn ignored(&mut self, name: &str, consequence: &str) {
        if let Some(node) = self.node(name) {
            self.out
                .warning(codes::IGNORED, node.span, format!("`{name}` is ignored: {consequence}"))
                .at(&self.resource.logical_id, format!("Properties.{name}"));
        }
    }

    /// An error at a value of another kind.
    pub(crate) fn wrong_kind(&mut self, node: &Node, name: &str, expected: &str) {
        if node.value == Value::Unresolved {
            return; // Reported where it could not be resolved.
        }
        let message = format!("`{name}` must be {expected}");
        self.wrong(codes::PROPERTY_KIND, node.span, name, message, None);
    }

    /// An error at a property.
    pub(crate) fn wrong(
        &mut self,
        code: &'static str,
        span: Span,
        name: &str,
        message: String,
        hint: Option<String>,
    ) {
        let diagnostic = self
            .out
            .error(code, span, message)
            .at(&self.resource.logical_id, format!("Properties.{name}"));
        diagnostic.hint = hint;
    }
}

/// The known name most like `name`, if one is close enough to be meant.
pub(crate) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |candidate: &str| edit_distance(&name.to_lowercase(), &candidate.to_lowercase());
    let best = known.iter().min_by_key(|candidate| distance(candidate))?;
    (distance(best) <= 1 + best.len() / 5).then_some(*best)
}

/// Levenshtein distance of two short names; long ones count as far apart.
fn edit_distance(a: &str, b: &str) -> usize {
    if 64 < a.len() || 64 < b.len() {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

/// Properties of `AWS::ApiGatewayV2::Api`.
pub(crate) const API: &[&str] = &[
    "ApiKeySelectionExpression",
    "BasePath",
    "Body",
    "BodyS3Location",
    "CorsConfiguration",
    "CredentialsArn",
    "Description",
    "DisableExecuteApiEndpoint",
    "DisableSchemaValidation",
    "FailOnWarnings",
    "IpAddressType",
    "Name",
    "ProtocolType",
    "RouteKey",
    "RouteSelectionExpression",
    "Tags",
    "Target",
    "Version",
];
/// Properties of `AWS::ApiGatewayV2::Route`.
pub(crate) const ROUTE: &[&str] = &[
    "ApiId",
    "ApiKeyRequired",
    "AuthorizationScopes",
    "AuthorizationType",
    "AuthorizerId",
    "ModelSelectionExpression",
    "OperationName",
    "RequestModels",
    "RequestParameters",
    "RouteKey",
    "RouteResponseSelectionExpression",
    "Target",
];
/// Properties of `AWS::ApiGatewayV2::Integration`.
pub(crate) const INTEGRATION: &[&str] = &[
    "ApiId",
    "ConnectionId",
    "ConnectionType",
    "ContentHandlingStrategy",
    "CredentialsArn",
    "Description",
    "IntegrationMethod",
    "IntegrationSubtype",
    "IntegrationType",
    "IntegrationUri",
    "PassthroughBehavior",
    "PayloadFormatVersion",
    "RequestParameters",
    "RequestTemplates",
    "ResponseParameters",
    "TemplateSelectionExpression",
    "TimeoutInMillis",
    "TlsConfig",
];
/// Properties of `AWS::ApiGatewayV2::IntegrationResponse`.
pub(crate) const INTEGRATION_RESPONSE: &[&str] = &[
    "ApiId",
    "ContentHandlingStrategy",
    "IntegrationId",
    "IntegrationResponseKey",
    "ResponseParameters",
    "ResponseTemplates",
    "TemplateSelectionExpression",
];
/// Properties of `AWS::ApiGatewayV2::RouteResponse`.
pub(crate) const ROUTE_RESPONSE: &[&str] = &[
    "ApiId",
    "ModelSelectionExpression",
    "ResponseModels",
    "ResponseParameters",
    "RouteId",
    "RouteResponseKey",
];
/// Properties of `AWS::ApiGatewayV2::Authorizer`.
pub(crate) const AUTHORIZER: &[&str] = &[
    "ApiId",
    "AuthorizerCredentialsArn",
    "AuthorizerPayloadFormatVersion",
    "AuthorizerResultTtlInSeconds",
    "AuthorizerType",
    "AuthorizerUri",
    "EnableSimpleResponses",
    "IdentitySource",
    "IdentityValidationExpression",
    "JwtConfiguration",
    "Name",
];
/// Properties of `AWS::ApiGatewayV2::Deployment`.
pub(crate) const DEPLOYMENT: &[&str] = &["ApiId", "Description", "StageName"];
/// Properties of `AWS::ApiGatewayV2::Stage`.
pub(crate) const STAGE: &[&str] = &[
    "AccessLogSettings",
    "AccessPolicyId",
    "ApiId",
    "AutoDeploy",
    "ClientCertificateId",
    "DefaultRouteSettings",
    "DeploymentId",
    "Description",
    "RouteSettings",
    "StageName",
    "StageVariables",
    "Tags",
];
/// Properties of `AWS::ApiGatewayV2::DomainName`.
pub(crate) const DOMAIN_NAME: &[&str] =
    &["DomainName", "DomainNameConfigurations", "MutualTlsAuthentication", "RoutingMode", "Tags"];
/// Properties of `AWS::ApiGatewayV2::ApiMapping`.
pub(crate) const API_MAPPING: &[&str] = &["ApiId", "ApiMappingKey", "DomainName", "Stage"];
/// Members of `DefaultRouteSettings` and of each `RouteSettings` entry.
pub(crate) const ROUTE_SETTINGS: &[&str] = &[
    "DataTraceEnabled",
    "DetailedMetricsEnabled",
    "LoggingLevel",
    "ThrottlingBurstLimit",
    "ThrottlingRateLimit",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_the_name_that_was_meant() {
        assert_eq!(nearest("RouteKy", ROUTE), Some("RouteKey"));
        assert_eq!(nearest("routekey", ROUTE), Some("RouteKey"));
        assert_eq!(nearest("Colour", ROUTE), None);
    }
}
