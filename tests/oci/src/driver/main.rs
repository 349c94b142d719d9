//! `dhow-oci-driver [--root DIR] run --bundle DIR ID`: runs a bundle through the runtime core, as `runc run` would.
//!
//! Only what the tests need: no state on disk, no detaching, no terminal. Must do nothing about a container that the core is
//! there to do.

#![allow(clippy::print_stderr, reason = "it is a command")]

use dhow_runtime::RuntimeError;
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use dhow_runtime::hooks::{self, Subject};
use dhow_runtime::seccomp::Filter;
use dhow_runtime::start::{Running, Start, Stdio, start};
use dhow_sys::mount::{Depth, open_tree_at};
use dhow_sys::pidfd;
use oci_spec::runtime::{LinuxNamespaceType, LinuxResources, Spec};
use std::error::Error;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("dhow-oci-driver: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<u8, Box<dyn Error>> {
    let (bundle, id) = arguments()?;
    let bundle = bundle.canonicalize()?;
    let spec: Spec = serde_json::from_reader(File::open(bundle.join("config.json"))?)?;
    let linux = spec.linux().as_ref().ok_or("there is no `linux` in the spec")?;
    let group = make_group(&spec)?;
    let filter = linux.seccomp().as_ref().map(Filter::compile).transpose()?;
    let subject = Subject { id: &id, bundle: &bundle };
    let ran = go(&spec, subject, &group, filter.as_ref());
    let status = ran.and_then(|running| {
        warn(hooks::poststart(&spec, subject, running.pid)?);
        Ok(pidfd::wait(running.pidfd.as_fd())?.status())
    });
    // What the container has left behind in its group ends with it.
    group.kill()?;
    group.remove()?;
    warn(hooks::poststop(&spec, subject)?);
    Ok(u8::try_from(status?)?)
}

fn warn(warnings: Vec<RuntimeError>) {
    for warning in warnings {
        eprintln!("dhow-oci-driver: warning: {warning}");
    }
}

fn go(spec: &Spec, subject: Subject<'_>, group: &Cgroup, filter: Option<&Filter>) -> Result<Running, Box<dyn Error>> {
    let root = spec.root().as_ref().ok_or("there is no `root` in the spec")?;
    let root = open_tree_at(&subject.bundle.join(root.path()), Depth::All)?;
    let join = join(spec)?;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let starting = start(Start {
        spec,
        root: root.as_fd(),
        stdio: Stdio::Files([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]),
        cgroup: group.entry(),
        seccomp: filter,
        join: &join,
        subject: Some(subject),
    })?;
    Ok(starting.release()?)
}

fn arguments() -> Result<(PathBuf, String), Box<dyn Error>> {
    let (mut bundle, mut words) = (None, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--root" => drop(arguments.next()),
            "--bundle" => bundle = arguments.next(),
            _ => words.push(word),
        }
    }
    match (bundle, words.as_slice()) {
        (Some(bundle), [run, id]) if run == "run" => Ok((bundle.into(), id.clone())),
        _ => Err("usage: dhow-oci-driver [--root DIR] run --bundle DIR ID".into()),
    }
}

fn make_group(spec: &Spec) -> Result<Cgroup, RuntimeError> {
    let linux = spec.linux().as_ref();
    let unlimited = LinuxResources::default();
    let resources = linux.and_then(|linux| linux.resources().as_ref()).unwrap_or(&unlimited);
    let path = linux.and_then(|linux| linux.cgroups_path().clone()).unwrap_or_default();
    let path = path.strip_prefix("/").unwrap_or(&path);
    Cgroup::create(&Hierarchies::detect()?, path, resources)
}

/// The namespaces that the spec names by a path.
fn join(spec: &Spec) -> io::Result<Vec<(LinuxNamespaceType, OwnedFd)>> {
    let listed = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let with_path = listed.iter().filter_map(|namespace| Some((namespace.typ(), namespace.path().as_ref()?)));
    with_path.map(|(kind, path)| Ok((kind, File::open(path)?.into()))).collect()
}
