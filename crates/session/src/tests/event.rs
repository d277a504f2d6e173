//! Events of functions: every key, its order, and which keys are absent.

use expect_test::{Expect, expect};

use super::world::{bare, connect, connect_with, disconnect, message};
use crate::connection::Operation;
use crate::event::{authorizer_event, proxy_event, request_time};

/// The event with one member per line.
#[track_caller]
fn check(event: &[u8], want: Expect) {
    let event: serde_json::Value = serde_json::from_slice(event).unwrap();
    want.assert_eq(&format!("{}\n", serde_json::to_string_pretty(&event).unwrap()));
}

fn keys(event: &[u8]) -> String {
    let event: serde_json::Value = serde_json::from_slice(event).unwrap();
    event.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
}

fn headers(operation: &Operation) -> serde_json::Value {
    let event = proxy_event(operation, None, false);
    let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
    event["multiValueHeaders"].clone()
}

#[test]
fn connect_shows_the_handshake_without_its_hop_by_hop_headers() {
    check(
        &proxy_event(&connect(), None, false),
        expect![[r#"
        {
          "headers": {
            "cookie": "sid=abc",
            "Host": "ws.example.com:8443",
            "User-Agent": "demo-client/1.0",
            "X-Amzn-Trace-Id": "Root=1-6ab5bec5-000000000000000000000001",
            "X-Forwarded-For": "198.51.100.7",
            "X-Hop": "1",
            "X-Mixed-Header": "last"
          },
          "multiValueHeaders": {
            "cookie": [
              "sid=abc"
            ],
            "Host": [
              "ws.example.com:8443"
            ],
            "User-Agent": [
              "demo-client/1.0"
            ],
            "X-Amzn-Trace-Id": [
              "Root=1-6ab5bec5-000000000000000000000001"
            ],
            "X-Forwarded-For": [
              "198.51.100.7"
            ],
            "X-Hop": [
              "1"
            ],
            "X-Mixed-Header": [
              "first",
              "last"
            ]
          },
          "queryStringParameters": {
            "none": "",
            "room": "blue",
            "tag": "second"
          },
          "multiValueQueryStringParameters": {
            "none": [
              ""
            ],
            "room": [
              "blue"
            ],
            "tag": [
              "first",
              "second"
            ]
          },
          "stageVariables": {
            "env": "dev",
            "empty": ""
          },
          "requestContext": {
            "routeKey": "$connect",
            "authorizer": {
              "tenant": "acme",
              "level": "3",
              "principalId": "user-42",
              "integrationLatency": 33
            },
            "eventType": "CONNECT",
            "extendedRequestId": "cmVxdWVzdC1vbmU=",
            "requestTime": "25/Sep/2026:00:02:15 +0000",
            "messageDirection": "IN",
            "stage": "dev",
            "connectedAt": 1790294533000,
            "requestTimeEpoch": 1790294535120,
            "identity": {
              "userAgent": "demo-client/1.0",
              "sourceIp": "198.51.100.7"
            },
            "requestId": "cmVxdWVzdC1vbmU=",
            "domainName": "ws.example.com",
            "connectionId": "gbgBRs9dGQAYKEh7VA==",
            "apiId": "a1b2c3d4e5"
          },
          "isBase64Encoded": false
        }
    "#]],
    );
}

#[test]
fn connect_without_query_variables_or_authorizer_lacks_their_keys() {
    let mut operation = bare(connect_with(&[("Host", "h")]));
    let crate::connection::Kind::Connect { handshake, .. } = &mut operation.kind else {
        unreachable!("it is a connect");
    };
    std::sync::Arc::make_mut(handshake).query.clear();
    let event = proxy_event(&operation, None, false);
    assert_eq!(keys(&event), "headers multiValueHeaders requestContext isBase64Encoded");
    let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
    assert_eq!(event["requestContext"]["authorizer"], serde_json::Value::Null);
    assert_eq!(event["requestContext"]["identity"].to_string(), r#"{"sourceIp":"198.51.100.7"}"#);
}

#[test]
fn a_message_has_no_headers_and_no_query() {
    check(
        &proxy_event(&message(), Some("{\"action\": \"send\" }\n"), false),
        expect![[r#"
        {
          "stageVariables": {
            "env": "dev",
            "empty": ""
          },
          "requestContext": {
            "routeKey": "send",
            "authorizer": {
              "tenant": "acme",
              "level": "3",
              "principalId": "user-42"
            },
            "messageId": "bWVzc2FnZS1pZC0xMw==",
            "eventType": "MESSAGE",
            "extendedRequestId": "cmVxdWVzdC1vbmU=",
            "requestTime": "25/Sep/2026:00:02:15 +0000",
            "messageDirection": "IN",
            "stage": "dev",
            "connectedAt": 1790294533000,
            "requestTimeEpoch": 1790294535120,
            "identity": {
              "userAgent": "demo-client/1.0",
              "sourceIp": "198.51.100.7"
            },
            "requestId": "cmVxdWVzdC1vbmU=",
            "domainName": "ws.example.com",
            "connectionId": "gbgBRs9dGQAYKEh7VA==",
            "apiId": "a1b2c3d4e5"
          },
          "body": "{\"action\": \"send\" }\n",
          "isBase64Encoded": false
        }
    "#]],
    );
}

#[test]
fn a_base64_message_says_so() {
    let event = proxy_event(&bare(message()), Some("AAE="), true);
    assert_eq!(keys(&event), "requestContext body isBase64Encoded");
    assert!(event.ends_with(br#""body":"AAE=","isBase64Encoded":true}"#));
}

#[test]
fn a_disconnect_has_four_made_up_headers_and_keeps_an_empty_reason() {
    check(
        &proxy_event(&disconnect(1001, ""), None, false),
        expect![[r#"
        {
          "headers": {
            "Host": "ws.example.com:8443",
            "x-api-key": "",
            "X-Forwarded-For": "",
            "x-restapi": ""
          },
          "multiValueHeaders": {
            "Host": [
              "ws.example.com:8443"
            ],
            "x-api-key": [
              ""
            ],
            "X-Forwarded-For": [
              ""
            ],
            "x-restapi": [
              ""
            ]
          },
          "stageVariables": {
            "env": "dev",
            "empty": ""
          },
          "requestContext": {
            "routeKey": "$disconnect",
            "disconnectStatusCode": 1001,
            "authorizer": {
              "tenant": "acme",
              "level": "3",
              "principalId": "user-42"
            },
            "eventType": "DISCONNECT",
            "extendedRequestId": "cmVxdWVzdC1vbmU=",
            "requestTime": "25/Sep/2026:00:02:15 +0000",
            "messageDirection": "IN",
            "disconnectReason": "",
            "stage": "dev",
            "connectedAt": 1790294533000,
            "requestTimeEpoch": 1790294535120,
            "identity": {
              "userAgent": "demo-client/1.0",
              "sourceIp": "198.51.100.7"
            },
            "requestId": "cmVxdWVzdC1vbmU=",
            "domainName": "ws.example.com",
            "connectionId": "gbgBRs9dGQAYKEh7VA==",
            "apiId": "a1b2c3d4e5"
          },
          "isBase64Encoded": false
        }
    "#]],
    );
}

#[test]
fn the_authorizer_sees_the_whole_upgrade_and_no_verdict() {
    check(
        &authorizer_event(&connect()),
        expect![[r#"
        {
          "type": "REQUEST",
          "methodArn": "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/dev/$connect",
          "headers": {
            "Connection": "upgrade",
            "content-length": "0",
            "cookie": "sid=abc",
            "Host": "ws.example.com:8443",
            "Upgrade": "websocket",
            "User-Agent": "demo-client/1.0",
            "X-Amzn-Trace-Id": "Root=1-6ab5bec5-000000000000000000000001",
            "X-Forwarded-For": "198.51.100.7",
            "X-Hop": "1",
            "X-Mixed-Header": "last"
          },
          "multiValueHeaders": {
            "Connection": [
              "upgrade"
            ],
            "content-length": [
              "0"
            ],
            "cookie": [
              "sid=abc"
            ],
            "Host": [
              "ws.example.com:8443"
            ],
            "Upgrade": [
              "websocket"
            ],
            "User-Agent": [
              "demo-client/1.0"
            ],
            "X-Amzn-Trace-Id": [
              "Root=1-6ab5bec5-000000000000000000000001"
            ],
            "X-Forwarded-For": [
              "198.51.100.7"
            ],
            "X-Hop": [
              "1"
            ],
            "X-Mixed-Header": [
              "first",
              "last"
            ]
          },
          "queryStringParameters": {
            "none": "",
            "room": "blue",
            "tag": "second"
          },
          "multiValueQueryStringParameters": {
            "none": [
              ""
            ],
            "room": [
              "blue"
            ],
            "tag": [
              "first",
              "second"
            ]
          },
          "stageVariables": {
            "env": "dev",
            "empty": ""
          },
          "requestContext": {
            "routeKey": "$connect",
            "eventType": "CONNECT",
            "extendedRequestId": "cmVxdWVzdC1vbmU=",
            "requestTime": "25/Sep/2026:00:02:15 +0000",
            "messageDirection": "IN",
            "stage": "dev",
            "connectedAt": 1790294533000,
            "requestTimeEpoch": 1790294535120,
            "identity": {
              "userAgent": "demo-client/1.0",
              "sourceIp": "198.51.100.7"
            },
            "requestId": "cmVxdWVzdC1vbmU=",
            "domainName": "ws.example.com",
            "connectionId": "gbgBRs9dGQAYKEh7VA==",
            "apiId": "a1b2c3d4e5"
          }
        }
    "#]],
    );
}

#[test]
fn the_authorizers_empty_maps_are_there() {
    let mut operation = bare(connect_with(&[("Host", "h")]));
    let crate::connection::Kind::Connect { handshake, .. } = &mut operation.kind else {
        unreachable!("it is a connect");
    };
    std::sync::Arc::make_mut(handshake).query.clear();
    let event: serde_json::Value = serde_json::from_slice(&authorizer_event(&operation)).unwrap();
    for key in ["stageVariables", "queryStringParameters", "multiValueQueryStringParameters"] {
        assert_eq!(event[key].to_string(), "{}", "{key}");
    }
    assert_eq!(
        event["headers"].to_string(),
        r#"{"Connection":"upgrade","content-length":"0","Host":"h"}"#
    );
}

#[test]
fn headers_of_one_name_are_one_member_whatever_their_casing() {
    let operation = connect_with(&[("b", "2"), ("X-A", "1"), ("A", "0"), ("x-a", "3"), ("B", "4")]);
    assert_eq!(headers(&operation).to_string(), r#"{"A":["0"],"b":["2","4"],"X-A":["1","3"]}"#);
}

#[test]
fn a_context_cannot_pose_as_principal_or_latency() {
    let mut operation = connect();
    let connection = std::sync::Arc::make_mut(&mut operation.connection);
    connection.authorizer.as_mut().unwrap().context = super::world::pairs(&[
        ("principalId", "admin"),
        ("integrationLatency", "0"),
        ("x\",\"role", "a\"b"),
    ]);
    let event = proxy_event(&operation, None, false);
    let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
    assert_eq!(
        event["requestContext"]["authorizer"].to_string(),
        r#"{"x\",\"role":"a\"b","principalId":"user-42","integrationLatency":33}"#
    );
}

#[test]
fn times_are_written_as_the_service_writes_them() {
    assert_eq!(request_time(1_790_294_533_001), "25/Sep/2026:00:02:13 +0000");
    assert_eq!(request_time(0), "01/Jan/1970:00:00:00 +0000");
    // No time at all is better than a panic.
    assert_eq!(request_time(u64::MAX), "01/Jan/1970:00:00:00 +0000");
}
