//! Hooks of the OCI runtime specification 1.2 (`config.md`, "POSIX-platform Hooks"): programs that others want run at
//! certain points of a container's life.
//!
//! | hooks                     | when                                                   | where                         |
//! |---------------------------|--------------------------------------------------------|-------------------------------|
//! | prestart, createRuntime   | namespaces, mounts and devices are made, before pivot  | where the caller is           |
//! | createContainer           | right after those                                      | the container's namespaces; the host's paths |
//! | startContainer            | right before the program, behind the gate              | the container, with its rights and filter    |
//! | poststart                 | after the program was executed                         | where the caller is           |
//! | poststop                  | after the container's end                              | where the caller is           |
//!
//! The first four are run by [`start`](crate::start::start) and [`release`](crate::start::Starting::release), and one that
//! fails ends the start. For the last two there is a function each, to be called by who knows that it is time: what fails
//! there is a warning, and the others are run all the same.
//!
//! A hook gets the state of the container on its standard input, the environment that the spec gives it and no other, and
//! no descriptors but three. What it says is part of the error when it fails. One that takes longer than its `timeout` is
//! killed. In the caller's namespaces it begins in the bundle.

mod run;

use crate::error::RuntimeError;
use oci_spec::runtime::Spec;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Whom hooks are told about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The directory that has its `config.json`, absolute.
    pub bundle: &'a Path,
}

/// Runs the poststart hooks. What comes back are warnings.
///
/// # Errors
/// [`RuntimeError::Invalid`] for hooks that make no sense.
pub fn poststart(spec: &Spec, subject: Subject<'_>, pid: u32) -> Result<Vec<RuntimeError>, RuntimeError> {
    Ok(Hooks::read(spec, Some(subject))?.run_all(Moment::Poststart, Some(pid)))
}

/// Runs the poststop hooks, after the container has ended and what belonged to it is gone. What comes back are warnings.
///
/// # Errors
/// As [`poststart`].
pub fn poststop(spec: &Spec, subject: Subject<'_>) -> Result<Vec<RuntimeError>, RuntimeError> {
    Ok(Hooks::read(spec, Some(subject))?.run_all(Moment::Poststop, None))
}

/// When hooks are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

impl Moment {
    /// As it stands in the spec.
    fn name(self) -> &'static str {
        match self {
            Moment::Prestart => "prestart",
            Moment::CreateRuntime => "createRuntime",
            Moment::CreateContainer => "createContainer",
            Moment::StartContainer => "startContainer",
            Moment::Poststart => "poststart",
            Moment::Poststop => "poststop",
        }
    }

    /// What the container is by then (`runtime.md`, "State").
    fn status(self) -> &'static str {
        match self {
            Moment::Prestart | Moment::CreateRuntime | Moment::CreateContainer => "creating",
            Moment::StartContainer => "created",
            Moment::Poststart => "running",
            Moment::Poststop => "stopped",
        }
    }

    /// Whether the hook begins in the bundle: the others have no use for a directory of the host.
    fn is_in_the_bundle(self) -> bool {
        !matches!(self, Moment::CreateContainer | Moment::StartContainer)
    }
}

/// One program.
#[derive(Debug, PartialEq, Eq)]
struct Hook {
    moment: Moment,
    path: PathBuf,
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    /// Seconds. None: as long as it likes.
    timeout: Option<i64>,
}

/// All hooks of a spec, and what they are told.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    version: String,
    id: String,
    bundle: PathBuf,
    annotations: BTreeMap<String, String>,
    hooks: Vec<Hook>,
}

