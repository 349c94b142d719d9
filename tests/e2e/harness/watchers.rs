//! The processes that stand beside the containers of a test's store: supervisors, and the keeper.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::containers::{Containers, eventually};

impl Containers {
    /// Those of this store that were started as `internal <what>`: `supervise` or `keep`. In any other group or store
    /// than the test's own nothing is found, so that nothing else is ever killed.
    pub(crate) fn watchers(&self, what: &str) -> Vec<Pid> {
        let group = format!("/dhow/{}/supervisors\n", self.store_id());
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_one = |pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
            words.windows(2).any(|two| two == [b"internal".as_slice(), what.as_bytes()])
                && fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(&group))
        };
        pids.filter(is_one).map(Pid::from_raw).collect()
    }

    /// Kills these at once, once there is one of each; how many there were.
    pub(crate) fn kill_watchers(&self, whats: &[&str]) -> usize {
        eventually("there is somebody to kill", || whats.iter().all(|what| !self.watchers(what).is_empty()));
        let pids: Vec<Pid> = whats.iter().flat_map(|what| self.watchers(what)).collect();
        // Stopped first: none of them sees another one die.
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in &pids {
                // ESRCH: it has just ended by itself.
                let _ = kill(*pid, signal);
            }
        }
        // Gone, or waiting to be reaped: only then all its descriptors are closed, and the locks among them free. (It has
        // no words any more well before that, and a keeper's netlink sockets take a while to close.)
        let lives = |pid: &Pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
        };
        eventually("they are dead", || !pids.iter().any(lives));
        pids.len()
    }

    /// Names the store's groups and its part of the run root. Not asked of dhow, which would look at the containers, and
    /// have those watched again that nobody watches.
    fn store_id(&self) -> String {
        let mut names = fs::read_dir(self.folder().join("run")).unwrap();
        names.next().unwrap().unwrap().file_name().into_string().unwrap()
    }
}
