//! The roles that SAM makes, and `Policies`.

use std::collections::HashSet;

use api_model::{Entry, Node, Span, Value};

use super::{Expansion, Source, build, canonical, policy_template};
use crate::document::excerpt;
use crate::function;

/// The execution role of a function or state machine.
pub(super) struct Role {
    /// Its logical id.
    pub(super) logical_id: String,
    span: Span,
    trust: Node,
    managed: Vec<Node>,
    managed_seen: HashSet<String>,
    policies: Vec<Node>,
}

/// One entry of `Policies`.
enum Policy {
    /// Name or ARN of a managed policy.
    Managed(Node),
    /// A policy document.
    Document(Node),
    /// Grants nothing that is evaluated here, or is left out by the template.
    Nothing,
    /// Reported.
    Wrong,
}

/// AWS-managed policies that do not live under the path `/`.
const SERVICE_ROLES: [&str; 11] = [
    "AWSLambdaBasicDurableExecutionRolePolicy",
    "AWSLambdaBasicExecutionRole",
    "AWSLambdaDynamoDBExecutionRole",
    "AWSLambdaENIManagementAccess",
    "AWSLambdaKinesisExecutionRole",
    "AWSLambdaMSKExecutionRole",
    "AWSLambdaRole",
    "AWSLambdaSQSQueueExecutionRole",
    "AWSLambdaVPCAccessExecutionRole",
    "AmazonAPIGatewayPushToCloudWatchLogs",
    "AmazonRDSEnhancedMonitoringRole",
];

impl Role {
    /// A role that the service `principal` takes, without policies.
    pub(super) fn new(source: &Source<'_>, principal: &str) -> Self {
        let span = source.span;
        let text = |text: &str| build::text(text, span);
        let service =
            build::map([build::entry("Service", build::list([text(principal)], span))], span);
        let statement = [
            build::entry("Action", build::list([text("sts:AssumeRole")], span)),
            build::entry("Effect", text("Allow")),
            build::entry("Principal", service),
        ];
        let trust = [
            build::entry("Version", text("2012-10-17")),
            build::entry("Statement", build::list([build::map(statement, span)], span)),
        ];
        Self {
            logical_id: format!("{}Role", source.logical_id),
            span,
            trust: build::map(trust, span),
            managed: Vec::new(),
            managed_seen: HashSet::new(),
            policies: Vec::new(),
        }
    }

    /// Takes `AssumeRolePolicyDocument` instead of the usual one.
    pub(super) fn trust(&mut self, document: &Node) {
        self.trust = document.clone();
    }

    /// Adds the AWS-managed policy of that name.
    pub(super) fn add_managed(&mut self, name: &str, out: &Expansion<'_>) {
        self.push_managed(managed_arn(name, self.span, out));
    }

    /// Adds what tracing needs.
    pub(super) fn add_tracing(&mut self, out: &Expansion<'_>) {
        let is_classic = out.context.names.partition == "aws";
        let name = if is_classic { "AWSXrayWriteOnlyAccess" } else { "AWSXRayDaemonWriteAccess" };
        self.add_managed(name, out);
    }

    fn push_managed(&mut self, policy: Node) {
        if self.managed_seen.insert(canonical::compact(&policy)) {
            self.managed.push(policy);
        }
    }

    /// Adds what the property `Policies` says: one entry or a list.
    pub(super) fn add_policies(&mut self, source: &Source<'_>, out: &mut Expansion<'_>) {
        let Some(property) = source.given("Policies") else {
            return;
        };
        let single = std::slice::from_ref(property);
        let is_list = matches!(property.value, Value::List(_));
        let entries = if is_list { property.items() } else { single };
        for (index, entry) in entries.iter().enumerate() {
            let path = if is_list { format!("Policies[{index}]") } else { "Policies".to_owned() };
            let name = format!("{}Policy{index}", self.logical_id);
            match convert(source, entry, &path, &name, out) {
                Policy::Managed(policy) => self.push_managed(policy),
                Policy::Document(policy) => self.policies.push(policy),
                Policy::Nothing | Policy::Wrong => {}
            }
        }
    }

    /// Adds the role to the template. `condition` replaces that of `source`.
    pub(super) fn add_to(
        self,
        source: &Source<'_>,
        tags: Option<Node>,
        condition: Option<Node>,
        out: &mut Expansion<'_>,
    ) {
        let span = self.span;
        let mut properties = vec![
            build::entry("AssumeRolePolicyDocument", self.trust),
            build::entry("ManagedPolicyArns", build::list(self.managed, span)),
        ];
        properties.extend(renamed(source, "RolePath", "Path"));
        if !self.policies.is_empty() {
            properties.push(build::entry("Policies", build::list(self.policies, span)));
        }
        properties.extend(renamed(source, "PermissionsBoundary", "PermissionsBoundary"));
        properties.extend(tags.map(|tags| build::entry("Tags", tags)));
        let mut attributes = source.inherited();
        if let Some(condition) = condition {
            attributes.retain(|entry| entry.key != "Condition");
            attributes.push(build::entry("Condition", condition));
        }
        out.add(source, &self.logical_id, "AWS::IAM::Role", properties, attributes);
    }
}

fn renamed(source: &Source<'_>, name: &str, key: &str) -> Option<Entry> {
    source.property(name).map(|node| build::entry(key, node.clone()))
}

