//! Which instructions of a program can be reached on a kernel, as far as the code shows it.
//!
//! libbpf patches the kernel's answers into a program as constants, and replaces an access to what the kernel does not have by
//! a call that the verifier refuses. The verifier does not look at instructions that it cannot reach. It follows the constants
//! in registers: the branch after `if (bpf_core_field_exists(…))` is decided. So does this, but without the paths: where paths
//! meet, it keeps only what is the same on all. So what it does not reach, the verifier does not reach either. The opposite
//! does not hold: the verifier knows more than this.

use std::collections::{BTreeMap, BTreeSet};

use btfgen_object::{CALL, Code, Instruction, LOAD_IMM64, PSEUDO_CALL, class};

use super::constants::{Value, compute, is_taken};

/// An instruction: the function, and the index in it.
pub(super) type At = (usize, u32);

/// What libbpf does to an instruction on a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Patch {
    /// It gets this value.
    Value(u64),
    /// It gets a value that differs between equal kernels, such as the id of a type.
    Unknown,
    /// It becomes a call that the verifier refuses.
    Poison,
}

/// What can be reached of a program.
#[derive(Debug)]
pub(super) struct Reached {
    /// For each function: where its instructions lead to, as indices within it; `None` for those that are not reached. It is
    /// empty for a function that is not reached.
    steps: Vec<Vec<Option<Next>>>,
}

/// The instructions that may follow one.
type Next = [Option<u32>; 2];

/// How deeply the verifier lets functions call each other (`MAX_CALL_FRAMES`).
const MAX_CALLS: usize = 8;

/// In the opcode of a load or store: what it does. `BPF_ATOMIC` is one of these.
const MODE: u8 = 0xe0;
const ATOMIC: u8 = 0xc0;

/// Registers that instructions can name.
const REGISTERS: usize = 11;

/// The registers before an instruction.
type Registers = [Value; REGISTERS];

/// Follows a program from its first instruction.
pub(super) fn reach(code: &Code, program: usize, patches: &BTreeMap<At, Patch>) -> Reached {
    let mut walk = Walk {
        code,
        patches,
        before: vec![Vec::new(); code.functions.len()],
        known: Vec::new(),
        waiting: BTreeSet::new(),
        reached: Reached {
            steps: vec![Vec::new(); code.functions.len()],
        },
    };
    walk.arrive((program, 0), [None; REGISTERS]);
    while let Some(at) = walk.waiting.pop_first() {
        walk.step(at);
    }
    walk.reached
}

impl Reached {
    pub(super) fn has(&self, at: At) -> bool {
        self.next(at).is_some()
    }

    /// Where an instruction leads to, if it is reached.
    fn next(&self, (function, index): At) -> Option<Next> {
        *self.steps.get(function)?.get(index as usize)?
    }

    /// Whether each way through the program meets a poisoned instruction, so that the verifier meets one, too.
    pub(super) fn is_certain(
        &self,
        code: &Code,
        program: usize,
        patches: &BTreeMap<At, Patch>,
    ) -> bool {
        let mut known = BTreeMap::new();
        self.is_certain_in(code, program, patches, &mut known, MAX_CALLS)
    }

    /// The same for a function. `known` has the functions that were looked at; one that calls itself counts as not certain.
    fn is_certain_in(
        &self,
        code: &Code,
        function: usize,
        patches: &BTreeMap<At, Patch>,
        known: &mut BTreeMap<usize, bool>,
        calls: usize,
    ) -> bool {
        if let Some(&known) = known.get(&function) {
            return known;
        }
        let Some(calls) = calls.checked_sub(1) else {
            return false;
        };
        known.insert(function, false);
        let (mut waiting, mut seen) = (vec![0], BTreeSet::from([0]));
        let mut meets_one = false;
        while let Some(index) = waiting.pop() {
            let at = (function, index);
            let Some(steps) = self.next(at) else {
                continue;
            };
            let calls_one = called(code, at)
                .is_some_and(|callee| self.is_certain_in(code, callee, patches, known, calls));
            if calls_one || patches.get(&at) == Some(&Patch::Poison) {
                meets_one = true;
                continue;
            }
            let mut steps = steps.into_iter().flatten().peekable();
            if steps.peek().is_none() {
                return false;
            }
            waiting.extend(steps.filter(|&next| seen.insert(next)));
        }
        known.insert(function, meets_one);
        meets_one
    }
}

/// The function of the object that an instruction calls.
fn called(code: &Code, (function, index): At) -> Option<usize> {
    let function = &code.functions[function];
    let instruction = function.instructions.get(index as usize)?;
    match instruction.opcode == CALL && instruction.src == PSEUDO_CALL {
        true => *function.references.get(&index)?,
        false => None,
    }
}

struct Walk<'w> {
    code: &'w Code,
    patches: &'w BTreeMap<At, Patch>,
    /// For each function that is reached: the index in `known` for each instruction that is.
    before: Vec<Vec<Option<usize>>>,
    /// The registers before instructions.
    known: Vec<Registers>,
    waiting: BTreeSet<At>,
    reached: Reached,
}

