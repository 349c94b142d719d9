//! From the bytes of a client to the bytes of an answer, or to the decision to ask others. Pure: no socket, no clock.
//!
//! What docker does, with these exceptions: a name of ours is answered for every type (docker sends all but addresses,
//! MX, PTR and SRV to strangers); zone transfers are refused; malformed queries hear so.
//!
//! Names that are not ours go to the container's upstream servers, single labels and reverse names too, as in docker;
//! with `ndots` set by the user, single labels have an empty answer instead, so that the client tries its search list.
//! A container without upstream servers (`internal` networks) hears that the server failed, as in docker.

use super::message::{
    CLASS_ANY, CLASS_IN, Data, EDNS_RECORD, EDNS_SIZE, Edns, Name, NoQuery, Query, Record, Section, Writer, code, flag,
    kind,
};
use super::zone::{Addresses, Zone, address_of};

/// The largest datagram that is sent to a container, whatever it asks for.
pub const DATAGRAM_MAX: usize = 4096;
/// The largest message over TCP.
pub const STREAM_MAX: usize = 65_535;

/// Who asks, as far as it changes the answer.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'z> {
    /// The container's id: it may have names that only it sees.
    pub client: &'z str,
    /// The networks that it is in, the preferred one first.
    pub zones: &'z [&'z Zone],
    /// The user has set `ndots`.
    pub ndots: bool,
    /// It has upstream servers.
    pub forward: bool,
    /// It came over TCP.
    pub stream: bool,
}

/// What is to be done with a query.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives for a moment on the stack; a box would be an allocation for each query"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Silence,
    /// The answer was appended to the buffer.
    Answered,
    /// Others are to be asked.
    Forward(Query),
}

/// Judges what a client sent. An answer is appended to `answer`.
pub fn judge(asker: &Asker<'_>, bytes: &[u8], answer: &mut Vec<u8>) -> Verdict {
    let query = match Query::read(bytes) {
        Ok(query) => query,
        Err(NoQuery::Silence) => return Verdict::Silence,
        Err(NoQuery::Answer(id, flags, code)) => {
            let flags = flags & (flag::OPCODE | flag::RECURSION_DESIRED) | flag::ANSWER;
            Writer::new(answer, id, flags | flag::RECURSION_AVAILABLE | code, STREAM_MAX);
            return Verdict::Answered;
        }
    };
    let refusal = if query.edns.is_some_and(|edns| edns.version > 0) {
        Some(code::BAD_VERSION)
    } else if matches!(query.question.kind, kind::AXFR | kind::IXFR) {
        Some(code::REFUSED)
    } else if matches!(query.question.class, CLASS_IN | CLASS_ANY) && local(asker, &query, answer) {
        return Verdict::Answered;
    } else if asker.ndots && is_single_address(&query) {
        Some(code::NO_ERROR)
    } else if !asker.forward {
        Some(code::SERVER_FAILURE)
    } else {
        None
    };
    match refusal {
        Some(code) => {
            empty(&query, code, asker.stream, answer);
            Verdict::Answered
        }
        None => Verdict::Forward(query),
    }
}

/// Appends an answer without records.
pub fn empty(query: &Query, code: u16, stream: bool, answer: &mut Vec<u8>) {
    write(query, code, stream, answer, |_| {});
}

/// Appends an answer that says no more than that it does not fit in a datagram.
pub fn truncated(query: &Query, answer: &mut Vec<u8>) {
    let begin = answer.len();
    write(query, code::NO_ERROR, false, answer, |_| {});
    answer[begin + 2] |= (flag::TRUNCATED >> 8) as u8;
}

/// The largest answer that the asker takes.
pub fn limit(query: &Query, stream: bool) -> usize {
    if stream { STREAM_MAX } else { query.datagram().min(DATAGRAM_MAX) }
}

fn write(query: &Query, code: u16, stream: bool, answer: &mut Vec<u8>, records: impl FnOnce(&mut Writer<'_>)) {
    let flags = query.flags & (flag::RECURSION_DESIRED | flag::CHECKING_DISABLED);
    let flags = flags | flag::ANSWER | flag::RECURSION_AVAILABLE | code & flag::CODE;
    let limit = limit(query, stream);
    let room = if query.edns.is_some() { EDNS_RECORD } else { 0 };
    let mut writer = Writer::new(answer, query.id, flags, limit - room);
    writer.question(&query.question);
    records(&mut writer);
    if let Some(edns) = query.edns {
        writer.set_limit(limit);
        writer.record(Section::Additional, &Edns::record(EDNS_SIZE, code, edns.signatures));
    }
}

fn is_single_address(query: &Query) -> bool {
    matches!(query.question.kind, kind::A | kind::AAAA) && query.question.name.labels().count() == 1
}

/// Answers from the zones, if the name is one of theirs.
fn local(asker: &Asker<'_>, query: &Query, answer: &mut Vec<u8>) -> bool {
    let name = &query.question.name;
    if query.question.kind == kind::PTR
        && let Some(address) = address_of(name)
    {
        let found = asker.zones.iter().find_map(|zone| Some((zone.reverse(address)?, zone.ttl)));
        let Some((&host, ttl)) = found else { return false };
        write(query, code::NO_ERROR, asker.stream, answer, |writer| {
            writer.record(Section::Answer, &record(*name, ttl, Data::Name(kind::PTR, host)));
        });
        return true;
    }
    if let Some((zone, placed)) = asker.zones.iter().find_map(|zone| Some((zone, zone.service(name)?))) {
        let wanted = matches!(query.question.kind, kind::SRV | kind::ANY);
        write(query, code::NO_ERROR, asker.stream, answer, |writer| {
            for one in placed.iter().filter(|_| wanted) {
                let (service, target) = (&one.service, one.target);
                let data = Data::Srv { priority: service.priority, weight: service.weight, port: service.port, target };
                writer.record(Section::Answer, &record(*name, zone.ttl, data));
            }
            for one in placed.iter().filter(|_| wanted) {
                if let Some(found) = zone.find(asker.client, &one.target) {
                    addresses(writer, Section::Additional, &one.target, zone.ttl, found, kind::ANY);
                }
            }
        });
        return true;
    }
    let Some((zone, found)) = choose(asker, query) else { return false };
    write(query, code::NO_ERROR, asker.stream, answer, |writer| {
        addresses(writer, Section::Answer, name, zone.ttl, found, query.question.kind);
    });
    true
}

/// The first network that has what is asked for; else the first that knows the name at all.
fn choose<'z>(asker: &Asker<'z>, query: &Query) -> Option<(&'z Zone, &'z Addresses)> {
    let mut known = None;
    for &zone in asker.zones {
        if let Some(found) = zone.find(asker.client, &query.question.name) {
            let (v4, v6) = found.families();
            let has = match query.question.kind {
                kind::A => v4,
                kind::AAAA => v6,
                _ => true,
            };
            if has {
                return Some((zone, found));
            }
            known.get_or_insert((zone, found));
        }
    }
    known
}

fn addresses(writer: &mut Writer<'_>, section: Section, name: &Name, ttl: u32, found: &Addresses, wanted: u16) {
    if matches!(wanted, kind::A | kind::ANY) {
        for address in found.v4() {
            writer.record(section, &record(*name, ttl, Data::A(address)));
        }
    }
    if matches!(wanted, kind::AAAA | kind::ANY) {
        for address in found.v6() {
            writer.record(section, &record(*name, ttl, Data::Aaaa(address)));
        }
    }
}

fn record(name: Name, ttl: u32, data: Data<'_>) -> Record<'_> {
    Record { name, class: CLASS_IN, ttl, data }
}
