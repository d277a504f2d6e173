//! JSON with places, and with every duplicate key reported.

use std::collections::HashMap;

use api_model::{Diagnostics, Entry, Node, Position, Span, Value};

use crate::document::{Budget, DEPTH_MAX, report_duplicate};
use crate::{codes, scalar};

/// Reading cannot go on.
struct JsonError {
    code: &'static str,
    span: Span,
    message: &'static str,
}

/// Parses one JSON document ([RFC 8259]); nothing is returned after a syntax error.
///
/// [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259
pub(crate) fn parse(text: &str, file: u32, diagnostics: &mut Diagnostics) -> Option<Node> {
    let mut parser = Parser {
        text,
        at: 0,
        position: Position { line: 1, column: 1 },
        file,
        budget: Budget::default(),
        diagnostics,
    };
    match parser.document() {
        Ok(root) => Some(root),
        Err(JsonError { code, span, message }) => {
            let message = format!("not readable as JSON: {message}; nothing is read");
            diagnostics.error(code, span, message);
            None
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Byte offset; always on a character boundary.
    at: usize,
    position: Position,
    file: u32,
    budget: Budget,
    diagnostics: &'a mut Diagnostics,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<Node, JsonError> {
        let root = self.value(1)?;
        self.skip_space();
        if self.at < self.text.len() {
            return Err(self.error("something follows the document"));
        }
        Ok(root)
    }

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        self.skip_space();
        if depth > DEPTH_MAX {
            return Err(self.too_large("it is nested more than 100 levels deep"));
        }
        let start = self.position;
        let before = self.at;
        let value = match self.peek() {
            Some('{') => self.object(depth)?,
            Some('[') => self.array(depth)?,
            Some('"') => Value::String(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            Some('t') => self.word("true", Value::Bool(true))?,
            Some('f') => self.word("false", Value::Bool(false))?,
            Some('n') => self.word("null", Value::Null)?,
            Some(_) => return Err(self.error("expected a value")),
            None => return Err(self.error("the text ends where a value is expected")),
        };
        let text_bytes = if matches!(value, Value::String(_)) { self.at - before } else { 0 };
        if !self.budget.take(1, text_bytes) {
            return Err(self.too_large("it holds more values than are read"));
        }
        Ok(Node::new(value, self.span(start)))
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.bump();
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        self.skip_space();
        if self.peek() == Some('}') {
            self.bump();
            return Ok(Value::Map(entries));
        }
        loop {
            self.skip_space();
            let start = self.position;
            if self.peek() != Some('"') {
                return Err(self.error("expected a key in double quotes"));
            }
            let key = self.string()?;
            let key_span = self.span(start);
            self.skip_space();
            if self.peek() != Some(':') {
                return Err(self.error("expected `:` after the key"));
            }
            self.bump();
            let value = self.value(depth + 1)?;
            match seen.get(&key) {
                Some(&first) => report_duplicate(&key, first, key_span, self.diagnostics),
                None => {
                    seen.insert(key.clone(), key_span);
                    entries.push(Entry { key, key_span, value });
                }
            }
            self.skip_space();
            match self.bump() {
                Some(',') => {}
                Some('}') => return Ok(Value::Map(entries)),
                _ => return Err(self.error("expected `,` or `}` before this")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.bump();
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(']') {
            self.bump();
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            match self.bump() {
                Some(',') => {}
                Some(']') => return Ok(Value::List(items)),
                _ => return Err(self.error("expected `,` or `]` before this")),
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some(c) if c < ' ' => return Err(self.error("a raw control character in a string")),
                Some(c) => text.push(c),
                None => return Err(self.error("the text ends within a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        Ok(match self.bump() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let mut code = self.hex4()?;
                if (0xd800..0xdc00).contains(&code) {
                    if (self.bump(), self.bump()) != (Some('\\'), Some('u')) {
                        return Err(self.error("half of a surrogate pair"));
                    }
                    let low = self.hex4()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(self.error("half of a surrogate pair"));
                    }
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                match char::from_u32(code) {
                    Some(c) => c,
                    None => return Err(self.error("half of a surrogate pair")),
                }
            }
            _ => return Err(self.error("an unknown escape in a string")),
        })
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            match self.bump().and_then(|c| c.to_digit(16)) {
                Some(digit) => code = code * 16 + digit,
                None => return Err(self.error("`\\u` needs four hexadecimal digits")),
            }
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let before = self.at;
        while matches!(self.peek(), Some('0'..='9' | '-' | '+' | '.' | 'e' | 'E')) {
            self.bump();
        }
        let text = &self.text[before..self.at];
        if serde_json::from_str::<serde_json::Number>(text).is_err() {
            return Err(self.error("a malformed number before this"));
        }
        let number = scalar::number(text).map(Value::Number);
        Ok(number.unwrap_or_else(|| Value::String(text.to_owned())))
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("expected a value"));
        }
        for _ in 0..word.len() {
            self.bump();
        }
        Ok(value)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.bump();
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.position.line += 1;
            self.position.column = 1;
        } else {
            self.position.column += 1;
        }
        Some(c)
    }

    fn span(&self, start: Position) -> Span {
        Span { file: self.file, start, end: self.position }
    }

    fn error(&self, message: &'static str) -> JsonError {
        JsonError { code: codes::SYNTAX, span: self.span(self.position), message }
    }

    fn too_large(&self, message: &'static str) -> JsonError {
        JsonError { code: codes::TOO_LARGE, ..self.error(message) }
    }
}
