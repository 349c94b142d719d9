//! The inputs kept for fuzzing, with the check of the fuzz target; and those written by hand with a byte changed, cut or put in.

use dhow_network::resolver::message;
use std::path::Path;

#[path = "../../../../../../fuzz/checks/dns.rs"]
mod checks;

pub(crate) use checks::check;

#[test]
fn messages_that_fuzzing_kept_and_what_is_near_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/dns");
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| check(&input));
        assert!(outcome.is_ok(), "{}", path.display());
        inputs += 1;
        // Those that were found are near others anyway.
        if path.file_name().unwrap().len() == 40 {
            continue;
        }
        for at in 0..input.len().min(120) {
            check(&input[..at]);
            for byte in [0, 1, 12, 63, 0xc0, 0xff] {
                let mut near = input.clone();
                near[at] = byte;
                check(&near);
                near[at] = input[at];
                near.insert(at, byte);
                check(&near);
            }
        }
    }
    assert!(inputs >= 150, "{inputs}");
}
