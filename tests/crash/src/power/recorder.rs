//! The record of a disk: what its server (server.rs) writes down, and what the harness adds to it. One file, appended to
//! by both, each event in one write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::mount::{MntFlags, umount2};

use crate::failure::Failure;

/// What happened to the disk, or above it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Sectors were written.
    Write { offset: u64, data: Vec<u8> },
    /// All that was written before is on the disk for good.
    Flush,
    /// The first command is about to start.
    Begin,
    /// A command of the workload has ended with success: from here on its promises hold.
    Done,
}

/// Adds one event. One write call on a file opened for appending: events of two processes do not mix.
pub(crate) fn append(mut record: &File, event: &Event) -> io::Result<()> {
    let mut bytes = Vec::new();
    match event {
        Event::Write { offset, data } => {
            bytes.reserve(data.len() + 17);
            bytes.push(b'W');
            bytes.extend(offset.to_le_bytes());
            bytes.extend((data.len() as u64).to_le_bytes());
            bytes.extend(data);
        }
        Event::Flush => bytes.push(b'F'),
        Event::Begin => bytes.push(b'B'),
        Event::Done => bytes.push(b'D'),
    }
    record.write_all(&bytes)
}

/// Reads a whole record.
fn parse(mut bytes: &[u8]) -> io::Result<Vec<Event>> {
    let mut events = Vec::new();
    let mut kind = [0];
    while bytes.read(&mut kind)? == 1 {
        events.push(match kind[0] {
            b'W' => {
                let (mut offset, mut length) = ([0; 8], [0; 8]);
                bytes.read_exact(&mut offset)?;
                bytes.read_exact(&mut length)?;
                let length = usize::try_from(u64::from_le_bytes(length)).map_err(io::Error::other)?;
                let (data, rest) = bytes.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
                bytes = rest;
                Event::Write { offset: u64::from_le_bytes(offset), data: data.to_vec() }
            }
            b'F' => Event::Flush,
            b'B' => Event::Begin,
            b'D' => Event::Done,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        });
    }
    Ok(events)
}

/// The disk while it is being recorded.
#[derive(Debug)]
pub(crate) struct Recorder {
    server: Child,
    directory: PathBuf,
    path: PathBuf,
    record: File,
}

impl Recorder {
    /// Shows `disk` (which is changed) as `directory/disk.img`; the record is kept beside it.
    pub(crate) fn start(disk: &Path, directory: &Path) -> Result<Recorder, Failure> {
        let path = disk.with_extension("record");
        fs::write(&path, "").map_err(Failure::io("create", &path))?;
        let record = OpenOptions::new().append(true).open(&path).map_err(Failure::io("open", &path))?;
        let own = Path::new("/proc/self/exe");
        let mut server = Command::new(own)
            .arg("serve-disk")
            .args([disk, directory, &path])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::io("start", own))?;
        let mut line = String::new();
        let output = server.stdout.take().expect("the output is a pipe");
        BufReader::new(output).read_line(&mut line).map_err(Failure::io("read from the server of", disk))?;
        let recorder = Recorder { server, directory: directory.to_owned(), path, record };
        if line.is_empty() {
            return Err(Failure::Usage("the server of the recorded disk did not start".into()));
        }
        Ok(recorder)
    }

    /// Adds an event of the harness's own.
    pub(crate) fn note(&self, event: &Event) -> Result<(), Failure> {
        append(&self.record, event).map_err(Failure::io("append to", &self.path))
    }

    /// Ends it; the loop device has to be gone.
    pub(crate) fn finish(mut self) -> Result<Vec<Event>, Failure> {
        drop(self.server.stdin.take());
        self.server.wait().map_err(Failure::io("wait for the server of", &self.directory))?;
        umount2(&self.directory, MntFlags::MNT_DETACH).map_err(Failure::kernel("unmount the recorded disk"))?;
        let bytes = fs::read(&self.path).map_err(Failure::io("read", &self.path))?;
        parse(&bytes).map_err(Failure::io("parse", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_read_back() {
        let path = std::env::temp_dir().join(format!("dhow-crash-record-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let events = [
            Event::Begin,
            Event::Write { offset: 4096, data: vec![b'W'; 700] },
            Event::Flush,
            Event::Done,
            Event::Flush,
        ];
        for event in &events {
            append(&file, event).unwrap();
        }
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(parse(&bytes).unwrap(), events);
        assert!(parse(&bytes[..100]).is_err(), "a torn record is an error");
    }
}
