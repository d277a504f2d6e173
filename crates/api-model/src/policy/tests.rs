use proptest::prelude::*;
use serde_json::json;

use super::*;

const CONNECT: &str = "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/$connect";
const POST: &str =
    "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/POST/@connections/{connectionId}";
/// 2026-11-20T12:00:00Z.
const NOW: i64 = 1_795_176_000;

fn access<'a>(action: &'a str, resource: &'a str) -> Access<'a> {
    Access {
        action,
        resource,
        source_ip: IpAddr::from([203, 0, 113, 7]),
        now: NOW,
        secure_transport: true,
    }
}

fn policy(statement: Value) -> Policy {
    Policy::parse(&json!({ "Version": "2012-10-17", "Statement": statement })).unwrap()
}

fn allow(action: Value, resource: Value) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

fn deny(action: Value, resource: Value) -> Value {
    json!({ "Effect": "Deny", "Action": action, "Resource": resource })
}

fn invoke(statement: Value) -> Verdict {
    Policy::evaluate(&[policy(statement)], &access("execute-api:Invoke", CONNECT))
}

#[track_caller]
fn check_resource(pattern: &str, resource: &str, want: Verdict) {
    let policy = policy(allow(json!("execute-api:ManageConnections"), json!(pattern)));
    let access = access("execute-api:ManageConnections", resource);
    assert_eq!(Policy::evaluate(&[policy], &access), want, "{pattern} on {resource}");
}

#[track_caller]
fn check_condition(condition: Value, want: Verdict) {
    let mut statement = allow(json!("*"), json!("*"));
    statement["Condition"] = condition.clone();
    assert_eq!(invoke(statement), want, "{condition}");
}

#[track_caller]
fn check_malformed(document: Value, place: &str, reason: Reason) {
    let error = Policy::parse(&document).unwrap_err();
    assert_eq!((error.place.as_str(), error.reason), (place, reason), "{document}");
}

#[track_caller]
fn check_statement(members: Value, place: &str, reason: Reason) {
    let mut statement = allow(json!("*"), json!("*"));
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(statement.as_object_mut().unwrap().remove(name)),
            value => statement[name] = value.clone(),
        }
    }
    check_malformed(json!({ "Version": "2012-10-17", "Statement": [statement] }), place, reason);
}

#[test]
fn an_explicit_deny_beats_every_allow() {
    let all = allow(json!("*"), json!("*"));
    let none = deny(json!("execute-api:*"), json!("*"));
    assert_eq!(invoke(json!([all, none])), Verdict::ExplicitDeny);
    assert_eq!(invoke(json!([none, all])), Verdict::ExplicitDeny);
    assert_eq!(invoke(all.clone()), Verdict::Allow);
    let access = access("execute-api:Invoke", CONNECT);
    assert_eq!(Policy::evaluate(&[policy(all), policy(none)], &access), Verdict::ExplicitDeny);
    assert_eq!(Policy::evaluate(&[], &access), Verdict::ImplicitDeny);
}

#[test]
fn actions_ignore_case_and_resources_do_not() {
    assert_eq!(invoke(allow(json!("EXECUTE-API:invoke"), json!(CONNECT))), Verdict::Allow);
    let upper = CONNECT.to_uppercase();
    assert_eq!(invoke(allow(json!("*"), json!(upper))), Verdict::ImplicitDeny);
}

#[test]
fn wildcards_match_as_in_iam() {
    let api = "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5";
    check_resource(&format!("{api}/*"), POST, Verdict::Allow);
    check_resource(&format!("{api}/prod/POST/@connections/*"), POST, Verdict::Allow);
    check_resource(&format!("{api}/prod/POST/@connections/{{connectionId}}"), POST, Verdict::Allow);
    check_resource(&format!("{api}/prod/POST/@connections"), POST, Verdict::ImplicitDeny);
    check_resource(&format!("{api}/prod/GET/@connections/*"), POST, Verdict::ImplicitDeny);
    check_resource(&format!("{api}/prod/POST/@connections/abc="), POST, Verdict::ImplicitDeny);
    check_resource(&format!("{api}/prod/*/*"), CONNECT, Verdict::ImplicitDeny);
    check_resource(&format!("{api}/pr?d/$connec?"), CONNECT, Verdict::Allow);
    check_resource(&format!("{api}/prod/$connect?"), CONNECT, Verdict::ImplicitDeny);
    check_resource("arn:*:execute-api:*:*:*/*/$connect", CONNECT, Verdict::Allow);
    check_resource("*$connect*", CONNECT, Verdict::Allow);
    check_resource("*?$connect", "$connect", Verdict::ImplicitDeny);
    check_resource("é?*", "éü", Verdict::Allow);
}

