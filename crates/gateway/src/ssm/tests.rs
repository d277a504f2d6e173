use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, UNIX_EPOCH};

use api_model::{Model, Span};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::Request;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::sigv4::Secret;

const NOW: i64 = 1_800_000_000;
const REGION: &str = "eu-west-1";

/// A function with its key, and the parameters that everybody reads.
struct World {
    parameters: Parameters,
    key: Key,
    function: Function,
}

fn key(id: &str) -> Key {
    Key {
        id: id.to_owned(),
        secret: Secret::new(format!("secret of {id}")),
        session_token: Some(Secret::new(format!("token-of-{id}"))),
        expires_at: None,
    }
}

fn function(policies: Option<Vec<Policy>>) -> Function {
    Function {
        logical_id: "Reader".to_owned(),
        name: "reader".to_owned(),
        arn: format!("arn:aws:lambda:{REGION}:000000000000:function:reader"),
        span: Span::default(),
        builtin: None,
        environment: Vec::new(),
        qualifiers: Vec::new(),
        role: "arn:aws:iam::000000000000:role/service/reader".to_owned(),
        policies,
        permissions: Vec::new(),
        stack: "s".to_owned(),
        code: None,
        runtime: None,
        handler: String::new(),
        layers: Vec::new(),
        timeout: Duration::from_secs(3),
        memory_mb: 128,
        reserved_concurrency: None,
    }
}

fn policy(statements: Value) -> Policy {
    Policy::parse(&json!({ "Version": "2012-10-17", "Statement": statements })).unwrap()
}

fn world(statements: Value) -> World {
    let mut model = Model::default();
    for (name, value) in [
        ("/chat/name", "Chat"),
        ("/chat/rooms/a", "A"),
        ("/chat/rooms/b", "B"),
        ("/chatter", "no"),
        ("plain", "Plain"),
    ] {
        model.parameters.push((name.to_owned(), value.to_owned()));
    }
    let mut configured = BTreeMap::new();
    for (name, value) in [
        ("/chat/jwt", "jwt secret"),
        ("/aws/reference/secretsmanager/db", "db secret"),
        ("/chat/name", "Configured"),
    ] {
        configured.insert(name.to_owned(), Secret::new(value));
    }
    World {
        parameters: Parameters::new(&model, &configured, NOW),
        key: key("WSGAREADER"),
        function: function(Some(vec![policy(statements)])),
    }
}

fn everything() -> World {
    world(json!([{ "Effect": "Allow", "Action": "ssm:Get*", "Resource": "*" }]))
}

/// What a request says, before it is signed.
struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    target: &'a str,
    body: String,
    host: &'a str,
    service: &'a str,
    region: &'a str,
    signer: Option<&'a Key>,
    extra: &'a [(&'a str, &'a str)],
}

impl<'a> Ask<'a> {
    fn new(world: &'a World, operation: &'a str, body: &Value) -> Self {
        Self {
            method: "POST",
            path: "/_aws/ssm/",
            target: operation,
            body: body.to_string(),
            host: "127.0.0.1:4000",
            service: "ssm",
            region: REGION,
            signer: Some(&world.key),
            extra: &[],
        }
    }

    fn request(&self) -> Request<String> {
        let target = format!("AmazonSSM.{}", self.target);
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("http://{}{}", self.host, self.path))
            .header("host", self.host)
            .header("x-amz-target", &target)
            .header("content-type", "application/x-amz-json-1.1")
            .body(self.body.clone())
            .unwrap();
        let Some(key) = self.signer else { return request };
        let text = |secret: &Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
        let token = key.session_token.as_ref().map(text);
        let identity = Credentials::new(&key.id, text(&key.secret), token, None, "test").into();
        let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(NOW).unwrap());
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let headers = [("host", self.host), ("x-amz-target", target.as_str())];
        let body = SignableBody::Bytes(self.body.as_bytes());
        let uri = request.uri().to_string();
        let signable = SignableRequest::new(self.method, uri, headers.into_iter(), body).unwrap();
        let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }

    fn send(&self, world: &World) -> (u16, Value) {
        let mut request = self.request();
        for (name, value) in self.extra {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        deliver(world, &request)
    }
}

