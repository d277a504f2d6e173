//! One authorizer behind either of its doors: in the gateway, or as a Lambda function.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::gateway::{Gateway, Setup};
use super::runtime_api::{Lambda, Outcome};
use super::secrets::Secrets;
use super::template;
use super::ws::{Client, Incoming};

/// The `methodArn` of every event.
pub(crate) const ARN: &str = "arn:aws:execute-api:us-east-1:000000000000:a1b2c3d4e5/dev/$connect";

/// Guards `$connect` by the function `Auth`, and answers a message with the principal.
pub(crate) const TEMPLATE: &str = r#"@builtin Auth
@authorizer Guard Auth
@integration Mock {"IntegrationType":"MOCK"}
@integration Tell {"IntegrationType":"MOCK"}
@route $connect Mock auth=Guard
@route $default Tell two-way
  Answer:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Tell
      IntegrationResponseKey: $default
      ResponseTemplates: { $default: $context.authorizer.principalId }
"#;

/// Which door.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Gateway,
    Lambda,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Gateway, Self::Lambda];
}

/// What a client of either sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handshake {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
}

/// What a client of either learns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Let in, as this principal.
    Allowed(String),
    /// 403: an explicit Deny.
    Denied,
    /// 500: an error that is not `Unauthorized`.
    Failed,
    /// 401: exactly `Unauthorized`.
    Unauthorized,
}

/// A running authorizer.
pub(crate) enum Door {
    Gateway(Box<Gateway>),
    Lambda(Mutex<Lambda>),
}

/// What a start that failed said.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway(_) => "Gateway",
            Self::Lambda(_) => "Lambda",
        })
    }
}

impl Handshake {
    /// One that brings `token` in `Authorization`.
    pub(crate) fn bearer(token: &str) -> Self {
        Self::default().header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The event that API Gateway makes of it ([shape]): all occurrences in the multi-value maps,
    /// the last ones beside them.
    ///
    /// [shape]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
    pub(crate) fn event(&self) -> Value {
        let mut headers = self.headers.clone();
        headers.insert(0, ("Host".to_owned(), "a1b2c3d4e5.example.com".to_owned()));
        let (headers, multi_headers) = maps(&headers);
        let (query, multi_query) = maps(&self.query);
        json!({
            "type": "REQUEST",
            "methodArn": ARN,
            "headers": headers,
            "multiValueHeaders": multi_headers,
            "queryStringParameters": query,
            "multiValueQueryStringParameters": multi_query,
            "stageVariables": {},
            "requestContext": {
                "routeKey": "$connect",
                "eventType": "CONNECT",
                "extendedRequestId": "HYABCGfGoAMFRNg=",
                "requestTime": "20/Nov/2026:12:00:00 +0000",
                "messageDirection": "IN",
                "stage": "dev",
                "connectedAt": 1_795_176_000_000_u64,
                "requestTimeEpoch": 1_795_176_000_000_u64,
                "identity": { "sourceIp": "203.0.113.7", "userAgent": "test" },
                "requestId": "HYABCGfGoAMFRNg=",
                "domainName": "a1b2c3d4e5.example.com",
                "connectionId": "HYABCcSmoAMCJ0Q=",
                "apiId": "a1b2c3d4e5",
            },
        })
    }

    fn target(&self) -> String {
        let pairs: Vec<_> =
            self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { "/dev".to_owned() } else { format!("/dev?{}", pairs.join("&")) }
    }
}

/// Last values, and all values, by name.
fn maps(pairs: &[(String, String)]) -> (Map<String, Value>, Map<String, Value>) {
    let (mut last, mut all) = (Map::new(), Map::new());
    for (name, value) in pairs {
        last.insert(name.clone(), value.as_str().into());
        let values = all.entry(name.clone()).or_insert_with(|| json!([]));
        values.as_array_mut().expect("it is made a list").push(value.as_str().into());
    }
    (last, all)
}

impl Door {
    /// Starts the authorizer that `config`, with its `[authorizer]` tables, describes.
    #[track_caller]
    pub(crate) fn start(kind: Kind, config: &str, environment: &[(String, String)]) -> Self {
        Self::try_start(kind, config, environment)
            .unwrap_or_else(|refused| panic!("{kind:?} does not start:\n{}", refused.0))
    }

