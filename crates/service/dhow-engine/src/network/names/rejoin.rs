//! Having a running container served anew: its networks have changed, or its resolver was killed when nobody followed it.

use super::resolver::Directory;
use super::{Asker, members, mend_others, named, ready};
use crate::container::request::HostConfig;
use crate::{Engine, EngineError};
use dhow_network::netns::Netns;
use std::os::fd::BorrowedFd;

/// Which containers are served anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// In any case.
    All,
    /// Those that nobody serves. Asking takes some 50 us.
    Unserved,
}

/// Has a running container served as its networks are now: with new sockets, since one of another network may be asked now.
/// `before` are the networks that it was on. One who does so at a time, so that the table inside leads to the sockets that
/// are served.
///
/// # Errors
/// As [`ready`] and [`super::Ready::join`].
pub(crate) fn rejoin(
    engine: &Engine,
    (id, host): (&str, &HostConfig),
    before: &[String],
    process: BorrowedFd<'_>,
    which: Which,
) -> Result<(), EngineError> {
    let run_dir = engine.state.run_dir();
    let directory = Directory::make(run_dir)?;
    let mut started = false;
    let home = directory.changing(|| {
        let members = engine.state.read(|r| members(r, id))?;
        let home = named(&members).into_iter().next();
        if let Some(home) = &home
            && let Some(asker) = Asker::new(id, host, &members)
        {
            if which == Which::Unserved && serves(&directory, home, id)? {
                return Ok(None);
            }
            if let Some(ready) = ready(run_dir, &asker, &Netns::of_process(process)?)? {
                (_, started) = ready.hand_over(engine, process)?;
            }
        }
        directory.publish_again(engine, before)?;
        before
            .iter()
            .filter(|network| Some(*network) != home.as_ref())
            .for_each(|network| directory.let_go(network, id));
        Ok(home)
    })?;
    // Not under the lock, which they take too.
    if let Some(home) = home.filter(|_| started) {
        mend_others(engine, &home);
    }
    Ok(())
}

/// Whether a network's resolver serves this container.
fn serves(directory: &Directory, network: &str, id: &str) -> Result<bool, EngineError> {
    let Some(control) = directory.connect(network)? else { return Ok(false) };
    // One that is on its way to its end serves nobody.
    Ok(control.status().is_ok_and(|status| status.clients.iter().any(|client| client == id)))
}
