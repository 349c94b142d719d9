//! The inputs kept for fuzzing, with the check of the fuzz target; and every such input with a byte changed, cut or put in.

use crate::corpus::{near, replay};
use dhow_network::resolver::message;

#[path = "../../../../../../fuzz/checks/dns.rs"]
mod checks;

pub(crate) use checks::check;

/// Bytes of an input near which others are tried: header and first question.
const HEAD: usize = 120;

#[test]
fn messages_that_fuzzing_kept_and_what_is_near_them() {
    replay::replay("dns", 150, |input| {
        check(input);
        near::near(input, HEAD, &[0, 1, 12, 63, 0xc0, 0xff], check);
    });
}
