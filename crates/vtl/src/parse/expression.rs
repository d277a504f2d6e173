//! Expressions and references.

use std::sync::Arc;

use super::{Cursor, Parser, is_name, is_name_start};
use crate::ast::{Expr, Home, LoopField, Operator, Reference, Step};
use crate::error::{Error, Reason};
use crate::pattern::Pattern;

/// Binary operators by rising precedence. Longer spellings first.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("||", Operator::Or), ("or", Operator::Or)],
    &[("&&", Operator::And), ("and", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("eq", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("ne", Operator::NotEqual),
    ],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
        ("le", Operator::LessOrEqual),
        ("ge", Operator::GreaterOrEqual),
        ("lt", Operator::Less),
        ("gt", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

/// Methods whose first argument is a regular expression.
const PATTERN_METHODS: [&str; 4] = ["matches", "replaceAll", "replaceFirst", "split"];

impl Parser<'_, '_> {
    pub(super) fn expression(&mut self) -> Result<Expr, Error> {
        self.nested(|parser| parser.binary(0))
    }

    fn binary(&mut self, level: usize) -> Result<Expr, Error> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let first = self.binary(level + 1)?;
        let mut rest = Vec::new();
        while let Some(operator) = self.operator(operators) {
            rest.push((operator, self.binary(level + 1)?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Chain(Box::new(first), rest) })
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        self.cursor.skip_space();
        let found = operators.iter().find(|(text, _)| {
            if text.starts_with(is_name_start) {
                self.cursor.take_word(text)
            } else {
                self.cursor.take_text(text)
            }
        });
        found.map(|(_, operator)| *operator)
    }

    fn unary(&mut self) -> Result<Expr, Error> {
        self.cursor.skip_space();
        let negated = !self.cursor.rest().starts_with("!=")
            && (self.cursor.take_text("!") || self.cursor.take_word("not"));
        if negated {
            let inner = self.nested(Self::unary)?;
            return Ok(Expr::Not(Box::new(inner)));
        }
        if self.cursor.take_text("(") {
            let inner = self.expression()?;
            self.cursor.skip_space();
            if !self.cursor.take_text(")") {
                return self.expected("`)`");
            }
            return Ok(inner);
        }
        self.operand()
    }

    /// What may stand alone: also an argument, a list item, a map's key or value.
    fn operand(&mut self) -> Result<Expr, Error> {
        self.cursor.skip_space();
        match self.cursor.peek() {
            Some('$') => Ok(Expr::Reference(Box::new(self.reference_in_expression()?))),
            Some('"') => self.double_quoted(),
            Some('\'') => {
                let text = self.quoted('\'')?;
                Ok(Expr::String(Arc::from(text.replace("''", "'"))))
            }
            Some('[') => self.nested(Self::list_or_range),
            Some('{') => self.nested(Self::map),
            Some(char) if char.is_ascii_digit() || matches!(char, '-' | '.') => self.number(),
            _ if self.cursor.take_word("true") => Ok(Expr::Bool(true)),
            _ if self.cursor.take_word("false") => Ok(Expr::Bool(false)),
            _ => self.expected("a value"),
        }
    }

    /// The raw inside of quotes; doubled ones are still double.
    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        let start = self.cursor.at;
        self.cursor.at += 1;
        loop {
            self.cursor.take_while(|char| char != quote);
            let end = self.cursor.at;
            if self.cursor.peek().is_none() {
                return self.fail(start, Reason::Unterminated("text in quotes"));
            }
            self.cursor.at += 1;
            if self.cursor.peek() != Some(quote) {
                return Ok(self.cursor.slice(start + 1, end).to_owned());
            }
            self.cursor.at += 1;
        }
    }

    fn double_quoted(&mut self) -> Result<Expr, Error> {
        let mut place = self.cursor.place(self.cursor.at);
        place.column += 1;
        let text = self.quoted('"')?;
        let text = unescape_unicode(&text.replace("\"\"", "\""));
        if !text.contains(['$', '#']) {
            return Ok(Expr::String(Arc::from(text)));
        }
        self.nested(|outer| {
            let mut inner = Parser {
                cursor: Cursor::new(&text, place),
                names: &mut *outer.names,
                depth_left: outer.depth_left,
                loops: outer.loops,
            };
            let block = inner.whole()?;
            Ok(match block.as_slice() {
                [] => Expr::String(Arc::from("")),
                [crate::ast::Node::Text(text)] => Expr::String(Arc::from(&**text)),
                _ => Expr::Interpolated(block),
            })
        })
    }

    fn number(&mut self) -> Result<Expr, Error> {
        let start = self.cursor.at;
        self.cursor.take_text("-");
        let whole = self.cursor.take_while(|char| char.is_ascii_digit());
        let mut is_float = false;
        // `1..3` is a range, not `1.` and `.3`.
        if self.cursor.peek() == Some('.') && !self.cursor.rest().starts_with("..") {
            self.cursor.at += 1;
            let fraction = self.cursor.take_while(|char| char.is_ascii_digit());
            if whole.is_empty() && fraction.is_empty() {
                return self.fail(start, Reason::Expected("a number"));
            }
            is_float = true;
        } else if whole.is_empty() {
            return self.fail(start, Reason::Expected("a number"));
        }
        is_float |= self.take_exponent();
        let text = self.cursor.slice(start, self.cursor.at);
        if is_float {
            return match text.parse() {
                Ok(float) => Ok(Expr::Float(float)),
                Err(_) => self.fail(start, Reason::Expected("a number")),
            };
        }
        match text.parse() {
            Ok(int) => Ok(Expr::Int(int)),
            Err(_) => self.fail(start, Reason::Number),
        }
    }

    fn take_exponent(&mut self) -> bool {
        let rest = self.cursor.rest();
        let Some(after) = rest.strip_prefix(['e', 'E']) else { return false };
        let digits = after.strip_prefix(['+', '-']).unwrap_or(after);
        if !digits.starts_with(|char: char| char.is_ascii_digit()) {
            return false;
        }
        self.cursor.at += rest.len() - digits.len();
        self.cursor.take_while(|char| char.is_ascii_digit());
        true
    }

    fn list_or_range(&mut self) -> Result<Expr, Error> {
        self.cursor.at += 1;
        self.cursor.skip_space();
        if self.cursor.take_text("]") {
            return Ok(Expr::List(Vec::new()));
        }
        let first = self.operand()?;
        self.cursor.skip_space();
        if self.cursor.take_text("..") {
            let last = self.operand()?;
            self.cursor.skip_space();
            if !self.cursor.take_text("]") {
                return self.expected("`]`");
            }
            return Ok(Expr::Range(Box::new((first, last))));
        }
        let mut items = vec![first];
        while self.cursor.take_text(",") {
            items.push(self.operand()?);
            self.cursor.skip_space();
        }
        if !self.cursor.take_text("]") {
            return self.expected("`,` or `]`");
        }
        Ok(Expr::List(items))
    }

    fn map(&mut self) -> Result<Expr, Error> {
        self.cursor.at += 1;
        self.cursor.skip_space();
        let mut entries = Vec::new();
        if self.cursor.take_text("}") {
            return Ok(Expr::Map(entries));
        }
        loop {
            let key = self.operand()?;
            self.cursor.skip_space();
            if !self.cursor.take_text(":") {
                return self.expected("`:`");
            }
            let value = self.operand()?;
            entries.push((key, value));
            self.cursor.skip_space();
            if self.cursor.take_text("}") {
                return Ok(Expr::Map(entries));
            }
            if !self.cursor.take_text(",") {
                return self.expected("`,` or `}`");
            }
        }
    }

    /// A reference where a value is expected: `$` alone is an error.
    pub(super) fn reference_in_expression(&mut self) -> Result<Reference, Error> {
        match self.reference(0)? {
            Some(reference) => Ok(reference),
            None => self.expected("a reference such as `$name`"),
        }
    }

    /// A reference whose first name is known to be there.
    pub(super) fn reference_at(&mut self, backslashes: usize) -> Result<Reference, Error> {
        let start = self.cursor.at;
        let place = self.cursor.place(start);
        self.cursor.at += 1;
        let quiet = self.cursor.take_text("!");
        let braces = self.cursor.take_text("{");
        let root = self.cursor.take_while(is_name);
        let mut steps = Vec::new();
        loop {
            match self.cursor.peek() {
                Some('[') => {
                    self.cursor.at += 1;
                    let index = self.operand()?;
                    self.cursor.skip_space();
                    if !self.cursor.take_text("]") {
                        return self.expected("`]`");
                    }
                    steps.push(Step::Index(index));
                }
                Some('.')
                    if self.cursor.rest()[1..].starts_with(|c: char| c.is_ascii_alphabetic()) =>
                {
                    self.cursor.at += 1;
                    steps.push(self.member()?);
                }
                _ => break,
            }
        }
        if braces && !self.cursor.take_text("}") {
            return self.expected("`}`");
        }
        let home = self.home(root, &steps, start)?;
        let path = steps.iter().map(|step| match step {
            Step::Property(name) => Some(name.clone()),
            Step::Call(..) | Step::Index(_) => None,
        });
        Ok(Reference {
            path: path.collect(),
            root: root.into(),
            home,
            steps,
            quiet,
            backslashes: backslashes / 2,
            escaped: backslashes % 2 == 1,
            source: self.cursor.slice(start, self.cursor.at).into(),
            place,
        })
    }

    fn home(&mut self, root: &str, steps: &[Step], at: usize) -> Result<Home, Error> {
        match root {
            "foreach" if 0 < self.loops => {
                let mut parents = 0;
                for step in steps {
                    let Step::Property(name) = step else { break };
                    let field = match &**name {
                        "parent" => {
                            parents += 1;
                            continue;
                        }
                        "count" => LoopField::Count,
                        "first" => LoopField::First,
                        "hasNext" => LoopField::HasNext,
                        "index" => LoopField::Index,
                        "last" => LoopField::Last,
                        _ => break,
                    };
                    if parents + 1 == steps.len() {
                        return Ok(Home::Loop { parents, field });
                    }
                    break;
                }
                self.fail(
                    at,
                    Reason::Expected(
                        "`$foreach.index`, `count`, `hasNext`, `first`, `last`, after any `parent`",
                    ),
                )
            }
            "velocityCount" if 0 < self.loops && steps.is_empty() => {
                Ok(Home::Loop { parents: 0, field: LoopField::Count })
            }
            "velocityHasNext" if 0 < self.loops && steps.is_empty() => {
                Ok(Home::Loop { parents: 0, field: LoopField::HasNext })
            }
            _ => Ok(match self.names.slots.get(root) {
                Some(slot) => Home::Slot(*slot),
                None => Home::Scope,
            }),
        }
    }

    /// `name` or `name(…)` behind a dot.
    fn member(&mut self) -> Result<Step, Error> {
        let at = self.cursor.at;
        let name = self.cursor.take_while(is_name);
        if matches!(name, "class" | "getClass") {
            return self.fail(at, Reason::Forbidden(name.to_owned()));
        }
        if !self.cursor.take_text("(") {
            return Ok(Step::Property(name.into()));
        }
        let args = self.nested(Self::arguments)?;
        let mut pattern = None;
        if let (true, Some(Expr::String(text))) = (PATTERN_METHODS.contains(&name), args.first()) {
            match Pattern::new(text) {
                Ok(compiled) => pattern = Some(Box::new(compiled)),
                Err(reason) => return self.fail(at, Reason::Regex(reason)),
            }
        }
        Ok(Step::Call(name.into(), args, pattern))
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Error> {
        let mut args = Vec::new();
        self.cursor.skip_space();
        if self.cursor.take_text(")") {
            return Ok(args);
        }
        loop {
            args.push(self.operand()?);
            self.cursor.skip_space();
            if self.cursor.take_text(")") {
                return Ok(args);
            }
            if !self.cursor.take_text(",") {
                return self.expected("`,` or `)`");
            }
        }
    }
}

/// Replaces `\u0041` by its character; other backslashes stay.
fn unescape_unicode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\u") {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let digits = escape.get(2..6).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let char =
            digits.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
        match char {
            Some(char) => {
                out.push(char);
                rest = &escape[6..];
            }
            None => {
                out.push_str("\\u");
                rest = &escape[2..];
            }
        }
    }
    out.push_str(rest);
    out
}
