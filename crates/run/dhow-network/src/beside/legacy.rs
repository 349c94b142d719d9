//! The tables of old (`iptables-legacy`): the kernel gives a whole table as one block of bytes, in which chains are places.
//!
//! Asking for a table makes one. So it is only asked for where the kernel says that there is one already.

use super::decode;
use super::foreign::{Action, Chain, Keeper, Layer, Pattern, Rule, Table, Test};
use crate::Family;
use dhow_sys::xtables::{Question, ask};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io;
use std::os::fd::AsFd as _;

/// The name of the table that filters.
const FILTER: &[u8] = b"filter";
/// `struct ipt_getinfo`, and what is ahead of the rules in `struct ipt_get_entries`.
const INFO: usize = 84;
const AHEAD: usize = 40;
/// No table is larger, in bytes.
const SIZE_MAX: usize = 64 << 20;
/// How often a table is read that changes meanwhile.
const TRIES: u32 = 20;

/// The families that have such a table, in the calling thread's network namespace.
pub(super) fn families() -> Vec<Family> {
    let has_table = |family: &Family| {
        let names = if *family == Family::V6 { "ip6_tables_names" } else { "ip_tables_names" };
        let names = dhow_sys::procfs::read(format!("/proc/thread-self/net/{names}")).unwrap_or_default();
        names.split(|byte| *byte == b'\n').any(|name| name == FILTER)
    };
    [Family::V4, Family::V6].into_iter().filter(has_table).collect()
}

/// What they say.
pub(super) fn tables() -> io::Result<Vec<Table>> {
    families().into_iter().map(table).collect()
}

