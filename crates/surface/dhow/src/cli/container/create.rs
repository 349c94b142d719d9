//! `create`, and what `run` shares with it.

use super::flags;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals};
use dhow_engine::container::request::{CreateRequest, RootSource};
use dhow_engine::{Engine, EngineError, container};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a new container",
    aliases: "dhow container create, dhow create",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(create) = parse::parse_leading(&SHAPE, words, flags::Create::count)? else { return Ok(0) };
    let cidfile = create.cidfile.clone();
    let request = request(create, "create")?;
    let cidfile = CidFile::claim(cidfile.as_deref())?;
    let engine = globals.engine_plain()?;
    let id = make(&engine, &request, cidfile)?;
    writeln!(std::io::stdout(), "{id}")?;
    Ok(0)
}

/// The request that the flags make, with this process's environment and files.
pub(super) fn request(create: flags::Create, verb: &str) -> Result<CreateRequest, Failure> {
    match create.pull.as_deref().unwrap_or_default() {
        "" | "missing" | "never" => {}
        "always" => {
            return Err(Failure::error("--pull always: dhow cannot pull from a registry yet")
                .with_hint("load the image from an archive with: dhow load -i FILE")
                .with_code(125));
        }
        other => {
            return Err(Failure::error(format!(
                "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
            ))
            .with_code(125));
        }
    }
    with_surroundings(|around| create.request(verb, around))
}

/// What this process was called with besides its arguments.
pub(super) fn with_surroundings<T>(
    work: impl FnOnce(&flags::Surroundings<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let directory = std::env::current_dir()
        .map_err(|e| Failure::error(format!("cannot tell the working directory: {e}")).with_code(125))?;
    let env = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    work(&flags::Surroundings { env: &env, read: &|path| std::fs::read(path), directory: &directory })
}

/// Makes the container, says what could not be had as asked for, and fills the file that is to hold its id.
pub(super) fn make(engine: &Engine, request: &CreateRequest, cidfile: CidFile) -> Result<String, Failure> {
    let created = container::create(engine, request).map_err(|error| absent(error, &request.root))?;
    for warning in &created.warnings {
        // Where standard error is gone there is nobody to warn.
        let _ = writeln!(std::io::stderr(), "WARNING: {warning}");
    }
    cidfile.fill(&created.id)?;
    Ok(created.id)
}

/// An image that is not there: docker would pull it now.
fn absent(error: EngineError, root: &RootSource) -> Failure {
    match (&error, root) {
        (EngineError::NoSuchImage(name), RootSource::Image(_)) => {
            // Where standard error is gone there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "Unable to find image '{name}' locally");
            Failure::error("dhow cannot pull from a registry yet").with_hint(
                "load the image from an archive with: dhow load -i FILE, or make it from a tar of a root filesystem with: \
                 dhow import FILE NAME",
            )
        }
        _ => error.into(),
    }
}

/// The file that is to hold the id: made before the container, gone again when there is none.
pub(super) struct CidFile(Option<(PathBuf, File)>);

impl CidFile {
    /// Makes the file, which must not be there.
    pub(super) fn claim(path: Option<&Path>) -> Result<CidFile, Failure> {
        let Some(path) = path else { return Ok(CidFile(None)) };
        match File::create_new(path) {
            Ok(file) => Ok(CidFile(Some((path.to_owned(), file)))),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(Failure::error(format!(
                "container ID file found, make sure the other container isn't running or delete {}",
                path.display()
            ))
            .with_code(125)),
            Err(e) => Err(Failure::error(format!("failed to create the container ID file: {}: {e}", path.display()))
                .with_code(125)),
        }
    }

    fn fill(mut self, id: &str) -> Result<(), Failure> {
        let Some((path, mut file)) = self.0.take() else { return Ok(()) };
        file.write_all(id.as_bytes()).map_err(|e| {
            Failure::error(format!("failed to write the container ID to the file: {}: {e}", path.display()))
        })
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if let Some((path, _)) = self.0.take() {
            // The failure that brought us here is the one to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}