fn deliver(world: &World, request: &Request<String>) -> (u16, Value) {
    let received = Received {
        method: request.method().as_str(),
        raw_path: request.uri().path(),
        raw_query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
        body: request.body().as_bytes(),
        now: NOW,
    };
    let other = (key("WSGAOTHER"), function(None));
    let callers = [
        Caller { key: &other.0, function: &other.1 },
        Caller { key: &world.key, function: &world.function },
    ];
    let origin = Origin { source_ip: Ipv4Addr::LOCALHOST.into(), is_tls: false };
    let response = answer(&world.parameters, callers.into_iter(), &received, origin);
    let (head, body) = response.into_parts();
    assert_eq!(head.headers["content-type"], "application/x-amz-json-1.1");
    let body = futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap().to_bytes();
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap())
}

#[track_caller]
fn ask(world: &World, operation: &str, body: Value) -> Value {
    let (status, answer) = Ask::new(world, operation, &body).send(world);
    assert_eq!(status, 200, "{answer}");
    answer
}

#[track_caller]
fn check_refused(world: &World, operation: &str, body: Value, kind: &str) -> String {
    let (status, answer) = Ask::new(world, operation, &body).send(world);
    assert_eq!((status, answer["__type"].as_str()), (400, Some(kind)), "{answer}");
    assert!(!answer.to_string().contains("secret of"), "{answer}");
    answer
        .get("message")
        .or_else(|| answer.get("Message"))
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn names(answer: &Value) -> Vec<&str> {
    let list = answer["Parameters"].as_array().unwrap();
    list.iter().map(|parameter| parameter["Name"].as_str().unwrap()).collect()
}

#[test]
fn a_parameter_has_the_shape_that_sdks_read() {
    let world = everything();
    let answer = ask(&world, "GetParameter", json!({ "Name": "plain" }));
    let want = json!({ "Parameter": {
        "ARN": "arn:aws:ssm:eu-west-1:000000000000:parameter/plain",
        "DataType": "text",
        "LastModifiedDate": NOW,
        "Name": "plain",
        "Type": "String",
        "Value": "Plain",
        "Version": 1,
    } });
    assert_eq!(answer, want);
    let answer = ask(&world, "GetParameter", json!({ "Name": "/chat/rooms/a" }));
    let arn = "arn:aws:ssm:eu-west-1:000000000000:parameter/chat/rooms/a";
    assert_eq!(answer["Parameter"]["ARN"], arn);
    let by_arn = ask(&world, "GetParameter", json!({ "Name": arn }));
    assert_eq!(by_arn, answer);
}

#[test]
fn a_secure_string_is_readable_only_with_decryption() {
    let world = everything();
    for decrypt in [json!({}), json!({ "WithDecryption": false })] {
        let mut body = decrypt;
        body["Name"] = "/chat/jwt".into();
        let parameter = &ask(&world, "GetParameter", body)["Parameter"];
        assert_eq!(parameter["Type"], "SecureString");
        let sealed = parameter["Value"].as_str().unwrap();
        assert!(40 < sealed.len() && !sealed.contains("jwt"), "{sealed}");
    }
    let body = json!({ "Name": "/chat/jwt", "WithDecryption": true });
    assert_eq!(ask(&world, "GetParameter", body)["Parameter"]["Value"], "jwt secret");
    let body = json!({ "Name": "/chat/name", "WithDecryption": true });
    let configured = &ask(&world, "GetParameter", body)["Parameter"];
    assert_eq!(
        (configured["Value"].as_str(), configured["Type"].as_str()),
        (Some("Configured"), Some("SecureString"))
    );
    assert!(!format!("{:?}", world.parameters).contains("jwt secret"));
}

#[test]
fn versions_are_selected_and_there_is_only_one() {
    let world = everything();
    let parameter = &ask(&world, "GetParameter", json!({ "Name": "plain:1" }))["Parameter"];
    assert_eq!((&parameter["Name"], &parameter["Selector"]), (&json!("plain"), &json!(":1")));
    for name in ["plain:2", "plain:label"] {
        let body = json!({ "Name": name });
        check_refused(&world, "GetParameter", body, "ParameterVersionNotFound");
    }
}

#[test]
fn a_secret_is_read_as_a_parameter() {
    let world = everything();
    let name = "/aws/reference/secretsmanager/db";
    let body = json!({ "Name": name, "WithDecryption": true });
    assert_eq!(ask(&world, "GetParameter", body)["Parameter"]["Value"], "db secret");
    let said =
        check_refused(&world, "GetParameter", json!({ "Name": name }), "ValidationException");
    assert!(said.contains("WithDecryption flag must be True"), "{said}");
    let body = json!({ "Path": "/aws/", "Recursive": true, "WithDecryption": true });
    assert_eq!(names(&ask(&world, "GetParametersByPath", body)), [""; 0]);
}

#[test]
fn several_are_read_at_once_and_those_that_do_not_exist_are_named() {
    let world = everything();
    let body = json!({ "Names": ["/chat/jwt", "nope", "plain", "plain:7", "plain"], "WithDecryption": true });
    let answer = ask(&world, "GetParameters", body);
    assert_eq!(names(&answer), ["/chat/jwt", "plain"]);
    assert_eq!(answer["InvalidParameters"], json!(["nope", "plain:7"]));
    let eleven: Vec<String> = (0..11).map(|number| format!("p{number}")).collect();
    for wrong in [json!([]), json!(eleven), Value::Null] {
        check_refused(&world, "GetParameters", json!({ "Names": wrong }), "ValidationException");
    }
}

#[test]
fn a_path_has_levels_and_pages() {
    let world = everything();
    let of = |body: Value| ask(&world, "GetParametersByPath", body);
    for path in ["/chat", "/chat/"] {
        assert_eq!(names(&of(json!({ "Path": path }))), ["/chat/jwt", "/chat/name"]);
    }
    let all = ["/chat/jwt", "/chat/name", "/chat/rooms/a", "/chat/rooms/b"];
    assert_eq!(names(&of(json!({ "Path": "/chat", "Recursive": true }))), all);
    assert_eq!(names(&of(json!({ "Path": "/chat/rooms/a", "Recursive": true }))), [""; 0]);
    assert_eq!(names(&of(json!({ "Path": "/" }))), ["/chatter"]);
    let secure = json!([{ "Key": "Type", "Values": ["String"] }]);
    let body = json!({ "Path": "/chat", "Recursive": true, "ParameterFilters": secure });
    assert_eq!(names(&of(body)), ["/chat/rooms/a", "/chat/rooms/b"]);
    let mut seen = Vec::new();
    let mut token = Value::Null;
    loop {
        let body =
            json!({ "Path": "/chat", "Recursive": true, "MaxResults": 3, "NextToken": token });
        let answer = of(body);
        seen.extend(names(&answer).into_iter().map(str::to_owned));
        token = answer["NextToken"].clone();
        if token.is_null() {
            break;
        }
        assert_eq!(names(&answer).len(), 3);
    }
    assert_eq!(seen, all);
}

#[test]
fn wrong_questions_have_the_errors_of_the_service() {
    let world = everything();
    let one = |body, kind| check_refused(&world, "GetParameter", body, kind);
    one(json!({ "Name": "/nope" }), "ParameterNotFound");
    one(
        json!({ "Name": "arn:aws:ssm:us-east-1:000000000000:parameter/plain" }),
        "ParameterNotFound",
    );
    one(json!({ "Name": "arn:aws:s3:::bucket" }), "ValidationException");
    one(json!({}), "ValidationException");
    one(json!({ "Name": "" }), "ValidationException");
    one(json!({ "Name": "a b" }), "ValidationException");
    one(json!({ "Name": "x".repeat(3000) }), "ValidationException");
    one(json!({ "Name": 7 }), "SerializationException");
    one(json!([]), "SerializationException");
    let path = |body, kind| check_refused(&world, "GetParametersByPath", body, kind);
    path(json!({}), "ValidationException");
    path(json!({ "Path": "chat" }), "ValidationException");
    path(json!({ "Path": "/chat", "MaxResults": 11 }), "ValidationException");
    path(json!({ "Path": "/chat", "MaxResults": 0 }), "ValidationException");
    path(json!({ "Path": "/chat", "NextToken": "!" }), "InvalidNextToken");
    path(json!({ "Path": "/chat", "NextToken": "L290aGVy" }), "InvalidNextToken");
    let filters = json!([{ "Key": "Label", "Values": ["x"] }]);
    path(json!({ "Path": "/chat", "ParameterFilters": filters }), "InvalidFilterKey");
    check_refused(&world, "PutParameter", json!({ "Name": "x" }), "UnknownOperationException");
    check_refused(&world, "", json!({}), "UnknownOperationException");
}

#[test]
fn the_role_decides_by_action_and_name() {
    let statements = json!([
        { "Effect": "Allow", "Action": ["ssm:GetParameter", "ssm:GetParameters"],
          "Resource": ["arn:aws:ssm:eu-west-1:000000000000:parameter/chat/*", "arn:aws:ssm:eu-west-1:000000000000:parameter/plain"] },
        { "Effect": "Deny", "Action": "ssm:*", "Resource": "*:parameter/chat/rooms/b" },
    ]);
    let world = world(statements);
    ask(&world, "GetParameter", json!({ "Name": "/chat/name" }));
    ask(&world, "GetParameter", json!({ "Name": "plain:1" }));
    let denied = "AccessDeniedException";
    let said = check_refused(&world, "GetParameter", json!({ "Name": "/chatter" }), denied);
    let want = "is not authorized to perform: ssm:GetParameter on resource: arn:aws:ssm:eu-west-1:000000000000:parameter/chatter because no identity-based policy allows the ssm:GetParameter action";
    assert!(said.ends_with(want), "{said}");
    assert!(said.starts_with("User: arn:aws:sts::000000000000:assumed-role/reader/"), "{said}");
    // Whether it exists is not told.
    check_refused(&world, "GetParameter", json!({ "Name": "/nope" }), denied);
    let said = check_refused(&world, "GetParameter", json!({ "Name": "/chat/rooms/b" }), denied);
    assert!(said.ends_with("with an explicit deny in an identity-based policy"), "{said}");
    check_refused(&world, "GetParameters", json!({ "Names": ["plain", "/chatter"] }), denied);
    check_refused(&world, "GetParametersByPath", json!({ "Path": "/chat" }), denied);
    let mut nobody = everything();
    nobody.function.policies = None;
    check_refused(&nobody, "GetParameter", json!({ "Name": "plain" }), denied);
}

#[test]
fn only_a_functions_own_key_opens() {
    let world = everything();
    let body = json!({ "Name": "/chat/jwt", "WithDecryption": true });
    let base = || Ask::new(&world, "GetParameter", &body);
    let check = |ask: Ask<'_>, kind: &str| {
        let (status, answer) = ask.send(&world);
        assert_eq!((status, answer["__type"].as_str()), (400, Some(kind)), "{answer}");
    };
    check(Ask { signer: None, ..base() }, "MissingAuthenticationTokenException");
    let stranger = key("WSGASTRANGER");
    check(Ask { signer: Some(&stranger), ..base() }, "UnrecognizedClientException");
    let mut forged = key("WSGAREADER");
    forged.secret = Secret::new("guess");
    check(Ask { signer: Some(&forged), ..base() }, "InvalidSignatureException");
    let mut tokenless = world.key.clone();
    tokenless.session_token = None;
    check(Ask { signer: Some(&tokenless), ..base() }, "UnrecognizedClientException");
    check(Ask { service: "execute-api", ..base() }, "InvalidSignatureException");
    check(Ask { region: "us-east-1", ..base() }, "InvalidSignatureException");
    let mut request = base().request();
    *request.body_mut() = json!({ "Name": "plain" }).to_string();
    let (_, answer) = deliver(&world, &request);
    assert_eq!(answer["__type"], "InvalidSignatureException");
    let mut late = base().request();
    late.headers_mut().insert("x-amz-date", "20200101T000000Z".parse().unwrap());
    let (_, answer) = deliver(&world, &late);
    assert_eq!(answer["__type"], "InvalidSignatureException");
    check(Ask { method: "PUT", ..base() }, "UnknownOperationException");
    check(Ask { path: "/_aws/ssm/x", ..base() }, "UnknownOperationException");
    assert_eq!(Ask { path: "/_aws/ssm", ..base() }.send(&world).0, 200);
}

