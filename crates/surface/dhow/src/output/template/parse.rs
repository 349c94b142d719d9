//! Builds the parse tree of a template from its tokens.
//!
//! Owns: the grammar of Go's `text/template`, the scope of variables, and the wording of syntax errors (which is Go's,
//! since people search for it). Must not know: data, or what functions do; it asks only whether a function exists.

use std::collections::HashMap;

use super::lex::{Kind, Token, lex};
use super::node::{Branch, Command, Expr, ExprKind, Invocation, List, Node, Pipe};
use super::number::Number;
use super::quote::{quote, unquote};

/// How deep control structures and parentheses may nest. Parsing, running and dropping the tree all recurse, and a
/// format somebody typed never comes near.
const MAX_NESTING: usize = 100;

/// A parsed template and those defined inside of it.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: List,
    pub(super) defined: HashMap<String, List>,
}

/// Parses `text`; the error is a full message in Go's words.
pub(super) fn parse(text: &str, is_function: fn(&str) -> bool) -> Result<Tree, String> {
    let mut parser = Parser {
        tokens: lex(text),
        next: 0,
        furthest: 0,
        action_line: 0,
        vars: vec!["$".to_owned()],
        range_depth: 0,
        depth: 0,
        defined: HashMap::new(),
        is_function,
    };
    let root = parser.root()?;
    let mut tree = Tree { root, defined: parser.defined };
    // The main template has a name as well, the empty one, and may be called or defined by it.
    if is_blank(&tree.root)
        && let Some(list) = tree.defined.remove("")
    {
        tree.root = list;
    }
    Ok(tree)
}

/// What ended a list of nodes.
#[derive(PartialEq)]
enum Stop {
    End,
    Else,
}

