//! What a TEMPLATE argument may be: a file, the output of the AWS CDK or that
//! of the Serverless Framework.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

mod cdk;
mod serverless;
#[cfg(test)]
mod tests;

/// One template with what belongs to it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct TemplateFile {
    /// The template itself.
    pub(crate) path: PathBuf,
    /// The name that the tool gives the stack.
    pub(crate) stack_name: Option<String>,
    /// The folder that local code paths are relative to.
    pub(crate) folder: PathBuf,
    /// Local files of S3 objects, by object key and by the key's last segment.
    pub(crate) assets: HashMap<String, PathBuf>,
    /// Parameter values that the tool would give.
    pub(crate) parameters: Vec<(String, String)>,
    /// The region that the tool would deploy to, if it is fixed.
    pub(crate) region: Option<String>,
    /// The account that the tool would deploy to, if it is fixed.
    pub(crate) account_id: Option<String>,
}

/// Largest file of a tool's output, in bytes: metadata of large CDK
/// applications have some megabytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Opens a template file, a `cdk.out` folder or a `.serverless` folder.
/// Several templates come in the order in which their stacks depend on each
/// other.
pub(crate) fn open(path: &Path) -> Result<Vec<TemplateFile>, String> {
    let metadata = path.metadata().map_err(|error| format!("{}: {error}", path.display()))?;
    if metadata.is_dir() {
        return if path.join(cdk::MANIFEST).is_file() {
            cdk::open(path)
        } else if path.join(serverless::TEMPLATE).is_file() {
            serverless::open(path)
        } else {
            Err(format!(
                "{}: the folder holds no {} of the AWS CDK and no {} of the Serverless Framework; \
                 give a template file, or run `cdk synth` or `serverless package` first",
                path.display(),
                cdk::MANIFEST,
                serverless::TEMPLATE
            ))
        };
    }
    let folder = parent(path);
    match path.file_name().and_then(|name| name.to_str()) {
        Some(cdk::MANIFEST) => cdk::open(folder),
        Some(serverless::TEMPLATE) => serverless::open(folder),
        Some(name) if name.ends_with(".json") => {
            if folder.join(cdk::MARKER).is_file()
                && folder.join(cdk::MANIFEST).is_file()
                && let Some(one) =
                    cdk::open(folder)?.into_iter().find(|one| is_same(&one.path, path))
            {
                return Ok(vec![one]);
            }
            Ok(vec![plain(path, folder)])
        }
        _ => Ok(vec![TemplateFile {
            path: path.to_owned(),
            folder: folder.to_owned(),
            ..TemplateFile::default()
        }]),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// A JSON template on its own. The CDK writes into its metadata where the
/// code of a function is, if it is asked to.
fn plain(path: &Path, folder: &Path) -> TemplateFile {
    let mut assets = HashMap::new();
    // Whatever is wrong with the text is reported when the template is read.
    let template = read_json(path).unwrap_or_default();
    for resource in resources(&template) {
        let written = resource["Metadata"]["aws:asset:path"].as_str();
        let property = resource["Metadata"]["aws:asset:property"].as_str().unwrap_or("Code");
        if let (Some(written), Some(key)) = (written, s3_key(resource, property)) {
            add_asset(&mut assets, key, folder.join(written));
        }
    }
    TemplateFile {
        path: path.to_owned(),
        folder: folder.to_owned(),
        assets,
        ..TemplateFile::default()
    }
}

/// The folder of a file; empty for one without a folder in its name.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

fn resources(template: &Value) -> impl Iterator<Item = &Value> {
    template["Resources"].as_object().into_iter().flat_map(|resources| resources.values())
}

/// The object key of a function's code or a layer's content.
fn s3_key<'v>(resource: &'v Value, property: &str) -> Option<&'v str> {
    resource["Properties"][property]["S3Key"].as_str()
}

/// Adds an asset under its key, and under the last segment of the key: what
/// stands before it may hold names that are known on AWS only.
fn add_asset(assets: &mut HashMap<String, PathBuf>, key: &str, path: PathBuf) {
    if let Some((_, name)) = key.rsplit_once('/') {
        assets.insert(name.to_owned(), path.clone());
    }
    assets.insert(key.to_owned(), path);
}

fn read_json(path: &Path) -> Result<Value, String> {
    let wrong = |reason: String| format!("{}: {reason}", path.display());
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut bytes = Vec::new();
    let mut limited = file.take(FILE_BYTES_MAX + 1);
    limited.read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("the file has more than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}
