//! Requests signed by the AWS SDK's own signer.

use std::net::SocketAddr;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;

/// A key pair that the gateway's configuration knows.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// Headers that sign a request for `execute-api` in `us-east-1`
/// ([Signature Version 4]).
///
/// [Signature Version 4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
pub(crate) fn headers(
    key: &Key,
    method: &str,
    address: SocketAddr,
    target: &str,
    extra: &[(String, String)],
    body: &[u8],
) -> Vec<(String, String)> {
    let host = extra
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map_or_else(|| address.to_string(), |(_, value)| value.clone());
    let identity = Credentials::new(&key.id, &key.secret, None, None, "harness").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("execute-api")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .expect("all fields are set")
        .into();
    let signed = [("host", host.as_str())];
    let request = SignableRequest::new(
        method,
        format!("http://{host}{target}"),
        signed.into_iter(),
        SignableBody::Bytes(body),
    )
    .expect("the target is a valid URI");
    let (instructions, _) = sign(request, &params).expect("the key signs").into_parts();
    instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