#[test]
fn the_not_forms_cover_everything_else() {
    let statement = json!({ "Effect": "Allow", "NotAction": "ssm:*", "NotResource": "*/other/*" });
    assert_eq!(invoke(statement), Verdict::Allow);
    let statement = json!({ "Effect": "Allow", "NotAction": "execute-api:*", "Resource": "*" });
    assert_eq!(invoke(statement), Verdict::ImplicitDeny);
    let statement = json!({ "Effect": "Deny", "Action": "*", "NotResource": "*/prod/*" });
    assert_eq!(invoke(statement), Verdict::ImplicitDeny);
    let statement = json!({ "Effect": "Deny", "NotAction": "ssm:*", "Resource": "*" });
    assert_eq!(invoke(statement), Verdict::ExplicitDeny);
}

#[test]
fn only_policies_that_name_them_allow_the_own_actions() {
    let broadcast = access("wsgate:Broadcast", CONNECT);
    let verdict = |statement| Policy::evaluate(&[policy(statement)], &broadcast);
    for action in ["*", "**", "w*:Broadcast", "*:Broadcast", "wsgate?Broad:*", "execute-api:*"] {
        assert_eq!(verdict(allow(json!(action), json!("*"))), Verdict::ImplicitDeny, "{action}");
    }
    let others =
        json!({ "Effect": "Allow", "NotAction": "wsgate:ClosePrincipal", "Resource": "*" });
    assert_eq!(verdict(others), Verdict::ImplicitDeny);
    let administrator = Policy::managed("AdministratorAccess").unwrap();
    assert_eq!(Policy::evaluate(&[administrator], &broadcast), Verdict::ImplicitDeny);
    for action in ["wsgate:*", "WSGATE:broadcast", "wsgate:Broad*"] {
        assert_eq!(verdict(allow(json!(action), json!("*"))), Verdict::Allow, "{action}");
    }
    let both = json!([allow(json!("wsgate:*"), json!("*")), deny(json!("*"), json!("*"))]);
    assert_eq!(verdict(both), Verdict::ExplicitDeny);
}

#[test]
fn conditions_compare_addresses() {
    let one = |operator: &str, values: Value| json!({ operator: { "aws:SourceIp": values } });
    check_condition(one("IpAddress", json!("203.0.113.0/24")), Verdict::Allow);
    check_condition(one("IpAddress", json!("203.0.113.7")), Verdict::Allow);
    check_condition(one("IpAddress", json!(["2001:db8::/32", "203.0.0.1/16"])), Verdict::Allow);
    check_condition(one("IpAddress", json!("::/0")), Verdict::ImplicitDeny);
    check_condition(one("NotIpAddress", json!("203.0.113.0/24")), Verdict::ImplicitDeny);
    let several = json!(["198.51.100.0/24", "203.0.113.0/24"]);
    check_condition(one("NotIpAddress", several), Verdict::ImplicitDeny);
    check_condition(one("StringLike", json!("203.0.113.?")), Verdict::Allow);
}

#[test]
fn an_ipv4_address_inside_ipv6_counts_as_ipv4() {
    let mut statement = deny(json!("*"), json!("*"));
    statement["Condition"] = json!({ "IpAddress": { "aws:sourceip": "203.0.113.0/24" } });
    let mut access = access("execute-api:Invoke", CONNECT);
    access.source_ip = "::ffff:203.0.113.7".parse().unwrap();
    assert_eq!(Policy::evaluate(&[policy(statement)], &access), Verdict::ExplicitDeny);
}

