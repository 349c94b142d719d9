//! A container of one small program, from the command line to the prompt; another process in a running one; a long log.
//!
//! All engines run the same root, a static busybox, without a network. `unshare` of util-linux makes the same namespaces
//! and nothing else: no root filesystem, no control group, no seccomp filter, no store.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Options;
use super::disk::Disk;
use super::measure::{Case, Sample, interleave, time};
use super::report::{Figure, Report};
use super::runtimes::{self, Runtime};
use super::unpack::dhow;
use crate::failure::Failure;
use crate::project::{on_path, output, step};

pub(super) const IMAGE: &str = "localhost/box:1";
/// So long a pause lets the kernel's locks go cold, as they are in real use.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes the image in dhow's store; its root as a plain directory, and its archive.
pub(super) fn import(options: &Options, disk: &Disk) -> Result<(PathBuf, PathBuf), Failure> {
    let root = root(disk.path())?;
    let archive = disk.path().join("box.tar");
    step(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg("."))?;
    output(dhow(options, disk).arg("import").arg(&archive).arg(IMAGE))?;
    Ok((root, archive))
}

/// The spec that dhow makes for a container of that image.
fn spec(options: &Options, disk: &Disk) -> Result<serde_json::Value, Failure> {
    let args = ["run", "--name", "model", "--network", "none", IMAGE, "true"];
    output(dhow(options, disk).args(args))?;
    let id = output(dhow(options, disk).args(["inspect", "--format", "{{.Id}}", "model"]))?;
    let path = disk.path().join("root/containers").join(id.trim()).join("config.json");
    let text = std::fs::read_to_string(&path).map_err(Failure::at(&path))?;
    let mut spec: serde_json::Value = serde_json::from_str(&text).map_err(Failure::at(&path))?;
    // Its files go with it; the others have an /etc of their own.
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["type"] != "bind");
    }
    output(dhow(options, disk).args(["rm", "model"]))?;
    Ok(spec)
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    runtimes::hide_hybrid();
    let disk = Disk::fresh(options, 4)?;
    let (root, archive) = import(options, &disk)?;
    let runtimes = runtimes::all(options, &spec(options, &disk)?, &root, disk.path())?;
    let podman = on_path("podman").then(|| Podman { place: disk.path().to_owned() }).filter(|podman| {
        let imported = output(podman.command(&["import", "--quiet"]).arg(&archive).arg(IMAGE));
        let ran =
            imported.and_then(|_| output(podman.command(&["run"]).args(["--rm", "--network", "none", IMAGE, "true"])));
        // crun refuses a hybrid of the two versions of control groups.
        ran.map_err(|e| eprintln!("xtask: podman runs nothing here, and is left out: {e}")).is_ok()
    });
    let done = starts(options, &disk, podman.as_ref(), &runtimes)
        .and_then(|()| execs(options, &disk, podman.as_ref(), &runtimes))
        .and_then(|()| logs(options, &disk, podman.as_ref()));
    runtimes::remove_groups();
    if let Some(podman) = &podman {
        // The overlay driver leaves its folder mounted on itself.
        let _ = output(Command::new("umount").arg(podman.place.join("podman/overlay")));
    }
    done
}

/// podman with a store of its own.
struct Podman {
    place: PathBuf,
}

impl Podman {
    /// A command line of a verb and the rest.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.arg("--root").arg(self.place.join("podman")).arg("--runroot").arg(self.place.join("podman-run"));
        command.args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]);
        let (verb, rest) = args.split_at(args.len().min(1));
        command.args(verb);
        if verb == ["run"] {
            // Its default limits are more than some machines let root have.
            command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
        }
        command.args(rest);
        command
    }
}

/// A root filesystem of one static program.
fn root(place: &Path) -> Result<PathBuf, Failure> {
    let root = place.join("box");
    for directory in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
        let directory = root.join(directory);
        std::fs::create_dir_all(&directory).map_err(Failure::at(&directory))?;
    }
    step(Command::new("cp").arg("/bin/busybox").arg(root.join("bin/busybox")))?;
    for name in ["sh", "true", "sleep", "dd", "cat", "yes", "head"] {
        let link = root.join("bin").join(name);
        std::os::unix::fs::symlink("busybox", &link).map_err(Failure::at(&link))?;
    }
    Ok(root)
}

fn after_a_pause(command: &mut Command) -> Result<Sample, Failure> {
    std::thread::sleep(PAUSE);
    time(command)
}

