//! What the role of a function allows.

use serde_json::{Value as Json, json};

use super::world::{UNKNOWN, check, resolved};
use crate::policy::{Access, Policy, Verdict};
use crate::resolve::Compat;

const ROLE: &str = "arn:aws:iam::111122223333:role/Role";
const OWN: &str = "arn:aws:iam::111122223333:policy/AdministratorAccess";

/// What the handler's role says to a question.
fn verdict(changes: &Json, action: &str) -> Verdict {
    let (model, _, _) = resolved(changes, Compat::Wsgate);
    let function = model.functions.iter().find(|f| f.logical_id == "Handler").unwrap();
    assert_eq!(function.role, ROLE);
    let access = Access {
        action,
        resource: "arn:aws:ssm:us-east-1:111122223333:parameter/a",
        source_ip: "127.0.0.1".parse().unwrap(),
        now: 0,
        secure_transport: false,
    };
    Policy::evaluate(function.policies.as_deref().unwrap(), &access)
}

#[track_caller]
fn check_verdict(changes: &Json, want: Verdict) {
    assert_eq!(verdict(changes, "ssm:GetParameter"), want, "{changes}");
}

fn document(statement: Json) -> Json {
    json!({ "Version": "2012-10-17", "Statement": statement })
}

fn allow() -> Json {
    json!({ "Effect": "Allow", "Action": "ssm:*", "Resource": "*" })
}

fn deny() -> Json {
    json!({ "Effect": "Deny", "Action": "ssm:*", "Resource": "*" })
}

/// The role may read parameters, and has the second document besides.
fn with(second: &Json) -> Json {
    json!({ "Role": { "Policies": [
        { "PolicyName": "one", "PolicyDocument": document(allow()) },
        { "PolicyName": "two", "PolicyDocument": second },
    ] } })
}

#[test]
fn a_deny_of_any_policy_of_the_role_counts() {
    check_verdict(&with(&document(allow())), Verdict::Allow);
    check_verdict(&with(&document(deny())), Verdict::ExplicitDeny);
    for (kind, property, value) in [
        ("IAM::Policy", "Roles", json!(["Role"])),
        ("IAM::ManagedPolicy", "Roles", json!(["Role"])),
        ("IAM::RolePolicy", "RoleName", json!("Role")),
    ] {
        let mut changes = with(&document(allow()));
        changes["Extra"] = json!([kind, { "PolicyDocument": document(deny()), property: value }]);
        check_verdict(&changes, Verdict::ExplicitDeny);
    }
    let mut changes = with(&document(allow()));
    changes["Role"]["ManagedPolicyArns"] = json!([OWN]);
    changes["Extra"] =
        json!(["IAM::ManagedPolicy", { "PolicyDocument": document(deny()) }, [], OWN]);
    check_verdict(&changes, Verdict::ExplicitDeny);
}

#[test]
fn a_policy_of_the_account_is_not_that_of_aws_with_its_name() {
    let aws = "arn:aws:iam::aws:policy/AdministratorAccess";
    check_verdict(&json!({ "Role": { "ManagedPolicyArns": [aws] } }), Verdict::Allow);
    check_verdict(&json!({ "Role": { "ManagedPolicyArns": [OWN] } }), Verdict::ImplicitDeny);
}

#[test]
fn what_a_document_denies_is_denied_whatever_is_wrong_with_it() {
    let unread = json!({ "StringEquals": { "aws:RequestedRegion": "eu-west-1" } });
    for statement in [
        json!([deny(), { "Effect": "Allow", "Action": "ssm:*" }]),
        json!({ "Effect": "Deny", "Action": "ssm:*", "Resource": "*", "Condition": unread }),
        json!({ "Effect": "Deny", "NotAction": "s3:*", "Resource": "*", "Condition": unread }),
        json!({ "Effect": "Deny", "Action": "ssm:*", "Resource": UNKNOWN }),
        json!({ "Effect": "Deny", "Action": UNKNOWN, "Resource": "*" }),
        json!({ "Effect": UNKNOWN, "Action": "ssm:*", "Resource": "*" }),
        json!({ "Effect": "deny", "Action": "ssm:*", "Resource": "*" }),
        json!(["deny"]),
        json!(UNKNOWN),
    ] {
        check_verdict(&with(&document(statement)), Verdict::ExplicitDeny);
    }
    check_verdict(&with(&json!(UNKNOWN)), Verdict::ExplicitDeny);
}

#[test]
fn a_document_that_is_wrong_denies_nothing_else() {
    let unread = json!({ "StringEquals": { "aws:RequestedRegion": "eu-west-1" } });
    for statement in [
        json!({ "Effect": "Deny", "Action": "s3:*", "Resource": UNKNOWN }),
        json!({ "Effect": "Allow", "Action": "ssm:*", "Resource": UNKNOWN }),
        json!({ "Effect": "Allow", "Action": "ssm:*", "Resource": "*", "Condition": unread }),
    ] {
        check_verdict(&with(&document(statement)), Verdict::Allow);
    }
}

#[test]
fn a_wrong_document_is_reported_and_an_unknown_value_was() {
    let wrong = json!({ "Effect": "Allow", "Action": "ssm:*" });
    check(with(&document(wrong)), &["warning WSG-121 Role.Policies.1.PolicyDocument"]);
    check(with(&document(json!(UNKNOWN))), &[]);
}

#[test]
fn nothing_is_allowed_beyond_the_boundary() {
    let bounded = |boundary: &str| {
        let mut changes = with(&document(allow()));
        changes["Role"]["PermissionsBoundary"] = json!(boundary);
        changes
    };
    let aws = |name: &str| bounded(&format!("arn:aws:iam::aws:policy/{name}"));
    check_verdict(&aws("AmazonSSMReadOnlyAccess"), Verdict::Allow);
    check_verdict(&aws("AmazonAPIGatewayInvokeFullAccess"), Verdict::ImplicitDeny);
    assert_eq!(verdict(&aws("AmazonSSMReadOnlyAccess"), "ssm:PutParameter"), Verdict::ImplicitDeny);

    let own = |statement: Json| {
        let mut changes = bounded(OWN);
        changes["Extra"] =
            json!(["IAM::ManagedPolicy", { "PolicyDocument": document(statement) }, [], OWN]);
        changes
    };
    check_verdict(&own(allow()), Verdict::Allow);
    check_verdict(&own(deny()), Verdict::ExplicitDeny);
    check_verdict(&own(json!([])), Verdict::ImplicitDeny);

    let mut only = json!({ "Role": {} });
    only["Role"]["PermissionsBoundary"] = json!("arn:aws:iam::aws:policy/AdministratorAccess");
    check_verdict(&only, Verdict::ImplicitDeny);
}

#[test]
fn a_boundary_that_is_not_known_is_reported() {
    let mut changes = with(&document(allow()));
    changes["Role"]["PermissionsBoundary"] = json!(OWN);
    check(changes.clone(), &["warning WSG-121 Role.PermissionsBoundary"]);
    check_verdict(&changes, Verdict::Allow);
}
