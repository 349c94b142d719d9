//! Jumps at the end of their reach.

use super::machine::{Data, run};
use crate::seccomp::assemble::{Assembler, Compare, Label};
use crate::seccomp::calls::Abi;

/// Instructions that nobody comes to.
fn filler(out: &mut Assembler, count: usize) {
    let mut last = out.answer(9);
    for _ in 0..count {
        last = out.load(0, last);
    }
}

/// A place that is no answer, which would be copied instead of jumped to.
fn place(out: &mut Assembler, value: u32) -> Label {
    let answer = out.answer(value);
    out.load(0, answer)
}

#[test]
fn every_distance_is_jumped() {
    for make in [place, Assembler::answer] {
        for between in 0..6 {
            for after in 240..262 {
                for yes_is_farther in [false, true] {
                    let mut out = Assembler::default();
                    let far = make(&mut out, 1);
                    filler(&mut out, between);
                    let near = make(&mut out, 2);
                    filler(&mut out, after);
                    let (yes, no) = if yes_is_farther { (far, near) } else { (near, far) };
                    let branch = out.branch(Compare::Equal, 7, yes, no);
                    out.load(0, branch);
                    let program = out.finish();
                    super::corpus::verify(&program);
                    let answer = |number| run(&program, &Data::numbered(Abi::X86_64, number, &[])).0;
                    let expected = if yes_is_farther { (1, 2) } else { (2, 1) };
                    assert_eq!((answer(7), answer(8)), expected, "{between} {after} {yes_is_farther}");
                }
            }
        }
    }
}
