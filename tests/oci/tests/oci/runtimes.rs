//! The runtimes that are compared, and how a bundle is run with one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// A runtime that is there.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// `dhow`, `runc`, `crun`.
    pub(crate) name: &'static str,
    words: Vec<String>,
}

/// All that are there, ours first. Says once which are not.
pub(crate) fn all() -> &'static [Runtime] {
    static ALL: OnceLock<Vec<Runtime>> = OnceLock::new();
    ALL.get_or_init(|| {
        let ours = env!("CARGO_BIN_EXE_dhow-oci-driver").to_owned();
        let mut all = vec![Runtime { name: "dhow", words: vec![ours] }];
        for (name, variable) in [("runc", "DHOW_RUNC"), ("crun", "DHOW_CRUN")] {
            let words = std::env::var(variable).unwrap_or_else(|_| name.to_owned());
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            let works = words[..] != ["none"] && works(&words);
            if works {
                all.push(Runtime { name, words });
            } else {
                eprintln!("SKIPPED with {name}: {words:?} does not work here ({variable} says what to call)");
            }
        }
        all
    })
}

fn works(words: &[String]) -> bool {
    let version = Command::new(&words[0]).args(&words[1..]).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

impl Runtime {
    /// Runs a bundle to its end.
    pub(crate) fn run(&self, bundle: &Path, id: &str) -> Output {
        let state = state_directory(bundle);
        // crun refuses a host with both versions of control groups, so none of them gets to see the second.
        let script = "umount /sys/fs/cgroup/unified 2> /dev/null; exec \"$@\"";
        // crun would give the host's null device to the root of a user namespace: chown(2) of whatever is standard input.
        let empty = bundle.join("empty");
        std::fs::write(&empty, "").unwrap();
        let input = if self.name == "dhow" { Stdio::null() } else { std::fs::File::open(empty).unwrap().into() };
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh"])
            .args(&self.words)
            .arg("--root")
            .arg(&state)
            .args(["run", "--bundle"])
            .arg(bundle)
            .arg(id)
            .current_dir(bundle)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(input)
            .output()
            .unwrap()
    }
}

fn state_directory(bundle: &Path) -> PathBuf {
    bundle.parent().unwrap().join("state")
}
