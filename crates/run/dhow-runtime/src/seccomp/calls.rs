//! Finding a system call by name, in each of the three interfaces of an x86-64 kernel.
//!
//! Knows numbers and how arguments arrive; must not know rules or programs.

use super::table::{CALLS, IPC, NONE, Row, SOCKETCALL};

/// One of the interfaces through which a process on x86-64 calls the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abi {
    /// The native one.
    X86_64,
    /// 32-bit programs, and `int 0x80` from 64-bit ones.
    I386,
    /// 32-bit pointers in 64-bit registers: calls have bit 30 of their number set. Few kernels have it.
    X32,
}

impl Abi {
    pub(super) const ALL: [Abi; 3] = [Abi::X86_64, Abi::I386, Abi::X32];
}

/// Bit 30, which tells an x32 call from one of x86-64: `__X32_SYSCALL_BIT`.
pub(super) const X32_BIT: u32 = 1 << 30;

/// A call of the table, by its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call(u16);

/// The part of an i386 multiplexer that does the same as a call of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Multiplexed {
    /// Number of socketcall(2) or ipc(2).
    pub(super) number: u16,
    /// What its first argument says, where `mask` has bits. The upper half of ipc's is a version, which says nothing here.
    pub(super) call: u64,
    pub(super) mask: u64,
}

impl Call {
    /// `None` for what is no call of these interfaces: of another architecture, newer than the table, or misspelt.
    pub(super) const fn by_name(name: &str) -> Option<Call> {
        let (mut low, mut high) = (0, CALLS.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match compare(CALLS[middle].name().as_bytes(), name.as_bytes()) {
                0 => return Some(Call(middle as u16)),
                1 => high = middle,
                _ => low = middle + 1,
            }
        }
        None
    }

    fn row(self) -> &'static Row {
        &CALLS[usize::from(self.0)]
    }

    pub(super) fn name(self) -> &'static str {
        self.row().name()
    }

    /// Its number there; of x32 without bit 30.
    pub(super) fn number(self, abi: Abi) -> Option<u16> {
        let row = self.row();
        let number = match abi {
            Abi::X86_64 => row.x86_64,
            Abi::I386 => row.i386,
            Abi::X32 => row.x32,
        };
        (number != NONE).then_some(number)
    }

    /// The other way to it that i386 has.
    pub(super) fn multiplexed(self) -> Option<Multiplexed> {
        match self.row().multiplexed {
            NONE => None,
            code if code > IPC => Some(Multiplexed { number: 117, call: u64::from(code - IPC), mask: 0xffff }),
            code => Some(Multiplexed { number: 102, call: u64::from(code - SOCKETCALL), mask: u64::MAX }),
        }
    }

    /// Which arguments the kernel takes in 32 bits, one bit for each: it never sees the upper half of the register.
    ///
    /// To i386 that applies to all. So it does to x32, as in libseccomp. Of x86-64 only those calls are listed whose
    /// arguments profiles do look at: were all 64 bits compared there, `socket(1 << 32 | AF_VSOCK)` would be «greater than
    /// 40», while the kernel makes an AF_VSOCK socket of it.
    pub(super) fn narrow_arguments(self, abi: Abi) -> u8 {
        if abi != Abi::X86_64 {
            return 0b11_1111;
        }
        match self.name() {
            "socket" | "socketpair" => 0b111,
            "fcntl" | "ioctl" => 0b11,
            // clone(2) itself takes the lower half of its flags.
            "clone" | "personality" | "prctl" => 0b1,
            _ => 0,
        }
    }
}

/// 0: the same; 1: `left` comes after `right`; 2: before. What `Ord` does, for constants.
const fn compare(left: &[u8], right: &[u8]) -> u8 {
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return if left[at] > right[at] { 1 } else { 2 };
        }
        at += 1;
    }
    if left.len() == right.len() {
        0
    } else if left.len() > right.len() {
        1
    } else {
        2
    }
}
