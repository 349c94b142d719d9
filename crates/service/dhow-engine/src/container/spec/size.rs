//! Sizes as people type them: `512m`, `1.5 GiB`, `10MB`.
//!
//! Follows docker/go-units, messages included: units are case-insensitive, `b` and `ib` behind them say nothing.

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// There is no number, or it is negative or beyond 2^63.
    #[error("invalid size: '{0}'")]
    Size(String),
    /// What stands in front of the unit is no number.
    #[error("strconv.ParseFloat: parsing {0:?}: invalid syntax")]
    Number(String),
    /// A unit that there is not.
    #[error("invalid suffix: '{0}'")]
    Suffix(String),
}

/// A size in bytes, units in steps of 1024, as docker takes memory.
///
/// # Errors
/// [`SizeError`].
pub fn binary(text: &str) -> Result<u64, SizeError> {
    parse(text, 1024.0)
}

/// A size in bytes, units in steps of 1000, as docker takes the size of a log.
///
/// # Errors
/// [`SizeError`].
pub fn decimal(text: &str) -> Result<u64, SizeError> {
    parse(text, 1000.0)
}

fn parse(text: &str, step: f64) -> Result<u64, SizeError> {
    let wrong = || SizeError::Size(text.to_owned());
    let end = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' ')).ok_or_else(wrong)?;
    let (number, suffix) = (text[..=end].strip_suffix(' ').unwrap_or(&text[..=end]), &text[end + 1..]);
    let value: f64 = number.parse().map_err(|_| SizeError::Number(number.to_owned()))?;
    if value < 0.0 {
        return Err(wrong());
    }
    let bytes = value * scale(suffix, step).ok_or_else(|| SizeError::Suffix(suffix.to_owned()))?;
    // Go's conversion is undefined beyond this; nobody means it.
    if bytes >= 9_223_372_036_854_775_808.0 { Err(wrong()) } else { Ok(bytes as u64) }
}

fn scale(suffix: &str, step: f64) -> Option<f64> {
    let lower = suffix.to_ascii_lowercase();
    let mut rest = lower.chars();
    let power = match rest.next() {
        None => return Some(1.0),
        Some('b') => return rest.next().is_none().then_some(1.0),
        Some(unit) => "kmgtp".find(unit)? + 1,
    };
    let power = i32::try_from(power).expect("one of five");
    matches!(rest.as_str(), "" | "b" | "ib").then(|| step.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_takes_them() {
        for (text, expected) in [
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("32B", 32),
            ("32k", 32 << 10),
            ("32K", 32 << 10),
            ("32kb", 32 << 10),
            ("32Kib", 32 << 10),
            ("32 KiB", 32 << 10),
            ("32Mb", 32 << 20),
            ("32Gb", 32 << 30),
            ("2t", 2 << 40),
            ("1p", 1 << 50),
            ("1.5g", 3 << 29),
            (".5k", 512),
            ("5.", 5),
            ("+5", 5),
            ("1e3", 1000),
            ("8191p", 8191 << 50),
        ] {
            assert_eq!(binary(text), Ok(expected), "{text}");
        }
        assert_eq!(decimal("10m"), Ok(10_000_000));
        assert_eq!(decimal("1.5 kB"), Ok(1500));
    }

    #[test]
    fn as_docker_refuses_them() {
        for (text, expected) in [
            ("", "invalid size: ''"),
            ("hello", "invalid size: 'hello'"),
            ("-1", "invalid size: '-1'"),
            ("-1k", "invalid size: '-1k'"),
            ("8192p", "invalid size: '8192p'"),
            ("1e999", "invalid size: '1e999'"),
            (".", "strconv.ParseFloat: parsing \".\": invalid syntax"),
            (" ", "strconv.ParseFloat: parsing \"\": invalid syntax"),
            (" 32 ", "strconv.ParseFloat: parsing \" 32\": invalid syntax"),
            ("1.2.3", "strconv.ParseFloat: parsing \"1.2.3\": invalid syntax"),
            ("32m b", "strconv.ParseFloat: parsing \"32m\": invalid syntax"),
            ("32bm", "invalid suffix: 'bm'"),
            ("32x", "invalid suffix: 'x'"),
            ("32kx", "invalid suffix: 'kx'"),
            ("32kibs", "invalid suffix: 'kibs'"),
            ("32é", "invalid suffix: 'é'"),
        ] {
            assert_eq!(binary(text).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