fn starts(options: &Options, disk: &Disk, podman: Option<&Podman>, runtimes: &[Runtime]) -> Result<(), Failure> {
    const RUN: [&str; 6] = ["run", "--rm", "--network", "none", IMAGE, "true"];
    let mut cases = vec![
        Case::new("dhow run --rm", || time(dhow(options, disk).args(RUN))),
        Case::new("dhow run --rm, 100 ms apart", || after_a_pause(dhow(options, disk).args(RUN))),
        Case::new("unshare", || {
            time(
                Command::new("unshare")
                    .args(["--fork", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup"])
                    .args(["/bin/busybox", "true"]),
            )
        }),
    ];
    for runtime in runtimes {
        cases.push(Case::new(format!("{} run", runtime.name), || runtime.run()));
        cases.push(Case::new(format!("{} run, 100 ms apart", runtime.name), || {
            std::thread::sleep(PAUSE);
            runtime.run()
        }));
    }
    if let Some(podman) = podman {
        cases.push(Case::new("podman run --rm", || time(&mut podman.command(&RUN))));
        cases.push(Case::new("podman run --rm, 100 ms apart", || after_a_pause(&mut podman.command(&RUN))));
    }
    let cases = interleave(&mut cases, options.rounds(50))?;
    let about = "a container of busybox `true`, without a network, removed at its end".to_owned();
    Report { name: "run", about, cases, figures: &[Figure::WallMillis, Figure::CpuMillis] }.publish(options)
}

fn execs(options: &Options, disk: &Disk, podman: Option<&Podman>, runtimes: &[Runtime]) -> Result<(), Failure> {
    const RUN: [&str; 9] = ["run", "--detach", "--name", "held", "--network", "none", IMAGE, "sleep", "100000"];
    const EXEC: [&str; 3] = ["exec", "held", "true"];
    output(dhow(options, disk).args(RUN))?;
    let mut cases = vec![Case::new("dhow exec", || time(dhow(options, disk).args(EXEC)))];
    for runtime in runtimes {
        runtime.hold()?;
        cases.push(Case::new(format!("{} exec", runtime.name), || runtime.exec()));
    }
    if let Some(podman) = podman {
        output(&mut podman.command(&RUN))?;
        cases.push(Case::new("podman exec", || time(&mut podman.command(&EXEC))));
    }
    let cases = interleave(&mut cases, options.rounds(50))?;
    runtimes.iter().for_each(Runtime::release);
    output(dhow(options, disk).args(["rm", "--force", "held"]))?;
    if let Some(podman) = podman {
        output(&mut podman.command(&["rm", "--force", "--time", "0", "held"]))?;
    }
    let about = "busybox `true` in a running container".to_owned();
    Report { name: "exec", about, cases, figures: &[Figure::WallMillis, Figure::CpuMillis] }.publish(options)
}

/// A million lines of 100 bytes, written in blocks of 64 KiB, and read back.
fn logs(options: &Options, disk: &Disk, podman: Option<&Podman>) -> Result<(), Failure> {
    const LINE: &str =
        "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789";
    let program = format!("yes '{LINE}' | head -n 1000000");
    let write = |mut command: Command, more: &[&str]| {
        command.args(["--name", "wordy", "--network", "none"]).args(more).args([IMAGE, "sh", "-c", &program]);
        time(&mut command)
    };
    let mut cases = vec![
        Case::new("dhow run", || {
            let _ = output(dhow(options, disk).args(["rm", "--force", "wordy"]));
            let mut command = dhow(options, disk);
            command.arg("run");
            write(command, &["--log-opt", "max-size=-1"])
        }),
        Case::new("dhow logs", || time(dhow(options, disk).args(["logs", "wordy"]))),
    ];
    if let Some(podman) = podman {
        cases.push(Case::new("podman run", || {
            let _ = output(&mut podman.command(&["rm", "--force", "wordy"]));
            write(podman.command(&["run"]), &["--log-driver", "k8s-file"])
        }));
        cases.push(Case::new("podman logs", || time(&mut podman.command(&["logs", "wordy"]))));
    }
    // In turn, each `logs` behind its `run`: every round in the same order.
    let cases = super::measure::in_order(&mut cases, options.rounds(5))?;
    output(dhow(options, disk).args(["rm", "--force", "wordy"]))?;
    if let Some(podman) = podman {
        output(&mut podman.command(&["rm", "--force", "wordy"]))?;
    }
    let about = "a million lines of 100 bytes to the log and to /dev/null, and read back".to_owned();
    Report { name: "logs", about, cases, figures: &[Figure::WallSeconds, Figure::CpuMillis] }.publish(options)
}
