use std::collections::HashMap;

use aws_lc_rs::{digest, hmac};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method};
use proptest::prelude::*;
use tokio::net::TcpListener;

use super::*;
use crate::https;
use crate::https::server::{Asked, Server, answer, ok};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE/+==";

fn from(variables: &[(&str, &str)]) -> Result<Aws, AwsError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let look = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    Aws::from_environment(&look, https::client(None).unwrap())
}

/// What a Lambda function has, and more or other variables.
fn with(more: &[(&str, &str)]) -> Result<Aws, AwsError> {
    let mut variables = vec![
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", TOKEN),
    ];
    variables.extend(more);
    from(&variables)
}

fn at(server: &Server) -> Aws {
    with(&[("AWS_ENDPOINT_URL", &format!("http://{}", server.address))]).unwrap()
}

/// The signature that AWS computes for what arrived, by its description of Signature Version 4.
fn signature(asked: &Asked, service: &str) -> String {
    let hash = |bytes: &[u8]| hex::encode(digest::digest(&digest::SHA256, bytes));
    let mac = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
    };
    let text = |name: &str| asked.headers[name].to_str().unwrap().to_owned();
    let authorization = text("authorization");
    let signed = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    let lines: String = signed.split(';').map(|name| format!("{name}:{}\n", text(name))).collect();
    let path = asked.uri.path();
    let canonical = format!("POST\n{path}\n\n{lines}\n{signed}\n{}", hash(&asked.body));
    let at = text("x-amz-date");
    let (day, region) = (&at[..8], "eu-west-1");
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let key = mac(format!("AWS4{SECRET}").as_bytes(), day);
    let key = mac(&mac(&mac(&key, region), service), "aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hash(canonical.as_bytes()));
    format!(
        "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/{scope}, SignedHeaders={signed}, Signature={}",
        hex::encode(mac(&key, &to_sign))
    )
}

#[track_caller]
fn check_request(asked: &Asked, service: &str, target: &str, body: &str) {
    let header = |headers: &HeaderMap, name| headers[name].to_str().unwrap().to_owned();
    assert_eq!(asked.method, Method::POST);
    assert_eq!(&asked.body[..], body.as_bytes());
    assert_eq!(header(&asked.headers, "x-amz-target"), target);
    assert_eq!(header(&asked.headers, "x-amz-security-token"), TOKEN);
    assert_eq!(header(&asked.headers, CONTENT_TYPE.as_str()), "application/x-amz-json-1.1");
    let authorization = header(&asked.headers, AUTHORIZATION.as_str());
    assert_eq!(authorization, signature(asked, service));
    let signed = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    let names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
    assert_eq!(signed, names);
}

