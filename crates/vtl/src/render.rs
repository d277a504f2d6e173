//! Nodes and a scope to text.

mod arithmetic;
mod equality;
mod method;
mod string;

use std::borrow::Cow;

use crate::ast::{Block, Expr, Foreach, Home, LoopField, Node, Operator, Reference, Step};
use crate::error::RenderError;
use crate::limits::Limits;
use crate::scope::{Miss, Scope};
use crate::template::Template;
use crate::text;
use crate::value::{List, Map, Value};

/// Bytes of text that count as one step of work.
const TEXT_BYTES_PER_STEP: usize = 64;

/// Appends the output of `template` to `out`.
pub(crate) fn template(
    template: &Template,
    scope: &dyn Scope,
    limits: &Limits,
    out: &mut String,
) -> Result<(), RenderError> {
    let mut render = Render {
        scope,
        limits,
        steps_left: limits.steps,
        bytes_max: out.len().saturating_add(limits.output_bytes),
        slots: vec![None; template.slots],
        loops: Vec::new(),
        changed: Vec::new(),
    };
    let result = render.block(&template.block, out);
    render.break_cycles();
    result.map(|_| ())
}

/// What happens after a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    Break,
    Next,
    Stop,
}

/// One round of a `#foreach`.
#[derive(Clone, Copy, Debug)]
struct Round {
    index: usize,
    has_next: bool,
}

/// One rendering.
struct Render<'r> {
    scope: &'r dyn Scope,
    limits: &'r Limits,
    steps_left: usize,
    /// How long the text now written to may grow.
    bytes_max: usize,
    /// The template's own names; `None` until assigned.
    slots: Vec<Option<Value>>,
    loops: Vec<Round>,
    /// Lists and maps that got a list or map put in: these may hold themselves.
    changed: Vec<Value>,
}

