//! CloudFormation templates: text and parameters in, resolved resources out.
//!
//! [`load`] reads YAML or JSON, checks sections and parameters, decides
//! conditions, resolves intrinsic functions in dependency order and gives each
//! resource the physical id that `Ref` yields. It reports everything it finds,
//! each finding with its place; what could not be resolved becomes
//! [`Value::Unresolved`](api_model::Value::Unresolved) and causes no further
//! findings.
//!
//! Scalars are read as CloudFormation users expect, not as YAML 1.1 would:
//! unquoted `true`, `True`, `TRUE` and their opposites are booleans, while
//! `yes`, `no`, `on` and `off` stay strings; an unquoted number is a number
//! only if JSON would spell it the same way, so `012345678901`, `1.10` and
//! `2012-10-17` stay strings.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use api_model::{Diagnostics, Node, Position, Sources, Span, Stack};

mod attribute;
pub mod codes;
mod condition;
mod document;
mod dynamic;
mod function;
mod intrinsic;
mod json;
mod lines;
mod nearest;
mod order;
mod parameter;
mod physical;
mod reference;
mod resolve;
mod resource_type;
mod scalar;
mod stack;
mod template;
mod transform;
mod yaml;

/// What the caller decides about the stacks.
#[derive(Clone)]
pub struct Options {
    /// Names of the stacks, in the order of the templates; a template without
    /// one is named after its file by [`stack_name`].
    pub stack_names: Vec<String>,
    /// `AWS::Region`; `us-east-1` by default.
    pub region: String,
    /// `AWS::AccountId`, twelve digits; `000000000000` by default.
    pub account_id: String,
    /// `AWS::Partition`; `aws` by default.
    pub partition: String,
    /// Where single templates are deployed, in their order; what is not given
    /// there is as above.
    pub destinations: Vec<Destination>,
    /// Parameter values; each goes to every template that declares the name,
    /// and the last value of a name wins.
    pub parameters: Vec<(String, String)>,
    /// Values of SSM parameters by name, for `AWS::SSM::Parameter::Value<…>`
    /// and `{{resolve:ssm:…}}`. `AWS::SSM::Parameter` resources of earlier
    /// templates count too, but these go first.
    pub ssm_parameters: BTreeMap<String, String>,
}

/// Where one template is deployed, as far as it is fixed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Destination {
    /// `AWS::Region`.
    pub region: Option<String>,
    /// `AWS::AccountId`, twelve digits.
    pub account_id: Option<String>,
}

impl Options {
    /// What holds for the template `file`.
    fn of_template(&self, file: u32) -> Self {
        let mut own = self.clone();
        if let Some(destination) = self.destinations.get(file as usize).cloned() {
            own.region = destination.region.unwrap_or(own.region);
            own.account_id = destination.account_id.unwrap_or(own.account_id);
        }
        own
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stack_names: Vec::new(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            partition: "aws".to_owned(),
            destinations: Vec::new(),
            parameters: Vec::new(),
            ssm_parameters: BTreeMap::new(),
        }
    }
}

/// Names only: parameter values may be secret.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters: Vec<_> = self.parameters.iter().map(|(name, _)| name).collect();
        let ssm_parameters: Vec<_> = self.ssm_parameters.keys().collect();
        f.debug_struct("Options")
            .field("stack_names", &self.stack_names)
            .field("region", &self.region)
            .field("account_id", &self.account_id)
            .field("partition", &self.partition)
            .field("destinations", &self.destinations)
            .field("parameters", &parameters)
            .field("ssm_parameters", &ssm_parameters)
            .finish()
    }
}

/// Loads templates as stacks, in the order given: what one exports, the next
/// ones can import.
///
/// Every file of `sources` is a template. Findings are in the order of their
/// places. When the findings hold an error, the
/// stacks are what could be read and must not be served.
pub fn load(sources: &Sources, options: &Options) -> (Vec<Stack>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let mut earlier = Earlier::default();
    let mut declared: Vec<String> = Vec::new();
    let mut stacks = Vec::new();
    for (file, source) in (0u32..).zip(&sources.files) {
        let options = &options.of_template(file);
        let name = (options.stack_names.get(file as usize).cloned())
            .unwrap_or_else(|| stack_name(&source.name));
        check_stack_name(&name, file, &stacks, &mut diagnostics);
        let Some(mut root) = document::parse(&source.text, file, &mut diagnostics) else {
            continue;
        };
        let context = transform::Context::new(&root, &name, options);
        transform::apply(&mut root, &context, &mut diagnostics);
        let Some(template) = template::read(&root, &mut diagnostics) else {
            continue;
        };
        declared.extend(template.parameters.iter().map(|entry| entry.key.clone()));
        let place = stack::Place { name, file, text: &source.text };
        stacks.push(stack::build(&template, place, options, &mut earlier, &mut diagnostics));
    }
    // A template that could not be read might have declared the name.
    if stacks.len() == sources.files.len() {
        parameter::check_names(&options.parameters, &declared, &mut diagnostics);
    }
    diagnostics.list.sort_by_key(|one| (one.span.file, one.span.start));
    (stacks, diagnostics)
}

/// The stack name for a template file: its stem, with `-` for every character
/// outside `[A-Za-z0-9-]`, and an `s` in front if it starts with no letter.
///
/// ```
/// assert_eq!(cloudformation::stack_name("demo/aws/chat api.v2.yaml"), "chat-api-v2");
/// assert_eq!(cloudformation::stack_name("2.json"), "s2");
/// ```
pub fn stack_name(file: &str) -> String {
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = match base.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => base,
    };
    let mut name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert(0, 's');
    }
    name.truncate(STACK_NAME_CHARS_MAX);
    name
}

/// CloudFormation's own limit on stack names.
const STACK_NAME_CHARS_MAX: usize = 128;

/// What earlier templates of the same load offer to later ones.
#[derive(Default)]
struct Earlier {
    exports: BTreeMap<String, Node>,
    ssm_parameters: BTreeMap<String, String>,
    /// Where each API id was first given.
    api_ids: HashMap<String, String>,
}

fn check_stack_name(name: &str, file: u32, stacks: &[Stack], diagnostics: &mut Diagnostics) {
    if stacks.iter().any(|stack| stack.name == name) {
        diagnostics
            .error(
                codes::STACK_NAME,
                file_start(file),
                format!("stack name `{name}` is already taken by another template, so ids of the two would collide"),
            )
            .hint("rename the file or give each template its own --stack-name");
    }
}

/// The place of findings about a template as a whole.
fn file_start(file: u32) -> Span {
    let start = Position { line: 1, column: 1 };
    Span { file, start, end: start }
}
