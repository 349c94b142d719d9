//! The kernel's language: a [`Ruleset`] as messages of nf_tables (`include/uapi/linux/netfilter/nf_tables.h`).
//!
//! Numbers of nf_tables are in network byte order; what is compared is in the order of where it comes from: packets in
//! network order, the kernel's own values (names, states, types) in the machine's.

use super::ruleset::{Action, Chain, Datum, Element, Field, Match, Rule, Set, Type};
use crate::netlink::{Message, flag};
use crate::subnet::{Family, octets};

/// The kinds of messages: the subsystem in the upper byte.
pub(crate) mod kind {
    const NF_TABLES: u16 = 10 << 8;
    pub(crate) const NEW_TABLE: u16 = NF_TABLES;
    pub(crate) const GET_TABLE: u16 = NF_TABLES | 1;
    pub(crate) const DEL_TABLE: u16 = NF_TABLES | 2;
    pub(crate) const NEW_CHAIN: u16 = NF_TABLES | 3;
    pub(crate) const GET_CHAIN: u16 = NF_TABLES | 4;
    pub(crate) const DEL_CHAIN: u16 = NF_TABLES | 5;
    pub(crate) const NEW_RULE: u16 = NF_TABLES | 6;
    pub(crate) const GET_RULE: u16 = NF_TABLES | 7;
    pub(crate) const DEL_RULE: u16 = NF_TABLES | 8;
    pub(crate) const NEW_SET: u16 = NF_TABLES | 9;
    pub(crate) const GET_SET: u16 = NF_TABLES | 10;
    pub(crate) const DEL_SET: u16 = NF_TABLES | 11;
    pub(crate) const NEW_ELEMENT: u16 = NF_TABLES | 12;
    pub(crate) const GET_ELEMENT: u16 = NF_TABLES | 13;
    pub(crate) const DEL_ELEMENT: u16 = NF_TABLES | 14;
    pub(crate) const NEW_GENERATION: u16 = NF_TABLES | 15;
    pub(crate) const GET_GENERATION: u16 = NF_TABLES | 16;
}

/// `struct nfgenmsg` for the family `inet` (1).
pub(super) const INET: [u8; 4] = [1, 0, 0, 0];

/// `NFTA_LIST_ELEM`, the kind of each attribute in a list.
const LIST: u16 = 1;
const NFT_SET_MAP: u32 = 8;
/// The longest message of elements, in bytes: the list has to fit in one attribute.
const ELEMENTS_MAX: usize = 48 * 1024;

impl Type {
    /// nft's number of the type, so that it lists elements as what they are.
    fn number(self) -> u32 {
        match self {
            Type::Address(Family::V4) => 7,
            Type::Address(Family::V6) => 8,
            Type::Protocol => 12,
            Type::Port => 13,
            Type::Link => 41,
        }
    }

    /// Its bytes, rounded up to registers.
    pub(super) fn size(self) -> usize {
        match self {
            Type::Protocol | Type::Port | Type::Address(Family::V4) => 4,
            Type::Address(Family::V6) | Type::Link => 16,
        }
    }
}

/// The number of a concatenation: 6 bits for each part.
pub(super) fn type_number(parts: &[Type]) -> u32 {
    parts.iter().fold(0, |number, part| number << 6 | part.number())
}

fn length(parts: &[Type]) -> u32 {
    parts.iter().map(|part| part.size() as u32).sum()
}

/// The bytes of a key or value, each part padded to a register.
pub(super) fn bytes(parts: &[Datum]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        match part {
            Datum::Protocol(protocol) => all.push(protocol.number()),
            Datum::Address(address) => all.extend(octets(*address)),
            Datum::Port(port) => all.extend(port.to_be_bytes()),
            Datum::Link(name) => all.extend(link_name(name)),
        }
        all.resize(all.len().next_multiple_of(4), 0);
    }
    all
}

fn link_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    let length = name.len().min(15);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}

/// Makes (or names) a table.
pub(super) fn new_table(table: &str) -> Message {
    let mut message = Message::new(kind::NEW_TABLE, flag::CREATE).fixed(&INET);
    message.text(1, table);
    message
}

/// Removes a table with all that is in it.
pub(super) fn del_table(table: &str) -> Message {
    let mut message = Message::new(kind::DEL_TABLE, 0).fixed(&INET);
    message.text(1, table);
    message
}

