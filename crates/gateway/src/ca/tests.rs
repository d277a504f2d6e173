use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::string::Ia5String;
use rustls::pki_types::ServerName;
use rustls::server::ResolvesServerCert;
use rustls::{AlertDescription, ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::resolve::LEAVES_MAX;
use super::*;

fn browser_ca(dir: &TempDir, domains: &[&str]) -> BrowserCa {
    browser_ca_at(dir, domains, SystemTime::now()).unwrap()
}

fn browser_ca_at(dir: &TempDir, domains: &[&str], now: SystemTime) -> Result<BrowserCa, Error> {
    let domains: Vec<_> = domains.iter().map(|&name| name.to_owned()).collect();
    BrowserCa::load_or_create(&dir.path().join("ca"), &domains, now)
}

fn loopback() -> Vec<IpAddr> {
    vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
}

fn certificates(authorities: &[&Arc<Authority>], served: &'static [&str]) -> LocalCertificates {
    let authorities = authorities.iter().map(|&authority| Arc::clone(authority)).collect();
    let served = move |name: &str| served.contains(&name);
    LocalCertificates::new(authorities, loopback(), served, SystemTime::now).unwrap()
}

fn client(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Connects in memory as `name`; the ALPN protocol chosen, or the client's TLS error.
async fn connect(
    server: &Arc<ServerConfig>,
    client: ClientConfig,
    name: &str,
) -> Result<Option<Vec<u8>>, rustls::Error> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let serve = async {
        if let Ok(mut stream) = accept(far, server).await {
            let _ = stream.write_all(b"hello").await;
            let _ = stream.shutdown().await;
        }
    };
    let ask = async {
        let mut stream = TlsConnector::from(Arc::new(client)).connect(name, near).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        assert_eq!(text, "hello");
        Ok(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    };
    let ((), asked) = tokio::join!(serve, ask);
    asked.map_err(|error: io::Error| error.downcast::<rustls::Error>().unwrap())
}

fn unrecognized() -> Result<Option<Vec<u8>>, rustls::Error> {
    Err(rustls::Error::AlertReceived(AlertDescription::UnrecognisedName))
}

fn with_alpn(mut config: ClientConfig, protocols: &[&str]) -> ClientConfig {
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    config
}

#[tokio::test]
async fn served_names_get_a_certificate_and_others_an_alert() {
    let dir = TempDir::new().unwrap();
    let ca = browser_ca(&dir, &["dev.example.com"]).authority;
    let served = &["ws.wsgate.localhost", "ws.dev.example.com"];
    let server = server_config(Arc::new(certificates(&[&ca], served)));
    for name in ["ws.wsgate.localhost", "WS.dev.Example.com", "localhost"] {
        assert_eq!(connect(&server, client(&ca), name).await, Ok(None), "{name}");
    }
    for name in ["other.wsgate.localhost", "dev.example.com", "example.com"] {
        assert_eq!(connect(&server, client(&ca), name).await, unrecognized(), "{name}");
    }
}

#[tokio::test]
async fn clients_without_a_name_get_the_loopback_addresses() {
    let dir = TempDir::new().unwrap();
    let ca = browser_ca(&dir, &[]).authority;
    let server = server_config(Arc::new(certificates(&[&ca], &[])));
    for address in ["127.0.0.1", "::1"] {
        assert_eq!(connect(&server, client(&ca), address).await, Ok(None), "{address}");
    }
    let mut nameless = client(&ca);
    nameless.enable_sni = false;
    assert_eq!(connect(&server, nameless, "localhost").await, Ok(None));
    assert!(connect(&server, client(&ca), "127.0.0.2").await.is_err());
}

#[tokio::test]
async fn only_http_1_is_negotiated() {
    let ca = Arc::new(Authority::for_functions(SystemTime::now()).unwrap());
    let server = server_config(Arc::new(certificates(&[&ca], &[])));
    let offer = |protocols| with_alpn(client(&ca), protocols);
    let got = connect(&server, offer(&["h2", "http/1.1"]), "localhost").await;
    assert_eq!(got, Ok(Some(b"http/1.1".to_vec())));
    let got = connect(&server, offer(&["h2"]), "localhost").await;
    let alert = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    assert_eq!(got, Err(alert));
}

#[tokio::test]
async fn both_versions_of_tls_work() {
    let ca = Arc::new(Authority::for_functions(SystemTime::now()).unwrap());
    let server = server_config(Arc::new(certificates(&[&ca], &["api.example.com"])));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(ca.certificate.clone()).unwrap();
        let old = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        assert_eq!(connect(&server, old.clone(), "api.example.com").await, Ok(None));
        assert_eq!(connect(&server, old, "b.example.com").await, unrecognized());
    }
}

/// A resolver that answers everyone with one certificate, as a thief of the CA's key would.
#[derive(Debug)]
struct Rogue(Arc<rustls::sign::CertifiedKey>);

impl ResolvesServerCert for Rogue {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn rogue(authority: &Authority, name: SanType) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let (certificate, _) = authority.leaf(vec![name], &key, SystemTime::now()).unwrap();
    let der = key.serialize_der().try_into().unwrap();
    let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).unwrap();
    server_config(Arc::new(Rogue(Arc::new(rustls::sign::CertifiedKey::new(
        vec![certificate],
        signing,
    )))))
}

