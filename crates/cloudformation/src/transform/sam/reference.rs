//! References to what SAM generates: `!Ref Function.Alias`, and logical ids
//! that SAM changes.

use std::collections::HashMap;

use api_model::{Node, Value};

use crate::document::Budget;

/// What names mean after the transform.
#[derive(Default)]
pub(super) struct References {
    /// New logical ids by old.
    renamed: HashMap<String, String>,
    /// Generated logical ids by logical id and property.
    generated: HashMap<String, HashMap<String, String>>,
}

impl References {
    /// Lets `logical_id.property` mean the resource `target`.
    pub(super) fn add(&mut self, logical_id: &str, property: &str, target: &str) {
        let of_resource = self.generated.entry(logical_id.to_owned()).or_default();
        of_resource.insert(property.to_owned(), target.to_owned());
    }

    /// Lets `old` mean the resource `new`.
    pub(super) fn rename(&mut self, old: &str, new: &str) {
        self.renamed.insert(old.to_owned(), new.to_owned());
    }

    /// Whether [`Self::rename`] was called for `logical_id`.
    pub(super) fn is_renamed(&self, logical_id: &str) -> bool {
        self.renamed.contains_key(logical_id)
    }

    /// Rewrites the names in a template; false when there is no room left.
    pub(super) fn apply(&self, root: &mut Node, budget: &mut Budget) -> bool {
        if !self.renamed.is_empty() || !self.generated.is_empty() {
            self.rewrite(root, budget);
        }
        budget.take(0, 0)
    }

    fn rewrite(&self, node: &mut Node, budget: &mut Budget) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.rewrite(item, budget)),
            Value::Map(entries) => {
                let is_call = entries.len() == 1;
                for entry in entries {
                    match entry.key.as_str() {
                        "Ref" if is_call => self.rewrite_text(&mut entry.value),
                        "Fn::GetAtt" if is_call => self.rewrite_attribute(&mut entry.value),
                        "Fn::Sub" if is_call => self.rewrite_sub(&mut entry.value, budget),
                        "DependsOn" => self.rewrite_depends_on(&mut entry.value),
                        _ => {}
                    }
                    self.rewrite(&mut entry.value, budget);
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Unresolved => {}
        }
    }

    /// The new spelling of `Name`, `Name.Property` or `Name.Attribute`.
    fn spelling(&self, name: &str) -> Option<String> {
        let (owner, rest) = name.split_once('.').unwrap_or((name, ""));
        if let Some(new) = self.renamed.get(owner) {
            return Some(format!("{new}{}", &name[owner.len()..]));
        }
        let (property, attribute) = match rest.split_once('.') {
            Some((property, _)) => (property, &rest[property.len()..]),
            None => (rest, ""),
        };
        let target = self.generated.get(owner)?.get(property)?;
        Some(format!("{target}{attribute}"))
    }

    fn rewrite_text(&self, node: &mut Node) {
        if let Value::String(name) = &mut node.value
            && let Some(new) = self.spelling(name)
        {
            *name = new;
        }
    }

    /// `Name.Property.Attribute`, in one text or cut at its dots.
    fn rewrite_attribute(&self, node: &mut Node) {
        let (name, span) = match &node.value {
            Value::String(name) => (name.clone(), node.span),
            Value::List(items) => {
                let texts: Option<Vec<&str>> = (items.iter())
                    .map(|item| match &item.value {
                        Value::String(text) => Some(text.as_str()),
                        _ => None,
                    })
                    .collect();
                let Some(texts) = texts else {
                    if let Value::List(items) = &mut node.value
                        && let Some(first) = items.first_mut()
                    {
                        self.rewrite_text(first);
                    }
                    return;
                };
                (texts.join("."), node.span)
            }
            _ => return,
        };
        if let Some(new) = self.spelling(&name) {
            *node = Node::new(Value::String(new), span);
        }
    }

    /// One text may hold a name many times, and new names are longer.
    fn rewrite_sub(&self, node: &mut Node, budget: &mut Budget) {
        let text = match &mut node.value {
            Value::List(items) => items.first_mut().map(|item| &mut item.value),
            value => Some(value),
        };
        let Some(Value::String(text)) = text else {
            return;
        };
        let mut made = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else {
                break;
            };
            let name = &rest[start + 2..start + length];
            made.push_str(&rest[..start + 2]);
            let new = self.spelling(name);
            if new.as_ref().is_some_and(|new| !budget.take(0, new.len())) {
                node.value = Value::Unresolved;
                return;
            }
            made.push_str(new.as_deref().unwrap_or(name));
            rest = &rest[start + length..];
        }
        made.push_str(rest);
        *text = made;
    }

    fn rewrite_depends_on(&self, node: &mut Node) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.rewrite_depends_on(item)),
            Value::String(name) => {
                if let Some(new) = self.renamed.get(name) {
                    *name = new.clone();
                }
            }
            _ => {}
        }
    }
}
