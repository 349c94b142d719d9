//! The last part: working directory, what is left open, finding the program, the gate, the exec.

use super::failure::{Context, Failure};
use super::place;
use super::root::root;
use super::{Child, Entered};
use crate::start::plan::process::Program;
use dhow_sys::exec;
use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;
use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The working directory, made if missing, but not when entering a container that runs. A path through
/// `/proc/<pid>/fd` would lead to directories of the host as long as we have any open (CVE-2024-21626): such links are
/// not followed, and where we got is looked at.
pub(super) fn working_directory(child: &mut Child<'_>) -> Result<(), Failure> {
    let cwd = &child.program.cwd;
    let what = || format!("chdir to cwd ({:?}) set in config.json failed", cwd.display());
    let directory = match place::existing(root(child), cwd) {
        Err(Errno::NOENT) if child.enter.is_none() => place::directory(root(child), cwd),
        other => other,
    };
    directory.and_then(rustix::process::fchdir).context(what)?;
    let reached = rustix::process::getcwd(Vec::new()).context(what)?;
    if reached.as_bytes().first() == Some(&b'/') {
        return Ok(());
    }
    Err(Failure::because(format!("{}: it is outside of the container", what())))
}

/// Nothing is open any more but the standard streams and what the steps in the container's namespaces need: the root and
/// what is bound in it.
///
/// To be done in a process that no container sees, in whose place a visible one goes on: whoever has CAP_SYS_PTRACE in a
/// pid namespace can take any descriptor of the processes in it by `/proc/<pid>/fd`, and ours lead to the ledger, to the
/// roots of the control groups, and to other containers (CVE-2016-9962).
pub(super) fn close_the_callers(child: &mut Child<'_>) -> Result<(), Failure> {
    // Ours first, so that nothing is closed twice. Everything else is borrowed: it belongs to a copy of the caller that
    // ends with us.
    child.procfs = None;
    child.enter = child.enter.take().map(|entered| Entered { pidfd: None, ..entered });
    child.join = &[];
    let bound = child.sources.iter().flatten().map(AsFd::as_fd);
    let keep: Vec<_> =
        bound.chain(child.root.as_ref().map(AsFd::as_fd)).chain([child.channel.socket.as_fd()]).collect();
    exec::close_all_but(&keep).context(|| "cannot close descriptors".to_owned())
}

/// Nothing of the host stays open but the conversation, which the exec closes: not even a path that leads through
/// `/proc/self/fd` as the name of the program finds anything (CVE-2024-21626).
pub(super) fn close_descriptors(child: &mut Child<'_>) -> Result<(), Failure> {
    // Ours first, so that nothing is closed twice; what is borrowed belongs to a copy of the caller that ends with us.
    child.procfs = None;
    child.read_only_later.clear();
    child.root = None;
    exec::close_all_but(&[child.channel.socket.as_fd()]).context(|| "cannot close descriptors".to_owned())
}

/// Looks for the program with the rights that it will have.
pub(super) fn find(child: &mut Child<'_>) -> Result<(), Failure> {
    let program = child.program;
    let fail = |problem: String, found: bool| Failure::Exec { program: program.name.clone(), problem, found };
    let path = if program.name.contains('/') {
        let path = Path::new(&program.name);
        executable(path).map_err(|e| match e {
            Errno::NOENT | Errno::NOTDIR => fail(format!("stat {}: {}", program.name, words(e)), false),
            e => fail(words(e), true),
        })?;
        path.to_owned()
    } else {
        search(program).ok_or_else(|| fail("executable file not found in $PATH".to_owned(), false))?
    };
    child.path = CString::new(path.as_os_str().as_bytes()).expect("a path that the kernel found has no NUL");
    Ok(())
}

fn search(program: &Program) -> Option<std::path::PathBuf> {
    if program.name.is_empty() {
        return None;
    }
    program.search.iter().map(|directory| directory.join(&program.name)).find(|path| executable(path).is_ok())
}

fn executable(path: &Path) -> Result<(), Errno> {
    let stat = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

/// Waits until the caller has written down who we are.
pub(super) fn gate(child: &mut Child<'_>) -> Result<(), Failure> {
    child.channel.say(b"R").context(|| "cannot tell that we are ready".to_owned())?;
    if child.channel.wait() { Ok(()) } else { Err(Failure::GateClosed) }
}

/// Becomes the program.
pub(super) fn execute(child: &mut Child<'_>) -> Result<(), Failure> {
    let program = child.program;
    let error = exec::execute(&child.path, &program.arguments, &program.environment);
    let errno = Errno::from_io_error(&error);
    // A script whose interpreter is missing is there, but docker counts it among what is not found.
    let found = error.kind() != io::ErrorKind::NotFound;
    let problem = errno.map_or_else(|| error.to_string(), words);
    Err(Failure::Exec { program: program.name.clone(), problem, found })
}

/// Error numbers in the words that Go has for them, and so docker.
fn words(errno: Errno) -> String {
    match errno {
        Errno::NOENT => "no such file or directory".to_owned(),
        Errno::ACCESS => "permission denied".to_owned(),
        Errno::PERM => "operation not permitted".to_owned(),
        Errno::ISDIR => "is a directory".to_owned(),
        Errno::NOTDIR => "not a directory".to_owned(),
        Errno::NOEXEC => "exec format error".to_owned(),
        Errno::LOOP => "too many levels of symbolic links".to_owned(),
        Errno::TXTBSY => "text file busy".to_owned(),
        Errno::TOOBIG => "argument list too long".to_owned(),
        Errno::NAMETOOLONG => "file name too long".to_owned(),
        Errno::NOMEM => "cannot allocate memory".to_owned(),
        other => io::Error::from(other).to_string(),
    }
}