#[tokio::test]
async fn clients_refuse_foreign_names_under_the_browser_ca() {
    let dir = TempDir::new().unwrap();
    let ca = browser_ca(&dir, &["dev.example.com"]).authority;
    let dns = |name: &str| SanType::DnsName(Ia5String::try_from(name.to_owned()).unwrap());
    let ip = |text: &str| SanType::IpAddress(text.parse().unwrap());
    for name in ["localhost", "a.b.localhost", "dev.example.com", "a.dev.example.com"] {
        assert_eq!(connect(&rogue(&ca, dns(name)), client(&ca), name).await, Ok(None), "{name}");
        assert!(ca.permits(name));
    }
    for address in ["127.0.0.1", "127.9.9.9", "::1"] {
        assert_eq!(connect(&rogue(&ca, ip(address)), client(&ca), address).await, Ok(None));
    }
    for name in ["example.com", "xdev.example.com", "xlocalhost", "bank.example"] {
        let got = connect(&rogue(&ca, dns(name)), client(&ca), name).await;
        assert!(matches!(got, Err(rustls::Error::InvalidCertificate(_))), "{name}: {got:?}");
        assert!(!ca.permits(name));
    }
    for address in ["10.0.0.1", "128.0.0.1", "::2"] {
        let got = connect(&rogue(&ca, ip(address)), client(&ca), address).await;
        assert!(matches!(got, Err(rustls::Error::InvalidCertificate(_))), "{address}: {got:?}");
    }
}

#[tokio::test]
async fn names_beyond_the_browser_ca_are_signed_by_the_function_ca() {
    let dir = TempDir::new().unwrap();
    let browser = browser_ca(&dir, &[]).authority;
    let functions = Arc::new(Authority::for_functions(SystemTime::now()).unwrap());
    let served = &["api.example.com", "api.localhost"];
    let server = server_config(Arc::new(certificates(&[&browser, &functions], served)));
    assert_eq!(connect(&server, client(&functions), "api.example.com").await, Ok(None));
    assert!(connect(&server, client(&browser), "api.example.com").await.is_err());
    assert_eq!(connect(&server, client(&browser), "api.localhost").await, Ok(None));
    let alone = server_config(Arc::new(certificates(&[&browser], served)));
    assert_eq!(connect(&alone, client(&browser), "api.example.com").await, unrecognized());
}

#[test]
fn a_leaf_is_kept_and_renewed_in_time() {
    static ELAPSED: AtomicU64 = AtomicU64::new(0);
    let clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(ELAPSED.load(Ordering::Relaxed));
    ELAPSED.store(1_800_000_000, Ordering::Relaxed);
    let ca = Arc::new(Authority::for_functions(clock()).unwrap());
    let local = LocalCertificates::new(vec![ca], loopback(), |_| true, clock).unwrap();
    let first = local.certificate(Some("a.example.com")).unwrap();
    ELAPSED.fetch_add(28 * DAY, Ordering::Relaxed);
    assert!(Arc::ptr_eq(&first, &local.certificate(Some("A.example.com")).unwrap()));
    ELAPSED.fetch_add(DAY, Ordering::Relaxed);
    let second = local.certificate(Some("a.example.com")).unwrap();
    assert_ne!(first.cert, second.cert);
    ELAPSED.fetch_add(3700 * DAY, Ordering::Relaxed);
    assert!(local.certificate(Some("a.example.com")).is_none(), "the authority has ended");
}

#[test]
fn the_cache_of_leaves_is_bounded_and_drops_the_longest_unused() {
    static ELAPSED: AtomicU64 = AtomicU64::new(1_800_000_000);
    let clock = || {
        let seconds = ELAPSED.fetch_add(1, Ordering::Relaxed);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    };
    let ca = Arc::new(Authority::for_functions(clock()).unwrap());
    let local = LocalCertificates::new(vec![ca], loopback(), |_| true, clock).unwrap();
    let hot = local.certificate(Some("hot.example.com")).unwrap();
    let cold = local.certificate(Some("cold.example.com")).unwrap();
    for number in 0..LEAVES_MAX {
        local.certificate(Some(&format!("{number}.example.com"))).unwrap();
        assert!(Arc::ptr_eq(&hot, &local.certificate(Some("hot.example.com")).unwrap()));
    }
    assert!(!Arc::ptr_eq(&cold, &local.certificate(Some("cold.example.com")).unwrap()));
}

