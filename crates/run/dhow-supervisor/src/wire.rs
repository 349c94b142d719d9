//! The messages between a supervisor and those who talk to it.
//!
//! # Framing
//!
//! A stream socket, each way a sequence of messages: kind (one byte), length of the payload (`u32`, little endian),
//! payload. Numbers in payloads are little endian too. The first message each way bears the version; who does not
//! understand it closes the connection. A version may add kinds; a kind never changes its meaning.
//!
//! | kind | from | payload |
//! | --- | --- | --- |
//! | `H` hello | client | version `u32`, streams `u8` (1 stdin, 2 stdout, 4 stderr): the first message |
//! | `P` plan | launcher | [`Plan`](crate::plan::Plan), JSON; its descriptors came with the hello |
//! | `G` go | launcher | the gate may open |
//! | `i` input | client | bytes for standard input |
//! | `e` end of input | client | |
//! | `w` window | client | rows `u16`, columns `u16` |
//! | `R` recorded | client | after `X`: the end of the container is written down |
//! | `V` welcome | supervisor | version `u32`: the answer to the hello |
//! | `W` waiting | supervisor | pid `u32`, start time `u64`: the container waits at its gate |
//! | `S` started | supervisor | the program was executed; what follows is output |
//! | `F` failed | supervisor | [`Failure`](crate::failure::Failure), JSON: nothing of the container is left |
//! | `o`, `x` output | supervisor | bytes of stdout (of a terminal: all), of stderr |
//! | `X` exited | supervisor | [`ExitRecord`](crate::plan::ExitRecord), JSON, after all output |
//! | `T` resume | supervisor | version `u32`: from itself, when it executes itself anew; its state comes as descriptors |
//!
//! Since version 2. Who speaks it says so in the hello: its version stays 1, so that an older supervisor understands it,
//! and the bit 0x80 of its streams is set; the welcome bears the version that is spoken then.
//!
//! | kind | from | payload |
//! | --- | --- | --- |
//! | `N` numbers | supervisor | after `V` to whoever connects, `u64` each: the container's process (see [`process`]), a key for his input, and where the streams are: bytes of stdout, of stderr, of his input that were taken |
//! | `A` accepted | supervisor | `u64`: so many bytes of his input were taken, and survive the supervisor |
//! | `B` back | client | instead of the hello, by who was connected before: version `u32`, streams `u8`; the process, key, bytes of stdout and of stderr that he has had, `u64` each |
//! | `r` records | client | he will record the end, and is waited for (as with the bit 0x40 of the hello's streams) |
//! | `U` upgrade | client | with a descriptor: go on as this program. Also to a keeper |
//! | `I` answer | supervisor, keeper | `u8`: [`SAME`], [`FAILED`] or [`BUSY`]; `V` from the new program when it was executed |
//! | `D` adopt | launcher | instead of a hello: [`Adoption`](crate::client::Adoption), JSON |
//! | `K` keep | supervisor | to the keeper: what it is to do with the descriptors that come along, JSON |
//! | `L` let go | supervisor | to the keeper: nothing is to be kept any more |
//! | `t` succeed | keeper | version `u32`: as `T`, to a new supervisor; the socket goes on as its connection to the keeper |
//!
//! # A life
//!
//! ```text
//!     launcher  H P ------> supervisor          client  H -----> supervisor
//!               <------ V W                             <----- V o o x ..
//!               G -------->                             i w --->
//!               <------ S o x .. X                      <----- X
//!               R -------->                             R or close
//! ```

use std::io;

