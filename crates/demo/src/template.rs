//! The two stacks of the demo, embedded, and what a gateway needs to serve them.

use authorizer::Secret;

use crate::settings::Secrets;

/// File name and text of the stacks, in the order in which they must be loaded: the second imports
/// what the first exports.
pub const TEMPLATES: [(&str, &str); 2] = [
    ("authorizer.yaml", include_str!("../../../demo/aws/authorizer.yaml")),
    ("api.yaml", include_str!("../../../demo/aws/api.yaml")),
];

/// Logical id of the authorizer function.
pub const AUTHORIZER_FUNCTION: &str = "AuthorizerFunction";

/// What the back end's key may do, as a policy document: push to connections, close them, and
/// close all of one principal.
pub const MANAGEMENT_POLICY: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [{
    "Effect": "Allow",
    "Action": ["execute-api:ManageConnections", "wsgate:ClosePrincipal"],
    "Resource": "arn:aws:execute-api:us-east-1:000000000000:*"
  }]
}"#;

impl Secrets {
    /// The SSM parameters that the authorizer's stack names, with their values.
    pub fn ssm_parameters(&self) -> [(&'static str, &Secret); 2] {
        [("/wsgate-demo/jwt", &self.jwt), ("/wsgate-demo/csrf", &self.csrf)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_stacks() {
        let [(_, authorizer), _] = TEMPLATES;
        assert!(authorizer.contains(&format!("\n  {AUTHORIZER_FUNCTION}:\n")));
        for (name, _) in Secrets::development().ssm_parameters() {
            assert!(authorizer.contains(&format!("Default: {name}\n")), "{name}");
        }
        let policy: serde_json::Value = serde_json::from_str(MANAGEMENT_POLICY).unwrap();
        assert_eq!(policy["Version"], "2012-10-17");
    }
}
