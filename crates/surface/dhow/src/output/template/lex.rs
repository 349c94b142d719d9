//! Cuts the text of a template into tokens.
//!
//! Owns: the delimiters, trim markers, comments and the shape of words, numbers and quoted text, as Go's `text/template`
//! reads them (<https://pkg.go.dev/text/template>). Must not know: what any of it means; whether a number or an escape is
//! well formed is the parser's business.
//!
//! The whole text is cut before parsing starts. A fault becomes the last token, so that the parser reports it only
//! when it gets there and an earlier fault of grammar wins, as it does in Go.

use std::fmt;

/// What a token is. The keywords come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A fault; the text is the message.
    Error,
    Bool,
    /// A printable ASCII character of no other kind, such as the comma.
    Char,
    CharConstant,
    Assign,
    Declare,
    Eof,
    /// `.Name`
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    /// A run of blanks between arguments.
    Space,
    String,
    /// Text outside of actions.
    Text,
    /// `$` or `$name`
    Variable,
    Block,
    Break,
    Continue,
    Define,
    Dot,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// One token with the place where it starts.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Byte offset in the text.
    pub(super) pos: usize,
    /// Line, from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Eof => f.write_str("EOF"),
            Kind::Error => f.write_str(&self.text),
            kind if kind as u8 >= Kind::Block as u8 => write!(f, "<{}>", self.text),
            _ if self.text.len() > 10 => {
                let head: String = self.text.chars().take(10).collect();
                write!(f, "{}...", super::quote::quote(&head))
            }
            _ => f.write_str(&super::quote::quote(&self.text)),
        }
    }
}

fn keyword(word: &str) -> Option<Kind> {
    Some(match word {
        "block" => Kind::Block,
        "break" => Kind::Break,
        "continue" => Kind::Continue,
        "define" => Kind::Define,
        "else" => Kind::Else,
        "end" => Kind::End,
        "if" => Kind::If,
        "nil" => Kind::Nil,
        "range" => Kind::Range,
        "template" => Kind::Template,
        "with" => Kind::With,
        "true" | "false" => Kind::Bool,
        _ => return None,
    })
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const OPEN_COMMENT: &str = "/*";
const CLOSE_COMMENT: &str = "*/";
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
const DECIMAL: &str = "0123456789_";
const HEXADECIMAL: &str = "0123456789abcdefABCDEF_";

/// All tokens of `text`; the last is `Eof` or `Error`.
pub(super) fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, pos: 0, start: 0, counted: 0, line: 1, parens: 0, tokens: Vec::new() };
    if let Err(message) = lexer.run() {
        lexer.push(Kind::Error, message);
    }
    lexer.tokens
}

struct Lexer<'t> {
    text: &'t str,
    pos: usize,
    /// Where the token being read starts.
    start: usize,
    /// Up to where line breaks were counted, and the line reached there.
    counted: usize,
    line: usize,
    parens: usize,
    tokens: Vec<Token>,
}

type Step<T = ()> = Result<T, String>;

