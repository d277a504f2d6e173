//! Resources of other services: what `--provision` creates, and queues that functions read.

use super::each;
use crate::api::{Provision, QueueSource};
use crate::diagnostic::Diagnostics;
use crate::node::Stack;
use crate::raw::Reader;

/// Types that can be created at a local endpoint, each after those it may refer to.
const TYPES: [&str; 6] = [
    "AWS::DynamoDB::Table",
    "AWS::SQS::Queue",
    "AWS::SNS::Topic",
    "AWS::SNS::Subscription",
    "AWS::SQS::QueuePolicy",
    "AWS::StepFunctions::StateMachine",
];

pub(super) fn provisions(stacks: &[Stack]) -> Vec<Provision> {
    let mut list = Vec::new();
    for kind in TYPES {
        each(stacks, kind, |stack, resource| {
            list.push(Provision {
                logical_id: resource.logical_id.clone(),
                resource_type: resource.resource_type.clone(),
                physical_id: resource.physical_id.clone(),
                properties: resource.properties.to_json(),
                span: resource.span,
                region: stack.region.clone(),
            });
        });
    }
    list
}

/// `AWS::Lambda::EventSourceMapping` of queues ([page]); other sources are not polled.
///
/// [page]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-eventsourcemapping.html
pub(super) fn queue_sources(stacks: &[Stack], out: &mut Diagnostics) -> Vec<QueueSource> {
    let mut list = Vec::new();
    each(stacks, "AWS::Lambda::EventSourceMapping", |stack, resource| {
        let mut reader = Reader::new(resource, out);
        let source = reader.text("EventSourceArn");
        let function = reader.required("FunctionName");
        let is_off = reader.boolean("Enabled").is_some_and(|enabled| !enabled.value);
        let (Some(source), Some(function)) = (source, function) else { return };
        if !source.value.contains(":sqs:") {
            reader.ignored("EventSourceArn", "only queues are polled here");
            return;
        }
        if is_off {
            return;
        }
        let function_arn = if function.value.starts_with("arn:") {
            function.value
        } else {
            format!(
                "arn:{}:lambda:{}:{}:function:{}",
                stack.partition, stack.region, stack.account_id, function.value
            )
        };
        let batch = reader.number("BatchSize").map_or(10.0, |number| number.value);
        let types = reader.list("FunctionResponseTypes");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let batch_size = batch.clamp(1.0, 10_000.0) as u32;
        list.push(QueueSource {
            logical_id: resource.logical_id.clone(),
            span: resource.span,
            queue_arn: source.value,
            function_arn,
            batch_size,
            reports_failures: types.iter().any(|kind| kind.value == "ReportBatchItemFailures"),
        });
    });
    list
}
