//! What a container's log may grow to.

use super::{invalid, size};
use crate::EngineError;
use crate::container::request::LogConfig;

/// Bytes of a log file, and how many there are, when nothing else is said: docker's own defaults let a log fill the disk.
const DEFAULT: (u64, u32) = (10_000_000, 3);

/// Bytes at which a log is rotated (none: never), and how many files are kept, the current one included.
///
/// # Errors
/// [`EngineError::Invalid`] for a driver or option that there is not, and for a value that is none.
pub fn log_limits(log: &LogConfig) -> Result<(Option<u64>, u32), EngineError> {
    match log.driver.as_str() {
        "json-file" => {}
        "none" if log.options.is_empty() => return Ok((None, 1)),
        "none" => return Err(invalid("invalid logging opts for driver none")),
        other => {
            return Err(EngineError::Invalid {
                problem: format!("logging driver {other:?} is not supported"),
                hint: Some("take json-file or none".to_owned()),
            });
        }
    }
    let known = ["max-size", "max-file"];
    if let Some(option) = log.options.keys().find(|option| !known.contains(&option.as_str())) {
        return Err(invalid(format!("unknown log opt '{option}' for json-file log driver")));
    }
    let max_size = match log.options.get("max-size").map(String::as_str) {
        None => Some(DEFAULT.0),
        // docker's documentation calls this its default: no limit.
        Some("-1") => None,
        Some(text) => match size::decimal(text).map_err(|e| invalid(format!("invalid max-size: {e}")))? {
            0 => return Err(invalid("max-size must be a positive number")),
            bytes => Some(bytes),
        },
    };
    let max_files = match log.options.get("max-file") {
        None => DEFAULT.1,
        Some(text) => match text.parse::<i64>() {
            Ok(count) if count < 1 => return Err(invalid("max-file cannot be less than 1")),
            Ok(count) => u32::try_from(count).unwrap_or(u32::MAX),
            Err(_) => return Err(invalid(format!("invalid max-file: {text:?} is no number"))),
        },
    };
    Ok((max_size, max_files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(driver: &str, options: &[(&str, &str)]) -> Result<(Option<u64>, u32), String> {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        log_limits(&LogConfig { driver: driver.to_owned(), options }).map_err(|e| e.to_string())
    }

    #[test]
    fn limits_of_a_log() {
        assert_eq!(limits("json-file", &[]), Ok((Some(10_000_000), 3)));
        assert_eq!(limits("json-file", &[("max-size", "2m"), ("max-file", "5")]), Ok((Some(2_000_000), 5)));
        assert_eq!(limits("json-file", &[("max-size", "-1")]), Ok((None, 3)));
        assert_eq!(limits("none", &[]), Ok((None, 1)));
        for (driver, options, problem) in [
            ("json-file", &[("max-size", "0")][..], "max-size must be a positive number"),
            ("json-file", &[("max-size", "x")], "invalid max-size: invalid size: 'x'"),
            ("json-file", &[("max-file", "0")], "max-file cannot be less than 1"),
            ("json-file", &[("max-file", "x")], "invalid max-file: \"x\" is no number"),
            ("json-file", &[("tag", "x")], "unknown log opt 'tag' for json-file log driver"),
            ("none", &[("max-file", "3")], "invalid logging opts for driver none"),
            ("syslog", &[], "logging driver \"syslog\" is not supported"),
        ] {
            assert_eq!(limits(driver, options), Err(problem.to_owned()));
        }
    }
}
