//! Hearing of it when somebody else takes our table apart: `nft flush ruleset` is what a firewall's scripts begin with. And
//! of what others do to their own tables, where that keeps our packets from getting through ([`crate::beside`]).
//!
//! What we do ourselves is told from that by its form: we delete elements, or the whole table with another in its place in
//! the same transaction. Elements that somebody else deletes are not noticed; `network reload` puts them back.

use super::encode::{INET, kind};
use super::inspect::exists;
use crate::netlink::{Protocol, Received, Socket, group};
use crate::{NetworkError, beside};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// The table in the network namespace that this was opened in.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
    table: String,
    transaction: Seen,
}

/// What a transaction has done to the table so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Seen {
    gone: bool,
    broken: bool,
    remade: bool,
}

impl Seen {
    fn message(&mut self, kind: u16) {
        match kind {
            kind::DEL_TABLE => *self = Seen { gone: true, ..Seen::default() },
            kind::NEW_TABLE if self.gone => *self = Seen { remade: true, ..Seen::default() },
            kind::DEL_CHAIN | kind::DEL_RULE | kind::DEL_SET => self.broken = true,
            _ => {}
        }
    }

    fn harm(self) -> bool {
        self.gone || self.broken && !self.remade
    }
}

impl Watch {
    /// Begins to watch; nothing of it waits. Also returns whether the table is there now.
    ///
    /// # Errors
    /// What socket(2), setsockopt(2) and the kernel say.
    pub fn begin(table: &str) -> Result<(Watch, bool), NetworkError> {
        let failed = |source| NetworkError::system("watch", "nftables")(source);
        let socket = Socket::subscribe(Protocol::Netfilter, &[group::NFTABLES]).map_err(failed)?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(|errno| failed(errno.into()))?;
        // Afterwards: what happens from here on is heard.
        let present = exists(&mut Socket::open(Protocol::Netfilter).map_err(failed)?, table)?;
        Ok((Watch { socket, table: table.to_owned(), transaction: Seen::default() }, present))
    }

    /// Hears what there is to hear. Whether things may not be as they were: somebody took something of the table away, or
    /// a rule of ours out of another table, or another table drops what it let through; or so much happened that nobody can
    /// tell.
    pub fn hear(&mut self) -> bool {
        let mut harmed = false;
        loop {
            let (table, seen) = (&self.table, &mut self.transaction);
            let heard = self.socket.next(|received| {
                if received.kind == kind::NEW_GENERATION {
                    harmed |= std::mem::take(seen).harm();
                } else if is_about(received, table) {
                    seen.message(received.kind);
                } else {
                    harmed |= beside::is_stirred(received, table);
                }
            });
            match heard {
                Ok(()) => {}
                Err(failure) if failure.is(Errno::AGAIN) => return harmed,
                // Messages were lost; the ones that are left begin in the middle of a transaction.
                Err(_) => {
                    self.transaction = Seen::default();
                    harmed = true;
                }
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// All messages about tables and what is in them have the name of the table as their first attribute.
fn is_about(received: &Received<'_>, table: &str) -> bool {
    received.body.first() == INET.first()
        && received
            .split::<4>()
            .is_some_and(|(_, attributes)| attributes.get(1).and_then(|name| name.text()) == Some(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_do_ourselves_is_no_harm() {
        let harm = |kinds: &[u16]| {
            let mut seen = Seen::default();
            kinds.iter().for_each(|kind| seen.message(*kind));
            seen.harm()
        };
        let rebuilt = [
            kind::DEL_RULE,
            kind::DEL_CHAIN,
            kind::DEL_SET,
            kind::DEL_TABLE,
            kind::NEW_TABLE,
            kind::NEW_SET,
            kind::NEW_CHAIN,
            kind::NEW_RULE,
        ];
        assert!(!harm(&rebuilt) && !harm(&rebuilt[4..]) && !harm(&[kind::NEW_ELEMENT, kind::DEL_ELEMENT]));
        assert!(harm(&rebuilt[..4]) && harm(&rebuilt[..1]) && harm(&[kind::DEL_CHAIN]) && harm(&[kind::DEL_TABLE]));
        assert!(harm(&[kind::DEL_TABLE, kind::NEW_TABLE, kind::DEL_TABLE]));
    }
}
