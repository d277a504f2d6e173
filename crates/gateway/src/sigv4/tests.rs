use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Requests signed by botocore 1.43.11 with made-up credentials: `body` is base64, `token` the session token.
const VECTORS: &str = include_str!("vectors.json");

#[derive(Clone, Debug)]
struct Request {
    name: String,
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
    now: i64,
    key: Key,
}

impl Request {
    fn verify(&self) -> Result<(), Refusal> {
        self.verify_in("us-east-1", "execute-api")
    }

    fn verify_in(&self, region: &str, service: &str) -> Result<(), Refusal> {
        let received = Received {
            method: &self.method,
            raw_path: &self.path,
            raw_query: &self.query,
            headers: &self.headers,
            body: &self.body,
            now: self.now,
        };
        let scope = Scope { region, service };
        verify(&received, scope, |id| (id == self.key.id).then_some(&self.key)).map(|_| ())
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    /// Replaces text in `Authorization`, or in the query when the signature is there.
    fn edit(&self, from: &str, to: &str) -> Self {
        self.with(|request| match request.headers.get_mut("authorization") {
            Some(value) => {
                let text = value.to_str().unwrap();
                assert!(text.contains(from), "{text}");
                *value = HeaderValue::from_str(&text.replace(from, to)).unwrap();
            }
            None => {
                assert!(request.query.contains(from), "{}", request.query);
                request.query = request.query.replace(from, to);
            }
        })
    }

    fn set(&self, name: &'static str, value: &'static str) -> Self {
        self.with(|request| {
            request.headers.insert(name, HeaderValue::from_static(value));
        })
    }

    fn add(&self, name: &'static str, value: &'static str) -> Self {
        self.with(|request| {
            request.headers.append(name, HeaderValue::from_static(value));
        })
    }
}

fn vectors() -> Vec<Request> {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let request = |vector: &Value| Request {
        name: text(&vector["name"]),
        method: text(&vector["method"]),
        path: text(&vector["path"]),
        query: text(&vector["query"]),
        headers: vector["headers"].as_array().unwrap().iter().map(header).collect(),
        body: base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            text(&vector["body"]),
        )
        .unwrap(),
        now: vector["now"].as_i64().unwrap(),
        key: Key {
            id: text(&file["id"]),
            secret: Secret::new(text(&file["secret"])),
            session_token: vector["token"].as_str().map(Secret::new),
            expires_at: None,
        },
    };
    file["requests"].as_array().unwrap().iter().map(request).collect()
}

fn header(pair: &Value) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::from_bytes(pair[1].as_str().unwrap().as_bytes()).unwrap();
    (pair[0].as_str().unwrap().parse().unwrap(), value)
}

fn named(name: &str) -> Request {
    vectors().into_iter().find(|request| request.name == name).unwrap()
}

fn post() -> Request {
    named("client posts text")
}

fn with_token() -> Request {
    named("client posts with a session token")
}

fn url() -> Request {
    named("signed url")
}

#[track_caller]
fn check(request: &Request, error_type: &str, message: &str) {
    let refusal = request.verify().unwrap_err();
    assert_eq!(refusal.error_type(), format!("{error_type}Exception"), "{refusal:?}");
    assert!(refusal.message().contains(message), "{}", refusal.message());
}

fn incomplete(reason: Incomplete) -> Result<(), Refusal> {
    Err(Refusal::IncompleteSignature(reason))
}

#[test]
fn requests_signed_by_another_implementation_verify() {
    let vectors = vectors();
    assert!(vectors.len() >= 20);
    for request in vectors {
        assert_eq!(request.verify(), Ok(()), "{}", request.name);
    }
}

#[test]
fn any_change_to_a_signed_request_is_refused() {
    for request in vectors() {
        let changed = [
            request.with(|r| r.method = "PUT".into()),
            request.with(|r| r.path.push('x')),
            request.with(|r| r.query.push_str("&more=1")),
            request.with(|r| r.body.push(b'x')),
            request.set("host", "other.example.com"),
            request.with(|r| r.key.secret = Secret::new("other")),
            request.with(|r| r.now += SKEW_SECONDS + EXPIRES_SECONDS_MAX),
            request.with(|r| r.now -= SKEW_SECONDS + 1),
        ];
        for (index, changed) in changed.iter().enumerate() {
            assert!(changed.verify().is_err(), "{} {index}", request.name);
        }
        for (region, service) in [("eu-west-1", "execute-api"), ("us-east-1", "ssm")] {
            assert!(request.verify_in(region, service).is_err(), "{}", request.name);
        }
    }
}

