//! The functions a template may call: those of Go's `text/template` and those docker adds.
//!
//! Owns: signatures, indexing, text and escapes. Comparison is in compare.rs. Must not know: where a call stands; an
//! error here is the bare message.

use std::borrow::Cow;

use super::compare;
use super::eval::Functions;
use super::print::{json, printed, shown, sprint, sprintln};
use super::printf::sprintf;
use super::quote::{cut, is_print};
use super::value::{List, Val};

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Param {
    Any,
    Str,
    Int,
}

impl Param {
    pub(super) fn accepts(self, value: &Val<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Str => matches!(value, Val::Str(_)),
            Self::Int => matches!(value, Val::Int(_)),
        }
    }

    /// Go's name of the type.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Str => "string",
            Self::Int => "int",
        }
    }
}

type Run = for<'a> fn(&[Val<'a>]) -> Result<Val<'a>, String>;

pub(super) struct Function {
    name: &'static str,
    pub(super) params: &'static [Param],
    /// What further arguments are; none are taken without it.
    pub(super) rest: Option<Param>,
    /// `and` and `or` stop at the first argument of this truth, and are never run as functions.
    pub(super) short_circuit: Option<bool>,
    /// Called with arguments that fit the parameters.
    pub(super) run: Run,
}

const fn fixed(name: &'static str, params: &'static [Param], run: Run) -> Function {
    Function { name, params, rest: None, short_circuit: None, run }
}

const fn variadic(name: &'static str, params: &'static [Param], run: Run) -> Function {
    Function { name, params, rest: Some(Param::Any), short_circuit: None, run }
}

const fn logic(name: &'static str, until: bool) -> Function {
    Function { name, params: &[Param::Any], rest: Some(Param::Any), short_circuit: Some(until), run: first }
}

use Param::{Any, Int, Str};

static FUNCTIONS: &[Function] = &[
    logic("and", false),
    logic("or", true),
    fixed("not", &[Any], |args| Ok(Val::Bool(!args[0].truth()))),
    fixed("len", &[Any], len),
    variadic("index", &[Any], index),
    variadic("slice", &[Any], slice),
    variadic("call", &[Any], |args| match &args[0] {
        Val::Missing | Val::Null { .. } => Err("call of nil".into()),
        value => Err(format!("non-function of type {}", value.type_name())),
    }),
    variadic("print", &[], |args| text(sprint(args))),
    variadic("printf", &[Str], |args| text(sprintf(str(&args[0]), &args[1..]))),
    variadic("println", &[], |args| text(sprintln(args))),
    variadic("html", &[], |args| text(escape_html(&joined(args)))),
    variadic("js", &[], |args| text(escape_js(&joined(args)))),
    variadic("urlquery", &[], |args| text(escape_query(&joined(args)))),
    variadic("eq", &[Any], compare::eq),
    fixed("ne", &[Any, Any], |args| compare::ne(&args[0], &args[1])),
    fixed("lt", &[Any, Any], |args| compare::lt(&args[0], &args[1])),
    fixed("le", &[Any, Any], |args| compare::le(&args[0], &args[1])),
    fixed("gt", &[Any, Any], |args| compare::gt(&args[0], &args[1])),
    fixed("ge", &[Any, Any], |args| compare::ge(&args[0], &args[1])),
    // docker's own.
    fixed("json", &[Any], |args| text(json(&args[0]))),
    fixed("split", &[Str, Str], split),
    fixed("join", &[Any, Str], join),
    fixed("title", &[Str], |args| text(title(str(&args[0])))),
    fixed("lower", &[Str], |args| text(str(&args[0]).chars().map(lower).collect())),
    fixed("upper", &[Str], |args| text(str(&args[0]).chars().map(upper).collect())),
    fixed("pad", &[Str, Int, Int], pad),
    fixed("truncate", &[Str, Int], truncate),
];

/// In a heading these give the heading itself; `pad` and the others do there what they do in a row.
static HEADINGS: &[Function] = &[
    fixed("json", &[Str], first),
    fixed("split", &[Str, Str], first),
    fixed("join", &[Str, Str], first),
    fixed("title", &[Str], first),
    fixed("lower", &[Str], first),
    fixed("upper", &[Str], first),
    fixed("truncate", &[Str, Int], first),
];

pub(super) fn find(name: &str, functions: Functions) -> Option<&'static Function> {
    let headings: &[Function] = if functions == Functions::Headings { HEADINGS } else { &[] };
    headings.iter().chain(FUNCTIONS).find(|function| function.name == name)
}

fn first<'a>(args: &[Val<'a>]) -> Result<Val<'a>, String> {
    Ok(args[0].clone())
}

fn text<'a>(text: String) -> Result<Val<'a>, String> {
    Ok(Val::Str(Cow::Owned(text)))
}

fn str<'v>(value: &'v Val<'_>) -> &'v str {
    if let Val::Str(text) = value { text } else { "" }
}

fn int(value: &Val<'_>) -> i64 {
    if let Val::Int(n) = value { *n } else { 0 }
}

fn len<'a>(args: &[Val<'a>]) -> Result<Val<'a>, String> {
    let len = match &args[0] {
        Val::Str(text) => text.len(),
        Val::List(list) => list.len(),
        Val::Object(object) => object.len(),
        Val::Missing | Val::Null { .. } => return Err("len of nil pointer".into()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Val::Int(len as i64))
}

