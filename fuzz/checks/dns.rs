//! What must hold for any bytes that are read as a message of the DNS.

use super::message::{Message, Name, NoQuery, Query, Record, Section, Writer};

/// Panics when what is read cannot be written, or is read differently the second time.
pub(crate) fn check(data: &[u8]) {
    match Query::read(data) {
        Ok(query) => {
            assert!(query.datagram() >= 512);
            let mut again = Vec::new();
            let mut writer = Writer::new(&mut again, query.id, query.flags, 65_535);
            assert!(writer.question(&query.question));
            let read = Query::read(&again).expect("what was written can be read");
            assert_eq!(
                (read.id, read.flags, exact(&read.question.name)),
                (query.id, query.flags, exact(&query.question.name))
            );
        }
        Err(NoQuery::Answer(id, ..)) => assert_eq!(id.to_be_bytes(), data[..2]),
        Err(NoQuery::Silence) => assert!(data.len() < 12 || data[2] & 0x80 != 0),
    }
    let Ok(message) = Message::read(data) else { return };
    let Ok(records) = message.records().collect::<Result<Vec<_>, _>>() else { return };
    let promised: usize = message.counts[1..].iter().map(|&n| usize::from(n)).sum();
    assert_eq!(records.len(), promised);
    assert!(records.is_sorted_by_key(|(section, _)| *section));
    if message.counts[0] <= 1 {
        write_again(&message, &records);
    }
}

fn write_again(message: &Message<'_>, records: &[(Section, Record<'_>)]) {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, message.id, message.flags, 65_535);
    let mut whole = message.question.is_none_or(|question| writer.question(&question));
    for (section, record) in records {
        whole &= writer.record(*section, record);
    }
    assert_eq!(writer.size(), bytes.len());
    assert!(bytes.len() <= 65_535);
    let again = Message::read(&bytes).expect("what was written can be read");
    let read: Vec<_> = again.records().collect::<Result<_, _>>().expect("likewise");
    if whole {
        assert_eq!(format!("{:?} {records:?}", message.question), format!("{:?} {read:?}", again.question));
        let names = |all: &[(Section, Record<'_>)]| all.iter().map(|(_, r)| exact(&r.name)).collect::<Vec<_>>();
        assert_eq!(names(records), names(&read));
    }
}

/// Names are compared without regard to case; here it counts.
fn exact(name: &Name) -> Vec<u8> {
    let labels: usize = name.labels().map(|label| label.len() + 1).sum();
    assert_eq!(labels + 1, name.as_wire().len());
    assert!(name.as_wire().len() <= 255);
    assert_eq!(name.lower(), *name);
    name.as_wire().to_vec()
}