/// Makes a set or map, without elements. `id` names it within the transaction.
pub(super) fn new_set(table: &str, set: &Set, id: u32) -> Message {
    let mut message = Message::new(kind::NEW_SET, flag::CREATE).fixed(&INET);
    message.text(1, table);
    message.text(2, set.name);
    message.number_be(3, if set.value.is_empty() { 0 } else { NFT_SET_MAP });
    message.number_be(4, type_number(&set.key));
    message.number_be(5, length(&set.key));
    if !set.value.is_empty() {
        message.number_be(6, type_number(&set.value));
        message.number_be(7, length(&set.value));
    }
    message.number_be(10, id);
    if set.key == [Type::Link] {
        // Names are in the machine's order, and nft reads them the wrong way round unless it is told so: its attribute 0
        // (the byte order of the key) of 4 bytes, 1 for the machine's.
        let mut user_data = vec![0, 4];
        user_data.extend(1u32.to_ne_bytes());
        message.attribute(13, &user_data);
    }
    message
}

/// Adds or removes elements: as many messages as they need.
pub(super) fn elements<'a>(
    kind: u16,
    table: &str,
    set: &str,
    elements: impl IntoIterator<Item = &'a Element>,
) -> Vec<Message> {
    let flags = if kind == kind::NEW_ELEMENT { flag::CREATE } else { 0 };
    let mut messages = Vec::new();
    let mut elements = elements.into_iter().peekable();
    while elements.peek().is_some() {
        let mut message = Message::new(kind, flags).fixed(&INET);
        message.text(1, table);
        message.text(2, set);
        message.nest(3, |list| {
            let start = list.len();
            while let Some(element) = elements.next_if(|_| list.len() - start < ELEMENTS_MAX) {
                list.nest(LIST, |one| {
                    one.nest(1, |key| key.attribute(1, &bytes(&element.key)));
                    if !element.value.is_empty() && kind == kind::NEW_ELEMENT {
                        one.nest(2, |value| value.attribute(1, &bytes(&element.value)));
                    }
                });
            }
        });
        messages.push(message);
    }
    messages
}

/// Makes a chain.
pub(super) fn new_chain(table: &str, chain: &Chain) -> Message {
    let mut message = Message::new(kind::NEW_CHAIN, flag::CREATE).fixed(&INET);
    message.text(1, table);
    message.text(3, chain.name);
    if let Some(base) = &chain.base {
        message.nest(4, |hook| {
            hook.number_be(1, base.hook as u32);
            hook.number_be(2, base.priority.cast_unsigned());
        });
        message.number_be(5, 1); // the policy: NF_ACCEPT
        message.text(7, base.kind);
    }
    message
}

/// Adds a rule behind those of the chain.
pub(super) fn new_rule(table: &str, chain: &str, rule: &Rule) -> Message {
    let mut message = Message::new(kind::NEW_RULE, flag::CREATE | flag::APPEND).fixed(&INET);
    message.text(1, table);
    message.text(2, chain);
    message.nest(4, |list| expressions(list, rule));
    message
}

/// The expressions of a rule, as a list.
pub(super) fn expressions(list: &mut Message, rule: &Rule) {
    for condition in &rule.matches {
        encode_match(list, condition);
    }
    if rule.counted {
        expression(list, "counter", |_| {});
    }
    encode_action(list, &rule.action);
}

/// One expression of a rule: its name and its data.
pub(crate) fn expression(list: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    list.nest(LIST, |one| {
        one.text(1, name);
        one.nest(2, fill);
    });
}

/// The kernel's number of a register that begins behind so many words of 32 bits: the one that it lists, too.
fn register(word: usize) -> u32 {
    let number = if word.is_multiple_of(4) { 1 + word / 4 } else { 8 + word };
    u32::try_from(number).expect("there are 16 words")
}

const VERDICT: u32 = 0;
const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;

fn load(list: &mut Message, field: Field, word: usize) {
    let meta = |list: &mut Message, key| {
        expression(list, "meta", |data| {
            data.number_be(1, register(word));
            data.number_be(2, key);
        });
    };
    let payload = |list: &mut Message, base, offset, length| {
        expression(list, "payload", |data| {
            data.number_be(1, register(word));
            data.number_be(2, base);
            data.number_be(3, offset);
            data.number_be(4, length);
        });
    };
    const NETWORK: u32 = 1;
    const TRANSPORT: u32 = 2;
    match field {
        Field::Protocol => meta(list, 16),
        Field::In => meta(list, 6),
        Field::Out => meta(list, 7),
        Field::Source(Family::V4) => payload(list, NETWORK, 12, 4),
        Field::Destination(Family::V4) => payload(list, NETWORK, 16, 4),
        Field::Source(Family::V6) => payload(list, NETWORK, 8, 16),
        Field::Destination(Family::V6) => payload(list, NETWORK, 24, 16),
        Field::DestinationPort => payload(list, TRANSPORT, 2, 2),
    }
}

