//! When two values are equal.

use std::cmp::Ordering;

use super::arithmetic::order;
use super::{Render, TEXT_BYTES_PER_STEP};
use crate::error::RenderError;
use crate::value::Value;

impl Render<'_> {
    /// `==` of a template: numbers by value, other unlike types by their texts.
    pub(super) fn equal(&mut self, left: &Value, right: &Value) -> Result<bool, RenderError> {
        match (left, right) {
            (Value::Null, other) | (other, Value::Null) => Ok(other.is_null()),
            (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
                Ok(order(left, right) == Some(Ordering::Equal))
            }
            _ if std::mem::discriminant(left) == std::mem::discriminant(right) => {
                self.same(left, right, self.limits.depth)
            }
            _ => {
                let left = self.text(left)?;
                let right = self.text(right)?;
                Ok(left == right)
            }
        }
    }

    /// Java's `equals`: same type and same contents.
    pub(super) fn equals(&mut self, left: &Value, right: &Value) -> Result<bool, RenderError> {
        self.same(left, right, self.limits.depth)
    }

    fn same(
        &mut self,
        left: &Value,
        right: &Value,
        depth_left: usize,
    ) -> Result<bool, RenderError> {
        let depth_left = depth_left.checked_sub(1).ok_or(RenderError::Depth)?;
        self.work(1)?;
        match (left, right) {
            (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
            (Value::Float(left), Value::Float(right)) => Ok(left == right),
            (Value::Host(left), Value::Host(right)) => Ok(left == right),
            (Value::Int(left), Value::Int(right)) => Ok(left == right),
            (Value::Null, Value::Null) => Ok(true),
            (Value::String(left), Value::String(right)) => {
                self.work(left.len().min(right.len()) / TEXT_BYTES_PER_STEP)?;
                Ok(left == right)
            }
            (Value::List(left), Value::List(right)) => {
                if left.is_same(right) {
                    return Ok(true);
                }
                let (left, right) = (left.items(), right.items());
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right.iter()) {
                    if !self.same(left, right, depth_left)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Map(left), Value::Map(right)) | (Value::Entry(left), Value::Entry(right)) => {
                if left.is_same(right) {
                    return Ok(true);
                }
                let (left, right) = (left.entries(), right.entries());
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (key, left) in left.iter() {
                    let Some(right) = right.get(key) else { return Ok(false) };
                    if !self.same(left, right, depth_left)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
