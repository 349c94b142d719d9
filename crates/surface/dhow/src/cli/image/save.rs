//! `save`

use super::platform;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::image::save::SaveRequest;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::termios::isatty;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
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
    let failed = |what: &str, e: std::io::Error| Failure::error(format!("cannot {what} {}: {e}", path.display()));
    let meta = std::fs::metadata(path);
    let engine = globals.engine_or_reader()?;
    if meta.as_ref().is_ok_and(|m| m.is_dir()) {
        return Err(Failure::error(format!("cannot write {}: it is a directory", path.display())));
    }
    // A device or pipe is written as it is: there is nothing to replace.
    if meta.is_ok_and(|m| !m.is_file()) {
        let file = File::options().write(true).open(path).map_err(|e| failed("open", e))?;
        engine.save(request, BufWriter::with_capacity(BUFFER, file), &|_| ())?;
        return Ok(0);
    }
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A file without a name until it is whole: whatever happens before, nothing is left behind.
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let nameless = rustix::fs::openat(CWD, directory, flags, Mode::from_raw_mode(0o600));
    let file = match nameless {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => return beside(&engine, request, path),
        Err(e) => return Err(failed("write", e.into())),
    };
    let mut out = BufWriter::with_capacity(BUFFER, &file);
    engine.save(request, &mut out, &|_| ())?;
    out.flush().map_err(|e| failed("write", e))?;
    drop(out);
    file.sync_all().map_err(|e| failed("write", e))?;
    name_it(&file, path).map_err(|e| failed("write", e))?;
    Ok(0)
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
fn beside(engine: &dhow_engine::Engine, request: &SaveRequest, path: &Path) -> Ended {
    let temporary = temporary(path);
    let failed = |e: std::io::Error| Failure::error(format!("cannot write {}: {e}", path.display()));
    let file = File::options().write(true).create_new(true).open(&temporary).map_err(failed)?;
    let written = engine
        .save(request, BufWriter::with_capacity(BUFFER, &file), &|_| ())
        .map_err(Failure::from)
        .and_then(|_| file.sync_all().map_err(failed))
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
