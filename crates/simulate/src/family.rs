//! What makes the kernels of a family differ: the edits of a series, of a flavour, and of a patch level.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::dice::Dice;
use crate::edit::{Edit, Kernel, What};

/// Structs that the objects of tracing tools ask for, so that their layouts differ between series as those of real kernels do.
const ASKED_FOR: [&str; 42] = [
    "bio",
    "block_device",
    "cfs_rq",
    "cgroup",
    "cred",
    "css_set",
    "dentry",
    "file",
    "files_struct",
    "fs_struct",
    "gendisk",
    "inet_sock",
    "inode",
    "iov_iter",
    "irqaction",
    "kiocb",
    "kmem_cache",
    "linux_binprm",
    "mm_struct",
    "mnt_namespace",
    "mount",
    "net",
    "net_device",
    "nsproxy",
    "oom_control",
    "path",
    "pid",
    "pid_namespace",
    "qstr",
    "request",
    "request_queue",
    "rq",
    "sched_entity",
    "signal_struct",
    "sk_buff",
    "sock",
    "sock_common",
    "socket",
    "super_block",
    "task_struct",
    "tcp_sock",
    "vm_area_struct",
];

/// How much a step of a family changes. The numbers are such that the definitions that a step brings are as many as in real
/// hubs; `hub-growth` counts them.
#[derive(Debug)]
struct Rate {
    /// Chance in a thousand that types change at all.
    any: usize,
    /// Edits of types, at least and at most.
    edits: (usize, usize),
    /// Functions that come or get another name, at least and at most.
    functions: (usize, usize),
    /// Chance in a thousand that an edit's target is one that objects ask for.
    asked_for: usize,
    /// An edit prefers targets that are embedded in fewer than so many others.
    reach: usize,
    /// Chance in a thousand that there is also an edit of a type such as `struct device`, which many others embed.
    wide: usize,
    what: &'static [What],
}

const LEVEL: Rate = Rate {
    any: 550,
    edits: (2, 10),
    functions: (2, 12),
    asked_for: 25,
    reach: 6,
    wide: 120,
    what: &[
        What::Insert,
        What::Insert,
        What::Insert,
        What::InsertStruct,
        What::Retype,
        What::Remove,
        What::Lengthen,
    ],
};

const FLAVOUR: Rate = Rate {
    any: 1000,
    edits: (100, 200),
    functions: (80, 160),
    asked_for: 60,
    reach: 20,
    wide: 0,
    what: &[What::Insert, What::Remove, What::Remove, What::Lengthen],
};

const SERIES: Rate = Rate {
    any: 1000,
    edits: (700, 1400),
    functions: (200, 400),
    asked_for: 80,
    reach: 60,
    wide: 1000,
    what: &[
        What::Insert,
        What::Insert,
        What::InsertStruct,
        What::Remove,
        What::Swap,
        What::Retype,
        What::Rename,
        What::Lengthen,
    ],
};

/// The targets of edits in the kernels that a series is made of.
#[derive(Debug)]
pub(crate) struct Targets {
    all: Vec<Target>,
    asked_for: Vec<Target>,
    wide: Vec<Target>,
}

/// A name, and the number of types that an edit changes.
type Target = (Arc<[u8]>, usize);

/// The reach of types such as `struct device`.
const WIDE: RangeInclusive<usize> = 60..=300;

impl Targets {
    pub(crate) fn of(kernel: &Kernel) -> Self {
        let mut all = kernel.targets();
        // Nobody changes list_head.
        all.retain(|(_, reach)| reach <= WIDE.end());
        let some = |fits: &dyn Fn(&Target) -> bool| {
            all.iter().filter(|target| fits(target)).cloned().collect()
        };
        Self {
            asked_for: some(&|(name, _)| {
                ASKED_FOR.iter().any(|asked| asked.as_bytes() == &name[..])
            }),
            wide: some(&|(_, reach)| WIDE.contains(reach)),
            all,
        }
    }
}

/// Edits a kernel as the next series of its line does.
pub(crate) fn next_series(kernel: &mut Kernel, targets: &Targets, seed: u64, line: u64, step: u64) {
    let subject: [&[u8]; 3] = [b"series", &line.to_le_bytes(), &step.to_le_bytes()];
    apply(kernel, targets, &SERIES, Dice::of(seed, &subject));
}

/// Edits a kernel as the configuration of a flavour does. All series of a line have the same edits.
pub(crate) fn to_flavour(
    kernel: &mut Kernel,
    targets: &Targets,
    seed: u64,
    line: u64,
    flavour: &str,
) {
    let subject: [&[u8]; 3] = [b"flavour", &line.to_le_bytes(), flavour.as_bytes()];
    apply(kernel, targets, &FLAVOUR, Dice::of(seed, &subject));
}

/// Edits a kernel as the next patch level of its series does.
pub(crate) fn next_level(
    kernel: &mut Kernel,
    targets: &Targets,
    seed: u64,
    series: u64,
    level: u64,
) {
    let subject: [&[u8]; 3] = [b"level", &series.to_le_bytes(), &level.to_le_bytes()];
    apply(kernel, targets, &LEVEL, Dice::of(seed, &subject));
}

fn apply(kernel: &mut Kernel, targets: &Targets, rate: &Rate, mut dice: Dice) {
    let between =
        |dice: &mut Dice, (least, most): (usize, usize)| least + dice.below(most - least + 1);
    for _ in 0..between(&mut dice, rate.functions) {
        kernel.edit_function(dice.next());
    }
    if targets.all.is_empty() || !dice.chance(rate.any) {
        return;
    }
    let count = between(&mut dice, rate.edits);
    let mut names: Vec<Arc<[u8]>> = (0..count)
        .map(|_| target(targets, rate, &mut dice))
        .collect();
    if dice.chance(rate.wide) && !targets.wide.is_empty() {
        names.push(Arc::clone(&dice.pick(&targets.wide).0));
    }
    for target in names {
        let (what, seed) = (*dice.pick(rate.what), dice.next());
        kernel.edit(&Edit { what, target, seed });
    }
    if dice.chance(500) {
        kernel.edit_enum(dice.next());
    }
}

fn target(targets: &Targets, rate: &Rate, dice: &mut Dice) -> Arc<[u8]> {
    let from = if dice.chance(rate.asked_for) && !targets.asked_for.is_empty() {
        &targets.asked_for
    } else {
        &targets.all
    };
    // The chance of a target is smaller the more it changes; the least of a few tries will do.
    let mut best = dice.pick(from);
    for _ in 0..8 {
        if best.1 <= rate.reach || dice.below(best.1) < rate.reach {
            break;
        }
        let other = dice.pick(from);
        if other.1 < best.1 {
            best = other;
        }
    }
    Arc::clone(&best.0)
}