impl Hooks {
    /// Reads those of a spec; without a subject there must be none.
    pub(crate) fn read(spec: &Spec, subject: Option<Subject<'_>>) -> Result<Hooks, RuntimeError> {
        let Some(listed) = spec.hooks() else { return Ok(Hooks::default()) };
        #[allow(deprecated, reason = "old specs name them still")]
        let prestart = listed.prestart();
        let lists = [
            (Moment::Prestart, prestart),
            (Moment::CreateRuntime, listed.create_runtime()),
            (Moment::CreateContainer, listed.create_container()),
            (Moment::StartContainer, listed.start_container()),
            (Moment::Poststart, listed.poststart()),
            (Moment::Poststop, listed.poststop()),
        ];
        let all = lists.iter().flat_map(|(moment, list)| list.iter().flatten().map(|hook| (*moment, hook)));
        let hooks = all.map(|(moment, hook)| read(moment, hook)).collect::<Result<Vec<_>, _>>()?;
        let (id, bundle) = match subject {
            Some(subject) => (subject.id.to_owned(), subject.bundle.to_owned()),
            None if hooks.is_empty() => Default::default(),
            None => return Err(invalid("hooks", "nothing is known of a bundle that they could be told of")),
        };
        let annotations = spec.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Hooks { version: spec.version().clone(), id, bundle, annotations, hooks })
    }

    fn of(&self, moment: Moment) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(move |hook| hook.moment == moment)
    }

    /// Whether there are any.
    pub(crate) fn has(&self, moment: Moment) -> bool {
        self.of(moment).next().is_some()
    }

    /// Whether there are any that are run before the container's program.
    pub(crate) fn are_early(&self) -> bool {
        self.hooks.iter().any(|hook| !matches!(hook.moment, Moment::Poststart | Moment::Poststop))
    }

    /// The bundle.
    pub(crate) fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// Runs them in order, up to the first that fails.
    pub(crate) fn run(&self, moment: Moment, pid: Option<u32>) -> Result<(), RuntimeError> {
        let Some(first) = self.of(moment).next() else { return Ok(()) };
        let state = self.state(first.moment, pid);
        self.of(moment).try_for_each(|hook| self.run_one(hook, &state))
    }

    /// Runs all of them.
    fn run_all(&self, moment: Moment, pid: Option<u32>) -> Vec<RuntimeError> {
        let state = self.state(moment, pid);
        self.of(moment).filter_map(|hook| self.run_one(hook, &state).err()).collect()
    }

    fn run_one(&self, hook: &Hook, state: &[u8]) -> Result<(), RuntimeError> {
        let directory = hook.moment.is_in_the_bundle().then_some(self.bundle.as_path());
        run::run(hook, state, directory).map_err(|problem| RuntimeError::Step {
            step: format!("{} hooks", hook.moment.name()),
            message: format!("{}: {problem}", hook.path.display()),
            errno: None,
        })
    }

    /// The state of the container as JSON (`runtime.md`, "State").
    fn state(&self, moment: Moment, pid: Option<u32>) -> Vec<u8> {
        let mut state = serde_json::json!({
            "ociVersion": self.version,
            "id": self.id,
            "status": moment.status(),
            "bundle": self.bundle.to_string_lossy(),
        });
        if let Some(pid) = pid {
            state["pid"] = pid.into();
        }
        if !self.annotations.is_empty() {
            state["annotations"] = serde_json::json!(self.annotations);
        }
        state.to_string().into_bytes()
    }
}

fn read(moment: Moment, hook: &oci_spec::runtime::Hook) -> Result<Hook, RuntimeError> {
    let field = format!("hooks.{}", moment.name());
    let path = hook.path();
    if !path.is_absolute() {
        return Err(invalid(&field, &format!("{} is not an absolute path", path.display())));
    }
    if hook.timeout().is_some_and(|seconds| seconds <= 0) {
        return Err(invalid(&field, "a timeout is more than 0 seconds"));
    }
    let string = |bytes: &[u8]| CString::new(bytes).map_err(|_| invalid(&field, "there is a NUL character in it"));
    let strings = |list: &Option<Vec<String>>| {
        list.iter().flatten().map(|text| string(text.as_bytes())).collect::<Result<Vec<_>, _>>()
    };
    let program = string(path.as_os_str().as_bytes())?;
    let mut arguments = strings(hook.args())?;
    if arguments.is_empty() {
        arguments.push(program.clone());
    }
    let environment = strings(hook.env())?;
    Ok(Hook { moment, path: path.clone(), program, arguments, environment, timeout: hook.timeout() })
}

