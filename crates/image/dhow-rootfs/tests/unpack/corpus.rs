//! Replays the archives that fuzzing found worth keeping, with the checks of the fuzz target itself.

#[path = "../../../../../fuzz/checks/tar.rs"]
mod tar;

use std::path::Path;

#[test]
fn archives_that_fuzzing_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/tar");
    let mut count = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| tar::check(&input));
        assert!(outcome.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 20, "{} holds only {count} inputs", folder.display());
}
