//! Bare OCI runtimes beside dhow: crun and runc, with the very `config.json` that dhow made for its container, so that
//! namespaces, mounts, masks, limits and the seccomp profile are the same. They have no store, no log, nobody who watches.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::Options;
use super::measure::{Sample, time};
use crate::failure::Failure;
use crate::project::{on_path, output};

/// Those that are called by their names when they are on the `PATH`, whatever `--peer` adds.
const USUAL: [&str; 2] = ["crun", "runc"];

/// A runtime that ran something here.
pub(crate) struct Runtime {
    pub(crate) name: String,
    words: Vec<String>,
    place: PathBuf,
    /// Containers need names of their own.
    count: Cell<u32>,
}

/// All that work here. `spec` is dhow's, `root` a plain directory with the same root filesystem, `place` is for bundles.
pub(crate) fn all(options: &Options, spec: &Value, root: &Path, place: &Path) -> Result<Vec<Runtime>, Failure> {
    let mut named: Vec<(String, Vec<String>)> = options.peers.clone();
    for name in USUAL {
        if on_path(name) && !named.iter().any(|(other, _)| other == name) {
            named.push((name.to_owned(), vec![name.to_owned()]));
        }
    }
    let mut works = Vec::new();
    for (name, words) in named {
        let place = place.join(&name);
        for (bundle, args) in [("true", ["/bin/true"].as_slice()), ("sleep", &["/bin/sleep", "100000"])] {
            write_bundle(&place.join(bundle), spec, root, args, &format!("/dhow-bench-{}/{name}", std::process::id()))?;
        }
        let runtime = Runtime { name, words, place, count: Cell::new(0) };
        match runtime.run() {
            Ok(_) => works.push(runtime),
            Err(e) => eprintln!("xtask: {} runs nothing here, and is left out: {e}", runtime.name),
        }
    }
    Ok(works)
}

fn write_bundle(bundle: &Path, spec: &Value, root: &Path, args: &[&str], cgroup: &str) -> Result<(), Failure> {
    std::fs::create_dir_all(bundle).map_err(Failure::at(bundle))?;
    let mut spec = spec.clone();
    // Older ones refuse what they do not know, though nothing newer is asked for.
    spec["ociVersion"] = json!("1.0.2");
    spec["root"] = json!({ "path": root, "readonly": false });
    spec["process"]["args"] = json!(args);
    spec["process"]["terminal"] = json!(false);
    spec["linux"]["cgroupsPath"] = json!(cgroup);
    let path = bundle.join("config.json");
    std::fs::write(&path, spec.to_string()).map_err(Failure::at(&path))
}

impl Runtime {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).arg("--root").arg(self.place.join("state")).args(args);
        command
    }

    fn bundle(&self, name: &str) -> String {
        self.place.join(name).to_string_lossy().into_owned()
    }

    /// One container from its start to its end.
    pub(crate) fn run(&self) -> Result<Sample, Failure> {
        self.count.set(self.count.get() + 1);
        let id = format!("dhow-bench-{}", self.count.get());
        time(&mut self.command(&["run", "--bundle", &self.bundle("true"), &id]))
    }

    /// A container to enter.
    pub(crate) fn hold(&self) -> Result<(), Failure> {
        // Its output is nobody's, so that nobody waits for the end of it.
        let mut command = self.command(&["run", "--detach", "--bundle", &self.bundle("sleep"), "held"]);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        crate::project::step(command.stderr(std::process::Stdio::null()))
    }

    pub(crate) fn exec(&self) -> Result<Sample, Failure> {
        time(&mut self.command(&["exec", "held", "/bin/true"]))
    }

    pub(crate) fn release(&self) {
        // What is left then is said by whoever looks.
        let _ = output(&mut self.command(&["delete", "--force", "held"]));
    }
}

/// Removes the groups above those of the containers, which runtimes make and leave.
pub(crate) fn remove_groups() {
    let top = format!("dhow-bench-{}", std::process::id());
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    for place in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
        // Empty ones only, so whatever is not goes on as it is.
        let _ = output(
            Command::new("find").arg(place.join(&top)).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]),
        );
    }
}

/// Takes version 2 of control groups out of our own sight, where it stands beside version 1: crun refuses to run there.
pub(crate) fn hide_hybrid() {
    let unified = Path::new("/sys/fs/cgroup/unified");
    if unified.exists() && nix::mount::umount2(unified, nix::mount::MntFlags::MNT_DETACH).is_ok() {
        println!(
            "control groups: version 1 alone (crun refuses a hybrid; hidden in this benchmark's own mount namespace)"
        );
    }
}
