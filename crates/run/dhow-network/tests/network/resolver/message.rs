//! The codec: properties, and the cases that the RFCs make a point of.

use super::corpus::check;
use dhow_network::resolver::message::{
    CLASS_IN, Data, Edns, Malformed, Message, NAME_MAX, Name, NoQuery, Query, Question, Record, Section, Writer, code,
    kind,
};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

fn names() -> impl Strategy<Value = Name> {
    // Few labels, so that tails are often the same and compression has something to do.
    let label = prop_oneof!["[a-cA-C]", "[a-z0-9_-]{1,63}"];
    proptest::collection::vec(label, 0..5).prop_filter_map("too long", |labels| Name::from_text(&labels.join(".")))
}

fn data() -> impl Strategy<Value = Data<'static>> {
    const BYTES: &[u8] = &[7; 70_000];
    prop_oneof![
        any::<u32>().prop_map(|n| Data::A(Ipv4Addr::from(n))),
        any::<u128>().prop_map(|n| Data::Aaaa(Ipv6Addr::from(n))),
        (prop_oneof![Just(kind::NS), Just(kind::CNAME), Just(kind::PTR)], names()).prop_map(|(k, n)| Data::Name(k, n)),
        (any::<u16>(), names()).prop_map(|(preference, exchange)| Data::Mx { preference, exchange }),
        (any::<u16>(), any::<u16>(), any::<u16>(), names()).prop_map(|(priority, weight, port, target)| Data::Srv {
            priority,
            weight,
            port,
            target
        }),
        (names(), names(), any::<[u32; 5]>()).prop_map(|(server, person, numbers)| Data::Soa {
            server,
            person,
            numbers
        }),
        (0..300_usize).prop_map(|length| Data::Other(16, &BYTES[..length])),
    ]
}

fn records() -> impl Strategy<Value = Vec<(Section, Record<'static>)>> {
    let section = prop_oneof![Just(Section::Answer), Just(Section::Authority), Just(Section::Additional)];
    let record = (names(), any::<u16>(), any::<u32>(), data()).prop_map(|(name, class, ttl, data)| Record {
        name,
        class,
        ttl,
        data,
    });
    proptest::collection::vec((section, record), 0..20).prop_map(|mut all| {
        all.sort_by_key(|(section, _)| *section);
        all
    })
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        check(&bytes);
    }

    #[test]
    fn bytes_behind_a_sound_header(counts in any::<[u8; 4]>(), bytes in proptest::collection::vec(prop_oneof![
        Just(0_u8), Just(0xc0), Just(12), Just(1), any::<u8>()], 0..300)) {
        let mut message = vec![0, 7, 1, 0];
        counts.iter().for_each(|c| message.extend([0, c % 4]));
        message.extend(bytes);
        check(&message);
    }

    #[test]
    fn what_is_written_is_read(id: u16, flags: u16, asked in names(), records in records()) {
        let mut bytes = vec![1, 2, 3];
        let mut writer = Writer::new(&mut bytes, id, flags, 65_535);
        let question = Question { name: asked, kind: kind::A, class: CLASS_IN };
        prop_assert!(writer.question(&question));
        for (section, record) in &records {
            prop_assert!(writer.record(*section, record));
        }
        let message = Message::read(&bytes[3..]).unwrap();
        prop_assert_eq!((message.id, message.flags, message.question), (id, flags, Some(question)));
        let read: Vec<_> = message.records().collect::<Result<_, _>>().unwrap();
        // As text too: names are equal whatever their case.
        prop_assert_eq!(format!("{read:?}"), format!("{records:?}"));
        prop_assert_eq!(read, records);
        check(&bytes[3..]);
    }

    #[test]
    fn a_limit_is_kept_and_told(limit in 12..600_usize, records in records()) {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, 1, 0x8000, limit);
        let mut written = Vec::new();
        for (section, record) in &records {
            if writer.record(*section, record) {
                written.push((*section, record.clone()));
            }
        }
        prop_assert!(bytes.len() <= limit);
        let message = Message::read(&bytes).unwrap();
        let read: Vec<_> = message.records().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&read, &written);
        let needed = |all: &[(Section, Record<'_>)]| all.iter().filter(|(s, _)| *s != Section::Additional).count();
        prop_assert_eq!(message.flags & 0x0200 != 0, needed(&written) < needed(&records));
    }

    #[test]
    fn text_and_wire_agree(name in names()) {
        let text = name.to_string();
        prop_assert_eq!(Name::from_text(&text).unwrap().as_wire().to_vec(), name.as_wire().to_vec());
        prop_assert_eq!(Name::read(name.as_wire(), 0).unwrap().0.as_wire().to_vec(), name.as_wire().to_vec());
        prop_assert_eq!(Name::from_text(&text.to_uppercase()).unwrap(), name);
    }
}

