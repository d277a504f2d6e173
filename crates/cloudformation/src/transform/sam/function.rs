//! `AWS::Serverless::Function` ([page]).
//!
//! [page]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html

use api_model::{Entry, Node, Value};

use super::role::Role;
use super::shape::{self, Shape};
use super::{Expansion, Source, build, event, location, version};
use crate::document::excerpt;
use crate::function;

/// Properties that Lambda has under the same name.
const PASSED_ON: [&str; 26] = [
    "Architectures",
    "CodeSigningConfigArn",
    "Description",
    "DurableConfig",
    "Environment",
    "EphemeralStorage",
    "FileSystemConfigs",
    "FunctionName",
    "FunctionScalingConfig",
    "Handler",
    "ImageConfig",
    "KmsKeyArn",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "PackageType",
    "PublishToLatestPublished",
    "RecursiveLoop",
    "ReservedConcurrentExecutions",
    "Role",
    "Runtime",
    "RuntimeManagementConfig",
    "SnapStart",
    "TenancyConfig",
    "Timeout",
    "VpcConfig",
];

/// Properties that SAM itself reads.
const OWN: [&str; 23] = [
    "AssumeRolePolicyDocument",
    "AutoPublishAlias",
    "AutoPublishAliasAllProperties",
    "AutoPublishCodeSha256",
    "CapacityProviderConfig",
    "CodeUri",
    "DeadLetterQueue",
    "DeploymentPreference",
    "EventInvokeConfig",
    "Events",
    "FunctionUrlConfig",
    "ImageUri",
    "InlineCode",
    "PermissionsBoundary",
    "Policies",
    "PropagateTags",
    "ProvisionedConcurrencyConfig",
    "RolePath",
    "SourceKMSKeyArn",
    "Tags",
    "Tracing",
    "VersionDeletionPolicy",
    "VersionDescription",
];

const SHAPES: [(&str, Shape); 22] = [
    ("AssumeRolePolicyDocument", Shape::Map),
    ("AutoPublishAlias", Shape::Text),
    ("AutoPublishAliasAllProperties", Shape::Flag),
    ("AutoPublishCodeSha256", Shape::Text),
    ("CapacityProviderConfig", Shape::Map),
    ("DeadLetterQueue", Shape::Map),
    ("DeploymentPreference", Shape::Map),
    ("DurableConfig", Shape::Map),
    ("Environment", Shape::Maps),
    ("EventInvokeConfig", Shape::Map),
    ("Events", Shape::Maps),
    ("FunctionName", Shape::TextOrMap),
    ("FunctionScalingConfig", Shape::Map),
    ("FunctionUrlConfig", Shape::Map),
    ("Layers", Shape::List),
    ("PermissionsBoundary", Shape::Text),
    ("Policies", Shape::TextMapOrList),
    ("PropagateTags", Shape::Flag),
    ("Role", Shape::Text),
    ("SnapStart", Shape::Map),
    ("Tags", Shape::Map),
    ("Tracing", Shape::TextOrMap),
];

/// Adds the function, its role, version and alias, and what its events need.
pub(super) fn expand(source: &Source<'_>, out: &mut Expansion<'_>) {
    let known: Vec<&str> = PASSED_ON.iter().chain(&OWN).copied().collect();
    out.check_properties(source, &known);
    shape::check(source, &SHAPES, out);
    let span = source.span;
    let Some(code) = code(source, out) else {
        return;
    };
    let mut properties = vec![build::entry("Code", code)];
    let passed_on = source.properties.entries().iter();
    properties.extend(passed_on.filter(|entry| PASSED_ON.contains(&&*entry.key)).cloned());
    properties.extend(tracing(source));
    properties.extend(dead_letters(source, out));
    let tags = tags(source, "lambda:createdBy", out);
    properties.push(build::entry("Tags", tags.clone()));

    version::describe(source, &mut properties, out.context);
    let published = version::publish(source, &properties, out);
    let mut role = role(source, out);
    event::add_policies(source, &mut role, out);
    let role_arn = build::attribute(&role.logical_id, "Arn", span);
    match role_choice(source, &role_arn, out) {
        Choice::Given => {}
        Choice::Generated { arn, condition } => {
            properties.retain(|entry| entry.key != "Role");
            properties.push(build::entry("Role", arn));
            role.add_to(source, Some(tags), condition, out);
        }
    }
    let id = source.logical_id;
    out.add(source, id, "AWS::Lambda::Function", properties, source.attributes.clone());
    let target = match &published {
        Some(published) => build::reference(&published.alias, span),
        None => build::reference(id, span),
    };
    if let Some(published) = published {
        published.add_to(source, out);
    }
    event::add(source, &target, out);
    add_url(source, &target, out);
    report_ignored(source, out);
}