#[test]
fn an_unsigned_request_lacks_its_token() {
    let unsigned = post().with(|r| drop(r.headers.remove("authorization")));
    assert_eq!(unsigned.verify(), Err(Refusal::MissingAuthenticationToken));
    check(&unsigned, "MissingAuthenticationToken", "Missing Authentication Token");
}

#[test]
fn the_clock_may_be_five_minutes_off() {
    let at = |seconds: i64| post().with(|r| r.now += seconds);
    assert_eq!(at(300).verify(), Ok(()));
    assert_eq!(at(-300).verify(), Ok(()));
    check(
        &at(301),
        "InvalidSignature",
        "Signature expired: 20261120T120000Z is now earlier than 20261120T120001Z (20261120T120501Z - 5 min.)",
    );
    check(
        &at(-301),
        "InvalidSignature",
        "Signature not yet current: 20261120T120000Z is still later than 20261120T115959Z (20261120T115459Z + 5 min.)",
    );
}

#[test]
fn a_signed_url_lives_as_long_as_it_says() {
    let at = |seconds: i64| url().with(|r| r.now += seconds);
    assert_eq!(at(60).verify(), Ok(()));
    check(&at(61), "InvalidSignature", "Signature expired");
    assert_eq!(at(-300).verify(), Ok(()));
    check(&at(-301), "InvalidSignature", "Signature not yet current");
    let week = named("signed url of seven days");
    assert_eq!(week.with(|r| r.now += EXPIRES_SECONDS_MAX).verify(), Ok(()));
    for wrong in ["0", "604801", "-1", "+60", "60.0", "", "999999999999999999999"] {
        let changed = url().edit("X-Amz-Expires=60", &format!("X-Amz-Expires={wrong}"));
        assert_eq!(changed.verify(), incomplete(Incomplete::Expires), "{wrong}");
    }
    let forever = url().edit("X-Amz-Expires=60", "x=60");
    check(&forever.with(|r| r.now += 301), "InvalidSignature", "Signature expired");
}

#[test]
fn the_scope_must_be_ours() {
    for request in [post(), url()] {
        let slash = if request.query.is_empty() { "/" } else { "%2F" };
        let part = |text: &str| format!("{slash}{text}{slash}");
        check(
            &request.edit(&part("us-east-1"), &part("eu-west-1")),
            "InvalidSignature",
            "valid region",
        );
        check(
            &request.edit(&part("execute-api"), &part("ssm")),
            "InvalidSignature",
            "correct service: 'execute-api'",
        );
        check(
            &request.edit("aws4_request", "aws5_request"),
            "InvalidSignature",
            "valid terminator",
        );
        check(
            &request.edit(&part("20261120"), &part("20261119")),
            "InvalidSignature",
            "Date in Credential scope",
        );
        let longer = request.edit("aws4_request", &format!("aws4_request{slash}x"));
        assert_eq!(longer.verify(), incomplete(Incomplete::Credential));
    }
}

#[test]
fn unknown_keys_and_wrong_tokens_look_alike() {
    let unknown = post().with(|r| r.key.id = "AKIDOTHER".into());
    assert_eq!(unknown.verify(), Err(Refusal::UnrecognizedClient));
    let needs_token = post().with(|r| r.key.session_token = Some(Secret::new("token")));
    assert_eq!(needs_token.verify(), Err(Refusal::UnrecognizedClient));
    let takes_none = with_token().with(|r| r.key.session_token = None);
    assert_eq!(takes_none.verify(), Err(Refusal::UnrecognizedClient));
    let other = with_token().with(|r| r.key.session_token = Some(Secret::new("other")));
    assert_eq!(other.verify(), Err(Refusal::UnrecognizedClient));
    check(&other, "UnrecognizedClient", "The security token included in the request is invalid.");
}

#[test]
fn an_ended_key_says_so_to_its_holder_only() {
    let ended = with_token().with(|r| r.key.expires_at = Some(r.now));
    assert_eq!(ended.verify(), Err(Refusal::ExpiredToken));
    assert_eq!(with_token().with(|r| r.key.expires_at = Some(r.now + 1)).verify(), Ok(()));
    let stranger = ended.with(|r| r.key.secret = Secret::new("guess"));
    check(&stranger, "InvalidSignature", "does not match");
}