impl Walk<'_> {
    /// Notes that an instruction can be reached with these registers. What differs from before is not known.
    fn arrive(&mut self, at: At, registers: Registers) {
        let Some(function) = self.code.functions.get(at.0) else {
            return;
        };
        let places = &mut self.before[at.0];
        if places.is_empty() {
            places.resize(function.instructions.len(), None);
            self.reached.steps[at.0].resize(function.instructions.len(), None);
        }
        let Some(place) = places.get_mut(at.1 as usize) else {
            return;
        };
        let Some(place) = *place else {
            *place = Some(self.known.len());
            self.known.push(registers);
            self.waiting.insert(at);
            return;
        };
        let before = &mut self.known[place];
        let met: Registers =
            std::array::from_fn(|n| before[n].filter(|_| before[n] == registers[n]));
        if met != *before {
            *before = met;
            self.waiting.insert(at);
        }
    }

    fn step(&mut self, at: At) {
        let (function, index) = at;
        let Some(place) = self.before[function][index as usize] else {
            return;
        };
        let mut registers = self.known[place];
        let code = self.code;
        let of = &code.functions[function];
        let instruction = of.instructions[index as usize];
        let reference = of.references.get(&index);
        let patch = self.patches.get(&at).copied();
        let (dst, src) = (usize::from(instruction.dst), usize::from(instruction.src));
        let get = |registers: &Registers, n: usize| registers.get(n).copied().flatten();
        let mut next = [Some(index + 1), None];
        match instruction.class() {
            class::ALU | class::ALU64 => {
                let second = match (instruction.takes_register(), patch) {
                    (true, _) => get(&registers, src),
                    // libbpf writes 32 bits, which the instruction extends with the sign.
                    (false, Some(Patch::Value(value))) => Some(value as i32 as u64),
                    (false, Some(_)) => None,
                    (false, None) => Some(instruction.imm as u64),
                };
                let value = compute(instruction, get(&registers, dst), second);
                set(&mut registers, dst, value);
            }
            class::LD if instruction.opcode == LOAD_IMM64 => {
                next[0] = Some(index + 2);
                set(
                    &mut registers,
                    dst,
                    loaded(
                        of.instructions.get(index as usize + 1),
                        instruction,
                        patch,
                        reference.is_some(),
                    ),
                );
                // Its address may be given to the kernel, which then calls it.
                if let Some(&Some(callee)) = reference {
                    self.arrive((callee, 0), [None; REGISTERS]);
                }
            }
            class::LD => registers[..6].fill(None),
            class::LDX => set(&mut registers, dst, None),
            // An atomic operation may return a value in its source, and a comparison in r0.
            class::STX if instruction.opcode & MODE == ATOMIC => {
                set(&mut registers, src, None);
                set(&mut registers, 0, None);
            }
            class::JMP | class::JMP32 => next = self.jump(at, instruction, &mut registers),
            _ => {}
        }
        let decided = (instruction.class() == class::JMP || instruction.class() == class::JMP32)
            .then(|| equality(instruction, index));
        for target in next.into_iter().flatten() {
            let mut after = registers;
            if let Some(Some((register, value, when))) = decided
                && target == when
            {
                set(&mut after, register, Some(value));
            }
            self.arrive((function, target), after);
        }
        self.reached.steps[function][index as usize] = Some(next);
    }

    /// Where a jump, a call or an exit leads to.
    fn jump(&mut self, at: At, instruction: Instruction, registers: &mut Registers) -> Next {
        let (_, index) = at;
        let next = index + 1;
        match instruction.opcode & 0xf0 {
            0x00 => {
                let distance = match instruction.class() {
                    class::JMP => i64::from(instruction.offset),
                    _ => i64::from(instruction.imm),
                };
                [target(next, distance), None]
            }
            0x80 => {
                if let Some(callee) = called(self.code, at) {
                    let mut given = [None; REGISTERS];
                    given[1..6].copy_from_slice(&registers[1..6]);
                    self.arrive((callee, 0), given);
                }
                registers[..6].fill(None);
                [Some(next), None]
            }
            0x90 => [None, None],
            _ => {
                let first = registers
                    .get(usize::from(instruction.dst))
                    .copied()
                    .flatten();
                let second = match instruction.takes_register() {
                    true => registers
                        .get(usize::from(instruction.src))
                        .copied()
                        .flatten(),
                    false => Some(instruction.imm as u64),
                };
                let there = target(next, instruction.offset.into());
                match is_taken(instruction, first, second) {
                    Some(true) => [there, None],
                    Some(false) => [Some(next), None],
                    None => [there, Some(next)],
                }
            }
        }
    }
}

fn set(registers: &mut Registers, n: usize, value: Value) {
    if let Some(register) = registers.get_mut(n) {
        *register = value;
    }
}

fn target(next: u32, distance: i64) -> Option<u32> {
    u32::try_from(i64::from(next) + distance).ok()
}

/// The value that an instruction of 16 bytes loads.
fn loaded(
    second: Option<&Instruction>,
    first: Instruction,
    patch: Option<Patch>,
    is_address: bool,
) -> Value {
    match patch {
        Some(Patch::Value(value)) => return Some(value),
        Some(_) => return None,
        None => {}
    }
    let high = u64::from(second?.imm as u32);
    (first.src == 0 && !is_address).then_some(high << 32 | u64::from(first.imm as u32))
}

/// What a comparison for equality with a constant says about a register, and at which next instruction.
fn equality(instruction: Instruction, index: u32) -> Option<(usize, u64, u32)> {
    const EQUAL: u8 = 0x15;
    const NOT_EQUAL: u8 = 0x55;
    let there = target(index + 1, instruction.offset.into())?;
    let when = match instruction.opcode {
        EQUAL => there,
        NOT_EQUAL => index + 1,
        _ => return None,
    };
    // If both ways lead to the same instruction, nothing is known there.
    (there != index + 1).then_some((usize::from(instruction.dst), instruction.imm as u64, when))
}
