//! Text to steps.

use crate::error::{Error, Reason};
use crate::filter::{self, Test};
use crate::path::{Function, Step};

/// Longest accepted path, in characters: the longest field that may hold one
/// is far shorter, and everything below stays linear in it.
const PATH_CHARS_MAX: usize = 8 * 1024;

/// Reads a whole path, with or without its leading `$`.
pub(crate) fn path(text: &str) -> Result<Vec<Step>, Error> {
    let mut reader = Reader::new(text.trim())?;
    match reader.peek() {
        None => Err(reader.expected("a path")),
        Some('$' | '@') => {
            reader.take();
            reader.steps(0)
        }
        // As in Jayway, `a.b` means `$.a.b`.
        Some('[') => reader.steps(0),
        Some('.') => Err(reader.expected("`$` or a name")),
        Some(_) => reader.steps_from_name(),
    }
}

/// Reads the steps behind `$`.
pub(crate) fn tail(text: &str) -> Result<Vec<Step>, Error> {
    Reader::new(text)?.steps(0)
}

/// The characters of a path and a place in them.
#[derive(Debug)]
pub(crate) struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn new(text: &str) -> Result<Self, Error> {
        let chars: Vec<char> = text.chars().collect();
        if PATH_CHARS_MAX < chars.len() {
            return Err(Error { column: PATH_CHARS_MAX, reason: Reason::PathLength });
        }
        Ok(Self { chars, at: 0 })
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(crate) fn take(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += 1;
        Some(char)
    }

    /// Takes `text` if it comes next.
    pub(crate) fn take_text(&mut self, text: &str) -> bool {
        let mut at = self.at;
        for char in text.chars() {
            if self.chars.get(at) != Some(&char) {
                return false;
            }
            at += 1;
        }
        self.at = at;
        true
    }

    pub(crate) fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&accept) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    pub(crate) fn skip_space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    pub(crate) fn fail(&self, reason: Reason) -> Error {
        Error { column: self.at + 1, reason }
    }

    pub(crate) fn expected(&self, what: &'static str) -> Error {
        self.fail(Reason::Expected(what))
    }

    /// Takes `char` or fails, naming it as `what`.
    pub(crate) fn expect(&mut self, char: char, what: &'static str) -> Result<(), Error> {
        if self.peek() == Some(char) {
            self.at += 1;
            return Ok(());
        }
        Err(self.expected(what))
    }

    fn steps_from_name(&mut self) -> Result<Vec<Step>, Error> {
        let first = self.name_or_function()?;
        let mut steps = vec![first];
        self.more_steps(&mut steps, 0)?;
        self.end(steps)
    }

    fn steps(&mut self, depth: usize) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        self.more_steps(&mut steps, depth)?;
        self.end(steps)
    }

    fn end(&self, steps: Vec<Step>) -> Result<Vec<Step>, Error> {
        match self.peek() {
            None => Ok(steps),
            Some(_) => Err(self.expected("`.` or `[`")),
        }
    }

    /// Reads the steps of a path inside a filter, up to what cannot belong to it.
    pub(crate) fn filter_path(&mut self, depth: usize) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        self.more_steps(&mut steps, depth)?;
        Ok(steps)
    }

    fn more_steps(&mut self, steps: &mut Vec<Step>, depth: usize) -> Result<(), Error> {
        loop {
            let step = match self.peek() {
                Some('.') if self.take_text("..") => {
                    steps.push(Step::Descend);
                    match self.peek() {
                        Some('[') => self.brackets(depth)?,
                        _ => self.dotted(depth)?,
                    }
                }
                Some('.') => {
                    self.take();
                    match self.peek() {
                        Some('[') => self.brackets(depth)?,
                        _ => self.dotted(depth)?,
                    }
                }
                Some('[') => self.brackets(depth)?,
                _ => return Ok(()),
            };
            let is_function = matches!(step, Step::Function(_));
            steps.push(step);
            if is_function && matches!(self.peek(), Some('.' | '[')) {
                return Err(self.fail(Reason::FunctionNotLast));
            }
        }
    }

    fn dotted(&mut self, depth: usize) -> Result<Step, Error> {
        if self.peek() == Some('*') {
            self.take();
            return Ok(Step::Wildcard);
        }
        if depth == 0 { self.name_or_function() } else { self.filter_name_or_function() }
    }

    fn name_or_function(&mut self) -> Result<Step, Error> {
        self.named(|char| !matches!(char, '.' | '[' | '(') && !char.is_whitespace())
    }

    /// Inside a filter a name also ends where an operator may begin.
    fn filter_name_or_function(&mut self) -> Result<Step, Error> {
        self.named(|char| {
            !matches!(
                char,
                '.' | '[' | '(' | ')' | ']' | '}' | ',' | '=' | '!' | '<' | '>' | '&' | '|' | '~'
            ) && !char.is_whitespace()
        })
    }

    fn named(&mut self, accept: impl Fn(char) -> bool) -> Result<Step, Error> {
        let start = self.at;
        let name = self.take_while(accept);
        if name.is_empty() {
            return Err(self.expected("a name"));
        }
        if self.peek() != Some('(') {
            return Ok(Step::Member(name));
        }
        let Some(function) = Function::from_name(&name) else {
            self.at = start;
            return Err(self.fail(Reason::Function(name)));
        };
        self.take();
        self.skip_space();
        self.expect(')', "`)`: functions take no arguments")?;
        Ok(Step::Function(function))
    }

    fn brackets(&mut self, depth: usize) -> Result<Step, Error> {
        self.expect('[', "`[`")?;
        self.skip_space();
        let step = match self.peek() {
            None => return Err(self.fail(Reason::Unterminated("bracket"))),
            Some(']') => return Err(self.fail(Reason::EmptyBrackets)),
            Some('*') => {
                self.take();
                Step::Wildcard
            }
            Some('\'' | '"') => self.quoted_names()?,
            Some('?') => {
                self.take();
                self.skip_space();
                Step::Filter(self.filter(depth)?)
            }
            Some(_) => self.numbers()?,
        };
        self.skip_space();
        self.expect(']', "`]`")?;
        Ok(step)
    }

    fn filter(&mut self, depth: usize) -> Result<Test, Error> {
        self.expect('(', "`(`")?;
        let test = filter::test(self, depth + 1)?;
        self.skip_space();
        self.expect(')', "`)`")?;
        Ok(test)
    }

    fn quoted_names(&mut self) -> Result<Step, Error> {
        let first = self.quoted()?;
        let mut names = vec![first];
        loop {
            self.skip_space();
            if self.peek() != Some(',') {
                break;
            }
            self.take();
            self.skip_space();
            names.push(self.quoted()?);
        }
        if names.len() == 1 {
            return Ok(Step::Member(names.swap_remove(0)));
        }
        Ok(Step::Members(names))
    }

    /// Reads a text in single or double quotes with JSON's and JavaScript's escapes.
    pub(crate) fn quoted(&mut self) -> Result<String, Error> {
        let Some(quote @ ('\'' | '"')) = self.peek() else {
            return Err(self.expected("a quoted name"));
        };
        self.take();
        let mut text = String::new();
        loop {
            let unterminated = self.fail(Reason::Unterminated("quotes"));
            match self.take() {
                None => return Err(unterminated),
                Some(char) if char == quote => return Ok(text),
                Some('\\') => match self.take() {
                    None => return Err(unterminated),
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('b') => text.push('\u{8}'),
                    Some('f') => text.push('\u{c}'),
                    Some('u') => text.push(self.unicode_escape()?),
                    Some(char) => text.push(char),
                },
                Some(char) => text.push(char),
            }
        }
    }

    fn unicode_escape(&mut self) -> Result<char, Error> {
        let first = self.hex4()?;
        if let Some(char) = char::from_u32(first) {
            return Ok(char);
        }
        // A surrogate: only a pair is a character.
        if (0xd800..0xdc00).contains(&first) && self.take_text("\\u") {
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return char::from_u32(code).ok_or_else(|| self.expected("a character"));
            }
        }
        Err(self.expected("the second half of a surrogate pair"))
    }

    fn hex4(&mut self) -> Result<u32, Error> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|char| char.to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.expected("four hexadecimal digits"))?;
            self.take();
        }
        Ok(code)
    }

    /// `1`, `-1`, `1,2`, `1:`, `:2`, `1:2`
    fn numbers(&mut self) -> Result<Step, Error> {
        let first = self.optional_integer()?;
        self.skip_space();
        if self.peek() == Some(':') {
            self.take();
            self.skip_space();
            let last = self.optional_integer()?;
            self.skip_space();
            if self.peek() == Some(':') {
                return Err(self.fail(Reason::SliceStep));
            }
            if first.is_none() && last.is_none() {
                return Err(self.expected("a number"));
            }
            return Ok(Step::Slice(first, last));
        }
        let Some(first) = first else {
            return Err(self.expected("a number, a quoted name, `*` or `?(`"));
        };
        let mut indexes = vec![first];
        while self.peek() == Some(',') {
            self.take();
            self.skip_space();
            let index = self.optional_integer()?;
            indexes.push(index.ok_or_else(|| self.expected("a number"))?);
            self.skip_space();
        }
        Ok(if indexes.len() == 1 { Step::Index(first) } else { Step::Indexes(indexes) })
    }

    fn optional_integer(&mut self) -> Result<Option<i64>, Error> {
        let start = self.at;
        let minus = self.take_text("-");
        let digits = self.take_while(|char| char.is_ascii_digit());
        if digits.is_empty() {
            return if minus { Err(self.expected("a number")) } else { Ok(None) };
        }
        match digits.parse::<i32>() {
            Ok(number) => Ok(Some(i64::from(if minus { -number } else { number }))),
            Err(_) => {
                self.at = start;
                Err(self.fail(Reason::Number))
            }
        }
    }
}
