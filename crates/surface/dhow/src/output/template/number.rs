//! Number literals of templates.
//!
//! Follows the Go specification ("Integer literals", "Floating-point literals"), without imaginary numbers.

use super::quote::quote;

/// A number literal. Like Go's untyped constants it may be usable as several types.
#[derive(Debug)]
pub(super) struct Number {
    /// As it was written.
    pub(super) text: String,
    /// Its value, when it is whole and in range.
    pub(super) int: Option<i64>,
    /// Its value as a float.
    pub(super) float: f64,
    /// Whether it stands for a float where no type is asked for.
    pub(super) is_float: bool,
}

impl Number {
    /// A character literal.
    pub(super) fn from_char(text: &str) -> Result<Self, String> {
        let code = super::quote::unquote_char(text)?;
        Ok(Self { text: text.to_owned(), int: Some(code), float: code as f64, is_float: false })
    }

    /// A number; the error is the message to show.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (negative, magnitude) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let number = |int, float, is_float| Ok(Self { text: text.to_owned(), int, float, is_float });
        if let Some(n) = parse_integer(magnitude) {
            let signed = if negative { -i128::from(n) } else { i128::from(n) };
            if let Ok(int) = i64::try_from(signed) {
                return number(Some(int), int as f64, false);
            }
            if !negative {
                // Go accepts it as an unsigned constant and finds no use for it when it runs.
                return number(None, n as f64, false);
            }
        }
        let float = parse_float(magnitude).ok_or_else(|| format!("illegal number syntax: {}", quote(text)))?;
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", quote(text)));
        }
        let float = if negative { -float } else { float };
        let whole = float.fract() == 0.0 && float.abs() < 9.2e18;
        number(whole.then_some(float as i64), float, true)
    }
}

/// Underscores may stand between digits and after a base prefix only.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let bad = bytes.iter().enumerate().any(|(i, &b)| {
        let digit_at = |i: Option<&u8>| i.is_some_and(u8::is_ascii_hexdigit);
        let prefix = i == 2 && bytes[0] == b'0' && bytes[1].is_ascii_alphabetic();
        b == b'_' && !(digit_at(bytes.get(i + 1)) && (prefix || (i > 0 && digit_at(bytes.get(i - 1)))))
    });
    (!bad).then(|| text.replace('_', ""))
}

fn parse_integer(text: &str) -> Option<u64> {
    let text = without_underscores(text)?.to_ascii_lowercase();
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x', ..] => (&text[2..], 16),
        [b'0', b'o', ..] => (&text[2..], 8),
        [b'0', b'b', ..] => (&text[2..], 2),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (&text[..], 10),
    };
    // The standard parser would take a sign here.
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

fn parse_float(text: &str) -> Option<f64> {
    let text = without_underscores(text)?.to_ascii_lowercase();
    let Some(hex) = text.strip_prefix("0x") else {
        // Words such as "inf" never get here: the lexer lets only digits, dots and exponents pass.
        return text.parse().ok().filter(|f: &f64| f.is_finite());
    };
    let (mantissa, exponent) = hex.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let bits = u64::from_str_radix(&digits, 16).ok()?;
    let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()? * 4)?;
    Some(bits as f64 * 2f64.powi(exponent)).filter(|f| f.is_finite())
}
