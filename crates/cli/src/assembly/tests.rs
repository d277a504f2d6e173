//! Tests over what the tools really wrote, below `tests/assembly`, and over
//! small folders that are wrong.

use std::fs;

use api_model::api::Code;
use api_model::{Compat, Sources};
use serde_json::json;
use tempfile::TempDir;

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assembly").join(name)
}

const CODE: &str = "08f5c81c897298d989eb843b89f3252575d111712a8fe841817cbb2fcf8094b2";
const LAYER: &str = "6969f5d656cda963b90c92a7971fb5d809227f383acfbdae1768b1d9fe1ac6cf";

/// Loads templates as stacks; there must be no finding at all.
#[track_caller]
fn model(templates: &[TemplateFile]) -> api_model::Model {
    let mut sources = Sources::default();
    let mut options = cloudformation::Options::default();
    for one in templates {
        sources.add(one.path.display().to_string(), fs::read_to_string(&one.path).unwrap());
        options.stack_names.extend(one.stack_name.clone());
        options.parameters.extend(one.parameters.clone());
        let (region, account_id) = (one.region.clone(), one.account_id.clone());
        options.destinations.push(cloudformation::Destination { region, account_id });
    }
    let (stacks, diagnostics) = cloudformation::load(&sources, &options);
    assert_eq!(diagnostics.list, []);
    let (model, diagnostics) = api_model::resolve(&stacks, Compat::Wsgate);
    assert_eq!(diagnostics.list, []);
    model
}

/// Where the code of the function is that `templates` define under `logical_id`.
#[track_caller]
fn code(model: &api_model::Model, templates: &[TemplateFile], logical_id: &str) -> PathBuf {
    let function = model.functions.iter().find(|one| one.logical_id == logical_id).unwrap();
    let Some(Code::S3 { key, .. }) = &function.code else {
        panic!("no object: {:?}", function.code);
    };
    let template = &templates[function.span.file as usize];
    let path = &template.assets[key];
    assert_eq!(template.assets.get(key.rsplit('/').next().unwrap()), Some(path));
    path.clone()
}

#[test]
fn stacks_of_the_cdk_come_in_order_with_their_assets() {
    let folder = fixture("cdk-stacks");
    let templates = open(&folder).unwrap();
    let names: Vec<_> = templates.iter().filter_map(|one| one.stack_name.as_deref()).collect();
    assert_eq!(names, ["Store", "Chat"]);
    assert_eq!(templates[1].path, folder.join("Chat.template.json"));
    assert_eq!(templates[1].folder, folder);
    assert_eq!((&templates[1].region, &templates[1].account_id), (&None, &None));
    let model = model(&templates);
    assert_eq!(model.stages.len(), 1);
    let asset = folder.join(format!("asset.{CODE}"));
    assert_eq!(code(&model, &templates, "Handler886CB40B"), asset);
    let layer = &templates[1].assets[&format!("{LAYER}.zip")];
    assert_eq!(*layer, folder.join(format!("asset.{LAYER}")));
}

#[test]
fn a_stage_of_the_cdk_has_its_assets_outside_its_folder() {
    let folder = fixture("cdk-stage");
    let templates = open(&folder).unwrap();
    let names: Vec<_> = templates.iter().filter_map(|one| one.stack_name.as_deref()).collect();
    assert_eq!(names, ["Prod-Store", "Prod-Chat"]);
    assert_eq!(templates[1].folder, folder.join("assembly-Prod"));
    assert_eq!(templates[1].region.as_deref(), Some("eu-west-1"));
    assert_eq!(templates[1].account_id.as_deref(), Some("111122223333"));
    let model = model(&templates);
    let asset = folder.join(format!("asset.{CODE}"));
    assert_eq!(code(&model, &templates, "Handler886CB40B"), asset);

    let inner = open(&folder.join("assembly-Prod")).unwrap();
    let asset = asset.canonicalize().unwrap();
    assert_eq!(inner[1].assets[&format!("{CODE}.zip")], asset);
}

#[test]
fn legacy_assets_of_the_cdk_are_parameters() {
    let folder = fixture("cdk-legacy");
    let templates = open(&folder).unwrap();
    assert_eq!(templates[0].parameters.len(), 6);
    let model = model(&templates);
    let asset = folder.join(format!("asset.{CODE}"));
    assert_eq!(code(&model, &templates, "Handler886CB40B"), asset);
}

#[test]
fn one_template_of_an_assembly_brings_what_belongs_to_it() {
    let path = fixture("cdk-stacks").join("Chat.template.json");
    let templates = open(&path).unwrap();
    assert_eq!(templates.len(), 1);
    assert_eq!(templates[0].stack_name.as_deref(), Some("Chat"));
    assert!(templates[0].assets.contains_key(&format!("{CODE}.zip")));
    let all = open(&fixture("cdk-stacks").join("manifest.json")).unwrap();
    assert_eq!(all.len(), 2);
}

