//! The back end of HTTP integrations as cases script it.

use super::http::Message;
use super::server::{Answer, Server};

/// One line of a case's `backend` section: `/path -> ACTION`, headers indented below.
#[derive(Clone, Debug)]
struct Rule {
    path: String,
    action: String,
    headers: Vec<(String, String)>,
}

/// Starts a back end that follows `section`; what it does not name is 200 `{}`.
pub(crate) fn start(section: &str) -> Server {
    let rules = parse(section);
    Server::start(move |request| answer(&rules, request))
}

fn parse(section: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for line in section.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix("  "), line.split_once(" -> ")) {
            (Some(header), _) => {
                let (name, value) = header.split_once(':').unwrap_or_else(|| bad(line));
                let rule = rules.last_mut().unwrap_or_else(|| bad(line));
                rule.headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            (None, Some((path, action))) => rules.push(Rule {
                path: path.to_owned(),
                action: action.to_owned(),
                headers: Vec::new(),
            }),
            (None, None) => bad(line),
        }
    }
    rules
}

fn answer(rules: &[Rule], request: &Message) -> Answer {
    let path = request.target().split('?').next().unwrap_or_default();
    let Some(rule) = rules.iter().find(|rule| rule.path == path) else {
        return Answer::json("{}");
    };
    let (verb, rest) = rule.action.split_once(' ').unwrap_or((&rule.action, ""));
    match verb {
        "die" => Answer::Die,
        "die-midway" => Answer::DieMidway,
        "echo" => reply(200, rule, &request.body),
        "endless" => Answer::Endless(rest.parse().unwrap_or_else(|_| bad(&rule.action))),
        "hang" => Answer::Hang,
        status => {
            let status = status.parse().unwrap_or_else(|_| bad(&rule.action));
            reply(status, rule, rest.as_bytes())
        }
    }
}

fn reply(status: u16, rule: &Rule, body: &[u8]) -> Answer {
    Answer::Reply { status, headers: rule.headers.clone(), body: body.to_vec() }
}

fn bad<T>(line: &str) -> T {
    panic!("cannot read this part of a back end's script: {line}")
}
