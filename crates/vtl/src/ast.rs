//! The compiled template.

use std::sync::Arc;

use crate::pattern::Pattern;

/// A sequence of nodes.
pub(crate) type Block = Vec<Node>;

/// One piece of a template.
#[derive(Debug)]
pub(crate) enum Node {
    /// `#break`
    Break,
    /// `#foreach`
    Foreach(Box<Foreach>),
    /// `#if`, with its `#elseif`s and `#else`.
    If { arms: Vec<(Expr, Block)>, otherwise: Block },
    /// A reference that prints.
    Reference(Reference),
    /// `#set`
    Set(Box<Reference>, Expr),
    /// `#stop`
    Stop,
    /// Text as it is.
    Text(Box<str>),
}

/// `#foreach($item in list) … #end`
#[derive(Debug)]
pub(crate) struct Foreach {
    pub(crate) slot: usize,
    pub(crate) list: Expr,
    pub(crate) body: Block,
}

/// A place in the source, counted from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// `$root.property['key'].method(argument)`
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) root: Box<str>,
    pub(crate) home: Home,
    pub(crate) steps: Vec<Step>,
    /// The property names, if there is nothing else: the scope may write it directly.
    pub(crate) path: Option<Vec<Box<str>>>,
    pub(crate) quiet: bool,
    /// Backslashes that print before it, half of those in the source.
    pub(crate) backslashes: usize,
    /// An odd backslash: prints its source if it has a value.
    pub(crate) escaped: bool,
    pub(crate) source: Box<str>,
    pub(crate) place: Place,
}

/// Where the root of a reference lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Home {
    /// `$foreach.index` and others, so many loops further out; all steps are consumed.
    Loop { parents: usize, field: LoopField },
    /// Outside the template.
    Scope,
    /// The template assigns it somewhere; until then it is the scope's.
    Slot(usize),
}

/// What `$foreach` knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LoopField {
    Count,
    First,
    HasNext,
    Index,
    Last,
}

/// One step of a reference.
#[derive(Debug)]
pub(crate) enum Step {
    /// Name, arguments, and the first of them compiled if it is a regular expression.
    Call(Box<str>, Vec<Expr>, Option<Box<Pattern>>),
    Index(Expr),
    Property(Box<str>),
}

/// An expression.
#[derive(Debug)]
pub(crate) enum Expr {
    Bool(bool),
    /// Operators of one precedence, applied from left to right.
    Chain(Box<Self>, Vec<(Operator, Self)>),
    Float(f64),
    Int(i64),
    /// A double-quoted text with references or directives in it.
    Interpolated(Block),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Not(Box<Self>),
    Range(Box<(Self, Self)>),
    Reference(Box<Reference>),
    String(Arc<str>),
}

/// A binary operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operator {
    Add,
    And,
    Divide,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Multiply,
    NotEqual,
    Or,
    Remainder,
    Subtract,
}
