//! What fuzzing has found, and what it begins with; and every such input with a byte changed, cut or put in.

#[path = "../../../../../fuzz/checks/network.rs"]
mod checks;
#[path = "../../../../../fuzz/checks/near.rs"]
pub(crate) mod near;
#[path = "../../../../../fuzz/checks/replay.rs"]
pub(crate) mod replay;

#[test]
fn parsers_agree_on_the_corpus_and_what_is_near_it() {
    replay::replay("network", 14, |input| {
        checks::check(input);
        near::near(input, usize::MAX, b"\0\n09/:-.[]fz\x04\x10\x7f\x80\xff", checks::check);
    });
}
