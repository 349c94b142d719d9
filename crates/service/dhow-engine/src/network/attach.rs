//! A container's network namespace, made and plumbed beside the rest of its start.
//!
//! ```text
//!     Wiring::begin   a thread makes the namespace, while the start is still being written down
//!     go(lease)       it connects what was leased, while root, spec and supervisor come about
//!     netns           the descriptor that the container's first process joins by
//!     finish          done, or why not: before the gate opens
//! ```
//!
//! Dropped without `go`, the thread ends and the namespace with it.

use super::lease::Lease;
use super::names::{self, Asker};
use super::plumb;
use crate::{Engine, EngineError};
use dhow_network::netns::Netns;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// See the top of this file.
#[derive(Debug)]
pub(crate) struct Wiring<'s> {
    tell: Sender<(Lease, Option<Asker>)>,
    netns: Receiver<OwnedFd>,
    thread: ScopedJoinHandle<'s, Result<Option<names::Ready>, EngineError>>,
}

impl<'s> Wiring<'s> {
    /// Begins with a namespace.
    pub(crate) fn begin<'e: 's>(scope: &'s Scope<'s, 'e>, engine: &'e Engine) -> Result<Wiring<'s>, EngineError> {
        let (tell, leases) = channel::<(Lease, Option<Asker>)>();
        let (made, netns) = channel();
        let work = move || {
            let netns = Netns::new()?;
            let fd = netns.as_fd().try_clone_to_owned();
            let fd = fd.map_err(|e| EngineError::io("hold", "a network namespace", e))?;
            // Nobody listens, nobody tells: the start was given up.
            let _ = made.send(fd);
            match leases.recv() {
                Ok((lease, asker)) => {
                    plumb::connect(engine, &lease, &netns)?;
                    let ready = asker.map(|asker| names::ready(engine.state.run_dir(), &asker, &netns));
                    Ok(ready.transpose()?.flatten())
                }
                Err(_) => Ok(None),
            }
        };
        let thread = Builder::new().name("network".to_owned()).spawn_scoped(scope, work);
        let thread = thread.map_err(|e| EngineError::io("start", "a thread for the network", e))?;
        Ok(Wiring { tell, netns, thread })
    }

    /// Hands over what is to be connected, and who is to ask for names.
    pub(crate) fn go(&self, lease: Lease, asker: Option<Asker>) {
        // A thread that has ended says why when it is asked for its namespace.
        let _ = self.tell.send((lease, asker));
    }

    /// The namespace.
    ///
    /// # Errors
    /// When it could not be made: [`Wiring::finish`] says why.
    pub(crate) fn netns(&self) -> Result<OwnedFd, EngineError> {
        self.netns.recv().map_err(|_| EngineError::io("make", "a network namespace", std::io::ErrorKind::Other.into()))
    }

    /// Waits until all is connected; what is needed for names, where it sees any.
    ///
    /// # Errors
    /// Why something could not be.
    pub(crate) fn finish(self) -> Result<Option<names::Ready>, EngineError> {
        let Wiring { tell, thread, .. } = self;
        drop(tell);
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
