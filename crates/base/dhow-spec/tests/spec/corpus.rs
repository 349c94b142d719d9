//! Replays the inputs that fuzzing found worth keeping, with the checks of the fuzz targets themselves.

#[path = "../../../../../fuzz/checks/documents.rs"]
mod documents;
#[path = "../../../../../fuzz/checks/reference.rs"]
mod reference;
#[path = "../../../../../fuzz/checks/replay.rs"]
mod replay;

#[test]
fn references() {
    replay::replay("reference", 20, reference::check);
}

#[test]
fn documents() {
    replay::replay("documents", 20, documents::check);
}
