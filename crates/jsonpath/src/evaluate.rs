//! Steps applied to a document.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::filter::{FilterPath, Operand, Operator, Test};
use crate::path::{Found, Function, Path, Step};

/// Values one search may look at. A message of 128 KB holds some 60,000, so
/// only nested `..` over large answers comes near; 1 million take well under a second.
const VISITS_MAX: usize = 1_000_000;

/// Characters of text compared that count as one visit.
const TEXT_BYTES_PER_VISIT: usize = 64;

pub(crate) fn find<'a>(path: &Path, root: &'a Value) -> Found<'a> {
    let mut search = Search { root, visits_left: VISITS_MAX };
    search.run(&path.steps, root, path.is_definite()).unwrap_or(Found::TooMuch)
}

/// Why a search stopped early.
struct Exhausted;

/// One search through one document.
struct Search<'a> {
    root: &'a Value,
    visits_left: usize,
}

impl<'a> Search<'a> {
    fn visit(&mut self, count: usize) -> Result<(), Exhausted> {
        self.visits_left = self.visits_left.checked_sub(count).ok_or(Exhausted)?;
        Ok(())
    }

    fn run(
        &mut self,
        steps: &[Step],
        start: &'a Value,
        definite: bool,
    ) -> Result<Found<'a>, Exhausted> {
        let (steps, function) = match steps.split_last() {
            Some((Step::Function(function), rest)) => (rest, Some(*function)),
            _ => (steps, None),
        };
        // Names that end a path make one object of what they name.
        if let (None, Some((Step::Members(names), rest))) = (function, steps.split_last()) {
            let values = self.values(rest, start)?;
            let picked = values.into_iter().filter_map(|value| pick(value, names));
            return Ok(found(picked.map(Cow::Owned).collect(), definite));
        }
        let values = self.values(steps, start)?;
        let Some(function) = function else {
            return Ok(found(values.into_iter().map(Cow::Borrowed).collect(), definite));
        };
        // Behind a descent a function sees all that was found; else each value.
        if steps.iter().any(|step| matches!(step, Step::Descend)) {
            let result = apply(function, &values);
            return Ok(found(result.map(Cow::Owned).into_iter().collect(), true));
        }
        let mut results = Vec::with_capacity(values.len());
        for value in values {
            self.visit(value.as_array().map_or(1, Vec::len))?;
            results.extend(apply_to(function, value).map(Cow::Owned));
        }
        Ok(found(results, definite))
    }

    fn values(&mut self, steps: &[Step], start: &'a Value) -> Result<Vec<&'a Value>, Exhausted> {
        let mut values = vec![start];
        for step in steps {
            let mut next = Vec::new();
            for value in values {
                self.step(step, value, &mut next)?;
            }
            values = next;
        }
        Ok(values)
    }

    fn step(
        &mut self,
        step: &Step,
        value: &'a Value,
        next: &mut Vec<&'a Value>,
    ) -> Result<(), Exhausted> {
        self.visit(1)?;
        match step {
            Step::Descend => self.descend(value, next)?,
            Step::Filter(test) => match value {
                Value::Array(items) => {
                    for item in items {
                        if self.holds(test, item)? {
                            next.push(item);
                        }
                    }
                }
                Value::Object(_) if self.holds(test, value)? => next.push(value),
                _ => {}
            },
            // A function is always last and handled by `run`.
            Step::Function(_) => {}
            Step::Index(index) => next.extend(value.as_array().and_then(|items| at(items, *index))),
            Step::Indexes(indexes) => {
                self.visit(indexes.len())?;
                if let Value::Array(items) = value {
                    next.extend(indexes.iter().filter_map(|index| at(items, *index)));
                }
            }
            Step::Member(name) => next.extend(value.as_object().and_then(|map| map.get(name))),
            Step::Members(names) => {
                self.visit(names.len())?;
                if let Value::Object(map) = value {
                    next.extend(names.iter().filter_map(|name| map.get(name)));
                }
            }
            Step::Slice(first, last) => {
                if let Value::Array(items) = value {
                    let items = slice(items, *first, *last);
                    self.visit(items.len())?;
                    next.extend(items);
                }
            }
            Step::Wildcard => match value {
                Value::Array(items) => {
                    self.visit(items.len())?;
                    next.extend(items);
                }
                Value::Object(map) => {
                    self.visit(map.len())?;
                    next.extend(map.values());
                }
                _ => {}
            },
        }
        Ok(())
    }

    /// Adds `value` and everything below it, parents before children.
    fn descend(&mut self, value: &'a Value, next: &mut Vec<&'a Value>) -> Result<(), Exhausted> {
        let mut pending = vec![value];
        while let Some(value) = pending.pop() {
            self.visit(1)?;
            next.push(value);
            match value {
                Value::Array(items) => pending.extend(items.iter().rev()),
                Value::Object(map) => pending.extend(map.values().rev()),
                _ => {}
            }
        }
        Ok(())
    }

    fn holds(&mut self, test: &Test, value: &'a Value) -> Result<bool, Exhausted> {
        self.visit(1)?;
        match test {
            Test::And(tests) => {
                for test in tests {
                    if !self.holds(test, value)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Test::Or(tests) => {
                for test in tests {
                    if self.holds(test, value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Test::Not(test) => Ok(!self.holds(test, value)?),
            Test::Exists(path) => Ok(match self.filter_path(path, value)? {
                Found::Many(values) => !values.is_empty(),
                Found::One(_) => true,
                Found::Missing | Found::TooMuch => false,
            }),
            Test::Compare(left, Operator::Match, Operand::Regex(regex))
            | Test::Compare(Operand::Regex(regex), Operator::Match, left) => {
                let Some(text) = self.operand(left, value)?.and_then(|text| scalar_text(&text))
                else {
                    return Ok(false);
                };
                self.visit(text.len() / TEXT_BYTES_PER_VISIT)?;
                Ok(regex.is_match(&text))
            }
            Test::Compare(left, operator, right) => {
                let left = self.operand(left, value)?;
                let right = self.operand(right, value)?;
                self.compare(left.as_deref(), *operator, right.as_deref())
            }
        }
    }

    fn filter_path(&mut self, path: &FilterPath, value: &'a Value) -> Result<Found<'a>, Exhausted> {
        let start = if path.from_root { self.root } else { value };
        let definite = crate::path::is_definite(&path.steps);
        self.run(&path.steps, start, definite)
    }

    /// The value of an operand; `None` for a path that names nothing.
    fn operand<'o>(
        &mut self,
        operand: &'o Operand,
        value: &'a Value,
    ) -> Result<Option<Cow<'o, Value>>, Exhausted>
    where
        'a: 'o,
    {
        match operand {
            Operand::Literal(value) => Ok(Some(Cow::Borrowed(value))),
            Operand::Regex(_) => Ok(None),
            Operand::Path(path) => Ok(match self.filter_path(path, value)? {
                Found::Many(values) => {
                    for value in &values {
                        self.weigh(value)?;
                    }
                    let values = values.into_iter().map(Cow::into_owned);
                    Some(Cow::Owned(Value::Array(values.collect())))
                }
                Found::One(value) => Some(value),
                Found::Missing | Found::TooMuch => None,
            }),
        }
    }

    /// Counts all values below `value`, because they are about to be copied or compared.
    fn weigh(&mut self, value: &Value) -> Result<(), Exhausted> {
        let mut pending = vec![value];
        while let Some(value) = pending.pop() {
            self.visit(1)?;
            match value {
                Value::Array(items) => pending.extend(items),
                Value::Object(map) => pending.extend(map.values()),
                Value::String(text) => self.visit(text.len() / TEXT_BYTES_PER_VISIT)?,
                Value::Bool(_) | Value::Null | Value::Number(_) => {}
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        left: Option<&Value>,
        operator: Operator,
        right: Option<&Value>,
    ) -> Result<bool, Exhausted> {
        let (left, right) = match (left, right) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => {
                let equal = left.is_none() && right.is_none();
                return Ok(match operator {
                    Operator::Equal | Operator::TypedEqual => equal,
                    Operator::NotEqual | Operator::TypedNotEqual => !equal,
                    // Nothing is in no list.
                    Operator::NotIn | Operator::NoneOf => left.is_none() && right.is_some(),
                    _ => false,
                });
            }
        };
        self.weigh(left)?;
        Ok(match operator {
            Operator::Equal => equal(left, right),
            Operator::NotEqual => !equal(left, right),
            Operator::TypedEqual => same_type(left, right) && equal(left, right),
            Operator::TypedNotEqual => !(same_type(left, right) && equal(left, right)),
            Operator::Less => order(left, right) == Some(Ordering::Less),
            Operator::LessOrEqual => {
                matches!(order(left, right), Some(Ordering::Less | Ordering::Equal))
            }
            Operator::Greater => order(left, right) == Some(Ordering::Greater),
            Operator::GreaterOrEqual => {
                matches!(order(left, right), Some(Ordering::Greater | Ordering::Equal))
            }
            Operator::In => self.contains(right, left)?,
            Operator::NotIn => !self.contains(right, left)?,
            Operator::Contains => match (left, right) {
                (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
                _ => self.contains(left, right)?,
            },
            Operator::AnyOf => self.any_of(left, right)?,
            Operator::NoneOf => left.is_array() && !self.any_of(left, right)?,
            Operator::SubsetOf => match left {
                Value::Array(items) => {
                    for item in items {
                        if !self.contains(right, item)? {
                            return Ok(false);
                        }
                    }
                    true
                }
                _ => false,
            },
            Operator::Size => match (length(left), right) {
                (Some(length), Value::Number(wanted)) => wanted.as_u64() == Some(length),
                _ => false,
            },
            Operator::Empty => match (length(left), right) {
                (Some(length), Value::Bool(wanted)) => (length == 0) == *wanted,
                _ => false,
            },
            // Without a literal expression there is nothing to match.
            Operator::Match => false,
        })
    }

    fn any_of(&mut self, left: &Value, right: &Value) -> Result<bool, Exhausted> {
        if let Value::Array(items) = left {
            for item in items {
                if self.contains(right, item)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn contains(&mut self, list: &Value, value: &Value) -> Result<bool, Exhausted> {
        let Value::Array(items) = list else { return Ok(false) };
        for item in items {
            self.weigh(item)?;
            if equal(item, value) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn found(mut values: Vec<Cow<'_, Value>>, definite: bool) -> Found<'_> {
    match (definite, values.is_empty()) {
        (false, _) => Found::Many(values),
        (true, true) => Found::Missing,
        (true, false) => Found::One(values.swap_remove(0)),
    }
}

/// The object made of those members of `value` that `names` lists.
fn pick(value: &Value, names: &[String]) -> Option<Value> {
    let map = value.as_object()?;
    let mut picked = Map::new();
    for name in names {
        if let Some(value) = map.get(name) {
            picked.insert(name.clone(), value.clone());
        }
    }
    Some(Value::Object(picked))
}

fn at(items: &[Value], index: i64) -> Option<&Value> {
    let index = if index < 0 { i64::try_from(items.len()).ok()? + index } else { index };
    items.get(usize::try_from(index).ok()?)
}

fn slice(items: &[Value], first: Option<i64>, last: Option<i64>) -> &[Value] {
    let place = |index: i64| -> usize {
        let size = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let index = if index < 0 { (size + index).max(0) } else { index.min(size) };
        usize::try_from(index).unwrap_or(0)
    };
    let first = place(first.unwrap_or(0));
    let last = last.map_or(items.len(), place);
    items.get(first..last).unwrap_or(&[])
}

fn length(value: &Value) -> Option<u64> {
    let length = match value {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::String(text) => text.encode_utf16().count(),
        Value::Bool(_) | Value::Null | Value::Number(_) => return None,
    };
    u64::try_from(length).ok()
}

fn same_type(left: &Value, right: &Value) -> bool {
    std::mem::discriminant(left) == std::mem::discriminant(right)
}

/// Equality across number spellings, and between a number and its text, as in Jayway.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            compare_numbers(left, right) == Some(Ordering::Equal)
        }
        (Value::Number(number), Value::String(text)) => text
            .parse::<f64>()
            .is_ok_and(|parsed| number.as_f64().is_some_and(|number| number == parsed)),
        (Value::String(text), Value::Number(number)) => *text == number.to_string(),
        _ => left == right,
    }
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn compare_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => match (left.as_u64(), right.as_u64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// A function of one value.
fn apply_to(function: Function, value: &Value) -> Option<Value> {
    match (function, value) {
        (Function::Length, Value::Object(map)) => Some(map.len().into()),
        (Function::Length, Value::Array(items)) => Some(items.len().into()),
        (Function::Length, _) => Some(Value::Null),
        (Function::Keys, Value::Object(map)) => {
            Some(Value::Array(map.keys().map(|name| Value::String(name.clone())).collect()))
        }
        (_, Value::Array(items)) => apply(function, &items.iter().collect::<Vec<_>>()),
        _ => None,
    }
}

/// A function of a list.
fn apply(function: Function, items: &[&Value]) -> Option<Value> {
    let numbers = || items.iter().filter_map(|item| item.as_f64());
    let count = numbers().count() as f64;
    let sum = || numbers().sum::<f64>();
    let result = match function {
        Function::First => return items.first().map(|item| (*item).clone()),
        Function::Last => return items.last().map(|item| (*item).clone()),
        Function::Length => return Some(items.len().into()),
        Function::Keys => return None,
        _ if count == 0.0 => return None,
        Function::Avg => sum() / count,
        Function::Max => numbers().fold(f64::NEG_INFINITY, f64::max),
        Function::Min => numbers().fold(f64::INFINITY, f64::min),
        Function::Sum => sum(),
        Function::StdDev => {
            let mean = sum() / count;
            (numbers().map(|number| (number - mean).powi(2)).sum::<f64>() / count).sqrt()
        }
    };
    Number::from_f64(result).map(Value::Number)
}
