//! Functions as cases script them: an Invoke API per function.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::gateway::exchange;
use super::http::Message;
use super::server::{Answer, Server};
use super::sign::{self, Key};

/// One line of a case's `functions` section: `NAME SELECTOR -> ACTION`.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    function: String,
    /// `*`, `authorizer`, or a route key.
    selector: String,
    action: String,
}

/// What functions and the script tell one another.
#[derive(Default)]
pub(crate) struct Exchange {
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    /// Connection id of the latest CONNECT event.
    pub(crate) connecting: Option<String>,
    /// What functions did besides answering.
    pub(crate) notes: Vec<String>,
    /// Where and with which key a function calls back.
    pub(crate) callback: Option<(SocketAddr, Key)>,
}

impl Exchange {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the rules of a `functions` section.
pub(crate) fn parse_rules(section: &str) -> Vec<Rule> {
    let lines = section.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (left, action) = line.split_once(" -> ").unwrap_or_else(|| bad(line));
            let (function, selector) = left.split_once(' ').unwrap_or_else(|| bad(line));
            Rule {
                function: function.to_owned(),
                selector: selector.trim().to_owned(),
                action: action.to_owned(),
            }
        })
        .collect()
}

/// Starts the Invoke API of function `name`.
pub(crate) fn start(name: &str, rules: &[Rule], talk: &Arc<Exchange>) -> Server {
    let rules: Vec<Rule> = rules.iter().filter(|rule| rule.function == name).cloned().collect();
    let talk = Arc::clone(talk);
    Server::start(move |request| {
        let event: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let context = &event["requestContext"];
        if context["eventType"] == "CONNECT" {
            talk.lock().connecting = context["connectionId"].as_str().map(str::to_owned);
        }
        let action = rules
            .iter()
            .find(|rule| selects(&rule.selector, &event))
            .map_or(r#"reply {"statusCode":200}"#, |rule| &rule.action);
        act(action, request, &event, &talk)
    })
}

fn selects(selector: &str, event: &Value) -> bool {
    let is_authorizer = event["type"] == "REQUEST";
    match selector {
        "*" => true,
        "authorizer" => is_authorizer,
        key => !is_authorizer && event["requestContext"]["routeKey"] == key,
    }
}

fn act(action: &str, request: &Message, event: &Value, talk: &Exchange) -> Answer {
    let (verb, rest) = action.split_once(' ').unwrap_or((action, ""));
    let arn = event["methodArn"].as_str().unwrap_or_default();
    let rest = rest.replace("{{methodArn}}", arn);
    match verb {
        "allow" => Answer::json(verdict("Allow", arn, &rest)),
        "body" => Answer::json(json!({ "statusCode": 200, "body": rest }).to_string()),
        "deny" => Answer::json(verdict("Deny", arn, &rest)),
        "die" => Answer::Die,
        "die-midway" => Answer::DieMidway,
        "echo" => Answer::json(json!({ "statusCode": 200, "body": event["body"] }).to_string()),
        "endless" => Answer::Endless(rest.parse().unwrap_or_else(|_| bad(action))),
        "event" => Answer::json(json!({ "statusCode": 200, "body": request.text() }).to_string()),
        "hang" => Answer::Hang,
        "post" => {
            let (text, then) = rest.split_once(" then ").unwrap_or_else(|| bad(action));
            let status = post_to_self(text, event, talk);
            talk.lock().notes.push(format!("posted to own connection: {status}"));
            act(then, request, event, talk)
        }
        "raise" => {
            let body = json!({ "errorMessage": rest, "errorType": "Error", "trace": [] });
            let headers = vec![("X-Amz-Function-Error".to_owned(), "Unhandled".to_owned())];
            Answer::Reply { status: 200, headers, body: body.to_string().into_bytes() }
        }
        "reply" => Answer::json(rest),
        "status" => {
            let (status, body) = rest.split_once(' ').unwrap_or((&rest, ""));
            let status = status.parse().unwrap_or_else(|_| bad(action));
            Answer::Reply { status, headers: Vec::new(), body: body.into() }
        }
        _ => bad(action),
    }
}

/// A policy result; `more` is a JSON object of further members.
fn verdict(effect: &str, arn: &str, more: &str) -> String {
    let mut result = json!({
        "principalId": "user-42",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                { "Action": "execute-api:Invoke", "Effect": effect, "Resource": arn },
            ],
        },
    });
    if !more.is_empty() {
        let more: Value = serde_json::from_str(more).unwrap_or_else(|_| bad(more));
        for (key, value) in more.as_object().unwrap_or_else(|| bad("allow wants an object")) {
            result[key] = value.clone();
        }
    }
    result.to_string()
}

fn post_to_self(text: &str, event: &Value, talk: &Exchange) -> u16 {
    let Some((address, key)) = talk.lock().callback.clone() else { return 0 };
    let context = &event["requestContext"];
    let part = |name: &str| context[name].as_str().unwrap_or_default().to_owned();
    let target =
        format!("/{}/@connections/{}", part("stage"), part("connectionId").replace('=', "%3D"));
    let headers = sign::headers(&key, "POST", address, &target, &[], text.as_bytes());
    exchange(address, "POST", &target, &headers, text.as_bytes())
        .map_or(0, |answer| answer.status())
}

fn bad<T>(line: &str) -> T {
    panic!("cannot read this part of a function's script: {line}")
}
