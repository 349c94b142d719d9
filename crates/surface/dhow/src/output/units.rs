//! Sizes, durations and times as docker prints them.
//!
//! Follows docker/go-units for sizes and durations and Go's `time` for dates. Must not know: the clock; what is now is
//! given. All times are nanoseconds since the Unix epoch.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::float::format_float;

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

fn scaled(bytes: u64, base: f64, units: [&str; 9], digits: usize) -> String {
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    format_float(size, 'g', Some(digits)) + units[unit]
}

/// Four digits in steps of 1000: `1.234GB`.
pub(crate) fn human_size(bytes: u64) -> String {
    scaled(bytes, 1000.0, DECIMAL, 4)
}

/// Three digits in steps of 1000, as lists of images have it: `1.23GB`.
pub(crate) fn short_size(bytes: u64) -> String {
    scaled(bytes, 1000.0, DECIMAL, 3)
}

/// Four digits in steps of 1024: `15.57GiB`.
pub(crate) fn binary_size(bytes: u64) -> String {
    scaled(bytes, 1024.0, BINARY, 4)
}

/// A duration in nanoseconds in words: `About a minute`, `2 weeks`. Callers add the ` ago`.
pub(crate) fn human_duration(nanoseconds: i64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let minutes = seconds / 60;
    // Rounded, unlike everything else here.
    let hours = (nanoseconds as f64 / 3.6e12 + 0.5) as i64;
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// How long before `now` something was, in words: `2 weeks ago`.
pub(crate) fn ago(time: i64, now: i64) -> String {
    human_duration(now.saturating_sub(time)) + " ago"
}

/// RFC 3339 in UTC with as many decimals as there are: `2024-01-02T03:04:05.06Z`.
pub(crate) fn rfc3339(time: i64) -> String {
    timestamp(time).to_string()
}

/// A time with an offset, in nanoseconds. `None`: it is none, or out of range (1677 to 2262).
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    i64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

/// As Go prints a time to the second: `2024-01-02 03:04:05 +0000 UTC`.
pub(crate) fn date_time(time: i64, zone: TimeZone) -> String {
    timestamp(time).to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

fn timestamp(time: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(time)).expect("64 bits of nanoseconds are within years 1677 to 2262")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, long, short, binary) in [
            (0, "0B", "0B", "0B"),
            (1, "1B", "1B", "1B"),
            (999, "999B", "999B", "999B"),
            (1000, "1kB", "1kB", "1000B"),
            (1023, "1.023kB", "1.02kB", "1023B"),
            (1024, "1.024kB", "1.02kB", "1KiB"),
            (12_345, "12.35kB", "12.3kB", "12.06KiB"),
            (999_600, "999.6kB", "1e+03kB", "976.2KiB"),
            (999_960, "1000kB", "1e+03kB", "976.5KiB"),
            (1_000_000, "1MB", "1MB", "976.6KiB"),
            (7_795_384, "7.795MB", "7.8MB", "7.434MiB"),
            (123_456_789, "123.5MB", "123MB", "117.7MiB"),
            (2_746_000_000, "2.746GB", "2.75GB", "2.557GiB"),
            (16_717_361_152, "16.72GB", "16.7GB", "15.57GiB"),
            (u64::MAX, "18.45EB", "18.4EB", "16EiB"),
        ] {
            assert_eq!(human_size(bytes), long, "{bytes}");
            assert_eq!(short_size(bytes), short, "{bytes}");
            assert_eq!(binary_size(bytes), binary, "{bytes}");
        }
    }

    #[test]
    fn durations() {
        const SECOND: i64 = 1_000_000_000;
        const MINUTE: i64 = 60 * SECOND;
        const HOUR: i64 = 60 * MINUTE;
        const DAY: i64 = 24 * HOUR;
        for (duration, expected) in [
            (-5 * HOUR, "Less than a second"),
            (450_000_000, "Less than a second"),
            (SECOND, "1 second"),
            (45 * SECOND, "45 seconds"),
            (60 * SECOND, "About a minute"),
            (MINUTE + 45 * SECOND, "About a minute"),
            (3 * MINUTE, "3 minutes"),
            (59 * MINUTE + 59 * SECOND, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 29 * MINUTE, "About an hour"),
            (HOUR + 30 * MINUTE, "2 hours"),
            (47 * HOUR, "47 hours"),
            (47 * HOUR + 31 * MINUTE, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
            (i64::MAX, "292 years"),
        ] {
            assert_eq!(human_duration(duration), expected, "{duration}");
        }
        assert_eq!(ago(i64::MIN, i64::MAX), "292 years ago");
        assert_eq!(ago(0, 14 * DAY), "2 weeks ago");
    }

    #[test]
    fn times() {
        for (text, time) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-01-02T03:04:05.06Z", 1_704_164_645_060_000_000),
            ("2024-01-02T03:04:05.123456789Z", 1_704_164_645_123_456_789),
            ("1969-12-31T23:59:59Z", -1_000_000_000),
        ] {
            assert_eq!(rfc3339(time), text);
            assert_eq!(parse_rfc3339(text), Some(time));
        }
        assert_eq!(parse_rfc3339("2024-01-02T05:04:05.06+02:00"), Some(1_704_164_645_060_000_000));
        assert_eq!(parse_rfc3339("0001-01-01T00:00:00Z"), None);
        assert_eq!(parse_rfc3339("2024-01-02"), None);
        assert_eq!(parse_rfc3339("now"), None);
        assert_eq!(date_time(1_704_164_645_060_000_000, TimeZone::UTC), "2024-01-02 03:04:05 +0000 UTC");
        assert_eq!(parse_rfc3339(&rfc3339(i64::MIN)), Some(i64::MIN));
    }
}
