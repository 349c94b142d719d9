//! The keeper: one process per run root that holds what supervisors must not lose.
//!
//! It is dumb: no ledger, no policy, nothing in the way of data. Over a connection for each it holds copies of a
//! supervisor's descriptors, and knows nothing of them. A connection that is closed without a word means that the supervisor
//! died: another is started with the same descriptors. See `supervise/resume.rs` for what they are.
//!
//! ```text
//!     <run root>/<store id>/
//!         keeper.lock    flock, held by the keeper for life
//!         keeper.sock    0600; supervisors, and who upgrades it
//!
//!     supervisor   K (and descriptors) --->  keeper     again when they have changed; no answer is waited for
//!                  L ------------------->               the container has ended
//!                  closed -------------->               killed: a successor is started, with `t` as its first message
//! ```
//!
//! A message that was sent survives its sender, so nobody waits for the keeper. Whoever finds none hires one: he takes the
//! lock, listens in its place, and hands both to the new process (`hire.rs`). A keeper that has held nothing for a while
//! ends. The other half, in a supervisor, is `supervise/keeping.rs`.
//!
//! It looks after networks, too (`networks.rs`): it follows their resolvers, which it finds by itself, and watches our
//! firewall table.

mod deaths;
mod hire;
mod networks;
mod serve;
mod succession;

pub(crate) use hire::reach;
pub use hire::upgrade;

use crate::plan::{Byte, KeeperPlan, NetworksPlan};
use crate::supervise::{OOM_SCORE, Talk, enter_group, settle_in, take_standard_input, without_environment};
use crate::wire::{self, Message};
use dhow_runtime::cgroup::Hierarchies;
use rustix::fs::Mode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serve::Keeper;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const LOCK: &str = "keeper.lock";
const SOCKET: &str = "keeper.sock";
/// The version of [`Order`] and [`Post`].
const VERSION: u32 = 1;

/// What is to be done with descriptors: the payload of [`Message::Keep`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    version: u32,
    /// The arguments of a successor, its name first.
    supervise: Vec<OsString>,
    /// How many came along.
    descriptors: usize,
    /// How many of them, the last, others are likely to have, too.
    #[serde(default)]
    shared: usize,
    /// From keeper to keeper: whether the first of them is the connection to the supervisor.
    #[serde(default)]
    connected: bool,
    /// Likewise: whether the last of them is a program that he asks the keeper to go on as.
    #[serde(default)]
    asks: bool,
    /// What is to be looked after besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    networks: Option<NetworksPlan>,
}

impl Order {
    /// From keeper to keeper: somebody for whom nothing is kept.
    fn nothing(descriptors: usize, asks: bool) -> Order {
        Order { version: VERSION, supervise: Vec::new(), descriptors, shared: 0, connected: true, asks, networks: None }
    }

    pub(crate) fn new(plan: &KeeperPlan, descriptors: usize, shared: usize) -> Order {
        Order {
            version: VERSION,
            supervise: plan.supervise.clone(),
            descriptors,
            shared,
            connected: false,
            asks: false,
            networks: plan.networks.clone(),
        }
    }
}

/// Reads an order or a post, of a version that is understood.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    // The version first: the rest of a later one may not even parse.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    match serde_json::from_slice::<Version>(bytes)?.version {
        1..=VERSION => Ok(serde_json::from_slice(bytes)?),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "an order of a later version")),
    }
}

/// What a new keeper is told: the payload of its first [`Message::Keep`], which the lock and the listening socket come with.
#[derive(Debug, Serialize, Deserialize)]
struct Post {
    version: u32,
    /// Where keeper.sock is.
    dir: PathBuf,
    /// The control group of supervisors.
    group: Option<PathBuf>,
    /// [`KeeperPlan::share`].
    #[serde(default)]
    share: Option<Byte>,
}

/// The body of `dhow internal keep`, with a socket as its standard input. Returns the exit status of the process.
pub fn keep() -> u8 {
    u8::from(begin().and_then(|mut keeper| keeper.run()).is_err())
}

/// This program with these words, its name first: in no directory, without an environment, and with nobody to talk to.
fn this_program(words: &[OsString]) -> Command {
    // What we run from is on a read-only mount already.
    let mut command = Command::new("/proc/self/exe");
    if let Some((name, arguments)) = words.split_first() {
        command.arg0(name).args(arguments);
    }
    without_environment(&mut command).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Nothing of whoever came first is to become of those who come later, as far as it can be left behind; his namespaces
/// are left by each successor.
fn leave_the_caller() -> io::Result<()> {
    dhow_sys::exec::default_signals()?;
    // As it is in every program of Rust, but with a handler that nothing inherits.
    signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::new(AtomicBool::new(false)))?;
    dhow_sys::inherited::leave_behind();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

fn begin() -> io::Result<Keeper> {
    leave_the_caller()?;
    settle_in(c"dhow-keeper")?;
    let _ = rustix::process::setsid();
    rustix::process::chdir("/")?;
    let _ = std::fs::write(OOM_SCORE, "-999");
    let mut talk = Talk::over(take_standard_input()?);
    talk.wait()?;
    match talk.inbox.next()? {
        Some(Message::Keep(bytes)) => {
            let post: Post = read(bytes)?;
            if let (Some(path), Ok(on)) = (&post.group, Hierarchies::detect())
                && let Ok(Some(group)) = enter_group(&on, path)
            {
                let _ = group.join();
            }
            let mut descriptors = talk.descriptors.into_iter();
            let mut next = || descriptors.next().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
            Keeper::new(post, next()?, next()?)
        }
        Some(Message::Resume { version }) => {
            wire::known(version)?;
            succession::take_up(talk)
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_of_a_later_version_is_refused_whatever_is_in_it() {
        let plan = KeeperPlan {
            dir: "/run/x".into(),
            supervise: vec!["dhow".into()],
            keep: Vec::new(),
            networks: None,
            share: None,
        };
        let order = Order::new(&plan, 7, 2);
        let back: Order = read(&serde_json::to_vec(&order).unwrap()).unwrap();
        assert_eq!((back.descriptors, back.shared, back.supervise), (7, 2, plan.supervise));
        for later in [&br#"{"version":2,"new":[]}"#[..], br#"{"version":0}"#] {
            assert_eq!(read::<Order>(later).unwrap_err().to_string(), "an order of a later version");
        }
        assert_eq!(read::<Post>(b"{}").unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
