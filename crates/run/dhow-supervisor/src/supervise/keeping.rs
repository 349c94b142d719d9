//! Being kept: a connection to the keeper, over which it has copies of all that must not be lost.
//!
//! Nothing waits for it. Without a keeper one is hired (see [`crate::keeper`]), again and again where that fails.

use super::input::Input;
use super::place::Place;
use super::resume::{self, Heir};
use super::watch::Watch;
use crate::keeper::{self, Order};
use crate::plan::KeeperPlan;
use crate::wire::Message;
use dhow_sys::passing;
use rustix::process::{Pid, WaitId, WaitIdOptions};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long to wait after a keeper could not be had,
const AGAIN: Duration = Duration::from_secs(1);
/// or after so many in a row were lost within that time: one that cannot keep more says so by hanging up.
const IN_A_ROW: u32 = 5;

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Keeping {
    plan: KeeperPlan,
    group: Option<PathBuf>,
    pub(super) connection: Option<OwnedFd>,
    /// The keeper, where we hired it and have not reaped it.
    pub(super) child: Option<u32>,
    /// When to try again; none: while there is a connection.
    again: Option<Instant>,
    /// When a keeper was last told, and how many were lost soon after that.
    told: Instant,
    lost: u32,
}

impl Keeping {
    pub(super) fn new(plan: KeeperPlan, group: Option<PathBuf>) -> Keeping {
        Keeping { plan, group, connection: None, child: None, again: None, told: Instant::now(), lost: 0 }
    }

    /// Goes on with what another had; without a connection there is to be one as soon as may be.
    pub(super) fn take_up(&mut self, connection: Option<OwnedFd>, child: Option<u32>) {
        self.again = connection.is_none().then(Instant::now);
        (self.connection, self.child) = (connection, child);
    }

    fn order(&mut self, message: Message<'_>, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.reap();
                keeper::reach(&self.plan, self.group.as_deref(), &mut self.child)?
            }
        };
        let sent = passing::send(connection.as_fd(), &message.to_bytes(), descriptors);
        // A keeper that is stopped has room for many of these, but not for ever. Its connection is not to be closed, which
        // would mean that we are dead.
        if sent.as_ref().is_ok() || sent.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock) {
            self.connection = Some(connection);
        }
        sent.map(drop)
    }

    /// A keeper that was our child and has ended.
    fn reap(&mut self) {
        if let Some(pid) = self.child.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            self.child = None;
        }
    }

    /// When to try again, if there is reason to.
    pub(super) fn due(&self) -> Option<Instant> {
        self.again
    }
}

impl Watch {
    /// Has the keeper keep what there is now.
    pub(super) fn keep(&mut self) {
        let Some(mut keeping) = self.keeping.take() else { return };
        // A terminal is held open by its other end.
        let pipe = self.input.as_mut().filter(|_| self.peer.is_none());
        let kept = pipe.map_or(Ok(()), Input::put_by).and_then(|()| self.tell_keeper(&mut keeping));
        keeping.told = Instant::now();
        keeping.again = kept.is_err().then(|| Instant::now() + AGAIN);
        self.keeping = Some(keeping);
    }

    fn tell_keeper(&self, keeping: &mut Keeping) -> io::Result<()> {
        let here = if self.away.is_none() { Some(Place::here()?) } else { None };
        let place = self.away.as_ref().or(here.as_ref());
        resume::state(self, Heir::Another, place).and_then(|(memory, descriptors)| {
            let mut all = vec![memory.as_fd()];
            all.extend(descriptors);
            let order = Order::new(&keeping.plan, all.len(), place.map_or(0, |place| place.descriptors().count()));
            let bytes = serde_json::to_vec(&order)?;
            keeping.order(Message::Keep(&bytes), &all).or_else(|e| match keeping.connection {
                Some(_) => Err(e),
                // One that has died meanwhile is replaced at once.
                None => keeping.order(Message::Keep(&bytes), &all),
            })
        })
    }

    /// To be called when the keeper's connection has something to say, which can only be that it is gone.
    pub(super) fn keeper_is_gone(&mut self) {
        let Some(keeping) = &mut self.keeping else { return };
        keeping.connection = None;
        keeping.lost = if keeping.told.elapsed() < AGAIN { keeping.lost + 1 } else { 0 };
        match keeping.lost > IN_A_ROW {
            true => keeping.again = Some(Instant::now() + AGAIN),
            false => self.keep(),
        }
    }

    /// Has the keeper drop what it has.
    pub(super) fn let_go_of_keeper(&mut self) {
        if let Some(keeping) = self.keeping.take()
            && let Some(connection) = keeping.connection
        {
            let _ = passing::send(connection.as_fd(), &Message::LetGo.to_bytes(), &[]);
        }
    }
}
