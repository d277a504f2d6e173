use serde_json::{Value, json};

use super::*;
use crate::aws_lc::AwsLc;
use crate::tests::{CSRF_SECRET, PAIRS, SECRET, config, merged};

/// Builds a set with one key of `spec` kind and `content`, for the algorithms named.
fn build(spec: &str, algorithms: &[&str], content: &str) -> Result<(), Vec<String>> {
    build_all(&[(spec, content)], algorithms)
}

fn build_all(keys: &[(&str, &str)], algorithms: &[&str]) -> Result<(), Vec<String>> {
    let specs: Vec<_> =
        keys.iter().enumerate().map(|(n, (kind, _))| format!("{kind}:env:K{n}")).collect();
    let tree = json!({
        "sources": ["protocol"],
        "issuers": [{
            "issuer": "i", "audience": "any", "algorithms": algorithms, "keys": specs,
        }],
    });
    let text = |errors: Vec<ConfigError>| errors.iter().map(ToString::to_string).collect();
    let (config, _) = Config::read(&tree).map_err(text)?;
    let mut builder = KeySet::builder(&config, &AwsLc);
    for (n, (_, content)) in keys.iter().enumerate() {
        builder.add(0, n, content.as_bytes());
    }
    builder.build().map(drop).map_err(text)
}

#[track_caller]
fn refused(spec: &str, algorithms: &[&str], content: &str, part: &str) {
    let errors = build(spec, algorithms, content).unwrap_err();
    assert!(errors.len() == 1 && errors[0].contains(part), "{errors:?}");
    assert!(errors[0].starts_with("authorizer.issuers[0].keys[0]: "), "{errors:?}");
    if 12 <= content.len() && !content.trim_start().starts_with("-----BEGIN") {
        assert!(!errors[0].contains(&content[..12]), "the content shows: {errors:?}");
    }
}

fn secret() -> &'static str {
    std::str::from_utf8(SECRET).unwrap()
}

#[test]
fn the_kind_is_declared_and_never_guessed() {
    assert_eq!(build("hmac", &["HS256"], secret()), Ok(()));
    assert_eq!(build("pem", &["RS256"], &PAIRS.rsa.public), Ok(()));
    assert_eq!(build("pem", &["RS256"], &format!("\n  {}\n", PAIRS.rsa.public)), Ok(()));
    refused("hmac", &["HS256"], &PAIRS.rsa.public, "PEM");
    refused("hmac", &["HS256"], &format!(" \n\t{}", PAIRS.p256.public), "PEM");
    refused("hmac", &["HS256"], &format!("# key\n{}", PAIRS.p256.public), "PEM");
    refused(
        "hmac",
        &["HS256"],
        r#" {"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}"#,
        "JSON Web Key",
    );
    refused("hmac", &["HS256"], "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ", "SSH");
    refused("pem", &["RS256"], secret(), "PEM");
    refused("pem", &["RS256"], &PAIRS.rsa.private, "private key");
    refused("pem", &["RS256"], &format!("{0}{0}", PAIRS.rsa.public), "PEM");
    refused("pem", &["RS256"], &PAIRS.rsa.public.replace("PUBLIC", "X PUBLIC"), "block");
    refused("jwk", &["HS256"], secret(), "JSON");
    refused("jwk", &["RS256"], &PAIRS.rsa.public, "JSON");
    refused("jwk", &["HS256"], r#"{"keys":[]}"#, "set of keys");
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
    refused("pem", &["RS256"], certificate, "certificate");
}

/// The content of a PEM block, without what is around it.
fn body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

/// What everybody may know: the public keys, as they are spelled in files, variables and JSON.
fn public_documents() -> Vec<(&'static str, Vec<u8>)> {
    let mut documents = Vec::new();
    for pair in [&PAIRS.rsa, &PAIRS.p256, &PAIRS.p384, &PAIRS.p521, &PAIRS.ed25519] {
        let der = pem::read_block(pair.public.as_bytes()).unwrap().1;
        let url = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &der);
        documents.extend([
            ("PEM", pair.public.clone().into()),
            ("PEM after a byte order mark", format!("\u{feff}{}", pair.public).into()),
            ("PEM after white space", format!(" \r\n\t\u{b}{}", pair.public).into()),
            ("PEM after a preamble", format!("{}\n{}", "# key\n".repeat(99), pair.public).into()),
            ("the bare base64 of a PEM", body(&pair.public).into()),
            ("the same in lines", body(&pair.public).replace('+', "\n+").into()),
            ("the same in base64url", url.into()),
            ("the same in quotes", format!("\"{}\"", body(&pair.public)).into()),
            ("the same with line ends spelled out", spelled_out(&body(&pair.public)).into()),
            ("hexadecimal DER", hex::encode(&der).into()),
            ("hexadecimal DER with colons", hex::encode_upper(&der).replace('3', "3:").into()),
            ("DER after white space", [b"\n", der.as_slice()].concat()),
            ("DER after a byte order mark", [b"\xef\xbb\xbf", der.as_slice()].concat()),
            ("DER before a line end", [der.as_slice(), b"\n"].concat()),
            ("DER", der),
        ]);
    }
    for text in [
        "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAC3NzaC1lZDI1NTE5AAAAIFx\n---- END SSH2 PUBLIC KEY ----",
        "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t",
        "AAAAB3NzaC1yc2EAAAADAQABAAABgQDAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAAAAAA",
        r#"[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]"#,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    ] {
        documents.push(("a public text", text.into()));
    }
    documents
}

