//! Processes as `ps -ef` shows them, from `/proc` (proc(5)): who, pid, parent, share of a CPU, start, terminal, CPU time,
//! command.

use super::Table;
use crate::EngineError;
use dhow_state::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const TITLES: [&str; 8] = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];

/// Clock ticks of a second, in all that the kernel tells: `USER_HZ` on every architecture that dhow runs on.
const TICKS: u64 = 100;

/// One row for each of these that is still there.
pub(super) fn table(
    pids: &BTreeSet<u32>,
    now: Timestamp,
    moment: &dyn Fn(Timestamp) -> String,
) -> Result<Table, EngineError> {
    let uptime = fs::read_to_string("/proc/uptime").map_err(|e| EngineError::io("read", "/proc/uptime", e))?;
    let seconds: f64 = uptime.split_ascii_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or_default();
    let uptime = (seconds * TICKS as f64) as u64;
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let names = users(&passwd);
    let row = |pid: &u32| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
        let stat = Stat::parse(&String::from_utf8_lossy(&read("stat")?))?;
        let uid = uid(&String::from_utf8_lossy(&read("status")?))?;
        let age = uptime.saturating_sub(stat.started);
        let started = now.saturating_sub(i64::try_from(age * (1_000_000_000 / TICKS)).unwrap_or(i64::MAX));
        Some(vec![
            names.get(&uid).map_or_else(|| uid.to_string(), |name| short(name)),
            pid.to_string(),
            stat.parent.to_string(),
            // Of one CPU; procps shows no more than two digits either.
            (stat.used * 100 / (age / TICKS * TICKS).max(TICKS)).min(99).to_string(),
            moment(started),
            terminal(stat.terminal),
            clock(stat.used / TICKS),
            command(&read("cmdline").unwrap_or_default(), &stat),
        ])
    };
    Ok((TITLES.map(str::to_owned).to_vec(), pids.iter().filter_map(row).collect()))
}

/// What is shown of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    state: char,
    parent: u32,
    terminal: u32,
    /// Ticks.
    used: u64,
    /// Ticks after the boot.
    started: u64,
}

impl Stat {
    /// The name stands in parentheses and may have any characters, those too.
    fn parse(text: &str) -> Option<Stat> {
        let (front, rest) = text.rsplit_once(')')?;
        let name = front.split_once('(')?.1.to_owned();
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<u64>().ok();
        Some(Stat {
            name,
            state: words.first()?.chars().next()?,
            parent: u32::try_from(number(1)?).ok()?,
            // Signed in the file, though it is a device number.
            terminal: words.get(4)?.parse::<i32>().ok()?.cast_unsigned(),
            used: number(11)? + number(12)?,
            started: number(19)?,
        })
    }
}

/// The effective user in `/proc/<pid>/status`.
fn uid(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The first name of each user (passwd(5)).
fn users(passwd: &str) -> BTreeMap<u32, &str> {
    let mut names = BTreeMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(uid)) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok())) {
            names.entry(uid).or_insert(name);
        }
    }
    names
}

/// Eight characters, as much as the column of `ps` has room for.
fn short(name: &str) -> String {
    match name.chars().count() > 8 {
        true => name.chars().take(7).chain(['+']).collect(),
        false => name.to_owned(),
    }
}

/// The name of a terminal's device.
fn terminal(device: u32) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    match major {
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        136..=143 => format!("pts/{}", minor + (major - 136) * 256),
        _ => "?".to_owned(),
    }
}

fn clock(seconds: u64) -> String {
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match seconds / 86400 {
        0 => clock,
        days => format!("{days}-{clock}"),
    }
}

/// The words of the command, without anything that a terminal would obey; a process that has none by its name.
fn command(cmdline: &[u8], stat: &Stat) -> String {
    let words = String::from_utf8_lossy(cmdline);
    let shown: String = words
        .trim_end_matches('\0')
        .chars()
        .map(|c| {
            if c == '\0' {
                ' '
            } else if c.is_control() {
                '?'
            } else {
                c
            }
        })
        .collect();
    match (stat.state, shown.is_empty()) {
        ('Z', _) => format!("[{}] <defunct>", stat.name),
        (_, true) => format!("[{}]", stat.name),
        (_, false) => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc() {
        let text = "42 (a) b (c)) S 7 42 42 34816 42 4194304 9 0 0 0 250 50 0 0 20 0 1 0 12345 1 2 3";
        let stat = Stat::parse(text).unwrap();
        let name = "a) b (c)".to_owned();
        assert_eq!(stat, Stat { name, state: 'S', parent: 7, terminal: 34816, used: 300, started: 12345 });
        assert_eq!(terminal(stat.terminal), "pts/0");
        assert_eq!([terminal(0), terminal(4 << 8 | 1), terminal(137 << 8 | 3)], ["?", "tty1", "pts/259"]);
        assert_eq!(uid("Name:\tx\nUid:\t0\t1000\t0\t0\n"), Some(1000));
        assert!(Stat::parse("42 (x) S").is_none() && Stat::parse("").is_none());
        assert_eq!([clock(59), clock(3661), clock(90_000)], ["00:00:59", "01:01:01", "1-01:00:00"]);
    }

    #[test]
    fn commands_and_names() {
        let stat = |state| Stat { name: "x".into(), state, parent: 1, terminal: 0, used: 0, started: 0 };
        assert_eq!(command(b"sh\0-c\0a\x1b[31m b\0", &stat('S')), "sh -c a?[31m b");
        assert_eq!(command(b"", &stat('S')), "[x]");
        assert_eq!(command(b"", &stat('Z')), "[x] <defunct>");
        let names = users("root:x:0:0::/:\nother:x:0:0\nbroken\nsystemd-network:x:998:998\n");
        assert_eq!((names[&0], short(names[&998])), ("root", "systemd+".to_owned()));
    }

    #[test]
    fn this_very_process() {
        let pid = std::process::id();
        let (titles, rows) = table(&BTreeSet::from([pid, u32::MAX]), 0, &|_| "12:00".to_owned()).unwrap();
        assert_eq!((titles.len(), rows.len()), (8, 1));
        assert_eq!((rows[0][1].as_str(), rows[0][4].as_str()), (pid.to_string().as_str(), "12:00"));
    }
}
