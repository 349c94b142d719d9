//! What the keeper of a store's containers is told with each of them.

use super::request::{HostConfig, Namespace};
use super::start::SUPERVISE;
use crate::Engine;
use crate::network::names::RESOLVE;
use dhow_supervisor::plan::{Byte, KeeperPlan, NetworksPlan};
use std::ffi::{OsStr, OsString};

/// The words that make this program a keeper.
const KEEP: [&str; 2] = ["internal", "keep"];

/// The keeper of all containers of the store. Of networks it hears with the first container that is on any.
pub(super) fn plan(engine: &Engine, host: &HostConfig) -> KeeperPlan {
    // What a process list shows in front.
    let words = |words: [&str; 2]| ["dhow"].into_iter().chain(words).map(OsString::from).collect();
    let (path, offset) = engine.state.index_byte();
    KeeperPlan {
        dir: engine.state.run_dir().to_owned(),
        supervise: words(SUPERVISE),
        keep: words(KEEP),
        networks: (host.network == Namespace::Networks).then(|| NetworksPlan {
            resolve: words(RESOLVE),
            table: dhow_network::firewall::table_name(engine.state.store_id()),
            reload: reload(engine),
        }),
        share: Some(Byte { path, offset }),
    }
}

/// How the keeper has our firewall table made anew.
fn reload(engine: &Engine) -> Vec<OsString> {
    let words: [&OsStr; 7] = [
        OsStr::new("dhow"),
        OsStr::new("--root"),
        engine.state.root().as_os_str(),
        OsStr::new("--runroot"),
        engine.state.run_root().as_os_str(),
        OsStr::new("internal"),
        OsStr::new("reload"),
    ];
    words.map(OsStr::to_owned).to_vec()
}
