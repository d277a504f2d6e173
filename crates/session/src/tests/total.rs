//! Whatever a peer or a function sends, nothing panics and nothing opens.

use api_model::api::Integration;
use proptest::prelude::*;
use serde_json::{Value, json};
use websocket::write;

use super::play::{limits, play, stage, stage_with_default};
use super::world::{Way, connect, function, http_proxy, message, mock, pairs, parameters, route};
use crate::event::{authorizer_event, parse_authorizer_result, parse_proxy_result, proxy_event};
use crate::integration::call;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z$\\\\\"'{}é]{0,8}".prop_map(Value::from),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{0,3}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Something near an authorizer's result.
fn authorizer_result() -> impl Strategy<Value = Value> {
    let effect = prop_oneof![Just(json!("Allow")), Just(json!("Deny")), scalar()];
    let statement = (effect, json_value()).prop_map(|(effect, resource)| {
        json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": resource })
    });
    let policy = prop_oneof![
        statement.prop_map(|statement| json!({ "Version": "2012-10-17", "Statement": statement })),
        Just(json!({ "Statement": { "Action": "*", "Effect": "Allow", "Resource": "*" } })),
        json_value(),
    ];
    (policy, json_value(), json_value(), any::<[bool; 3]>()).prop_map(
        |(policy, context, principal, has)| {
            let mut result = serde_json::Map::new();
            let members =
                [("policyDocument", policy), ("context", context), ("principalId", principal)];
            for ((name, value), has) in members.into_iter().zip(has) {
                if has {
                    result.insert(name.to_owned(), value);
                }
            }
            Value::Object(result)
        },
    )
}

proptest! {
    #[test]
    fn an_accepted_result_has_a_policy_and_a_flat_context(result in authorizer_result()) {
        let payload = result.to_string();
        if let Ok(parsed) = parse_authorizer_result(payload.as_bytes()) {
            let policy = &result["policyDocument"];
            prop_assert!(policy["Statement"].is_object() || policy["Statement"].is_array());
            prop_assert!(result["principalId"].is_null() || result["principalId"].is_string()
                || result["principalId"].is_number());
            let context = &result["context"];
            prop_assert!(context.is_null() || context.is_object());
            let members = context.as_object().cloned().unwrap_or_default();
            prop_assert!(members.values().all(|value| !value.is_object() && !value.is_array()));
            let kept = members.values().filter(|value| !value.is_null()).count();
            prop_assert_eq!(parsed.authorized.context.len(), kept);
        }
    }

    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..64), text in "\\PC{0,64}") {
        for payload in [payload.as_slice(), text.as_bytes()] {
            let _ = parse_authorizer_result(payload);
            let _ = parse_proxy_result(payload);
        }
    }

    #[test]
    fn no_message_panics_and_each_is_answered(text in "\\PC{0,64}", value in json_value()) {
        for text in [text, value.to_string(), json!({ "action": value }).to_string()] {
            prop_assume!(!text.contains(['\n', '\r']));
            for stage in [stage(), stage_with_default()] {
                let transcript = play(&format!("0s text {text}"), &stage, &limits());
                prop_assert_eq!(transcript.lines().filter(|line| !line.contains("failed")).count(), 1);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 1..64)) {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        play(&format!("0s bytes {}\n1s drain\n10s wait", hex.join(" ")), &stage(), &limits());
    }

    #[test]
    fn frames_in_pieces_mean_the_same(at in 1_usize..40) {
        let mut frames = Vec::new();
        write::client::text(&mut frames, r#"{"action":"one","n":1}"#, [1, 2, 3, 4]);
        write::client::ping(&mut frames, b"x", [5, 6, 7, 8]);
        write::client::text(&mut frames, r#"{"action":"one","n":2}"#, [9, 10, 11, 12]);
        let hex = |bytes: &[u8]| {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
        };
        let (head, tail) = frames.split_at(at);
        let script = format!("0s bytes {}\n0s bytes {}", hex(head), hex(tail));
        let transcript = play(&script, &stage(), &limits());
        let mut lines: Vec<&str> = transcript.lines().collect();
        lines.sort_unstable();
        prop_assert_eq!(lines, [
            r#"0s call one {"action":"one","n":1}"#,
            r#"0s call one {"action":"one","n":2}"#,
            "0s pong x",
        ]);
    }

    #[test]
    fn events_are_json_whatever_the_client_sends(
        headers in prop::collection::vec(("[!-~]{1,6}", "\\PC{0,8}"), 0..6),
        query in prop::collection::vec(("\\PC{0,4}", "\\PC{0,8}"), 0..6),
        body in "\\PC{0,32}",
    ) {
        let mut operation = connect();
        let crate::connection::Kind::Connect { handshake, .. } = &mut operation.kind else {
            unreachable!("it is a connect");
        };
        let handshake = std::sync::Arc::make_mut(handshake);
        handshake.headers = headers;
        handshake.query = query.clone();
        let event: Value = serde_json::from_slice(&authorizer_event(&operation)).unwrap();
        let last = query.iter().rev().find(|(name, _)| *name == query[0].0);
        if let Some((name, value)) = last {
            prop_assert_eq!(&event["queryStringParameters"][name], value);
        }
        let _: Value = serde_json::from_slice(&proxy_event(&operation, None, false)).unwrap();
        let event: Value = serde_json::from_slice(&proxy_event(&message(), Some(&body), false)).unwrap();
        prop_assert_eq!(&event["body"], &body);
    }

    #[test]
    fn templates_never_panic_on_a_body(body in "\\PC{0,32}", value in json_value()) {
        let template = r#"{"statusCode":200} $input.json('$.a') $input.path('$..b') $util.escapeJavaScript($input.body)"#;
        for body in [body, value.to_string()] {
            let _ = call(&mock(template, "x"), &message(), Some(&body), false);
        }
    }
}

/// Cookies, tokens in queries, context values and bodies stay out of debug output,
/// which ends up in logs.
#[test]
fn debug_output_holds_no_secret() {
    let mut operation = connect();
    let crate::connection::Kind::Connect { handshake, .. } = &mut operation.kind else {
        unreachable!("it is a connect");
    };
    let handshake = std::sync::Arc::make_mut(handshake);
    handshake.headers = pairs(&[("Cookie", "JWT=hush"), ("Authorization", "Bearer hush")]);
    handshake.query = pairs(&[("access_token", "hush")]);
    let connection = std::sync::Arc::make_mut(&mut operation.connection);
    connection.authorizer.as_mut().unwrap().context = pairs(&[("upstream", "hush")]);
    let shown = |integration: Integration| {
        let call = call(&integration, &operation, None, false).unwrap();
        let route = std::sync::Arc::new(route("$connect", Way::One, Some(integration)));
        let body = "hush".to_owned();
        format!(
            "{:?}",
            crate::Work::Invocation(crate::Invocation {
                operation: operation.clone(),
                route,
                call,
                body
            })
        )
    };
    let mapped = Integration {
        parameters: parameters(&[("querystring.t", "route.request.querystring.access_token")]),
        ..http_proxy("http://h/put")
    };
    for text in [shown(mapped), shown(function())] {
        assert!(!text.contains("hush") && text.contains("Cookie"), "{text}");
    }
    let renewal = crate::Renewal::parse(r#"{"token":"hush"}"#, operation.request_id);
    assert_eq!(renewal.token.as_deref(), Some("hush"));
    let text = format!("{:?}", crate::Work::Renewal(renewal));
    assert!(!text.contains("hush") && text.contains("Renewal"), "{text}");
}
