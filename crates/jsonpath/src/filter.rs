//! Filters: the `…` of `[?(…)]`.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::error::{Error, Reason};
use crate::parse::Reader;
use crate::path::Step;

/// How deep parentheses, negations and filters inside filters may nest.
const DEPTH_MAX: usize = 32;

/// Memory one compiled regular expression may take, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A condition on one value.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    And(Vec<Self>),
    Compare(Operand, Operator, Operand),
    Exists(FilterPath),
    Not(Box<Self>),
    Or(Vec<Self>),
}

/// One side of a comparison.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Literal(Value),
    Path(FilterPath),
    Regex(Regex),
}

/// A path inside a filter.
#[derive(Clone, Debug)]
pub(crate) struct FilterPath {
    /// Starts at the document (`$`), not at the value under test (`@`).
    pub(crate) from_root: bool,
    pub(crate) steps: Vec<Step>,
}

/// How two operands are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operator {
    AnyOf,
    Contains,
    Empty,
    Equal,
    Greater,
    GreaterOrEqual,
    In,
    Less,
    LessOrEqual,
    Match,
    NoneOf,
    NotEqual,
    NotIn,
    Size,
    SubsetOf,
    /// `===`: equal and of one type.
    TypedEqual,
    /// `!==`
    TypedNotEqual,
}

/// Longer symbols first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Operator); 9] = [
    ("===", Operator::TypedEqual),
    ("!==", Operator::TypedNotEqual),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("=~", Operator::Match),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

const WORD_OPERATORS: [(&str, Operator); 8] = [
    ("anyof", Operator::AnyOf),
    ("contains", Operator::Contains),
    ("empty", Operator::Empty),
    ("in", Operator::In),
    ("nin", Operator::NotIn),
    ("noneof", Operator::NoneOf),
    ("size", Operator::Size),
    ("subsetof", Operator::SubsetOf),
];

/// Reads a condition up to the parenthesis that closes it.
pub(crate) fn test(reader: &mut Reader, depth: usize) -> Result<Test, Error> {
    if DEPTH_MAX < depth {
        return Err(reader.fail(Reason::FilterDepth));
    }
    let mut tests = vec![conjunction(reader, depth)?];
    while next_is(reader, "||") {
        tests.push(conjunction(reader, depth)?);
    }
    Ok(if tests.len() == 1 { tests.swap_remove(0) } else { Test::Or(tests) })
}

fn conjunction(reader: &mut Reader, depth: usize) -> Result<Test, Error> {
    let mut tests = vec![negation(reader, depth)?];
    while next_is(reader, "&&") {
        tests.push(negation(reader, depth)?);
    }
    Ok(if tests.len() == 1 { tests.swap_remove(0) } else { Test::And(tests) })
}

fn next_is(reader: &mut Reader, text: &str) -> bool {
    reader.skip_space();
    reader.take_text(text)
}

fn negation(reader: &mut Reader, depth: usize) -> Result<Test, Error> {
    reader.skip_space();
    let mut negated = false;
    while reader.peek() == Some('!') {
        reader.take();
        reader.skip_space();
        negated = !negated;
    }
    let test = if reader.peek() == Some('(') {
        reader.take();
        let inner = test(reader, depth + 1)?;
        reader.skip_space();
        reader.expect(')', "`)`")?;
        inner
    } else {
        comparison(reader, depth)?
    };
    Ok(if negated { Test::Not(Box::new(test)) } else { test })
}

fn comparison(reader: &mut Reader, depth: usize) -> Result<Test, Error> {
    let left = operand(reader, depth)?;
    reader.skip_space();
    match operator(reader)? {
        Some(operator) => {
            reader.skip_space();
            let right = operand(reader, depth)?;
            Ok(Test::Compare(left, operator, right))
        }
        None => match left {
            Operand::Path(path) => Ok(Test::Exists(path)),
            Operand::Literal(_) | Operand::Regex(_) => Err(reader.expected("a comparison")),
        },
    }
}