fn spelled_out(text: &str) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    lines.join("\\n")
}

#[test]
fn what_everybody_may_know_is_no_shared_secret() {
    for (what, content) in public_documents() {
        let k = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &content);
        let jwk = json!({ "kty": "oct", "k": k, "alg": "HS256" }).to_string();
        assert!(build("jwk", &["HS256"], &jwk).is_err(), "{what} as `k`");
        let (config, _) = Config::read(&config()).unwrap();
        let mut builder = KeySet::builder(&config, &AwsLc);
        builder.add(0, 0, &content);
        builder.csrf_secret(&content);
        let errors = builder.build().map(drop).unwrap_err();
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(
            paths[..2],
            ["authorizer.issuers[0].keys[0]", "authorizer.csrf.secret"],
            "{what}"
        );
    }
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    refused("hmac", &["HS256"], &format!("\u{feff}{jwk}"), "JSON Web Key");
    // Random text that happens to be base64 is a secret all the same.
    assert_eq!(build("hmac", &["HS256"], "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"), Ok(()));
    assert_eq!(build("hmac", &["HS256"], &"0123456789abcdef".repeat(4)), Ok(()));
}

#[test]
fn a_key_is_pinned_to_one_algorithm() {
    refused("pem", &["RS256", "PS256"], &PAIRS.rsa.public, "only one of");
    refused("pem", &["ES256"], &PAIRS.rsa.public, "must name one of");
    refused("pem", &["ES256"], &PAIRS.p384.public, "must name one of ES384");
    refused("pem", &[], &PAIRS.rsa.public, "must name one of");
    refused("hmac", &["HS256", "HS512"], secret(), "only one of");
    assert_eq!(build("pem", &["ES256", "ES384"], &PAIRS.p384.public), Ok(()));
    assert_eq!(build("pem", &["EdDSA", "Ed25519"], &PAIRS.ed25519.public), Ok(()));
    let jwk = |alg: &str| json!({ "kty": "oct", "k": "A".repeat(88), "alg": alg }).to_string();
    assert_eq!(build("jwk", &["HS256", "HS512"], &jwk("HS512")), Ok(()));
    assert_eq!(build("jwk", &[], &jwk("HS512")), Ok(()));
    refused("jwk", &["HS256"], &jwk("HS512"), "does not name");
    refused("jwk", &[], &jwk("RS256"), "cannot have");
    refused("jwk", &[], &jwk("none"), "not a supported");
    refused("jwk", &[], &jwk("A256GCM"), "not a supported");
}

#[test]
fn weak_keys_are_refused() {
    for (algorithm, bytes) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        assert_eq!(build("hmac", &[algorithm], &secret()[..bytes]), Ok(()));
        refused("hmac", &[algorithm], &secret()[..bytes - 1], "shorter");
        refused("hmac", &[algorithm], "", "shorter");
        // The line ending is not part of the secret, so it does not make up for a byte.
        refused("hmac", &[algorithm], &format!("{}\n", &secret()[..bytes - 1]), "shorter");
    }
    let rsa = |bits: usize, e: &str| {
        let mut modulus = vec![0xff; bits / 8];
        modulus[bits / 8 - 1] = 0xfd;
        let n = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, modulus);
        json!({ "kty": "RSA", "n": n, "e": e }).to_string()
    };
    assert_eq!(build("jwk", &["RS256"], &rsa(2048, "AQAB")), Ok(()));
    refused("jwk", &["RS256"], &rsa(1024, "AQAB"), "2048");
    refused("jwk", &["RS256"], &rsa(2040, "AQAB"), "2048");
    refused("jwk", &["RS256"], &rsa(8200, "AQAB"), "2048");
    for e in ["AQ", "AA", "Ag", "AAAB", ""] {
        refused("jwk", &["RS256"], &rsa(2048, e), "valid");
    }
}

