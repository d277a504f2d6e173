//! SAM's policy templates ([list]).
//!
//! Here only statements about `execute-api` and `ssm` are ever evaluated, so
//! the other templates are known by name and parameters, and grant nothing.
//!
//! [list]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-policy-template-list.html

use api_model::{Node, Span};

use super::build;

/// The parameters that a policy template needs; `None` if there is no such
/// template.
pub(super) fn parameters(name: &str) -> Option<&'static [&'static str]> {
    TEMPLATES.iter().find(|(known, _)| *known == name).map(|(_, parameters)| *parameters)
}

/// Names of all policy templates.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|(name, _)| *name)
}

/// The policy document of a template, if something in it is evaluated here.
pub(super) fn document(name: &str, arguments: &Node, span: Span) -> Option<Node> {
    let separator = match name {
        "SSMParameterReadPolicy" => "/",
        "SSMParameterWithSlashPrefixReadPolicy" => "",
        _ => return None,
    };
    let parameter = arguments.find("ParameterName")?.clone();
    let pattern = format!(
        "arn:${{AWS::Partition}}:ssm:${{AWS::Region}}:${{AWS::AccountId}}:parameter{separator}${{parameterName}}"
    );
    let variables = build::map([build::entry("parameterName", parameter)], span);
    let resource =
        build::call("Fn::Sub", build::list([build::text(pattern, span), variables], span));
    let statements = [
        statement(&["ssm:DescribeParameters"], build::text("*", span), span),
        statement(
            &["ssm:GetParameters", "ssm:GetParameter", "ssm:GetParametersByPath"],
            resource,
            span,
        ),
    ];
    Some(build::map([build::entry("Statement", build::list(statements, span))], span))
}

fn statement(actions: &[&str], resource: Node, span: Span) -> Node {
    let actions = actions.iter().map(|action| build::text(*action, span));
    build::map(
        [
            build::entry("Action", build::list(actions, span)),
            build::entry("Effect", build::text("Allow", span)),
            build::entry("Resource", resource),
        ],
        span,
    )
}