fn operator(reader: &mut Reader) -> Result<Option<Operator>, Error> {
    for (text, operator) in OPERATORS {
        if reader.take_text(text) {
            return Ok(Some(operator));
        }
    }
    if !reader.peek().is_some_and(char::is_alphabetic) {
        return Ok(None);
    }
    let unknown = reader.expected("an operator such as `==`, `in` or `=~`");
    let word = reader.take_while(char::is_alphabetic).to_ascii_lowercase();
    let known = WORD_OPERATORS.iter().find(|(text, _)| *text == word);
    known.map(|(_, operator)| Some(*operator)).ok_or(unknown)
}

fn operand(reader: &mut Reader, depth: usize) -> Result<Operand, Error> {
    match reader.peek() {
        Some(root @ ('$' | '@')) => {
            reader.take();
            let steps = reader.filter_path(depth)?;
            Ok(Operand::Path(FilterPath { from_root: root == '$', steps }))
        }
        Some('/') => regex(reader).map(Operand::Regex),
        _ => literal(reader, depth).map(Operand::Literal),
    }
}

fn literal(reader: &mut Reader, depth: usize) -> Result<Value, Error> {
    if DEPTH_MAX < depth {
        return Err(reader.fail(Reason::FilterDepth));
    }
    reader.skip_space();
    match reader.peek() {
        Some('\'' | '"') => reader.quoted().map(Value::String),
        Some('[') => list(reader, depth),
        Some('{') => map(reader, depth),
        Some(char) if char == '-' || char.is_ascii_digit() => number(reader),
        _ => {
            for (text, value) in
                [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)]
            {
                if reader.take_text(text) {
                    return Ok(value);
                }
            }
            Err(reader.expected("a path, text, number, list, `true`, `false` or `null`"))
        }
    }
}

fn number(reader: &mut Reader) -> Result<Value, Error> {
    let bad = reader.expected("a number");
    let text = reader.take_while(|char| char.is_ascii_digit() || "+-.eE".contains(char));
    serde_json::from_str::<serde_json::Number>(&text).map(Value::Number).map_err(|_| bad)
}

fn list(reader: &mut Reader, depth: usize) -> Result<Value, Error> {
    reader.expect('[', "`[`")?;
    let mut items = Vec::new();
    loop {
        reader.skip_space();
        match reader.peek() {
            Some(']') if items.is_empty() => break,
            _ => items.push(literal(reader, depth + 1)?),
        }
        reader.skip_space();
        if reader.peek() != Some(',') {
            break;
        }
        reader.take();
    }
    reader.expect(']', "`]`")?;
    Ok(Value::Array(items))
}

fn map(reader: &mut Reader, depth: usize) -> Result<Value, Error> {
    reader.expect('{', "`{`")?;
    let mut members = serde_json::Map::new();
    loop {
        reader.skip_space();
        if reader.peek() == Some('}') && members.is_empty() {
            break;
        }
        let name = reader.quoted()?;
        reader.skip_space();
        reader.expect(':', "`:`")?;
        members.insert(name, literal(reader, depth + 1)?);
        reader.skip_space();
        if reader.peek() != Some(',') {
            break;
        }
        reader.take();
    }
    reader.expect('}', "`}`")?;
    Ok(Value::Object(members))
}

/// `/pattern/flags`; the whole text must match, as with Java's `matches`.
fn regex(reader: &mut Reader) -> Result<Regex, Error> {
    let start = reader.fail(Reason::Regex);
    reader.expect('/', "`/`")?;
    let mut pattern = String::new();
    loop {
        match reader.take() {
            None => return Err(reader.fail(Reason::Unterminated("regular expression"))),
            Some('/') => break,
            Some('\\') if reader.peek() == Some('/') => {
                reader.take();
                pattern.push('/');
            }
            Some('\\') => {
                pattern.push('\\');
                pattern.extend(reader.take());
            }
            Some(char) => pattern.push(char),
        }
    }
    let mut builder = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"));
    builder.size_limit(REGEX_BYTES_MAX);
    for flag in reader.take_while(|char| char.is_ascii_alphabetic()).chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            'u' | 'U' => builder.unicode(true),
            _ => return Err(start),
        };
    }
    builder.build().map_err(|_| start)
}
