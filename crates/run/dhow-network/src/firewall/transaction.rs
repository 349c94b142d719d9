//! Batches: all of their messages take effect at once, or none does.

use super::encode::kind;
use crate::NetworkError;
use crate::netlink::{Failure, Message, Socket, flag};
use std::io;

/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
/// `struct nfgenmsg` with the subsystem nf_tables (10), in network byte order, as its resource.
const NF_TABLES: [u8; 4] = [0, 0, 0, 10];

/// Changes to be made at once.
pub(crate) struct Transaction {
    messages: Vec<Message>,
    /// What each message after the first is about.
    about: Vec<(&'static str, String)>,
}

impl Transaction {
    /// Begins one; with a generation, it is refused (`ERESTART`) when that is no longer the latest.
    pub(crate) fn begin(generation: Option<u32>) -> Transaction {
        let mut begin = Message::new(BEGIN, 0).fixed(&NF_TABLES);
        if let Some(generation) = generation {
            begin.number_be(1, generation);
        }
        Transaction { messages: vec![begin], about: Vec::new() }
    }

    /// Adds a change; the words are for the error.
    pub(crate) fn push(&mut self, operation: &'static str, object: &str, message: Message) {
        self.messages.push(message);
        self.about.push((operation, object.to_owned()));
    }

    /// Makes the changes.
    pub(crate) fn commit(mut self, socket: &mut Socket) -> Result<(), NetworkError> {
        if let Some(last) = self.messages.last_mut() {
            last.flags(flag::ACK);
        }
        self.messages.push(Message::new(END, 0).fixed(&NF_TABLES));
        let about = self.about;
        socket.batch(self.messages).map_err(|failure| {
            let which = failure.message.and_then(|number| number.checked_sub(1));
            let (operation, object) =
                which.and_then(|which| about.into_iter().nth(which)).unwrap_or(("change", "nftables".to_owned()));
            NetworkError::Kernel { operation, object, failure }
        })
    }
}

/// The number of the latest transaction.
pub(super) fn generation(socket: &mut Socket) -> Result<u32, Failure> {
    let mut found = None;
    socket.exchange(Message::new(kind::GET_GENERATION, 0).fixed(&[0; 4]), |received| {
        if received.kind == kind::NEW_GENERATION {
            found = received.split::<4>().and_then(|(_, attributes)| attributes.get(1)?.number_be());
        }
    })?;
    found.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData).into())
}