/// An index into something of `len` items. As in Go, `len` itself passes here.
fn position(value: &Val<'_>, len: usize) -> Result<usize, String> {
    match value {
        Val::Int(n) => {
            let index = usize::try_from(*n).ok().filter(|&index| index <= len);
            index.ok_or_else(|| format!("index out of range: {n}"))
        }
        Val::Uint(n) => Err(format!("index out of range: {n}")),
        Val::Missing | Val::Null { .. } => Err("cannot index slice/array with nil".into()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

fn index<'a>(args: &[Val<'a>]) -> Result<Val<'a>, String> {
    let mut value = args[0].clone();
    if value.is_missing() {
        return Err("index of untyped nil".into());
    }
    for key in &args[1..] {
        value = match &value {
            Val::List(list) => {
                let at = position(key, list.len())?;
                list.get(at).ok_or("reflect: slice index out of range")?
            }
            Val::Str(text) => {
                let at = position(key, text.len())?;
                Val::Int(i64::from(*text.as_bytes().get(at).ok_or("reflect: string index out of range")?))
            }
            Val::Object(object) => match key {
                Val::Str(key) => object.get(key).unwrap_or_else(|| object.zero()),
                Val::Missing | Val::Null { .. } => return Err("value is nil; should be of type string".into()),
                other => return Err(format!("value has type {}; should be string", other.type_name())),
            },
            Val::Missing | Val::Null { .. } => return Err("index of nil pointer".into()),
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

fn slice<'a>(args: &[Val<'a>]) -> Result<Val<'a>, String> {
    let (item, indexes) = (&args[0], &args[1..]);
    if item.is_missing() {
        return Err("slice of untyped nil".into());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let len = match item {
        Val::Str(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Val::Str(text) => text.len(),
        Val::List(list) => list.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    // The third index sets a capacity, which means nothing here beyond its check.
    let mut bounds = [0, len, len];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, len)?;
    }
    let [from, to, capacity] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if to > capacity {
        return Err(format!("invalid slice index: {to} > {capacity}"));
    }
    let outside = "slice bounds out of range";
    match item {
        Val::List(list) => Ok(Val::List(list.slice(from, to).ok_or(outside)?)),
        other => text(cut(str(other), from, to).ok_or(outside)?.into_owned()),
    }
}

/// The text that `html` and the like work on: strings as they are, anything else as an action prints it.
fn joined<'v>(args: &[Val<'v>]) -> String {
    let value = |arg: &Val<'v>| if arg.is_missing() { Val::Str(Cow::Owned(printed(arg))) } else { arg.clone() };
    let values: Vec<_> = args.iter().map(value).collect();
    sprint(&values)
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out += "&#34;",
            '\'' => out += "&#39;",
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '\0' => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

fn escape_js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' | '\0'..' ' => out += &format!("\\u{:04X}", c as u32),
            c if c.is_ascii() || is_print(c) => out.push(c),
            c => out += &format!("\\u{:04X}", c as u32),
        }
    }
    out
}

fn escape_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn split<'a>(args: &[Val<'a>]) -> Result<Val<'a>, String> {
    let (text, separator) = (str(&args[0]), str(&args[1]));
    let items: Vec<String> = match separator {
        "" => text.chars().map(String::from).collect(),
        _ => text.split(separator).map(str::to_owned).collect(),
    };
    Ok(Val::List(List::Strings(items.into())))
}

fn join<'a>(args: &[Val<'a>]) -> Result<Val<'a>, String> {
    let items: Vec<String> = match &args[0] {
        Val::Missing | Val::Null { .. } => Vec::new(),
        Val::List(list) => list.iter().map(|item| shown(&item)).collect(),
        Val::Object(object) => {
            let mut values: Vec<_> = object.entries().iter().map(|(_, value)| shown(value)).collect();
            values.sort_unstable();
            values
        }
        other => return Err(format!("expected slice, got {}", other.type_name())),
    };
    text(items.join(str(&args[1])))
}

/// Go maps character by character: where the other case takes several, the character stays.
fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(upper), None) => upper,
        _ => c,
    }
}

fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// The first letter of each word in upper case. Letters, digits and underscores make words.
fn title(text: &str) -> String {
    let mut start = true;
    let word = |c: char| {
        let separates = if c.is_ascii() { !c.is_alphanumeric() && c != '_' } else { c.is_whitespace() };
        if std::mem::replace(&mut start, separates) { upper(c) } else { c }
    };
    text.chars().map(word).collect()
}

/// More than anybody's columns are wide.
const MAX_PADDING: i64 = 1_000_000;

fn pad<'a>(args: &[Val<'a>]) -> Result<Val<'a>, String> {
    let spaces = |count| match count {
        ..0 => Err("strings: negative Repeat count"),
        0..=MAX_PADDING => Ok(" ".repeat(count as usize)),
        _ => Err("strings: Repeat output length overflow"),
    };
    match str(&args[0]) {
        "" => text(String::new()),
        source => text(format!("{}{source}{}", spaces(int(&args[1]))?, spaces(int(&args[2]))?)),
    }
}

/// The first bytes of a text.
fn truncate<'a>(args: &[Val<'a>]) -> Result<Val<'a>, String> {
    let (source, len) = (str(&args[0]), int(&args[1]));
    let Ok(end) = usize::try_from(len) else {
        return Err(format!("runtime error: slice bounds out of range [:{len}]"));
    };
    text(cut(source, 0, end.min(source.len())).unwrap_or_default().into_owned())
}
