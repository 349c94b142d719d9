//! JSON as Go's `encoding/json` writes it.
//!
//! Owns: the escapes and the number format in which Go differs from `serde_json`. Scripts compare docker's output
//! byte for byte, so `<none>` is `\u003cnone\u003e` in the rows of a list.

use std::fmt::Write;

use serde_json::Value;

use super::float::format_float;

/// Whether `<`, `>` and `&` are escaped, which Go does unless told not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Html {
    /// `\u003c`, as in rows of lists.
    Escape,
    /// As they are, as the template function `json` does.
    Keep,
}

/// `value` on one line, without blanks.
pub(crate) fn compact(value: &Value, html: Html) -> String {
    let mut out = String::new();
    write_value(&mut out, value, html);
    out
}

/// `value` indented by four blanks a level, as docker's inspect commands print it.
pub(crate) fn indented(value: &Value, html: Html) -> String {
    let mut out = String::new();
    write_indented(&mut out, value, html, 0);
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string never fails");
}

fn write_value(out: &mut String, value: &Value, html: Html) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_value(out, item, html);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (i, (key, item)) in fields.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_string(out, key, html);
                out.push(':');
                write_value(out, item, html);
            }
            out.push('}');
        }
        scalar => write_scalar(out, scalar, html),
    }
}

fn write_indented(out: &mut String, value: &Value, html: Html, level: usize) {
    let line = |out: &mut String, first: bool| {
        out.push_str(if first { "\n" } else { ",\n" });
        out.push_str(&"    ".repeat(level + 1));
    };
    let end = |out: &mut String| {
        out.push('\n');
        out.push_str(&"    ".repeat(level));
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                line(out, i == 0);
                write_indented(out, item, html, level + 1);
            }
            end(out);
            out.push(']');
        }
        Value::Object(fields) if !fields.is_empty() => {
            out.push('{');
            for (i, (key, item)) in fields.iter().enumerate() {
                line(out, i == 0);
                write_string(out, key, html);
                out.push_str(": ");
                write_indented(out, item, html, level + 1);
            }
            end(out);
            out.push('}');
        }
        flat => write_value(out, flat, html),
    }
}

fn write_scalar(out: &mut String, value: &Value, html: Html) {
    match value {
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::String(text) => write_string(out, text, html),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => write_float(out, float),
            None => push(out, format_args!("{number}")),
        },
        _ => out.push_str("null"),
    }
}

/// Appends a number as Go does: an exponent only below 1e-6 and from 1e21 on, of one digit where one will do.
pub(super) fn write_float(out: &mut String, value: f64) {
    if !value.is_finite() {
        return out.push_str("null");
    }
    if value == 0.0 || (1e-6..1e21).contains(&value.abs()) {
        return out.push_str(&format_float(value, 'f', None));
    }
    let text = format_float(value, 'e', None);
    match text.split_once("e-0") {
        Some((mantissa, digit)) => push(out, format_args!("{mantissa}e-{digit}")),
        None => out.push_str(&text),
    }
}

/// Appends `text` in quotes.
pub(super) fn write_string(out: &mut String, text: &str, html: Html) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if html == Html::Keep => out.push(c),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => push(out, format_args!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn escapes_and_numbers_are_those_of_go() {
        let value = json!({"a": "<b>&\u{2028}\u{7f}\u{1}\u{8}\u{c}\"\\\n", "n": [1, 1.0, 1e21, 1e-7, 0.000_001, 1.5e300, -0.5, null]});
        assert_eq!(
            compact(&value, Html::Keep),
            "{\"a\":\"<b>&\\u2028\u{7f}\\u0001\\b\\f\\\"\\\\\\n\",\"n\":[1,1,1e+21,1e-7,0.000001,1.5e+300,-0.5,null]}"
        );
        assert_eq!(compact(&json!("<none>&"), Html::Escape), "\"\\u003cnone\\u003e\\u0026\"");
    }

    #[test]
    fn indentation_is_four_blanks_and_empty_things_stay_together() {
        let value = json!([{"A": [], "B": {}, "C": {"d": [1, "x"]}}]);
        let expected = "[\n    {\n        \"A\": [],\n        \"B\": {},\n        \"C\": {\n            \"d\": [\n                1,\n                \"x\"\n            ]\n        }\n    }\n]";
        assert_eq!(indented(&value, Html::Keep), expected);
    }
}
