//! Messages of the DNS: reading what hostile containers and servers send, and writing answers and questions.
//!
//! Knows no zone, no socket and no clock. RFC 1035 (form), 2181 (its ambiguities), 3597 (unknown types), 6891 (EDNS),
//! 2782 (SRV). Whatever the bytes are, reading ends, allocates nothing that they could make large, and never panics:
//! `fuzz/fuzz_targets/dns.rs`.
//!
//! ```
//! use dhow_network::resolver::message::{Name, Query, Question, Section, Writer, Record, Data, kind, CLASS_IN};
//! let question = Question { name: Name::from_text("Web.shop").unwrap(), kind: kind::A, class: CLASS_IN };
//! let mut bytes = Vec::new();
//! Writer::new(&mut bytes, 7, 0x0100, 512).question(&question);
//! let query = Query::read(&bytes).unwrap();
//! assert_eq!((query.id, query.question.name.to_string()), (7, "Web.shop.".to_owned()));
//! ```

mod name;
mod record;
mod write;

pub use name::{NAME_MAX, Name};
pub use record::{CLASS_ANY, CLASS_IN, Data, Record, kind};
pub use write::{Section, Writer};

/// The size of the header.
pub const HEADER: usize = 12;
/// The largest datagram that everybody takes (RFC 1035, 2.3.4).
pub const DATAGRAM: usize = 512;
/// The largest datagram that goes through any network in one piece (the flag day of 2020).
pub const EDNS_SIZE: u16 = 1232;

/// Bits of the header's flags.
pub mod flag {
    /// An answer.
    pub const ANSWER: u16 = 0x8000;
    /// What is asked for: 0 is a query.
    pub const OPCODE: u16 = 0x7800;
    /// Who answers is responsible for the name.
    pub const AUTHORITATIVE: u16 = 0x0400;
    /// Not all of the answer.
    pub const TRUNCATED: u16 = 0x0200;
    /// Ask others.
    pub const RECURSION_DESIRED: u16 = 0x0100;
    /// Others are asked.
    pub const RECURSION_AVAILABLE: u16 = 0x0080;
    /// The signatures were checked.
    pub const AUTHENTIC: u16 = 0x0020;
    /// Do not check signatures.
    pub const CHECKING_DISABLED: u16 = 0x0010;
    /// The answer's code.
    pub const CODE: u16 = 0x000f;
}

/// Codes of answers.
pub mod code {
    /// All is well.
    pub const NO_ERROR: u16 = 0;
    /// The question was not understood.
    pub const FORMAT_ERROR: u16 = 1;
    /// No answer could be had.
    pub const SERVER_FAILURE: u16 = 2;
    /// There is no such name.
    pub const NO_SUCH_NAME: u16 = 3;
    /// Nothing of that kind is done here.
    pub const NOT_IMPLEMENTED: u16 = 4;
    /// No.
    pub const REFUSED: u16 = 5;
    /// A version of EDNS that is not known; in more than the header's four bits.
    pub const BAD_VERSION: u16 = 16;
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end too early.
    #[error("the message ends in the middle of something at byte {at}")]
    Short {
        /// Of the message.
        at: usize,
    },
    /// A pointer that does not point back.
    #[error("the pointer at byte {at} does not point back")]
    Pointer {
        /// Of the message.
        at: usize,
    },
    /// A label of a kind that is not used.
    #[error("the label at byte {at} is of an unknown kind")]
    Label {
        /// Of the message.
        at: usize,
    },
    /// A name of more than 255 bytes.
    #[error("the name at byte {at} is too long")]
    LongName {
        /// Of the message.
        at: usize,
    },
    /// A record whose data are not what its type says.
    #[error("the data at byte {at} are none of type {kind}")]
    Data {
        /// Of the message.
        at: usize,
        /// The type.
        kind: u16,
    },
    /// There is something behind the last record.
    #[error("there are bytes behind the end, at byte {at}")]
    Behind {
        /// Of the message.
        at: usize,
    },
    /// A number of things that makes no sense in such a message.
    #[error("a message of this kind has another number of {what}")]
    Count {
        /// Of what.
        what: &'static str,
    },
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The name, in the case it was asked in.
    pub name: Name,
    /// The type.
    pub kind: u16,
    /// The class.
    pub class: u16,
}

/// What a client said by EDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// The largest datagram that it takes, at least 512.
    pub size: u16,
    /// 0 is the only one there is.
    pub version: u8,
    /// It wants signatures.
    pub signatures: bool,
}

/// A message, seen from outside: its header and question. The records are behind [`Message::records`].
#[derive(Debug, Clone, Copy)]
pub struct Message<'m> {
    bytes: &'m [u8],
    /// Chosen by who asks.
    pub id: u16,
    /// See [`flag`].
    pub flags: u16,
    /// How many questions and records the header promises.
    pub counts: [u16; 4],
    /// The first question, if there is one.
    pub question: Option<Question>,
    /// Where the records begin.
    records: usize,
}

