//! Numbers and switches as Go's `strconv` takes them, messages included.

use std::num::IntErrorKind;
use std::str::FromStr;

/// A number with a sign.
pub(super) fn integer<T: FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T, String> {
    number("ParseInt", text)
}

/// A number without a sign.
pub(super) fn unsigned<T: FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T, String> {
    match text.starts_with('+') {
        true => Err(syntax("ParseUint", text)),
        false => number("ParseUint", text),
    }
}

fn number<T: FromStr<Err = std::num::ParseIntError>>(function: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|e: std::num::ParseIntError| match e.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
            format!("strconv.{function}: parsing {text:?}: value out of range")
        }
        _ => syntax(function, text),
    })
}

fn syntax(function: &str, text: &str) -> String {
    format!("strconv.{function}: parsing {text:?}: invalid syntax")
}

/// `true`, `1`, `F` and their like.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Billionths of a CPU: a decimal number or a fraction.
pub(super) fn cpus(text: &str) -> Result<u64, String> {
    let wrong = || format!("failed to parse {text} as a rational number");
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    let (numerator, places) = decimal(numerator).ok_or_else(wrong)?;
    let (denominator, more) = decimal(denominator).filter(|&(n, _)| n > 0).ok_or_else(wrong)?;
    // A fraction of decimals is Go's as well as it is nobody's.
    if more > 0 || (places > 0 && text.contains('/')) {
        return Err(wrong());
    }
    let scale = denominator.checked_mul(10i128.checked_pow(places).ok_or_else(wrong)?).ok_or_else(wrong)?;
    let nano = numerator.checked_mul(1_000_000_000).ok_or_else(wrong)?;
    if nano % scale != 0 {
        return Err("value is too precise".to_owned());
    }
    u64::try_from(nano / scale)
        .ok()
        .filter(|&nano| nano <= i64::MAX as u64)
        .ok_or_else(|| format!("value {text} is out of range"))
}

/// Digits without their point, and how many stood behind it.
fn decimal(text: &str) -> Option<(i128, u32)> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (if text.starts_with('-') { -1 } else { 1 }, digits),
        None => (1, text),
    };
    let (whole, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{behind}");
    // Longer than any number that counts, and short enough to be multiplied.
    if all.is_empty() || all.len() > 24 || !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((all.parse::<i128>().ok()? * sign, u32::try_from(behind.len()).ok()?))
}

/// One line of comma-separated values, as Go's `encoding/csv` reads it: a field may stand in quotes.
pub(super) fn csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let at = || text.len() - rest.len();
        let (field, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted, text)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, behind) = rest.split_at(end);
                if let Some(quote) = field.find('"') {
                    let column = at() + quote + 1;
                    return Err(format!("parse error on line 1, column {column}: bare \" in non-quoted-field"));
                }
                (field.to_owned(), behind)
            }
        };
        fields.push(field);
        match behind.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(fields),
        }
    }
}

/// What stands in front of the closing quote (two of them are one that is meant), and what comes behind it.
fn quoted_field<'t>(quoted: &'t str, whole: &str) -> Result<(String, &'t str), String> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let wrong =
            |at: usize| format!("parse error on line 1, column {}: extraneous or missing \" in quoted-field", at + 1);
        let Some((part, behind)) = rest.split_once('"') else { return Err(wrong(whole.len())) };
        field.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None if behind.is_empty() || behind.starts_with(',') => return Ok((field, behind)),
            None => return Err(wrong(whole.len() - behind.len() - 1)),
        }
    }
}