/// The property `Code`, or nothing after a finding.
fn code(source: &Source<'_>, out: &mut Expansion<'_>) -> Option<Node> {
    let kind = source.given("PackageType");
    let known = kind.and_then(|kind| out.context.known(kind)).map(|kind| kind.into_owned());
    match known.as_ref().and_then(Node::as_text).as_deref() {
        Some("Image") => return image(source, out),
        None | Some("Zip") => {}
        Some(_) => {
            let place = kind.map_or(source.span, |kind| kind.span);
            out.refuse(source, "PackageType", place, "`PackageType` is `Zip` or `Image`");
            return None;
        }
    }
    for name in ["Runtime", "Handler"] {
        if source.given(name).is_none() {
            let message = format!("a function needs `{name}` unless its `PackageType` is `Image`");
            out.refuse(source, name, source.span, message).hint(if name == "Runtime" {
                "write for example `Runtime: nodejs22.x`"
            } else {
                "write for example `Handler: index.handler`"
            });
        }
    }
    if let Some(node) = source.given("ImageConfig") {
        let message = "`ImageConfig` needs `PackageType: Image`";
        out.refuse(source, "ImageConfig", node.span, message);
    }
    let mut code = match (source.property("InlineCode"), source.property("CodeUri")) {
        (Some(inline), _) => build::map([build::entry("ZipFile", inline.clone())], inline.span),
        (None, Some(uri)) => location::location(source, "CodeUri", uri, out)?,
        // The AWS tools take the folder of the template then.
        (None, None) => build::text(".", source.span),
    };
    if let (Some(key), Value::Map(members)) = (source.given("SourceKMSKeyArn"), &mut code.value)
        && !members.iter().any(|entry| entry.key.starts_with("Fn::"))
    {
        members.push(build::entry("SourceKMSKeyArn", key.clone()));
    }
    Some(code)
}

/// `ImageUri`, or what SAM would build from a `Dockerfile`.
fn image(source: &Source<'_>, out: &mut Expansion<'_>) -> Option<Node> {
    for name in ["Runtime", "Handler", "Layers"] {
        if let Some(node) = source.given(name) {
            let message = format!("a container image brings its own `{name}`");
            out.refuse(source, name, node.span, message).hint("remove it");
        }
    }
    if let Some(image) = source.given("ImageUri") {
        return Some(build::map([build::entry("ImageUri", image.clone())], image.span));
    }
    let is_built =
        source.attribute("Metadata").is_some_and(|node| node.find("Dockerfile").is_some());
    if !is_built {
        let message = "a function of `PackageType: Image` needs `ImageUri`";
        out.refuse(source, "ImageUri", source.span, message);
        return None;
    }
    let name = build::text(source.logical_id.to_lowercase(), source.span);
    Some(build::map([build::entry("ImageUri", name)], source.span))
}

fn tracing(source: &Source<'_>) -> Option<Entry> {
    let mode = source.given("Tracing")?;
    is_traced(source).then(|| {
        let config = build::map([build::entry("Mode", mode.clone())], mode.span);
        build::entry("TracingConfig", config)
    })
}

fn is_traced(source: &Source<'_>) -> bool {
    let mode = source.given("Tracing");
    mode.is_some_and(|mode| mode.as_text().is_none_or(|mode| mode != "Disabled"))
}

fn dead_letters(source: &Source<'_>, out: &mut Expansion<'_>) -> Option<Entry> {
    let queue = source.given("DeadLetterQueue")?;
    let kind = queue.find("Type").and_then(Node::as_text);
    let target = queue.find("TargetArn");
    let is_known = matches!(kind.as_deref(), Some("SQS" | "SNS"));
    let Some(target) = target.filter(|_| is_known) else {
        if !queue.is_unresolved() {
            let message = "`DeadLetterQueue` needs `TargetArn`, and `Type` `SQS` or `SNS`";
            out.refuse(source, "DeadLetterQueue", queue.span, message);
        }
        return None;
    };
    let config = build::map([build::entry("TargetArn", target.clone())], queue.span);
    Some(build::entry("DeadLetterConfig", config))
}

/// `Tags` as a list, behind the tag that SAM sets.
pub(super) fn tags(source: &Source<'_>, own: &str, out: &mut Expansion<'_>) -> Node {
    let span = source.span;
    let tag = |key: Node, value: Node| {
        build::map([build::entry("Key", key), build::entry("Value", value)], span)
    };
    let mut list = vec![tag(build::text(own, span), build::text("SAM", span))];
    if let Some(tags) = source.given("Tags").filter(|tags| function::call(tags).is_none()) {
        for entry in tags.entries() {
            if entry.key == own {
                let message = format!("tag `{own}` is set by SAM");
                out.refuse(source, &format!("Tags.{own}"), entry.key_span, message);
            }
            let value = match entry.value.value {
                Value::Null => build::text("", entry.value.span),
                _ => entry.value.clone(),
            };
            list.push(tag(build::text(&entry.key, entry.key_span), value));
        }
    }
    build::list(list, span)
}