fn table(family: Family) -> io::Result<Table> {
    let is_v6 = family == Family::V6;
    let domain = if is_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(domain, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    for _ in 0..TRIES {
        let mut info = [0; INFO];
        info[..FILTER.len()].copy_from_slice(FILTER);
        ask(socket.as_fd(), is_v6, Question::Info, &mut info)?;
        let field = |index: usize| number(&info, 32 + index * 4).unwrap_or_default();
        // Behind the hooks that it has come five places where chains begin, five of their policies, how many, how long.
        let (begin, policy, size) = (field(1 + 2), field(6 + 2), field(12));
        if size > SIZE_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut entries = vec![0; AHEAD + size];
        entries[..FILTER.len()].copy_from_slice(FILTER);
        entries[32..36].copy_from_slice(&u32::try_from(size).unwrap_or_default().to_ne_bytes());
        match ask(socket.as_fd(), is_v6, Question::Entries, &mut entries) {
            Ok(_) => return Ok(read(family, entries.get(AHEAD..).unwrap_or_default(), begin, policy)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?).into())
}

/// A table of its bytes, with the places where the chain `FORWARD` begins and where its policy is.
fn read(family: Family, bytes: &[u8], begin: usize, policy: usize) -> Table {
    let layer = if family == Family::V6 { Layer::Ip6 } else { Layer::Ip };
    let mut chains = vec![Chain { name: "FORWARD".to_owned(), forward: Some(false), rules: Vec::new() }];
    let mut own: Option<usize> = None;
    let mut at = 0;
    while let Some(entry) = Entry::at(family, bytes, at) {
        if let Some(rule) = entry.rule() {
            if at == policy {
                chains[0].forward = Some(rule.action == Action::Drop);
            } else if (begin..policy).contains(&at) {
                chains[0].rules.push(rule);
            } else if let Some(own) = own {
                chains[own].rules.push(rule);
            }
        } else {
            // A chain that somebody made begins behind this.
            chains.push(Chain { name: place(at + entry.length), forward: None, rules: Vec::new() });
            own = Some(chains.len() - 1);
        }
        at += entry.length;
    }
    Table { keeper: Keeper::Legacy, layer, name: "filter".to_owned(), chains }
}

/// A chain is known by where it begins.
fn place(at: usize) -> String {
    format!("@{at}")
}

/// Where things are in `struct ipt_entry` or `struct ip6t_entry`.
struct Shape {
    /// Addresses and their masks come first.
    addresses: usize,
    /// `proto`, `flags`, `invflags`.
    protocol: usize,
    flags: usize,
    inverted: usize,
    /// `target_offset`; `next_offset` follows.
    offsets: usize,
    /// The whole.
    length: usize,
    /// The bit that says to come back to where the chain was jumped to from.
    goto: u8,
}

const SHAPE4: Shape = Shape { addresses: 16, protocol: 80, flags: 82, inverted: 83, offsets: 88, length: 112, goto: 2 };
const SHAPE6: Shape =
    Shape { addresses: 64, protocol: 128, flags: 131, inverted: 132, offsets: 140, length: 168, goto: 4 };

struct Entry<'b> {
    shape: &'static Shape,
    bytes: &'b [u8],
    target: usize,
    length: usize,
    end: usize,
}

impl<'b> Entry<'b> {
    /// The one at a place; none behind the last, and where lengths make no sense.
    fn at(family: Family, bytes: &'b [u8], at: usize) -> Option<Entry<'b>> {
        let shape = if family == Family::V6 { &SHAPE6 } else { &SHAPE4 };
        let rest = bytes.get(at..)?;
        let (target, length) = (short(rest, shape.offsets)?, short(rest, shape.offsets + 2)?);
        let is_sound = target >= shape.length && length >= target + 32;
        Some(Entry { shape, bytes: rest.get(..length)?, target, length, end: at + length }).filter(|_| is_sound)
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    /// None for what marks the beginning of a chain.
    fn rule(&self) -> Option<Rule> {
        let mut rule = Rule { handle: 0, comment: None, tests: Vec::new(), action: Action::Continue };
        let target = self.bytes.get(self.target..)?;
        rule.action = match name(target) {
            b"ERROR" => return None,
            b"" => self.verdict(i32::from_ne_bytes(*target.get(32..)?.first_chunk()?)),
            b"REJECT" => Action::Drop,
            b"NFQUEUE" => Action::Accept,
            _ => Action::Continue,
        };
        self.header(&mut rule.tests);
        let mut at = self.shape.length;
        while let Some(found) = self.bytes.get(at..self.target) {
            let Some(size) = short(found, 0).filter(|size| *size >= 32) else { break };
            let data = found.get(32..size).unwrap_or_default();
            match (name(found), found.get(31)) {
                (b"comment", _) => rule.comment = Some(decode::text(data)),
                (b"conntrack", Some(2 | 3)) => rule.tests.push(decode::conntrack(data)),
                _ => rule.tests.push(Test::Unknown),
            }
            at += size;
        }
        Some(rule)
    }

    fn verdict(&self, code: i32) -> Action {
        match code {
            -1 => Action::Drop,
            -2 | -4 => Action::Accept,
            -5 => Action::Return,
            _ => match usize::try_from(code) {
                Ok(next) if next == self.end => Action::Continue,
                Ok(target) if self.byte(self.shape.flags) & self.shape.goto != 0 => Action::Goto(place(target)),
                Ok(target) => Action::Jump(place(target)),
                Err(_) => Action::Continue,
            },
        }
    }

    /// What is asked without a match: links, addresses, protocols.
    fn header(&self, tests: &mut Vec<Test>) {
        let Shape { addresses, protocol, flags, inverted, goto, .. } = *self.shape;
        let inverted = self.byte(inverted);
        let links = |index: usize| self.bytes.get(addresses + index * 16..addresses + index * 16 + 16);
        for (index, inversion, test) in
            [(0, 1, Test::In as fn(Vec<Pattern>, bool) -> Test), (1, 2, Test::Out as fn(Vec<Pattern>, bool) -> Test)]
        {
            let (Some(text), Some(mask)) = (links(index), links(index + 2)) else { continue };
            if mask.iter().all(|byte| *byte == 0) {
                continue;
            }
            let text = decode::text(text);
            let open = mask.get(text.len()).is_none_or(|byte| *byte == 0);
            tests.push(test(vec![Pattern { text, open }], inverted & inversion == 0));
        }
        let masks = self.bytes.get(addresses / 2..addresses).unwrap_or_default();
        let is_about_more = masks.iter().any(|byte| *byte != 0)
            || short(self.bytes, protocol) != Some(0)
            || self.byte(flags) & !goto & !self.neutral_flags() != 0
            || inverted & !3 != 0;
        if is_about_more {
            tests.push(Test::Unknown);
        }
    }

    /// `IP6T_F_PROTO` only says that a protocol is looked at, which shows by itself.
    fn neutral_flags(&self) -> u8 {
        if self.shape.goto == 4 { 1 } else { 0 }
    }
}

/// The name of a match or target, behind its size.
fn name(bytes: &[u8]) -> &[u8] {
    let name = bytes.get(2..31).unwrap_or_default();
    name.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn garbage_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..600), begin in 0usize..600) {
            for family in [Family::V4, Family::V6] {
                let table = read(family, &bytes, begin, begin / 2 + 100);
                prop_assert!(table.chains.iter().map(|chain| chain.rules.len()).sum::<usize>() <= bytes.len() / 112);
            }
        }

        #[test]
        fn lengths_that_make_no_sense_end_it(lengths in prop::collection::vec(0u16..400, 1..20)) {
            let mut bytes = vec![0; 4000];
            let mut at = 0;
            for length in lengths {
                bytes[at + 88..at + 90].copy_from_slice(&112u16.to_ne_bytes());
                bytes[at + 90..at + 92].copy_from_slice(&length.to_ne_bytes());
                at += usize::from(length) % 200;
            }
            read(Family::V4, &bytes, 0, 112);
        }
    }
}
