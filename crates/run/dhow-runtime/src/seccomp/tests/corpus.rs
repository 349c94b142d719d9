//! Replays the inputs kept for fuzzing, with the check of the fuzz target itself.

use crate::seccomp;

#[path = "../../../../../../fuzz/checks/seccomp.rs"]
mod checks;
#[path = "../../../../../../fuzz/checks/replay.rs"]
mod replay;

pub(super) use checks::verify;

#[test]
fn profiles() {
    replay::replay("seccomp", 20, checks::check);
}