fn invalid(field: &str, problem: &str) -> RuntimeError {
    RuntimeError::Invalid { field: field.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(json: &str) -> Result<Hooks, RuntimeError> {
        let spec: Spec = serde_json::from_str(json).unwrap();
        Hooks::read(&spec, Some(Subject { id: "c", bundle: Path::new("/tmp") }))
    }

    fn message(result: Result<(), RuntimeError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for hook in [r#"{"path":"relative"}"#, r#"{"path":"/x","timeout":0}"#, r#"{"path":"/x","args":["a\u0000"]}"#] {
            let error = hooks(&format!(r#"{{"ociVersion":"1.2.0","hooks":{{"poststop":[{hook}]}}}}"#)).unwrap_err();
            assert!(error.to_string().starts_with("invalid hooks.poststop: "), "{error}");
        }
        let spec: Spec = serde_json::from_str(r#"{"hooks":{"prestart":[{"path":"/x"}]}}"#).unwrap();
        assert!(Hooks::read(&spec, None).is_err());
        assert!(Hooks::read(&Spec::default(), None).is_ok());
    }

    #[test]
    fn they_get_the_state_their_environment_and_three_descriptors() {
        let directory = std::env::temp_dir().join(format!("dhow-hooks-{}", std::process::id()));
        let script = format!(
            "cat > {0}.state; env > {0}.env; pwd > {0}.cwd; ls /proc/self/fd > {0}.fd; echo $1 > {0}.word",
            directory.display()
        );
        let stray = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 90).unwrap();
        rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).unwrap();
        let json = serde_json::json!({"ociVersion": "1.2.0", "annotations": {"a": "b"}, "hooks": {"createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", script, "sh", "word"], "env": ["PATH=/usr/bin:/bin", "X=y"]}]}});
        hooks(&json.to_string()).unwrap().run(Moment::CreateRuntime, Some(7)).unwrap();
        let read = |what: &str| {
            let path = directory.with_extension(what);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            text
        };
        let state: serde_json::Value = serde_json::from_str(&read("state")).unwrap();
        let expected = serde_json::json!({"ociVersion": "1.2.0", "id": "c", "status": "creating", "pid": 7,
            "bundle": "/tmp", "annotations": {"a": "b"}});
        assert_eq!(state, expected);
        let environment = read("env");
        assert!(environment.contains("X=y\n") && !environment.contains("CARGO"), "{environment}");
        assert_eq!((read("cwd").as_str(), read("word").as_str()), ("/tmp\n", "word\n"));
        // The fourth is the directory that ls reads.
        assert_eq!(read("fd"), "0\n1\n2\n3\n");
    }

    #[test]
    fn one_that_fails_says_why_and_the_next_is_not_run() {
        let hook = |script: &str| serde_json::json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
        let run = |list: serde_json::Value| {
            let json = serde_json::json!({"ociVersion": "1.2.0", "hooks": {"prestart": list}});
            hooks(&json.to_string()).unwrap().run(Moment::Prestart, None)
        };
        assert_eq!(
            message(run(serde_json::json!([hook("echo no >&2; exit 3"), hook("echo next; exit 4")]))),
            "prestart hooks: /bin/sh: it ended with status 3: no"
        );
        assert_eq!(
            message(run(serde_json::json!([hook("kill -9 $$")]))),
            "prestart hooks: /bin/sh: it ended with status 137"
        );
        let missing = message(run(serde_json::json!([{"path": "/not/there"}])));
        assert_eq!(missing, "prestart hooks: /not/there: cannot execute it: No such file or directory (os error 2)");
        // More than a pipe holds, and somebody who holds it open still.
        run(serde_json::json!([hook(
            "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done"
        )]))
        .unwrap();
        let message = message(run(serde_json::json!([hook("(exec sleep 3) & exit 5")])));
        assert!(message.ends_with("status 5"), "{message}");
    }

    #[test]
    fn one_that_takes_too_long_is_killed() {
        let json = r#"{"ociVersion":"1.2.0","hooks":{"poststart":[
            {"path":"/bin/sleep","args":["sleep","1000"],"timeout":1}, {"path":"/bin/sh","args":["sh","-c","exit 9"]}]}}"#;
        let warnings = hooks(json).unwrap().run_all(Moment::Poststart, Some(1));
        let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "poststart hooks: /bin/sleep: it took longer than 1 s, and was killed",
                "poststart hooks: /bin/sh: it ended with status 9"
            ]
        );
    }

    #[test]
    fn a_state_larger_than_a_pipe_arrives() {
        let long = "x".repeat(200_000);
        let json = serde_json::json!({"ociVersion": "1.2.0", "annotations": {"a": long}, "hooks": {"createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", "test $(wc -c) -gt 200000"], "env": ["PATH=/usr/bin:/bin"]}]}});
        hooks(&json.to_string()).unwrap().run(Moment::CreateRuntime, None).unwrap();
    }
}
