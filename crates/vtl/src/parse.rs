//! Source to nodes: text, directives and what stands between them.
//!
//! The rules of white space, escapes and of what counts as plain text are those
//! of Velocity 1.7, checked against the engine itself (see the case files).

mod cursor;
mod expression;

use std::collections::HashMap;

use crate::ast::{Block, Foreach, Home, Node, Place, Reference};
use crate::error::{Error, Reason};
use crate::template::SOURCE_BYTES_MAX;

use cursor::Cursor;

/// How deep blocks, arguments, parentheses and texts may nest in a source.
const DEPTH_MAX: usize = 64;

/// Directives of Velocity that a backslash escapes.
const DIRECTIVES: [&str; 13] = [
    "break", "define", "else", "elseif", "end", "evaluate", "foreach", "if", "include", "macro",
    "parse", "set", "stop",
];

/// Compiles a whole template; also returns how many names it assigns.
pub(crate) fn template(source: &str) -> Result<(Block, usize), Error> {
    if SOURCE_BYTES_MAX < source.len() {
        return Err(Error { line: 1, column: 1, reason: Reason::SourceLength });
    }
    let mut names = Names::default();
    let block = parse(source, &mut names)?;
    if names.slots.is_empty() {
        return Ok((block, 0));
    }
    // A name may be read above the line that assigns it, in a loop: only now are all known.
    let block = parse(source, &mut names)?;
    Ok((block, names.slots.len()))
}

fn parse(source: &str, names: &mut Names) -> Result<Block, Error> {
    let mut parser = Parser {
        cursor: Cursor::new(source, Place { line: 1, column: 1 }),
        names,
        depth_left: DEPTH_MAX,
        loops: 0,
    };
    parser.whole()
}

/// The names that a template assigns, and where they live.
#[derive(Debug, Default)]
struct Names {
    slots: HashMap<Box<str>, usize>,
}

impl Names {
    fn assign(&mut self, name: &str) -> usize {
        if let Some(slot) = self.slots.get(name) {
            return *slot;
        }
        let slot = self.slots.len();
        self.slots.insert(name.into(), slot);
        slot
    }
}

/// How a block ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    Else,
    ElseIf,
    End,
    Source,
}

struct Parser<'s, 'n> {
    cursor: Cursor<'s>,
    names: &'n mut Names,
    depth_left: usize,
    /// `#foreach`s around this place.
    loops: usize,
}