/// The largest payload of a plan; any other message has at most [`DATA_MAX`].
pub const PLAN_MAX: usize = 16 * 1024 * 1024;
/// The largest payload of anything but a plan.
pub const DATA_MAX: usize = 256 * 1024;
/// The version of the conversation. Two versions back are understood.
pub const WIRE: u32 = 2;
/// In a hello's streams: the sender speaks version 2.
pub const SPEAKS_2: u8 = 0x80;
/// In a hello's streams: the sender will record the end of the container.
pub const RECORDS: u8 = 0x40;
/// Answer to an upgrade: it is the program that runs.
pub const SAME: u8 = 0;
/// It could not be executed; nothing has changed.
pub const FAILED: u8 = 1;
/// Something is on its way that would be lost; nothing has changed.
pub const BUSY: u8 = 2;
/// Kind and length.
pub const HEADER: usize = 5;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'m> {
    /// Who is there, and what he wants to be connected with.
    Hello {
        /// Of the sender.
        version: u32,
        /// 1 stdin, 2 stdout, 4 stderr.
        streams: u8,
    },
    /// What to run, JSON.
    Plan(&'m [u8]),
    /// Open the gate.
    Go,
    /// For standard input.
    Input(&'m [u8]),
    /// No more of it.
    EndOfInput,
    /// The size of the terminal.
    Window {
        /// Lines.
        rows: u16,
        /// Characters in each.
        columns: u16,
    },
    /// The end was written down.
    Recorded,
    /// The hello was understood.
    Welcome {
        /// Of the sender.
        version: u32,
    },
    /// The container waits at its gate.
    Waiting {
        /// In the supervisor's pid namespace.
        pid: u32,
        /// Clock ticks since boot.
        start_time: u64,
    },
    /// Its program was executed.
    Started,
    /// It could not be started, JSON.
    Failed(&'m [u8]),
    /// Standard output.
    Stdout(&'m [u8]),
    /// Standard error.
    Stderr(&'m [u8]),
    /// How it ended, JSON.
    Exited(&'m [u8]),
    /// Go on with the state that comes along.
    Resume {
        /// Of the sender.
        version: u32,
    },
    /// Where the streams are.
    Numbers {
        /// See [`process`].
        process: u64,
        /// Names the client's input when he comes back; 0: it cannot be told from others'.
        key: u64,
        /// Bytes so far.
        stdout: u64,
        /// Bytes so far.
        stderr: u64,
        /// Bytes of his input so far.
        input: u64,
    },
    /// So much of his input was taken.
    Accepted(u64),
    /// Who was connected before, to this supervisor or to the one before it.
    Back {
        /// Of the sender.
        version: u32,
        /// As in the hello.
        streams: u8,
        /// As in the numbers.
        process: u64,
        /// Ditto.
        key: u64,
        /// Bytes that he has had.
        stdout: u64,
        /// Ditto.
        stderr: u64,
    },
    /// He will record the end.
    Records,
    /// Go on as another program.
    Upgrade,
    /// What became of it.
    Answer(u8),
    /// Adopt a container, JSON.
    Adopt(&'m [u8]),
    /// Keep what comes along, JSON.
    Keep(&'m [u8]),
    /// Keep it no more.
    LetGo,
    /// Take the place of a supervisor that was killed.
    Succeed {
        /// Of the sender.
        version: u32,
    },
}

impl Message<'_> {
    fn kind(&self) -> u8 {
        match self {
            Message::Hello { .. } => b'H',
            Message::Plan(_) => b'P',
            Message::Go => b'G',
            Message::Input(_) => b'i',
            Message::EndOfInput => b'e',
            Message::Window { .. } => b'w',
            Message::Recorded => b'R',
            Message::Welcome { .. } => b'V',
            Message::Waiting { .. } => b'W',
            Message::Started => b'S',
            Message::Failed(_) => b'F',
            Message::Stdout(_) => b'o',
            Message::Stderr(_) => b'x',
            Message::Exited(_) => b'X',
            Message::Resume { .. } => b'T',
            Message::Numbers { .. } => b'N',
            Message::Accepted(_) => b'A',
            Message::Back { .. } => b'B',
            Message::Records => b'r',
            Message::Upgrade => b'U',
            Message::Answer(_) => b'I',
            Message::Adopt(_) => b'D',
            Message::Keep(_) => b'K',
            Message::LetGo => b'L',
            Message::Succeed { .. } => b't',
        }
    }

    /// Appends the message as it goes over the socket.
    pub fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[self.kind(), 0, 0, 0, 0]);
        match self {
            Message::Hello { version, streams } => {
                out.extend_from_slice(&version.to_le_bytes());
                out.push(*streams);
            }
            Message::Welcome { version } | Message::Resume { version } | Message::Succeed { version } => {
                out.extend_from_slice(&version.to_le_bytes());
            }
            Message::Numbers { process, key, stdout, stderr, input } => {
                [process, key, stdout, stderr, input].iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
            }
            Message::Accepted(total) => out.extend_from_slice(&total.to_le_bytes()),
            Message::Back { version, streams, process, key, stdout, stderr } => {
                out.extend_from_slice(&version.to_le_bytes());
                out.push(*streams);
                [process, key, stdout, stderr].iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
            }
            Message::Answer(answer) => out.push(*answer),
            Message::Window { rows, columns } => {
                out.extend_from_slice(&rows.to_le_bytes());
                out.extend_from_slice(&columns.to_le_bytes());
            }
            Message::Waiting { pid, start_time } => {
                out.extend_from_slice(&pid.to_le_bytes());
                out.extend_from_slice(&start_time.to_le_bytes());
            }
            Message::Plan(bytes)
            | Message::Input(bytes)
            | Message::Failed(bytes)
            | Message::Stdout(bytes)
            | Message::Stderr(bytes)
            | Message::Exited(bytes)
            | Message::Adopt(bytes)
            | Message::Keep(bytes) => out.extend_from_slice(bytes),
            Message::Go
            | Message::EndOfInput
            | Message::Recorded
            | Message::Started
            | Message::Records
            | Message::Upgrade
            | Message::LetGo => {}
        }
        let length = u32::try_from(out.len() - start - HEADER).expect("payloads are bounded");
        out[start + 1..start + HEADER].copy_from_slice(&length.to_le_bytes());
    }

    /// As it goes over the socket.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }
}

/// The header of an output message whose bytes are sent from where they are.
pub(crate) fn output_header(is_stderr: bool, length: usize) -> [u8; HEADER] {
    let mut header = [if is_stderr { b'x' } else { b'o' }, 0, 0, 0, 0];
    header[1..].copy_from_slice(&u32::try_from(length).expect("at most a read").to_le_bytes());
    header
}

/// Reads the first message in `bytes` and says how long it is; `None` while it is not whole.
///
/// # Errors
/// `InvalidData` for an unknown kind, a payload too large or of the wrong shape.
pub fn parse(bytes: &[u8]) -> io::Result<Option<(Message<'_>, usize)>> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else { return Ok(None) };
    let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
    let (least, most) = match header[0] {
        b'P' | b'D' => (0, PLAN_MAX),
        b'i' | b'F' | b'o' | b'x' | b'X' | b'K' => (0, DATA_MAX),
        b'H' => (5, 5),
        b'V' | b'T' | b't' | b'w' => (4, 4),
        b'W' => (12, 12),
        b'N' => (40, 40),
        b'A' => (8, 8),
        b'B' => (37, 37),
        b'I' => (1, 1),
        b'G' | b'e' | b'R' | b'S' | b'r' | b'U' | b'L' => (0, 0),
        _ => return Err(invalid("a message of an unknown kind")),
    };
    if !(least..=most).contains(&length) {
        return Err(invalid("a message of a wrong length"));
    }
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let short = |at: usize| u16::from_le_bytes([payload[at], payload[at + 1]]);
    let word = |at: usize| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    let message = match header[0] {
        b'H' => Message::Hello { version: word(0), streams: payload[4] },
        b'P' => Message::Plan(payload),
        b'G' => Message::Go,
        b'i' => Message::Input(payload),
        b'e' => Message::EndOfInput,
        b'w' => Message::Window { rows: short(0), columns: short(2) },
        b'R' => Message::Recorded,
        b'V' => Message::Welcome { version: word(0) },
        b'W' => Message::Waiting { pid: word(0), start_time: long(4) },
        b'S' => Message::Started,
        b'F' => Message::Failed(payload),
        b'o' => Message::Stdout(payload),
        b'x' => Message::Stderr(payload),
        b'X' => Message::Exited(payload),
        b'N' => {
            Message::Numbers { process: long(0), key: long(8), stdout: long(16), stderr: long(24), input: long(32) }
        }
        b'A' => Message::Accepted(long(0)),
        b'B' => Message::Back {
            version: word(0),
            streams: payload[4],
            process: long(5),
            key: long(13),
            stdout: long(21),
            stderr: long(29),
        },
        b'r' => Message::Records,
        b'U' => Message::Upgrade,
        b'I' => Message::Answer(payload[0]),
        b'D' => Message::Adopt(payload),
        b'K' => Message::Keep(payload),
        b'L' => Message::LetGo,
        b't' => Message::Succeed { version: word(0) },
        _ => Message::Resume { version: word(0) },
    };
    Ok(Some((message, HEADER + length)))
}

/// Names a process of this boot: start time (clock ticks since boot) and pid, which has at most 22 bits.
pub(crate) fn process(pid: u32, start_time: u64) -> u64 {
    start_time << 22 | u64::from(pid)
}

/// Whether a conversation in that version is understood.
pub(crate) fn known(version: u32) -> io::Result<()> {
    if (1..=WIRE).contains(&version) {
        return Ok(());
    }
    Err(invalid("a later version of the conversation"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Bytes that came in, and are taken out message by message.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
}

impl Inbox {
    /// Takes the next whole message.
    pub(crate) fn next(&mut self) -> io::Result<Option<Message<'_>>> {
        match parse(&self.bytes[self.taken..])? {
            Some((message, length)) => {
                self.taken += length;
                Ok(Some(message))
            }
            None => Ok(None),
        }
    }

    /// Adds what came. Messages that were taken make room.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// What was not taken.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: usize, a: u32, b: u64, bytes: &[u8]) -> Message<'_> {
        let (rows, columns) = (b as u16, a as u16);
        match kind {
            0 => Message::Hello { version: a, streams: b as u8 },
            1 => Message::Plan(bytes),
            2 => Message::Go,
            3 => Message::Input(bytes),
            4 => Message::EndOfInput,
            5 => Message::Window { rows, columns },
            6 => Message::Recorded,
            7 => Message::Welcome { version: a },
            8 => Message::Waiting { pid: a, start_time: b },
            9 => Message::Started,
            10 => Message::Failed(bytes),
            11 => Message::Stdout(bytes),
            12 => Message::Stderr(bytes),
            13 => Message::Exited(bytes),
            14 => Message::Numbers { process: b ^ 4, key: b, stdout: b ^ 1, stderr: b ^ 2, input: b ^ 3 },
            15 => Message::Accepted(b),
            16 => Message::Back { version: a, streams: b as u8, process: b ^ 5, key: b, stdout: b ^ 1, stderr: b ^ 2 },
            17 => Message::Records,
            18 => Message::Upgrade,
            19 => Message::Answer(b as u8),
            20 => Message::Adopt(bytes),
            21 => Message::Keep(bytes),
            22 => Message::LetGo,
            23 => Message::Succeed { version: a },
            _ => Message::Resume { version: a },
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_arrives_however_it_is_cut(
            parts in proptest::collection::vec((0usize..25, any::<u32>(), any::<u64>(),
                proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
            step in 1usize..9,
        ) {
            let mut wire = Vec::new();
            parts.iter().for_each(|(kind, a, b, bytes)| message(*kind, *a, *b, bytes).put(&mut wire));
            let mut inbox = Inbox::default();
            let mut expected = parts.iter().map(|(kind, a, b, bytes)| message(*kind, *a, *b, bytes));
            for chunk in wire.chunks(step) {
                inbox.push(chunk);
                while let Some(came) = inbox.next().unwrap() {
                    prop_assert_eq!(Some(came), expected.next());
                }
            }
            prop_assert_eq!(expected.next(), None);
            prop_assert!(inbox.rest().is_empty());
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some((message, length))) = parse(&bytes) {
                prop_assert_eq!(message.to_bytes(), &bytes[..length]);
            }
        }
    }

    #[test]
    fn lengths_are_bounded_before_anything_is_kept() {
        let huge = |kind: u8| [kind, 0xff, 0xff, 0xff, 0xff];
        for kind in *b"PDKioxFXHGz" {
            assert_eq!(parse(&huge(kind)).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        assert_eq!(parse(b"i\x05\0\0\0abc").unwrap(), None);
    }
}
