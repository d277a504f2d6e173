use super::server::{Asked, Server, client};
use super::*;
use crate::sigv4;

const BYTES_MAX: usize = 1024;

fn outgoing<'a>(service: &'a str, path: &'a str) -> Outgoing<'a> {
    Outgoing { service, region: "eu-west-1", method: "POST", path, ..Outgoing::default() }
}

fn address(client: &AwsClient, outgoing: &Outgoing<'_>) -> Option<String> {
    client.address(outgoing).map(|uri| uri.to_string())
}

/// Whether the request is signed by the client's own key for this service.
fn is_signed(asked: &Asked, client: &AwsClient, service: &str) -> bool {
    let key = sigv4::Key {
        id: client.local.access_key_id().to_owned(),
        secret: sigv4::Secret::new(client.local.secret_access_key().as_bytes()),
        session_token: None,
        expires_at: None,
    };
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let received = sigv4::Received {
        method: &asked.method,
        raw_path: path,
        raw_query: query,
        headers: &asked.headers,
        body: &asked.body,
        now: i64::try_from(crate::clock::epoch_seconds()).unwrap(),
    };
    let scope = sigv4::Scope { region: "eu-west-1", service };
    sigv4::verify(&received, scope, |_| Some(&key)).is_ok()
}

#[tokio::test]
async fn a_call_is_signed_for_its_service_and_keeps_its_path_query_headers_and_body() {
    let server = Server::start(|_| (200, "fine".to_owned())).await;
    let here = server.client(&["dynamodb", "states", "sqs", "email"]);
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Amz-Target", "A.B"),
        ("Authorization", "forged"),
        ("Host", "evil.example"),
        ("X-Amz-Date", "20200101T000000Z"),
        ("Content-Length", "3"),
        ("X-Amz-Security-Token", "forged"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let body = Bytes::from_static(b"Action=SendMessage&MessageBody=%7B%7D");
    for (service, signing) in
        [("dynamodb", "dynamodb"), ("sfn", "states"), ("sqs", "sqs"), ("ses", "ses")]
    {
        let call = Outgoing {
            query: "b=2&a=x%20y",
            headers: &headers,
            body: body.clone(),
            ..outgoing(service, "/0/my%20queue")
        };
        let received = here.send(call, BYTES_MAX).await.unwrap();
        assert_eq!((received.status, &received.body[..]), (200, &b"fine"[..]));
        let asked = server.asked().pop().unwrap();
        assert_eq!(
            (asked.method.as_str(), asked.target.as_str()),
            ("POST", "/0/my%20queue?b=2&a=x%20y")
        );
        assert_eq!(asked.body, body);
        assert_eq!(asked.operation(), "A.B");
        assert!(server.url.ends_with(asked.headers["host"].to_str().unwrap()));
        assert_eq!(asked.headers.get_all("host").iter().count(), 1);
        assert_eq!(asked.headers.get("x-amz-security-token"), None);
        assert!(is_signed(&asked, &here, signing), "{service}: {asked:?}");
    }
}

#[tokio::test]
async fn answers_of_any_status_come_back_and_redirects_are_not_followed() {
    for status in [204, 302, 400, 500] {
        let server = Server::start(move |_| (status, String::new())).await;
        let here = server.client(&["dynamodb"]);
        let received = here.send(outgoing("dynamodb", "/"), BYTES_MAX).await.unwrap();
        assert_eq!((received.status, server.asked().len()), (status, 1));
    }
}

#[tokio::test]
async fn what_cannot_be_sent_or_read_is_an_error() {
    let server = Server::start(|_| (200, "x".repeat(BYTES_MAX + 1))).await;
    let here = server.client(&["dynamodb"]);
    async fn failed(client: &AwsClient, call: Outgoing<'_>) -> CallError {
        client.send(call, BYTES_MAX).await.map(|_| ()).unwrap_err()
    }
    assert_eq!(failed(&here, outgoing("dynamodb", "/")).await, CallError::Unreadable);
    assert_eq!(failed(&here, outgoing("sqs", "/")).await, CallError::NoWay);
    for value in ["a\r\nx: y", "a\nb", "a\0b"] {
        let headers = [("x-a".to_owned(), value.to_owned())];
        let call = Outgoing { headers: &headers, ..outgoing("dynamodb", "/") };
        assert_eq!(failed(&here, call).await, CallError::Malformed, "{value:?}");
    }
    let headers = [("x-a: b\r\nx-c".to_owned(), "d".to_owned())];
    let call = Outgoing { headers: &headers, ..outgoing("dynamodb", "/") };
    assert_eq!(failed(&here, call).await, CallError::Malformed);
    for path in ["/a b", "/a\r\nb", "@evil.example/", ".evil.example", "a"] {
        assert_eq!(
            failed(&here, outgoing("dynamodb", path)).await,
            CallError::Malformed,
            "{path:?}"
        );
    }
    let call = Outgoing { method: "PO ST", ..outgoing("dynamodb", "/") };
    assert_eq!(failed(&here, call).await, CallError::Malformed);
    assert_eq!(server.asked().len(), 1);
    let url = server.url.clone();
    drop(server);
    let gone = client([("dynamodb", url.as_str())].into_iter());
    assert_eq!(failed(&gone, outgoing("dynamodb", "/")).await, CallError::Unreachable);
}

#[test]
fn aws_itself_is_called_only_with_the_credentials_of_the_environment() {
    let none = client(std::iter::empty());
    assert!(none.check("sfn").unwrap_err().contains("`[integrations.endpoints] states = "));
    let ambient = |set: &'static [&'static str]| {
        let integrations = Integrations { is_ambient: true, ..Integrations::default() };
        let look = |name: &str| set.contains(&name).then(|| "AKIDEXAMPLE".to_owned());
        AwsClient::new(&integrations, crate::client::client(&|_| None).unwrap(), &look)
    };
    let missing = ambient(&["AWS_ACCESS_KEY_ID"]).check("sqs").unwrap_err();
    assert!(missing.contains("AWS_SECRET_ACCESS_KEY is not set"), "{missing}");
    let call = outgoing("sqs", "/");
    assert_eq!(ambient(&[]).request(call.clone()).unwrap_err(), CallError::NoWay);
    assert_eq!(none.request(call).unwrap_err(), CallError::NoWay);
    let able = ambient(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]);
    able.check("anything").unwrap();
    let request = able.request(outgoing("sqs", "/0/q")).unwrap();
    assert_eq!(request.uri(), "https://sqs.eu-west-1.amazonaws.com/0/q");
    assert_eq!(request.headers()["x-amz-security-token"], "AKIDEXAMPLE");
    assert!(!format!("{able:?}").contains("AKIDEXAMPLE"));
}

