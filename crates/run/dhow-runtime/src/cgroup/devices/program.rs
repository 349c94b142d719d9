//! Version 2: the eBPF program that the kernel asks about each device (its `struct bpf_cgroup_dev_ctx`).
//!
//! The rules are gone through from the last to the first, with the kinds of access that are still open: a rule that
//! denies one of them ends it, one that allows takes those it names off the list. So each kind is decided by the last
//! rule that names it, as the spec has it, also where an open for reading and writing meets two rules.

use super::{Policy, Rule, Type};
use dhow_sys::bpf::Instruction;

// Registers: what the program is given, what it returns, and what it keeps.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const OPEN: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

// Operations, of 32 bits where there is a choice.
pub(super) const LOAD_WORD: u8 = 0x61;
pub(super) const MOVE_CONSTANT: u8 = 0xb4;
pub(super) const MOVE: u8 = 0xbc;
pub(super) const AND: u8 = 0x54;
pub(super) const SHIFT_RIGHT: u8 = 0x74;
pub(super) const JUMP_IF_EQUAL: u8 = 0x15;
pub(super) const JUMP_UNLESS_EQUAL: u8 = 0x55;
pub(super) const EXIT: u8 = 0x95;

/// The kernel's `BPF_DEVCG_DEV_BLOCK` and `_CHAR`.
fn number_of(of: Type) -> i32 {
    match of {
        Type::Block => 1,
        Type::Character => 2,
    }
}

/// Assembles the program for a policy.
pub(in crate::cgroup) fn program(policy: &Policy) -> Vec<Instruction> {
    let i = Instruction::new;
    // The first word holds the type below and the access above.
    let mut program = vec![
        i(LOAD_WORD, TYPE, CONTEXT, 0, 0),
        i(MOVE, OPEN, TYPE, 0, 0),
        i(AND, TYPE, 0, 0, 0xffff),
        i(SHIFT_RIGHT, OPEN, 0, 0, 16),
        i(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        i(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in policy.rules.iter().rev() {
        push(rule, &mut program);
    }
    program.extend([i(MOVE_CONSTANT, RESULT, 0, 0, i32::from(policy.otherwise)), i(EXIT, 0, 0, 0, 0)]);
    program
}

fn push(rule: &Rule, program: &mut Vec<Instruction>) {
    let i = Instruction::new;
    let access = i32::from(rule.access.0);
    let mut decide = if rule.allow {
        vec![i(AND, OPEN, 0, 0, !access), i(JUMP_UNLESS_EQUAL, OPEN, 0, 2, 0)]
    } else {
        vec![i(MOVE, SCRATCH, OPEN, 0, 0), i(AND, SCRATCH, 0, 0, access), i(JUMP_IF_EQUAL, SCRATCH, 0, 2, 0)]
    };
    decide.extend([i(MOVE_CONSTANT, RESULT, 0, 0, i32::from(rule.allow)), i(EXIT, 0, 0, 0, 0)]);
    // The tests before it, each of which jumps behind it.
    let numbers = [(MAJOR, rule.devices.major), (MINOR, rule.devices.minor)];
    let mut tests = vec![(TYPE, number_of(rule.devices.of))];
    // Numbers have at most 31 bits, see `Policy::new`.
    let positive = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    tests.extend(numbers.iter().filter_map(|(register, number)| number.map(|n| (*register, positive(n)))));
    for (index, (register, number)) in tests.iter().enumerate() {
        let behind = tests.len() - 1 - index + decide.len();
        let behind = i16::try_from(behind).expect("a rule is a handful of instructions");
        program.push(i(JUMP_UNLESS_EQUAL, *register, 0, behind, *number));
    }
    program.extend(decide);
}
