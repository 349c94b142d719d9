//! Moments as `--since`, `--until` and filters give them: pure.

use crate::output::units;

const SECOND: i64 = 1_000_000_000;

/// How long ago (`24h`, `1h30m`), RFC 3339, a date, or seconds since 1970 with or without a fraction; in nanoseconds.
pub(crate) fn moment(text: &str, now: i64) -> Option<i64> {
    if let Some(seconds) = seconds(text) {
        return Some(seconds);
    }
    if let Ok(ago) = text.parse::<jiff::SignedDuration>() {
        return now.checked_sub(i64::try_from(ago.as_nanos()).ok()?);
    }
    let local = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::system()).ok();
    units::parse_rfc3339(text).or_else(|| i64::try_from(local()?.timestamp().as_nanosecond()).ok())
}

/// `1700000000` or `1700000000.123456789`.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    whole.checked_mul(SECOND)?.checked_add(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_docker_takes() {
        let now = 1_700_000_000 * SECOND;
        assert_eq!(moment("1700000000", 0), Some(now));
        assert_eq!(moment("1700000000.25", 0), Some(now + SECOND / 4));
        assert_eq!(moment("1700000000.123456789", 0), Some(now + 123_456_789));
        assert_eq!(moment("10s", now), Some(now - 10 * SECOND));
        assert_eq!(moment("1h30m", now), Some(now - 5400 * SECOND));
        assert_eq!(moment("2023-11-14T22:13:20Z", 0), Some(now));
        assert_eq!(moment("2023-11-14T22:13:20.5+00:00", 0), Some(now + SECOND / 2));
        assert!(moment("2023-11-14T22:13:20", 0).is_some());
        assert!(moment("2023-11-14", 0).is_some());
        assert_eq!(moment("yesterday", now), None);
        assert_eq!(moment("1.x", now), None);
    }
}
