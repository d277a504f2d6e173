//! Names of a stack and the physical ids of its resources.
//!
//! Ids derive from stack name and logical id alone, so addresses survive
//! restarts; [`digest`] and the spellings made of it must never change.

use api_model::{Node, Value};

use crate::Options;

/// Names that [`Names::pseudo_parameter`] knows, and the two that are no text.
pub(crate) const PSEUDO_PARAMETERS: [&str; 8] = [
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

/// Where a stack lives.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) stack: String,
    pub(crate) region: String,
    pub(crate) account_id: String,
    pub(crate) partition: String,
}

impl Names {
    /// The names of a stack.
    pub(crate) fn new(stack: &str, options: &Options) -> Self {
        Self {
            stack: stack.to_owned(),
            region: options.region.clone(),
            account_id: options.account_id.clone(),
            partition: options.partition.clone(),
        }
    }

    /// The value of a [pseudo parameter] that is text.
    ///
    /// [pseudo parameter]: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
    pub(crate) fn pseudo_parameter(&self, name: &str) -> Option<String> {
        Some(match name {
            "AWS::AccountId" => self.account_id.clone(),
            "AWS::Partition" => self.partition.clone(),
            "AWS::Region" => self.region.clone(),
            "AWS::StackId" => {
                let id = self.uuid("");
                self.arn("cloudformation", &format!("stack/{}/{id}", self.stack))
            }
            "AWS::StackName" => self.stack.clone(),
            "AWS::URLSuffix" => self.url_suffix().to_owned(),
            _ => return None,
        })
    }

