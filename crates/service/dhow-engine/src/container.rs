//! What dhow does with containers, one verb per file.
//!
//! Every verb takes a container by id, unique prefix of an id, or name. What has to be undone when something fails or
//! dies halfway is written down first: see `dhow-state`. A row tells what was true when it was written; `settle` says
//! whether it still is. Moves from one status to another are those of `dhow_runtime::status`, and every one is a compare
//! and swap on the row's generation: who finds it changed looks again.
//!
//! # Locks
//!
//! `start`, `stop`, `restart`, `pause` and `unpause` hold the container's object lock while they work; so they come one
//! after the other. `kill`, `rm` and the recording of an end do not wait for it: they must get through while a `stop`
//! waits, and the generation keeps them apart. The order of locks stands in `dhow-state`.
//!
//! # Transactions of a `run --rm`
//!
//! Six, none of them flushed: two that make it, two that start it, and two that record its end and remove it.

mod adopt;
mod again;
mod answers;
mod attach;
mod create;
mod events;
mod exec;
mod exited;
mod files;
mod inspect;
mod join;
mod keeper;
mod kill;
mod list;
mod logs;
mod names;
mod networks;
mod pause;
mod process;
mod remove;
mod rename;
pub mod request;
mod resolve;
mod restart;
mod root;
mod sealed;
mod settle;
mod signal;
pub mod spec;
mod start;
mod stop;
mod stored;
mod top;
mod unpause;
pub mod view;
mod wait;

pub use again::again;
pub(crate) use again::send_to_release;
pub(crate) use answers::{change as networks_changed, mend_all as mend_names};
pub use attach::{attach, reattach};
pub(crate) use create::id;
pub use create::{Created, create};
pub use exec::{Detached, ExecRequest, exec, exec_detached, exec_ended, hold};
pub use exited::exited;
pub use inspect::inspect;
pub use kill::kill;
pub use list::list;
pub use logs::logs;
pub(crate) use networks::Subject;
pub use pause::pause;
pub use remove::remove;
pub use rename::rename;
pub use restart::restart;
pub(crate) use sealed::read_only;
pub use sealed::{is_sealed, seal, send_on, words};
pub use settle::settle_unseen;
pub use signal::signal_number;
pub use start::{NETWORKS, Supervisor, start, start_again, start_with};
pub use stop::{finish_stop, stop};
pub use top::{Table, top};
pub use unpause::unpause;
pub use wait::{Until, wait};

use crate::{Engine, EngineError};
use dhow_state::ContainerRow;
use std::path::{Path, PathBuf};

/// This very program, whatever became of its file: supervisors and stand-ins are started from it.
pub(crate) const PROGRAM: &str = "/proc/self/exe";

/// The control group of all supervisors, their keeper and the resolvers of a store: nobody can remove the group that he is
/// in, so they share one.
pub(crate) fn supervisors_group(store: &str) -> PathBuf {
    format!("dhow/{store}/supervisors").into()
}

/// Where the spec of the last start is kept.
fn config_path(dir: &Path) -> PathBuf {
    dir.join("config.json")
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], EngineError> {
    let mut bytes = [0; N];
    // Up to 256 bytes come whole or not at all (getrandom(2)).
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| EngineError::io("read", "random bytes", e.into()))?;
    Ok(bytes)
}

/// Whether there are processes of a container; nothing is written.
pub(crate) fn is_live(engine: &Engine, row: &ContainerRow) -> Result<bool, EngineError> {
    Ok(stored::status(&settle::judge(engine, row.clone())?).is_live())
}

/// Puts right what rows say of processes, and removes the control groups that nobody needs any more. Best effort: what
/// cannot be settled now is by who next needs it.
pub(crate) fn settle_all(engine: &Engine) -> Result<(), EngineError> {
    for row in engine.state.read(|r| r.containers())? {
        let _ = settle::settle(engine, row);
    }
    let store = format!("dhow/{}", engine.state.store_id());
    for id in root::host::groups_below(&store)? {
        // Of no container, or of one that does not run: whatever is in it was left by somebody who was killed.
        let row = engine.state.read(|r| r.container(&id))?;
        if !row.is_some_and(|row| stored::status(&row).is_live()) {
            settle::sweep(&format!("{store}/{id}"));
        }
    }
    let _ = settle::prune_unused(engine);
    Ok(())
}

/// Magic number of cgroup v2 (statfs(2)).
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// Whether all controllers are on version 2.
fn unified() -> bool {
    rustix::fs::statfs("/sys/fs/cgroup").is_ok_and(|stat| stat.f_type as u64 == CGROUP2_MAGIC)
}
