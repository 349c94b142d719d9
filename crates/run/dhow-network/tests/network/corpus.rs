//! What fuzzing has found, and what it begins with; and every such input with a byte changed, cut or put in.

#[path = "../../../../../fuzz/checks/network.rs"]
mod checks;

use std::path::Path;

#[test]
fn parsers_agree_on_the_corpus_and_what_is_near_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/network");
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let input = std::fs::read(entry.unwrap().path()).unwrap();
        checks::check(&input);
        for at in 0..input.len() {
            checks::check(&input[..at]);
            for byte in *b"\0\n09/:-.[]fz\x04\x10\x7f\x80\xff" {
                let mut near = input.clone();
                near[at] = byte;
                checks::check(&near);
                near[at] = input[at];
                near.insert(at, byte);
                checks::check(&near);
            }
        }
        inputs += 1;
    }
    assert!(inputs >= 14, "{inputs}");
}
