//! Java's methods on lists, maps and numbers.

use std::sync::Arc;

use super::{Render, argument, place};
use crate::ast::Reference;
use crate::error::RenderError;
use crate::pattern::Pattern;
use crate::value::{List, Map, Value};

impl Render<'_> {
    /// `value.name(args)`; null for a method that does not exist.
    pub(super) fn call(
        &mut self,
        value: &Value,
        name: &str,
        args: &[Value],
        pattern: Option<&Pattern>,
        reference: &Reference,
    ) -> Result<Value, RenderError> {
        match (value, name, args) {
            (Value::Host(host), ..) => {
                // The host's work is taken to be linear in what goes in and comes out.
                for text in args.iter().filter_map(Value::as_str) {
                    self.work_on_text(text.len())?;
                }
                match self.scope.call(*host, name, args) {
                    Ok(result) => {
                        let result = result.unwrap_or_default();
                        self.work_on_text(result.as_str().map_or(0, str::len))?;
                        Ok(result)
                    }
                    Err(error) => Err(RenderError::Call { error, line: reference.place.line }),
                }
            }
            (Value::Null, ..) => Ok(Value::Null),
            (_, "equals", [other]) => Ok(Value::Bool(self.equals(value, other)?)),
            (_, "toString", []) => {
                let text = self.text(value)?.into_owned();
                self.string(text)
            }
            (Value::String(text), ..) => self.call_string(text, name, args, pattern, reference),
            (Value::List(list), ..) => self.call_list(list, name, args, reference),
            (Value::Map(map), ..) => self.call_map(map, name, args),
            (Value::Entry(entry), "getKey", []) => Ok(entry.find("key").unwrap_or_default()),
            (Value::Entry(entry), "getValue", []) => Ok(entry.find("value").unwrap_or_default()),
            (Value::Int(_) | Value::Float(_), ..) => Ok(number(value, name, args)),
            (Value::Bool(bool), "booleanValue", []) => Ok(Value::Bool(*bool)),
            (Value::Bool(_) | Value::Entry(_), ..) => Ok(Value::Null),
        }
    }

    fn call_list(
        &mut self,
        list: &List,
        name: &str,
        args: &[Value],
        reference: &Reference,
    ) -> Result<Value, RenderError> {
        let fail = || argument(name, reference);
        Ok(match (name, args) {
            // `count()` is what API Gateway calls it.
            ("size" | "count", []) => int(list.items().len()),
            ("isEmpty", []) => Value::Bool(list.items().is_empty()),
            ("get", [index @ Value::Int(0..)]) => {
                let items = list.items();
                items[place(index, items.len()).ok_or_else(fail)?].clone()
            }
            ("get", [_]) => return Err(fail()),
            ("add", [item]) => {
                self.keep(&Value::List(list.clone()), item);
                list.items_mut().push(item.clone());
                Value::Bool(true)
            }
            ("add", [Value::Int(index), item]) => {
                let length = list.items().len();
                let at = usize::try_from(*index).ok().filter(|at| *at <= length);
                let at = at.ok_or_else(fail)?;
                self.work(length - at)?;
                self.keep(&Value::List(list.clone()), item);
                list.items_mut().insert(at, item.clone());
                void()
            }
            ("addAll", [Value::List(other)]) => {
                let items = other.items().clone();
                self.work(items.len())?;
                self.changed.push(Value::List(list.clone()));
                let grows = !items.is_empty();
                list.items_mut().extend(items);
                Value::Bool(grows)
            }
            ("set", [index @ Value::Int(0..), item]) => {
                let at = place(index, list.items().len()).ok_or_else(fail)?;
                self.keep(&Value::List(list.clone()), item);
                std::mem::replace(&mut list.items_mut()[at], item.clone())
            }
            ("remove", [index @ Value::Int(_)]) => {
                let Value::Int(0..) = index else { return Err(fail()) };
                let length = list.items().len();
                self.work(length)?;
                let at = place(index, length).ok_or_else(fail)?;
                list.items_mut().remove(at)
            }
            ("remove", [item]) => match self.position(list, item)? {
                Some(at) => {
                    list.items_mut().remove(at);
                    Value::Bool(true)
                }
                None => Value::Bool(false),
            },
            ("clear", []) => {
                drop(std::mem::take(&mut *list.items_mut()));
                void()
            }
            ("contains", [item]) => Value::Bool(self.position(list, item)?.is_some()),
            ("indexOf", [item]) => self.position(list, item)?.map_or(Value::Int(-1), int),
            ("lastIndexOf", [item]) => {
                let items = list.items();
                let mut found = Value::Int(-1);
                for (index, candidate) in items.iter().enumerate().rev() {
                    if self.equals(candidate, item)? {
                        found = int(index);
                        break;
                    }
                }
                found
            }
            ("containsAll", [Value::List(others)]) => {
                let mut all = true;
                for item in others.items().iter() {
                    all &= self.position(list, item)?.is_some();
                }
                Value::Bool(all)
            }
            ("subList", [Value::Int(from), Value::Int(to)]) => {
                let items = list.items();
                let range = usize::try_from(*from).ok().zip(usize::try_from(*to).ok());
                let range = range.and_then(|(from, to)| items.get(from..to)).ok_or_else(fail)?;
                self.work(range.len())?;
                Value::List(range.iter().cloned().collect())
            }
            _ => Value::Null,
        })
    }

    fn position(&mut self, list: &List, item: &Value) -> Result<Option<usize>, RenderError> {
        for (index, candidate) in list.items().iter().enumerate() {
            if self.equals(candidate, item)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn call_map(&mut self, map: &Map, name: &str, args: &[Value]) -> Result<Value, RenderError> {
        Ok(match (name, args) {
            ("size" | "count", []) => int(map.entries().len()),
            ("isEmpty", []) => Value::Bool(map.entries().is_empty()),
            ("get", [key]) => {
                let key = self.text(key)?;
                map.find(&key).unwrap_or_default()
            }
            ("getOrDefault", [key, default]) => {
                let key = self.text(key)?;
                map.find(&key).unwrap_or_else(|| default.clone())
            }
            ("containsKey", [key]) => {
                let key = self.text(key)?;
                Value::Bool(map.entries().contains_key(&*key))
            }
            ("containsValue", [value]) => {
                let mut found = false;
                for candidate in map.entries().values() {
                    if self.equals(candidate, value)? {
                        found = true;
                        break;
                    }
                }
                Value::Bool(found)
            }
            ("put", [key, value]) => {
                let key = self.text(key)?;
                self.put(map, &key, value.clone())?
            }
            ("putIfAbsent", [key, value]) => {
                let key = self.text(key)?;
                match map.find(&key) {
                    Some(present) if !present.is_null() => present,
                    _ => self.put(map, &key, value.clone())?,
                }
            }
            ("putAll", [Value::Map(other)]) => {
                let entries = other.entries().clone();
                self.work(entries.len())?;
                self.changed.push(Value::Map(map.clone()));
                map.entries_mut().extend(entries);
                void()
            }
            ("remove", [key]) => {
                let key = self.text(key)?;
                self.work(map.entries().len())?;
                map.entries_mut().shift_remove(&*key).unwrap_or_default()
            }
            ("clear", []) => {
                drop(std::mem::take(&mut *map.entries_mut()));
                void()
            }
            ("keySet", []) => {
                self.work(map.entries().len())?;
                let keys = map.entries().keys().map(|key| Value::String(key.clone())).collect();
                Value::List(keys)
            }
            ("values", []) => {
                self.work(map.entries().len())?;
                Value::List(map.entries().values().cloned().collect())
            }
            ("entrySet", []) => {
                self.work(map.entries().len())?;
                Value::List(map.entries().iter().map(entry).collect())
            }
            _ => Value::Null,
        })
    }
}

fn entry((key, value): (&Arc<str>, &Value)) -> Value {
    let pair = [("key".into(), Value::String(key.clone())), ("value".into(), value.clone())];
    Value::Entry(pair.into_iter().collect())
}

/// What a method without a result gives: it prints nothing.
fn void() -> Value {
    Value::from("")
}

/// A length as Java's int.
pub(super) fn int(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn number(value: &Value, name: &str, args: &[Value]) -> Value {
    match (name, args, value) {
        ("intValue" | "longValue", [], Value::Int(int)) => Value::Int(*int),
        // Java's conversion cuts off and saturates, and so does this.
        ("intValue", [], Value::Float(float)) => Value::Int(i64::from(*float as i32)),
        ("longValue", [], Value::Float(float)) => Value::Int(*float as i64),
        ("doubleValue" | "floatValue", [], Value::Int(int)) => Value::Float(*int as f64),
        ("doubleValue" | "floatValue", [], Value::Float(float)) => Value::Float(*float),
        ("compareTo", [other], _)
            if std::mem::discriminant(other) == std::mem::discriminant(value) =>
        {
            super::arithmetic::order(value, other)
                .map_or(Value::Null, |order| Value::Int(order as i64))
        }
        _ => Value::Null,
    }
}