#[test]
fn jwks_are_for_signatures_and_whole() {
    let ec = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let with = |changes: Value| merged(ec.clone(), changes).to_string();
    assert_eq!(build("jwk", &["ES256"], &with(json!({}))), Ok(()));
    assert_eq!(
        build("jwk", &["ES256"], &with(json!({ "use": "sig", "key_ops": ["verify"] }))),
        Ok(())
    );
    refused("jwk", &["ES256"], &with(json!({ "use": "enc" })), "`use`");
    refused("jwk", &["ES256"], &with(json!({ "key_ops": ["encrypt"] })), "key_ops");
    refused("jwk", &["ES256"], &with(json!({ "crv": "secp256k1" })), "supported");
    refused("jwk", &["ES256"], &with(json!({ "kty": null })), "`kty`");
    refused("jwk", &["ES256"], &with(json!({ "x": null })), "`x`");
    refused("jwk", &["ES256"], &with(json!({ "x": "AAAA" })), "`x`");
    refused("jwk", &["ES256"], &with(json!({ "kid": 7 })), "`kid`");
    refused("jwk", &["ES256"], &with(json!({ "d": "AAAA" })), "private");
    // Off the curve.
    let moved = with(json!({ "x": "g83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU" }));
    refused("jwk", &["ES256"], &moved, "not a valid key");
}

/// For such a key the signature `R` = a point of small order, `S` = 0 holds for any message.
#[test]
fn ed25519_points_of_small_order_are_refused() {
    use base64::Engine as _;
    let hex_points = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ];
    for point in hex_points {
        let x =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hex::decode(point).unwrap());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x }).to_string();
        refused("jwk", &["EdDSA"], &jwk, "small order");
    }
}

#[test]
fn one_issuer_has_one_family_and_unique_names() {
    let oct = |kid: &str| {
        json!({ "kty": "oct", "k": "A".repeat(43), "kid": kid, "alg": "HS256" }).to_string()
    };
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "alg": "EdDSA" }).to_string();
    assert_eq!(build_all(&[("jwk", &oct("a")), ("jwk", &oct("b"))], &[]), Ok(()));
    let twice = build_all(&[("jwk", &oct("a")), ("jwk", &oct("a"))], &[]).unwrap_err();
    assert!(twice[0].contains("keys[1]") && twice[0].contains("`kid`"), "{twice:?}");
    let twins = build_all(&[("hmac", secret()), ("hmac", &secret()[1..])], &["HS256"]).unwrap_err();
    assert!(twins[0].contains("keys[1]") && twins[0].contains("`kid`"), "{twins:?}");
    let mixed = build_all(&[("jwk", &oct("a")), ("jwk", &ed)], &[]).unwrap_err();
    assert!(mixed[0].contains("mixed"), "{mixed:?}");
}

#[test]
fn all_errors_of_keys_come_at_once() {
    let errors = build_all(&[("hmac", "short"), ("jwk", "{"), ("hmac", "")], &["HS256"]);
    assert_eq!(errors.unwrap_err().len(), 3);
}

#[test]
fn the_csrf_secret_is_long_and_nobody_elses() {
    let build = |secret: &[u8]| {
        let (config, _) = Config::read(&config()).unwrap();
        let mut builder = KeySet::builder(&config, &AwsLc);
        builder.add(0, 0, SECRET);
        builder.csrf_secret(secret);
        builder.build().map(drop).map_err(|errors| errors[0].to_string())
    };
    assert_eq!(build(CSRF_SECRET), Ok(()));
    assert!(build(SECRET).unwrap_err().contains("secret of the tokens"));
    assert!(build(&[SECRET, b"\n"].concat()).unwrap_err().contains("secret of the tokens"));
    assert!(build(&[SECRET, b"\0\0"].concat()).unwrap_err().contains("secret of the tokens"));
    assert!(build(&CSRF_SECRET[..31]).unwrap_err().contains("shorter"));
    assert!(build(b"").unwrap_err().contains("shorter"));
}

#[test]
fn a_set_without_its_keys_is_not_built() {
    let (config, _) = Config::read(&config()).unwrap();
    let errors = KeySet::builder(&config, &AwsLc).build().unwrap_err();
    let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["authorizer.issuers[0].keys", "authorizer.csrf.secret"]);
}

#[test]
fn pkcs1_public_keys_are_read() {
    let der = pem::read_block(PAIRS.rsa.public.as_bytes()).unwrap().1;
    let Ok(Parsed { kind: Kind::Rsa { der, modulus_bits }, .. }) = der::parse_spki(&der) else {
        panic!("an RSA key");
    };
    assert_eq!(modulus_bits, 2048);
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{body}\n-----END RSA PUBLIC KEY-----\n");
    assert_eq!(build("pem", &["PS512"], &pem), Ok(()));
}

mod total {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_content_panics(content in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (pem::parse(&content), jwk::parse(&content), public::refuse(&content).is_ok());
            let _ = (der::parse_spki(&content), der::parse_rsa(&content));
        }

        #[test]
        fn no_cut_or_changed_key_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            for pem in [&PAIRS.rsa.public, &PAIRS.p256.public, &PAIRS.ed25519.public] {
                let mut der = pem::read_block(pem.as_bytes()).unwrap().1;
                let at = at.index(der.len());
                let _ = der::parse_spki(&der[..at]);
                der[at] = byte;
                let _ = der::parse_spki(&der);
            }
        }
    }
}
