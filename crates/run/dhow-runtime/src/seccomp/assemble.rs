//! An assembler for classic BPF that writes from the end to the beginning.
//!
//! Jumps of BPF go forward only, and a test can skip 255 instructions at most. Written backwards, every place that is
//! jumped to exists already: its distance is known, and what is too far gets a stepping stone at once.
//! Knows the instructions that the kernel allows in a seccomp filter; must not know what the program decides.

use dhow_sys::seccomp::Instruction;

const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;

/// How the loaded word is compared with a constant, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    fn code(self) -> u16 {
        match self {
            Compare::Equal => 0x15,
            Compare::Greater => 0x25,
            Compare::GreaterOrEqual => 0x35,
        }
    }
}

/// A place in the program: how many instructions were there before it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

#[derive(Debug, Default)]
pub(super) struct Assembler {
    reversed: Vec<Instruction>,
    /// Where each value was returned last.
    returns: Vec<(u32, Label)>,
}

impl Assembler {
    pub(super) fn with_capacity(instructions: usize) -> Assembler {
        Assembler { reversed: Vec::with_capacity(instructions), returns: Vec::with_capacity(8) }
    }

    /// The program, whose first instruction is the one that was written last.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// Ends with this value. One such place serves all that can reach it.
    pub(super) fn answer(&mut self, value: u32) -> Label {
        let known = self.returns.iter().find(|(of, _)| *of == value).map(|(_, label)| *label);
        match known {
            Some(label) if self.distance(label) < FAR => label,
            _ => self.write_answer(value),
        }
    }

    /// Loads the word at `offset` of the call's description, and goes on there.
    pub(super) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.then(LOAD_WORD, offset, next)
    }

    /// Keeps only these bits of the loaded word, and goes on there.
    pub(super) fn and(&mut self, mask: u32, next: Label) -> Label {
        self.then(AND, mask, next)
    }

    /// Compares the loaded word with `operand`.
    pub(super) fn branch(&mut self, compare: Compare, operand: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        // A stepping stone for `no` would move this instruction one further from `yes`.
        let yes = self.near(yes, 1);
        let no = self.near(no, 0);
        let (to_yes, to_no) = (self.distance(yes), self.distance(no));
        self.write(Instruction {
            code: compare.code(),
            jump_true: u8::try_from(to_yes).expect("near() keeps it within reach"),
            jump_false: u8::try_from(to_no).expect("near() keeps it within reach"),
            operand,
        })
    }

    /// How many instructions the next one written would skip to get there.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - label.0 - 1
    }

    fn write(&mut self, instruction: Instruction) -> Label {
        self.reversed.push(instruction);
        Label(self.reversed.len() - 1)
    }

    fn write_answer(&mut self, value: u32) -> Label {
        let label = self.write(plain(RETURN, value));
        match self.returns.iter_mut().find(|(of, _)| *of == value) {
            Some(known) => known.1 = label,
            None => self.returns.push((value, label)),
        }
        label
    }

    /// An instruction that has no choice but to go on with the next one.
    fn then(&mut self, code: u16, operand: u32, next: Label) -> Label {
        if self.distance(next) > 0 {
            self.stone(next);
        }
        self.write(plain(code, operand))
    }

    /// `label`, or a place nearer by that leads there.
    fn near(&mut self, label: Label, spare: usize) -> Label {
        if self.distance(label) + spare <= usize::from(u8::MAX) { label } else { self.stone(label) }
    }

    /// A copy of what is there, if that is an answer; else a jump.
    fn stone(&mut self, label: Label) -> Label {
        let there = self.reversed[label.0];
        if there.code == RETURN {
            return self.write_answer(there.operand);
        }
        let distance = u32::try_from(self.distance(label)).unwrap_or(u32::MAX);
        self.write(plain(JUMP, distance))
    }
}

/// At this distance an answer is rather written anew than jumped to.
const FAR: usize = 240;

const fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, operand }
}
