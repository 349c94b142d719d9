//! Going on over a supervisor that was killed: connecting to the one that takes its place, and saying what was had.

use super::talk::Talk;
use super::{ClientError, End, connect, failed};
use crate::plan::ExitRecord;
use crate::wire::{self, DATA_MAX, Inbox, Message};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the one who takes the place may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often to try when they are killed, one after the other, before they answer.
pub(super) const ATTEMPTS: u32 = 20;
pub(super) const BETWEEN: Duration = Duration::from_millis(20);

/// What is needed to come back.
#[derive(Debug)]
pub(super) struct Back {
    run_dir: PathBuf,
    /// As in the hello.
    streams: u8,
    /// None until it is known that the supervisor understands: then the container's process.
    process: Option<u64>,
    key: u64,
    had: [u64; 2],
    /// Bytes of input that were accepted,
    accepted: u64,
    /// and those after them, that were not.
    unaccepted: Vec<u8>,
    ended: bool,
}

impl Back {
    pub(super) fn new(run_dir: &Path, streams: u8) -> Back {
        Back {
            run_dir: run_dir.to_owned(),
            streams,
            process: None,
            key: 0,
            had: [0; 2],
            accepted: 0,
            unaccepted: Vec::new(),
            ended: false,
        }
    }

    /// Of a launcher, who was there from the start: his input is the first.
    pub(super) fn since_the_start(mut self, pid: u32, start_time: u64) -> Back {
        self.process = Some(wire::process(pid, start_time));
        self.key = u64::from(self.streams & 1);
        self.streams |= wire::RECORDS;
        self
    }

    /// Takes down that the end will be recorded; whether the supervisor understands that.
    pub(super) fn records(&mut self) -> bool {
        let is_news = self.streams & wire::RECORDS == 0;
        self.streams |= wire::RECORDS;
        is_news && self.process.is_some()
    }

    /// Counts what came.
    pub(super) fn note(&mut self, message: &Message<'_>) {
        match message {
            Message::Stdout(bytes) => self.had[0] += bytes.len() as u64,
            Message::Stderr(bytes) => self.had[1] += bytes.len() as u64,
            Message::Accepted(total) => self.accept(*total),
            Message::Numbers { process, key, stdout, stderr, input } => {
                self.process = Some(*process);
                self.had = [*stdout, *stderr];
                if *key != 0 || self.key == 0 {
                    self.key = *key;
                    self.accept(*input);
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self, total: u64) {
        let more = usize::try_from(total.saturating_sub(self.accepted)).unwrap_or(usize::MAX);
        self.unaccepted.drain(..more.min(self.unaccepted.len()));
        self.accepted = total;
    }

    /// Remembers input that is on its way.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        if self.process.is_some() && self.key != 0 {
            self.unaccepted.extend_from_slice(bytes);
        }
    }

    pub(super) fn ended(&mut self) {
        self.ended = true;
    }

    /// Bytes on their way.
    pub(super) fn under_way(&self) -> usize {
        self.unaccepted.len()
    }

    /// What of the input is to be sent once more.
    pub(super) fn again(&self, out: &mut Vec<u8>) {
        for piece in self.unaccepted.chunks(DATA_MAX / 4) {
            Message::Input(piece).put(out);
        }
        if self.ended {
            Message::EndOfInput.put(out);
        }
    }

    fn hello(&self) -> Option<Message<'static>> {
        let [stdout, stderr] = self.had;
        let process = self.process?;
        Some(Message::Back { version: wire::WIRE, streams: self.streams, process, key: self.key, stdout, stderr })
    }
}

impl Talk {
    /// Connects to the supervisor that takes the place of the one that is gone. False when there is none.
    pub(super) fn come_back(&mut self) -> bool {
        for _ in 0..ATTEMPTS {
            let Some((back, hello)) = self.back.as_ref().and_then(|back| Some((back, back.hello()?))) else {
                return false;
            };
            let Ok(socket) = connect(&back.run_dir) else { return false };
            let mut talk = Talk { socket, inbox: Inbox::default(), child: None, back: None };
            if talk.tell(hello).is_ok() && self.is_welcome(&mut talk) {
                self.socket = talk.socket;
                self.inbox = talk.inbox;
                return true;
            }
            // That one was killed, too; or it belongs to another run, and says nothing to us.
            std::thread::sleep(BETWEEN);
        }
        false
    }

    /// Welcome, and numbers.
    fn is_welcome(&mut self, talk: &mut Talk) -> bool {
        for _ in 0..2 {
            if !talk.wait_until(Instant::now() + PATIENCE).unwrap_or(false) {
                return false;
            }
            match (talk.inbox.next(), &mut self.back) {
                (Ok(Some(message)), Some(back)) => back.note(&message),
                _ => return false,
            }
        }
        true
    }

    /// What is left to be known where nobody can be asked any more.
    pub(super) fn how_it_ended(&self) -> Result<End, ClientError> {
        let record = match &self.back {
            Some(back) => ExitRecord::read(&back.run_dir).map_err(failed("read how it ended"))?,
            None => None,
        };
        Ok(record.map_or(End::Lost, End::Exited))
    }
}
