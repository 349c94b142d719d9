//! The signals that `STOPSIGNAL` and `--stop-signal` accept, by name and by number.

const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Whether a text names a signal: `SIGTERM`, `term`, `RTMIN+3`, or a number other than 0, as Docker takes it.
pub fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str, most: u8| {
        let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        canonical && text.parse().is_ok_and(|n: u8| (1..=most).contains(&n))
    };
    if let Some(above) = name.strip_prefix("RTMIN+") {
        return offset(above, 15);
    }
    if let Some(below) = name.strip_prefix("RTMAX-") {
        return offset(below, 14);
    }
    NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn names_and_numbers() {
        for good in ["SIGTERM", "term", "sigInt", "9", "+9", "37", "RTMIN", "SIGRTMIN+15", "rtmax-14"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "SIG", "SIGSIGTERM", "RTMIN+0", "RTMIN+16", "RTMAX-15", "RTMIN+03", "TERM ", "FOO", "1.5"]
        {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
