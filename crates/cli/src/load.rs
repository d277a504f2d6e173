//! From files to a snapshot: templates, configuration, functions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api_model::{Diagnostics, Model, Sources};
use cloudformation::Destination;
use gateway::function::{CodeBase, Functions};
use gateway::settings::SecretSources;
use gateway::{Lenders, Settings, Snapshot};

/// What a load needs besides the files' texts.
pub(crate) struct Request<'a> {
    /// The templates, in the order of their stacks.
    pub(crate) templates: Vec<Template>,
    /// Name and text of the configuration.
    pub(crate) config: Option<(String, String)>,
    pub(crate) stack_names: Vec<String>,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) region: String,
    pub(crate) account_id: String,
    /// `WSGATE_…` variables.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) client: &'a gateway::client::Client,
    /// Runs functions on this machine; without it none runs here.
    pub(crate) functions: Option<&'a Arc<Functions>>,
}

/// One template and where its code is.
pub(crate) struct Template {
    /// Name, as findings show it.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) base: CodeBase,
    /// Where its stack is fixed to go.
    pub(crate) destination: Destination,
}

impl Template {
    /// A template on its own, with its name.
    pub(crate) fn new((name, text): (String, String)) -> Self {
        Self { name, text, base: CodeBase::default(), destination: Destination::default() }
    }
}

/// What a load brings: a snapshot only without errors.
pub(crate) struct Loaded {
    pub(crate) sources: Sources,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) model: Model,
    pub(crate) snapshot: Snapshot,
}

impl Loaded {
    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.has_errors()
    }
}

/// Loads everything and collects every finding. `adjust` lays flags over the
/// configuration.
pub(crate) async fn load(request: Request<'_>, adjust: impl FnOnce(&mut Settings)) -> Loaded {
    let mut sources = Sources::default();
    let (mut bases, mut destinations) = (Vec::new(), Vec::new());
    for template in request.templates {
        sources.add(template.name, template.text);
        bases.push(template.base);
        destinations.push(template.destination);
    }
    let config = request.config.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    let templates = sources.clone();
    let (mut settings, mut diagnostics) =
        Settings::parse(&mut sources, config, &request.environment, &Process);
    adjust(&mut settings);

    let options = cloudformation::Options {
        stack_names: request.stack_names,
        region: request.region,
        account_id: request.account_id,
        destinations,
        parameters: request.parameters,
        ssm_parameters: ssm_parameters(&settings),
        ..cloudformation::Options::default()
    };
    let (stacks, findings) = cloudformation::load(&templates, &options);
    diagnostics.list.extend(findings.list);
    let (model, findings) = api_model::resolve(&stacks, settings.compat);
    diagnostics.list.extend(findings.list);
    let lenders = Lenders {
        client: request.client,
        secrets: &Process,
        functions: request.functions,
        bases: &bases,
    };
    let (snapshot, findings) = Snapshot::build(&model, settings, lenders).await;
    diagnostics.list.extend(findings.list);
    diagnostics.list.sort_by_key(|diagnostic| (diagnostic.span, diagnostic.severity));
    Loaded { sources, diagnostics, model, snapshot }
}

fn ssm_parameters(settings: &Settings) -> BTreeMap<String, String> {
    let text =
        |secret: &gateway::sigv4::Secret| String::from_utf8_lossy(secret.expose()).into_owned();
    settings.parameters.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// The client for everything that leaves the process.
pub(crate) fn client() -> anyhow::Result<gateway::client::Client> {
    Ok(gateway::client::client(&|name| std::env::var_os(name))?)
}

/// The process environment and its files.
pub(crate) struct Process;

impl SecretSources for Process {
    fn environment(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// Variables that override the configuration. One that is not text reads as
/// empty, which no setting allows.
pub(crate) fn overrides() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("WSGATE_"))
        .map(|(name, value)| (name, value.into_string().unwrap_or_default()))
        .collect()
}

/// Reads text files; every one that cannot be read is named.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<(String, String)>, Vec<String>> {
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    for path in paths {
        match read_text(path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(texts) } else { Err(errors) }
}

fn read_text(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + good.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!("{}:{line}:{column}: the file is not UTF-8 text; save it as UTF-8", path.display())
    })
}