/// Recursion is bounded by the depth of the tree.
fn convert(
    source: &Source<'_>,
    node: &Node,
    path: &str,
    name: &str,
    out: &mut Expansion<'_>,
) -> Policy {
    let span = node.span;
    if let Some(call) = function::call(node) {
        return match (call.name, call.argument.items()) {
            ("Ref", _) if call.argument.as_text().as_deref() == Some("AWS::NoValue") => {
                Policy::Nothing
            }
            ("Fn::If", [condition, yes, no]) => {
                let yes = convert(source, yes, path, name, out);
                let no = convert(source, no, path, name, out);
                either(source, condition, yes, no, path, span, out)
            }
            _ => Policy::Managed(node.clone()),
        };
    }
    match &node.value {
        Value::String(text) => Policy::Managed(managed_arn(text, span, out)),
        Value::Unresolved => Policy::Managed(node.clone()),
        Value::Map(members) if members.iter().any(|entry| entry.key == "Statement") => {
            Policy::Document(named(name, node.clone()))
        }
        Value::Map(members) => match members.as_slice() {
            [template] => match expand_template(source, template, path, out) {
                Ok(Some(document)) => Policy::Document(named(name, document)),
                Ok(None) => Policy::Nothing,
                Err(()) => Policy::Wrong,
            },
            _ => report_policy(source, path, span, out),
        },
        _ => report_policy(source, path, span, out),
    }
}

fn report_policy(source: &Source<'_>, path: &str, span: Span, out: &mut Expansion<'_>) -> Policy {
    let message = "this is neither a managed policy, nor a policy document, nor a policy template";
    out.refuse(source, path, span, message)
        .hint("write a name or an ARN, a mapping with `Statement`, or `TemplateName: {...}`");
    Policy::Wrong
}

/// `Fn::If` of two policies, which must be of one kind.
fn either(
    source: &Source<'_>,
    condition: &Node,
    yes: Policy,
    no: Policy,
    path: &str,
    span: Span,
    out: &mut Expansion<'_>,
) -> Policy {
    let no_value = || build::reference("AWS::NoValue", span);
    let choose = |yes: Node, no: Node| {
        build::call("Fn::If", build::list([condition.clone(), yes, no], span))
    };
    match (yes, no) {
        (Policy::Wrong, _) | (_, Policy::Wrong) => Policy::Wrong,
        (Policy::Nothing, Policy::Nothing) => Policy::Nothing,
        (Policy::Managed(yes), Policy::Managed(no)) => Policy::Managed(choose(yes, no)),
        (Policy::Managed(yes), Policy::Nothing) => Policy::Managed(choose(yes, no_value())),
        (Policy::Nothing, Policy::Managed(no)) => Policy::Managed(choose(no_value(), no)),
        (Policy::Document(yes), Policy::Document(no)) => Policy::Document(choose(yes, no)),
        (Policy::Document(yes), Policy::Nothing) => Policy::Document(choose(yes, no_value())),
        (Policy::Nothing, Policy::Document(no)) => Policy::Document(choose(no_value(), no)),
        (Policy::Managed(_), Policy::Document(_)) | (Policy::Document(_), Policy::Managed(_)) => {
            let message = "the two sides of this `Fn::If` are policies of different kinds";
            out.refuse(source, path, span, message).hint("write one `Fn::If` for each kind");
            Policy::Wrong
        }
    }
}

/// The document of a policy template; nothing if it grants nothing here.
fn expand_template(
    source: &Source<'_>,
    template: &Entry,
    path: &str,
    out: &mut Expansion<'_>,
) -> Result<Option<Node>, ()> {
    let name = template.key.as_str();
    let span = template.key_span;
    let Some(parameters) = policy_template::parameters(name) else {
        let message = format!("SAM has no policy template `{}`", excerpt(name));
        let names: Vec<&str> = policy_template::names().collect();
        let hint = out.suggest(name, &names).map_or_else(
            || "a policy document needs `Statement`".to_owned(),
            |near| format!("write `{near}`"),
        );
        out.refuse(source, path, span, message).hint(hint);
        return Err(());
    };
    let arguments = &template.value;
    if !matches!(arguments.value, Value::Map(_)) {
        let message = format!("policy template `{name}` takes a mapping of parameters");
        out.refuse(source, path, span, message).hint(match parameters.first() {
            Some(first) => format!("write `{name}: {{{first}: ...}}`"),
            None => format!("write `{name}: {{}}`"),
        });
        return Err(());
    }
    let missing: Vec<&str> =
        parameters.iter().copied().filter(|name| arguments.find(name).is_none()).collect();
    if !missing.is_empty() {
        let message = format!("policy template `{name}` needs `{}`", missing.join("`, `"));
        out.refuse(source, path, span, message);
        return Err(());
    }
    Ok(policy_template::document(name, arguments, span))
}

fn named(name: &str, document: Node) -> Node {
    let span = document.span;
    let members = [
        build::entry("PolicyName", build::text(name, span)),
        build::entry("PolicyDocument", document),
    ];
    build::map(members, span)
}

/// The ARN of a policy given by name or ARN.
fn managed_arn(name: &str, span: Span, out: &Expansion<'_>) -> Node {
    if name.starts_with("arn:") || name.starts_with("{{resolve:") {
        return build::text(name, span);
    }
    let path = if SERVICE_ROLES.contains(&name) { "service-role/" } else { "" };
    let partition = &out.context.names.partition;
    build::text(format!("arn:{partition}:iam::aws:policy/{path}{name}"), span)
}
