//! A machine for classic BPF, as `seccomp(2)` has it: it runs what the kernel would.

use crate::seccomp::calls::{Abi, Call, X32_BIT};
use crate::seccomp::{Filter, Instruction};

/// `struct seccomp_data`: what a filter sees of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) number: u32,
    pub(super) architecture: u32,
    pub(super) arguments: [u64; 6],
}

impl Data {
    /// A call of this name.
    pub(super) fn of(abi: Abi, name: &str, arguments: &[u64]) -> Data {
        let call = Call::by_name(name).unwrap_or_else(|| panic!("{name}"));
        let number = call.number(abi).unwrap_or_else(|| panic!("{abi:?} has no {name}"));
        Data::numbered(abi, u32::from(number), arguments)
    }

    /// `number` without the bit of x32.
    pub(super) fn numbered(abi: Abi, number: u32, arguments: &[u64]) -> Data {
        let mut data = Data { number, architecture: 0xc000_003e, arguments: [0; 6] };
        data.arguments[..arguments.len()].copy_from_slice(arguments);
        match abi {
            Abi::X86_64 => {}
            Abi::I386 => {
                data.architecture = 0x4000_0003;
                data.arguments = data.arguments.map(|argument| argument & 0xffff_ffff);
            }
            Abi::X32 => data.number += X32_BIT,
        }
        data
    }

    fn word(&self, offset: u32) -> u32 {
        let mut bytes = [0; 64];
        bytes[0..4].copy_from_slice(&self.number.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.architecture.to_le_bytes());
        for (at, argument) in self.arguments.iter().enumerate() {
            bytes[16 + 8 * at..][..8].copy_from_slice(&argument.to_le_bytes());
        }
        let at = usize::try_from(offset).unwrap();
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }
}

/// What the filter answers, and how many instructions that takes.
pub(super) fn run(program: &[Instruction], data: &Data) -> (u32, usize) {
    let (mut accumulator, mut at, mut steps) = (0u32, 0usize, 0);
    loop {
        let Instruction { code, jump_true, jump_false, operand } = program[at];
        steps += 1;
        at += 1;
        let mut branch = |test: bool| at += usize::from(if test { jump_true } else { jump_false });
        match code {
            0x20 => accumulator = data.word(operand),
            0x54 => accumulator &= operand,
            0x05 => at += usize::try_from(operand).unwrap(),
            0x15 => branch(accumulator == operand),
            0x25 => branch(accumulator > operand),
            0x35 => branch(accumulator >= operand),
            0x06 => return (operand, steps),
            other => panic!("instruction {other:#x} is not for filters"),
        }
    }
}

pub(super) fn decide(filter: &Filter, data: &Data) -> u32 {
    run(filter.instructions(), data).0
}