#[test]
fn conditions_compare_times() {
    let one = |operator: &str, value: Value| json!({ operator: { "aws:CurrentTime": value } });
    for past in ["2026", "2026-11", "2026-11-20", "2026-11-20T11:59Z", "2026-11-20T12:59:59+01:00"]
    {
        check_condition(one("DateGreaterThan", json!(past)), Verdict::Allow);
        check_condition(one("DateLessThan", json!(past)), Verdict::ImplicitDeny);
    }
    check_condition(one("DateEquals", json!("2026-11-20T12:00:00.000Z")), Verdict::Allow);
    check_condition(one("DateEquals", json!(NOW)), Verdict::Allow);
    check_condition(one("DateNotEquals", json!(NOW.to_string())), Verdict::ImplicitDeny);
    check_condition(one("DateLessThanEquals", json!(NOW)), Verdict::Allow);
    check_condition(one("DateGreaterThanEquals", json!(NOW + 1)), Verdict::ImplicitDeny);
    let mut far = access("execute-api:Invoke", CONNECT);
    for now in [i64::MIN, i64::MAX] {
        far.now = now;
        let mut statement = allow(json!("*"), json!("*"));
        statement["Condition"] = one("DateLessThan", json!("2030-01-01"));
        let want = if now < 0 { Verdict::Allow } else { Verdict::ImplicitDeny };
        assert_eq!(Policy::evaluate(&[policy(statement)], &far), want);
    }
}

#[test]
fn all_operators_and_keys_of_a_condition_must_hold() {
    let tls = |value: Value| json!({ "Bool": { "aws:SecureTransport": value } });
    check_condition(tls(json!("true")), Verdict::Allow);
    check_condition(tls(json!(false)), Verdict::ImplicitDeny);
    check_condition(json!({}), Verdict::Allow);
    let both = |ip: &str| json!({ "Bool": { "aws:SecureTransport": true }, "IpAddress": { "aws:SourceIp": ip } });
    check_condition(both("203.0.113.7"), Verdict::Allow);
    check_condition(both("203.0.113.8"), Verdict::ImplicitDeny);
    let words = json!({ "StringEqualsIgnoreCase": { "aws:SecureTransport": "TRUE" },
                        "StringNotEquals": { "aws:SourceIp": ["1.1.1.1", "2.2.2.2"] } });
    check_condition(words, Verdict::Allow);
}