#[test]
fn names_that_are_none() {
    let long = "a".repeat(64);
    for text in ["..", "a..b", ".a", "a b", "ä", &long, &vec!["abcdefg"; 32].join(".")] {
        assert!(Name::from_text(text).is_none(), "{text}");
    }
    assert_eq!(Name::from_text("").unwrap().to_string(), ".");
    let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    assert_eq!(Name::from_text(&longest).unwrap().as_wire().len(), NAME_MAX);
    assert!(Name::from_text(&format!("{longest}d")).is_none());
}

#[test]
fn a_dot_in_a_label_is_no_end_of_it() {
    let (odd, _) = Name::read(b"\x03a.b\x00", 0).unwrap();
    assert_ne!(odd, name("a.b"));
    assert_eq!(odd.to_string(), "a\\.b.");
}

#[test]
fn pointers_only_go_back() {
    // Each pointer must point before the labels it ends: no loop is possible, not even over several of them.
    assert_eq!(Name::read(b"\xc0\x00", 0).unwrap_err(), Malformed::Pointer { at: 0 });
    assert_eq!(Name::read(b"\x01a\xc0\x00", 0).unwrap_err(), Malformed::Pointer { at: 2 });
    assert_eq!(Name::read(b"\x01a\x00\x01b\xc0\x00", 3).unwrap().0, name("b.a"));
    assert_eq!(Name::read(b"\x01a\x00\x01b\xc0\x03", 3).unwrap_err(), Malformed::Pointer { at: 5 });
    assert_eq!(Name::read(b"\x41a\x00", 0).unwrap_err(), Malformed::Label { at: 0 });
    // A name that grows by pointing to itself a little earlier each time ends at 255 bytes.
    let mut bytes = vec![0];
    let mut previous = 0_u16;
    for _ in 0..200 {
        let here = bytes.len() as u16;
        bytes.extend([1, b'x']);
        bytes.extend((0xc000 | previous).to_be_bytes());
        previous = here;
    }
    assert!(Name::read(&bytes, 1 + 4 * 126).is_ok());
    assert!(matches!(Name::read(&bytes, 1 + 4 * 127), Err(Malformed::LongName { .. })));
}

#[test]
fn queries_and_what_is_none() {
    let write = |flags: u16, records: &[Record<'_>]| {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, 9, flags, 512);
        writer.question(&Question { name: name("WeB"), kind: kind::AAAA, class: CLASS_IN });
        records.iter().for_each(|record| assert!(writer.record(Section::Additional, record)));
        bytes
    };
    let query = Query::read(&write(0x0100, &[])).unwrap();
    assert_eq!((query.id, query.edns, query.datagram()), (9, None, 512));
    assert_eq!(query.question.name.as_wire(), b"\x03WeB\x00");
    assert!(query.question.name.is_mixed_case());
    let query = Query::read(&write(0x0100, &[Edns::record(100, 0, true)])).unwrap();
    assert_eq!(query.edns, Some(Edns { size: 512, version: 0, signatures: true }), "smaller than 512 means 512");
    assert_eq!(Query::read(&write(0x8100, &[])), Err(NoQuery::Silence), "answers are never answered");
    assert_eq!(Query::read(&[0; 11]), Err(NoQuery::Silence));
    assert_eq!(Query::read(&write(0x2800, &[])), Err(NoQuery::Answer(9, 0x2800, code::NOT_IMPLEMENTED)));
    let twice = [Edns::record(512, 0, false), Edns::record(512, 0, false)];
    assert_eq!(Query::read(&write(0, &twice)), Err(NoQuery::Answer(9, 0, code::FORMAT_ERROR)));
    let mut behind = write(0, &[]);
    behind.push(0);
    assert_eq!(Query::read(&behind), Err(NoQuery::Answer(9, 0, code::FORMAT_ERROR)));
}

#[test]
fn owners_are_compressed_and_targets_of_services_are_not() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 1, 0x8000, 512);
    writer.question(&Question { name: name("_http._tcp.web.shop"), kind: kind::SRV, class: CLASS_IN });
    let data = Data::Srv { priority: 1, weight: 2, port: 80, target: name("web.shop") };
    writer.record(Section::Answer, &Record { name: name("_http._tcp.web.shop"), class: CLASS_IN, ttl: 5, data });
    let data = Data::A(Ipv4Addr::new(172, 18, 0, 2));
    writer.record(Section::Additional, &Record { name: name("web.shop"), class: CLASS_IN, ttl: 5, data });
    let record = &bytes[12 + 21 + 4..];
    assert_eq!(record[..2], [0xc0, 12]);
    assert_eq!(record[18..28], *b"\x03web\x04shop\x00", "RFC 2782");
    assert_eq!(record[28] & 0xc0, 0xc0, "the owner of the address points at what is there");
}
