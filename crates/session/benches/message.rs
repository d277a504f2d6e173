//! Messages through routing and a `MOCK` integration, next to an echo of the
//! same frames by our framing alone; no socket, one call per read.
//!
//! `message/depth-32/mock` less `message/depth-32/framing` is what a session adds.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_model::api::Stage;
use api_model::{Compat, Sources};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use session::{Connection, Environment, Failure, Id, Limits, Session};
use websocket::Event;
use websocket::write::{self, client};

criterion_group!(benches, message);
criterion_main!(benches);

#[expect(clippy::disallowed_methods, reason = "what the session is given starts here")]
fn message(criterion: &mut Criterion) {
    let host = Host(stage());
    let limits = Limits {
        framing: websocket::Limits::default(),
        idle: Duration::from_secs(600),
        age: Duration::from_secs(7200),
        ping_interval: None,
    };
    for depth in [1, 32] {
        let mut group = criterion.benchmark_group(format!("message/depth-{depth}"));
        group.throughput(Throughput::Elements(depth as u64));
        let input = frames(depth);
        let mut buffer = vec![0; input.len()];
        let mut output = Vec::new();

        let now = Instant::now();
        let mut session = Session::open(Arc::new(connection()), None, now);
        let mut invocations = Vec::new();
        group.bench_function(BenchmarkId::from_parameter("mock"), |bencher| {
            bencher.iter(|| {
                // Stands for the read.
                buffer.copy_from_slice(black_box(&input));
                output.clear();
                session.handle_bytes(
                    now,
                    &mut buffer,
                    &host,
                    &limits,
                    &mut output,
                    &mut invocations,
                );
                assert_eq!(black_box(&output).len(), depth * (ANSWER.len() + 2));
            });
        });
        assert!(output[2..].starts_with(ANSWER.as_bytes()), "the answer is the template's");

        let mut framing = websocket::Connection::server();
        group.bench_function(BenchmarkId::from_parameter("framing"), |bencher| {
            bencher.iter(|| {
                buffer.copy_from_slice(black_box(&input));
                output.clear();
                let mut incoming = framing.receive(&mut buffer, &limits.framing);
                while let Some(event) = incoming.next() {
                    let Ok(Event::Text(text)) = event else { panic!("only texts are sent") };
                    write::text(&mut output, text);
                }
                drop(incoming);
                assert_eq!(black_box(&output).len(), depth * (MESSAGE.len() + 2));
            });
        });
        group.finish();
    }
}

/// A stage whose route `ping` answers with the time.
fn stage() -> Arc<Stage> {
    let mut sources = Sources::default();
    sources.add("bench.yaml".to_owned(), TEMPLATE.to_owned());
    let (stacks, findings) = cloudformation::load(&sources, &cloudformation::Options::default());
    assert!(!findings.has_errors(), "{findings:?}");
    let (model, findings) = api_model::resolve(&stacks, Compat::Wsgate);
    assert!(!findings.has_errors(), "{findings:?}");
    Arc::clone(model.stages.first().expect("the template has a stage"))
}

fn connection() -> Connection {
    Connection {
        id: "AAAAAAAAAAAAAAAAAA==".to_owned(),
        api_id: "a1b2c3d4e5".to_owned(),
        stage: "dev".to_owned(),
        domain_name: "ws.example.com".to_owned(),
        host: "ws.example.com".to_owned(),
        connected_at: NOW,
        source_ip: "203.0.113.9".to_owned(),
        user_agent: None,
        authorizer: None,
    }
}

fn frames(depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for n in 0..depth {
        client::text(&mut out, MESSAGE, [0x37, 0xFA, 0x21, n as u8]);
    }
    out
}

/// A gateway that costs nothing.
struct Host(Arc<Stage>);

impl Environment for Host {
    fn stage(&self, _: &Connection) -> Option<Arc<Stage>> {
        Some(Arc::clone(&self.0))
    }

    fn admit(&self, _: &Stage, _: &str) -> bool {
        true
    }

    fn request_id(&self) -> Id {
        Id::request(black_box([7; 11]))
    }

    fn message_id(&self) -> Id {
        Id::message(black_box([7; 13]))
    }

    fn epoch_ms(&self) -> u64 {
        NOW
    }

    fn failed(&self, _: &Connection, _: Id, failure: Failure) {
        panic!("{failure}");
    }
}

const NOW: u64 = 1_758_758_533_000;

/// 100 bytes of JSON.
const MESSAGE: &str = concat!(
    r#"{"action":"ping","text":"01234567890123456789012345678901234"#,
    r#"56789012345678901234567890123456789012"}"#
);
const ANSWER: &str = r#"{"type":"pong","at":"1758758533000"}"#;
const _: () = assert!(MESSAGE.len() == 100);

/// The popular keep-alive configuration.
const TEMPLATE: &str = r#"
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Name: bench
      ProtocolType: WEBSOCKET
      RouteSelectionExpression: $request.body.action
  Ping:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: ping
      RouteResponseSelectionExpression: $default
      Target: !Sub integrations/${Mock}
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: MOCK
      TemplateSelectionExpression: "200"
      RequestTemplates: { "200": '{"statusCode":200}' }
  Answer:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Mock
      IntegrationResponseKey: $default
      TemplateSelectionExpression: "200"
      ResponseTemplates: { "200": '{"type":"pong","at":"$context.requestTimeEpoch"}' }
  Reply:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties:
      ApiId: !Ref Api
      RouteId: !Ref Ping
      RouteResponseKey: $default
  Deployment:
    Type: AWS::ApiGatewayV2::Deployment
    DependsOn: [Ping]
    Properties: { ApiId: !Ref Api }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: dev, DeploymentId: !Ref Deployment }
"#;
