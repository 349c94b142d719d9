//! Replays the inputs kept for fuzzing, with the check of the fuzz target itself.

use crate::seccomp;
use std::path::Path;

#[path = "../../../../../../fuzz/checks/seccomp.rs"]
mod checks;

pub(super) use checks::verify;

#[test]
fn profiles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/seccomp");
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let path = file.expect("the corpus can be listed").path();
        let input = std::fs::read(&path).expect("the corpus can be read");
        let outcome = std::panic::catch_unwind(|| checks::check(&input));
        assert!(outcome.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 20, "{} holds only {count} inputs", folder.display());
}
