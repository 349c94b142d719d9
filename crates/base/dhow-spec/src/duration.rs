//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`. Docker's flags and instructions take them.

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is no sequence of numbers and units, or beyond 292 years.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {0:?}")]
    NoUnit(String),
    /// A unit that there is not.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    Unit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Parses a duration to nanoseconds.
///
/// # Errors
/// [`DurationError`], in the words of Go's `time` package.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let shown = || crate::digest::clip(text);
    let invalid = || DurationError::Invalid(shown());
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (whole, behind) = rest.split_at(digits(rest));
        let (fraction, behind) = match behind.strip_prefix('.') {
            Some(behind) => behind.split_at(digits(behind)),
            None => ("", behind),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        if unit.is_empty() {
            return Err(DurationError::NoUnit(shown()));
        }
        let scale =
            scale(unit).ok_or_else(|| DurationError::Unit { unit: crate::digest::clip(unit), text: shown() })?;
        let whole: i128 = if whole.is_empty() { 0 } else { i128::from(whole.parse::<u64>().map_err(|_| invalid())?) };
        total += whole * scale + fraction_of(fraction, scale);
        if total > i128::from(i64::MAX) + i128::from(negative) {
            return Err(invalid());
        }
        rest = behind;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// Nanoseconds of a unit.
fn scale(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `0.digits` of a unit, rounded down; digits beyond the nanosecond say nothing.
fn fraction_of(digits: &str, scale: i128) -> i128 {
    let digits = &digits[..digits.len().min(18)];
    let value: i128 = digits.bytes().fold(0, |value, digit| value * 10 + i128::from(digit - b'0'));
    let power = digits.bytes().fold(1, |power: i128, _| power * 10);
    value * scale / power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_accepts() {
        const S: i64 = 1_000_000_000;
        for (text, nanoseconds) in [
            ("0", 0),
            ("5s", 5 * S),
            ("-5s", -5 * S),
            ("+5s", 5 * S),
            ("1.5h", 5400 * S),
            ("1h2m3s4ms5us6ns", 3723 * S + 4_005_006),
            (".5s", S / 2),
            ("5.s", 5 * S),
            ("1m0.25s", 60 * S + S / 4),
            ("3µs", 3_000),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            let parsed = parse(text);
            assert_eq!(parsed, Ok(nanoseconds), "{text}");
        }
    }

    #[test]
    fn what_go_refuses() {
        assert_eq!(parse("3").unwrap_err().to_string(), "time: missing unit in duration \"3\"");
        assert_eq!(parse("3d").unwrap_err().to_string(), "time: unknown unit \"d\" in duration \"3d\"");
        for text in ["", "-", ".", ".s", "s", "1 s", "9223372036854775808ns", "3000000h", "99999999999999999999h", "é"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
