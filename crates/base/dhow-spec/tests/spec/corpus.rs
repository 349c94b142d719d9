//! Replays the inputs that fuzzing found worth keeping, with the checks of the fuzz targets themselves.

#[path = "../../../../../fuzz/checks/documents.rs"]
mod documents;
#[path = "../../../../../fuzz/checks/reference.rs"]
mod reference;

use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus").join(target);
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let path = file.expect("the corpus can be listed").path();
        let input = std::fs::read(&path).expect("the corpus can be read");
        let outcome = std::panic::catch_unwind(|| check(&input));
        assert!(outcome.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 20, "{} holds only {count} inputs", folder.display());
}

#[test]
fn references() {
    replay("reference", reference::check);
}

#[test]
fn documents() {
    replay("documents", documents::check);
}
