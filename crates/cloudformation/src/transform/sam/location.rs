//! `CodeUri` and `ContentUri`: where code and layers are.

use api_model::{Entry, Node, Span, Value};

use super::{Expansion, Source, build};
use crate::function;

/// The property `Code` or `Content` for the SAM property `name`: bucket and
/// key, or a local path as it is written, which the AWS tools would upload.
pub(super) fn location(
    source: &Source<'_>,
    name: &str,
    node: &Node,
    out: &mut Expansion<'_>,
) -> Option<Node> {
    let span = node.span;
    let known = out.context.known(node).map(std::borrow::Cow::into_owned);
    match known.as_ref().map(|node| &node.value) {
        Some(Value::String(text)) => {
            let Some(address) = strip_scheme(text) else {
                return Some(build::text(text, span));
            };
            let object = object(address, span);
            if object.is_none() {
                let message = format!("`{name}` is no S3 address of bucket and key");
                out.refuse(source, name, span, message)
                    .hint("write `s3://bucket/key`, or the path of a local folder");
            }
            object
        }
        Some(Value::Map(members)) => {
            let present = |name: &str| members.iter().find(|member| member.key == name);
            let (Some(bucket), Some(key)) = (present("Bucket"), present("Key")) else {
                let message = format!("`{name}` needs `Bucket` and `Key`");
                out.refuse(source, name, span, message)
                    .hint("add both, or write the path of a local folder");
                return None;
            };
            let mut object = vec![renamed("S3Bucket", bucket), renamed("S3Key", key)];
            object.extend(present("Version").map(|entry| renamed("S3ObjectVersion", entry)));
            object
                .extend(present("StorageMode").map(|entry| renamed("S3ObjectStorageMode", entry)));
            Some(build::map(object, span))
        }
        Some(Value::Unresolved) => Some(Node::new(Value::Unresolved, span)),
        // What another function gives is decided when it is resolved.
        None if function::call(node).is_some() => Some(node.clone()),
        _ => {
            let message = format!("`{name}` must be a path, an S3 address, or bucket and key");
            out.refuse(source, name, span, message);
            None
        }
    }
}

fn renamed(key: &str, entry: &Entry) -> Entry {
    Entry { key: key.to_owned(), key_span: entry.key_span, value: entry.value.clone() }
}

fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked("s3://".len())?;
    scheme.eq_ignore_ascii_case("s3://").then_some(rest)
}

/// `bucket/key?versionId=version`
fn object(address: &str, span: Span) -> Option<Node> {
    let address = address.split('#').next().unwrap_or_default();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let (bucket, key) = path.split_once('/')?;
    if bucket.is_empty() {
        return None;
    }
    let text = |name: &str, text: &str| build::entry(name, build::text(text, span));
    let mut members = vec![text("S3Bucket", bucket), text("S3Key", key.trim_start_matches('/'))];
    let mut versions = query.split('&').filter_map(|pair| pair.strip_prefix("versionId="));
    if let (Some(version), None) = (versions.next(), versions.next())
        && !version.is_empty()
    {
        members.push(text("S3ObjectVersion", version));
    }
    Some(build::map(members, span))
}
