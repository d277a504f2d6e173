//! The codes of the findings made while a template is read: `WSG-001` to `WSG-049`.
//!
//! A published code never changes its meaning.

/// Every code of this crate with its meaning in one line, ascending.
pub const CODES: &[(&str, &str)] = &[
    (SYNTAX, "the text is neither YAML nor JSON"),
    (TOO_LARGE, "the template exceeds a bound on size, depth or expansion"),
    (DUPLICATE_KEY, "a key stands twice in one mapping"),
    (YAML_FEATURE, "a tag or YAML feature that CloudFormation does not have"),
    (NULL_VALUE, "an empty value, which CloudFormation refuses"),
    (WRONG_SHAPE, "a value of another kind was expected"),
    (UNKNOWN_SECTION, "a section that templates do not have"),
    (MISSING_SECTION, "a section or member is missing"),
    (
        TRANSFORM,
        "the template needs a macro that is not supported, or a transform that it does not name",
    ),
    (SECTION_IGNORED, "a section is read by AWS and ignored here"),
    (PARAMETER_DECLARATION, "a parameter is declared wrongly"),
    (PARAMETER_MISSING, "a parameter without default got no value"),
    (PARAMETER_VALUE, "a parameter value breaks a constraint"),
    (PARAMETER_UNKNOWN, "a value was given for a parameter that no template declares"),
    (RESOURCE_ATTRIBUTE, "an attribute that resources do not have"),
    (RESOURCE_TYPE, "a resource type is missing or malformed"),
    (RESOURCE_TYPE_UNKNOWN, "a resource type that the service does not have"),
    (DEPENDS_ON, "DependsOn names no other resource"),
    (CIRCULAR, "resources depend on each other in a circle"),
    (CIRCULAR_CONDITION, "conditions depend on each other in a circle"),
    (UNKNOWN_CONDITION, "a condition that the template does not define"),
    (UNKNOWN_NAME, "a reference to a name that the template does not define"),
    (UNKNOWN_ATTRIBUTE, "Fn::GetAtt of an attribute that the resource type does not have"),
    (NOT_CREATED, "a reference to a resource whose condition is false"),
    (ARGUMENTS, "an intrinsic function has wrong arguments"),
    (UNKNOWN_FUNCTION, "an intrinsic function that does not exist, or not at this place"),
    (MAPPING_KEY, "Fn::FindInMap finds nothing"),
    (UNKNOWN_EXPORT, "Fn::ImportValue of a name that no earlier template exports"),
    (DUPLICATE_EXPORT, "two outputs export the same name"),
    (SELECT_INDEX, "Fn::Select takes an item that the list does not have"),
    (DYNAMIC_REFERENCE, "a dynamic reference whose value is not known here"),
    (UNKNOWN_VALUE, "something served depends on a value that is not known here"),
    (CUSTOM_RESOURCE, "an attribute of a custom resource, which only AWS could tell"),
    (API_ID, "the tag wsgate:api-id is not an API id, or is used twice"),
    (STACK_NAME, "two templates have the same stack name"),
    (LOGICAL_ID, "a logical id is not alphanumeric, or is used twice"),
    (SSM_PARAMETER, "an SSM parameter whose value is not configured"),
    (SAM_REFUSED, "a SAM resource that AWS would refuse"),
    (SAM_PROPERTY, "a property that a SAM resource, or `Globals`, does not have"),
    (SAM_IGNORED, "a part of a SAM template is not served here"),
];

pub(crate) const SYNTAX: &str = "WSG-001";
pub(crate) const TOO_LARGE: &str = "WSG-002";
pub(crate) const DUPLICATE_KEY: &str = "WSG-003";
pub(crate) const YAML_FEATURE: &str = "WSG-004";
pub(crate) const NULL_VALUE: &str = "WSG-005";
pub(crate) const WRONG_SHAPE: &str = "WSG-006";
pub(crate) const UNKNOWN_SECTION: &str = "WSG-007";
pub(crate) const MISSING_SECTION: &str = "WSG-008";
pub(crate) const TRANSFORM: &str = "WSG-009";
pub(crate) const SECTION_IGNORED: &str = "WSG-010";
pub(crate) const PARAMETER_DECLARATION: &str = "WSG-011";
pub(crate) const PARAMETER_MISSING: &str = "WSG-012";
pub(crate) const PARAMETER_VALUE: &str = "WSG-013";
pub(crate) const PARAMETER_UNKNOWN: &str = "WSG-014";
pub(crate) const RESOURCE_ATTRIBUTE: &str = "WSG-015";
pub(crate) const RESOURCE_TYPE: &str = "WSG-016";
pub(crate) const RESOURCE_TYPE_UNKNOWN: &str = "WSG-017";
pub(crate) const DEPENDS_ON: &str = "WSG-018";
pub(crate) const CIRCULAR: &str = "WSG-019";
pub(crate) const CIRCULAR_CONDITION: &str = "WSG-020";
pub(crate) const UNKNOWN_CONDITION: &str = "WSG-021";
pub(crate) const UNKNOWN_NAME: &str = "WSG-022";
pub(crate) const UNKNOWN_ATTRIBUTE: &str = "WSG-023";
pub(crate) const NOT_CREATED: &str = "WSG-024";
pub(crate) const ARGUMENTS: &str = "WSG-025";
pub(crate) const UNKNOWN_FUNCTION: &str = "WSG-026";
pub(crate) const MAPPING_KEY: &str = "WSG-027";
pub(crate) const UNKNOWN_EXPORT: &str = "WSG-028";
pub(crate) const DUPLICATE_EXPORT: &str = "WSG-029";
pub(crate) const SELECT_INDEX: &str = "WSG-030";
pub(crate) const DYNAMIC_REFERENCE: &str = "WSG-031";
pub(crate) const UNKNOWN_VALUE: &str = "WSG-032";
pub(crate) const CUSTOM_RESOURCE: &str = "WSG-033";
pub(crate) const API_ID: &str = "WSG-034";
pub(crate) const STACK_NAME: &str = "WSG-035";
pub(crate) const LOGICAL_ID: &str = "WSG-036";
pub(crate) const SSM_PARAMETER: &str = "WSG-037";
pub(crate) const SAM_REFUSED: &str = "WSG-038";
pub(crate) const SAM_PROPERTY: &str = "WSG-039";
pub(crate) const SAM_IGNORED: &str = "WSG-040";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_without_gap_and_stay_in_their_range() {
        for (index, (code, meaning)) in CODES.iter().enumerate() {
            assert_eq!(*code, format!("WSG-{:03}", index + 1));
            assert!(index + 1 < 50 && !meaning.is_empty());
        }
    }
}
