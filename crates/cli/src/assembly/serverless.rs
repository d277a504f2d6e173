//! What [`serverless package`] writes into `.serverless`.
//!
//! [`serverless package`]: https://www.serverless.com/framework/docs/providers/aws/cli-reference/package

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{TemplateFile, add_asset, read_json, resources};

/// The template of the stack as it is deployed.
pub(super) const TEMPLATE: &str = "cloudformation-template-update-stack.json";

/// What the framework remembers of the service between packaging and deployment.
const STATE: &str = "serverless-state.json";

/// Opens the output in a folder.
pub(super) fn open(folder: &Path) -> Result<Vec<TemplateFile>, String> {
    let path = folder.join(TEMPLATE);
    let template = read_json(&path)?;
    let state_path = folder.join(STATE);
    let state = if state_path.is_file() { read_json(&state_path)? } else { Value::Null };
    let provider = &state["service"]["provider"];
    Ok(vec![TemplateFile {
        stack_name: stack_name(&state["service"]),
        assets: assets(folder, &template, &state["service"])?,
        region: provider["region"].as_str().map(str::to_owned),
        path,
        folder: folder.to_owned(),
        ..TemplateFile::default()
    }])
}

/// `provider.stackName`, else service and stage.
fn stack_name(service: &Value) -> Option<String> {
    let provider = &service["provider"];
    if let Some(name) = provider["stackName"].as_str() {
        return Some(name.to_owned());
    }
    let name = service["service"].as_str().or_else(|| service["service"]["name"].as_str())?;
    Some(format!("{name}-{}", provider["stage"].as_str()?))
}

/// The archives of functions and layers, by object key.
fn assets(
    folder: &Path,
    template: &Value,
    service: &Value,
) -> Result<HashMap<String, PathBuf>, String> {
    let elsewhere = archives_elsewhere(folder, service);
    let mut assets = HashMap::new();
    for resource in resources(template) {
        for property in ["Code", "Content"] {
            let object = &resource["Properties"][property];
            let Some(key) = object["S3Key"].as_str() else {
                continue;
            };
            let name = key.rsplit('/').next().unwrap_or(key);
            let is_name = !matches!(name, "" | "." | "..");
            let beside = folder.join(name);
            if is_name && beside.is_file() {
                add_asset(&mut assets, key, beside);
            } else if let Some(path) = elsewhere.get(name).filter(|path| path.is_file()) {
                add_asset(&mut assets, key, path.clone());
            } else if object["S3Bucket"]["Ref"] == "ServerlessDeploymentBucket" {
                return Err(format!(
                    "{}: the archive is missing; run `serverless package` again",
                    beside.display()
                ));
            }
        }
    }
    Ok(assets)
}

/// Archives that the service brings itself, by name; their paths are relative
/// to the folder of the service.
fn archives_elsewhere(folder: &Path, service: &Value) -> HashMap<String, PathBuf> {
    let owners = ["functions", "layers"].map(|name| service[name].as_object());
    let owners = owners.into_iter().flatten().flat_map(|owners| owners.values());
    let written = owners.chain([service]).filter_map(|one| one["package"]["artifact"].as_str());
    written
        .filter_map(|path| {
            let path = folder.join("..").join(path);
            Some((path.file_name()?.to_str()?.to_owned(), path))
        })
        .collect()
}