#[test]
fn what_is_not_evaluated_is_malformed() {
    use Reason::*;
    check_statement(json!({ "Effect": "allow" }), "Statement[0].Effect", Effect);
    check_statement(json!({ "Effect": null }), "Statement[0]", Effect);
    check_statement(json!({ "Action": null }), "Statement[0].Action", ExactlyOne);
    check_statement(json!({ "NotAction": "a:b" }), "Statement[0].Action", ExactlyOne);
    check_statement(json!({ "NotResource": "*" }), "Statement[0].Resource", ExactlyOne);
    check_statement(json!({ "Action": [] }), "Statement[0].Action", Empty);
    check_statement(json!({ "Action": "Invoke" }), "Statement[0].Action", Action);
    check_statement(json!({ "Action": { "a": 1 } }), "Statement[0].Action", Shape);
    check_statement(json!({ "Resource": "" }), "Statement[0].Resource", Empty);
    check_statement(json!({ "Resource": ["*", 1] }), "Statement[0].Resource", Shape);
    check_statement(json!({ "Resource": "a".repeat(512) + "b" }), "Statement[0].Resource", TooLong);
    check_statement(json!({ "Resource": "${aws:username}" }), "Statement[0].Resource", Variable);
    check_statement(json!({ "Resource": "${*" }), "Statement[0].Resource", Variable);
    check_statement(json!({ "Principal": "*" }), "Statement[0].Principal", Member);
    check_statement(json!({ "Sid": 1 }), "Statement[0].Sid", Member);
    check_statement(json!({ "Condition": [] }), "Statement[0].Condition", Shape);
    for operator in
        ["IpAddressIfExists", "ForAnyValue:StringLike", "ForAllValues:StringEquals", "Null", "bool"]
    {
        check_statement(
            json!({ "Condition": { operator: { "aws:SourceIp": "true" } } }),
            &format!("Statement[0].Condition.{operator}"),
            ConditionOperator,
        );
    }
    let condition = |operator: &str, key: &str, value: Value, reason| {
        let place = format!("Statement[0].Condition.{operator}.{key}");
        check_statement(json!({ "Condition": { operator: { key: value } } }), &place, reason);
    };
    condition("StringEquals", "aws:UserAgent", json!("x"), ConditionKey);
    condition("IpAddress", "aws:CurrentTime", json!("10.0.0.0/8"), ConditionOperator);
    condition("IpAddress", "aws:SourceIp", json!("10.0.0.0/33"), ConditionValue);
    condition("DateLessThan", "aws:CurrentTime", json!("2026-13-01"), ConditionValue);
    condition("DateLessThan", "aws:CurrentTime", json!("2026-01-01T00:00:00"), ConditionValue);
    condition("Bool", "aws:SecureTransport", json!("yes"), ConditionValue);
    condition("StringLike", "aws:SourceIp", json!("${aws:SourceIp}"), Variable);
    condition("StringEquals", "aws:SourceIp", json!(null), Shape);
    condition("StringEquals", "aws:SourceIp", json!([]), Empty);

    check_malformed(json!([]), "policy", Shape);
    check_malformed(json!({}), "Statement", Shape);
    check_malformed(json!({ "Statement": "x" }), "Statement", Shape);
    check_malformed(json!({ "Statement": [null] }), "Statement[0]", Shape);
    check_malformed(json!({ "Version": "2012-10-18", "Statement": [] }), "Version", Version);
    check_malformed(json!({ "Version": null, "Statement": [] }), "Version", Version);
    check_malformed(json!({ "Statement": [], "Extra": 1 }), "Extra", Member);
    let many = vec![allow(json!("*"), json!("*")); STATEMENTS_MAX + 1];
    check_malformed(json!({ "Statement": many }), "Statement", TooLong);
    let many = vec!["*"; STRINGS_MAX + 1];
    check_malformed(
        json!({ "Statement": { "Effect": "Allow", "Action": "*", "Resource": many } }),
        "Statement[0].Resource",
        TooLong,
    );
}

#[test]
fn wildcards_can_be_escaped_where_variables_exist() {
    let escaped = json!("${*}${?}${$}");
    let new = policy(allow(json!("*"), escaped.clone()));
    let old = Policy::parse(&json!({ "Statement": allow(json!("*"), escaped) })).unwrap();
    let check = |policy: &Policy, resource, want| {
        assert_eq!(Policy::evaluate([policy], &access("a:b", resource)), want, "{resource}");
    };
    check(&new, "*?$", Verdict::Allow);
    check(&new, "xy$", Verdict::ImplicitDeny);
    check(&old, "${x}${y}${$}", Verdict::Allow);
    check(&old, "*?$", Verdict::ImplicitDeny);
}

#[test]
fn a_role_is_read_only_where_it_touches_what_is_served() {
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": { "Null": {} } },
        { "Effect": "Allow", "Action": ["logs:*", "wsgate:*"], "Resource": "*", "Principal": "*" },
        { "Effect": "Allow", "Action": "EXEC*", "Resource": "*" },
    ] });
    // `exec*` has no colon, which is malformed also in a role.
    assert_eq!(Policy::parse_role(&document).unwrap_err().reason, Reason::Action);
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": { "Null": {} } },
        { "Effect": "Allow", "Action": ["logs:*", "wsgate:*"], "Resource": "*", "Principal": "*" },
        { "Effect": "Allow", "Action": "execute-?pi:Manage*", "Resource": "*" },
    ] });
    let role = Policy::parse_role(&document).unwrap();
    let verdict = |action| Policy::evaluate([&role], &access(action, POST));
    assert_eq!(verdict("execute-api:ManageConnections"), Verdict::Allow);
    assert_eq!(verdict("s3:GetObject"), Verdict::ImplicitDeny);
    assert_eq!(verdict("wsgate:Broadcast"), Verdict::ImplicitDeny);
    for action in ["ssm:GetParameter", "*", "SSM:*", "?sm:Get*", "s*:*"] {
        let statement = json!({ "Effect": "Allow", "Action": action, "Resource": "*", "Extra": 1 });
        let error = Policy::parse_role(&json!({ "Statement": statement })).unwrap_err();
        assert_eq!(error.reason, Reason::Member, "{action}");
    }
}