#[test]
fn host_date_and_amz_headers_must_be_signed() {
    check(
        &post().edit("SignedHeaders=host;", "SignedHeaders="),
        "InvalidSignature",
        "'Host' or ':authority'",
    );
    check(&post().edit(";x-amz-date", ""), "InvalidSignature", "'x-amz-date'");
    check(&post().add("x-amz-meta", "smuggled"), "InvalidSignature", "'x-amz-meta'");
    check(&url().add("x-amz-meta", "smuggled"), "InvalidSignature", "'x-amz-meta'");
    assert_eq!(post().add("x-amzn-trace-id", "Root=1").verify(), Ok(()));
    let dated = named("date header instead of x-amz-date");
    check(&dated.edit("SignedHeaders=date;", "SignedHeaders="), "InvalidSignature", "'date'");
}

#[test]
fn only_the_hash_of_the_body_counts() {
    let declared = named("declared body hash");
    check(
        &declared.set("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        "InvalidSignature",
        "does not match",
    );
    // Signed as UNSIGNED-PAYLOAD by one who holds the secret.
    let mut unsigned = declared.set("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    unsigned.body.clear();
    let Err(Refusal::InvalidSignature(Invalid::Mismatch { canonical_request, .. })) =
        unsigned.verify()
    else {
        panic!("an unsigned body was accepted")
    };
    let hash = hex::encode(digest::digest(&digest::SHA256, b""));
    for payload in ["UNSIGNED-PAYLOAD", hash.as_str()] {
        let canonical = canonical_request.replace(&hash, payload);
        let resigned = resign(&unsigned, &canonical);
        check(&resigned, "InvalidSignature", "does not match");
    }
}

/// Signs a canonical text as the key's holder would.
fn resign(request: &Request, canonical: &str) -> Request {
    let authorization = request.headers["authorization"].to_str().unwrap().to_owned();
    let hash = hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
    let scope = "20261120/us-east-1/execute-api/aws4_request";
    let to_sign = format!("AWS4-HMAC-SHA256\n20261120T120000Z\n{scope}\n{hash}");
    let mut key = [b"AWS4", request.key.secret.expose()].concat();
    for part in scope.split('/').chain([to_sign.as_str()]) {
        let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        key = hmac::sign(&hmac_key, part.as_bytes()).as_ref().to_vec();
    }
    let old = authorization.split("Signature=").nth(1).unwrap();
    request.edit(old, &hex::encode(key))
}

#[test]
fn the_test_signer_is_right() {
    let request = post();
    let broken = request.with(|r| r.key.secret = Secret::new("new"));
    let Err(Refusal::InvalidSignature(Invalid::Mismatch { canonical_request, .. })) =
        broken.verify()
    else {
        panic!("expected a mismatch")
    };
    assert_eq!(resign(&broken, &canonical_request).verify(), Ok(()));
}

#[test]
fn parts_given_twice_are_refused() {
    let twice = incomplete(Incomplete::Duplicate);
    assert_eq!(post().add("authorization", "Bearer x").verify(), twice);
    assert_eq!(post().add("host", "other").verify(), twice);
    assert_eq!(post().add("x-amz-date", "20261120T120000Z").verify(), twice);
    assert_eq!(with_token().add("x-amz-security-token", "x").verify(), twice);
    assert_eq!(url().add("authorization", "Bearer x").verify(), twice);
    assert_eq!(post().with(|r| r.query = "X-Amz-Signature=00".into()).verify(), twice);
    assert_eq!(url().with(|r| r.query.push_str("&X-Amz-Date=20261120T120000Z")).verify(), twice);
    assert_eq!(post().edit("Signature=", "Signature=00, Signature=").verify(), twice);
}

#[test]
fn what_cannot_be_read_is_incomplete() {
    let check = |authorization: &'static str, want| {
        let request = post().set("authorization", authorization);
        assert_eq!(request.verify(), incomplete(want), "{authorization}");
    };
    check("", Incomplete::Part);
    check("Bearer", Incomplete::Part);
    check("Bearer token", Incomplete::Algorithm);
    check("AWS4-HMAC-SHA1 Credential=a", Incomplete::Algorithm);
    check("AWS4-HMAC-SHA256 x", Incomplete::Part);
    check("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host", Incomplete::Part);
    check(
        "AWS4-HMAC-SHA256 Credential=a//c/d/e, SignedHeaders=host, Signature=00",
        Incomplete::Credential,
    );
    check(
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=00",
        Incomplete::Signature,
    );
    check(
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host;host, Signature=0",
        Incomplete::SignedHeaders,
    );
    check(
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=x;host, Signature=0",
        Incomplete::SignedHeaders,
    );
    check(
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=Host, Signature=0",
        Incomplete::SignedHeaders,
    );
    for date in ["", "20261120", "20261320T120000Z", "20261120T250000Z", "2026-11-20T12:00"] {
        let request = post().set("x-amz-date", date);
        assert_eq!(request.verify(), incomplete(Incomplete::Date), "{date}");
    }
    let undated = post().with(|r| drop(r.headers.remove("x-amz-date")));
    assert_eq!(undated.verify(), incomplete(Incomplete::Date));
}

#[test]
fn repeated_signed_headers_are_joined_in_order() {
    let signed = post().with(|r| {
        let old = r.headers["authorization"].to_str().unwrap().to_owned();
        let new = old.replace("SignedHeaders=host;", "SignedHeaders=host;tag;");
        r.headers.insert("authorization", new.parse().unwrap());
        r.headers.append("tag", HeaderValue::from_static(" a   b "));
        r.headers.append("tag", HeaderValue::from_static("c"));
    });
    let Err(Refusal::InvalidSignature(Invalid::Mismatch { canonical_request, .. })) =
        signed.verify()
    else {
        panic!("expected a mismatch")
    };
    assert!(canonical_request.contains("\ntag:a b,c\n"), "{canonical_request}");
    assert_eq!(resign(&signed, &canonical_request).verify(), Ok(()));
}

#[test]
fn a_mismatch_shows_what_to_sign_and_no_credential() {
    let request = named("raw at and equals sign").with(|r| r.body.push(b'!'));
    let hash = hex::encode(digest::digest(&digest::SHA256, b"x!"));
    check(
        &request,
        "InvalidSignature",
        &format!(
            "The Canonical String for this request should have been\n'POST\n/prod/%40connections/abc%3D\n\nhost:a1b2c3d4e5.execute-api.us-east-1.amazonaws.com\nx-amz-date:20261120T120000Z\n\nhost;x-amz-date\n{hash}'\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20261120T120000Z\n20261120/us-east-1/execute-api/aws4_request\n"
        ),
    );
    for request in vectors() {
        let broken = request.with(|r| {
            r.body.push(b'!');
            r.query.push_str("&csrf_token=hidden-csrf&access_token=hidden-jwt");
        });
        let refusal = broken.verify().unwrap_err();
        let secret = String::from_utf8(request.key.secret.expose().to_vec()).unwrap();
        for text in [refusal.message(), refusal.to_string(), format!("{refusal:?}")] {
            for hidden in [secret.as_str(), "hidden-", "FwoGZXIvYXdz"] {
                assert!(!text.contains(hidden), "{text}");
            }
        }
        assert!(!format!("{:?}", request.key).contains(&secret));
    }
}

proptest! {
    #[test]
    fn no_request_panics(
        authorization in prop_oneof![
            "[ -~]{0,80}",
            "AWS4-HMAC-SHA256 Credential=[a-z/0-9]{0,20}, SignedHeaders=[a-z;:]{0,12}, Signature=[0-9a-f]{0,70}",
        ],
        path in "[ -~é%/]{0,40}",
        query in "(X-Amz-(Date|Expires|Signature|Credential|Algorithm|SignedHeaders)=[ -~]{0,20}&?){0,7}",
        date in "[0-9TZ]{0,17}|[ -~]{0,30}",
    ) {
        let request = post().with(|r| {
            r.headers.insert("authorization", authorization.parse().unwrap());
            r.headers.insert("x-amz-date", date.parse().unwrap());
            (r.path, r.query) = (path, query);
        });
        prop_assert!(request.verify().is_err());
        let unsigned = request.with(|r| drop(r.headers.remove("authorization")));
        prop_assert!(unsigned.verify().is_err());
    }
}