#[test]
fn a_name_no_longer_served_loses_its_certificate() {
    static SERVED: AtomicU64 = AtomicU64::new(1);
    let ca = Arc::new(Authority::for_functions(SystemTime::now()).unwrap());
    let served = |_: &str| SERVED.load(Ordering::Relaxed) == 1;
    let local = LocalCertificates::new(vec![ca], loopback(), served, SystemTime::now).unwrap();
    assert!(local.certificate(Some("a.example.com")).is_some());
    SERVED.store(0, Ordering::Relaxed);
    assert!(local.certificate(Some("a.example.com")).is_none());
}

#[test]
fn the_browser_ca_is_made_once_and_its_key_is_private() {
    let dir = TempDir::new().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let first = browser_ca(&dir, &[]);
    assert!(first.is_new);
    let ca = dir.path().join("ca");
    assert_eq!(mode(&ca), 0o700);
    assert_eq!(mode(&ca.join("browser-ca.key")), 0o600);
    let certificate = fs::read_to_string(&first.certificate_path).unwrap();
    assert_eq!(certificate, first.authority.certificate_pem());
    assert!(!certificate.contains("PRIVATE"));
    let second = browser_ca(&dir, &["localhost", "a.localhost"]);
    assert!(!second.is_new);
    assert_eq!(second.authority.fingerprint(), first.authority.fingerprint());
    let left: Vec<_> = fs::read_dir(&ca).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "no draft stays behind: {left:?}");
    let shown = format!("{first:?}");
    assert!(!shown.contains("PRIVATE") && shown.contains("elided"), "{shown}");
}

#[tokio::test]
async fn a_loaded_ca_signs_what_the_made_one_is_trusted_for() {
    let dir = TempDir::new().unwrap();
    let made = browser_ca(&dir, &[]).authority;
    let loaded = BrowserCa::show(&dir.path().join("ca")).unwrap().unwrap();
    assert_eq!(loaded.authority.certificate_pem(), made.certificate_pem());
    let server = server_config(Arc::new(certificates(&[&loaded.authority], &["a.localhost"])));
    assert_eq!(connect(&server, client(&made), "a.localhost").await, Ok(None));
}

#[test]
fn the_browser_ca_is_replaced_when_it_no_longer_fits() {
    let dir = TempDir::new().unwrap();
    let now = SystemTime::now();
    let key = dir.path().join("ca/browser-ca.key");
    let mut last = browser_ca(&dir, &[]).authority.fingerprint();
    let mut replaced = |domains: &[&str], now, what| {
        let ca = browser_ca_at(&dir, domains, now).unwrap();
        assert!(ca.is_new, "{what}");
        assert_ne!(last, ca.authority.fingerprint(), "{what}");
        last = ca.authority.fingerprint();
        assert!(!browser_ca_at(&dir, domains, now).unwrap().is_new, "{what}");
    };
    replaced(&["b.example.com", "A.example.com"], now, "more names");
    replaced(&["a.example.com"], now, "fewer names");
    replaced(&["a.example.com"], now + BROWSER_CA_LIFE, "ended");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    replaced(&["a.example.com"], now, "readable by others");
    fs::write(&key, "rubbish").unwrap();
    replaced(&["a.example.com"], now, "unreadable");
    let other = KeyPair::generate().unwrap().serialize_pem();
    let text = fs::read_to_string(&key).unwrap();
    let certificate = &text[text.find("-----BEGIN CERT").unwrap()..];
    fs::write(&key, format!("{other}{certificate}")).unwrap();
    replaced(&["a.example.com"], now, "another key");
    let wide =
        Authority::make(KeyPair::generate().unwrap(), "x", None, now, now + LEAF_LIFE).unwrap();
    let pem = wide.issuer.key().serialize_pem();
    fs::write(&key, format!("{pem}{}", wide.certificate_pem)).unwrap();
    replaced(&["a.example.com"], now, "without constraints");
}

#[test]
fn a_lost_certificate_file_is_written_again() {
    let dir = TempDir::new().unwrap();
    let first = browser_ca(&dir, &[]);
    fs::remove_file(&first.certificate_path).unwrap();
    assert!(!browser_ca(&dir, &[]).is_new);
    assert!(first.certificate_path.exists());
}

#[test]
fn several_processes_agree_on_one_ca() {
    let dir = TempDir::new().unwrap();
    let made: Vec<_> = std::thread::scope(|scope| {
        let spawned: Vec<_> = (0..8).map(|_| scope.spawn(|| browser_ca(&dir, &[]))).collect();
        spawned.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|ca| ca.is_new).count(), 1);
    for ca in &made {
        assert_eq!(ca.authority.fingerprint(), made[0].authority.fingerprint());
    }
}