/// Loads fields one behind the other, as the parts of a key.
fn load_all(list: &mut Message, fields: &[Field]) {
    let mut word = 0;
    for field in fields {
        load(list, *field, word);
        word += match field {
            Field::In | Field::Out | Field::Source(Family::V6) | Field::Destination(Family::V6) => 4,
            Field::Protocol | Field::DestinationPort => 1,
            Field::Source(Family::V4) | Field::Destination(Family::V4) => 1,
        };
    }
}

fn compare(list: &mut Message, operation: u32, value: &[u8]) {
    expression(list, "cmp", |data| {
        data.number_be(1, register(0));
        data.number_be(2, operation);
        data.nest(3, |data| data.attribute(1, value));
    });
}

fn mask(list: &mut Message, mask: &[u8]) {
    expression(list, "bitwise", |data| {
        data.number_be(1, register(0));
        data.number_be(2, register(0));
        data.number_be(3, u32::try_from(mask.len()).expect("an address at most"));
        data.nest(4, |data| data.attribute(1, mask));
        data.nest(5, |data| data.attribute(1, &vec![0; mask.len()]));
    });
}

/// Any of these bits of a value of connection tracking is set.
fn tracked(list: &mut Message, key: u32, bits: u32) {
    expression(list, "ct", |data| {
        data.number_be(1, register(0));
        data.number_be(2, key);
    });
    mask(list, &bits.to_ne_bytes());
    compare(list, UNEQUAL, &[0; 4]);
}

fn family(list: &mut Message, family: Family) {
    expression(list, "meta", |data| {
        data.number_be(1, register(0));
        data.number_be(2, 15); // NFT_META_NFPROTO
    });
    compare(list, EQUAL, &[family.number()]);
}

fn encode_match(list: &mut Message, condition: &Match) {
    let operation = |equal: bool| if equal { EQUAL } else { UNEQUAL };
    match condition {
        Match::Family(which) => family(list, *which),
        Match::Link(field, equal, name) => {
            load(list, *field, 0);
            compare(list, operation(*equal), &link_name(name));
        }
        Match::Within(field, block) => {
            family(list, block.family());
            load(list, *field, 0);
            if block.prefix() < block.family().bits() {
                mask(list, &octets(block.mask()));
            }
            compare(list, EQUAL, &octets(block.masked().address()));
        }
        Match::Local(equal) => {
            expression(list, "fib", |data| {
                data.number_be(1, register(0));
                data.number_be(2, 3); // NFT_FIB_RESULT_ADDRTYPE
                data.number_be(3, 2); // NFTA_FIB_F_DADDR
            });
            compare(list, operation(*equal), &2u32.to_ne_bytes()); // RTN_LOCAL
        }
        Match::Established => tracked(list, 0, 2 | 4),
        Match::Translated => tracked(list, 2, 0x20), // IPS_DST_NAT
        Match::Member(fields, set) => {
            load_all(list, fields);
            expression(list, "lookup", |data| {
                data.text(1, set);
                data.number_be(2, register(0));
            });
        }
    }
}

fn verdict(list: &mut Message, code: i32, chain: Option<&str>) {
    expression(list, "immediate", |data| {
        data.number_be(1, VERDICT);
        data.nest(2, |data| {
            data.nest(2, |verdict| {
                verdict.number_be(1, code.cast_unsigned());
                if let Some(chain) = chain {
                    verdict.text(2, chain);
                }
            });
        });
    });
}

fn encode_action(list: &mut Message, action: &Action) {
    match action {
        Action::Drop => verdict(list, 0, None),
        Action::Accept => verdict(list, 1, None),
        Action::Jump(chain) => verdict(list, -3, Some(chain)),
        Action::Return => verdict(list, -5, None),
        Action::Masquerade => expression(list, "masq", |_| {}),
        Action::Translate(family, fields, map) => {
            load_all(list, fields);
            expression(list, "lookup", |data| {
                data.text(1, map);
                data.number_be(2, register(0));
                data.number_be(3, register(0));
            });
            expression(list, "nat", |data| {
                data.number_be(1, 1); // NFT_NAT_DNAT
                data.number_be(2, family.number().into());
                data.number_be(3, register(0));
                data.number_be(5, register(Type::Address(*family).size() / 4));
            });
        }
    }
}
