//! The AWS-managed policies that grant something the gateway serves, or are
//! known to grant nothing of it ([managed policies]).
//!
//! [managed policies]: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html

use super::{Policy, Reading, parse_document};

pub(super) fn find(name: &str) -> Option<Policy> {
    let name = match name.strip_prefix("arn:") {
        Some(_) => {
            let (account, path) = name.split_once(":policy/")?;
            let of_aws = account.ends_with(":iam::aws");
            of_aws.then(|| path.rsplit('/').next())??
        }
        None => name,
    };
    let statement = match name {
        "AdministratorAccess" => r#"{"Action": "*", "Resource": "*"}"#,
        "AmazonAPIGatewayInvokeFullAccess" => {
            r#"{"Action": ["execute-api:Invoke", "execute-api:ManageConnections"],
                "Resource": "arn:aws:execute-api:*:*:*"}"#
        }
        "AmazonSSMFullAccess" => r#"{"Action": "ssm:*", "Resource": "*"}"#,
        "AmazonSSMReadOnlyAccess" => {
            r#"{"Action": ["ssm:Describe*", "ssm:Get*", "ssm:List*"], "Resource": "*"}"#
        }
        "PowerUserAccess" => {
            r#"{"NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"}"#
        }
        "AWSLambdaBasicExecutionRole"
        | "AWSLambdaDynamoDBExecutionRole"
        | "AWSLambdaKinesisExecutionRole"
        | "AWSLambdaMSKExecutionRole"
        | "AWSLambdaSQSQueueExecutionRole"
        | "AWSLambdaVPCAccessExecutionRole"
        | "AWSStepFunctionsFullAccess"
        | "AWSXRayDaemonWriteAccess"
        | "AWSXrayWriteOnlyAccess"
        | "AmazonAPIGatewayAdministrator"
        | "AmazonAPIGatewayPushToCloudWatchLogs"
        | "AmazonDynamoDBFullAccess"
        | "AmazonDynamoDBReadOnlyAccess"
        | "AmazonS3FullAccess"
        | "AmazonS3ReadOnlyAccess"
        | "AmazonSNSFullAccess"
        | "AmazonSQSFullAccess"
        | "CloudWatchLambdaInsightsExecutionRolePolicy" => return Some(Policy::default()),
        _ => return None,
    };
    let mut statement: serde_json::Value =
        serde_json::from_str(statement).expect("the texts above are JSON");
    statement["Effect"] = "Allow".into();
    let document = serde_json::json!({ "Version": "2012-10-17", "Statement": [statement] });
    Some(parse_document(&document, Reading::All).expect("the documents above are policies"))
}
