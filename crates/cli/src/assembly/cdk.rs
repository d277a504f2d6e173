//! [Cloud assemblies]: what `cdk synth` writes, by default into `cdk.out`.
//!
//! [Cloud assemblies]: https://docs.aws.amazon.com/cdk/v2/guide/deploy.html#deploy-how-synth-assemblies

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::{TemplateFile, add_asset, read_json};

/// What an assembly consists of.
pub(super) const MANIFEST: &str = "manifest.json";

/// A file in every assembly.
pub(super) const MARKER: &str = "cdk.out";

/// Most assemblies within each other: one per stage, and stages seldom nest.
const DEPTH_MAX: usize = 10;

/// Most stacks of an application: each is read and served at once.
const STACKS_MAX: usize = 1000;

/// Opens the assembly in a folder with those inside it.
pub(super) fn open(folder: &Path) -> Result<Vec<TemplateFile>, String> {
    let (root, inside) = outermost(folder);
    let mut templates = Vec::new();
    let mut seen = HashSet::from([inside.clone()]);
    Assembly { root: &root, inside }.collect(0, &mut seen, &mut templates)?;
    if templates.is_empty() {
        return Err(format!("{}: the application has no stacks", folder.display()));
    }
    Ok(templates)
}

/// The outermost assembly that a folder belongs to, and the way from there:
/// the assets of a stage lie outside its own folder.
fn outermost(folder: &Path) -> (PathBuf, PathBuf) {
    let mut found = (folder.to_owned(), PathBuf::new());
    let Ok(canonical) = folder.canonicalize() else {
        return found;
    };
    for root in canonical.ancestors().skip(1).take(DEPTH_MAX) {
        if !root.join(MANIFEST).is_file() || !root.join(MARKER).is_file() {
            break;
        }
        let inside = canonical.strip_prefix(root).unwrap_or_else(|_| Path::new(""));
        found = (root.to_owned(), inside.to_owned());
    }
    found
}

/// One assembly: a folder within that of the outermost one.
struct Assembly<'r> {
    root: &'r Path,
    inside: PathBuf,
}

impl Assembly<'_> {
    fn folder(&self) -> PathBuf {
        self.root.join(&self.inside)
    }

    /// Adds the stacks of this assembly and of those inside it that are not
    /// among the `seen`.
    fn collect(
        &self,
        depth: usize,
        seen: &mut HashSet<PathBuf>,
        out: &mut Vec<TemplateFile>,
    ) -> Result<(), String> {
        let path = self.folder().join(MANIFEST);
        let wrong = |reason: &str| format!("{}: {reason}", path.display());
        let manifest = read_json(&path)?;
        check_version(&manifest).map_err(|reason| wrong(&reason))?;
        let Some(artifacts) = manifest["artifacts"].as_object() else {
            return Err(wrong("the manifest has no artifacts"));
        };
        let assets = self.assets(artifacts)?;
        for id in in_order(artifacts).map_err(|reason| wrong(&reason))? {
            let artifact = &artifacts[id];
            let properties = &artifact["properties"];
            match artifact["type"].as_str() {
                Some("aws:cloudformation:stack") => {
                    if out.len() >= STACKS_MAX {
                        return Err(wrong(&format!("more than {STACKS_MAX} stacks")));
                    }
                    out.push(self.stack(id, artifact, &assets)?);
                }
                Some("cdk:cloud-assembly") => {
                    let name = text(&properties["directoryName"], id, "directoryName")
                        .map_err(|reason| wrong(&reason))?;
                    if depth >= DEPTH_MAX {
                        return Err(wrong("assemblies nest too deep"));
                    }
                    let inside = self.inside(name)?;
                    // Else a few folders that name each other would be read without end.
                    if !seen.insert(inside.clone()) {
                        return Err(wrong(&format!("assembly `{name}` is named twice")));
                    }
                    Assembly { root: self.root, inside }.collect(depth + 1, seen, out)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn stack(
        &self,
        id: &str,
        artifact: &Value,
        assets: &HashMap<String, PathBuf>,
    ) -> Result<TemplateFile, String> {
        let properties = &artifact["properties"];
        let file = text(&properties["templateFile"], id, "templateFile")
            .map_err(|reason| format!("{}: {reason}", self.folder().join(MANIFEST).display()))?;
        let path = self.locate(file)?;
        if !path.is_file() {
            return Err(missing(&path, &format!("the template of stack `{id}`")));
        }
        let (account_id, region) = environment(artifact["environment"].as_str());
        let mut template = TemplateFile {
            path,
            stack_name: Some(properties["stackName"].as_str().unwrap_or(id).to_owned()),
            folder: self.folder(),
            assets: assets.clone(),
            parameters: parameters(&properties["parameters"]),
            region,
            account_id,
        };
        self.add_legacy_assets(artifact, &mut template)?;
        Ok(template)
    }

    /// The assets that the asset manifests of an assembly name, by object key.
    fn assets(&self, artifacts: &Map<String, Value>) -> Result<HashMap<String, PathBuf>, String> {
        let mut assets = HashMap::new();
        let manifests = artifacts.values().filter(|one| one["type"] == "cdk:asset-manifest");
        for file in manifests.filter_map(|one| one["properties"]["file"].as_str()) {
            let path = self.locate(file)?;
            let manifest = read_json(&path)?;
            let files = manifest["files"].as_object().into_iter().flatten();
            for (id, asset) in files {
                // A folder stands for the archive that would be made of it.
                let Some(source) = asset["source"]["path"].as_str() else {
                    continue; // Made by a program when it is published.
                };
                let local = self.locate_asset(source, id)?;
                let destinations = asset["destinations"].as_object().into_iter().flatten();
                for key in destinations.filter_map(|(_, one)| one["objectKey"].as_str()) {
                    add_asset(&mut assets, key, local.clone());
                }
            }
        }
        Ok(assets)
    }

    /// Adds the assets that are parameters of the template, as the CDK wrote
    /// them before version 2 and its legacy synthesizer still does.
    fn add_legacy_assets(
        &self,
        artifact: &Value,
        template: &mut TemplateFile,
    ) -> Result<(), String> {
        let apart = match artifact["additionalMetadataFile"].as_str() {
            Some(file) => read_json(&self.locate(file)?)?,
            None => Value::Null,
        };
        let metadata = [&artifact["metadata"], &apart];
        let entries = metadata.into_iter().filter_map(Value::as_object).flat_map(Map::values);
        for entry in entries.filter_map(Value::as_array).flatten() {
            if entry["type"] != "aws:cdk:asset" || entry["data"]["packaging"] == "container-image" {
                continue;
            }
            let data = &entry["data"];
            let (Some(path), Some(id)) = (data["path"].as_str(), data["id"].as_str()) else {
                continue;
            };
            let local = self.locate_asset(path, id)?;
            let hash = data["sourceHash"].as_str().unwrap_or(id);
            let values = [
                ("s3BucketParameter", "cdk-assets".to_owned()),
                // The template joins what stands on both sides of the bars.
                ("s3KeyParameter", format!("assets/||{hash}.zip")),
                ("artifactHashParameter", hash.to_owned()),
            ];
            for (member, value) in values {
                if let Some(parameter) = data[member].as_str() {
                    template.parameters.push((parameter.to_owned(), value));
                }
            }
            add_asset(&mut template.assets, &format!("assets/{hash}.zip"), local);
        }
        Ok(())
    }

    /// The CDK leaves code in its place if it is asked to: its path is absolute then.
    fn locate_asset(&self, written: &str, id: &str) -> Result<PathBuf, String> {
        let path = match Path::new(written) {
            path if path.is_absolute() => path.to_owned(),
            _ => self.locate(written)?,
        };
        if path.exists() { Ok(path) } else { Err(missing(&path, &format!("asset `{id}`"))) }
    }

    /// A path within the outermost assembly.
    fn locate(&self, written: &str) -> Result<PathBuf, String> {
        Ok(self.root.join(self.inside(written)?))
    }

    /// A relative path from this assembly as one from the outermost.
    fn inside(&self, written: &str) -> Result<PathBuf, String> {
        let mut inside = self.inside.clone();
        for component in Path::new(written).components() {
            let stays = match component {
                Component::Normal(name) => {
                    inside.push(name);
                    true
                }
                Component::CurDir => true,
                Component::ParentDir => inside.pop(),
                Component::Prefix(_) | Component::RootDir => false,
            };
            if !stays {
                let folder = self.folder();
                return Err(format!("{}: path `{written}` leaves the folder", folder.display()));
            }
        }
        Ok(inside)
    }
}

fn missing(path: &Path, what: &str) -> String {
    format!("{}: {what} is missing; run `cdk synth` again", path.display())
}

fn text<'v>(value: &'v Value, id: &str, member: &str) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("artifact `{id}` has no `{member}`"))
}

