//! What must hold for any bytes that are read as a seccomp profile. The first byte chooses the container's capabilities,
//! the rest is the profile.

use super::seccomp::{Filter, Instruction, parse_profile};
use oci_spec::runtime::Capability;
use std::collections::HashSet;

/// Panics when what is compiled is nothing that the kernel would take.
pub(crate) fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let all = [Capability::SysAdmin, Capability::SysPtrace, Capability::Bpf, Capability::Syslog];
    let bit = |at: &usize| choice & (1 << at) != 0;
    let capabilities: HashSet<Capability> = (0..all.len()).filter(bit).map(|at| all[at]).collect();
    let Ok(profile) = parse_profile(text, &capabilities) else { return };
    let Ok(filter) = Filter::compile(&profile) else { return };
    verify(filter.instructions());
    assert_eq!(Filter::compile(&profile).expect("it was compiled before"), filter);
}

/// The kernel's own conditions: `bpf_check_classic` and `seccomp_check_filter`.
pub(crate) fn verify(program: &[Instruction]) {
    assert!(!program.is_empty() && program.len() <= 4096, "{} instructions", program.len());
    for (at, instruction) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        match instruction.code {
            0x20 => assert!(instruction.operand % 4 == 0 && instruction.operand < 64, "{at}: loads from outside"),
            0x54 | 0x06 => {}
            0x05 => assert!((instruction.operand as usize) < left, "{at}: jumps out"),
            0x15 | 0x25 | 0x35 => {
                assert!(usize::from(instruction.jump_true.max(instruction.jump_false)) < left, "{at}: jumps out");
            }
            other => panic!("{at}: instruction {other:#x}"),
        }
    }
    assert_eq!(program.last().map(|last| last.code), Some(0x06), "does not end with an answer");
}
