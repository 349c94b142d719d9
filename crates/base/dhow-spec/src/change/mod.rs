//! The instructions that `import --change` and `commit --change` accept, and what they do to a configuration.
//!
//! Owns the meaning of the Dockerfile instructions that touch nothing but a configuration; their syntax is
//! [`crate::dockerfile`]'s. Knows neither file systems nor images. Follows Docker, in its error messages too. `SHELL`
//! is accepted in addition, because without it a `CMD` in shell form could not name another shell than `/bin/sh`.
//!
//! ```text
//! ["ENV A=b", "CMD run $A"] --parse--> Changes --apply--> configuration
//! ```

mod apply;
mod parse;
mod ports;
mod signal;

pub use ports::PortError;
pub use signal::is_signal;

use crate::dockerfile::{Dockerfile, ExpandError, Pair, SyntaxError};
use crate::duration::DurationError;
use crate::error_kind::{Classify, Kind};
use crate::image_config::{Healthcheck, ImageConfig};

/// One instruction with a meaning. Variables in it are not yet replaced.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// `CMD`: arguments, or the program.
    Cmd(CommandLine),
    /// `ENTRYPOINT`: the program.
    Entrypoint(CommandLine),
    /// `ENV`: variables.
    Env(Vec<Pair>),
    /// `EXPOSE`: ports.
    Expose(Vec<String>),
    /// `HEALTHCHECK`.
    Healthcheck(Healthcheck),
    /// `LABEL`: labels.
    Label(Vec<Pair>),
    /// `ONBUILD`: an instruction for later, as text.
    OnBuild(String),
    /// `SHELL`: the shell of what follows in shell form.
    Shell(Vec<String>),
    /// `STOPSIGNAL`.
    StopSignal(String),
    /// `USER`.
    User(String),
    /// `VOLUME`: paths.
    Volume(Vec<String>),
    /// `WORKDIR`.
    Workdir(String),
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// A JSON list: program and arguments.
    Exec(Vec<String>),
    /// A line for the shell, or none.
    Shell(Option<String>),
}

/// Instructions, ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    list: Vec<Change>,
    escape: char,
}

impl Changes {
    /// The instructions, in order.
    pub fn list(&self) -> &[Change] {
        &self.list
    }
}

/// Parses instructions as `--change` gives them: together they are one Dockerfile, so that one may go on in the next.
///
/// # Errors
/// [`ChangeError`].
pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Changes, ChangeError> {
    if texts.is_empty() {
        return Ok(Changes { list: Vec::new(), escape: '\\' });
    }
    let text: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let file = Dockerfile::parse(&text.join("\n"))?;
    let list: Result<_, _> = file.instructions.into_iter().map(parse::change).collect();
    Ok(Changes { list: list?, escape: file.escape })
}

/// Applies instructions to a configuration, in order.
///
/// # Errors
/// [`ChangeError`]; the configuration is then unchanged.
pub fn apply(config: &mut ImageConfig, changes: &Changes) -> Result<(), ChangeError> {
    let mut run = config.config.clone();
    apply::all(&mut run, &config.os, changes)?;
    config.config = run;
    Ok(())
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It is none of the instructions that a change may be.
    #[error("{0} is not a valid change command")]
    NotAChange(String),
    /// The text cannot be taken apart.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A variable cannot be replaced.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// There is nothing behind the instruction.
    #[error("{0} requires at least one argument")]
    NoArgument(&'static str),
    /// There is nothing, or too much, behind the instruction.
    #[error("{0} requires exactly one argument")]
    NotOneArgument(&'static str),
    /// A variable or label without a name.
    #[error("{0} names can not be blank")]
    BlankName(&'static str),
    /// A flag that the instruction does not have.
    #[error("unknown flag: {0}")]
    UnknownFlag(String),
    /// A flag that is there twice.
    #[error("duplicate flag specified: {0}")]
    DuplicateFlag(String),
    /// A flag without a value.
    #[error("missing a value on flag: {0}")]
    NoFlagValue(String),
    /// A health check that is neither `CMD` nor `NONE`.
    #[error("Unknown type {0:?} in HEALTHCHECK (try CMD)")]
    HealthcheckType(String),
    /// `HEALTHCHECK CMD` and nothing behind it.
    #[error("Missing command after HEALTHCHECK CMD")]
    NoHealthcheckCommand,
    /// `HEALTHCHECK NONE` and something behind it.
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNone,
    /// A time that is none.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// A time below a millisecond, which is a forgotten unit.
    #[error("Interval {0:?} cannot be less than 1ms")]
    Interval(&'static str),
    /// `--retries` is no number from 0 on.
    #[error("invalid value {0:?} for --retries: a number from 0 on is expected")]
    Retries(String),
    /// A trigger that may not be one.
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    Trigger(String),
    /// `SHELL` in shell form.
    #[error("SHELL requires the arguments to be in JSON form")]
    ShellForm,
    /// A signal that there is not.
    #[error("invalid signal: {0}")]
    Signal(String),
    /// Windows has no signals.
    #[error("STOPSIGNAL has no meaning for an image of Windows")]
    NoSignals,
    /// A port that is none.
    #[error(transparent)]
    Port(#[from] PortError),
    /// An empty path for a volume.
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    /// An empty working directory.
    #[error("cannot normalize nothing: WORKDIR is empty")]
    EmptyWorkdir,
}

impl Classify for ChangeError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            ChangeError::NotAChange(_) => {
                "A change is one of CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, \
                 USER, VOLUME and WORKDIR"
            }
            ChangeError::ShellForm => "Write SHELL [\"program\", \"argument\"]",
            ChangeError::Duration(_) | ChangeError::Interval(_) => "Write a number and a unit, such as 30s or 1m30s",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests;