impl<'s> Parser<'s, '_> {
    fn fail<T>(&mut self, at: usize, reason: Reason) -> Result<T, Error> {
        let Place { line, column } = self.cursor.place(at);
        Err(Error { line, column, reason })
    }

    fn expected<T>(&mut self, what: &'static str) -> Result<T, Error> {
        let at = self.cursor.at;
        self.fail(at, Reason::Expected(what))
    }

    /// Runs `inner` one level deeper.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth_left == 0 {
            let at = self.cursor.at;
            return self.fail(at, Reason::Depth);
        }
        self.depth_left -= 1;
        let result = inner(self);
        self.depth_left += 1;
        result
    }

    fn whole(&mut self) -> Result<Block, Error> {
        let (block, end, at) = self.block()?;
        match end {
            Stop::Source => Ok(block),
            Stop::Else => self.fail(at, Reason::Unopened("else")),
            Stop::ElseIf => self.fail(at, Reason::Unopened("elseif")),
            Stop::End => self.fail(at, Reason::Unopened("end")),
        }
    }

    /// Reads up to the directive that ends the block, which is taken. Also
    /// returns where that directive begins.
    fn block(&mut self) -> Result<(Block, Stop, usize), Error> {
        let mut out = Pieces::default();
        loop {
            // Blanks in front of `#set` vanish, but only where no text runs into them.
            if let Some(length) = self.set_ahead() {
                self.cursor.at += length;
                self.set(&mut out)?;
                continue;
            }
            let text = self.cursor.take_while(|char| !matches!(char, '$' | '#' | '\\'));
            out.text(text);
            let at = self.cursor.at;
            match self.cursor.peek() {
                None => return Ok((out.finish(), Stop::Source, at)),
                Some('$') => self.dollar(0, &mut out)?,
                Some('\\') => self.backslashes(&mut out)?,
                Some(_) => {
                    if self.set_ahead().is_some() {
                        continue;
                    }
                    if let Some(end) = self.hash(&mut out)? {
                        return Ok((out.finish(), end, at));
                    }
                }
            }
        }
    }

    /// Length of blanks, `#set` and its opening parenthesis, if they come next.
    fn set_ahead(&self) -> Option<usize> {
        let rest = self.cursor.rest();
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let word = ["#set", "#{set}"].iter().find(|word| rest[blanks..].starts_with(**word))?;
        let after = &rest[blanks + word.len()..];
        let gap = after.len() - after.trim_start_matches([' ', '\t']).len();
        after[gap..].starts_with('(').then_some(blanks + word.len() + gap + 1)
    }

    fn set(&mut self, out: &mut Pieces) -> Result<(), Error> {
        self.cursor.skip_space();
        let at = self.cursor.at;
        let mut target = match self.cursor.peek() {
            Some('$') => self.reference_in_expression()?,
            _ => return self.expected("a reference such as `$name`"),
        };
        if let Some(crate::ast::Step::Call(..)) = target.steps.last() {
            return self.fail(at, Reason::Expected("a name, not a method"));
        }
        if target.steps.is_empty() {
            target.home = self.assign(&target.root, at)?;
        }
        self.cursor.skip_space();
        if !self.cursor.take_text("=") {
            return self.expected("`=`");
        }
        let value = self.expression()?;
        self.close_directive()?;
        out.push(Node::Set(Box::new(target), value));
        Ok(())
    }

    fn assign(&mut self, name: &str, at: usize) -> Result<Home, Error> {
        if matches!(name, "foreach" | "velocityCount" | "velocityHasNext") {
            return self.fail(at, Reason::NotAssignable(name.to_owned()));
        }
        Ok(Home::Slot(self.names.assign(name)))
    }

    /// `)`, and the rest of its line if that is blank.
    fn close_directive(&mut self) -> Result<(), Error> {
        self.cursor.skip_space();
        if !self.cursor.take_text(")") {
            return self.expected("`)`");
        }
        self.cursor.take_blank_line_end();
        Ok(())
    }

    fn backslashes(&mut self, out: &mut Pieces) -> Result<(), Error> {
        let run = self.cursor.take_while(|char| char == '\\').len();
        match self.cursor.peek() {
            Some('$') => self.dollar(run, out),
            Some('#') => {
                let word = self.cursor.directive_word();
                let mut known = word.is_some_and(|(name, _)| DIRECTIVES.contains(&name));
                if run.is_multiple_of(2) && self.set_ahead().is_some() {
                    known = false; // Velocity keeps all backslashes before `#set`.
                }
                match (word, run % 2) {
                    (Some((_, length)), 1) => {
                        // Escaped: the word is text.
                        out.backslashes(if known { run / 2 } else { run });
                        out.text(&self.cursor.rest()[..length]);
                        self.cursor.at += length;
                    }
                    // The directive is taken next.
                    _ => out.backslashes(if known { run / 2 } else { run }),
                }
                Ok(())
            }
            _ => {
                out.backslashes(run);
                Ok(())
            }
        }
    }

    /// A `$` with `run` backslashes before it, which are already taken.
    fn dollar(&mut self, run: usize, out: &mut Pieces) -> Result<(), Error> {
        let rest = self.cursor.rest();
        // `$\!x` is not a reference; one backslash goes.
        let slashes = rest[1..].len() - rest[1..].trim_start_matches('\\').len();
        if 0 < slashes && rest[1 + slashes..].starts_with('!') {
            let names = rest[2 + slashes..].trim_start_matches('{');
            if names.starts_with(is_name_start) {
                out.backslashes(run);
                out.text("$");
                out.backslashes(slashes - 1);
                out.text("!");
                self.cursor.at += 2 + slashes;
                return Ok(());
            }
        }
        if let Some(reference) = self.reference(run)? {
            out.push(Node::Reference(reference));
            return Ok(());
        }
        out.backslashes(run);
        out.text("$");
        self.cursor.at += 1;
        // Velocity loses the mark of a quiet reference that is none.
        let rest = self.cursor.rest();
        if rest.starts_with('!') && !rest.starts_with("!{") {
            self.cursor.at += 1;
        }
        Ok(())
    }

    /// A `#`: a comment, a directive, or text.
    fn hash(&mut self, out: &mut Pieces) -> Result<Option<Stop>, Error> {
        let rest = self.cursor.rest();
        if rest.starts_with("##") {
            self.cursor.take_line();
            return Ok(None);
        }
        if rest.starts_with("#*") {
            self.skip_to("*#", "comment")?;
            return Ok(None);
        }
        if rest.starts_with("#[[") {
            let text = self.skip_to("]]#", "`#[[`")?;
            out.text(&text[3..text.len() - 3]);
            return Ok(None);
        }
        let Some((name, length)) = self.cursor.directive_word() else {
            out.text("#");
            self.cursor.at += 1;
            // A number behind it ends the text: blanks before `#set` vanish here too.
            out.text(self.cursor.take_while(|char| char.is_ascii_digit()));
            return Ok(None);
        };
        self.directive(name, length, out)
    }

    fn skip_to(&mut self, close: &str, what: &'static str) -> Result<&'s str, Error> {
        let rest = self.cursor.rest();
        // The opening's own characters do not close it: `#*#`.
        let Some(found) = rest[2..].find(close) else {
            let at = self.cursor.at;
            return self.fail(at, Reason::Unterminated(what));
        };
        let length = 2 + found + close.len();
        self.cursor.at += length;
        Ok(&rest[..length])
    }

    fn directive(
        &mut self,
        name: &'s str,
        length: usize,
        out: &mut Pieces,
    ) -> Result<Option<Stop>, Error> {
        let at = self.cursor.at;
        self.cursor.at += length;
        match name {
            "if" => self.nested(|parser| parser.condition(at, out))?,
            "foreach" => self.nested(|parser| parser.foreach(at, out))?,
            "else" => {
                self.cursor.take_blank_line_end();
                return Ok(Some(Stop::Else));
            }
            "elseif" => return Ok(Some(Stop::ElseIf)),
            "end" => {
                self.cursor.take_blank_line_end();
                return Ok(Some(Stop::End));
            }
            "stop" => out.push(Node::Stop),
            "break" => {
                if self.cursor.rest().trim_start_matches([' ', '\t']).starts_with('(') {
                    return self.fail(at, Reason::Unsupported("break(…)".to_owned()));
                }
                out.push(if self.loops == 0 { Node::Stop } else { Node::Break });
            }
            // `#set` without a parenthesis is text, as in Velocity.
            "set" => out.text(self.cursor.slice(at, at + length)),
            "define" | "evaluate" | "include" | "macro" | "parse" => {
                return self.fail(at, Reason::Unsupported(name.to_owned()));
            }
            _ => {
                // A macro's call; colours such as `#fff` and lone words are text.
                if self.cursor.peek() == Some('(') || name.starts_with('@') {
                    return self.fail(at, Reason::Unsupported(name.to_owned()));
                }
                out.text(self.cursor.slice(at, at + length));
            }
        }
        Ok(None)
    }

    fn open_directive(&mut self) -> Result<(), Error> {
        self.cursor.skip_space();
        if self.cursor.take_text("(") { Ok(()) } else { self.expected("`(`") }
    }

    fn condition(&mut self, at: usize, out: &mut Pieces) -> Result<(), Error> {
        let mut arms = Vec::new();
        let mut otherwise = Block::new();
        let mut in_else = false;
        self.open_directive()?;
        let mut test = self.expression()?;
        self.close_directive()?;
        loop {
            let (block, end, end_at) = self.block()?;
            if in_else {
                otherwise = block;
            } else {
                arms.push((test, block));
                test = crate::ast::Expr::Bool(false);
            }
            match end {
                Stop::Source => return self.fail(at, Reason::Unterminated("`#if`")),
                Stop::End => break,
                Stop::Else if in_else => return self.fail(end_at, Reason::Unopened("else")),
                Stop::ElseIf if in_else => return self.fail(end_at, Reason::Unopened("elseif")),
                Stop::Else => in_else = true,
                Stop::ElseIf => {
                    self.open_directive()?;
                    test = self.expression()?;
                    self.close_directive()?;
                }
            }
        }
        out.push(Node::If { arms, otherwise });
        Ok(())
    }

    fn foreach(&mut self, at: usize, out: &mut Pieces) -> Result<(), Error> {
        self.open_directive()?;
        self.cursor.skip_space();
        let name_at = self.cursor.at;
        let item = match self.cursor.peek() {
            Some('$') => self.reference_in_expression()?,
            _ => return self.expected("a reference such as `$item`"),
        };
        if !item.steps.is_empty() {
            return self.fail(name_at, Reason::Expected("a plain name such as `$item`"));
        }
        let Home::Slot(slot) = self.assign(&item.root, name_at)? else {
            return self.fail(name_at, Reason::NotAssignable(item.root.into()));
        };
        self.cursor.skip_space();
        if !self.cursor.take_word("in") {
            return self.expected("`in`");
        }
        let list = self.expression()?;
        self.close_directive()?;
        self.loops += 1;
        let (body, end, end_at) = self.block()?;
        self.loops -= 1;
        match end {
            Stop::End => {}
            Stop::Source => return self.fail(at, Reason::Unterminated("`#foreach`")),
            Stop::Else => return self.fail(end_at, Reason::Unopened("else")),
            Stop::ElseIf => return self.fail(end_at, Reason::Unopened("elseif")),
        }
        out.push(Node::Foreach(Box::new(Foreach { slot, list, body })));
        Ok(())
    }

    /// A reference in text, or `None` if `$` is just a dollar sign.
    fn reference(&mut self, backslashes: usize) -> Result<Option<Reference>, Error> {
        let rest = self.cursor.rest();
        let mark = if rest.starts_with("$!") { 2 } else { 1 };
        let brace = rest[mark..].starts_with('{');
        if !rest[mark + usize::from(brace)..].starts_with(is_name_start) {
            return Ok(None);
        }
        self.nested(|parser| parser.reference_at(backslashes).map(Some))
    }
}

/// The nodes of a block; neighbouring texts become one.
#[derive(Default)]
struct Pieces {
    block: Block,
    text: String,
}

impl Pieces {
    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn backslashes(&mut self, count: usize) {
        self.text.extend(std::iter::repeat_n('\\', count));
    }

    fn push(&mut self, node: Node) {
        self.end_text();
        self.block.push(node);
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.block.push(Node::Text(std::mem::take(&mut self.text).into()));
        }
    }

    fn finish(mut self) -> Block {
        self.end_text();
        self.block
    }
}

fn is_name_start(char: char) -> bool {
    char.is_ascii_alphabetic() || char == '_'
}

fn is_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-')
}