#[test]
fn removing_leaves_no_key() {
    let dir = TempDir::new().unwrap();
    browser_ca(&dir, &[]);
    let ca = dir.path().join("ca");
    assert!(BrowserCa::remove(&ca).unwrap());
    assert!(!BrowserCa::remove(&ca).unwrap());
    assert!(BrowserCa::show(&ca).unwrap().is_none());
    assert_eq!(fs::read_dir(&ca).unwrap().count(), 0);
}

#[test]
fn names_too_wide_or_not_names_are_refused() {
    let dir = TempDir::new().unwrap();
    for name in
        ["com", "*.example.com", "", ".", ".example.com", "a.example.com.", "10.0.0.1", "a b.c"]
    {
        let got = browser_ca_at(&dir, &[name], SystemTime::now());
        assert!(matches!(got, Err(Error::Domain { .. })), "{name}");
    }
    let many: Vec<_> = (0..=DOMAINS_MAX).map(|n| format!("a{n}.example.com")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(matches!(browser_ca_at(&dir, &many, SystemTime::now()), Err(Error::Domain { .. })));
}

/// Writes a chain and a key for `names`, and returns their paths.
fn pair(dir: &TempDir, ca: &Authority, names: &[&str]) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let dns = |name: &&str| SanType::DnsName(Ia5String::try_from((*name).to_owned()).unwrap());
    let (leaf, _) = ca.leaf(names.iter().map(dns).collect(), &key, SystemTime::now()).unwrap();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &leaf);
    let leaf = format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n");
    let at = |end: &str| dir.path().join(format!("{}.{end}", names[0].replace('*', "any")));
    fs::write(at("pem"), format!("{leaf}{}", ca.certificate_pem())).unwrap();
    fs::write(at("key"), key.serialize_pem()).unwrap();
    (at("pem"), at("key"))
}

#[tokio::test]
async fn files_are_chosen_by_name() {
    let dir = TempDir::new().unwrap();
    let ca = Authority::for_functions(SystemTime::now()).unwrap();
    let paths = vec![
        pair(&dir, &ca, &["ws.example.com", "www.example.com"]),
        pair(&dir, &ca, &["*.example.org"]),
    ];
    let server = server_config(Arc::new(FileCertificates::load(paths).unwrap()));
    for name in ["ws.example.com", "www.example.com", "a.example.org"] {
        assert_eq!(connect(&server, client(&ca), name).await, Ok(None), "{name}");
    }
    for name in ["example.com", "a.b.example.org", "localhost"] {
        assert_eq!(connect(&server, client(&ca), name).await, unrecognized(), "{name}");
    }
    let mut nameless = client(&ca);
    nameless.enable_sni = false;
    assert_eq!(connect(&server, nameless, "ws.example.com").await, Ok(None));
}

#[test]
fn files_are_read_again_and_bad_ones_change_nothing() {
    let dir = TempDir::new().unwrap();
    let ca = Authority::for_functions(SystemTime::now()).unwrap();
    let (chain, key) = pair(&dir, &ca, &["ws.example.com"]);
    let files = FileCertificates::load(vec![(chain.clone(), key.clone())]).unwrap();
    let first = files.certificate(Some("ws.example.com")).unwrap();
    fs::write(&chain, "rubbish").unwrap();
    assert!(matches!(files.reload(), Err(Error::Content { .. })));
    assert!(Arc::ptr_eq(&first, &files.certificate(None).unwrap()));
    pair(&dir, &ca, &["ws.example.com"]);
    files.reload().unwrap();
    assert_ne!(first.cert, files.certificate(None).unwrap().cert);
    let (_, other_key) = pair(&dir, &ca, &["other.example.com"]);
    let mixed = FileCertificates::load(vec![(chain.clone(), other_key)]).unwrap_err();
    assert!(mixed.to_string().contains("is not the key of the certificate"), "{mixed}");
    let swapped = FileCertificates::load(vec![(key, chain)]).unwrap_err();
    assert!(matches!(swapped, Error::Content { .. }), "{swapped}");
    let missing = FileCertificates::load(vec![("/none".into(), "/none".into())]).unwrap_err();
    assert!(matches!(missing, Error::File { .. }));
}

#[tokio::test]
async fn bytes_that_are_not_tls_end_the_handshake() {
    let ca = Arc::new(Authority::for_functions(SystemTime::now()).unwrap());
    let server = server_config(Arc::new(certificates(&[&ca], &[])));
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[22, 3, 1, 0, 0], &[22, 3, 1, 255, 255, 1], &[]]
    {
        let (mut near, far) = tokio::io::duplex(1024);
        near.write_all(bytes).await.unwrap();
        near.shutdown().await.unwrap();
        assert!(accept(far, &server).await.is_err());
    }
}
