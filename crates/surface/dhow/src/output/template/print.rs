//! Values as text: Go's `%v`, `%#v`, `fmt.Sprint` and `fmt.Sprintln`, what an action prints, and JSON.

use super::printf::Spec;
use super::quote::quote;
use super::value::{List, Val};
use crate::output::float::format_float;
use crate::output::json::{Html, write_float, write_string};

/// What `{{value}}` prints.
pub(super) fn printed(value: &Val<'_>) -> String {
    match value {
        Val::Missing | Val::Null { pointer: false } => "<no value>".into(),
        _ => shown(value),
    }
}

/// `%v`
pub(super) fn shown(value: &Val<'_>) -> String {
    let mut out = String::new();
    Spec::default().write(&mut out, value, 'v', false);
    out
}

/// Go's `fmt.Sprint`: a space between two operands when neither is a string.
pub(super) fn sprint(values: &[Val<'_>]) -> String {
    let mut out = String::new();
    let mut after_string = true;
    for value in values {
        let is_string = matches!(value, Val::Str(_));
        if !is_string && !after_string {
            out.push(' ');
        }
        out += &shown(value);
        after_string = is_string;
    }
    out
}

/// Go's `fmt.Sprintln`: spaces between all operands and a line break at the end.
pub(super) fn sprintln(values: &[Val<'_>]) -> String {
    let texts: Vec<_> = values.iter().map(shown).collect();
    texts.join(" ") + "\n"
}

/// `%#v`, the value as Go source.
pub(super) fn source(value: &Val<'_>) -> String {
    match value {
        Val::Missing | Val::Null { .. } => "<nil>".into(),
        Val::Bool(value) => value.to_string(),
        Val::Int(value) => value.to_string(),
        Val::Uint(value) => format!("{value:#x}"),
        Val::Float(value) => format_float(*value, 'g', None),
        Val::Str(text) => quote(text),
        Val::List(List::Json(None, _)) => format!("{}(nil)", value.type_name()),
        Val::List(list) => {
            let nil = |item: &Val<'_>| if item.is_missing() { "interface {}(nil)".into() } else { source(item) };
            let items: Vec<_> = list.iter().map(|item| nil(&item)).collect();
            format!("{}{{{}}}", value.type_name(), items.join(", "))
        }
        Val::Object(object) => {
            let entry = |(key, item): &(&str, Val<'_>)| {
                let key = if object.is_struct { (*key).to_owned() } else { quote(key) };
                let item = if item.is_missing() { "interface {}(nil)".into() } else { source(item) };
                format!("{key}:{item}")
            };
            let entries: Vec<_> = object.entries().iter().map(entry).collect();
            format!("{}{{{}}}", value.type_name(), entries.join(", "))
        }
    }
}

/// What the function `json` returns: maps have their keys sorted, structs keep their order.
pub(super) fn json(value: &Val<'_>) -> String {
    let mut out = String::new();
    write_json(&mut out, value, Html::Keep);
    out
}

fn write_json(out: &mut String, value: &Val<'_>, html: Html) {
    match value {
        Val::Missing | Val::Null { .. } | Val::List(List::Json(None, _)) => out.push_str("null"),
        Val::Bool(value) => out.push_str(&value.to_string()),
        Val::Int(n) => out.push_str(&n.to_string()),
        Val::Uint(n) => out.push_str(&n.to_string()),
        Val::Float(n) => write_float(out, *n),
        Val::Str(text) => write_string(out, text, html),
        Val::List(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_json(out, &item, html);
            }
            out.push(']');
        }
        Val::Object(object) if object.fields.is_none() => out.push_str("null"),
        Val::Object(object) => {
            let html = object.shape.html;
            out.push('{');
            for (i, (key, item)) in object.entries().iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_string(out, key, html);
                out.push(':');
                write_json(out, item, html);
            }
            out.push('}');
        }
    }
}