impl Stop {
    fn text(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Stop(Stop),
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    /// Index past the last token ever looked at; errors are reported on its line.
    furthest: usize,
    /// Line where the action being read started; 0 outside.
    action_line: usize,
    vars: Vec<String>,
    range_depth: usize,
    depth: usize,
    defined: HashMap<String, List>,
    is_function: fn(&str) -> bool,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn peek(&mut self) -> Token {
        let token = self.next();
        self.backup();
        token
    }

    /// The next token; at the end, the last one again and again.
    fn next(&mut self) -> Token {
        let token = self.tokens.get(self.next).or(self.tokens.last()).cloned();
        self.next += 1;
        self.furthest = self.furthest.max(self.next);
        token.expect("the lexer always ends with a token")
    }

    fn backup(&mut self) {
        self.next -= 1;
    }

    fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token {
        let token = self.next_non_space();
        self.backup();
        token
    }

    fn error<T>(&self, message: impl AsRef<str>) -> Parsed<T> {
        let last = self.furthest.clamp(1, self.tokens.len()) - 1;
        let line = self.tokens.get(last).map_or(1, |token| token.line);
        Err(format!("template: :{line}: {}", message.as_ref()))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {token} in {context}"));
        }
        let mut message = token.text.clone();
        if self.action_line != 0 && self.action_line != token.line {
            let action = if message.ends_with(" action") { "" } else { " in action" };
            message += &format!("{action} started at :{}", self.action_line);
        }
        self.error(message)
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_NESTING {
            return self.error(format!("exceeded maximum nesting depth ({MAX_NESTING})"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Runs `parse` for the body of another template, which sees no variable but `$`.
    fn in_template<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let vars = std::mem::replace(&mut self.vars, vec!["$".to_owned()]);
        let range_depth = std::mem::take(&mut self.range_depth);
        let parsed = self.nested(parse);
        self.vars = vars;
        self.range_depth = range_depth;
        parsed
    }

    fn root(&mut self) -> Parsed<List> {
        let mut list = List::new();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let start = self.next;
                self.next();
                if self.next_non_space().kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.next = start;
            }
            match self.text_or_action()? {
                Item::Node(node) => list.push(node),
                Item::Stop(stop) => return self.error(format!("unexpected {}", stop.text())),
            }
        }
        Ok(list)
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        self.body_of(name, CONTEXT)
    }

    fn body_of(&mut self, name: String, context: &str) -> Parsed<()> {
        let (list, stop) = self.in_template(Self::item_list)?;
        if stop != Stop::End {
            return self.error(format!("unexpected {} in {context}", stop.text()));
        }
        // A blank definition neither replaces nor conflicts with another one.
        if self.defined.get(&name).is_none_or(is_blank) {
            self.defined.insert(name, list);
        } else if !is_blank(&list) {
            return self.error(format!("template: multiple definition of template {}", quote(&name)));
        }
        Ok(())
    }

    /// Nodes up to an `end` or `else`.
    fn item_list(&mut self) -> Parsed<(List, Stop)> {
        let mut list = List::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => list.push(node),
                Item::Stop(stop) => return Ok((list, stop)),
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action();
                self.action_line = 0;
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Stop(Stop::End));
            }
            Kind::Else => {
                // What follows "else if" and "else with" is read by who asked for the else.
                if !matches!(self.peek_non_space().kind, Kind::If | Kind::With) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Stop(Stop::Else));
            }
            Kind::If => Node::If(self.branch(Kind::If)?),
            Kind::With => Node::With(self.branch(Kind::With)?),
            Kind::Range => Node::Range(self.branch(Kind::Range)?),
            Kind::Block => Node::Template(self.block()?),
            Kind::Template => Node::Template(self.template()?),
            Kind::Break | Kind::Continue => self.loop_control(token.kind)?,
            _ => {
                self.backup();
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Item::Node(node))
    }

    fn loop_control(&mut self, kind: Kind) -> Parsed<Node> {
        let (name, node) = match kind {
            Kind::Break => ("{{break}}", Node::Break),
            _ => ("{{continue}}", Node::Continue),
        };
        self.expect(Kind::RightDelim, name)?;
        if self.range_depth == 0 {
            return self.error(format!("{name} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn branch(&mut self, kind: Kind) -> Parsed<Branch> {
        self.nested(|parser| {
            let vars = parser.vars.len();
            let branch = parser.branch_body(kind);
            parser.vars.truncate(vars);
            branch
        })
    }

    fn branch_body(&mut self, kind: Kind) -> Parsed<Branch> {
        let context = match kind {
            Kind::If => "if",
            Kind::With => "with",
            _ => "range",
        };
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let loops = usize::from(kind == Kind::Range);
        self.range_depth += loops;
        let (list, stop) = self.item_list()?;
        self.range_depth -= loops;
        if stop == Stop::End {
            return Ok(Branch { pipe, list, otherwise: None });
        }
        // "{{else if}}" is "{{else}}{{if}}" with one end for both.
        if kind != Kind::Range && self.peek_non_space().kind == kind {
            self.next_non_space();
            let inner = self.branch(kind)?;
            let node = if kind == Kind::If { Node::If(inner) } else { Node::With(inner) };
            return Ok(Branch { pipe, list, otherwise: Some(vec![node]) });
        }
        let (otherwise, stop) = self.item_list()?;
        if stop != Stop::End {
            return self.error(format!("expected end; found {}", stop.text()));
        }
        Ok(Branch { pipe, list, otherwise: Some(otherwise) })
    }

    fn block(&mut self) -> Parsed<Invocation> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        self.body_of(name.clone(), CONTEXT)?;
        Ok(Invocation { pos: token.pos, name, pipe: Some(pipe) })
    }

    fn template(&mut self) -> Parsed<Invocation> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().kind != Kind::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(CONTEXT, Kind::RightDelim)?);
        }
        Ok(Invocation { pos: token.pos, name, pipe })
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Parsed<String> {
        match token.kind {
            Kind::String | Kind::RawString => self.unquoted(token),
            _ => self.unexpected(token, context),
        }
    }

    fn unquoted(&self, token: &Token) -> Parsed<String> {
        unquote(&token.text).map_or_else(|| self.error("invalid syntax"), Ok)
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let pos = self.peek_non_space().pos;
        let (vars, assign) = self.declarations(context)?;
        let mut commands = Vec::new();
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.backup();
                    commands.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        if commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (i, command) in commands.iter().enumerate().skip(1) {
            if is_constant(&command.args[0].kind) {
                return self.error(format!("non executable command in pipeline stage {}", i + 1));
            }
        }
        Ok(Pipe { pos, vars, assign, commands })
    }

    /// `$x :=`, `$x =`, and in a range `$i, $x :=` or `=`; nothing when the pipeline starts otherwise.
    fn declarations(&mut self, context: &str) -> Parsed<(Vec<String>, bool)> {
        let mut vars = Vec::new();
        loop {
            let before = self.next;
            let var = self.next_non_space();
            let after = if var.kind == Kind::Variable { self.next_non_space() } else { var.clone() };
            match after.kind {
                Kind::Assign | Kind::Declare if var.kind == Kind::Variable => {
                    self.vars.push(var.text.clone());
                    vars.push(var.text);
                    return Ok((vars, after.kind == Kind::Assign));
                }
                Kind::Char if var.kind == Kind::Variable && after.text == "," => {
                    self.vars.push(var.text.clone());
                    vars.push(var.text);
                    if context != "range" || vars.len() > 1 {
                        return self.error(format!("too many declarations in {context}"));
                    }
                    let next = self.peek_non_space().kind;
                    if !matches!(next, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return self.error("range can only initialize variables");
                    }
                }
                _ => {
                    self.next = before;
                    return Ok((vars, false));
                }
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let pos = self.peek_non_space().pos;
        let mut args = Vec::new();
        loop {
            self.peek_non_space();
            args.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelim | Kind::RightParen => {
                    self.backup();
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(&token, "operand"),
            }
        }
        if args.is_empty() { self.error("empty command") } else { Ok(Command { pos, args }) }
    }

    /// A term with the fields that follow it.
    fn operand(&mut self) -> Parsed<Option<Expr>> {
        let Some(mut term) = self.term()? else { return Ok(None) };
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(term));
        }
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(self.next().text[1..].to_owned());
        }
        match &mut term.kind {
            // Go reports a field of fields where its second name stands.
            ExprKind::Field(names) | ExprKind::Variable(names) => {
                names.append(&mut fields);
                term.pos = first.pos;
            }
            kind if is_constant(kind) => {
                return self.error(format!("unexpected . after term {}", quote(&term.to_string())));
            }
            _ => term = Expr { pos: first.pos, kind: ExprKind::Chain(Box::new(term), fields) },
        }
        Ok(Some(term))
    }

    fn term(&mut self) -> Parsed<Option<Expr>> {
        let token = self.next_non_space();
        let kind = match token.kind {
            Kind::Identifier if (self.is_function)(&token.text) => ExprKind::Identifier(token.text),
            Kind::Identifier => return self.error(format!("function {} not defined", quote(&token.text))),
            Kind::Dot => ExprKind::Dot,
            Kind::Nil => ExprKind::Nil,
            Kind::Variable if self.vars.contains(&token.text) => ExprKind::Variable(vec![token.text]),
            Kind::Variable => return self.error(format!("undefined variable {}", quote(&token.text))),
            Kind::Field => ExprKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => ExprKind::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Number => {
                let parse = if token.kind == Kind::Number { Number::parse } else { Number::from_char };
                ExprKind::Number(parse(&token.text).or_else(|message| self.error(message))?)
            }
            Kind::LeftParen => {
                let parse = |parser: &mut Self| parser.pipeline("parenthesized pipeline", Kind::RightParen);
                let pipe = self.nested(parse)?;
                return Ok(Some(Expr { pos: pipe.pos, kind: ExprKind::Pipe(pipe) }));
            }
            Kind::String | Kind::RawString => {
                let text = self.unquoted(&token)?;
                ExprKind::String { literal: token.text, text }
            }
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        Ok(Some(Expr { pos: token.pos, kind }))
    }
}

fn is_constant(kind: &ExprKind) -> bool {
    use ExprKind::{Bool, Dot, Nil, Number, String};
    matches!(kind, Bool(_) | Dot | Nil | Number(_) | String { .. })
}

/// Whether a template holds nothing but blanks.
fn is_blank(list: &List) -> bool {
    list.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}
