//! State machines of Step Functions.

use serde_json::{Map, Value, json};

use super::{Site, text};

/// Longest name of a substitution with its braces: without a bound, many openings would each look
/// for an end.
const NAME_BYTES_MAX: usize = 512;

/// [CreateStateMachine].
///
/// [CreateStateMachine]: https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
pub(super) async fn make(site: &Site<'_>) -> Result<bool, String> {
    let arn = json!({ "stateMachineArn": site.provision.physical_id });
    match site.ask("AWSStepFunctions.DescribeStateMachine", &arn).await {
        Ok(_) => return Ok(false),
        Err(refused) if refused.is(&["StateMachineDoesNotExist"]) => {}
        Err(refused) => return Err(refused.to_string()),
    }
    let mut question = Map::new();
    question.insert("name".to_owned(), site.name().into());
    question.insert("definition".to_owned(), definition(site)?.into());
    question.insert("roleArn".to_owned(), site.text("RoleArn").unwrap_or_default().into());
    if let Some(kind) = site.text("StateMachineType") {
        question.insert("type".to_owned(), kind.into());
    }
    let answer = site.ask("AWSStepFunctions.CreateStateMachine", &question.into()).await;
    let answer = answer.map_err(|refused| refused.to_string())?;
    let there = answer["stateMachineArn"].as_str();
    site.check_arn(there.ok_or("the answer has no `stateMachineArn`")?)?;
    Ok(true)
}

/// The definition with its [substitutions].
///
/// [substitutions]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html
pub(super) fn definition(site: &Site<'_>) -> Result<String, String> {
    let written = match (site.property("DefinitionString"), site.property("Definition")) {
        (Value::String(text), _) => text.clone(),
        (object @ Value::Object(_), _) | (_, object @ Value::Object(_)) => object.to_string(),
        _ => {
            return Err(
                "its definition is not in the template: write it as `DefinitionString` or `Definition`"
                    .to_owned(),
            );
        }
    };
    let Some(values) = site.property("DefinitionSubstitutions").as_object() else {
        return Ok(written);
    };
    // One pass, so that no value is taken for a name.
    let mut out = String::with_capacity(written.len());
    let mut rest = written.as_str();
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let end = from.bytes().take(NAME_BYTES_MAX).position(|byte| byte == b'}');
        let value = end.and_then(|end| text(values.get(&from[2..end])?));
        match (value, end) {
            (Some(value), Some(end)) => {
                out.push_str(&value);
                rest = &from[end + 1..];
            }
            (None, _) | (_, None) => {
                out.push_str("${");
                rest = &from[2..];
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}
