//! Signals by the names that people and images give them.

/// `STOPSIGNAL` where nobody says otherwise.
pub(super) const TERM: i32 = 15;
pub(super) const KILL: i32 = 9;

/// The real-time signals that are left for programs by the C library, as docker counts them.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Numbers on x86 and ARM: signal(7).
const NAMES: [(&str, i32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The number of a signal: `SIGTERM`, `term`, `RTMIN+3` or a number of 1 to 64.
pub fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str, most: i32| {
        let number = text.parse::<i32>().ok().filter(|n| (1..=most).contains(n))?;
        (text == number.to_string()).then_some(number)
    };
    match name {
        "RTMIN" => return Some(RTMIN),
        "RTMAX" => return Some(RTMAX),
        _ => {}
    }
    if let Some(above) = name.strip_prefix("RTMIN+") {
        return Some(RTMIN + offset(above, 15)?);
    }
    if let Some(below) = name.strip_prefix("RTMAX-") {
        return Some(RTMAX - offset(below, 14)?);
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let known = [("SIGTERM", 15), ("term", 15), ("sigKill", 9), ("37", 37), ("RTMIN+3", 37), ("SIGRTMAX-14", 50)];
        for (text, number) in known {
            assert_eq!(signal_number(text), Some(number), "{text}");
        }
        for bad in ["", "0", "65", "-9", "SIG", "RTMIN+0", "RTMIN+16", "RTMIN+03", "FOO", "SIGSIGTERM"] {
            assert_eq!(signal_number(bad), None, "{bad}");
        }
        assert!(NAMES.iter().all(|(name, _)| dhow_spec::change::is_signal(name)));
    }
}
