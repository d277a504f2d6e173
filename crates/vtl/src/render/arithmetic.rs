//! Operators on two values.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Render;
use crate::ast::{Expr, Operator};
use crate::error::RenderError;
use crate::scope::Miss;
use crate::value::Value;

impl Render<'_> {
    /// Applies any operator but the logical ones. Operands come with their
    /// expressions: in a concatenation, one without a value shows its source.
    pub(super) fn binary(
        &mut self,
        (left, left_source): (&Value, &Expr),
        operator: Operator,
        (right, right_source): (&Value, &Expr),
    ) -> Result<Value, RenderError> {
        Ok(match operator {
            Operator::Equal => Value::Bool(self.equal(left, right)?),
            Operator::NotEqual => Value::Bool(!self.equal(left, right)?),
            Operator::Less => Value::Bool(order(left, right) == Some(Ordering::Less)),
            Operator::LessOrEqual => {
                Value::Bool(matches!(order(left, right), Some(Ordering::Less | Ordering::Equal)))
            }
            Operator::Greater => Value::Bool(order(left, right) == Some(Ordering::Greater)),
            Operator::GreaterOrEqual => {
                Value::Bool(matches!(order(left, right), Some(Ordering::Greater | Ordering::Equal)))
            }
            Operator::Add
                if matches!(left, Value::String(_)) || matches!(right, Value::String(_)) =>
            {
                let mut text = self.operand_text(left, left_source)?;
                text.push_str(&self.operand_text(right, right_source)?);
                self.string(text)?
            }
            Operator::Add
            | Operator::Divide
            | Operator::Multiply
            | Operator::Remainder
            | Operator::Subtract => calculate(left, operator, right)?,
            Operator::And => Value::Bool(left.is_true() && right.is_true()),
            Operator::Or => Value::Bool(left.is_true() || right.is_true()),
        })
    }

    fn operand_text(&mut self, value: &Value, source: &Expr) -> Result<String, RenderError> {
        match (value, source) {
            (Value::Null, Expr::Reference(reference)) => {
                Ok(match self.miss(reference) {
                    Miss::Empty => String::new(),
                    // Even of a quiet one.
                    Miss::Source => reference.source.to_string(),
                })
            }
            _ => self.text(value).map(Cow::into_owned),
        }
    }
}

/// Java's arithmetic: whole numbers stay whole; null if it cannot be done.
fn calculate(left: &Value, operator: Operator, right: &Value) -> Result<Value, RenderError> {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        let result = match operator {
            Operator::Add => left.checked_add(*right),
            Operator::Subtract => left.checked_sub(*right),
            Operator::Multiply => left.checked_mul(*right),
            Operator::Divide | Operator::Remainder if *right == 0 => return Ok(Value::Null),
            Operator::Divide => left.checked_div(*right),
            Operator::Remainder => left.checked_rem(*right),
            _ => return Ok(Value::Null),
        };
        return result.map(Value::Int).ok_or(RenderError::Number);
    }
    let (Some(left), Some(right)) = (float(left), float(right)) else { return Ok(Value::Null) };
    Ok(match operator {
        Operator::Add => Value::Float(left + right),
        Operator::Subtract => Value::Float(left - right),
        Operator::Multiply => Value::Float(left * right),
        Operator::Divide | Operator::Remainder if right == 0.0 => Value::Null,
        Operator::Divide => Value::Float(left / right),
        Operator::Remainder => Value::Float(left % right),
        _ => Value::Null,
    })
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(float) => Some(*float),
        // As Java widens a long to a double.
        Value::Int(int) => Some(*int as f64),
        _ => None,
    }
}

/// The order of two numbers; Velocity orders nothing else.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        _ => float(left)?.partial_cmp(&float(right)?),
    }
}