    pub(crate) fn url_suffix(&self) -> &'static str {
        if self.partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" }
    }

    /// `arn:{partition}:{service}:{region}:{account}:{rest}`
    pub(crate) fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{rest}", self.partition, self.region, self.account_id)
    }

    /// An ARN of a service without regions.
    pub(crate) fn global_arn(&self, service: &str, rest: &str) -> String {
        format!("arn:{}:{service}::{}:{rest}", self.partition, self.account_id)
    }

    /// The ARN of a function given by name, partial ARN or ARN.
    pub(crate) fn function_arn(&self, function: &str) -> String {
        if function.starts_with("arn:") {
            return function.to_owned();
        }
        let name = function.rsplit_once("function:").map_or(function, |(_, name)| name);
        self.arn("lambda", &format!("function:{name}"))
    }

    /// An id such as those of API Gateway: lower-case alphanumerics, a letter first.
    pub(crate) fn short_id(&self, logical_id: &str, length: usize) -> String {
        let mut rest = digest(&self.stack, logical_id);
        let mut id = String::with_capacity(length);
        id.push(take_digit(&mut rest, b"abcdefghijklmnopqrstuvwxyz"));
        while id.len() < length {
            id.push(take_digit(&mut rest, b"abcdefghijklmnopqrstuvwxyz0123456789"));
        }
        id
    }

    /// `{stack}-{logicalId}-{12 upper-case alphanumerics}`, cut to `chars_max`
    /// as CloudFormation does.
    pub(crate) fn long_name(&self, logical_id: &str, chars_max: usize) -> String {
        let prefix = format!("{}-{logical_id}", self.stack);
        let prefix: String =
            prefix.chars().take(chars_max.saturating_sub(SUFFIX_CHARS + 1)).collect();
        format!("{prefix}-{}", self.suffix(logical_id, SUFFIX_CHARS))
    }

    /// Upper-case alphanumerics.
    pub(crate) fn suffix(&self, logical_id: &str, length: usize) -> String {
        let mut rest = digest(&self.stack, logical_id);
        (0..length)
            .map(|_| take_digit(&mut rest, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))
            .collect()
    }

    /// In the form of a UUID.
    pub(crate) fn uuid(&self, logical_id: &str) -> String {
        let hex = format!("{:032x}", digest(&self.stack, logical_id));
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        parts.join("-")
    }

    /// What `Ref` of a resource gives.
    pub(crate) fn physical_id(
        &self,
        resource_type: &str,
        logical_id: &str,
        properties: &Node,
    ) -> String {
        let named = |property: &str| text_of(properties, property);
        let name_or = |property: &str, chars_max: usize| {
            named(property).unwrap_or_else(|| self.long_name(logical_id, chars_max))
        };
        match resource_type {
            "AWS::ApiGatewayV2::Api" => {
                api_id_tag(properties).unwrap_or_else(|| self.short_id(logical_id, API_ID_CHARS))
            }
            "AWS::ApiGatewayV2::Stage" | "AWS::ApiGateway::Stage" => name_or("StageName", 128),
            "AWS::ApiGatewayV2::DomainName" => name_or("DomainName", 253),
            "AWS::ApiGatewayV2::Deployment"
            | "AWS::ApiGatewayV2::Authorizer"
            | "AWS::ApiGatewayV2::Model"
            | "AWS::ApiGatewayV2::ApiMapping"
            | "AWS::ApiGatewayV2::VpcLink" => self.short_id(logical_id, 6),
            other if other.starts_with("AWS::ApiGatewayV2::") => self.short_id(logical_id, 7),
            "AWS::Lambda::Function" => {
                let name = name_or("FunctionName", 64);
                match name.rsplit_once("function:") {
                    Some((_, name)) => name.to_owned(),
                    None => name,
                }
            }
            "AWS::Lambda::Version" => {
                format!("{}:1", self.function_arn(&named("FunctionName").unwrap_or_default()))
            }
            "AWS::Lambda::Alias" => {
                let function = self.function_arn(&named("FunctionName").unwrap_or_default());
                format!("{function}:{}", named("Name").unwrap_or_default())
            }
            "AWS::Lambda::LayerVersion" => {
                self.arn("lambda", &format!("layer:{}:1", name_or("LayerName", 140)))
            }
            "AWS::Lambda::EventSourceMapping" | "AWS::KMS::Key" => self.uuid(logical_id),
            "AWS::IAM::Role" => name_or("RoleName", 64),
            "AWS::IAM::User" => name_or("UserName", 64),
            "AWS::IAM::ManagedPolicy" => {
                let path = named("Path").unwrap_or_else(|| "/".to_owned());
                let name = name_or("ManagedPolicyName", 128);
                self.global_arn("iam", &format!("policy{path}{name}"))
            }
            "AWS::Logs::LogGroup" => name_or("LogGroupName", 512),
            "AWS::SSM::Parameter" => named("Name")
                .unwrap_or_else(|| format!("CFN-{logical_id}-{}", self.suffix(logical_id, 12))),
            _ => self.physical_id_elsewhere(resource_type, logical_id, properties),
        }
    }

    /// The same for types that nothing here serves: templates refer to them, and
    /// their services may run beside the gateway.
    fn physical_id_elsewhere(
        &self,
        resource_type: &str,
        logical_id: &str,
        properties: &Node,
    ) -> String {
        let named = |property: &str| text_of(properties, property);
        let name_or = |property: &str, chars_max: usize| {
            named(property).unwrap_or_else(|| self.long_name(logical_id, chars_max))
        };
        let fifo_name_or = |property: &str, flag: &str, chars_max: usize| {
            let is_fifo = named(flag).is_some_and(|flag| flag == "true");
            let generated = || match is_fifo {
                true => self.long_name(logical_id, chars_max - FIFO.len()) + FIFO,
                false => self.long_name(logical_id, chars_max),
            };
            named(property).unwrap_or_else(generated)
        };
        match resource_type {
            "AWS::CertificateManager::Certificate" => {
                self.arn("acm", &format!("certificate/{}", self.uuid(logical_id)))
            }
            "AWS::Route53::RecordSet" => name_or("Name", 255),
            "AWS::Route53::HostedZone" => format!("Z{}", self.suffix(logical_id, 20)),
            "AWS::SQS::Queue" => format!(
                "https://sqs.{}.{}/{}/{}",
                self.region,
                self.url_suffix(),
                self.account_id,
                fifo_name_or("QueueName", "FifoQueue", 80)
            ),
            "AWS::SNS::Topic" => self.arn("sns", &fifo_name_or("TopicName", "FifoTopic", 256)),
            "AWS::SNS::Subscription" => {
                format!("{}:{}", named("TopicArn").unwrap_or_default(), self.uuid(logical_id))
            }
            "AWS::StepFunctions::StateMachine" => {
                let name = name_or("StateMachineName", 80);
                self.arn("states", &format!("stateMachine:{name}"))
            }
            "AWS::Events::Rule" => name_or("Name", 64),
            "AWS::Events::EventBus" => name_or("Name", 256),
            "AWS::Cognito::UserPool" => {
                format!("{}_{}", self.region, self.short_id(logical_id, 9))
            }
            "AWS::Cognito::UserPoolClient" => self.short_id(logical_id, 26),
            "AWS::Cognito::UserPoolDomain" => name_or("Domain", 63),
            "AWS::Cognito::IdentityPool" => format!("{}:{}", self.region, self.uuid(logical_id)),
            "AWS::KMS::Alias" => name_or("AliasName", 256),
            "AWS::KinesisFirehose::DeliveryStream" => name_or("DeliveryStreamName", 64),
            "AWS::ApiGateway::RestApi" => self.short_id(logical_id, API_ID_CHARS),
            "AWS::CloudFront::Distribution" => format!("E{}", self.suffix(logical_id, 13)),
            "AWS::S3::Bucket" => {
                named("BucketName").unwrap_or_else(|| self.long_name(logical_id, 63).to_lowercase())
            }
            "AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable" => name_or("TableName", 255),
            "AWS::Kinesis::Stream" => name_or("Name", 128),
            "AWS::SecretsManager::Secret" => {
                let name = named("Name")
                    .unwrap_or_else(|| format!("{logical_id}-{}", self.suffix(logical_id, 12)));
                self.arn("secretsmanager", &format!("secret:{name}-{}", self.suffix(logical_id, 6)))
            }
            "AWS::CloudFormation::Stack" => {
                let name = format!("{}-{logical_id}", self.stack);
                self.arn("cloudformation", &format!("stack/{name}/{}", self.uuid(logical_id)))
            }
            _ => self.long_name(logical_id, 255),
        }
    }
}

