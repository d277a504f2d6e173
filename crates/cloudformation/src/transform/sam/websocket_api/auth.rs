//! `Auth`: who may connect.

use api_model::{Entry, Node, Value};

use super::{CONNECT, Route, check_members, invocation, is_empty, permission, property};
use crate::transform::build::{call, entry, list, map, reference, text};
use crate::transform::sam::{Expansion, Source};

const PROPERTIES: [&str; 5] = ["AuthArn", "AuthType", "IdentitySource", "InvokeRole", "Name"];

/// Who may connect.
pub(super) enum Auth<'a> {
    /// Whom the authorizer lets in.
    Custom(Authorizer<'a>),
    /// Who signs the request.
    Iam,
    /// Everybody, and the template says so.
    Open,
    /// The template says nothing, or what it says is refused.
    Unsaid,
}

/// The authorizer as it is written.
pub(super) struct Authorizer<'a> {
    arn: &'a Node,
    settings: &'a Node,
}

/// Reads `Auth`; what SAM refuses is reported.
pub(super) fn read<'a>(
    source: &'a Source<'_>,
    routes: &[Route<'_>],
    out: &mut Expansion<'_>,
) -> Auth<'a> {
    let Some(settings) = property(source, "Auth").map(|entry| &entry.value) else {
        return Auth::Unsaid;
    };
    if is_empty(settings) {
        return Auth::Unsaid;
    }
    check_members(source, "Auth", settings, &PROPERTIES, out);
    if !routes.iter().any(|route| route.key == CONNECT) {
        let message = "`Auth` guards `$connect`, and the API has no such route";
        out.refuse(source, "Auth", settings.span, message)
            .hint("add the route `$connect`, or remove `Auth`");
    }
    let given = settings.find("AuthType").filter(|node| !is_empty(node));
    let Some(given) = given else {
        let message = "`Auth` must say which `AuthType` it is";
        out.refuse(source, "Auth", settings.span, message)
            .hint("add `AuthType: CUSTOM`, `AWS_IAM` or `NONE`");
        return Auth::Unsaid;
    };
    let known = out.context.known(given).map(std::borrow::Cow::into_owned);
    let is_alone = settings.entries().len() == 1;
    match known.as_ref().map(|node| &node.value) {
        Some(Value::String(name)) if name == "CUSTOM" => {
            match settings.find("AuthArn").filter(|node| !is_empty(node)) {
                Some(arn) => return Auth::Custom(Authorizer { arn, settings }),
                None => {
                    let message = "`AuthType` CUSTOM needs the ARN of the function that decides";
                    out.refuse(source, "Auth", settings.span, message).hint("add `AuthArn`");
                }
            }
        }
        Some(Value::String(name)) if name == "AWS_IAM" || name == "NONE" => {
            if is_alone {
                return if name == "NONE" { Auth::Open } else { Auth::Iam };
            }
            let message = format!("`AuthType` {name} takes nothing beside itself");
            out.refuse(source, "Auth", settings.span, message)
                .hint("remove the rest, or write `AuthType: CUSTOM`");
        }
        _ => {
            let message = "`AuthType` must be CUSTOM, AWS_IAM or NONE";
            out.refuse(source, "Auth.AuthType", given.span, message);
        }
    }
    Auth::Unsaid
}

impl Auth<'_> {
    /// The properties of the route `$connect`.
    pub(super) fn of_route(&self, source: &Source<'_>) -> Vec<Entry> {
        let span = source.span;
        let kind = |name: &str| entry("AuthorizationType", text(name, span));
        match self {
            Self::Custom(_) => {
                vec![kind("CUSTOM"), entry("AuthorizerId", reference(&authorizer_id(source), span))]
            }
            Self::Iam => vec![kind("AWS_IAM")],
            Self::Open => vec![kind("NONE")],
            Self::Unsaid => Vec::new(),
        }
    }
}

fn authorizer_id(source: &Source<'_>) -> String {
    format!("{}ConnectAuthorizer", source.logical_id)
}

/// Adds the authorizer, and the permission to invoke it unless a role has it.
pub(super) fn add(source: &Source<'_>, auth: &Auth<'_>, out: &mut Expansion<'_>) {
    let Auth::Custom(Authorizer { arn, settings }) = auth else {
        return;
    };
    let span = settings.span;
    let find = |name: &str| settings.find(name).cloned();
    let logical_id = authorizer_id(source);
    let name = find("Name").filter(|node| !is_empty(node));
    let mut properties = vec![
        entry("ApiId", reference(source.logical_id, span)),
        entry("AuthorizerType", text("REQUEST", span)),
        entry("AuthorizerUri", invocation("AuthArn", arn)),
        entry("Name", name.unwrap_or_else(|| text(&logical_id, span))),
    ];
    properties.extend(find("IdentitySource").map(|node| entry("IdentitySource", node)));
    let role = find("InvokeRole");
    let has_role = role.as_ref().is_some_and(|node| !is_empty(node));
    properties.extend(role.map(|node| entry("AuthorizerCredentialsArn", node)));
    out.add(source, &logical_id, "AWS::ApiGatewayV2::Authorizer", properties, Vec::new());
    if has_role {
        return;
    }
    let pattern = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/authorizers/*";
    let variables = map([entry("__ApiId__", reference(source.logical_id, span))], span);
    let source_arn = call("Fn::Sub", list([text(pattern, span), variables], span));
    let logical_id = format!("{}AuthorizerPermission", source.logical_id);
    let properties = permission(arn, source_arn);
    out.add(source, &logical_id, "AWS::Lambda::Permission", properties, Vec::new());
}
