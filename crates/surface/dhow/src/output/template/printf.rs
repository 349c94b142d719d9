//! Go's `fmt.Sprintf` over template values.
//!
//! Follows <https://pkg.go.dev/fmt>: flags, width and precision (also from arguments), explicit argument indexes, and
//! the texts that stand for mistakes (`%!d(string=a)`, `%!s(MISSING)`). Left out: `%p`, and `%b` and `%x` of floats,
//! which are reported as bad verbs; the flag `#` of floats does nothing.

use super::print::{shown, source};
use super::quote::{is_print, quote_with};
use super::value::Val;
use crate::output::float::format_float;

/// Widths and precisions beyond this are refused.
const MAX_SIZE: i64 = 1_000_000;

/// Flags, width and precision of one directive.
#[derive(Clone, Copy, Default)]
pub(super) struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `format` with `args` filled in.
pub(super) fn sprintf(format: &str, args: &[Val<'_>]) -> String {
    let mut printer = Printer { rest: format, args, next: 0, reordered: false, good_index: true, out: String::new() };
    while let Some(at) = printer.rest.find('%') {
        printer.out += &printer.rest[..at];
        printer.rest = &printer.rest[at + 1..];
        printer.directive();
    }
    printer.out += printer.rest;
    if !printer.reordered && printer.next < args.len() {
        let extra: Vec<_> = args[printer.next..].iter().map(described).collect();
        printer.out += &format!("%!(EXTRA {})", extra.join(", "));
    }
    printer.out
}

/// `type=value`
fn described(value: &Val<'_>) -> String {
    if value.is_missing() { "<nil>".into() } else { format!("{}={}", value.type_name(), shown(value)) }
}

struct Printer<'f, 'a> {
    rest: &'f str,
    args: &'f [Val<'a>],
    next: usize,
    /// Whether any directive chose its argument by index; nothing is extra then.
    reordered: bool,
    good_index: bool,
    out: String,
}