impl<'r> Render<'r> {
    fn work(&mut self, steps: usize) -> Result<(), RenderError> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(RenderError::Steps)?;
        Ok(())
    }

    fn work_on_text(&mut self, bytes: usize) -> Result<(), RenderError> {
        self.work(bytes / TEXT_BYTES_PER_STEP)
    }

    fn block(&mut self, block: &'r Block, out: &mut String) -> Result<Flow, RenderError> {
        for node in block {
            self.work(1)?;
            let flow = match node {
                Node::Text(text) => {
                    out.push_str(text);
                    Flow::Next
                }
                Node::Reference(reference) => {
                    self.print(reference, out)?;
                    Flow::Next
                }
                Node::Set(target, value) => {
                    let value = self.value(value)?;
                    self.set(target, value)?;
                    Flow::Next
                }
                Node::If { arms, otherwise } => self.branch(arms, otherwise, out)?,
                Node::Foreach(foreach) => self.foreach(foreach, out)?,
                Node::Break => Flow::Break,
                Node::Stop => Flow::Stop,
            };
            if self.bytes_max < out.len() {
                return Err(RenderError::OutputLength);
            }
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn branch(
        &mut self,
        arms: &'r [(Expr, Block)],
        otherwise: &'r Block,
        out: &mut String,
    ) -> Result<Flow, RenderError> {
        for (condition, block) in arms {
            if self.condition(condition)? {
                return self.block(block, out);
            }
        }
        self.block(otherwise, out)
    }

    fn foreach(&mut self, foreach: &'r Foreach, out: &mut String) -> Result<Flow, RenderError> {
        let list = match self.value(&foreach.list)? {
            Value::List(list) => list,
            Value::Map(map) => {
                self.work(map.entries().len())?;
                map.entries().values().cloned().collect()
            }
            _ => return Ok(Flow::Next),
        };
        let before = self.slots[foreach.slot].take();
        let mut flow = Flow::Next;
        let mut index = 0;
        while flow == Flow::Next && index < self.limits.iterations {
            let (item, has_next) = {
                let items = list.items();
                let Some(item) = items.get(index) else { break };
                (item.clone(), index + 1 < items.len())
            };
            self.work(1)?;
            self.slots[foreach.slot] = Some(item);
            self.loops.push(Round { index, has_next });
            flow = self.block(&foreach.body, out)?;
            self.loops.pop();
            index += 1;
        }
        self.slots[foreach.slot] = before;
        Ok(if flow == Flow::Stop { Flow::Stop } else { Flow::Next })
    }

    fn print(&mut self, reference: &'r Reference, out: &mut String) -> Result<(), RenderError> {
        if self.print_directly(reference, out) {
            return Ok(());
        }
        let value = self.reference(reference)?;
        let backslashes = |count: usize, out: &mut String| {
            out.extend(std::iter::repeat_n('\\', count));
        };
        let start = out.len();
        backslashes(reference.backslashes, out);
        if reference.escaped {
            if self.is_miss(&value) {
                out.push('\\');
            }
            out.push_str(&reference.source);
            return Ok(());
        }
        if self.is_miss(&value) {
            // Without a value the backslashes are mere text.
            backslashes(reference.backslashes, out);
            if !reference.quiet && self.miss(reference) == Miss::Source {
                out.push_str(&reference.source);
            }
            return Ok(());
        }
        self.write(&value, out)?;
        self.work_on_text(out.len() - start)
    }

    fn print_directly(&self, reference: &Reference, out: &mut String) -> bool {
        let Some(path) = &reference.path else { return false };
        let is_own = match reference.home {
            Home::Loop { .. } => true,
            Home::Scope => false,
            Home::Slot(slot) => self.slots[slot].is_some(),
        };
        !is_own
            && !reference.escaped
            && reference.backslashes == 0
            && self.scope.write(&reference.root, path, out)
    }

    fn is_miss(&self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Host(host) => self.scope.text(*host).is_none(),
            _ => false,
        }
    }

    fn miss(&self, reference: &Reference) -> Miss {
        self.scope.miss(&crate::reference::Reference(reference))
    }

    fn write(&self, value: &Value, out: &mut String) -> Result<(), RenderError> {
        text::write_java(value, Some(self.scope), self.bytes_max, self.limits.depth, out)
    }

    /// The text of `value`; the work is counted.
    fn text<'v>(&mut self, value: &'v Value) -> Result<Cow<'v, str>, RenderError> {
        if let Value::String(text) = value {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::new();
        text::write_java(
            value,
            Some(self.scope),
            self.limits.output_bytes,
            self.limits.depth,
            &mut out,
        )?;
        self.work_on_text(out.len())?;
        Ok(Cow::Owned(out))
    }

    /// A new text value; the work is counted.
    fn string(&mut self, text: String) -> Result<Value, RenderError> {
        if self.limits.output_bytes < text.len() {
            return Err(RenderError::OutputLength);
        }
        self.work_on_text(text.len())?;
        Ok(Value::from(text))
    }

    fn set(&mut self, target: &'r Reference, value: Value) -> Result<(), RenderError> {
        // A null changes nothing, as Velocity is set up.
        if value.is_null() {
            return Ok(());
        }
        let Some((last, path)) = target.steps.split_last() else {
            if let Home::Slot(slot) = target.home {
                self.slots[slot] = Some(value);
            }
            return Ok(());
        };
        let mut holder = self.root(target);
        for step in path {
            holder = self.step(holder, step, target)?;
        }
        match (last, holder) {
            (Step::Property(name), Value::Map(map)) => self.put(&map, name, value).map(|_| ()),
            (Step::Property(name), Value::Host(host)) => {
                self.scope.assign(host, name, &value);
                Ok(())
            }
            (Step::Index(index), Value::Map(map)) => {
                let index = self.value(index)?;
                let key = self.text(&index)?;
                self.put(&map, &key, value).map(|_| ())
            }
            (Step::Index(index), Value::List(list)) => {
                let index = self.value(index)?;
                let place = place(&index, list.items().len());
                let place = place.ok_or_else(|| argument("[]", target))?;
                self.keep(&Value::List(list.clone()), &value);
                list.items_mut()[place] = value;
                Ok(())
            }
            (Step::Index(index), Value::Host(host)) => {
                let index = self.value(index)?;
                let name = self.text(&index)?;
                self.scope.assign(host, &name, &value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn put(&mut self, map: &Map, key: &str, value: Value) -> Result<Value, RenderError> {
        self.work_on_text(key.len())?;
        self.keep(&Value::Map(map.clone()), &value);
        Ok(map.entries_mut().insert(key.into(), value).unwrap_or_default())
    }

    /// Notes that `holder` is about to hold `value`.
    fn keep(&mut self, holder: &Value, value: &Value) {
        if matches!(value, Value::Entry(_) | Value::List(_) | Value::Map(_)) {
            self.changed.push(holder.clone());
        }
    }

    /// Empties what may hold itself, since counted references would never free it.
    fn break_cycles(&mut self) {
        for value in self.changed.drain(..) {
            match value {
                Value::List(list) => drop(std::mem::take(&mut *list.items_mut())),
                Value::Map(map) => drop(std::mem::take(&mut *map.entries_mut())),
                _ => {}
            }
        }
    }

    fn value(&mut self, expr: &'r Expr) -> Result<Value, RenderError> {
        self.work(1)?;
        Ok(match expr {
            Expr::Bool(bool) => Value::Bool(*bool),
            Expr::Chain(first, rest) => self.chain(first, rest)?,
            Expr::Float(float) => Value::Float(*float),
            Expr::Int(int) => Value::Int(*int),
            Expr::Interpolated(block) => self.interpolate(block)?,
            Expr::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.value(item)).collect();
                Value::List(items?.into_iter().collect())
            }
            Expr::Map(entries) => {
                let map = Map::default();
                for (key, value) in entries {
                    let key = self.value(key)?;
                    let value = self.value(value)?;
                    let key = self.text(&key)?;
                    map.entries_mut().insert(key.into(), value);
                }
                Value::Map(map)
            }
            Expr::Not(inner) => Value::Bool(!self.condition(inner)?),
            Expr::Range(ends) => self.range(&ends.0, &ends.1)?,
            Expr::Reference(reference) => self.reference(reference)?,
            Expr::String(text) => Value::String(text.clone()),
        })
    }

    fn interpolate(&mut self, block: &'r Block) -> Result<Value, RenderError> {
        let mut text = String::new();
        let outer = std::mem::replace(&mut self.bytes_max, self.limits.output_bytes);
        let result = self.block(block, &mut text);
        self.bytes_max = outer;
        result?;
        self.string(text)
    }

    fn range(&mut self, first: &'r Expr, last: &'r Expr) -> Result<Value, RenderError> {
        let (first, last) = (self.value(first)?, self.value(last)?);
        let (Value::Int(first), Value::Int(last)) = (first, last) else { return Ok(Value::Null) };
        let length = usize::try_from(first.abs_diff(last)).map_err(|_| RenderError::Steps)?;
        self.work(length)?;
        let list: List = if first <= last {
            (first..=last).map(Value::Int).collect()
        } else {
            (last..=first).rev().map(Value::Int).collect()
        };
        Ok(Value::List(list))
    }

    /// Whether `expr` holds. As in Velocity, a literal, a text, a list or the
    /// result of a calculation never does, whatever it is; a reference does
    /// unless it is null or `false`.
    fn condition(&mut self, expr: &'r Expr) -> Result<bool, RenderError> {
        match expr {
            Expr::Bool(bool) => Ok(*bool),
            Expr::Chain(_, rest) => {
                let value = self.value(expr)?;
                let last = rest.last().map(|(operator, _)| *operator);
                Ok(value.is_true() && !last.is_some_and(is_calculation))
            }
            Expr::Not(inner) => Ok(!self.condition(inner)?),
            Expr::Reference(reference) => Ok(self.reference(reference)?.is_true()),
            Expr::Float(_)
            | Expr::Int(_)
            | Expr::Interpolated(_)
            | Expr::List(_)
            | Expr::Map(_)
            | Expr::Range(_)
            | Expr::String(_) => Ok(false),
        }
    }

    fn chain(
        &mut self,
        first: &'r Expr,
        rest: &'r [(Operator, Expr)],
    ) -> Result<Value, RenderError> {
        if let Some((Operator::And | Operator::Or, _)) = rest.first() {
            let mut holds = self.condition(first)?;
            for (operator, operand) in rest {
                // The right side only runs if it can still change the answer.
                if holds == (*operator == Operator::And) {
                    holds = self.condition(operand)?;
                }
            }
            return Ok(Value::Bool(holds));
        }
        let mut value = self.value(first)?;
        // Where the text of a null operand comes from.
        let mut source = first;
        for (operator, operand) in rest {
            let right = self.value(operand)?;
            value = self.binary((&value, source), *operator, (&right, operand))?;
            source = operand;
        }
        Ok(value)
    }

    fn root(&self, reference: &Reference) -> Value {
        match reference.home {
            Home::Loop { parents, field } => self.loop_field(parents, field),
            Home::Scope => self.scope.find(&reference.root).unwrap_or_default(),
            Home::Slot(slot) => match &self.slots[slot] {
                Some(value) => value.clone(),
                None => self.scope.find(&reference.root).unwrap_or_default(),
            },
        }
    }

    fn loop_field(&self, parents: usize, field: LoopField) -> Value {
        let round = self.loops.len().checked_sub(parents + 1).and_then(|at| self.loops.get(at));
        let Some(round) = round else { return Value::Null };
        let int = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        match field {
            LoopField::Count => int(round.index + 1),
            LoopField::First => Value::Bool(round.index == 0),
            LoopField::HasNext => Value::Bool(round.has_next),
            LoopField::Index => int(round.index),
            LoopField::Last => Value::Bool(!round.has_next),
        }
    }

    fn reference(&mut self, reference: &'r Reference) -> Result<Value, RenderError> {
        self.work(1)?;
        let mut value = self.root(reference);
        if let Home::Loop { .. } = reference.home {
            return Ok(value);
        }
        for step in &reference.steps {
            if value.is_null() {
                return Ok(value);
            }
            value = self.step(value, step, reference)?;
        }
        Ok(value)
    }

    fn step(
        &mut self,
        value: Value,
        step: &'r Step,
        reference: &'r Reference,
    ) -> Result<Value, RenderError> {
        self.work(1)?;
        match step {
            Step::Property(name) => Ok(self.property(&value, name)),
            Step::Index(index) => {
                let index = self.value(index)?;
                self.index(&value, &index, reference)
            }
            Step::Call(name, args, pattern) => {
                let args: Result<Vec<_>, _> = args.iter().map(|arg| self.value(arg)).collect();
                self.call(&value, name, &args?, pattern.as_deref(), reference)
            }
        }
    }

    fn property(&self, value: &Value, name: &str) -> Value {
        match value {
            Value::Entry(map) | Value::Map(map) => map.find(name).unwrap_or_default(),
            Value::Host(host) => self.scope.property(*host, name).unwrap_or_default(),
            Value::List(list) if name == "empty" => Value::Bool(list.items().is_empty()),
            Value::String(text) if name == "empty" => Value::Bool(text.is_empty()),
            Value::Bool(_)
            | Value::Float(_)
            | Value::Int(_)
            | Value::List(_)
            | Value::Null
            | Value::String(_) => Value::Null,
        }
    }

    fn index(
        &mut self,
        value: &Value,
        index: &Value,
        reference: &Reference,
    ) -> Result<Value, RenderError> {
        match value {
            Value::List(list) => {
                let Value::Int(_) = index else { return Ok(Value::Null) };
                let items = list.items();
                let place = place(index, items.len()).ok_or_else(|| argument("[]", reference))?;
                Ok(items[place].clone())
            }
            Value::Map(map) => {
                let key = self.text(index)?;
                Ok(map.find(&key).unwrap_or_default())
            }
            Value::Host(host) => {
                let name = self.text(index)?;
                Ok(self.scope.property(*host, &name).unwrap_or_default())
            }
            _ => Ok(Value::Null),
        }
    }
}

fn is_calculation(operator: Operator) -> bool {
    match operator {
        Operator::Add
        | Operator::Divide
        | Operator::Multiply
        | Operator::Remainder
        | Operator::Subtract => true,
        Operator::And
        | Operator::Equal
        | Operator::Greater
        | Operator::GreaterOrEqual
        | Operator::Less
        | Operator::LessOrEqual
        | Operator::NotEqual
        | Operator::Or => false,
    }
}

/// The place that `index` names in a list of `length` items; negative ones count from its end.
fn place(index: &Value, length: usize) -> Option<usize> {
    let Value::Int(index) = index else { return None };
    let place = if *index < 0 { i64::try_from(length).ok()? + index } else { *index };
    usize::try_from(place).ok().filter(|place| *place < length)
}

/// Java would throw.
fn argument(method: &str, reference: &Reference) -> RenderError {
    RenderError::Argument { line: reference.place.line, method: method.into() }
}
