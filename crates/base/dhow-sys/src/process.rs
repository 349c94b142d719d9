//! Who a process is: boot id, pid and start time, read from `/proc` (`proc(5)`).
//!
//! A bare pid names whoever has that number now. Boot id, pid and start time together name one process
//! for ever, so they may be written down and compared after a crash or a reboot. Knows nothing of what
//! the identity is used for.

use crate::procfs;
use std::io;
use std::sync::OnceLock;

/// One process, for ever.
///
/// Threads of one process share it: what one of them began counts as alive while the process lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcessIdentity {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Inode of the pid namespace that the pid is a number of; pids of two namespaces cannot be compared.
    pub pid_namespace: u64,
    /// The pid.
    pub pid: u32,
    /// Clock ticks from boot to its start: field 22 of `/proc/<pid>/stat`.
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The identity of the calling process.
    ///
    /// # Errors
    /// When `/proc` is not mounted or not readable.
    pub fn current() -> io::Result<ProcessIdentity> {
        let stat = Stat::parse(&procfs::read("/proc/self/stat")?)?;
        Ok(ProcessIdentity {
            boot_id: boot_id()?,
            pid_namespace: pid_namespace()?,
            pid: rustix::process::getpid().as_raw_nonzero().get().unsigned_abs(),
            start_time: stat.start_time,
        })
    }

    /// The identity of who has this pid now. Whoever must be sure that it is still the same holds a pidfd that was
    /// opened before, and finds that process alive afterwards.
    ///
    /// # Errors
    /// `NotFound` when nobody has it; when `/proc` is not mounted or not readable.
    pub fn of(pid: u32) -> io::Result<ProcessIdentity> {
        let bytes = procfs::read(format!("/proc/{pid}/stat")).map_err(|e| {
            // It went between open and read.
            if is_no_such_process(&e) { io::Error::from(io::ErrorKind::NotFound) } else { e }
        })?;
        let start_time = Stat::parse(&bytes)?.start_time;
        Ok(ProcessIdentity { boot_id: boot_id()?, pid_namespace: pid_namespace()?, pid, start_time })
    }
}

/// The id of the present boot: 36 characters, new at each boot.
///
/// # Errors
/// When `/proc` is not mounted or not readable.
pub fn boot_id() -> io::Result<String> {
    // It stays the same as long as we live.
    static READ: OnceLock<String> = OnceLock::new();
    if let Some(id) = READ.get() {
        return Ok(id.clone());
    }
    let id = procfs::read_text("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned();
    Ok(READ.get_or_init(|| id).clone())
}

/// Whether the process still runs. A zombie is dead: it will never act again.
///
/// A process of another pid namespace of this boot cannot be looked up from here and counts as alive:
/// taking it for dead would take away what it works on.
///
/// # Errors
/// When `/proc` is not mounted or not readable.
pub fn is_alive(process: &ProcessIdentity) -> io::Result<bool> {
    if process.boot_id != boot_id()? {
        return Ok(false);
    }
    if process.pid_namespace != pid_namespace()? {
        return Ok(true);
    }
    match procfs::read(format!("/proc/{}/stat", process.pid)) {
        Ok(bytes) => {
            let stat = Stat::parse(&bytes)?;
            Ok(stat.start_time == process.start_time && !matches!(stat.state, b'Z' | b'X' | b'x'))
        }
        // ESRCH: it went between open and read.
        Err(e) if e.kind() == io::ErrorKind::NotFound || is_no_such_process(&e) => Ok(false),
        Err(e) => Err(e),
    }
}

fn is_no_such_process(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::SRCH)
}

fn pid_namespace() -> io::Result<u64> {
    Ok(rustix::fs::stat("/proc/self/ns/pid")?.st_ino)
}

/// The two fields of `/proc/<pid>/stat` that matter here.
struct Stat {
    state: u8,
    start_time: u64,
}

impl Stat {
    /// The name, field 2, stands in parentheses and may hold spaces and parentheses: fields count from the last `)`.
    fn parse(bytes: &[u8]) -> io::Result<Stat> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed /proc/<pid>/stat");
        let end_of_name = bytes.iter().rposition(|b| *b == b')').ok_or_else(malformed)?;
        let rest = std::str::from_utf8(&bytes[end_of_name + 1..]).map_err(|_| malformed())?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next().and_then(|f| f.bytes().next()).ok_or_else(malformed)?;
        // Field 3 was taken; 22 is the nineteenth from there.
        let start_time = fields.nth(18).and_then(|f| f.parse().ok()).ok_or_else(malformed)?;
        Ok(Stat { state, start_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn fields_count_from_the_last_parenthesis() {
        let line = b"7 (a) S (b)) R 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 99 11";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.start_time), (b'R', 4242));
        assert!(Stat::parse(b"7 (x").is_err());
        assert!(Stat::parse(b"7 (x) R 1 2").is_err());
    }

    #[test]
    fn this_process_is_alive_and_others_like_it_are_not() {
        let me = ProcessIdentity::current().unwrap();
        assert_eq!(me.pid, std::process::id());
        assert!(is_alive(&me).unwrap());
        assert_eq!(ProcessIdentity::of(me.pid).unwrap(), me);
        assert_eq!(ProcessIdentity::of(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
        let recycled = ProcessIdentity { start_time: me.start_time + 1, ..me.clone() };
        assert!(!is_alive(&recycled).unwrap());
        let rebooted = ProcessIdentity { boot_id: "another".to_owned(), ..me.clone() };
        assert!(!is_alive(&rebooted).unwrap());
        let elsewhere = ProcessIdentity { pid_namespace: 1, pid: u32::MAX, ..me };
        assert!(is_alive(&elsewhere).unwrap());
    }

    #[test]
    fn a_zombie_is_dead_and_so_is_who_was_reaped() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let stat = Stat::parse(&procfs::read(format!("/proc/{}/stat", child.id())).unwrap()).unwrap();
        let me = ProcessIdentity::current().unwrap();
        let identity = ProcessIdentity { pid: child.id(), start_time: stat.start_time, ..me };
        assert!(is_alive(&identity).unwrap());
        drop(child.stdin.take());
        // Waits for the end without reaping.
        let pid = rustix::process::Pid::from_child(&child);
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
        assert!(!is_alive(&identity).unwrap(), "a zombie");
        child.wait().unwrap();
        assert!(!is_alive(&identity).unwrap(), "reaped");
    }
}
