//! Floating-point numbers written as Go writes them.
//!
//! Follows `strconv.FormatFloat` for the formats `e`, `E`, `f`, `g` and `G`. Digits are exact, so only the layout differs
//! from what Rust writes.

/// `value` in the format `e`, `E`, `f`, `g` or `G` with `precision` digits, or the fewest digits that tell it apart.
pub(crate) fn format_float(value: f64, format: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    // More decimals than any float has are zeros; formatting itself takes no more than 65,535.
    if let ('e' | 'f', Some(wanted @ DECIMALS..)) = (format, precision) {
        let zeros = "0".repeat(wanted - DECIMALS);
        let text = format_float(value, format, Some(DECIMALS - 1)) + "0";
        return match text.strip_suffix('0').and_then(|text| text.split_once('e')) {
            Some((mantissa, exponent)) => format!("{mantissa}0{zeros}e{exponent}"),
            None => text + &zeros,
        };
    }
    match (format, precision) {
        ('f', Some(precision)) => format!("{value:.precision$}"),
        ('f', None) => format!("{value}"),
        ('e', Some(precision)) => go_exponent(&format!("{value:.precision$e}"), 'e'),
        ('e', None) => go_exponent(&format!("{value:e}"), 'e'),
        ('E', _) => format_float(value, 'e', precision).to_uppercase(),
        ('G', _) => format_float(value, 'g', precision).to_uppercase(),
        _ => general(value, precision),
    }
}

/// No float has as many decimals that aren't zero.
const DECIMALS: usize = 1100;

/// Rust writes `1.5e7` where Go writes `1.5e+07`.
fn go_exponent(text: &str, letter: char) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}{letter}{sign}{digits:0>2}")
}

/// The `g` format: an exponent only where it is below -4 or not below the precision.
fn general(value: f64, precision: Option<usize>) -> String {
    let text = match precision {
        None => format!("{value:e}"),
        Some(precision) => format!("{value:.*e}", precision.clamp(1, DECIMALS) - 1),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count() as i64;
    let threshold = match precision {
        // Shortest: six, as if it were C's default.
        None => 6,
        Some(precision) => {
            let precision = precision.max(1) as i64;
            if precision > digits && digits > exponent { digits } else { precision }
        }
    };
    if exponent < -4 || exponent >= threshold {
        return go_exponent(&format!("{mantissa}e{exponent}"), 'e');
    }
    let decimals = (digits - 1 - exponent).max(0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, format, precision, expected) in [
            (1.0, 'g', None, "1"),
            (0.1, 'g', None, "0.1"),
            (100_000.0, 'g', None, "100000"),
            (1_000_000.0, 'g', None, "1e+06"),
            (123_456_789.0, 'g', None, "1.23456789e+08"),
            (12_345_678.0, 'g', None, "1.2345678e+07"),
            (0.0001, 'g', None, "0.0001"),
            (0.00001, 'g', None, "1e-05"),
            (1e21, 'G', None, "1E+21"),
            (1e100, 'g', None, "1e+100"),
            (-0.0, 'g', None, "-0"),
            (0.0, 'g', Some(3), "0"),
            (1234.5678, 'g', Some(3), "1.23e+03"),
            (1234.5678, 'g', Some(10), "1234.5678"),
            (100.0, 'g', Some(3), "100"),
            (1000.0, 'g', Some(4), "1000"),
            (999.6, 'g', Some(3), "1e+03"),
            (1.5, 'E', Some(6), "1.500000E+00"),
            (123_456.789, 'e', Some(1), "1.2e+05"),
            (0.5, 'f', Some(0), "0"),
            (2.5, 'f', Some(0), "2"),
            (1.005, 'f', Some(2), "1.00"),
            (f64::INFINITY, 'g', None, "+Inf"),
        ] {
            assert_eq!(format_float(value, format, precision), expected, "{value} %{precision:?}{format}");
        }
    }
}
