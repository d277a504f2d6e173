//! The compiled path.

use std::borrow::Cow;

use serde_json::Value;

use crate::error::Error;
use crate::filter::Test;
use crate::{evaluate, parse};

/// A compiled JSONPath.
#[derive(Clone, Debug)]
pub struct Path {
    pub(crate) steps: Vec<Step>,
    /// The names, if every step is one member.
    members: Option<Vec<String>>,
}

impl Path {
    /// Compiles `text`, such as `$.a.b`, `$['a-b']`, `$.list[0]`, `$..x`,
    /// `$.list[?(@.n > 1 && @.kind == 'x')]` or `$.list.length()`.
    ///
    /// As in Jayway, `$` may be left out (`a.b`), and a name after a dot holds
    /// any character but `.`, `[`, `(` and space.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse::path(text).map(Self::new)
    }

    /// Compiles what follows `$` in a longer expression, such as the part of
    /// `request.body.a.b` behind `body`: empty, `.a.b`, `['a-b']`, `[0]`.
    ///
    /// Columns of errors count from the start of `tail`.
    pub fn parse_tail(tail: &str) -> Result<Self, Error> {
        parse::tail(tail).map(Self::new)
    }

    fn new(steps: Vec<Step>) -> Self {
        let members = steps.iter().map(|step| match step {
            Step::Member(name) => Some(name.clone()),
            _ => None,
        });
        let members = members.collect();
        Self { steps, members }
    }

    /// Whether the path names at most one value.
    pub fn is_definite(&self) -> bool {
        is_definite(&self.steps)
    }

    /// The member names, if the path consists of nothing else (`$.a.b`, `$`).
    ///
    /// Such a path can be answered from text by [`scan_member`](crate::scan_member).
    pub fn members(&self) -> Option<&[String]> {
        self.members.as_deref()
    }

    /// Finds what the path names in `root`.
    ///
    /// Work is bounded: a search that visits more than a million values ends
    /// with [`Found::TooMuch`].
    pub fn find<'a>(&self, root: &'a Value) -> Found<'a> {
        evaluate::find(self, root)
    }
}

/// What a path names in one document.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<'a> {
    /// All values that an indefinite path names, in document order.
    Many(Vec<Cow<'a, Value>>),
    /// A definite path names nothing here.
    Missing,
    /// The value that a definite path names.
    One(Cow<'a, Value>),
    /// The search was given up because it visits too many values.
    TooMuch,
}

impl Found<'_> {
    /// The value as Jayway returns it: the one value, or a list of all; `None`
    /// for a miss and for a search that was given up.
    pub fn into_value(self) -> Option<Value> {
        match self {
            Self::Many(values) => {
                Some(Value::Array(values.into_iter().map(Cow::into_owned).collect()))
            }
            Self::One(value) => Some(value.into_owned()),
            Self::Missing | Self::TooMuch => None,
        }
    }
}

/// One step from a set of values to the next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// `..`: the values themselves and everything below, then the next step.
    Descend,
    /// `[?(…)]`
    Filter(Test),
    /// `.length()` and others.
    Function(Function),
    /// `[0]`, `[-1]`
    Index(i64),
    /// `[0,2]`
    Indexes(Vec<i64>),
    /// `.name`, `['name']`
    Member(String),
    /// `['a','b']`
    Members(Vec<String>),
    /// `[1:3]`
    Slice(Option<i64>, Option<i64>),
    /// `.*`, `[*]`
    Wildcard,
}

/// Whether `steps` name at most one value.
pub(crate) fn is_definite(steps: &[Step]) -> bool {
    let (last, before) = match steps.split_last() {
        None => return true,
        // A function behind a descent makes one value of all that was found.
        Some((Step::Function(_), rest)) if rest.iter().any(|s| matches!(s, Step::Descend)) => {
            return true;
        }
        Some(split) => split,
    };
    let single = |step: &Step| matches!(step, Step::Index(_) | Step::Member(_));
    // Several names at the end make one object.
    before.iter().all(single)
        && (single(last) || matches!(last, Step::Function(_) | Step::Members(_)))
}

/// A function at the end of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Function {
    Avg,
    First,
    Keys,
    Last,
    /// `length()` and `size()`
    Length,
    Max,
    Min,
    StdDev,
    Sum,
}

impl Function {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "avg" => Self::Avg,
            "first" => Self::First,
            "keys" => Self::Keys,
            "last" => Self::Last,
            "length" | "size" => Self::Length,
            "max" => Self::Max,
            "min" => Self::Min,
            "stddev" => Self::StdDev,
            "sum" => Self::Sum,
            _ => return None,
        })
    }
}
