//! `save`

use super::platform;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::Engine;
use dhow_engine::image::save::SaveRequest;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::termios::isatty;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
struct Save {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "string")]
    output: Option<PathBuf>,
    /// Save only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(hide = true)]
    images: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    aliases: "dhow image save, dhow save",
    count: Count::AtLeast(1),
};

/// Buffer in front of the output: documents and paddings are small.
const BUFFER: usize = 256 * 1024;

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Save>(&SHAPE, words, |a| a.images.len())? else { return Ok(0) };
    let images = args.images.iter().map(|i| global::text(i)).collect();
    let request = SaveRequest { images, platform: platform(args.platform.as_deref())? };
    match args.output.filter(|path| path.as_os_str() != "-") {
        None if isatty(std::io::stdout()) => {
            Err(Failure::plain("cowardly refusing to save to a terminal. Use the -o flag or redirect"))
        }
        None => {
            globals.engine_or_reader()?.save(&request, BufWriter::with_capacity(BUFFER, std::io::stdout()), &|_| ())?;
            Ok(0)
        }
        Some(path) => to_file(globals, &request, &path),
    }
}

/// Writes beside the file first, so that a failure leaves what was there.
fn to_file(globals: &Globals, request: &SaveRequest, path: &Path) -> Ended {
    let failed = |e: std::io::Error| cannot_write(path, &e);
    let meta = std::fs::metadata(path);
    let engine = globals.engine_or_reader()?;
    if meta.as_ref().is_ok_and(|m| m.is_dir()) {
        return Err(Failure::error(format!("cannot write {}: it is a directory", path.display())));
    }
    // A device or pipe is written as it is: there is nothing to replace.
    if meta.is_ok_and(|m| !m.is_file()) {
        let file = File::options().write(true).open(path).map_err(failed)?;
        save(&engine, request, &file, path)?;
        return Ok(0);
    }
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A file without a name until it is whole: whatever happens before, nothing is left behind.
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let nameless = rustix::fs::openat(CWD, directory, flags, Mode::from_raw_mode(0o600));
    let file = match nameless {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => return beside(&engine, request, path),
        Err(e) => return Err(failed(e.into())),
    };
    save(&engine, request, &file, path)?;
    file.sync_all().map_err(failed)?;
    name_it(&file, path).map_err(failed)?;
    Ok(0)
}

/// Writes the archive into an open file; when the writing fails, that file is what the failure is about.
fn save(engine: &Engine, request: &SaveRequest, file: &File, path: &Path) -> Result<(), Failure> {
    let mut out = Output { file: BufWriter::with_capacity(BUFFER, file), failure: None };
    let saved = engine.save(request, &mut out, &|_| ());
    match (saved, out.failure) {
        (_, Some(e)) => Err(cannot_write(path, &e)),
        (saved, None) => saved.map(drop).map_err(Failure::from),
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::error(format!("cannot write {}: {error}", path.display()));
    match error.kind() {
        std::io::ErrorKind::StorageFull => failure.with_hint("free some space there, or write to another disk with -o"),
        _ => failure,
    }
}

/// A file that remembers why writing it failed.
struct Output<'f> {
    file: BufWriter<&'f File>,
    failure: Option<std::io::Error>,
}

impl Output<'_> {
    fn noted<T>(&mut self, result: std::io::Result<T>) -> std::io::Result<T> {
        result.map_err(|e| {
            let told = std::io::Error::from(e.kind());
            self.failure.get_or_insert(e);
            told
        })
    }
}

impl Write for Output<'_> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(buf);
        self.noted(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let flushed = self.file.flush();
        self.noted(flushed)
    }
}

/// Gives a nameless file its name, in place of what had it.
fn name_it(file: &File, path: &Path) -> std::io::Result<()> {
    let temporary = temporary(path);
    let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
    rustix::fs::linkat(CWD, own, CWD, &temporary, AtFlags::SYMLINK_FOLLOW)?;
    std::fs::rename(&temporary, path).inspect_err(|_| {
        // The rename's own error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
    })
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.dhow-{}", std::process::id()))
}

/// For file systems without nameless files: a temporary file beside the real one.
fn beside(engine: &Engine, request: &SaveRequest, path: &Path) -> Ended {
    let temporary = temporary(path);
    let failed = |e: std::io::Error| cannot_write(path, &e);
    let file = File::options().write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed)?;
    let written = save(engine, request, &file, path)
        .and_then(|()| file.sync_all().map_err(failed))
        .and_then(|()| std::fs::rename(&temporary, path).map_err(failed));
    match written {
        Ok(()) => Ok(0),
        Err(failure) => {
            // The failure itself is the one to tell.
            let _ = std::fs::remove_file(&temporary);
            Err(failure)
        }
    }
}