#[test]
fn output_of_the_serverless_framework_loads_with_its_archive() {
    let folder = fixture("serverless").join(".serverless");
    let templates = open(&folder).unwrap();
    assert_eq!(open(&folder.join(serverless::TEMPLATE)).unwrap(), templates);
    assert_eq!(templates.len(), 1);
    assert_eq!(templates[0].stack_name.as_deref(), Some("chat-dev"));
    assert_eq!(templates[0].region.as_deref(), Some("eu-west-1"));
    let model = model(&templates);
    assert_eq!(model.stages[0].routes.len(), 4);
    assert_eq!(code(&model, &templates, "EchoLambdaFunction"), folder.join("chat.zip"));
}

#[test]
fn any_other_file_is_a_template_on_its_own() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("template.yaml");
    fs::write(&path, "not looked at").unwrap();
    let templates = open(&path).unwrap();
    let want = TemplateFile { path, folder: folder.path().to_owned(), ..TemplateFile::default() };
    assert_eq!(templates, [want]);
}

#[test]
fn asset_metadata_of_a_lone_template_is_followed() {
    let folder = TempDir::new().unwrap();
    // A web application has a file of this name too.
    write(&folder, "manifest.json", &json!({ "name": "app" }));
    let function = json!({
        "Type": "AWS::Lambda::Function",
        "Properties": { "Code": { "S3Bucket": "b", "S3Key": "abc.zip" } },
        "Metadata": { "aws:asset:path": "code", "aws:asset:property": "Code" },
    });
    write(&folder, "template.json", &json!({ "Resources": { "F": function } }));
    let templates = open(&folder.path().join("template.json")).unwrap();
    assert_eq!(templates[0].assets["abc.zip"], folder.path().join("code"));
}

fn write(folder: &TempDir, name: &str, value: &Value) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, value.to_string()).unwrap();
}

#[track_caller]
fn check_refused(folder: &TempDir, want: &str) {
    let error = open(folder.path()).unwrap_err();
    assert!(error.contains(want), "{error}");
}

fn stack(file: &str, dependencies: &[&str]) -> Value {
    json!({
        "type": "aws:cloudformation:stack",
        "properties": { "templateFile": file },
        "dependencies": dependencies,
    })
}

#[test]
fn stacks_follow_what_they_depend_on_and_circles_are_refused() {
    let folder = TempDir::new().unwrap();
    write(&folder, "t.json", &json!({}));
    let artifacts = json!({ "A": stack("t.json", &["B", "C", "gone"]), "B": stack("t.json", &["C"]), "C": stack("t.json", &[]) });
    write(&folder, "manifest.json", &json!({ "version": "48.0.0", "artifacts": artifacts }));
    let names: Vec<_> =
        open(folder.path()).unwrap().into_iter().filter_map(|one| one.stack_name).collect();
    assert_eq!(names, ["C", "B", "A"]);
    let artifacts = json!({ "A": stack("t.json", &["B"]), "B": stack("t.json", &["A"]) });
    write(&folder, "manifest.json", &json!({ "version": "48.0.0", "artifacts": artifacts }));
    check_refused(&folder, "artifact `A` depends on itself");
}

#[test]
fn a_folder_without_the_output_of_a_tool_is_refused() {
    let folder = TempDir::new().unwrap();
    check_refused(&folder, "holds no manifest.json");
    assert!(open(&folder.path().join("gone.yaml")).unwrap_err().contains("gone.yaml: "));
}

#[test]
fn manifests_that_cannot_be_read_are_refused() {
    let folder = TempDir::new().unwrap();
    for (manifest, want) in [
        (json!({}), "it has no version"),
        (json!({ "version": 5 }), "it has no version"),
        (json!({ "version": "0.9.0" }), "version `0.9.0` is not known"),
        (json!({ "version": "tree-0.1" }), "version `tree-0.1` is not known"),
        (json!({ "version": "1.0" }), "version `1.0` is not known"),
        (json!({ "version": "1.0.0" }), "has no artifacts"),
        (json!({ "version": "1.0.0", "artifacts": {} }), "has no stacks"),
        (
            json!({ "version": "1.0.0", "artifacts": { "A": { "type": "aws:cloudformation:stack" } } }),
            "artifact `A` has no `templateFile`",
        ),
        (
            json!({ "version": "1.0.0", "artifacts": { "A": stack("gone.json", &[]) } }),
            "the template of stack `A` is missing; run `cdk synth` again",
        ),
        (
            json!({ "version": "1.0.0", "artifacts": { "A": stack("../t.json", &[]) } }),
            "path `../t.json` leaves the folder",
        ),
        (
            json!({ "version": "1.0.0", "artifacts": { "A": stack("/etc/hostname", &[]) } }),
            "path `/etc/hostname` leaves the folder",
        ),
        (
            json!({ "version": "1.0.0", "artifacts": { "A": { "type": "cdk:asset-manifest", "properties": { "file": "/etc/hostname" } } } }),
            "path `/etc/hostname` leaves the folder",
        ),
        (json!({ "version": "1.0.0", "artifacts": { "A": inner(".") } }), "`.` is named twice"),
    ] {
        write(&folder, "manifest.json", &manifest);
        check_refused(&folder, want);
    }
    fs::write(folder.path().join("manifest.json"), "{").unwrap();
    check_refused(&folder, "manifest.json: EOF");
}

