//! What `Fn::GetAtt` gives.

use api_model::{Resource, Value};

use crate::physical::{Names, text_of};
use crate::resource_type;

/// The outcome of `Fn::GetAtt`.
pub(crate) enum Attribute {
    /// Its value.
    Text(String),
    /// The property that it repeats is unresolved.
    Unresolved,
    /// The type does not have it; these it has.
    Missing(&'static [&'static str]),
    /// Code that runs on AWS makes it.
    OnlyOnAws,
}

/// The value of an attribute: as AWS spells it for the types that are known,
/// something plausible for others.
pub(crate) fn find(resource: &Resource, name: &str, names: &Names) -> Attribute {
    let resource_type = resource.resource_type.as_str();
    if resource_type::is_made_on_aws(resource_type) {
        return Attribute::OnlyOnAws;
    }
    let known = resource_type::attributes(resource_type);
    if known.is_some_and(|known| !known.contains(&name)) {
        return Attribute::Missing(known.unwrap_or_default());
    }
    if (resource_type, name) == ("AWS::SSM::Parameter", "Value") {
        let value = resource.properties.find("Value");
        if value.is_some_and(|value| matches!(value.value, Value::Unresolved)) {
            return Attribute::Unresolved;
        }
    }
    let text = served(resource, name, names).unwrap_or_else(|| plausible(resource, name, names));
    Attribute::Text(text)
}

/// Attributes of what is served, and of what its templates usually mention.
fn served(resource: &Resource, name: &str, names: &Names) -> Option<String> {
    let id = resource.physical_id.as_str();
    let (region, suffix) = (&names.region, names.url_suffix());
    let property = |name: &str| text_of(&resource.properties, name);
    Some(match (resource.resource_type.as_str(), name) {
        ("AWS::ApiGatewayV2::Api", "ApiEndpoint") => {
            format!("wss://{id}.execute-api.{region}.{suffix}")
        }
        ("AWS::ApiGatewayV2::DomainName", "RegionalDomainName") => {
            let host = names.short_id(&resource.logical_id, 14);
            format!("d-{}.execute-api.{region}.{suffix}", &host[4..])
        }
        ("AWS::ApiGatewayV2::DomainName", "RegionalHostedZoneId") => {
            format!("Z{}", names.suffix("RegionalHostedZoneId", 13))
        }
        ("AWS::ApiGatewayV2::DomainName", "DomainNameArn") => {
            format!("arn:{}:apigateway:{region}::/domainnames/{id}", names.partition)
        }
        ("AWS::Lambda::Function", "Arn") => names.function_arn(id),
        ("AWS::Lambda::Function", "SnapStartResponse.ApplyOn") => "None".to_owned(),
        ("AWS::Lambda::Function", "SnapStartResponse.OptimizationStatus") => "Off".to_owned(),
        ("AWS::Lambda::Version", "Version") => "1".to_owned(),
        ("AWS::Lambda::Version" | "AWS::Lambda::Url", "FunctionArn") => id.to_owned(),
        ("AWS::Lambda::Url", "FunctionUrl") => {
            let host = names.short_id(&resource.logical_id, 20);
            format!("https://{host}.lambda-url.{region}.on.aws/")
        }
        ("AWS::IAM::Role", "Arn") => {
            let path = property("Path").unwrap_or_else(|| "/".to_owned());
            names.global_arn("iam", &format!("role{path}{id}"))
        }
        ("AWS::IAM::Role", "RoleId") => format!("AROA{}", names.suffix(&resource.logical_id, 17)),
        ("AWS::Logs::LogGroup", "Arn") => names.arn("logs", &format!("log-group:{id}:*")),
        ("AWS::SSM::Parameter", "Type") => property("Type").unwrap_or_else(|| "String".to_owned()),
        ("AWS::SSM::Parameter", "Value") => property("Value").unwrap_or_default(),
        ("AWS::SQS::Queue", "Arn") => names.arn("sqs", last_part(id)),
        ("AWS::SQS::Queue", "QueueName") => last_part(id).to_owned(),
        ("AWS::SNS::Topic", "TopicName") | ("AWS::StepFunctions::StateMachine", "Name") => {
            id.rsplit(':').next().unwrap_or(id).to_owned()
        }
        ("AWS::StepFunctions::StateMachine", "StateMachineRevisionId") => {
            names.uuid(&resource.logical_id)
        }
        ("AWS::Lambda::EventSourceMapping", "EventSourceMappingArn") => {
            names.arn("lambda", &format!("event-source-mapping:{id}"))
        }
        ("AWS::Events::Rule", "Arn") => {
            let bus = property("EventBusName").filter(|bus| bus != "default");
            // The bus may be given by its ARN.
            let bus = bus.map(|bus| format!("{}/", last_part(&bus))).unwrap_or_default();
            names.arn("events", &format!("rule/{bus}{id}"))
        }
        ("AWS::Events::EventBus", "Arn") => names.arn("events", &format!("event-bus/{id}")),
        ("AWS::Cognito::UserPool", "Arn") => names.arn("cognito-idp", &format!("userpool/{id}")),
        ("AWS::Cognito::UserPool", "ProviderName") => {
            format!("cognito-idp.{region}.{suffix}/{id}")
        }
        ("AWS::Cognito::UserPool", "ProviderURL") => {
            format!("https://cognito-idp.{region}.{suffix}/{id}")
        }
        ("AWS::Cognito::UserPoolClient", "Name") => {
            property("ClientName").unwrap_or_else(|| names.long_name(&resource.logical_id, 128))
        }
        ("AWS::KinesisFirehose::DeliveryStream", "Arn") => {
            names.arn("firehose", &format!("deliverystream/{id}"))
        }
        ("AWS::CloudFront::Distribution", "DomainName") => {
            format!("d{}.cloudfront.net", names.short_id(&resource.logical_id, 13))
        }
        ("AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable", "StreamArn") => {
            names.arn("dynamodb", &format!("table/{id}/stream/2024-01-01T00:00:00.000"))
        }
        ("AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable", "Arn") => {
            names.arn("dynamodb", &format!("table/{id}"))
        }
        ("AWS::S3::Bucket", "Arn") => format!("arn:{}:s3:::{id}", names.partition),
        ("AWS::S3::Bucket", "DomainName") => format!("{id}.s3.{suffix}"),
        ("AWS::S3::Bucket", "DualStackDomainName") => {
            format!("{id}.s3.dualstack.{region}.{suffix}")
        }
        ("AWS::S3::Bucket", "RegionalDomainName") => format!("{id}.s3.{region}.{suffix}"),
        ("AWS::S3::Bucket", "WebsiteURL") => {
            format!("http://{id}.s3-website-{region}.{suffix}")
        }
        ("AWS::Kinesis::Stream", "Arn") => names.arn("kinesis", &format!("stream/{id}")),
        ("AWS::KMS::Key", "Arn") => names.arn("kms", &format!("key/{id}")),
        _ => return None,
    })
}

/// Something of the right form: an ARN, an address, else the physical id.
fn plausible(resource: &Resource, name: &str, names: &Names) -> String {
    let id = resource.physical_id.as_str();
    let service = resource.resource_type.split("::").nth(1).unwrap_or("custom").to_lowercase();
    if name.ends_with("Arn") && !id.starts_with("arn:") {
        return names.arn(&service, id);
    }
    if name.ends_with("Endpoint") || name.ends_with("Address") || name.ends_with("DomainName") {
        return format!("{}.{service}.{}.{}", id.to_lowercase(), names.region, names.url_suffix());
    }
    id.to_owned()
}

fn last_part(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}