/// Length of API ids.
pub(crate) const API_ID_CHARS: usize = 10;

/// The tag of an `AWS::ApiGatewayV2::Api` that fixes its id.
pub(crate) const API_ID_TAG: &str = "wsgate:api-id";

/// Random part of generated names, as CloudFormation has it.
const SUFFIX_CHARS: usize = 12;

/// Ends the names of FIFO queues and topics.
const FIFO: &str = ".fifo";

/// A non-empty text property.
pub(crate) fn text_of(properties: &Node, property: &str) -> Option<String> {
    let text = properties.find(property)?.as_text()?;
    (!text.is_empty()).then(|| text.into_owned())
}

/// Whether a text is an API id: ten lower-case alphanumerics.
pub(crate) fn is_api_id(text: &str) -> bool {
    text.len() == API_ID_CHARS
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn api_id_tag(properties: &Node) -> Option<String> {
    let tag = properties.find("Tags")?.find(API_ID_TAG)?;
    match &tag.value {
        Value::String(id) if is_api_id(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()).filter(|id| is_api_id(id)),
        _ => None,
    }
}

/// 128-bit [FNV-1a] over both names, a zero byte between them, its high bits
/// folded in twice so that the low digits depend on every character.
///
/// [FNV-1a]: https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
fn digest(stack: &str, logical_id: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash = OFFSET;
    for byte in stack.bytes().chain([0]).chain(logical_id.bytes()) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    }
    for _ in 0..2 {
        hash = (hash ^ (hash >> 67)).wrapping_mul(PRIME);
    }
    hash ^ (hash >> 67)
}

fn take_digit(rest: &mut u128, digits: &[u8]) -> char {
    let base = digits.len() as u128;
    let digit = digits[(*rest % base) as usize];
    *rest /= base;
    char::from(digit)
}
