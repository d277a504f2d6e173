//! What the back end must be told: names, addresses and secrets.

use std::fmt;
use std::sync::Arc;

use authorizer::Secret;

/// The parent domain when nothing else is said: every name below `localhost` is this machine.
pub const PARENT_DOMAIN: &str = "wsgate.localhost";

/// The port that the demo's templates expect the back end on.
pub const BACKEND_PORT: u16 = 8081;

/// The `aud` claim of the tokens, as in the demo's templates.
pub const AUDIENCE: &str = "chat";

/// How browsers reach the page and the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `http` and `ws`.
    Plain,
    /// `https` and `wss`.
    Tls,
}

impl Scheme {
    fn http(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }

    fn ws(self) -> &'static str {
        match self {
            Self::Plain => "ws",
            Self::Tls => "wss",
        }
    }

    /// The port that addresses of this scheme leave out, as browsers do in `Origin`.
    fn default_port(self) -> u16 {
        match self {
            Self::Plain => 80,
            Self::Tls => 443,
        }
    }

    fn authority(self, host: &str, port: u16) -> String {
        if port == self.default_port() { host.to_owned() } else { format!("{host}:{port}") }
    }
}

/// Where the page is: two sibling hosts of one parent domain on the back end's port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Site {
    /// Common parent of all hosts and `Domain` of the cookies, in lower case.
    pub parent_domain: String,
    /// How browsers reach it.
    pub scheme: Scheme,
    /// The back end's port.
    pub port: u16,
}

impl Site {
    /// The origin of the page: the one that the authorizer must allow.
    pub fn ui_origin(&self) -> String {
        self.origin("ui")
    }

    /// The origin of the sibling: same site, other origin, so the authorizer must refuse it.
    pub fn other_origin(&self) -> String {
        self.origin("other")
    }

    /// The `iss` claim of the tokens. It names no port, so it is the same at every start.
    pub fn issuer(&self) -> String {
        format!("https://ui.{}", self.parent_domain)
    }

    fn origin(&self, label: &str) -> String {
        let host = format!("{label}.{}", self.parent_domain);
        format!("{}://{}", self.scheme.http(), self.scheme.authority(&host, self.port))
    }
}

/// An API of the gateway and one of its stages.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ApiStage {
    /// Ten lower-case letters and digits.
    pub api_id: String,
    /// Name of the stage.
    pub stage: String,
}

impl ApiStage {
    /// Takes both if they have the shape of an API id and of a stage name, so that neither can
    /// lead a call to another path.
    pub fn parse(api_id: &str, stage: &str) -> Option<Self> {
        let id = api_id.len() == 10
            && api_id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let name = (1..=128).contains(&stage.len())
            && stage.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (id && name).then(|| Self { api_id: api_id.to_owned(), stage: stage.to_owned() })
    }
}

/// Where the gateway is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GatewayAddress {
    /// The port that browsers connect to.
    pub port: u16,
    /// Base of the back end's own calls, such as `http://127.0.0.1:8080`, without a final slash.
    pub endpoint: String,
    /// Region of the API: part of the `execute-api` host and of signatures.
    pub region: String,
    /// The path of the page's WebSocket address: the mapping key of the custom domain.
    pub mapping_key: String,
    /// The API, where it is known before the first connection; else the first one tells.
    pub api: Option<ApiStage>,
}

impl GatewayAddress {
    /// The origin of the custom domain, such as `ws://ws.wsgate.localhost:8080`.
    pub(crate) fn ws_origin(&self, site: &Site) -> String {
        let host = format!("ws.{}", site.parent_domain);
        format!("{}://{}", site.scheme.ws(), site.scheme.authority(&host, self.port))
    }

    /// The origin of an API's own host, which shares no parent with the cookies; `api_id` may be `*`.
    pub(crate) fn execute_api_origin(&self, site: &Site, api_id: &str) -> String {
        let host = format!("{api_id}.execute-api.{}.localhost", self.region);
        format!("{}://{}", site.scheme.ws(), site.scheme.authority(&host, self.port))
    }
}

/// The admin listener of the gateway, which knows why a handshake was refused.
#[derive(Clone)]
pub struct Admin {
    /// Base address, such as `http://127.0.0.1:9090`, without a final slash.
    pub address: String,
    /// The gateway's per-start token.
    pub token: String,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("address", &self.address).field("token", &"***").finish()
    }
}