#[test]
fn web_pages_and_proxies_are_turned_away_before_anything_else() {
    let world = everything();
    let body = json!({ "Name": "plain" });
    for ask in [
        Ask { host: "evil.example", ..Ask::new(&world, "GetParameter", &body) },
        Ask {
            extra: &[("origin", "http://evil.example")],
            ..Ask::new(&world, "GetParameter", &body)
        },
        Ask { extra: &[("x-forwarded-for", "1.2.3.4")], ..Ask::new(&world, "GetParameter", &body) },
    ] {
        let (status, answer) = ask.send(&world);
        assert_eq!((status, &answer), (403, &json!({ "message": "Forbidden" })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_body_name_or_token_breaks_the_endpoint(text in "\\PC{0,40}", operation in 0..3_usize) {
        let world = everything();
        let operation = ["GetParameter", "GetParameters", "GetParametersByPath"][operation];
        for body in [
            json!({ "Name": text, "Names": [text], "Path": text }),
            json!({ "Name": format!("arn:{text}"), "Names": [format!("plain:{text}")], "Path": "/", "NextToken": text }),
            json!(text),
        ] {
            let (status, answer) = Ask::new(&world, operation, &body).send(&world);
            prop_assert!(status == 200 || answer["__type"].is_string(), "{}", answer);
        }
    }
}
