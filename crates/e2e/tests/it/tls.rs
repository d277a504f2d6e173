//! TLS: one port for both, certificates of the local authority for served names only, and
//! certificates from files where the world can reach the listener.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use rustls::{AlertDescription, ClientConfig, ClientConnection, Error, RootCertStore, StreamOwned};
use rustls::{ProtocolVersion, SupportedProtocolVersion, version};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::http::{Stream, Wire, request_bytes};
use crate::harness::secrets::Secrets;
use crate::harness::template;
use crate::harness::ws::{Client, Incoming};

/// Answers every message with the domain and the stage it came through.
const TEMPLATE: &str = r#"@integration Mock {"IntegrationType":"MOCK"}
@integration Id {"IntegrationType":"MOCK"}
@route $default Mock two-way
@route id Id two-way
  Answer:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Mock
      IntegrationResponseKey: $default
      ResponseTemplates: { $default: "$context.domainName $context.stage" }
  IdAnswer:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Id
      IntegrationResponseKey: $default
      ResponseTemplates: { $default: "$context.connectionId" }
  Domain:
    Type: AWS::ApiGatewayV2::DomainName
    Properties:
      DomainName: ws.wsgate.localhost
      DomainNameConfigurations:
        - EndpointType: REGIONAL
          CertificateArn: arn:aws:acm:us-east-1:000000000000:certificate/1
  Mapping:
    Type: AWS::ApiGatewayV2::ApiMapping
    Properties: { ApiId: !Ref Api, DomainName: !Ref Domain, Stage: !Ref Stage, ApiMappingKey: chat }
"#;

fn setup(arguments: &[&str], config: &str) -> Setup {
    Setup {
        templates: vec![("case.yaml".to_owned(), template::expand(TEMPLATE).text)],
        config: config.to_owned(),
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        ..Setup::default()
    }
}

fn start(setup: &Setup) -> Gateway {
    Gateway::start(setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr))
}

/// How a client greets.
struct Hello {
    alpn: &'static [&'static str],
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl Default for Hello {
    fn default() -> Self {
        Self { alpn: &[], versions: vec![&version::TLS12, &version::TLS13] }
    }
}

/// A connection, and what was agreed.
struct Agreed {
    wire: Wire,
    alpn: Option<Vec<u8>>,
    version: Option<ProtocolVersion>,
}

/// Shakes hands as `name`, trusting the local authority alone.
fn greet(gateway: &Gateway, name: &str, hello: &Hello) -> io::Result<Agreed> {
    let authority = gateway.path("wsgate/browser-ca.pem");
    if !authority.is_file() {
        // It is made on first need; this is the first need.
        assert!(greet_trusting(gateway, None, "localhost", &Hello::default()).is_err());
    }
    let pem = std::fs::read(authority).expect("there is a local CA");
    greet_trusting(gateway, Some(&pem), name, hello)
}

fn greet_trusting(
    gateway: &Gateway,
    pem: Option<&[u8]>,
    name: &str,
    hello: &Hello,
) -> io::Result<Agreed> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = pem {
        roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&hello.versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = hello.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let (mut alpn, mut version) = (None, None);
    let wire = Wire::connect(gateway.listen)?.cover(|mut socket| {
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        alpn = connection.alpn_protocol().map(<[u8]>::to_vec);
        version = connection.protocol_version();
        Ok(Box::new(StreamOwned::new(connection, socket)) as Box<dyn Stream>)
    })?;
    Ok(Agreed { wire, alpn, version })
}

/// The alert that ended a handshake.
#[track_caller]
fn alert(greeting: io::Result<Agreed>) -> AlertDescription {
    let Err(error) = greeting else { panic!("the handshake went through") };
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::AlertReceived(alert)) => *alert,
        other => panic!("no alert but {error} ({other:?})"),
    }
}

#[track_caller]
fn ask(client: &mut Client) -> String {
    client.send_text("{}").unwrap();
    match client.receive().unwrap() {
        Incoming::Text(text) => text,
        other => panic!("no text: {other:?}"),
    }
}

fn host(name: &str) -> [(String, String); 1] {
    [("Host".to_owned(), name.to_owned())]
}

#[test]
fn plain_and_tls_share_a_loopback_port() {
    let gateway = start(&setup(&[], ""));
    let (_, plain) = Client::open(gateway.listen, "/dev", &[]).unwrap();
    assert_eq!(ask(&mut plain.unwrap()), format!("{} dev", gateway.listen));
    for name in ["localhost", "127.0.0.1"] {
        let wire = greet(&gateway, name, &Hello::default()).unwrap().wire;
        let address = format!("{name}:{}", gateway.listen.port());
        let (answer, client) =
            Client::open_over(wire, gateway.listen, "/dev", &host(&address)).unwrap();
        let mut client = client.unwrap_or_else(|| panic!("{}", answer.start));
        assert_eq!(ask(&mut client), format!("{address} dev"));
    }
}

#[test]
fn a_custom_domain_is_served_over_tls() {
    let gateway = start(&setup(&[], ""));
    let wire = greet(&gateway, "ws.wsgate.localhost", &Hello::default()).unwrap().wire;
    let (_, client) =
        Client::open_over(wire, gateway.listen, "/chat", &host("ws.wsgate.localhost")).unwrap();
    assert_eq!(ask(&mut client.unwrap()), "ws.wsgate.localhost dev");
}