    /// The same, where it may be refused.
    pub(crate) fn try_start(
        kind: Kind,
        config: &str,
        environment: &[(String, String)],
    ) -> Result<Self, Refused> {
        let mut environment = environment.to_vec();
        match kind {
            Kind::Gateway => {
                let setup = setup(config, environment);
                let started = Gateway::start(&setup, Arc::new(Secrets::default()));
                let gateway = started.map_err(|refused| {
                    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
                    Refused(refused.stderr)
                })?;
                Ok(Self::Gateway(Box::new(gateway)))
            }
            Kind::Lambda => {
                environment.push(("WSGATE_AUTHORIZER_TOML".to_owned(), config.to_owned()));
                let lambda = Lambda::start(&environment).map_err(|error| {
                    assert_eq!(error.code, Some(1), "{}", error.log);
                    assert_eq!(error.others, Vec::<String>::new(), "it asked for no event");
                    Refused(error.body["errorMessage"].as_str().unwrap_or_default().to_owned())
                })?;
                Ok(Self::Lambda(Mutex::new(lambda)))
            }
        }
    }

    /// What becomes of `handshake`.
    pub(crate) fn ask(&self, handshake: &Handshake) -> Verdict {
        match self {
            Self::Gateway(gateway) => knock(gateway, handshake),
            Self::Lambda(lambda) => {
                let mut lambda = lambda.lock().unwrap_or_else(PoisonError::into_inner);
                read(lambda.invoke(&handshake.event().to_string()))
            }
        }
    }

    /// What it wrote so far, as far as it has arrived here.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Gateway(gateway) => gateway.stderr(),
            Self::Lambda(lambda) => lambda.lock().unwrap_or_else(PoisonError::into_inner).log(),
        }
    }
}

/// A gateway whose `$connect` is guarded as `config` says.
pub(crate) fn setup(config: &str, environment: Vec<(String, String)>) -> Setup {
    Setup {
        templates: vec![("case.yaml".to_owned(), template::expand(TEMPLATE).text)],
        config: format!("[throttle]\nconnects = \"off\"\nrequests = \"off\"\n{config}"),
        environment,
        ..Setup::default()
    }
}

/// Opens a connection, and asks who it is.
pub(crate) fn knock(gateway: &Gateway, handshake: &Handshake) -> Verdict {
    let target = handshake.target();
    let (answer, client) = Client::open(gateway.listen, &target, &handshake.headers)
        .unwrap_or_else(|error| panic!("no answer: {error}"));
    let Some(mut client) = client else {
        return match answer.status() {
            401 => Verdict::Unauthorized,
            403 => Verdict::Denied,
            500 => Verdict::Failed,
            other => panic!("{other} is no verdict: {}", answer.text()),
        };
    };
    client.send_text("{}").expect("an open connection takes messages");
    match client.receive() {
        Ok(Incoming::Text(principal)) => Verdict::Allowed(principal),
        other => panic!("no principal but {other:?}"),
    }
}

/// What API Gateway makes of a function's outcome.
fn read(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Answer(answer) => {
            let statement = &answer["policyDocument"]["Statement"][0];
            assert_eq!(statement["Resource"], ARN, "{answer}");
            match statement["Effect"].as_str() {
                Some("Allow") => {
                    let principal = answer["principalId"].as_str();
                    Verdict::Allowed(principal.expect("a grant has a principal").to_owned())
                }
                Some("Deny") => Verdict::Denied,
                _ => panic!("no effect: {answer}"),
            }
        }
        Outcome::Error { body, .. } if body["errorMessage"] == "Unauthorized" => {
            Verdict::Unauthorized
        }
        Outcome::Error { .. } => Verdict::Failed,
    }
}
