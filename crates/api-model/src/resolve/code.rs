//! What a function runs: its code, layers, runtime and bounds ([function]).
//!
//! [function]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-function.html

use std::time::Duration;

use super::each;
use crate::api::{Code, Function, Layer};
use crate::codes;
use crate::node::{Node, Resource, Stack, Value};
use crate::raw::Reader;

const FUNCTION_TIMEOUT: std::ops::RangeInclusive<u32> = 1..=900;
const FUNCTION_TIMEOUT_DEFAULT: u32 = 3;
const MEMORY_MB: std::ops::RangeInclusive<u32> = 128..=10_240;
const MEMORY_MB_DEFAULT: u32 = 128;

/// Reads what runs into `function`.
pub(super) fn read(reader: &mut Reader<'_>, layers: &[Layer], function: &mut Function) {
    let is_image = reader.text("PackageType").is_some_and(|kind| kind.value == "Image");
    function.code =
        if is_image { Some(Code::Image) } else { reader.node("Code").and_then(code_of) };
    function.runtime = reader.text("Runtime").map(|text| text.value);
    function.handler = reader.text("Handler").map(|text| text.value).unwrap_or_default();
    function.layers =
        reader.list("Layers").into_iter().map(|name| layer(name.value, reader, layers)).collect();
    let seconds = whole(reader, "Timeout", &FUNCTION_TIMEOUT).unwrap_or(FUNCTION_TIMEOUT_DEFAULT);
    function.timeout = Duration::from_secs(seconds.into());
    function.memory_mb = whole(reader, "MemorySize", &MEMORY_MB).unwrap_or(MEMORY_MB_DEFAULT);
    function.reserved_concurrency = whole(reader, "ReservedConcurrentExecutions", &(0..=u32::MAX));
}

fn layer(name: String, reader: &Reader<'_>, layers: &[Layer]) -> Layer {
    let file = reader.resource.span.file;
    match layers.iter().find(|layer| layer.name == name) {
        Some(layer) => layer.clone(),
        None if name.starts_with("arn:") => Layer { name, content: None, file },
        None => Layer { content: Some(Code::Local(name.clone())), name, file },
    }
}

/// Layers that the templates define, by ARN.
pub(super) fn layers(stacks: &[Stack]) -> Vec<Layer> {
    let mut list = Vec::new();
    each(stacks, "AWS::Lambda::LayerVersion", |_, resource: &Resource| {
        list.push(Layer {
            name: resource.physical_id.clone(),
            content: resource.properties.find("Content").and_then(code_of),
            file: resource.span.file,
        });
    });
    list
}

/// A mapping of `ZipFile`, bucket and key, or an image; text is a local path, as
/// `aws cloudformation package` reads it.
fn code_of(node: &Node) -> Option<Code> {
    if let Value::String(text) = &node.value {
        return Some(Code::Local(text.clone()));
    }
    let text =
        |name: &str| node.find(name).and_then(Node::as_text).map(std::borrow::Cow::into_owned);
    if node.find("ImageUri").is_some() {
        return Some(Code::Image);
    }
    match (text("ZipFile"), text("S3Key")) {
        (Some(source), _) => Some(Code::Inline(source)),
        (None, Some(key)) => Some(Code::S3 { bucket: text("S3Bucket").unwrap_or_default(), key }),
        (None, None) => None,
    }
}

fn whole(
    reader: &mut Reader<'_>,
    name: &str,
    range: &std::ops::RangeInclusive<u32>,
) -> Option<u32> {
    let number = reader.number(name)?;
    let whole = format!("{}", number.value).parse().ok().filter(|value| range.contains(value));
    if whole.is_none() {
        let message = format!(
            "`{name}` is {}; AWS allows whole numbers from {} to {}",
            number.value,
            range.start(),
            range.end()
        );
        reader.wrong(codes::PROPERTY_VALUE, number.span, name, message, None);
    }
    whole
}