impl Printer<'_, '_> {
    /// Reads and fills in one directive; its percent sign is read.
    fn directive(&mut self) {
        let mut spec = self.flags();
        self.good_index = true;
        let mut after_index = self.index();
        spec.width = if let Some(given) = self.star() {
            after_index = false;
            match given {
                Some(n) => {
                    // A negative width means to pad on the right.
                    spec.minus |= n < 0;
                    spec.zero &= !spec.minus;
                    usize::try_from(n.unsigned_abs()).ok()
                }
                None => {
                    self.out += "%!(BADWIDTH)";
                    None
                }
            }
        } else {
            let width = self.number();
            self.good_index &= !(after_index && width.is_some());
            width
        };
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            self.good_index &= !after_index;
            after_index = self.index();
            spec.precision = match self.star() {
                Some(given) => {
                    after_index = false;
                    let precision = given.and_then(|n| usize::try_from(n).ok());
                    if precision.is_none() {
                        self.out += "%!(BADPREC)";
                    }
                    precision
                }
                None => Some(self.number().unwrap_or(0)),
            };
        }
        if !after_index {
            self.index();
        }
        self.verb(spec);
    }

    fn verb(&mut self, spec: Spec) {
        let mut chars = self.rest.chars();
        let Some(verb) = chars.next() else {
            self.out += "%!(NOVERB)";
            return;
        };
        self.rest = chars.as_str();
        if verb == '%' {
            self.out.push('%');
        } else if !self.good_index {
            self.out += &format!("%!{verb}(BADINDEX)");
        } else if let Some(arg) = self.args.get(self.next) {
            self.next += 1;
            spec.write(&mut self.out, arg, verb, false);
        } else {
            self.out += &format!("%!{verb}(MISSING)");
        }
    }

    fn flags(&mut self) -> Spec {
        let mut spec = Spec::default();
        while let Some(flag) = self.rest.chars().next() {
            match flag {
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                ' ' => spec.space = true,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        spec
    }

    /// A number, as far as it is sane. One that overflows swallows the rest of the format, as in Go.
    fn number(&mut self) -> Option<usize> {
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = self.rest.split_at(digits);
        if digits > 7 {
            self.rest = "";
            return None;
        }
        self.rest = rest;
        number.parse().ok()
    }

    /// `*`: the width or precision is an argument. The inner `None`: the argument is no fit number.
    fn star(&mut self) -> Option<Option<i64>> {
        self.rest = self.rest.strip_prefix('*')?;
        let arg = self.args.get(self.next);
        self.next = (self.next + 1).min(self.args.len());
        let number = if let Some(Val::Int(n)) = arg { Some(*n) } else { None };
        Some(number.filter(|n| (-MAX_SIZE..=MAX_SIZE).contains(n)))
    }

    /// `[n]`: the next argument is number n, counted from 1.
    fn index(&mut self) -> bool {
        let Some(inner) = self.rest.strip_prefix('[') else { return false };
        self.reordered = true;
        let Some((number, rest)) = inner.split_once(']') else {
            self.good_index = false;
            self.rest = inner;
            return true;
        };
        self.rest = rest;
        let digits = !number.is_empty() && number.len() <= 7 && number.bytes().all(|b| b.is_ascii_digit());
        let index = if digits { number.parse::<usize>().ok() } else { None };
        match index.filter(|index| (1..=self.args.len()).contains(index)) {
            Some(index) => self.next = index - 1,
            None => self.good_index = false,
        }
        true
    }
}

impl Spec {
    /// Writes `value` as `verb` asks. `inner`: it is an element of a list or map, where nil is never a mistake.
    pub(super) fn write(mut self, out: &mut String, value: &Val<'_>, verb: char, inner: bool) {
        if verb == 'T' {
            let name = if value.is_missing() { "<nil>" } else { value.type_name() };
            return self.pad(out, self.truncated(name));
        }
        if verb == 'v' && self.sharp {
            return self.pad(out, &source(value));
        }
        if verb == 'v' && matches!(value, Val::Int(_) | Val::Uint(_) | Val::Float(_)) {
            self.plus = false;
        }
        self.write_plain(out, value, verb, inner);
    }

    fn write_plain(self, out: &mut String, value: &Val<'_>, verb: char, inner: bool) {
        match value {
            Val::Missing | Val::Null { .. } if inner || verb == 'v' => self.pad(out, "<nil>"),
            Val::Missing | Val::Null { .. } => *out += &format!("%!{verb}(<nil>)"),
            Val::Bool(value) if matches!(verb, 't' | 'v') => self.pad(out, if *value { "true" } else { "false" }),
            Val::Int(n) => self.integer(out, value, verb, *n < 0, n.unsigned_abs()),
            Val::Uint(n) => self.integer(out, value, verb, false, *n),
            Val::Float(n) => self.float(out, value, verb, *n),
            Val::Str(text) => self.string(out, value, verb, text),
            Val::List(list) => {
                out.push('[');
                for (i, item) in list.iter().enumerate() {
                    out.push_str(if i > 0 { " " } else { "" });
                    self.write(out, &item, verb, true);
                }
                out.push(']');
            }
            Val::Object(object) => {
                *out += if object.is_struct { "{" } else { "map[" };
                for (i, (key, item)) in object.entries().iter().enumerate() {
                    out.push_str(if i > 0 { " " } else { "" });
                    if !object.is_struct {
                        self.write(out, &Val::Str((*key).into()), verb, true);
                        out.push(':');
                    } else if self.plus && verb == 'v' {
                        out.push_str(key);
                        out.push(':');
                    }
                    self.write(out, item, verb, true);
                }
                out.push(if object.is_struct { '}' } else { ']' });
            }
            Val::Bool(_) => self.bad_verb(out, value, verb),
        }
    }

    /// The value is shown with the flags that were meant for the verb.
    fn bad_verb(self, out: &mut String, value: &Val<'_>, verb: char) {
        *out += &format!("%!{verb}({}=", value.type_name());
        self.write_plain(out, value, 'v', true);
        out.push(')');
    }

    /// The first characters of `text`, as many as the precision says.
    fn truncated(self, text: &str) -> &str {
        let end = self.precision.and_then(|precision| text.char_indices().nth(precision));
        end.map_or(text, |(at, _)| &text[..at])
    }

    fn pad(&self, out: &mut String, text: &str) {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        let filler = if self.zero && !self.minus { "0" } else { " " }.repeat(missing);
        if self.minus {
            *out += text;
            *out += &filler;
        } else {
            *out += &filler;
            *out += text;
        }
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        }
    }

    fn integer(mut self, out: &mut String, value: &Val<'_>, verb: char, negative: bool, n: u64) {
        let (mut digits, prefix) = match verb {
            'd' | 'v' => (n.to_string(), ""),
            'b' => (format!("{n:b}"), if self.sharp { "0b" } else { "" }),
            'o' => (format!("{n:o}"), if self.sharp && n != 0 { "0" } else { "" }),
            'O' => (format!("{n:o}"), if self.sharp && n != 0 { "0o0" } else { "0o" }),
            'x' => (format!("{n:x}"), if self.sharp { "0x" } else { "" }),
            'X' => (format!("{n:X}"), if self.sharp { "0X" } else { "" }),
            'c' | 'q' | 'U' => return self.character(out, verb, negative, n),
            _ => return self.bad_verb(out, value, verb),
        };
        if n == 0 && self.precision == Some(0) {
            self.zero = false;
            return self.pad(out, "");
        }
        let sign = self.sign(negative);
        let zeros = match (self.precision, self.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if self.zero && !self.minus => width.saturating_sub(sign.len()),
            _ => 0,
        };
        if digits.len() < zeros {
            digits.insert_str(0, &"0".repeat(zeros - digits.len()));
        }
        self.zero = false;
        self.pad(out, &format!("{sign}{prefix}{digits}"));
    }

    fn character(self, out: &mut String, verb: char, negative: bool, n: u64) {
        let c = u32::try_from(n).ok().filter(|_| !negative).and_then(char::from_u32);
        let shown = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        let text = match verb {
            'c' => shown.to_string(),
            'q' => quote_with(&shown.to_string(), '\'', self.plus),
            _ if self.sharp && c.is_some_and(is_print) => format!("U+{n:04X} '{shown}'"),
            _ => format!("U+{n:04X}"),
        };
        self.pad(out, &text);
    }

    fn float(mut self, out: &mut String, value: &Val<'_>, verb: char, n: f64) {
        let (format, default) = match verb {
            'v' | 'g' => ('g', None),
            'G' => ('G', None),
            'e' | 'E' => (verb, Some(6)),
            'f' | 'F' => ('f', Some(6)),
            _ => return self.bad_verb(out, value, verb),
        };
        let text = format_float(n, format, self.precision.or(default));
        let digits = text.trim_start_matches(['-', '+']);
        let sign = self.sign(text.starts_with('-'));
        if self.zero && !self.minus && n.is_finite() {
            // The sign goes before the zeros.
            *out += sign;
            self.width = self.width.map(|width| width.saturating_sub(sign.len()));
            return self.pad(out, digits);
        }
        self.zero = false;
        self.pad(out, &format!("{}{digits}", if text == "+Inf" { "+" } else { sign }));
    }

    fn string(self, out: &mut String, value: &Val<'_>, verb: char, text: &str) {
        let short = self.truncated(text);
        match verb {
            's' | 'v' => self.pad(out, short),
            'q' if self.sharp && can_backquote(short) => self.pad(out, &format!("`{short}`")),
            'q' => self.pad(out, &quote_with(short, '"', self.plus)),
            'x' | 'X' => {
                let bytes = &text.as_bytes()[..self.precision.unwrap_or(text.len()).min(text.len())];
                let prefix = if self.sharp { "0x" } else { "" };
                let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let separator = if self.space { format!(" {prefix}") } else { String::new() };
                let prefix = if bytes.is_empty() { "" } else { prefix };
                let hex = format!("{prefix}{}", pairs.join(&separator));
                self.pad(out, &if verb == 'X' { hex.to_uppercase() } else { hex });
            }
            _ => self.bad_verb(out, value, verb),
        }
    }
}

fn can_backquote(text: &str) -> bool {
    text.chars().all(|c| c != '`' && c != '\u{feff}' && (c == '\t' || is_print(c) || !c.is_ascii() && !c.is_control()))
}