impl Lexer<'_> {
    fn run(&mut self) -> Step {
        while self.read_text() {
            if self.read_left_delim()? {
                while !self.read_in_action()? {}
            }
        }
        self.emit(Kind::Eof);
        Ok(())
    }

    fn rest(&self) -> &str {
        &self.text[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        if found {
            self.pos += 1;
        }
        found
    }

    fn accept_run(&mut self, set: &str) {
        while self.accept(set) {}
    }

    fn push(&mut self, kind: Kind, text: String) {
        let skipped = &self.text.as_bytes()[self.counted..self.start];
        self.line += skipped.iter().filter(|&&b| b == b'\n').count();
        self.counted = self.start;
        self.tokens.push(Token { kind, pos: self.start, line: self.line, text });
    }

    fn emit(&mut self, kind: Kind) {
        self.push(kind, self.text[self.start..self.pos].to_owned());
        self.start = self.pos;
    }

    fn emit_end(&mut self, kind: Kind) -> Step<bool> {
        self.emit(kind);
        Ok(false)
    }

    /// Reads up to the next action. False: there is none.
    fn read_text(&mut self) -> bool {
        let Some(at) = self.rest().find(LEFT) else {
            self.pos = self.text.len();
            if self.pos > self.start {
                self.emit(Kind::Text);
            }
            return false;
        };
        let delim = self.pos + at;
        let mut text = &self.text[self.pos..delim];
        if has_left_trim(&self.text[delim + LEFT.len()..]) {
            text = text.trim_end_matches(BLANKS);
        }
        self.pos += text.len();
        if !text.is_empty() {
            self.emit(Kind::Text);
        }
        self.pos = delim;
        self.start = delim;
        true
    }

    /// Reads the opening delimiter or a whole comment. True: inside an action now.
    fn read_left_delim(&mut self) -> Step<bool> {
        self.pos += LEFT.len();
        let marker = if has_left_trim(self.rest()) { 2 } else { 0 };
        if self.rest()[marker..].starts_with(OPEN_COMMENT) {
            self.pos += marker;
            self.start = self.pos;
            return self.read_comment();
        }
        self.emit(Kind::LeftDelim);
        self.pos += marker;
        self.start = self.pos;
        self.parens = 0;
        Ok(true)
    }

    fn read_comment(&mut self) -> Step<bool> {
        self.pos += OPEN_COMMENT.len();
        let end = self.rest().find(CLOSE_COMMENT).ok_or("unclosed comment")?;
        self.pos += end + CLOSE_COMMENT.len();
        let trim = at_right_delim(self.rest()).ok_or("comment ends before closing delimiter")?;
        self.skip_right_delim(trim);
        Ok(false)
    }

    fn skip_right_delim(&mut self, trim: bool) {
        self.pos += RIGHT.len();
        if trim {
            self.pos += 2;
            let rest = self.rest();
            self.pos += rest.len() - rest.trim_start_matches(BLANKS).len();
        }
        self.start = self.pos;
    }

    /// Reads one token of an action. True: the action is closed.
    fn read_in_action(&mut self) -> Step<bool> {
        if let Some(trim) = at_right_delim(self.rest()) {
            if self.parens > 0 {
                return Err("unclosed left paren".into());
            }
            self.push(Kind::RightDelim, RIGHT.to_owned());
            self.skip_right_delim(trim);
            return Ok(true);
        }
        let c = self.next().ok_or("unclosed action")?;
        match c {
            _ if BLANKS.contains(&c) => {
                self.read_space();
                Ok(false)
            }
            '=' => self.emit_end(Kind::Assign),
            ':' if self.next() == Some('=') => self.emit_end(Kind::Declare),
            ':' => Err("expected :=".into()),
            '|' => self.emit_end(Kind::Pipe),
            '"' => self.read_quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.read_quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => {
                let end = self.rest().find('`').ok_or("unterminated raw quoted string")?;
                self.pos += end + 1;
                self.emit_end(Kind::RawString)
            }
            '$' => self.read_name(Kind::Variable),
            '.' if self.peek().is_some_and(|c| !c.is_ascii_digit()) => self.read_name(Kind::Field),
            '.' | '+' | '-' | '0'..='9' => {
                self.pos = self.start;
                self.read_number()
            }
            '(' => {
                self.parens += 1;
                self.emit_end(Kind::LeftParen)
            }
            ')' => {
                self.parens = self.parens.checked_sub(1).ok_or("unexpected right paren")?;
                self.emit_end(Kind::RightParen)
            }
            _ if is_alphanumeric(c) => self.read_name(Kind::Identifier),
            ' '..='~' => self.emit_end(Kind::Char),
            _ => Err(format!("unrecognized character in action: {}", code_point(Some(c)))),
        }
    }

    /// A run of blanks; the first is read. The blank of a trim marker before the closing delimiter stays unread.
    fn read_space(&mut self) {
        while self.peek().is_some_and(|c| BLANKS.contains(&c)) {
            self.pos += 1;
        }
        // Blanks are one byte each, so stepping back by one stays on a character.
        if at_right_delim(&self.text[self.pos - 1..]) == Some(true) {
            self.pos -= 1;
        }
        if self.pos > self.start {
            self.emit(Kind::Space);
        }
    }

    /// `word`, `.word`, `$word`, `.` or `$`; the first character is read.
    fn read_name(&mut self, kind: Kind) -> Step<bool> {
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
        if !self.at_terminator() {
            return Err(format!("bad character {}", code_point(self.peek())));
        }
        let word = &self.text[self.start..self.pos];
        let kind = match (kind, word) {
            (Kind::Field, ".") => Kind::Dot,
            (Kind::Identifier, word) => keyword(word).unwrap_or(kind),
            _ => kind,
        };
        self.emit_end(kind)
    }

    /// Whether a name may end here: `$x+2` is refused.
    fn at_terminator(&self) -> bool {
        self.peek().is_none_or(|c| BLANKS.contains(&c) || matches!(c, '.' | ',' | '|' | ':' | ')' | '('))
            || self.rest().starts_with(RIGHT)
    }

    fn read_quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Step<bool> {
        loop {
            match self.next() {
                Some('\\') if self.next().is_some_and(|c| c != '\n') => {}
                None | Some('\\' | '\n') => return Err(unterminated.into()),
                Some(c) if c == quote => return self.emit_end(kind),
                Some(_) => {}
            }
        }
    }

    /// Takes what looks like a number; the parser checks it. Imaginary numbers are taken, to be refused there.
    fn read_number(&mut self) -> Step<bool> {
        self.accept("+-");
        let mut digits = DECIMAL;
        if self.accept("0") {
            if self.accept("xX") {
                digits = HEXADECIMAL;
            } else {
                self.accept("oObB");
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if self.accept(if digits == DECIMAL { "eE" } else { "pP" }) {
            self.accept("+-");
            self.accept_run(DECIMAL);
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return Err(format!("bad number syntax: {}", super::quote::quote(&self.text[self.start..self.pos])));
        }
        self.emit_end(Kind::Number)
    }
}

/// Whether `rest`, the text after an opening delimiter, starts with a trim marker: a minus and a blank.
fn has_left_trim(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(BLANKS))
}

/// Whether `rest` starts with the closing delimiter, and if so whether a trim marker (a blank and a minus) precedes it.
fn at_right_delim(rest: &str) -> Option<bool> {
    if rest.starts_with(RIGHT) {
        return Some(false);
    }
    let trimmed = rest.strip_prefix(BLANKS)?.strip_prefix('-')?;
    trimmed.starts_with(RIGHT).then_some(true)
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// `U+00E9 'é'`, as Go's `%#U` prints.
fn code_point(c: Option<char>) -> String {
    match c {
        None => "U+FFFFFFFFFFFFFFFF".into(),
        Some(c) if super::quote::is_print(c) => format!("U+{:04X} '{c}'", c as u32),
        Some(c) => format!("U+{:04X}", c as u32),
    }
}
