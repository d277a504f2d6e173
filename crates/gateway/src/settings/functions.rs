//! `[functions.NAME]`: who runs a function of the templates.

use api_model::{Diagnostics, Span};

use super::section::{Section, wrong};
use super::{codes, table_of};

/// `[functions.NAME]`: NAME is a logical id, function name or ARN.
#[derive(Clone, Debug)]
pub struct FunctionSettings {
    /// `authorizer` or `echo`.
    pub builtin: Option<Builtin>,
    /// Address of an Invoke API.
    pub url: Option<String>,
    /// Program and arguments that speak the Runtime API, in place of the runtime's own start.
    pub command: Option<Vec<String>>,
    /// `remote = "aws"`: the deployed function, with the credentials of `[integrations]`.
    pub is_remote: bool,
    /// `credentials = "inherit"`: those of this process instead of a key pair of its own.
    pub inherits_credentials: bool,
    /// Instances at once; 64, or `ReservedConcurrentExecutions` where that is lower.
    pub instances_max: Option<u32>,
    /// Invocations at once in one instance, for runtimes that take several; 1.
    pub invocations_per_instance: u32,
    /// `[functions.NAME.authorizer]`: overrides of `[authorizer]`.
    pub authorizer: toml::Table,
    /// Where it stands.
    pub span: Span,
}

/// Functions that are part of the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Builtin {
    /// The JWT authorizer.
    Authorizer,
    /// Answers each event's body.
    Echo,
}

/// Most instances of one function: each is a process.
const INSTANCES_MAX: u64 = 1000;
/// Most invocations at once in one instance.
const INVOCATIONS_PER_INSTANCE_MAX: u64 = 1000;

/// Reads the section.
pub(super) fn read(
    root: &mut Section<'_>,
    out: &mut Diagnostics,
) -> Vec<(String, FunctionSettings)> {
    let section = root.table("functions", out);
    let mut list = Vec::new();
    for entry in section.entries() {
        let path = format!("functions.{}", entry.key);
        let mut one = Section::at(Some(&entry.value), path.clone(), out);
        let settings = read_one(&mut one, entry.key_span, out);
        one.finish(out);
        let ways = [
            ("builtin", settings.builtin.is_some()),
            ("url", settings.url.is_some()),
            ("command", settings.command.is_some()),
            ("remote", settings.is_remote),
        ];
        let ways: Vec<&str> =
            ways.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
        if 1 < ways.len() {
            let told = format!("has {}; keep one of them", ways.join(", "));
            wrong(out, entry.key_span, &path, &told);
        }
        list.push((entry.key.clone(), settings));
    }
    list
}

fn read_one(one: &mut Section<'_>, span: Span, out: &mut Diagnostics) -> FunctionSettings {
    let words = [("authorizer", Builtin::Authorizer), ("echo", Builtin::Echo)];
    let has_command = one.find("command").is_some();
    let command: Vec<String> =
        one.texts("command", out).into_iter().map(|(text, _)| text.to_owned()).collect();
    if has_command && command.first().is_none_or(String::is_empty) {
        wrong(
            out,
            span,
            &one.path_of("command"),
            "must name a program: [\"PROGRAM\", \"ARGUMENT\"]",
        );
    }
    let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let settings = FunctionSettings {
        builtin: one.word("builtin", &words, out),
        url: one.text("url", out).map(str::to_owned),
        command: has_command.then_some(command),
        is_remote: one.word("remote", &[("aws", true)], out).unwrap_or(false),
        inherits_credentials: one
            .word("credentials", &[("own", false), ("inherit", true)], out)
            .unwrap_or(false),
        instances_max: one.count("instances_max", 1..=INSTANCES_MAX, out).map(count),
        invocations_per_instance: one
            .count("invocations_per_instance", 1..=INVOCATIONS_PER_INSTANCE_MAX, out)
            .map_or(1, count),
        authorizer: table_of(one.find("authorizer")),
        span,
    };
    if settings.inherits_credentials {
        let message = "gives the function the credentials of this process, and with them all that they may do on AWS";
        out.warning(codes::VALUE, span, format!("`{}` {message}", one.path_of("credentials")));
    }
    settings
}
