//! Reading messages and attributes: bounded slices of what came, never an index that the sender chose.

/// A message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// What it is.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The number of the request that it answers; 0 for news.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Received<'a> {
    /// The fixed part of `N` bytes and the attributes behind it; none when it is too short.
    pub fn split<const N: usize>(&self) -> Option<(&'a [u8; N], Attributes<'a>)> {
        let fixed = self.body.first_chunk::<N>()?;
        let rest = self.body.get(N.next_multiple_of(4)..).unwrap_or_default();
        Some((fixed, attributes(rest)))
    }
}

/// The messages of a datagram. Ends behind the first that makes no sense.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<Received<'_>, &'static str>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let received = message(rest);
        match &received {
            Ok((_, behind)) => rest = behind,
            Err(_) => rest = &[],
        }
        Some(received.map(|(received, _)| received))
    })
}

fn message(bytes: &[u8]) -> Result<(Received<'_>, &[u8]), &'static str> {
    let header = bytes.first_chunk::<16>().ok_or("a message shorter than its header")?;
    let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let body = bytes.get(16..length).ok_or("a message longer than what came")?;
    let received = Received {
        kind: u16::from_ne_bytes([header[4], header[5]]),
        flags: u16::from_ne_bytes([header[6], header[7]]),
        sequence: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
        body,
    };
    Ok((received, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What it is, without the flags for nesting and byte order.
    pub kind: u16,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// As a number in the machine's byte order.
    pub fn number(&self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.value.try_into().ok()?))
    }

    /// As a number in network byte order.
    pub fn number_be(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.value.try_into().ok()?))
    }

    /// As text, up to its first zero.
    pub fn text(&self) -> Option<&'a str> {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        std::str::from_utf8(&self.value[..end]).ok()
    }

    /// The attributes inside.
    pub fn nested(&self) -> Attributes<'a> {
        attributes(self.value)
    }
}

/// Attributes one after the other. Ends at the first that makes no sense: the kernel's have no such.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The first one of a kind.
    pub fn get(mut self, kind: u16) -> Option<Attribute<'a>> {
        self.find(|attribute| attribute.kind == kind)
    }
}

/// The attributes in `bytes`.
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let bytes = std::mem::take(&mut self.rest);
        let header = bytes.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = bytes.get(4..length)?;
        self.rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind: u16::from_ne_bytes([header[2], header[3]]) & 0x3fff, value })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Message;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nests_are_read_as_they_were_written() {
        let mut message = Message::new(16, 0x400).fixed(&[7; 6]);
        message.text(3, "eth0");
        message.nest(18, |inner| {
            inner.text(1, "veth");
            inner.nest(2, |data| data.number(1, 5));
        });
        message.number_be(4, 1);
        let bytes = message.finish(9).unwrap();
        let received: Vec<_> = messages(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!((received.len(), received[0].kind, received[0].flags), (1, 16, 0x401));
        let (fixed, attributes) = received[0].split::<6>().unwrap();
        assert_eq!(fixed, &[7; 6]);
        assert_eq!(attributes.get(3).unwrap().text(), Some("eth0"));
        let data = attributes.get(18).unwrap().nested().get(2).unwrap();
        assert_eq!(data.nested().get(1).unwrap().number(), Some(5));
        assert_eq!(attributes.get(4).unwrap().number_be(), Some(1));
        assert_eq!(attributes.count(), 3);
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_no_garbage() {
        let mut message = Message::new(1, 0);
        message.attribute(1, &vec![0; 70_000]);
        assert!(message.finish(1).is_err());
    }

    proptest! {
        #[test]
        fn garbage_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for received in messages(&bytes).flatten() {
                let _ = received.split::<16>();
                for attribute in attributes(received.body) {
                    let _ = (attribute.text(), attribute.number(), attribute.nested().count());
                }
            }
            prop_assert!(attributes(&bytes).count() <= bytes.len() / 4 + 1);
        }

        #[test]
        fn attributes_come_back(values in prop::collection::vec((0u16..0x3fff, prop::collection::vec(any::<u8>(), 0..40)), 0..20)) {
            let mut message = Message::new(1, 0);
            for (kind, value) in &values {
                message.attribute(*kind, value);
            }
            let bytes = message.finish(1).unwrap();
            let read: Vec<_> = attributes(messages(&bytes).next().unwrap().unwrap().body)
                .map(|attribute| (attribute.kind, attribute.value.to_vec()))
                .collect();
            prop_assert_eq!(read, values);
        }
    }
}
