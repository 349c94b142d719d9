//! What fuzzing has found, and what it begins with; and every such input with a byte changed, cut or put in.

#[path = "../../../../../fuzz/checks/log.rs"]
mod checks;
#[path = "../../../../../fuzz/checks/near.rs"]
mod near;
#[path = "../../../../../fuzz/checks/replay.rs"]
mod replay;

#[test]
fn parsers_agree_on_the_corpus_and_what_is_near_it() {
    replay::replay("log", 15, |input| {
        checks::check(input);
        near::near(input, usize::MAX, b"\0\n \"\\/ud80Zz:,{}\x7f\xc3\xff", checks::check);
    });
}
