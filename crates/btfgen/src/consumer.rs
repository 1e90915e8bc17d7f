//! The instruction for which a relocated constant is made.
//!
//! clang makes the constants of relocations late, and gives these instructions no source line. The table of lines then has the
//! line of whatever comes before. The instruction that takes the value in the end (a call, a branch, a store) has the line of
//! the statement.

use btfgen_object::{CALL, Function, Instruction, LOAD_IMM64, class};

/// How far to look. The compiler makes such a constant shortly before it is used.
const MAX_DISTANCE: u32 = 64;

const OPERATION: u8 = 0xf0;
const MOVE: u8 = 0xb0;
const JUMP_ALWAYS: u8 = 0x00;
const EXIT: u8 = 0x90;

/// The index of the instruction for which the constant is made that the instruction at `index` loads; `index` itself for other
/// instructions.
pub(crate) fn consumer(function: &Function, index: u32) -> u32 {
    let Some(&first) = function.instructions.get(index as usize) else {
        return index;
    };
    let is_constant = match first.class() {
        class::ALU | class::ALU64 => !first.takes_register(),
        _ => first.opcode == LOAD_IMM64,
    };
    if !is_constant {
        return index;
    }
    let (mut last, mut register) = (index, first.dst);
    let after = (index + 1..=index.saturating_add(MAX_DISTANCE))
        .zip(&function.instructions[index as usize + 1..]);
    for (at, &instruction) in after {
        match step(instruction, register) {
            Step::Passes => {}
            Step::Becomes(other) => (last, register) = (at, other),
            Step::Ends => return at,
            Step::Lost => return last,
        }
    }
    last
}

/// What an instruction does with the value in a register.
enum Step {
    Passes,
    /// It computes another value from it.
    Becomes(u8),
    /// It takes it.
    Ends,
    /// The value is gone, or the way goes on elsewhere.
    Lost,
}

fn step(instruction: Instruction, register: u8) -> Step {
    let Instruction {
        opcode, dst, src, ..
    } = instruction;
    let reads_source = src == register;
    match instruction.class() {
        class::ALU | class::ALU64 => {
            let reads = (instruction.takes_register() && reads_source)
                || (dst == register && opcode & OPERATION != MOVE);
            match (reads, dst == register) {
                (true, _) => Step::Becomes(dst),
                (false, true) => Step::Lost,
                (false, false) => Step::Passes,
            }
        }
        class::LDX if reads_source => Step::Ends,
        class::ST | class::STX
            if dst == register || (instruction.class() == class::STX && reads_source) =>
        {
            Step::Ends
        }
        class::ST | class::STX => Step::Passes,
        class::JMP if opcode == CALL => match register {
            1..=5 => Step::Ends,
            0 => Step::Lost,
            _ => Step::Passes,
        },
        class::JMP | class::JMP32 => match opcode & OPERATION {
            JUMP_ALWAYS => Step::Lost,
            EXIT if register == 0 => Step::Ends,
            EXIT => Step::Lost,
            _ if dst == register || (instruction.takes_register() && reads_source) => Step::Ends,
            _ => Step::Passes,
        },
        // A load of the register, or the second half of an instruction of 16 bytes, whose register is 0.
        _ if opcode != 0 && dst == register => Step::Lost,
        _ => Step::Passes,
    }
}
