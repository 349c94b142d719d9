//! Runs a template over data.
//!
//! Owns: control structures, variables, fields, calls and where in the template an error is said to be. Must not know:
//! what functions compute (function.rs) or how values look (print.rs). The wording of errors is Go's
//! (`text/template/exec.go`), because docker prints it and scripts match it.

use std::borrow::Cow;
use std::fmt;

use super::Parsed;
use super::function::{self, Param};
use super::node::{Branch, Command, Expr, ExprKind, Invocation, List as Nodes, Node, Pipe};
use super::print::{printed, shown};
use super::quote::quote;
use super::value::{Missing, Shape, Val};

/// How deep control structures, parentheses and templates calling templates may nest while running. It bounds the
/// stack; parsing allows 100, so this leaves room for templates that call each other.
const MAX_DEPTH: usize = 250;

/// Which functions a template sees.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Functions {
    Values,
    /// The functions that would spoil a column's heading return it as it is.
    Headings,
}

/// Runs `template` over `dot`. On an error, `out` has what was printed before it.
pub(super) fn run<'a>(
    template: &'a Parsed,
    dot: Val<'a>,
    shape: &'a Shape<'a>,
    functions: Functions,
    out: &mut String,
) -> Result<(), String> {
    let vars = vec![("$", dot.clone())];
    let mut state = State { template, name: "", shape, functions, vars, at: At::Nothing, depth: 0, out };
    state.walk_list(&dot, &template.tree.root).map(|_| ())
}