/// The versions of the manifest differ in members that are not read here; the
/// first ones had no artifacts.
fn check_version(manifest: &Value) -> Result<(), String> {
    let Some(version) = manifest["version"].as_str() else {
        return Err("this is no manifest of the AWS CDK: it has no version".to_owned());
    };
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten(), parts.next()) {
        (Some(1..), Some(_), Some(_), None) => Ok(()),
        _ => Err(format!("manifest version `{version}` is not known")),
    }
}

/// Account and region of `aws://ACCOUNT/REGION`, as far as they are fixed.
fn environment(written: Option<&str>) -> (Option<String>, Option<String>) {
    let parts = written.and_then(|text| text.strip_prefix("aws://")?.split_once('/'));
    let known = |text: &str| (!text.starts_with("unknown-")).then(|| text.to_owned());
    parts.map_or((None, None), |(account_id, region)| (known(account_id), known(region)))
}

fn parameters(written: &Value) -> Vec<(String, String)> {
    let entries = written.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// The artifacts, each after those it depends on, else as they are written.
fn in_order(artifacts: &Map<String, Value>) -> Result<Vec<&str>, String> {
    let mut order = Vec::with_capacity(artifacts.len());
    let (mut open, mut done) = (HashSet::new(), HashSet::new());
    for first in artifacts.keys() {
        // The way to the artifact at hand, each with the number of dependencies that were
        // looked at; not recursion, since chains may be long.
        let mut way = vec![(first.as_str(), 0)];
        while let Some(last) = way.last_mut() {
            let (id, seen) = *last;
            last.1 += 1;
            if seen == 0 && !done.contains(id) && !open.insert(id) {
                return Err(format!("artifact `{id}` depends on itself"));
            }
            let dependencies = artifacts[id]["dependencies"].as_array();
            let dependency = dependencies.and_then(|list| list.get(seen));
            match dependency {
                Some(name) if !done.contains(id) => {
                    let known = name.as_str().and_then(|name| artifacts.get_key_value(name));
                    way.extend(known.map(|(name, _)| (name.as_str(), 0)));
                }
                _ => {
                    if done.insert(id) {
                        order.push(id);
                    }
                    way.pop();
                }
            }
        }
    }
    Ok(order)
}