#[test]
fn a_push_to_https_and_the_domain_name_of_the_event_arrives() {
    let gateway = start(&setup(&[], "[management]\nauth = \"off\"\n"));
    let name = "a1b2c3d4e5.execute-api.us-east-1.localhost";
    let at = format!("{name}:{}", gateway.listen.port());
    let (_, client) = Client::open(gateway.listen, "/dev", &host(&at)).unwrap();
    let mut client = client.unwrap();
    // What a handler builds: https, `domainName` as it stands in the event, the stage.
    let said = ask(&mut client);
    assert_eq!(said, format!("{at} dev"));
    client.send_text(r#"{"action":"id"}"#).unwrap();
    let Incoming::Text(id) = client.receive().unwrap() else { panic!("no id") };
    let mut wire = greet(&gateway, name, &Hello::default()).unwrap().wire;
    let target = format!("/dev/@connections/{id}");
    wire.write(&request_bytes("POST", &target, &host(&at), b"pushed")).unwrap();
    assert_eq!(wire.read_response().unwrap().unwrap().status(), 200);
    assert_eq!(client.receive().unwrap(), Incoming::Text("pushed".to_owned()));
}

#[test]
fn only_names_that_are_served_get_a_certificate() {
    let gateway = start(&setup(&[], ""));
    for name in ["ws.wsgate.localhost", "a1b2c3d4e5.execute-api.us-east-1.localhost"] {
        assert!(greet(&gateway, name, &Hello::default()).is_ok(), "{name}");
    }
    for name in ["other.wsgate.localhost", "b1b2c3d4e5.execute-api.us-east-1.localhost", "a.b"] {
        let alert = alert(greet(&gateway, name, &Hello::default()));
        assert_eq!(alert, AlertDescription::UnrecognisedName, "{name}");
    }
    // Who asks for a wrong name harms nobody else.
    assert!(Client::open(gateway.listen, "/dev", &[]).unwrap().1.is_some());
}

#[test]
fn http_1_1_is_the_only_protocol_offered() {
    let gateway = start(&setup(&[], ""));
    let hello = Hello { alpn: &["h2", "http/1.1"], ..Hello::default() };
    let agreed = greet(&gateway, "localhost", &hello).unwrap();
    assert_eq!(agreed.alpn.as_deref(), Some(b"http/1.1".as_slice()));
    let hello = Hello { alpn: &["h2"], ..Hello::default() };
    let refused = alert(greet(&gateway, "localhost", &hello));
    assert_eq!(refused, AlertDescription::NoApplicationProtocol);
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let gateway = start(&setup(&[], ""));
    for (only, want) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let hello = Hello { alpn: &[], versions: vec![only] };
        let agreed = greet(&gateway, "localhost", &hello).unwrap();
        assert_eq!(agreed.version, Some(want));
    }
    // A ClientHello of TLS 1.1, two old cipher suites, no extensions.
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    let mut record = vec![0x16, 0x03, 0x01, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
    record.extend(hello);
    let mut wire = Wire::connect(gateway.listen).unwrap();
    wire.write(&record).unwrap();
    let answer = wire.read_to_end().unwrap();
    // An alert, or a mere end: anything but a ServerHello.
    assert_ne!(answer.first(), Some(&0x16), "{answer:?}");
}

#[test]
fn half_a_tls_handshake_is_given_up() {
    let gateway = start(&setup(&[], "[limits]\nhead_time = \"1s\"\n"));
    let mut wire = Wire::connect(gateway.listen).unwrap();
    wire.write(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
    assert!(wire.read_to_end().is_ok());
}

#[test]
fn the_local_authoritys_key_is_the_users_alone() {
    let gateway = start(&setup(&[], ""));
    drop(greet(&gateway, "localhost", &Hello::default()).unwrap());
    let mode = std::fs::metadata(gateway.path("wsgate/browser-ca.key")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

/// A listener for everyone, and its own certificate, which is for `ws.example.com`.
fn public() -> (Setup, String) {
    let own = rcgen::generate_simple_self_signed(["ws.example.com".to_owned()]).unwrap();
    let mut setup = setup(
        &["--listen", "0.0.0.0:0"],
        "[listen]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n",
    );
    let domain = template::expand(&TEMPLATE.replace("ws.wsgate.localhost", "ws.example.com"));
    setup.templates = vec![("case.yaml".to_owned(), domain.text)];
    setup.files = vec![
        ("chain.pem".to_owned(), own.cert.pem()),
        ("key.pem".to_owned(), own.signing_key.serialize_pem()),
    ];
    (setup, own.cert.pem())
}

#[test]
fn a_public_listener_speaks_tls_only() {
    let (setup, pem) = public();
    let gateway = start(&setup);
    let hello = Hello::default();
    let agreed = greet_trusting(&gateway, Some(pem.as_bytes()), "ws.example.com", &hello).unwrap();
    let (_, client) =
        Client::open_over(agreed.wire, gateway.listen, "/chat", &host("ws.example.com")).unwrap();
    assert_eq!(ask(&mut client.unwrap()), "ws.example.com dev");
    // A plaintext first byte ends the connection without a word.
    let mut wire = Wire::connect(gateway.listen).unwrap();
    let _ = wire.write(b"GET /chat HTTP/1.1\r\nHost: ws.example.com\r\n\r\n");
    assert_eq!(wire.read_to_end().unwrap(), b"");
}

#[test]
fn a_public_listener_is_plain_only_when_told_so() {
    let (mut setup, _) = public();
    setup.config = "[listen]\ninsecure = true\n".to_owned();
    let gateway = start(&setup);
    let (_, client) = Client::open(gateway.listen, "/chat", &host("ws.example.com")).unwrap();
    assert_eq!(ask(&mut client.unwrap()), "ws.example.com dev");
    setup.config.clear();
    let refused = Gateway::start(&setup, Arc::new(Secrets::default()));
    let refused = refused.err().expect("a public listener needs a certificate");
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
}