#[test]
fn addresses_at_aws_are_made_of_labels() {
    let integrations = Integrations { is_ambient: true, ..Integrations::default() };
    let look = |_: &str| Some("x".to_owned());
    let aws = AwsClient::new(&integrations, crate::client::client(&|_| None).unwrap(), &look);
    let at = |outgoing: Outgoing<'_>| address(&aws, &outgoing);
    let with =
        |subdomain, service| Outgoing { subdomain: Some(subdomain), ..outgoing(service, "") };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(at(outgoing("dynamodb", "")), some("https://dynamodb.eu-west-1.amazonaws.com/"));
    let china = Outgoing { region: "cn-north-1", ..outgoing("sqs", "/a") };
    assert_eq!(at(china), some("https://sqs.cn-north-1.amazonaws.com.cn/a"));
    assert_eq!(
        at(with("streams", "dynamodb")),
        some("https://streams.dynamodb.eu-west-1.amazonaws.com/")
    );
    assert_eq!(at(with("my.bucket", "s3")), some("https://my.bucket.s3.eu-west-1.amazonaws.com/"));
    let headers = [("X-Amz-Target".to_owned(), "AWSStepFunctions.StartSyncExecution".to_owned())];
    let sync = Outgoing { headers: &headers, ..outgoing("states", "/") };
    assert_eq!(at(sync), some("https://sync-states.eu-west-1.amazonaws.com/"));
    for wrong in ["evil.example/", "a.b", "a@b", "-a", "a:1", "a#", ""] {
        assert_eq!(at(outgoing(wrong, "/")), None, "{wrong}");
        assert_eq!(at(Outgoing { region: wrong, ..outgoing("sqs", "/") }), None, "{wrong}");
    }
}

#[test]
fn endpoints_may_have_a_path_and_names_below_localhost_stay_here() {
    let endpoints = [
        ("s3", "http://localstack.localhost:4566"),
        ("dynamodb", "https://proxy.example/aws"),
        ("streams-dynamodb", "http://127.0.0.1:8000"),
    ];
    let here = client(endpoints.into_iter());
    let of = |outgoing: Outgoing<'_>| here.request(outgoing).unwrap();
    let bucket = of(Outgoing { subdomain: Some("pictures"), ..outgoing("s3", "/a/b%20c") });
    assert_eq!(bucket.uri(), "http://localhost:4566/pictures/a/b%20c");
    assert_eq!(bucket.headers()["host"], "localstack.localhost:4566");
    assert!(bucket.headers().contains_key(CONTENT_HASH));
    let table = of(outgoing("dynamodb", ""));
    assert_eq!(
        (table.uri().to_string().as_str(), &table.headers()["host"]),
        ("https://proxy.example/aws/", &HeaderValue::from_static("proxy.example"))
    );
    let streams = of(Outgoing { subdomain: Some("streams"), ..outgoing("dynamodb", "") });
    assert_eq!(streams.uri(), "http://127.0.0.1:8000/");
    let signature = streams.headers()["authorization"].to_str().unwrap();
    assert!(signature.contains("/eu-west-1/dynamodb/aws4_request"), "{signature}");
}

#[tokio::test]
async fn an_integration_without_a_role_asks_as_nobody() {
    let server = Server::start(|_| (403, "{}".to_owned())).await;
    let here = server.client(&["sqs"]);
    let of = |role: Option<&str>| AwsCall {
        service: "sqs".to_owned(),
        subdomain: None,
        region: "eu-west-1".to_owned(),
        role: role.map(str::to_owned),
        method: "POST".to_owned(),
        path: "/0/q".to_owned(),
        query: String::new(),
        headers: vec![("x-a".to_owned(), "b".to_owned())],
        body: b"Action=SendMessage".to_vec(),
    };
    for role in [None, Some("arn:aws:iam::0:role/r")] {
        let Answer::Http { status, body, .. } = call(&here, of(role)).await.unwrap() else {
            panic!("not an answer over HTTP");
        };
        assert_eq!((status, body.as_slice()), (403, &b"{}"[..]));
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.headers.contains_key("authorization"), role.is_some());
        assert_eq!(asked.headers["x-a"], "b");
    }
    let unreachable = AwsCall { service: "dynamodb".to_owned(), ..of(None) };
    assert_eq!(call(&here, unreachable).await, Err(Failure::IntegrationUnreachable));
    let mut malformed = of(None);
    malformed.headers.push(("x-b".to_owned(), "c\r\nd: e".to_owned()));
    assert_eq!(call(&here, malformed).await, Err(Failure::TemplateFailed));
}