const TEMPLATES: [(&str, &[&str]); 81] = [
    ("AMIDescribePolicy", &[]),
    ("AWSSecretsManagerGetSecretValuePolicy", &["SecretArn"]),
    ("AWSSecretsManagerRotationPolicy", &["FunctionName"]),
    ("AcmGetCertificatePolicy", &["CertificateArn"]),
    ("AthenaQueryPolicy", &["WorkGroupName"]),
    ("CloudFormationDescribeStacksPolicy", &[]),
    ("CloudWatchDashboardPolicy", &[]),
    ("CloudWatchDescribeAlarmHistoryPolicy", &[]),
    ("CloudWatchPutMetricPolicy", &[]),
    ("CodeCommitCrudPolicy", &["RepositoryName"]),
    ("CodeCommitReadPolicy", &["RepositoryName"]),
    ("CodePipelineLambdaExecutionPolicy", &[]),
    ("CodePipelineReadOnlyPolicy", &["PipelineName"]),
    ("ComprehendBasicAccessPolicy", &[]),
    ("CostExplorerReadOnlyPolicy", &[]),
    ("DynamoDBBackupFullAccessPolicy", &["TableName"]),
    ("DynamoDBCrudPolicy", &["TableName"]),
    ("DynamoDBReadPolicy", &["TableName"]),
    ("DynamoDBReconfigurePolicy", &["TableName"]),
    ("DynamoDBRestoreFromBackupPolicy", &["TableName"]),
    ("DynamoDBStreamReadPolicy", &["StreamName", "TableName"]),
    ("DynamoDBWritePolicy", &["TableName"]),
    ("EC2CopyImagePolicy", &["ImageId"]),
    ("EC2DescribePolicy", &[]),
    ("EFSWriteAccessPolicy", &["AccessPoint", "FileSystem"]),
    ("EKSDescribePolicy", &[]),
    ("EcsRunTaskPolicy", &["TaskDefinition"]),
    ("ElasticMapReduceAddJobFlowStepsPolicy", &["ClusterId"]),
    ("ElasticMapReduceCancelStepsPolicy", &["ClusterId"]),
    ("ElasticMapReduceModifyInstanceFleetPolicy", &["ClusterId"]),
    ("ElasticMapReduceModifyInstanceGroupsPolicy", &["ClusterId"]),
    ("ElasticMapReduceSetTerminationProtectionPolicy", &["ClusterId"]),
    ("ElasticMapReduceTerminateJobFlowsPolicy", &["ClusterId"]),
    ("ElasticsearchHttpPostPolicy", &["DomainName"]),
    ("EventBridgePutEventsPolicy", &["EventBusName"]),
    ("FilterLogEventsPolicy", &["LogGroupName"]),
    ("FirehoseCrudPolicy", &["DeliveryStreamName"]),
    ("FirehoseWritePolicy", &["DeliveryStreamName"]),
    ("KMSDecryptPolicy", &["KeyId"]),
    ("KMSEncryptPolicy", &["KeyId"]),
    ("KMSEncryptPolicy_v2", &["KeyId"]),
    ("KinesisCrudPolicy", &["StreamName"]),
    ("KinesisStreamReadPolicy", &["StreamName"]),
    ("LambdaInvokePolicy", &["FunctionName"]),
    ("MobileAnalyticsWriteOnlyAccessPolicy", &[]),
    ("OrganizationsListAccountsPolicy", &[]),
    ("PinpointEndpointAccessPolicy", &["PinpointApplicationId"]),
    ("PollyFullAccessPolicy", &["LexiconName"]),
    ("RekognitionDetectOnlyPolicy", &[]),
    ("RekognitionFacesManagementPolicy", &["CollectionId"]),
    ("RekognitionFacesPolicy", &[]),
    ("RekognitionLabelsPolicy", &[]),
    ("RekognitionNoDataAccessPolicy", &["CollectionId"]),
    ("RekognitionReadPolicy", &["CollectionId"]),
    ("RekognitionWriteOnlyAccessPolicy", &["CollectionId"]),
    ("Route53ChangeResourceRecordSetsPolicy", &["HostedZoneId"]),
    ("S3CrudPolicy", &["BucketName"]),
    ("S3FullAccessPolicy", &["BucketName"]),
    ("S3ReadPolicy", &["BucketName"]),
    ("S3WritePolicy", &["BucketName"]),
    ("SESBulkTemplatedCrudPolicy", &["IdentityName"]),
    ("SESBulkTemplatedCrudPolicy_v2", &["IdentityName", "TemplateName"]),
    ("SESCrudPolicy", &["IdentityName"]),
    ("SESEmailTemplateCrudPolicy", &[]),
    ("SESSendBouncePolicy", &["IdentityName"]),
    ("SNSCrudPolicy", &["TopicName"]),
    ("SNSPublishMessagePolicy", &["TopicName"]),
    ("SQSPollerPolicy", &["QueueName"]),
    ("SQSSendMessagePolicy", &["QueueName"]),
    ("SSMParameterReadPolicy", &["ParameterName"]),
    ("SSMParameterWithSlashPrefixReadPolicy", &["ParameterName"]),
    ("SageMakerCreateEndpointConfigPolicy", &["EndpointConfigName"]),
    ("SageMakerCreateEndpointPolicy", &["EndpointName"]),
    ("ServerlessRepoReadWriteAccessPolicy", &[]),
    ("StepFunctionsCallbackPolicy", &["StateMachineName"]),
    ("StepFunctionsExecutionPolicy", &["StateMachineName"]),
    ("StepFunctionsExecutionPolicy_v2", &["StateMachineName"]),
    ("TextractDetectAnalyzePolicy", &[]),
    ("TextractGetResultPolicy", &[]),
    ("TextractPolicy", &[]),
    ("VPCAccessPolicy", &[]),
];
