//! Placeholder of the verbs' signatures: each moves into a file of its own.

use super::request::CreateRequest;
use super::view::Container;
use crate::{Engine, EngineError};
use dhow_supervisor::client::{Connection, Streams};
use dhow_supervisor::log::{Entry, Query};
use std::time::Duration;

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// What could not be had as asked for, one line each.
    pub warnings: Vec<String>,
}

/// Makes a container.
///
/// # Errors
/// [`EngineError::NoSuchImage`], a name that is taken, a request that makes no sense.
pub fn create(engine: &Engine, request: &CreateRequest) -> Result<Created, EngineError> {
    let _ = (engine, request);
    unimplemented!()
}

/// Starts a container and returns once its program runs; the connection shows `streams` from the first byte. Fine, and
/// without a connection, when it runs already.
///
/// # Errors
/// [`EngineError::Start`] with docker's exit status 125, 126 or 127.
pub fn start(
    engine: &Engine,
    container: &str,
    streams: Streams,
    size: (u16, u16),
) -> Result<Option<Connection>, EngineError> {
    let _ = (engine, container, streams, size);
    unimplemented!()
}

/// Connects to a running container.
///
/// # Errors
/// When it does not run.
pub fn attach(engine: &Engine, container: &str, streams: Streams) -> Result<Connection, EngineError> {
    let _ = (engine, container, streams);
    unimplemented!()
}

/// Sends its stop signal, waits `grace` (none: what the container says, else 10 s; negative there: for ever), then
/// kills; returns once it has ended and that is recorded. Fine when it does not run.
///
/// # Errors
/// Of the kernel and the ledger.
pub fn stop(engine: &Engine, container: &str, grace: Option<Duration>, signal: Option<i32>) -> Result<(), EngineError> {
    let _ = (engine, container, grace, signal);
    unimplemented!()
}

/// Sends a signal to its first process.
///
/// # Errors
/// When it does not run.
pub fn kill(engine: &Engine, container: &str, signal: i32) -> Result<(), EngineError> {
    let _ = (engine, container, signal);
    unimplemented!()
}

/// Stops it if it runs, and starts it.
///
/// # Errors
/// As [`stop()`] and [`start()`].
pub fn restart(
    engine: &Engine,
    container: &str,
    grace: Option<Duration>,
    signal: Option<i32>,
) -> Result<(), EngineError> {
    let _ = (engine, container, grace, signal);
    unimplemented!()
}

/// Freezes it.
///
/// # Errors
/// When it does not run, or is frozen already.
pub fn pause(engine: &Engine, container: &str) -> Result<(), EngineError> {
    let _ = (engine, container);
    unimplemented!()
}

/// Lets it go on.
///
/// # Errors
/// When it is not frozen.
pub fn unpause(engine: &Engine, container: &str) -> Result<(), EngineError> {
    let _ = (engine, container);
    unimplemented!()
}

/// What to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// That it does not run.
    #[default]
    NotRunning,
    /// That it ends the next time.
    NextExit,
    /// That it is gone.
    Removed,
}

/// Waits, and says how it ended.
///
/// # Errors
/// When there is no such container.
pub fn wait(engine: &Engine, container: &str, until: Until) -> Result<Option<i32>, EngineError> {
    let _ = (engine, container, until);
    unimplemented!()
}

/// Records how a container ended: what supervisors, and clients that watched it end, call. Repeating it does no harm.
/// Removes a container that is to be removed at its end, starts one again that is to be; the return value is the
/// delay after which the caller, a supervisor at its end, has to call [`start()`].
///
/// # Errors
/// Of the ledger.
pub fn exited(engine: &Engine, container: &str) -> Result<Option<Duration>, EngineError> {
    let _ = (engine, container);
    unimplemented!()
}

/// Removes it; with `force`, kills it first. Its id.
///
/// # Errors
/// When it runs, or is being removed by somebody else.
pub fn remove(engine: &Engine, container: &str, force: bool) -> Result<String, EngineError> {
    let _ = (engine, container, force);
    unimplemented!()
}

/// One container.
///
/// # Errors
/// When there is none, or several have ids that begin like that.
pub fn inspect(engine: &Engine, container: &str) -> Result<Container, EngineError> {
    let _ = (engine, container);
    unimplemented!()
}

/// All containers, newest first.
///
/// # Errors
/// Of the ledger.
pub fn list(engine: &Engine) -> Result<Vec<Container>, EngineError> {
    let _ = engine;
    unimplemented!()
}

/// Reads or follows its log.
///
/// # Errors
/// When it has none; those of `each`.
pub fn logs(
    engine: &Engine,
    container: &str,
    query: &Query,
    each: &mut dyn FnMut(Entry<'_>) -> std::io::Result<bool>,
) -> Result<(), EngineError> {
    let _ = (engine, container, query, each);
    unimplemented!()
}

/// A process to run in a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `user[:group]`; none: the container's.
    pub user: Option<String>,
    /// Added to the container's; a bare name is dropped.
    pub env: Vec<String>,
    /// Absolute; none: the container's.
    pub working_dir: Option<String>,
    /// With a terminal of its own.
    pub tty: bool,
    /// With standard input.
    pub stdin: bool,
    /// With all rights.
    pub privileged: bool,
    /// Nobody waits for it.
    pub detach: bool,
}

/// Runs it with the caller's standard streams, and returns its exit status (0 when detached).
///
/// # Errors
/// When the container does not run; when the program cannot be executed.
pub fn exec(
    engine: &Engine,
    container: &str,
    request: &ExecRequest,
    terminal: dhow_supervisor::client::Terminal<'_>,
    size: (u16, u16),
) -> Result<i32, EngineError> {
    let _ = (engine, container, request, terminal, size);
    unimplemented!()
}

/// The processes of a container as `ps(1)` with these arguments shows them: titles, and one row each.
///
/// # Errors
/// When it does not run.
pub fn top(
    engine: &Engine,
    container: &str,
    arguments: &[String],
) -> Result<(Vec<String>, Vec<Vec<String>>), EngineError> {
    let _ = (engine, container, arguments);
    unimplemented!()
}
