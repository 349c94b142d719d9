//! `logs`

use crate::cli::moment::moment;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::{EngineError, container};
use dhow_supervisor::log::{Entry, Query, Stream};
use std::ffi::OsString;
use std::io::{BufWriter, ErrorKind, Write};

#[derive(clap::Args)]
struct Logs {
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow log output
    #[arg(short, long)]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "string")]
    since: Option<String>,
    /// Number of lines to show from the end of the logs (default "all")
    #[arg(short = 'n', long, value_name = "string")]
    tail: Option<String>,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "string")]
    until: Option<String>,
    #[arg(hide = true)]
    container: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] CONTAINER",
    about: "Fetch the logs of a container",
    aliases: "dhow container logs, dhow logs",
    count: Count::Exactly(1),
};

/// Bytes collected before they are written; a reader that follows sees each entry at once.
const BUFFER: usize = 64 * 1024;

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Logs>(&SHAPE, words, |a| a.container.len())? else { return Ok(0) };
    let query = Query {
        // What is no number means all of them, as in docker.
        tail: args.tail.as_deref().and_then(|n| n.parse().ok()),
        since: time("since", args.since.as_deref())?,
        until: time("until", args.until.as_deref())?,
        follow: args.follow,
    };
    let engine = globals.reader()?;
    let mut printer = Printer {
        out: BufWriter::with_capacity(BUFFER, std::io::stdout()),
        err: BufWriter::with_capacity(BUFFER, std::io::stderr()),
        last: None,
        begun: [true; 2],
        timestamps: args.timestamps,
        details: args.details,
        at_once: args.follow,
    };
    let read = container::logs(&engine, &global::text(&args.container[0]), &query, &mut |entry| printer.print(entry));
    let flushed = printer.flush();
    match read {
        Ok(()) => {}
        // Standard output failed in between, not the log.
        Err(EngineError::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => return Err(source.into()),
        Err(error) => return Err(error.into()),
    }
    flushed?;
    Ok(0)
}

fn time(flag: &str, text: Option<&str>) -> Result<Option<i64>, Failure> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    moment(text, global::now()).map(Some).ok_or_else(|| {
        Failure::plain(format!("invalid value for \"{flag}\": failed to parse value as time or duration: {text:?}"))
            .with_hint("give a duration (24h, 10m30s), an RFC 3339 time or seconds since 1970")
    })
}

/// Entries on the streams that they were written to.
struct Printer<O: Write, E: Write> {
    out: O,
    err: E,
    /// Where the last entry went: the streams keep their order where both are the same terminal.
    last: Option<Stream>,
    /// Whether the next entry begins a line, on either stream.
    begun: [bool; 2],
    timestamps: bool,
    details: bool,
    at_once: bool,
}

impl<O: Write, E: Write> Printer<O, E> {
    fn print(&mut self, entry: Entry<'_>) -> std::io::Result<bool> {
        if self.last.is_some_and(|last| last != entry.stream) {
            self.flush()?;
        }
        self.last = Some(entry.stream);
        let begins = &mut self.begun[usize::from(entry.stream == Stream::Stderr)];
        let begun = std::mem::replace(begins, entry.bytes.ends_with(b"\n"));
        let to: &mut dyn Write = match entry.stream {
            Stream::Stdout => &mut self.out,
            Stream::Stderr => &mut self.err,
        };
        if begun && self.timestamps {
            write!(to, "{} ", stamp(entry.time))?;
        }
        if begun && self.details {
            // Attributes would stand here; none of our log options makes any.
            to.write_all(b" ")?;
        }
        to.write_all(entry.bytes)?;
        if self.at_once {
            to.flush()?;
        }
        Ok(true)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()?;
        self.err.flush()
    }
}

/// As docker prints times in logs: in UTC, always with nine decimals.
fn stamp(time: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time))
        .map_or_else(|_| time.to_string(), |t| t.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_where_they_came_from_with_one_stamp_a_line() {
        let mut printer = Printer {
            out: Vec::new(),
            err: Vec::new(),
            last: None,
            begun: [true; 2],
            timestamps: true,
            details: true,
            at_once: false,
        };
        let mut entry = |stream, bytes| {
            printer.print(Entry { time: 1_704_164_645_060_000_000, stream, bytes }).unwrap();
        };
        entry(Stream::Stdout, b"one ");
        entry(Stream::Stderr, b"oops\n");
        entry(Stream::Stdout, b"line\n");
        entry(Stream::Stdout, b"two");
        let stamp = "2024-01-02T03:04:05.060000000Z  ";
        assert_eq!(String::from_utf8(printer.out).unwrap(), format!("{stamp}one line\n{stamp}two"));
        assert_eq!(String::from_utf8(printer.err).unwrap(), format!("{stamp}oops\n"));
    }
}