/// The role that SAM makes if the function brings none.
fn role(source: &Source<'_>, out: &mut Expansion<'_>) -> Role {
    let mut role = Role::new(source, "lambda.amazonaws.com");
    if let Some(document) = source.property("AssumeRolePolicyDocument") {
        role.trust(document);
    }
    let is_durable = source.given("DurableConfig").is_some();
    role.add_managed(
        if is_durable {
            "AWSLambdaBasicDurableExecutionRolePolicy"
        } else {
            "AWSLambdaBasicExecutionRole"
        },
        out,
    );
    if is_traced(source) {
        role.add_tracing(out);
    }
    if source.given("VpcConfig").is_some() {
        role.add_managed("AWSLambdaVPCAccessExecutionRole", out);
    }
    role.add_policies(source, out);
    role
}

/// Which role a function has.
enum Choice {
    /// The one that it names.
    Given,
    /// The one that SAM makes, perhaps under a condition.
    Generated { arn: Node, condition: Option<Node> },
}

/// `Role` may leave one side of an `Fn::If` to SAM.
fn role_choice(source: &Source<'_>, generated: &Node, out: &mut Expansion<'_>) -> Choice {
    let whole = Choice::Generated { arn: generated.clone(), condition: None };
    let Some(given) = source.property("Role") else {
        return whole;
    };
    let (condition, yes, no) =
        match function::call(given).map(|call| (call.name, call.argument.items())) {
            Some(("Fn::If", [condition, yes, no])) => (condition, yes, no),
            Some(("Ref", _)) if is_no_value(given) => return whole,
            _ => return Choice::Given,
        };
    let choose = |yes: &Node, no: &Node| {
        let arguments = [condition.clone(), yes.clone(), no.clone()];
        build::call("Fn::If", build::list(arguments, given.span))
    };
    match (is_no_value(yes), is_no_value(no)) {
        (true, true) => whole,
        (false, false) => Choice::Given,
        (true, false) => {
            Choice::Generated { arn: choose(generated, no), condition: Some(condition.clone()) }
        }
        (false, true) => {
            let name = condition.as_text().unwrap_or_default();
            let opposite = format!("NOT{name}");
            let named = build::map([build::entry("Condition", condition.clone())], condition.span);
            let not = build::call("Fn::Not", build::list([named], condition.span));
            out.add_condition(&opposite, not);
            let opposite = build::text(opposite, condition.span);
            Choice::Generated { arn: choose(yes, generated), condition: Some(opposite) }
        }
    }
}

fn is_no_value(node: &Node) -> bool {
    function::call(node).is_some_and(|call| {
        call.name == "Ref" && call.argument.as_text().as_deref() == Some("AWS::NoValue")
    })
}

/// The function URL, which templates show in outputs and nothing here serves.
fn add_url(source: &Source<'_>, target: &Node, out: &mut Expansion<'_>) {
    let Some(config) = source.given("FunctionUrlConfig") else {
        return;
    };
    let auth_type = config.find("AuthType");
    let is_right = auth_type
        .is_some_and(|node| node.as_text().is_none_or(|text| text == "NONE" || text == "AWS_IAM"));
    if !is_right {
        let message = "`FunctionUrlConfig` needs `AuthType`: `AWS_IAM` or `NONE`";
        out.refuse(source, "FunctionUrlConfig", config.span, message);
        return;
    }
    let mut properties = vec![build::entry("TargetFunctionArn", target.clone())];
    properties.extend(auth_type.map(|node| build::entry("AuthType", node.clone())));
    let id = format!("{}Url", source.logical_id);
    out.add(source, &id, "AWS::Lambda::Url", properties, source.inherited());
    out.ignore_once(source, "FunctionUrlConfig", config.span, "function URLs are not served here");
}

fn report_ignored(source: &Source<'_>, out: &mut Expansion<'_>) {
    for (name, message) in [
        ("DeploymentPreference", "traffic is not shifted here: an alias means the code at hand"),
        ("EventInvokeConfig", "functions are not invoked asynchronously here"),
        ("ProvisionedConcurrencyConfig", "concurrency is not provisioned here"),
    ] {
        let Some(node) = source.given(name) else {
            continue;
        };
        let needs_alias = match name {
            "DeploymentPreference" => node.find("Enabled").is_none_or(|node| {
                node.as_text().is_none_or(|text| !text.eq_ignore_ascii_case("false"))
            }),
            "ProvisionedConcurrencyConfig" => true,
            _ => false,
        };
        if needs_alias && source.given("AutoPublishAlias").is_none() {
            let message = format!("`{}` needs `AutoPublishAlias`", excerpt(name));
            out.refuse(source, name, node.span, message);
        } else {
            out.ignore_once(source, name, node.span, message);
        }
    }
}
