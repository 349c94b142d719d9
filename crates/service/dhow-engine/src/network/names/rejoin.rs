//! Having a running container served anew: its networks have changed, or its resolver was killed when nobody followed it.

use super::resolver::Directory;
use super::{Asker, Ready, lead, members, mend_others, named};
use crate::container::request::HostConfig;
use crate::{Engine, EngineError};
use dhow_network::firewall::{Firewall, inside};
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

/// Has a running container served as its networks are now. `before` are the networks that it was on. One who does so at a
/// time, so that the table inside leads to the sockets that are served.
///
/// # Errors
/// As [`super::ready`] and [`Ready::join`].
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
            let netns = Netns::of_process(process)?;
            let served = serves(&directory, home, id, &netns)?;
            if which == Which::Unserved && served {
                return Ok(None);
            }
            started = serve(engine, &asker, &netns, process, served)?;
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

/// Has it served; whether a resolver was started for it. Killed at any instant of this, port 53 inside leads to a port where
/// somebody answers: one that is served goes on listening there, else the table follows when the new port is served.
fn serve(
    engine: &Engine,
    asker: &Asker,
    netns: &Netns,
    process: BorrowedFd<'_>,
    served: bool,
) -> Result<bool, EngineError> {
    let begin = || Ready::begin(engine.state.run_dir(), asker);
    if served && let Some(mut ready) = begin()? {
        ready.keep_listening(netns)?;
        match ready.hand_over(engine, process) {
            // Gone meanwhile, and the one that is there now has not heard of it.
            Err(EngineError::Resolver(_)) => {}
            other => return other.map(|(_, started)| started),
        }
    }
    let Some(mut ready) = begin()? else { return Ok(false) };
    let port = ready.listen(netns)?;
    let (_, started) = ready.hand_over(engine, process)?;
    lead(netns, port)?;
    Ok(started)
}

/// Whether a network's resolver serves this container, and port 53 inside leads there.
fn serves(directory: &Directory, network: &str, id: &str, netns: &Netns) -> Result<bool, EngineError> {
    let Some(control) = directory.connect(network)? else { return Ok(false) };
    // One that is on its way to its end serves nobody.
    let Ok(status) = control.status() else { return Ok(false) };
    let port = status.clients.iter().zip(status.ports).find(|(client, _)| *client == id).map(|(_, port)| port);
    match port {
        Some(port) => Ok(Firewall::on(netns.netfilter()?, inside::TABLE).compare(&inside::rules(port))?.is_empty()),
        None => Ok(false),
    }
}
