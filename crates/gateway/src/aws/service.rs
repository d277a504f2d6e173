//! AWS services under the names that templates, signatures and SDKs have for them.

/// A service with more than one name.
#[derive(Debug)]
struct Service {
    /// First label of its host, as in integration URIs: `states`.
    name: &'static str,
    /// What SDKs and users call it besides.
    others: &'static [&'static str],
    /// What a signature says.
    signing: &'static str,
    /// Tails of `AWS_ENDPOINT_URL_…` by which SDKs find it ([list]).
    ///
    /// [list]: https://docs.aws.amazon.com/sdkref/latest/guide/ss-endpoints-table.html
    variables: &'static [&'static str],
}

const fn service(
    name: &'static str,
    others: &'static [&'static str],
    signing: &'static str,
    variables: &'static [&'static str],
) -> Service {
    Service { name, others, signing, variables }
}

/// Services for which the rule of one name for everything does not hold: the name in lower case
/// signs, and in upper case with `_` for `-` ends the variable.
const SERVICES: [Service; 20] = [
    service("appconfigdata", &["appconfig-data"], "appconfig", &["APPCONFIGDATA"]),
    service("bedrock-agent-runtime", &[], "bedrock", &["BEDROCK_AGENT_RUNTIME"]),
    service("bedrock-runtime", &[], "bedrock", &["BEDROCK_RUNTIME"]),
    service("cognito-identity", &[], "cognito-identity", &["COGNITO_IDENTITY"]),
    service(
        "cognito-idp",
        &["cognito-identity-provider"],
        "cognito-idp",
        &["COGNITO_IDENTITY_PROVIDER"],
    ),
    service("data-iot", &["iot-data", "iot-data-plane"], "iotdata", &["IOT_DATA_PLANE"]),
    service("email", &["ses", "sesv2"], "ses", &["SES", "SESV2"]),
    service("es", &["opensearch"], "es", &["OPENSEARCH", "ELASTICSEARCH_SERVICE"]),
    service("events", &["eventbridge"], "events", &["EVENTBRIDGE", "CLOUDWATCH_EVENTS"]),
    service("logs", &["cloudwatch-logs"], "logs", &["CLOUDWATCH_LOGS"]),
    service("models-lex", &["lex-models-v2"], "lex", &["LEX_MODELS_V2"]),
    service("monitoring", &["cloudwatch"], "monitoring", &["CLOUDWATCH"]),
    service("rds-data", &[], "rds-data", &["RDS_DATA"]),
    service("route53", &["route-53"], "route53", &["ROUTE_53"]),
    service("runtime-lex", &["lex-runtime-v2"], "lex", &["LEX_RUNTIME_V2"]),
    service("runtime-sagemaker", &["sagemaker-runtime"], "sagemaker", &["SAGEMAKER_RUNTIME"]),
    service("s3", &[], "s3", &["S3"]),
    service("secretsmanager", &["secrets-manager"], "secretsmanager", &["SECRETS_MANAGER"]),
    service("states", &["sfn", "stepfunctions"], "states", &["SFN"]),
    service("streams-dynamodb", &["dynamodb-streams"], "dynamodb", &["DYNAMODB_STREAMS"]),
];

/// Whether `name` may be the name of a service: `^[a-z0-9-]+$`.
pub(crate) fn is_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.bytes().all(is_allowed)
}

fn find(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name || service.others.contains(&name))
}

/// The one name of a service that may be called by several: `sfn` is `states`.
pub(crate) fn canonical(name: &str) -> &str {
    find(name).map_or(name, |service| service.name)
}

/// What a signature says for the service.
pub(crate) fn signing_name(name: &str) -> &str {
    find(name).map_or(name, |service| service.signing)
}

/// The environment variables by which SDKs find the service's endpoint.
pub(crate) fn variables(name: &str) -> Vec<String> {
    let known = find(name).map(|service| service.variables);
    let tails = known.map_or_else(
        || vec![name.to_ascii_uppercase().replace('-', "_")],
        |tails| tails.iter().map(|&tail| tail.to_owned()).collect(),
    );
    tails.into_iter().map(|tail| format!("AWS_ENDPOINT_URL_{tail}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, canonical_name: &str, signing: &str, variable: &str) {
        assert_eq!(canonical(name), canonical_name, "{name}");
        assert_eq!(signing_name(name), signing, "{name}");
        assert!(variables(name).contains(&format!("AWS_ENDPOINT_URL_{variable}")), "{name}");
    }

    #[test]
    fn every_spelling_means_one_service() {
        for name in ["states", "sfn", "stepfunctions"] {
            check(name, "states", "states", "SFN");
        }
        check("dynamodb", "dynamodb", "dynamodb", "DYNAMODB");
        check("sqs", "sqs", "sqs", "SQS");
        check("secretsmanager", "secretsmanager", "secretsmanager", "SECRETS_MANAGER");
        check("secrets-manager", "secretsmanager", "secretsmanager", "SECRETS_MANAGER");
        check("eventbridge", "events", "events", "EVENTBRIDGE");
        check("cognito-idp", "cognito-idp", "cognito-idp", "COGNITO_IDENTITY_PROVIDER");
        check("sesv2", "email", "ses", "SES");
        check("bedrock-runtime", "bedrock-runtime", "bedrock", "BEDROCK_RUNTIME");
        check("some-service", "some-service", "some-service", "SOME_SERVICE");
    }

    #[test]
    fn no_name_stands_for_two_services() {
        let names = SERVICES.iter().flat_map(|s| std::iter::once(&s.name).chain(s.others));
        let mut names: Vec<&&str> = names.collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        assert!(names.iter().all(|name| is_name(name)));
        for wrong in ["", "S3", "a.b", "a/b", "a_b"] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
