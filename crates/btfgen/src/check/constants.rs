//! Arithmetic on values of registers, as far as they are known.

use btfgen_object::{Instruction, class};

/// The value of a register: `None` if it is not known.
pub(super) type Value = Option<u64>;

/// The result of an arithmetic instruction. `second` is its second operand.
pub(super) fn compute(instruction: Instruction, first: Value, second: Value) -> Value {
    let is_wide = instruction.class() == class::ALU64;
    let narrowed = |value: u64| {
        if is_wide {
            value
        } else {
            value & u64::from(u32::MAX)
        }
    };
    // An offset chooses a signed division, or a move that extends the sign.
    if instruction.offset != 0 {
        return None;
    }
    let operation = instruction.opcode & 0xf0;
    match operation {
        0x80 => return first.map(|value| narrowed(value.wrapping_neg())),
        0xb0 => return second.map(narrowed),
        // A change of the byte order, or of no operation that exists.
        0xd0..=u8::MAX => return None,
        _ => {}
    }
    let (a, b) = (narrowed(first?), narrowed(second?));
    let shift = b as u32 & if is_wide { 63 } else { 31 };
    let result = match operation {
        0x00 => a.wrapping_add(b),
        0x10 => a.wrapping_sub(b),
        0x20 => a.wrapping_mul(b),
        0x40 => a | b,
        0x50 => a & b,
        0x60 => a << shift,
        0x70 => a >> shift,
        0xa0 => a ^ b,
        0xc0 if is_wide => (a as i64 >> shift) as u64,
        0xc0 => u64::from((a as i32 >> shift) as u32),
        _ => return None,
    };
    Some(narrowed(result))
}

/// Whether a conditional jump is taken; `None` if that is not known.
pub(super) fn is_taken(instruction: Instruction, first: Value, second: Value) -> Option<bool> {
    let (a, b) = (first?, second?);
    let (a, b) = match instruction.class() {
        class::JMP => (a, b),
        // Extended with the sign, so that the signed comparisons hold, too; and the others do not change.
        _ => (a as i32 as u64, b as i32 as u64),
    };
    let (signed_a, signed_b) = (a as i64, b as i64);
    Some(match instruction.opcode & 0xf0 {
        0x10 => a == b,
        0x20 => a > b,
        0x30 => a >= b,
        0x40 => a & b != 0,
        0x50 => a != b,
        0x60 => signed_a > signed_b,
        0x70 => signed_a >= signed_b,
        0xa0 => a < b,
        0xb0 => a <= b,
        0xc0 => signed_a < signed_b,
        0xd0 => signed_a <= signed_b,
        _ => return None,
    })
}