#[test]
fn managed_policies_are_found_by_name_and_arn() {
    let verdict = |name: &str, action| {
        Policy::managed(name).map(|policy| Policy::evaluate(&[policy], &access(action, POST)))
    };
    let invoke = "arn:aws:iam::aws:policy/AmazonAPIGatewayInvokeFullAccess";
    assert_eq!(verdict(invoke, "execute-api:ManageConnections"), Some(Verdict::Allow));
    assert_eq!(verdict("AmazonSSMReadOnlyAccess", "ssm:GetParameter"), Some(Verdict::Allow));
    assert_eq!(verdict("AmazonSSMReadOnlyAccess", "ssm:PutParameter"), Some(Verdict::ImplicitDeny));
    assert_eq!(verdict("PowerUserAccess", "ssm:GetParameter"), Some(Verdict::Allow));
    let logs = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
    assert_eq!(verdict(logs, "execute-api:Invoke"), Some(Verdict::ImplicitDeny));
    assert_eq!(verdict("arn:aws:iam::111122223333:policy/AdministratorAccess", "a:b"), None);
    assert_eq!(verdict("SomethingElse", "a:b"), None);
}

#[test]
fn patterns_made_to_be_slow_are_not() {
    let patterns = [
        "*a".repeat(255) + "b",
        "*".to_owned() + &"a".repeat(250) + "?" + &"a".repeat(250) + "b",
        "*?".repeat(255),
    ];
    let resources: Vec<_> = patterns.iter().cycle().take(120).collect();
    let policy = policy(allow(json!("*"), json!(resources)));
    let resource = "a".repeat(2048);
    // Backtracking would not come back: the last pattern alone has 10^140 ways to split the text.
    let verdict = Policy::evaluate(&[policy], &access("execute-api:Invoke", &resource));
    assert_eq!(verdict, Verdict::Allow);
}

/// The textbook definition, exponential in the number of `*`.
fn matches_naively(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=text.len()).any(|n| matches_naively(rest, &text[n..])),
        (['?', rest @ ..], [_, text @ ..]) => matches_naively(rest, text),
        ([p, rest @ ..], [t, text @ ..]) if p == t => matches_naively(rest, text),
        _ => false,
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let words = prop_oneof![
        Just("Allow"),
        Just("*"),
        Just("a:b"),
        Just("2012-10-17"),
        Just("${x}"),
        Just("10.0.0.0/8"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("Version"),
        Just("Statement"),
        Just("Effect"),
        Just("Action"),
        Just("Resource"),
        Just("NotAction"),
        Just("Condition"),
        Just("IpAddress"),
        Just("aws:SourceIp"),
        Just("DateEquals"),
        Just("aws:CurrentTime"),
        Just("StringLike"),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(names.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn matching_agrees_with_the_definition(pattern in "[ab*?é]{0,12}", text in "[abé]{0,90}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let want = matches_naively(&chars(&pattern), &chars(&text));
        let got = Pattern::parse(&pattern).matches(&Subject::new(text));
        prop_assert_eq!(got, want);
    }

    #[test]
    fn a_pattern_reaches_the_prefix_of_all_it_matches(pattern in "[ab:*?]{0,8}", text in "[ab:]{0,8}") {
        let pattern = Pattern::parse(&pattern);
        if pattern.matches(&Subject::new(text.as_str())) {
            for end in 0..=text.len() {
                prop_assert!(pattern.reaches(&text[..end]));
            }
        }
    }

    #[test]
    fn no_document_panics_and_none_without_allow_allows(document in json_value()) {
        let read = [Policy::parse(&document), Policy::parse_role(&document)];
        for policy in read.into_iter().flatten() {
            let verdict = Policy::evaluate(&[policy], &access("execute-api:Invoke", CONNECT));
            prop_assert!(verdict != Verdict::Allow || document.to_string().contains("Allow"));
        }
    }
}