impl<'m> Message<'m> {
    /// Reads header and questions.
    ///
    /// # Errors
    /// [`Malformed`] says where and what.
    pub fn read(bytes: &'m [u8]) -> Result<Message<'m>, Malformed> {
        let mut counts = [0; 4];
        for (nth, count) in counts.iter_mut().enumerate() {
            *count = u16_at(bytes, 4 + 2 * nth)?;
        }
        let (mut at, mut question) = (HEADER, None);
        for _ in 0..counts[0] {
            let (name, behind) = Name::read(bytes, at)?;
            let this = Question { name, kind: u16_at(bytes, behind)?, class: u16_at(bytes, behind + 2)? };
            question.get_or_insert(this);
            at = behind + 4;
        }
        Ok(Message { bytes, id: u16_at(bytes, 0)?, flags: u16_at(bytes, 2)?, counts, question, records: at })
    }

    /// All records with their sections, in order. After an error there is nothing more; the last item is an error when
    /// there is something behind the last record.
    pub fn records(&self) -> impl Iterator<Item = Result<(Section, Record<'m>), Malformed>> + use<'m> {
        let (bytes, mut at, mut failed) = (self.bytes, self.records, false);
        let mut left = [self.counts[1], self.counts[2], self.counts[3]];
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let sections = [Section::Answer, Section::Authority, Section::Additional];
            let Some(nth) = left.iter().position(|&left| left > 0) else {
                failed = true;
                return (at != bytes.len()).then_some(Err(Malformed::Behind { at }));
            };
            left[nth] -= 1;
            let read = Record::read(bytes, at).map(|(record, behind)| {
                at = behind;
                (sections[nth], record)
            });
            failed = read.is_err();
            Some(read)
        })
    }

    /// Whether it is an answer.
    pub fn is_answer(&self) -> bool {
        self.flags & flag::ANSWER != 0
    }

    /// Its code, without what EDNS would add.
    pub fn code(&self) -> u16 {
        self.flags & flag::CODE
    }
}

/// A query of a client: exactly one question, and nothing but EDNS of interest behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Chosen by the client.
    pub id: u16,
    /// See [`flag`].
    pub flags: u16,
    /// What is asked for.
    pub question: Question,
    /// What it said by EDNS.
    pub edns: Option<Edns>,
}

/// What to do about bytes that are no query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoQuery {
    /// Nothing: not even a header, or an answer (which might come from ourselves).
    Silence,
    /// An answer without a question, with this id, these flags and this code.
    Answer(u16, u16, u16),
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// What to do with what is none.
    pub fn read(bytes: &[u8]) -> Result<Query, NoQuery> {
        let (Ok(id), Ok(flags)) = (u16_at(bytes, 0), u16_at(bytes, 2)) else { return Err(NoQuery::Silence) };
        if bytes.len() < HEADER || flags & flag::ANSWER != 0 {
            return Err(NoQuery::Silence);
        }
        if flags & flag::OPCODE != 0 {
            return Err(NoQuery::Answer(id, flags, code::NOT_IMPLEMENTED));
        }
        Query::parts(bytes)
            .map(|(question, edns)| Query { id, flags, question, edns })
            .map_err(|_| NoQuery::Answer(id, flags, code::FORMAT_ERROR))
    }

    fn parts(bytes: &[u8]) -> Result<(Question, Option<Edns>), Malformed> {
        let message = Message::read(bytes)?;
        let (Some(question), [1, 0, 0, _]) = (message.question, message.counts) else {
            return Err(Malformed::Count { what: "questions or answers" });
        };
        let mut edns = None;
        for record in message.records() {
            let (_, record) = record?;
            if record.data.kind() == kind::OPT && edns.replace(Edns::of(&record)?).is_some() {
                return Err(Malformed::Count { what: "EDNS records" });
            }
        }
        Ok((question, edns))
    }

    /// The largest datagram that the client takes.
    pub fn datagram(&self) -> usize {
        self.edns.map_or(DATAGRAM, |edns| usize::from(edns.size))
    }
}

impl Edns {
    fn of(record: &Record<'_>) -> Result<Edns, Malformed> {
        if record.name != Name::ROOT {
            return Err(Malformed::Count { what: "labels in the name of EDNS" });
        }
        let [_, version, high, _] = record.ttl.to_be_bytes();
        Ok(Edns { size: record.class.max(DATAGRAM as u16), version, signatures: high & 0x80 != 0 })
    }

    /// The record that says so; `code` is that of the whole answer, of which the upper bits go here.
    pub fn record(size: u16, code: u16, signatures: bool) -> Record<'static> {
        let ttl = u32::from_be_bytes([(code >> 4) as u8, 0, u8::from(signatures) << 7, 0]);
        Record { name: Name::ROOT, class: size, ttl, data: Data::Other(kind::OPT, &[]) }
    }
}

/// Bytes of an EDNS record without options.
pub const EDNS_RECORD: usize = 11;

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Malformed::Short { at }),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    Ok(u32::from(u16_at(bytes, at)?) << 16 | u32::from(u16_at(bytes, at + 2)?))
}
