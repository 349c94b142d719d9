//! Replays the inputs kept for fuzzing of one target: included by the tests of the crate that it is about.

use std::panic::RefUnwindSafe;
use std::path::Path;

/// Calls `check` with each of them, and says with which it failed. There are at least `least`.
pub(crate) fn replay(target: &str, least: usize, check: impl Fn(&[u8]) + RefUnwindSafe) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus").join(target);
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let path = file.expect("the corpus can be listed").path();
        let input = std::fs::read(&path).expect("the corpus can be read");
        let outcome = std::panic::catch_unwind(|| check(&input));
        assert!(outcome.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count >= least, "{} holds only {count} inputs", folder.display());
}