#[tokio::test]
async fn a_parameter_is_asked_for_decrypted_and_signed() {
    let server = Server::start(|_| ok(r#"{"Parameter":{"Name":"/a","Value":"x\ny","V":1}}"#)).await;
    assert_eq!(at(&server).parameter("/a/\"é").await, Ok(b"x\ny".to_vec()));
    let [asked] = &server.asked()[..] else { panic!("one request") };
    let body = r#"{"Name":"/a/\"é","WithDecryption":true}"#;
    check_request(asked, "ssm", "AmazonSSM.GetParameter", body);
    assert_eq!(asked.uri, "/");
}

#[tokio::test]
async fn a_secret_is_text_or_bytes() {
    let server = Server::start(|number| match number {
        0 => ok(r#"{"Name":"s","SecretString":"{\"a\":1}"}"#),
        _ => ok(r#"{"Name":"s","SecretBinary":"AP/+"}"#),
    })
    .await;
    let aws = at(&server);
    assert_eq!(aws.secret("s").await, Ok(br#"{"a":1}"#.to_vec()));
    assert_eq!(aws.secret("s").await, Ok(vec![0, 255, 254]));
    for asked in server.asked() {
        let target = "secretsmanager.GetSecretValue";
        check_request(&asked, "secretsmanager", target, r#"{"SecretId":"s"}"#);
    }
}

#[tokio::test]
async fn long_lived_credentials_have_no_token() {
    let server = Server::start(|_| ok(r#"{"Parameter":{"Value":"v"}}"#)).await;
    let url = format!("http://localhost:{}/base", server.address.port());
    let aws = with(&[("AWS_SESSION_TOKEN", ""), ("AWS_ENDPOINT_URL", &url)]).unwrap();
    assert_eq!(aws.parameter("a").await, Ok(b"v".to_vec()));
    let asked = server.asked().pop().unwrap();
    assert!(!asked.headers.contains_key("x-amz-security-token"));
    assert_eq!(asked.headers[HOST], format!("localhost:{}", server.address.port()));
    assert_eq!(asked.uri, "/base");
    assert_eq!(asked.headers[AUTHORIZATION], signature(&asked, "ssm"));
}

#[tokio::test]
async fn each_service_has_its_own_endpoint() {
    let ssm = Server::start(|_| ok(r#"{"Parameter":{"Value":"p"}}"#)).await;
    let rest = Server::start(|_| ok(r#"{"SecretString":"s"}"#)).await;
    let (own, all) = (format!("http://{}", ssm.address), format!("http://{}", rest.address));
    let aws = with(&[("AWS_ENDPOINT_URL_SSM", &own), ("AWS_ENDPOINT_URL", &all)]).unwrap();
    assert_eq!(aws.parameter("a").await, Ok(b"p".to_vec()));
    assert_eq!(aws.secret("a").await, Ok(b"s".to_vec()));
    let own = [("AWS_ENDPOINT_URL_SECRETS_MANAGER", &all[..]), ("AWS_ENDPOINT_URL", &own)];
    assert_eq!(with(&own).unwrap().secret("a").await, Ok(b"s".to_vec()));
}

/// What `parameter("/chat/csrf")` and `secret("chat/csrf")` fail with, and after how many requests.
async fn failures(status: u16, body: &'static str) -> [(SourceError, usize); 2] {
    let server = Server::start(move |_| answer(status, body)).await;
    let aws = at(&server);
    let parameter = aws.parameter("/chat/csrf").await.unwrap_err();
    let asked = server.asked().len();
    let secret = aws.secret("chat/csrf").await.unwrap_err();
    [(parameter, asked), (secret, server.asked().len() - asked)]
}

#[tokio::test]
async fn what_is_not_there_is_absent() {
    let [(parameter, 1), _] = failures(400, r#"{"__type":"ParameterNotFound"}"#).await else {
        panic!("asked again")
    };
    assert_eq!(parameter, SourceError::Absent);
    let body = r#"{"__type":"ParameterNotFound","message":"m","Message":"m"}"#;
    assert_eq!(failures(400, body).await[0], (SourceError::Absent, 1));
    let body = r#"{"__type":"com.amazonaws#ResourceNotFoundException:http://x/","Message":"m"}"#;
    let [_, (secret, 1)] = failures(400, body).await else { panic!("asked again") };
    assert_eq!(secret, SourceError::Absent);
}

#[tokio::test]
async fn refusals_name_the_error_and_the_permission_that_is_missing() {
    const DENIED: &str = r#"{"__type":"AccessDeniedException","Message":"User: arn:x is not ..."}"#;
    const KEY: &str = r#"{"__type":"AccessDeniedException","message":"... perform: kms:Decrypt"}"#;
    const EXPIRED: &str = r#"{"__type":"ExpiredTokenException","message":"SECRET"}"#;
    let key = "the role needs kms:Decrypt on the key of this value";
    let rows = [
        (
            DENIED,
            "400 AccessDeniedException; the role needs ssm:GetParameter on \
             arn:aws:ssm:eu-west-1:*:parameter/chat/csrf",
            "400 AccessDeniedException; the role needs secretsmanager:GetSecretValue on \
             arn:aws:secretsmanager:eu-west-1:*:secret:chat/csrf-*",
        ),
        (
            KEY,
            &*format!("400 AccessDeniedException; {key}"),
            &*format!("400 AccessDeniedException; {key}"),
        ),
        (EXPIRED, "400 ExpiredTokenException", "400 ExpiredTokenException"),
        ("", "400", "400"),
        ("{", "400", "400"),
        (r#"{"__type":5}"#, "400", "400"),
        (r#"["__type"]"#, "400", "400"),
        (r#"{"__type":"SECRET value"}"#, "400", "400"),
        (r#"{"__type":"evil\nline"}"#, "400", "400"),
    ];
    for (body, parameter, secret) in rows {
        let told = |action, text| (SourceError::Failed(format!("{action} answered {text}")), 1);
        let want =
            [told("ssm:GetParameter", parameter), told("secretsmanager:GetSecretValue", secret)];
        assert_eq!(failures(400, body).await, want, "{body}");
    }
}

#[test]
fn the_permission_is_on_the_arn_of_the_value() {
    let denied = br#"{"__type":"AccessDeniedException"}"#;
    let arn = |operation, region, name| {
        let failure = Failure::refused(StatusCode::BAD_REQUEST, denied);
        let text = failure.told(operation, region, name).to_string();
        text.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(arn(&GET_PARAMETER, "cn-north-1", "a"), "arn:aws-cn:ssm:cn-north-1:*:parameter/a");
    let versioned = arn(&GET_PARAMETER, "us-gov-west-1", "/a/b:3");
    assert_eq!(versioned, "arn:aws-us-gov:ssm:us-gov-west-1:*:parameter/a/b");
    let whole = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf";
    assert_eq!(arn(&GET_SECRET_VALUE, "eu-west-1", whole), whole);
}

#[tokio::test]
async fn an_answer_without_value_is_an_error_that_does_not_quote_it() {
    for body in ["", "null", "{}", r#"{"Parameter":{"Value":7}}"#, r#"{"SecretBinary":"%SECRET"}"#]
    {
        let [parameter, secret] = failures(200, body).await;
        for (action, failure) in
            [("ssm:GetParameter", parameter), ("secretsmanager:GetSecretValue", secret)]
        {
            let want = SourceError::Failed(format!("{action}: the answer holds no value"));
            assert_eq!(failure, (want, 1), "{body}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_an_error() {
    let server = Server::start(|_| {
        http::Response::builder().body(Full::from(vec![b' '; ANSWER_BYTES_MAX + 1])).ok()
    })
    .await;
    let error = at(&server).parameter("a").await.unwrap_err().to_string();
    assert!(error.ends_with("ssm:GetParameter: the answer is longer than 262144 bytes"), "{error}");
}

#[tokio::test]
async fn what_may_pass_is_tried_once_more() {
    type Failing = fn() -> Option<http::Response<Full<Bytes>>>;
    let rows: [(Failing, &str); 6] = [
        (|| answer(500, r#"{"__type":"InternalServerError"}"#), "answered 500 InternalServerError"),
        (|| answer(503, "busy"), "answered 503"),
        (|| answer(429, ""), "answered 429"),
        (|| answer(400, r#"{"__type":"ThrottlingException"}"#), "answered 400 ThrottlingException"),
        (
            || answer(400, r#"{"__type":"RequestLimitExceeded"}"#),
            "answered 400 RequestLimitExceeded",
        ),
        (|| None, ": the answer is cut short or not HTTP"),
    ];
    for (failing, text) in rows {
        let server = Server::start(move |number| match number {
            0 => failing(),
            _ => ok(r#"{"Parameter":{"Value":"v"}}"#),
        });
        let server = server.await;
        assert_eq!(at(&server).parameter("a").await, Ok(b"v".to_vec()), "{text}");
        assert_eq!(server.asked().len(), 2, "{text}");

        let server = Server::start(move |_| failing()).await;
        let error = at(&server).parameter("a").await.unwrap_err().to_string();
        assert!(error.contains("ssm:GetParameter") && error.ends_with(text), "{error}");
        assert_eq!(server.asked().len(), 2, "{text}");
    }
}

#[tokio::test]
async fn a_silent_endpoint_is_given_up() {
    // The kernel accepts connections; nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut aws = with(&[("AWS_ENDPOINT_URL", &url)]).unwrap();
    let want = SourceError::Failed("ssm:GetParameter: no complete answer in time".to_owned());
    aws.try_time = Duration::from_millis(10);
    assert_eq!(aws.parameter("a").await, Err(want.clone()));
    aws.try_time = Duration::from_secs(3600);
    aws.call_time = Duration::from_millis(10);
    assert_eq!(aws.parameter("a").await, Err(want));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::start(|_| ok(r#"{"Parameter":{"Value":"v"}}"#)).await;
    let location = format!("http://{}/", target.address);
    let server = Server::start(move |_| {
        http::Response::builder()
            .status(307)
            .header("location", &location)
            .body(Full::default())
            .ok()
    })
    .await;
    let error = at(&server).parameter("a").await.unwrap_err();
    assert_eq!(error, SourceError::Failed("ssm:GetParameter answered 307".to_owned()));
    assert_eq!((server.asked().len(), target.asked().len()), (1, 0));
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let error = from(&[("AWS_ENDPOINT_URL", "http://example.com")]).unwrap_err();
    let text = "AWS_REGION is not set; AWS_ACCESS_KEY_ID is not set; \
                AWS_SECRET_ACCESS_KEY is not set; \
                AWS_ENDPOINT_URL: the address must be https (http only to this machine)";
    assert_eq!(error.to_string(), text);
    let error = from(&[("AWS_REGION", ""), ("AWS_ACCESS_KEY_ID", "")]).unwrap_err();
    let missing = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    assert_eq!(error.0, missing.map(Wrong::Missing));
}

#[test]
fn a_malformed_variable_is_named_and_not_quoted() {
    let rows = [
        ("AWS_REGION", "eu-west-1.example.com/"),
        ("AWS_REGION", "EU-WEST-1"),
        ("AWS_REGION", "-eu"),
        ("AWS_REGION", "é"),
        ("AWS_REGION", &"a".repeat(64)),
        ("AWS_ACCESS_KEY_ID", "AKIA/EXAMPLE"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE\n"),
        ("AWS_SESSION_TOKEN", "two words"),
        ("AWS_SESSION_TOKEN", "end\r\n"),
    ];
    for (variable, value) in rows {
        let error = with(&[(variable, value)]).unwrap_err();
        assert_eq!(error.to_string(), format!("{variable} is malformed"), "{value:?}");
    }
    use FetchError::{AddressInsecure, AddressMalformed};
    for (url, reason) in [
        ("http://ssm.eu-west-1.amazonaws.com", AddressInsecure),
        ("https://user:password@example.com", AddressMalformed),
        ("https://example.com/?a=b", AddressMalformed),
        ("ssm", AddressMalformed),
    ] {
        for variable in
            ["AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"]
        {
            let error = with(&[(variable, url)]).unwrap_err();
            assert_eq!(error.0, [Wrong::Endpoint { variable, reason }], "{url}");
        }
    }
}

#[test]
fn the_endpoints_are_those_of_the_region() {
    let rows = [
        (&[][..], "ssm.eu-west-1.amazonaws.com", "secretsmanager.eu-west-1.amazonaws.com"),
        (
            &[("AWS_REGION", "cn-north-1")],
            "ssm.cn-north-1.amazonaws.com.cn",
            "secretsmanager.cn-north-1.amazonaws.com.cn",
        ),
        (
            &[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "us-east-2")],
            "ssm.us-east-2.amazonaws.com",
            "secretsmanager.us-east-2.amazonaws.com",
        ),
        (
            &[("AWS_DEFAULT_REGION", "us-east-2")],
            "ssm.eu-west-1.amazonaws.com",
            "secretsmanager.eu-west-1.amazonaws.com",
        ),
    ];
    for (more, ssm, secrets_manager) in rows {
        let aws = with(more).unwrap();
        assert_eq!(aws.ssm.to_string(), format!("https://{ssm}/"));
        assert_eq!(aws.secrets_manager.to_string(), format!("https://{secrets_manager}/"));
    }
}

#[test]
fn debug_prints_no_secret() {
    let text = format!("{:?}", with(&[]).unwrap());
    assert!(text.contains("eu-west-1"), "{text}");
    for secret in [SECRET, TOKEN, "ASIAEXAMPLE"] {
        assert!(!text.contains(secret), "{text}");
    }
}

proptest! {
    #[test]
    fn an_error_of_any_form_is_told_in_one_short_line(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "\\{\"__type\":\"\\PC{0,100}\",\"message\":\"\\PC{0,50}\"\\}".prop_map(String::into_bytes),
        ],
        status in 400_u16..600,
    ) {
        let failure = Failure::refused(StatusCode::from_u16(status).unwrap(), &body);
        if let SourceError::Failed(text) = failure.told(&GET_PARAMETER, "eu-west-1", "a") {
            prop_assert!(text.is_ascii() && text.len() < 256 && !text.contains('\n'), "{}", text);
        }
    }
}
