//! Replays the archives that fuzzing found worth keeping, with the checks of the fuzz target itself.

#[path = "../../../../../fuzz/checks/replay.rs"]
mod replay;
#[path = "../../../../../fuzz/checks/tar.rs"]
mod tar;

#[test]
fn archives_that_fuzzing_kept() {
    replay::replay("tar", 20, tar::check);
}
