//! Stable codes of findings about the API model. Codes below `WSG-050` belong
//! to the template loader.

/// A required property is missing.
pub const PROPERTY_MISSING: &str = "WSG-050";
/// A property has a value of the wrong kind.
pub const PROPERTY_KIND: &str = "WSG-051";
/// A property has a value that AWS does not allow.
pub const PROPERTY_VALUE: &str = "WSG-052";
/// A property that the resource type does not have.
pub const PROPERTY_UNKNOWN: &str = "WSG-053";
/// A property that changes behaviour and is not supported here.
pub const UNSUPPORTED: &str = "WSG-054";
/// A property that is ignored here.
pub const IGNORED: &str = "WSG-055";
/// A reference to something that the templates do not define.
pub const REFERENCE: &str = "WSG-056";
/// Two resources claim one name.
pub const DUPLICATE: &str = "WSG-057";
/// Authorization on a route other than `$connect`.
pub const AUTHORIZATION_ROUTE: &str = "WSG-101";
/// An authorization type without authorizer, or the reverse.
pub const AUTHORIZATION_PAIR: &str = "WSG-102";
/// An authorizer that is not of type `REQUEST`.
pub const AUTHORIZER_TYPE: &str = "WSG-103";
/// An identity source that is not in the WebSocket spelling.
pub const IDENTITY_SOURCE: &str = "WSG-104";
/// A property that AWS refuses on authorizers of WebSocket APIs.
pub const AUTHORIZER_PROPERTY: &str = "WSG-105";
/// A Lambda URI that is not of the invocation form.
pub const LAMBDA_URI: &str = "WSG-106";
/// No `AWS::Lambda::Permission` lets API Gateway invoke a function.
pub const PERMISSION: &str = "WSG-107";
/// A Lambda integration whose method is not `POST`.
pub const INTEGRATION_METHOD: &str = "WSG-110";
/// A message route without a target.
pub const ROUTE_TARGET: &str = "WSG-111";
/// A two-way route with half of its settings.
pub const TWO_WAY: &str = "WSG-112";
/// A route response key other than `$default`.
pub const ROUTE_RESPONSE_KEY: &str = "WSG-113";
/// A deployment that does not depend on every route.
pub const DEPLOYMENT_ORDER: &str = "WSG-114";
/// A stage without deployment.
pub const STAGE_DEPLOYMENT: &str = "WSG-115";
/// A selection expression that does not parse.
pub const EXPRESSION: &str = "WSG-116";
/// A mapping template that does not parse.
pub const TEMPLATE: &str = "WSG-117";
/// An integration response key that is neither `$default` nor a pattern.
pub const RESPONSE_KEY: &str = "WSG-118";
/// A parameter mapping that does not parse.
pub const PARAMETER: &str = "WSG-119";
/// A mapping or domain that leads nowhere.
pub const DOMAIN: &str = "WSG-120";
/// A policy document that is malformed.
pub const POLICY: &str = "WSG-121";
