//! Writing messages, with compression and a limit: what does not fit is left out, and the message says so.

use super::{Data, HEADER, Name, Question, Record};

/// How many places of a message are remembered for later names to point at: enough for the few different names that an
/// answer of ours has, and few enough to compare with all of them.
const PLACES: usize = 32;

/// The truncation bit in the second byte of flags' first.
const TRUNCATED: u8 = 0x02;

/// The three sections behind the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who says so.
    Authority,
    /// What may help.
    Additional,
}

/// Writes one message at the end of a buffer.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut Vec<u8>,
    /// Where in the buffer the message begins.
    start: usize,
    /// How long it may get.
    limit: usize,
    places: [u16; PLACES],
    known: usize,
}

impl<'b> Writer<'b> {
    /// Begins with a header. `limit` is the message's largest size in bytes, at least that of the header.
    pub fn new(buffer: &'b mut Vec<u8>, id: u16, flags: u16, limit: usize) -> Writer<'b> {
        let start = buffer.len();
        buffer.extend(id.to_be_bytes());
        buffer.extend(flags.to_be_bytes());
        buffer.extend([0; HEADER - 4]);
        Writer { buffer, start, limit: limit.clamp(HEADER, 65_535), places: [0; PLACES], known: 0 }
    }

    /// Adds a question; false when it did not fit.
    pub fn question(&mut self, question: &Question) -> bool {
        let (before, known) = (self.buffer.len(), self.known);
        self.name(&question.name, true);
        self.buffer.extend(question.kind.to_be_bytes());
        self.buffer.extend(question.class.to_be_bytes());
        self.keep(before, known, 4)
    }

    /// Adds a record to a section, which must not be before that of the last one; false when it did not fit, and then
    /// the message says that it was truncated, unless it was only to help.
    pub fn record(&mut self, section: Section, record: &Record<'_>) -> bool {
        let (before, known) = (self.buffer.len(), self.known);
        self.name(&record.name, true);
        self.buffer.extend(record.data.kind().to_be_bytes());
        self.buffer.extend(record.class.to_be_bytes());
        self.buffer.extend(record.ttl.to_be_bytes());
        let length = self.buffer.len();
        self.buffer.extend([0; 2]);
        self.data(&record.data);
        let size = self.buffer.len() - length - 2;
        if let (Ok(size), Some(place)) = (u16::try_from(size), self.buffer.get_mut(length..length + 2)) {
            place.copy_from_slice(&size.to_be_bytes());
        }
        let fits = self.keep(before, known, 6 + 2 * section as usize);
        if !fits && section != Section::Additional {
            self.buffer[self.start + 2] |= TRUNCATED;
        }
        fits
    }

    /// How many bytes the message has.
    pub fn size(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Keeps room for what must be there at the end (EDNS), or gives it back.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.clamp(HEADER, 65_535);
    }

    /// The largest size in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Counts what was written since `before` at `counter`, or takes it back.
    fn keep(&mut self, before: usize, known: usize, counter: usize) -> bool {
        let count = &self.buffer[self.start + counter..self.start + counter + 2];
        let next = u16::from_be_bytes([count[0], count[1]]).checked_add(1);
        match next {
            Some(next) if self.size() <= self.limit => {
                self.buffer[self.start + counter..self.start + counter + 2].copy_from_slice(&next.to_be_bytes());
                true
            }
            _ => {
                self.buffer.truncate(before);
                self.known = known;
                false
            }
        }
    }

    fn data(&mut self, data: &Data<'_>) {
        match data {
            Data::A(address) => self.buffer.extend(address.octets()),
            Data::Aaaa(address) => self.buffer.extend(address.octets()),
            Data::Name(_, name) => self.name(name, true),
            Data::Mx { preference, exchange } => {
                self.buffer.extend(preference.to_be_bytes());
                self.name(exchange, true);
            }
            Data::Srv { priority, weight, port, target } => {
                [priority, weight, port].into_iter().for_each(|n| self.buffer.extend(n.to_be_bytes()));
                self.name(target, false);
            }
            Data::Soa { server, person, numbers } => {
                self.name(server, true);
                self.name(person, true);
                numbers.iter().for_each(|n| self.buffer.extend(n.to_be_bytes()));
            }
            Data::Other(_, bytes) => self.buffer.extend(*bytes),
        }
    }

    /// Writes a name; its tail as a pointer where the same bytes were written before. Upper and lower case are kept, so
    /// only what is the same to the byte counts.
    fn name(&mut self, name: &Name, compress: bool) {
        let mut rest = name.as_wire();
        while let Some(&length) = rest.first()
            && length > 0
        {
            if compress && let Some(place) = self.find(rest) {
                self.buffer.extend((0xc000 | place).to_be_bytes());
                return;
            }
            self.remember();
            let (label, behind) = rest.split_at(1 + usize::from(length));
            self.buffer.extend(label);
            rest = behind;
        }
        self.buffer.push(0);
    }

    fn remember(&mut self) {
        let place = self.buffer.len() - self.start;
        if let (Some(free), true) = (self.places.get_mut(self.known), place < 0x4000) {
            *free = place as u16;
            self.known += 1;
        }
    }

    fn find(&self, wire: &[u8]) -> Option<u16> {
        let message = &self.buffer[self.start..];
        self.places[..self.known].iter().copied().find(|&place| written_at(message, usize::from(place), wire))
    }
}

/// Whether exactly these labels stand at this place of a message of ours.
fn written_at(message: &[u8], mut place: usize, mut wire: &[u8]) -> bool {
    loop {
        match message.get(place) {
            Some(&high @ 192..) => {
                let Some(&low) = message.get(place + 1) else { return false };
                place = usize::from(high & 0x3f) << 8 | usize::from(low);
            }
            Some(&length) => {
                let size = 1 + usize::from(length);
                let (Some(here), Some(there)) = (message.get(place..place + size), wire.get(..size)) else {
                    return false;
                };
                if here != there {
                    return false;
                }
                if length == 0 {
                    return true;
                }
                (place, wire) = (place + size, &wire[size..]);
            }
            None => return false,
        }
    }
}