fn inner(folder: &str) -> Value {
    json!({ "type": "cdk:cloud-assembly", "properties": { "directoryName": folder } })
}

#[test]
fn every_assembly_is_read_once_and_they_do_not_nest_without_end() {
    let folder = TempDir::new().unwrap();
    write(&folder, "t.json", &json!({}));
    // Each names the next one many times: read each time, these would never end.
    for level in 0..9 {
        let inside = if level == 0 { String::new() } else { format!("l{level}/") };
        let next = format!("{}l{}", if level == 0 { "" } else { "../" }, level + 1);
        let artifacts: Value = (0..20).map(|n| (format!("A{n}"), inner(&next))).collect();
        let manifest = json!({ "version": "1.0.0", "artifacts": artifacts });
        write(&folder, &format!("{inside}manifest.json"), &manifest);
    }
    write(&folder, "l9/manifest.json", &json!({ "version": "1.0.0", "artifacts": {} }));
    check_refused(&folder, "assembly `../l9` is named twice");

    let folder = TempDir::new().unwrap();
    let manifest = json!({ "version": "1.0.0", "artifacts": { "A": inner("a") } });
    for depth in 0..12 {
        write(&folder, &format!("{}manifest.json", "a/".repeat(depth)), &manifest);
    }
    check_refused(&folder, "assemblies nest too deep");
}

#[test]
fn a_missing_asset_is_told() {
    let folder = TempDir::new().unwrap();
    write(&folder, "t.json", &json!({}));
    let assets = json!({ "type": "cdk:asset-manifest", "properties": { "file": "A.assets.json" } });
    let artifacts = json!({ "A": stack("t.json", &[]), "A.assets": assets });
    write(&folder, "manifest.json", &json!({ "version": "1.0.0", "artifacts": artifacts }));
    let files = |path: &str| {
        let destinations = json!({ "here": { "bucketName": "b", "objectKey": "deep/x.zip" } });
        json!({ "files": { "x": { "source": { "path": path }, "destinations": destinations } } })
    };
    write(&folder, "A.assets.json", &files("asset.x"));
    check_refused(&folder, "asset `x` is missing; run `cdk synth` again");
    write(&folder, "A.assets.json", &files("a/../../etc"));
    check_refused(&folder, "path `a/../../etc` leaves the folder");

    // Code that the CDK leaves in its place has an absolute path.
    let elsewhere = TempDir::new().unwrap();
    write(&folder, "A.assets.json", &files(elsewhere.path().to_str().unwrap()));
    let templates = open(folder.path()).unwrap();
    assert_eq!(templates[0].assets["x.zip"], elsewhere.path());
    assert_eq!(templates[0].assets["deep/x.zip"], elsewhere.path());
}

#[test]
fn archives_of_a_service_are_found_or_told() {
    let root = TempDir::new().unwrap();
    let function = |key: &str| {
        let bucket = json!({ "Ref": "ServerlessDeploymentBucket" });
        json!({ "Properties": { "Code": { "S3Bucket": bucket, "S3Key": key } } })
    };
    let template = json!({ "Resources": { "F": function("serverless/s/dev/1-now/f.zip") } });
    write(&root, ".serverless/cloudformation-template-update-stack.json", &template);
    let folder = root.path().join(".serverless");
    let error = open(&folder).unwrap_err();
    assert!(error.contains("f.zip: the archive is missing; run `serverless package` again"));

    let functions = json!({ "f": { "package": { "artifact": "build/f.zip" } } });
    let service = json!({
        "service": "s",
        "provider": { "stage": "dev", "stackName": "mine" },
        "functions": functions,
    });
    write(&root, ".serverless/serverless-state.json", &json!({ "service": service }));
    write(&root, "build/f.zip", &json!(0));
    let templates = open(&folder).unwrap();
    assert_eq!(templates[0].stack_name.as_deref(), Some("mine"));
    assert_eq!(fs::read(&templates[0].assets["f.zip"]).unwrap(), b"0");

    write(&root, ".serverless/f.zip", &json!(1));
    assert_eq!(open(&folder).unwrap()[0].assets["f.zip"], folder.join("f.zip"));
    let template = json!({ "Resources": { "F": function("a/..") } });
    write(&root, ".serverless/cloudformation-template-update-stack.json", &template);
    assert!(open(&folder).is_err());
}

#[test]
fn a_file_above_the_size_limit_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = File::create(folder.path().join("manifest.json")).unwrap();
    file.set_len(FILE_BYTES_MAX + 1).unwrap();
    check_refused(&folder, "the file has more than 64 MiB");
}
