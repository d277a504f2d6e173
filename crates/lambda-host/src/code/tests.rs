use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// A function of this runtime, handler and code; all else as Lambda has it by default.
pub(crate) fn spec(runtime: &str, handler: &str, code: Code) -> Spec {
    Spec {
        name: "chat".to_owned(),
        arn: "arn:aws:lambda:eu-west-1:000000000000:function:chat".to_owned(),
        region: "eu-west-1".to_owned(),
        runtime: runtime.to_owned(),
        handler: handler.to_owned(),
        code,
        layers: Vec::new(),
        environment: Vec::new(),
        timeout: Duration::from_secs(3),
        memory_mb: 128,
        instances_max: 1,
        invocations_per_instance: 1,
        command: None,
    }
}

fn write_zip(folder: &TempDir, name: &str, files: &[(&str, u32, &str)]) -> PathBuf {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, text) in files {
        zip.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    let path = folder.path().join(name);
    fs::write(&path, zip.finish().unwrap().into_inner()).unwrap();
    path
}

fn prepare_code(code: Code) -> Result<Prepared, CodeError> {
    let workspace = tempfile::tempdir().unwrap();
    prepare(&spec("nodejs22.x", "index.handler", code), workspace.path())
}

/// Opening a pipe waits for a writer.
#[test]
fn a_pipe_or_device_is_no_code() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe, "/dev/null".into()] {
        for code in [Code::Folder(path.clone()), Code::Zip(path.clone())] {
            let error = prepare_code(code).unwrap_err();
            assert!(matches!(error, CodeError::Format { .. }), "{error:?}");
        }
    }
}

#[test]
fn inline_code_is_the_file_index() {
    let workspace = tempfile::tempdir().unwrap();
    for (runtime, file) in
        [("nodejs18.x", "index.js"), ("nodejs24.x", "index.js"), ("python3.12", "index.py")]
    {
        let spec = spec(runtime, "index.handler", Code::Inline("text".to_owned()));
        let prepared = prepare(&spec, workspace.path()).unwrap();
        assert_eq!(fs::read_to_string(prepared.task_root.join(file)).unwrap(), "text");
        assert_eq!(fs::read_dir(&prepared.task_root).unwrap().count(), 1);
    }
}

#[test]
fn inline_code_has_one_file_and_two_languages() {
    let workspace = tempfile::tempdir().unwrap();
    let prepare = |runtime: &str, handler: &str| {
        prepare(&spec(runtime, handler, Code::Inline(String::new())), workspace.path())
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        prepare("python3.12", "app.handler"),
        "the handler `app.handler` names another file than `index`, but inline code is the file \
         `index`; write `index.NAME`"
    );
    assert_eq!(
        prepare("provided.al2023", "bootstrap"),
        "inline code needs a `nodejs` or `python` runtime, not `provided.al2023`; put the code \
         into a folder"
    );
}

#[test]
fn a_folder_is_used_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = prepare_code(Code::Folder(folder.path().join("."))).unwrap();
    assert_eq!(prepared.task_root, folder.path().canonicalize().unwrap());
    drop(prepared);
    assert!(folder.path().is_dir());
}

#[test]
fn an_archive_is_unpacked_and_goes_with_the_function() {
    let folder = tempfile::tempdir().unwrap();
    let zip =
        write_zip(&folder, "code.zip", &[("bootstrap", 0o755, "#!/bin/sh"), ("a/b", 0o644, "")]);
    let workspace = tempfile::tempdir().unwrap();
    let spec = spec("provided.al2023", "x", Code::Zip(zip));
    let one = prepare(&spec, workspace.path()).unwrap();
    let other = prepare(&spec, workspace.path()).unwrap();
    assert_ne!(one.task_root, other.task_root);
    let mode = one.task_root.join("bootstrap").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    let places = [one.task_root.clone(), one.scratch.path().to_owned()];
    drop(one);
    assert!(places.iter().all(|place| !place.exists()));
    assert!(other.task_root.join("a/b").exists());
}

#[test]
fn layers_are_folders_or_archives_and_count_with_the_code() {
    let folder = tempfile::tempdir().unwrap();
    let text = "x".repeat(1000);
    let code = write_zip(&folder, "code.zip", &[("a", 0o644, &text)]);
    let layer = write_zip(&folder, "layer.zip", &[("b", 0o644, &text)]);
    fs::create_dir(folder.path().join("layer")).unwrap();
    fs::write(folder.path().join("layer/c"), &text).unwrap();
    let mut spec = spec("nodejs22.x", "index.handler", Code::Zip(code));
    spec.layers = vec![layer.clone(), folder.path().join("layer")];
    let workspace = tempfile::tempdir().unwrap();
    let within = |bytes| prepare_within(&spec, workspace.path(), Budget { bytes, entries: 2 });
    let prepared = within(2000).unwrap();
    assert!(prepared.layers[0].join("b").exists());
    assert!(prepared.layers[1].join("c").exists());
    match within(1999) {
        Err(CodeError::TooLarge { path, .. }) => assert_eq!(path, layer.canonicalize().unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_there_or_no_code_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("dist");
    assert_eq!(
        prepare_code(Code::Folder(missing.clone())).unwrap_err().to_string(),
        format!(
            "there is nothing at `{}`; build the code first, and mind that paths are relative to \
             the template's folder",
            missing.display()
        )
    );
    let jar = write_zip(&folder, "code.jar", &[("a", 0o644, "")]);
    assert_eq!(prepare_code(Code::Zip(jar.clone())).unwrap_err(), CodeError::Format { path: jar });
    let text = folder.path().join("index.js");
    fs::write(&text, "exports.handler = 1").unwrap();
    assert_eq!(
        prepare_code(Code::Folder(text.clone())).unwrap_err(),
        CodeError::Format { path: text }
    );
}

#[test]
fn the_shims_are_written_once_for_all_functions() {
    let workspace = tempfile::tempdir().unwrap();
    let prepare = || {
        let spec = spec("nodejs22.x", "index.handler", Code::Inline(String::new()));
        prepare(&spec, workspace.path()).unwrap()
    };
    let time = |prepared: &Prepared| {
        prepared.runtime_dir.join(shim::NODE).metadata().unwrap().modified().unwrap()
    };
    let (one, other) = (prepare(), prepare());
    assert_eq!(one.runtime_dir, other.runtime_dir);
    assert_eq!(time(&one), time(&other));
}
