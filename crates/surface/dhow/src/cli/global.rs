//! The options in front of the command, and where the store is.

use super::Failure;
use dhow_engine::{Engine, EngineError};
use dhow_state::{Access, Places};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// What help says of the global options.
pub(super) const OPTIONS: &str = "      --root path       Data root (env DHOW_ROOT, default /var/lib/dhow)
      --runroot path    Run root (env DHOW_RUNROOT, default /run/dhow)
      --help            Print usage
  -v, --version         Print version information and quit
";

/// Global options.
#[derive(Debug, Clone, Default)]
pub(crate) struct Globals {
    root: Option<PathBuf>,
    run_root: Option<PathBuf>,
    /// `--help` stood before any command.
    pub(super) help: bool,
    /// `--version` stood before any command.
    pub(super) version: bool,
    /// Nobody waits for this process.
    pub(super) background: bool,
}

/// Splits the command line into global options and the words from the command on.
pub(super) fn parse(args: Vec<OsString>) -> Result<(Globals, Vec<OsString>), Failure> {
    let mut globals = Globals::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        let (flag, value) = match text.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(OsString::from(value))),
            _ => (text.as_ref(), None),
        };
        match flag {
            "--root" => globals.root = Some(argument(flag, value, &mut args)?),
            "--runroot" => globals.run_root = Some(argument(flag, value, &mut args)?),
            "--help" | "-h" => globals.help = true,
            "--version" | "-v" => globals.version = true,
            flag if flag.len() > 1 && flag.starts_with('-') => {
                return Err(Failure::usage(format!(
                    "unknown flag: {flag}\n\nUsage:  dhow [OPTIONS] COMMAND\n\nRun 'dhow --help' for more information"
                )));
            }
            _ => {
                let words = std::iter::once(arg).chain(args).collect();
                return Ok((globals, words));
            }
        }
    }
    Ok((globals, Vec::new()))
}

fn argument(
    flag: &str,
    value: Option<OsString>,
    rest: &mut impl Iterator<Item = OsString>,
) -> Result<PathBuf, Failure> {
    match value.or_else(|| rest.next()).filter(|v| !v.is_empty()) {
        Some(value) => Ok(value.into()),
        None => {
            Err(Failure::usage(format!("flag needs an argument: {flag}\n\nRun 'dhow --help' for more information")))
        }
    }
}

impl Globals {
    /// The same for a process that nobody waits for.
    pub(super) fn in_background(mut self) -> Globals {
        self.background = true;
        self
    }

    /// Where the store is: flag, environment, or the user's own default.
    pub(crate) fn places(&self) -> Places {
        let env = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = rustix::process::geteuid().is_root();
        let home = || env("HOME").unwrap_or_else(|| "/".into());
        Places {
            root: self.root.clone().or_else(|| env("DHOW_ROOT")).unwrap_or_else(|| match root {
                true => "/var/lib/dhow".into(),
                false => env("XDG_DATA_HOME").unwrap_or_else(|| home().join(".local/share")).join("dhow"),
            }),
            run_root: self.run_root.clone().or_else(|| env("DHOW_RUNROOT")).unwrap_or_else(|| match root {
                true => "/run/dhow".into(),
                false => match env("XDG_RUNTIME_DIR") {
                    Some(dir) => dir.join("dhow"),
                    None => std::env::temp_dir().join(format!("dhow-run-{}", rustix::process::geteuid().as_raw())),
                },
            }),
        }
    }

    /// Opens the store for changes. Ctrl-C from here on asks the command to stop and undo.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        Ok(Engine::open(&self.places(), Access::ReadWrite, now, super::signal::cancel()?)?)
    }

    /// Opens the store for changes, or for looking only where its file system is read-only.
    pub(crate) fn engine_or_reader(&self) -> Result<Engine, Failure> {
        let read_only = rustix::fs::statvfs(&self.places().root)
            .is_ok_and(|s| s.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
        if read_only { self.reader() } else { self.engine() }
    }

    /// Opens the store for changes; signals do what they do. For commands that hand signals on, or wait: whatever they
    /// leave half done, the next command undoes.
    pub(crate) fn engine_plain(&self) -> Result<Engine, Failure> {
        Ok(self.plain()?)
    }

    /// The same.
    pub(crate) fn plain(&self) -> Result<Engine, EngineError> {
        Engine::open(&self.places(), Access::ReadWrite, now, dhow_engine::Cancel::default())
    }

    /// Opens the store for looking only.
    pub(crate) fn reader(&self) -> Result<Engine, Failure> {
        Ok(Engine::open(&self.places(), Access::ReadOnly, now, dhow_engine::Cancel::default())?)
    }
}

/// The time of the machine, in nanoseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// A word of the command line as text.
pub(crate) fn text(word: &OsStr) -> String {
    word.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> (Globals, Vec<OsString>) {
        parse(words.iter().map(OsString::from).collect()).ok().unwrap()
    }

    #[test]
    fn global_options_end_at_the_command() {
        let (globals, words) = parsed(&["--root", "/a", "--runroot=/b", "load", "--root", "x"]);
        assert_eq!((globals.root, globals.run_root), (Some("/a".into()), Some("/b".into())));
        assert_eq!(words, ["load", "--root", "x"]);
        assert!(parse(vec!["--root".into()]).is_err());
        assert!(parse(vec!["--nonsense".into()]).is_err());
    }
}
