//! `${Identifier}` and `&{Identifier}` in the texts of a loop.

use api_model::{Node, Span, Value};

use super::Expander;

/// A loop's identifier in one turn.
#[derive(Debug)]
pub(super) struct Variable {
    /// The identifier.
    pub(super) name: String,
    /// The item of the collection.
    pub(super) value: String,
}

impl Expander<'_, '_> {
    /// Inserts the variables into a text; those that `own`, the mapping of an
    /// `Fn::Sub`, defines itself stay.
    pub(super) fn substitute(
        &mut self,
        text: &mut String,
        span: Span,
        variables: &[Variable],
        own: Option<&Node>,
    ) {
        let is_own = |name: &str| own.is_some_and(|own| own.find(name).is_some());
        let Some(made) = inserted(text, variables, is_own) else {
            return;
        };
        let made = Node::new(Value::String(made), span);
        if self.take_copy(&made)
            && let Value::String(made) = made.value
        {
            *text = made;
        }
    }
}

/// The text with its placeholders replaced; `None` if it has none.
/// `&{Identifier}` inserts letters and digits only.
fn inserted(text: &str, variables: &[Variable], is_own: impl Fn(&str) -> bool) -> Option<String> {
    let mut made = String::new();
    let mut rest = text;
    let mut done = 0;
    while let Some(at) = rest[done..].find(['$', '&']).map(|at| done + at) {
        done = at + 1;
        let Some(inside) = rest[done..].strip_prefix('{') else {
            continue;
        };
        let closed = |variable: &&Variable| {
            inside.strip_prefix(&*variable.name).is_some_and(|rest| rest.starts_with('}'))
        };
        let Some(variable) = variables.iter().find(closed) else {
            continue;
        };
        if is_own(&variable.name) {
            continue;
        }
        made.push_str(&rest[..at]);
        if rest[at..].starts_with('$') {
            made.push_str(&variable.value);
        } else {
            made.extend(variable.value.chars().filter(char::is_ascii_alphanumeric));
        }
        rest = &inside[variable.name.len() + 1..];
        done = 0;
    }
    if rest.len() == text.len() {
        return None;
    }
    made.push_str(rest);
    Some(made)
}

/// Whether a text holds a placeholder of the identifier `name`.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    let variable = Variable { name: name.to_owned(), value: String::new() };
    inserted(text, &[variable], |_| false).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<&str>) {
        let variable =
            |name: &str, value: &str| Variable { name: name.into(), value: value.into() };
        let variables = [variable("Ip", "10.0.0.1"), variable("Name", "${Ip}")];
        let made = inserted(text, &variables, |name| name == "Own");
        assert_eq!(made.as_deref(), want, "text: {text}");
    }

    #[test]
    fn placeholders_take_the_item_or_its_letters_and_digits() {
        check("a${Ip}b&{Ip}c", Some("a10.0.0.1b10001c"));
        check("${Ip}${Ip}", Some("10.0.0.110.0.0.1"));
        check("$${Ip}&$&{Ip}", Some("$10.0.0.1&$10001"));
        check("é${Ip}é", Some("é10.0.0.1é"));
    }

    #[test]
    fn what_is_inserted_is_not_looked_at_again() {
        check("${Name}", Some("${Ip}"));
    }

    #[test]
    fn everything_else_stays() {
        for text in ["", "$", "${", "${Ip", "${ip}", "${Ip.Arn}", "${!Ip}", "Ip}", "{Ip}", "&&{"] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn it_is_what_replacing_text_gives(text in "[$&{}Xé!a]{0,30}", value in "[$&{}X.1é]{0,5}") {
            let variables = [Variable { name: "X".to_owned(), value: value.clone() }];
            let made = inserted(&text, &variables, |_| false);
            let mut want = String::new();
            let mut rest = text.as_str();
            while !rest.is_empty() {
                if let Some(after) = rest.strip_prefix("${X}") {
                    want += &value;
                    rest = after;
                } else if let Some(after) = rest.strip_prefix("&{X}") {
                    want.extend(value.chars().filter(char::is_ascii_alphanumeric));
                    rest = after;
                } else {
                    let next = rest.chars().next().unwrap();
                    want.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
            prop_assert_eq!(made.is_some(), text.contains("${X}") || text.contains("&{X}"));
            prop_assert_eq!(made.unwrap_or(text), want);
        }
    }
}
