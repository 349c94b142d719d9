//! Signals by name or number, as docker takes them: pure. The numbers are those of Linux on x86-64 and ARM.

use crate::cli::Failure;

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
/// The real-time signals that are left to programs, as glibc has them.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The number of `SIGTERM`, `term`, `15`, `RTMIN+3`.
///
/// # Errors
/// When there is no such signal.
pub(super) fn number(text: &str) -> Result<i32, Failure> {
    parsed(text).ok_or_else(|| {
        Failure::error(format!("Invalid signal: {text}")).with_hint("give a name (TERM, SIGTERM) or a number (15)")
    })
}

fn parsed(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(at) = NAMES.iter().position(|n| *n == name) {
        return i32::try_from(at).ok()?.checked_add(1);
    }
    match name {
        "IOT" => return Some(6),
        "CLD" => return Some(17),
        "POLL" => return Some(29),
        "RTMIN" => return Some(RTMIN),
        "RTMAX" => return Some(RTMAX),
        _ => {}
    }
    let real_time = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i32>().ok())?;
    let number = match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
        (Some(n), _) => RTMIN.checked_add(real_time(n)?)?,
        (_, Some(n)) => RTMAX.checked_sub(real_time(n)?)?,
        _ => return None,
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("TERM", 15),
            ("term", 15),
            ("sigterm", 15),
            ("15", 15),
            ("KILL", 9),
            ("HUP", 1),
            ("SYS", 31),
            ("WINCH", 28),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("64", 64),
            ("CLD", 17),
        ] {
            assert_eq!(parsed(text), Some(number), "{text}");
        }
        for text in ["", "0", "65", "-1", "FOO", "SIG", "RTMIN+31", "RTMAX-31", "RTMIN+-1", "RTMIN+"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
