//! Waiting for events of the journal without polling: [`EventWatch`].
//!
//! Every commit appends to the write-ahead log, so inotify on that file tells of each. It tells too early: the first
//! page of a commit wakes the watcher before the commit is done. So the watcher, once awake, first empties the
//! notifications, then waits for the ledger's lock, which a writer holds until it has committed, and only then
//! asks. A commit after that writes to the log again and makes a new notification: none is lost.

use crate::error::StateError;
use crate::layout::{Found, LOG, Layout};
use crate::ledger::Ledger;
use crate::rows::{Event, EventSeq};
use crate::state::State;
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// Events handed out by one call at most.
const BATCH: usize = 1000;

/// Follows the journal.
///
/// Poll its descriptor for reading, call [`EventWatch::next`] when it is ready, and once before the first poll for
/// what has happened already. Dropping it ends it. It has a connection of its own to the ledger.
pub struct EventWatch {
    ledger: Ledger,
    notifications: OwnedFd,
    root: PathBuf,
    after: EventSeq,
}

impl State {
    /// Follows the journal from behind `after` on.
    ///
    /// # Errors
    /// [`StateError::NoStore`] when there is no store yet: open for writing to make it; of inotify and of the ledger.
    pub fn watch_events(&self, after: EventSeq) -> Result<EventWatch, StateError> {
        let no_store = || StateError::NoStore { path: self.root().to_path_buf() };
        let Found::Store(layout) = Layout::find(self.root())? else { return Err(no_store()) };
        let ledger = Ledger::open_for_reading(&layout)?.ok_or_else(no_store)?;
        let root = layout.root().to_path_buf();
        let notifications = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|e| StateError::io("start to watch", &root, e))?;
        // The log itself may be made anew, though nothing in dhow does that.
        inotify::add_watch(&notifications, &root, WatchFlags::CREATE | WatchFlags::MOVED_TO)
            .map_err(|e| StateError::io("watch", &root, e))?;
        let watch = EventWatch { ledger, notifications, root, after };
        watch.watch_log()?;
        Ok(watch)
    }
}

impl EventWatch {
    /// The events since the last call, oldest first: none, when something else changed. More than a thousand come
    /// in several calls; the descriptor stays silent in between, so call again until nothing comes.
    ///
    /// # Errors
    /// Of reading the notifications and of the ledger.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end when nothing comes")]
    pub fn next(&mut self) -> Result<Vec<Event>, StateError> {
        self.drain()?;
        let events = self.ledger.read_alone(|r| r.events(self.after, BATCH))?;
        if let Some(last) = events.last() {
            self.after = last.seq;
        }
        Ok(events)
    }

    /// Takes all notifications there are.
    fn drain(&self) -> Result<(), StateError> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.notifications, &mut buffer);
        let mut made = false;
        loop {
            match reader.next() {
                Ok(event) => made |= event.file_name().is_some_and(|name| name.to_bytes() == LOG.as_bytes()),
                Err(Errno::WOULDBLOCK) => break,
                Err(Errno::INTR) => {}
                Err(e) => return Err(StateError::io("watch", &self.root, e)),
            }
        }
        match made {
            true => self.watch_log(),
            false => Ok(()),
        }
    }

    fn watch_log(&self) -> Result<(), StateError> {
        match inotify::add_watch(&self.notifications, self.root.join(LOG), WatchFlags::MODIFY) {
            // Not made yet: its making will tell.
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(StateError::io("watch", self.root.join(LOG), e)),
        }
    }
}

impl AsFd for EventWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifications.as_fd()
    }
}