/// Finds the admin listener, anew at each use: the gateway may start later than the back end, and
/// its token changes with every start.
pub type FindAdmin = Arc<dyn Fn() -> Option<Admin> + Send + Sync>;

/// What the back end shares with the gateway and its authorizer. All are printable ASCII.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// HS256 key of the tokens.
    pub jwt: Secret,
    /// Secret of the CSRF tokens; never the key of the tokens.
    pub csrf: Secret,
    /// What the gateway shows in `x-gateway-key`.
    pub gateway_key: Secret,
    /// Access key id of the signed calls to the gateway.
    pub management_id: String,
    /// Secret access key of the signed calls to the gateway.
    pub management_secret: Secret,
}

impl Secrets {
    /// New ones, for a back end and gateway that start together.
    pub fn fresh() -> Self {
        Self {
            jwt: random_secret(),
            csrf: random_secret(),
            gateway_key: random_secret(),
            management_id: format!("AKIDDEMO{}", hex::encode_upper(rand::random::<[u8; 6]>())),
            management_secret: random_secret(),
        }
    }

    /// The public constants of `demo/wsgate.toml` and `demo/aws/api.yaml`, for a back end and a
    /// gateway that are started apart on one machine. They protect nothing.
    pub fn development() -> Self {
        Self {
            jwt: Secret::new("development-only-jwt-key-0123456789abcdef"),
            csrf: Secret::new("development-only-csrf-secret-0123456789abcdef"),
            gateway_key: Secret::new("development-only-gateway-key-0123456789"),
            management_id: "AKIDDEMODEVELOPMENT".to_owned(),
            management_secret: Secret::new("development-only-management-secret-0123"),
        }
    }
}

/// Everything the back end must know to run.
#[derive(Clone)]
pub struct Settings {
    /// Common parent of all hosts; [`PARENT_DOMAIN`] unless a template says otherwise.
    pub parent_domain: String,
    /// `aud` of the tokens; [`AUDIENCE`] unless a template says otherwise.
    pub audience: String,
    /// What it shares with the gateway.
    pub secrets: Secrets,
    /// Where the gateway is.
    pub gateway: GatewayAddress,
    /// Where reasons of refusals are to be had.
    pub admin: FindAdmin,
    /// Certificates for the page's hosts; without them the page is plain HTTP. The gateway's calls
    /// are accepted in plain HTTP in either case.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Settings {
    /// How browsers reach the page and the gateway.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Tls } else { Scheme::Plain }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("parent_domain", &self.parent_domain)
            .field("audience", &self.audience)
            .field("secrets", &self.secrets)
            .field("gateway", &self.gateway)
            .field("scheme", &self.scheme())
            .finish_non_exhaustive()
    }
}

fn random_secret() -> Secret {
    Secret::new(hex::encode(rand::random::<[u8; 32]>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_leave_out_the_default_port_as_browsers_do() {
        let site = |scheme, port| Site { parent_domain: "a.localhost".to_owned(), scheme, port };
        for (scheme, port, want) in [
            (Scheme::Plain, 8081, "http://ui.a.localhost:8081"),
            (Scheme::Plain, 80, "http://ui.a.localhost"),
            (Scheme::Plain, 443, "http://ui.a.localhost:443"),
            (Scheme::Tls, 443, "https://ui.a.localhost"),
        ] {
            assert_eq!(site(scheme, port).ui_origin(), want);
        }
    }

    #[test]
    fn an_api_and_stage_cannot_lead_to_another_path() {
        assert!(ApiStage::parse("a1b2c3d4e5", "prod").is_some());
        for (id, stage) in [
            ("a1b2c3d4e", "prod"),
            ("a1b2c3d4E5", "prod"),
            ("../../../x", "prod"),
            ("a1b2c3d4e5", ""),
            ("a1b2c3d4e5", ".."),
            ("a1b2c3d4e5", "a/b"),
        ] {
            assert_eq!(ApiStage::parse(id, stage), None, "{id} {stage}");
        }
    }

    #[test]
    fn secrets_are_fresh_and_not_printed() {
        let (a, b) = (Secrets::fresh(), Secrets::fresh());
        assert_ne!(a.jwt, b.jwt);
        assert_ne!(a.jwt, a.csrf);
        let printed = format!("{a:?}");
        let hidden = String::from_utf8(a.jwt.expose().to_vec()).unwrap();
        assert!(!printed.contains(&hidden), "{printed}");
    }
}
