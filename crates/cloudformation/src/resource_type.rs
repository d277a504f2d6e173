//! The resource types whose attributes are known.

/// The attributes of a type, if they are known ([reference]).
///
/// [reference]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
pub(crate) fn attributes(resource_type: &str) -> Option<&'static [&'static str]> {
    Some(match resource_type {
        "AWS::ApiGatewayV2::Api" => &["ApiEndpoint", "ApiId"],
        "AWS::ApiGatewayV2::ApiGatewayManagedOverrides" => &["Id"],
        "AWS::ApiGatewayV2::ApiMapping" => &["ApiMappingId"],
        "AWS::ApiGatewayV2::Authorizer" => &["AuthorizerId"],
        "AWS::ApiGatewayV2::Deployment" => &["DeploymentId"],
        "AWS::ApiGatewayV2::DomainName" => {
            &["DomainNameArn", "RegionalDomainName", "RegionalHostedZoneId"]
        }
        "AWS::ApiGatewayV2::Integration" => &["IntegrationId"],
        "AWS::ApiGatewayV2::IntegrationResponse" => &["IntegrationResponseId"],
        "AWS::ApiGatewayV2::Model" => &["ModelId"],
        "AWS::ApiGatewayV2::Route" => &["RouteId"],
        "AWS::ApiGatewayV2::RouteResponse" => &["RouteResponseId"],
        "AWS::ApiGatewayV2::RoutingRule" => &["RoutingRuleArn", "RoutingRuleId"],
        "AWS::ApiGatewayV2::Stage" => &["Id"],
        "AWS::ApiGatewayV2::VpcLink" => &["VpcLinkId"],
        "AWS::CertificateManager::Certificate" | "AWS::Route53::RecordSet" => &["Id"],
        "AWS::DynamoDB::Table" => &["Arn", "StreamArn"],
        "AWS::IAM::Role" => &["Arn", "RoleId"],
        "AWS::Lambda::Alias" => &["AliasArn"],
        "AWS::Lambda::EventSourceMapping" => &["EventSourceMappingArn", "Id"],
        "AWS::Lambda::Function" => &[
            "Arn",
            "SnapStartResponse",
            "SnapStartResponse.ApplyOn",
            "SnapStartResponse.OptimizationStatus",
        ],
        "AWS::Lambda::LayerVersion" => &["LayerVersionArn"],
        "AWS::Lambda::Permission" => &["Id"],
        "AWS::Lambda::Url" => &["FunctionArn", "FunctionUrl"],
        "AWS::Lambda::Version" => &["FunctionArn", "Version"],
        "AWS::Logs::LogGroup" => &["Arn"],
        "AWS::SNS::Subscription" => &["Arn"],
        "AWS::SNS::Topic" => &["TopicArn", "TopicName"],
        "AWS::SQS::Queue" => &["Arn", "QueueName", "QueueUrl"],
        "AWS::SSM::Parameter" => &[
            "AllowedPattern",
            "DataType",
            "Description",
            "Name",
            "Policies",
            "Tier",
            "Type",
            "Value",
        ],
        "AWS::StepFunctions::StateMachine" => &["Arn", "Name", "StateMachineRevisionId"],
        _ => return None,
    })
}

/// All types of the service that is served.
pub(crate) const API_GATEWAY_V2: [&str; 14] = [
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiGatewayManagedOverrides",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Deployment",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::IntegrationResponse",
    "AWS::ApiGatewayV2::Model",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::RouteResponse",
    "AWS::ApiGatewayV2::RoutingRule",
    "AWS::ApiGatewayV2::Stage",
    "AWS::ApiGatewayV2::VpcLink",
];

/// Whether only code on AWS knows the attributes: custom resources and nested stacks.
pub(crate) fn is_made_on_aws(resource_type: &str) -> bool {
    resource_type.starts_with("Custom::")
        || matches!(
            resource_type,
            "AWS::CloudFormation::CustomResource" | "AWS::CloudFormation::Stack"
        )
}

/// Whether a type name has the form of one: `AWS::Service::Resource`,
/// `Custom::Name`, `Organization::Service::Resource::MODULE`.
pub(crate) fn is_well_formed(resource_type: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_@-".contains(&byte))
    };
    let words = resource_type.split("::").count();
    let is_long_enough = words >= 3 || (words == 2 && resource_type.starts_with("Custom::"));
    is_long_enough && resource_type.split("::").all(is_word)
}

/// Whether an unknown value in a resource of this type could weaken or change
/// what is served.
pub(crate) fn must_be_known(resource_type: &str) -> bool {
    resource_type.starts_with("AWS::ApiGatewayV2::")
        || resource_type.starts_with("AWS::IAM::")
        || resource_type == "AWS::Lambda::Permission"
}
