//! Names that AWS gives out once: with two owners nobody could say whose code
//! runs or whose policies count.

use std::collections::HashMap;

use super::each;
use crate::codes;
use crate::diagnostic::Diagnostics;
use crate::node::Stack;

/// Types, the property that names them, and whether other regions have other names.
const NAMED: [(&str, &str, bool); 4] = [
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName", false),
    ("AWS::IAM::Role", "RoleName", false),
    ("AWS::Lambda::Function", "FunctionName", true),
    ("AWS::SSM::Parameter", "Name", true),
];

/// Reports every resource whose name another has already.
pub(super) fn check(stacks: &[Stack], out: &mut Diagnostics) {
    for (kind, property, is_regional) in NAMED {
        let mut owners = HashMap::new();
        each(stacks, kind, |stack, resource| {
            let region = if is_regional { stack.region.as_str() } else { "" };
            let place = (&stack.partition, region, &stack.account_id, &resource.physical_id);
            let Some(owner) = owners.insert(place, &resource.logical_id) else { return };
            let name = &resource.physical_id;
            let message = format!("`{name}` is the name of `{owner}` already");
            out.error(codes::DUPLICATE, resource.span, message)
                .at(&resource.logical_id, format!("Properties.{property}"))
                .hint("rename one of the two, or leave the name out");
        });
    }
}