/// The part of the template that is being looked at, for errors.
#[derive(Clone, Copy)]
enum At<'a> {
    Nothing,
    Pipe(&'a Pipe),
    Command(&'a Command),
    Expr(&'a Expr),
    Template(&'a Invocation),
}

impl At<'_> {
    fn pos(&self) -> usize {
        match self {
            At::Nothing => 0,
            At::Pipe(pipe) => pipe.pos,
            At::Command(command) => command.pos,
            At::Expr(expr) => expr.pos,
            At::Template(invocation) => invocation.pos,
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Nothing => Ok(()),
            At::Pipe(pipe) => pipe.fmt(f),
            At::Command(command) => command.fmt(f),
            At::Expr(expr) => expr.fmt(f),
            At::Template(invocation) => invocation.fmt(f),
        }
    }
}

/// How a body ended.
enum Flow {
    Next,
    Break,
    Continue,
}

struct State<'a, 'o> {
    template: &'a Parsed,
    /// The template being run; the main one has no name.
    name: &'a str,
    shape: &'a Shape<'a>,
    functions: Functions,
    /// All variables in scope, innermost last.
    vars: Vec<(&'a str, Val<'a>)>,
    at: At<'a>,
    depth: usize,
    out: &'o mut String,
}

type Eval<T> = Result<T, String>;

impl<'a> State<'a, '_> {
    fn error<T>(&self, message: impl fmt::Display) -> Eval<T> {
        let before = &self.template.text[..self.at.pos()];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        let name = quote(self.name);
        Err(format!("template: :{line}:{column}: executing {name} at <{}>: {message}", self.at))
    }

    fn enter(&mut self) -> Eval<()> {
        if self.depth == MAX_DEPTH {
            return self.error(format_args!("exceeded maximum template depth ({MAX_DEPTH})"));
        }
        self.depth += 1;
        Ok(())
    }

    fn walk_list(&mut self, dot: &Val<'a>, list: &'a Nodes) -> Eval<Flow> {
        self.enter()?;
        for node in list {
            match self.walk(dot, node)? {
                Flow::Next => {}
                flow => {
                    self.depth -= 1;
                    return Ok(flow);
                }
            }
        }
        self.depth -= 1;
        Ok(Flow::Next)
    }

    fn walk(&mut self, dot: &Val<'a>, node: &'a Node) -> Eval<Flow> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.vars.is_empty() {
                    self.out.push_str(&printed(&value));
                }
            }
            Node::If(branch) => return self.walk_branch(dot, branch, false),
            Node::With(branch) => return self.walk_branch(dot, branch, true),
            Node::Range(branch) => return self.walk_range(dot, branch),
            Node::Template(invocation) => self.walk_template(dot, invocation)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    /// `if` and `with`, which differ only in what the dot is inside.
    fn walk_branch(&mut self, dot: &Val<'a>, branch: &'a Branch, with: bool) -> Eval<Flow> {
        let mark = self.vars.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = match &branch.otherwise {
            _ if value.truth() => self.walk_list(if with { &value } else { dot }, &branch.list)?,
            Some(list) => self.walk_list(dot, list)?,
            None => Flow::Next,
        };
        self.vars.truncate(mark);
        Ok(flow)
    }

    fn walk_range(&mut self, dot: &Val<'a>, branch: &'a Branch) -> Eval<Flow> {
        let mark = self.vars.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let ran = match &value {
            Val::List(list) => {
                let items = list.iter().enumerate().map(|(i, item)| (Val::Int(i as i64), item));
                self.iterate(branch, items)?
            }
            Val::Object(object) => {
                let key = |(key, item)| (Val::Str(Cow::Borrowed(key)), item);
                self.iterate(branch, object.entries().into_iter().map(key))?
            }
            Val::Int(n) => {
                if branch.pipe.vars.len() > 1 {
                    return self.error(format_args!("can't use {n} to iterate over more than one variable"));
                }
                self.iterate(branch, (0..*n).map(|i| (Val::Int(i), Val::Int(i))))?
            }
            Val::Missing | Val::Null { .. } => false,
            other => return self.error(format_args!("range can't iterate over {}", shown(other))),
        };
        // Go lets a break leave the innermost range only, so none gets out of here, but one in the else branch
        // belongs to the range around.
        let flow = match &branch.otherwise {
            Some(list) if !ran => self.walk_list(dot, list)?,
            _ => Flow::Next,
        };
        self.vars.truncate(mark);
        Ok(flow)
    }

    /// Runs the body once for each pair of index and element. False: there was none.
    fn iterate(&mut self, branch: &'a Branch, items: impl Iterator<Item = (Val<'a>, Val<'a>)>) -> Eval<bool> {
        let mark = self.vars.len();
        let pipe = &branch.pipe;
        let mut ran = false;
        for (index, item) in items {
            ran = true;
            match &pipe.vars[..] {
                [] => {}
                [var] if pipe.assign => self.set_var(var, item.clone())?,
                [key, var, ..] if pipe.assign => {
                    self.set_var(key, index)?;
                    self.set_var(var, item.clone())?;
                }
                // Declared: the pipeline has just pushed them, in this order.
                [_] => self.vars[mark - 1].1 = item.clone(),
                [..] => {
                    self.vars[mark - 1].1 = item.clone();
                    self.vars[mark - 2].1 = index;
                }
            }
            let flow = self.walk_list(&item, &branch.list)?;
            self.vars.truncate(mark);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(ran)
    }

    fn walk_template(&mut self, dot: &Val<'a>, invocation: &'a Invocation) -> Eval<()> {
        self.at = At::Template(invocation);
        let template = self.template;
        let list = match template.tree.defined.get(&invocation.name) {
            Some(list) => list,
            None if invocation.name.is_empty() => &template.tree.root,
            None => return self.error(format_args!("template {} not defined", quote(&invocation.name))),
        };
        let dot = match &invocation.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Val::Missing,
        };
        // A template sees no variables but its own dot.
        let vars = std::mem::replace(&mut self.vars, vec![("$", dot.clone())]);
        let (name, at) = (self.name, self.at);
        if self.depth < MAX_DEPTH {
            self.name = &invocation.name;
        }
        self.walk_list(&dot, list)?;
        (self.name, self.at, self.vars) = (name, at, vars);
        Ok(())
    }

    fn var(&self, name: &str) -> Eval<Val<'a>> {
        match self.vars.iter().rev().find(|(var, _)| *var == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.error(format_args!("undefined variable: {name}")),
        }
    }

    fn set_var(&mut self, name: &str, value: Val<'a>) -> Eval<()> {
        match self.vars.iter_mut().rev().find(|(var, _)| *var == name) {
            Some(slot) => slot.1 = value,
            None => return self.error(format_args!("undefined variable: {name}")),
        }
        Ok(())
    }

    fn pipeline(&mut self, dot: &Val<'a>, pipe: &'a Pipe) -> Eval<Val<'a>> {
        self.enter()?;
        self.at = At::Pipe(pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Val::Missing);
        for var in &pipe.vars {
            if pipe.assign {
                self.set_var(var, value.clone())?;
            } else {
                self.vars.push((var, value.clone()));
            }
        }
        self.depth -= 1;
        Ok(value)
    }

    /// `last` is what the command before it in the pipeline returned: one more argument.
    fn command(&mut self, dot: &Val<'a>, command: &'a Command, last: Option<Val<'a>>) -> Eval<Val<'a>> {
        let first = &command.args[0];
        let has_args = command.args.len() > 1 || last.is_some();
        match &first.kind {
            ExprKind::Identifier(name) => {
                self.at = At::Expr(first);
                return self.call(dot, At::Command(command), name, &command.args[1..], last);
            }
            ExprKind::Field(_) | ExprKind::Chain(..) | ExprKind::Variable(_) => {
                return self.operand(dot, first, has_args);
            }
            // Parentheses: the error is found before looking inside.
            ExprKind::Pipe(_) => {}
            _ => self.at = At::Expr(first),
        }
        if has_args {
            return self.error(format_args!("can't give argument to non-function {first}"));
        }
        match &first.kind {
            ExprKind::Nil => self.error("nil is not a command"),
            _ => self.operand(dot, first, false),
        }
    }

    /// The value of an expression that is no function. `has_args`: arguments follow, which no field takes.
    fn operand(&mut self, dot: &Val<'a>, expr: &'a Expr, has_args: bool) -> Eval<Val<'a>> {
        if !matches!(expr.kind, ExprKind::Pipe(_)) {
            self.at = At::Expr(expr);
        }
        match &expr.kind {
            ExprKind::Field(names) => self.fields(dot.clone(), names, has_args),
            ExprKind::Chain(base, names) => {
                let base = self.argument(dot, base, Param::Any)?;
                self.fields(base, names, has_args)
            }
            ExprKind::Variable(names) => {
                let value = self.var(&names[0])?;
                if names.len() == 1 && has_args {
                    return self.error(format_args!("can't give argument to non-function {expr}"));
                }
                self.fields(value, &names[1..], has_args)
            }
            ExprKind::Identifier(name) => self.call(dot, At::Expr(expr), name, &[], None),
            ExprKind::Pipe(pipe) => self.pipeline(dot, pipe),
            ExprKind::Dot => Ok(dot.clone()),
            ExprKind::Nil => Ok(Val::Missing),
            ExprKind::Bool(value) => Ok(Val::Bool(*value)),
            ExprKind::String { text, .. } => Ok(Val::Str(Cow::Borrowed(text))),
            ExprKind::Number(number) if number.is_float => Ok(Val::Float(number.float)),
            ExprKind::Number(number) => match number.int {
                Some(int) => Ok(Val::Int(int)),
                None => self.error(format_args!("{} overflows int", number.text)),
            },
        }
    }

    fn fields(&mut self, mut value: Val<'a>, names: &[String], has_args: bool) -> Eval<Val<'a>> {
        for (i, name) in names.iter().enumerate() {
            let last = i + 1 == names.len();
            value = self.field(&value, name, last && has_args)?;
        }
        Ok(value)
    }

    fn field(&self, receiver: &Val<'a>, name: &str, has_args: bool) -> Eval<Val<'a>> {
        let object = match receiver {
            Val::Object(object) => object,
            Val::Missing if self.shape.missing == Missing::Error => {
                return self.error(format_args!("nil data; no entry for key {}", quote(name)));
            }
            Val::Missing => return Ok(Val::Missing),
            Val::Null { .. } => return self.error(format_args!("nil pointer evaluating interface {{}}.{name}")),
            other => return self.error(format_args!("can't evaluate field {name} in type {}", other.type_name())),
        };
        let found = object.field(name);
        if has_args && object.is_struct && found.is_some() {
            return self.error(format_args!("{name} has arguments but cannot be invoked as function"));
        }
        if has_args && !object.is_struct {
            return self.error(format_args!("{name} is not a method but has arguments"));
        }
        match (found, self.shape.missing) {
            (Some(value), _) => Ok(value),
            (None, Missing::Error) if object.is_struct => {
                self.error(format_args!("map has no entry for key {}", quote(name)))
            }
            (None, Missing::Field(_)) if object.is_struct => {
                self.error(format_args!("can't evaluate field {name} in type {}", object.struct_name()))
            }
            (None, _) => Ok(Val::Missing),
        }
    }

    /// Calls a function; `at` is where its own errors are reported.
    fn call(
        &mut self,
        dot: &Val<'a>,
        at: At<'a>,
        name: &str,
        args: &'a [Expr],
        last: Option<Val<'a>>,
    ) -> Eval<Val<'a>> {
        let Some(function) = function::find(name, self.functions) else {
            return self.error(format_args!("{} is not a defined function", quote(name)));
        };
        let given = args.len() + usize::from(last.is_some());
        let wanted = function.params.len();
        if function.rest.is_none() && given != wanted {
            return self.error(format_args!("wrong number of args for {name}: want {wanted} got {given}"));
        }
        if given < wanted {
            return self
                .error(format_args!("wrong number of args for {name}: want at least {wanted} got {}", args.len()));
        }
        if let Some(until) = function.short_circuit {
            return self.short_circuit(dot, until, args, last);
        }
        let param = |i: usize| function.params.get(i).copied().or(function.rest).unwrap_or(Param::Any);
        let mut values = Vec::with_capacity(given);
        for (i, arg) in args.iter().enumerate() {
            values.push(self.argument(dot, arg, param(i))?);
        }
        if let Some(value) = last {
            values.push(self.fitting(value, param(args.len()))?);
        }
        (function.run)(&values).or_else(|message| {
            self.at = at;
            self.error(format_args!("error calling {name}: {message}"))
        })
    }

    /// `and` and `or`: the first value whose truth is `until`, or the last; what follows it isn't looked at.
    fn short_circuit(&mut self, dot: &Val<'a>, until: bool, args: &'a [Expr], last: Option<Val<'a>>) -> Eval<Val<'a>> {
        let mut value = Val::Missing;
        for arg in args {
            value = self.argument(dot, arg, Param::Any)?;
            if value.truth() == until {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, dot: &Val<'a>, expr: &'a Expr, param: Param) -> Eval<Val<'a>> {
        self.at = At::Expr(expr);
        match (&expr.kind, param) {
            (ExprKind::Nil, Param::Str | Param::Int) => {
                self.error(format_args!("cannot assign nil to {}", param.name()))
            }
            // An untyped constant is what the parameter asks for, if it can be.
            (ExprKind::Number(number), Param::Int) if number.int.is_some() => Ok(Val::Int(number.int.unwrap_or(0))),
            (ExprKind::Number(_) | ExprKind::Bool(_) | ExprKind::String { .. }, _) => {
                let value = self.operand(dot, expr, false)?;
                if param.accepts(&value) {
                    return Ok(value);
                }
                let expected = if param == Param::Int { "integer" } else { "string" };
                self.error(format_args!("expected {expected}; found {expr}"))
            }
            _ => {
                let value = self.operand(dot, expr, false)?;
                self.fitting(value, param)
            }
        }
    }

    fn fitting(&self, value: Val<'a>, param: Param) -> Eval<Val<'a>> {
        match value {
            value if param.accepts(&value) => Ok(value),
            Val::Missing => self.error(format_args!("invalid value; expected {}", param.name())),
            value => {
                self.error(format_args!("wrong type for value; expected {}; got {}", param.name(), value.type_name()))
            }
        }
    }
}
