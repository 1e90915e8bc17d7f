//! Texts about types that only modules have.

use std::collections::BTreeSet;

use btfgen::{AbsentType, ModuleType, Packed};

use crate::amount::count;
use crate::console::Console;
use crate::explain::printable;

/// Says which types are those of modules, and whether a module was named in vain.
pub(crate) fn report(console: Console, packed: &Packed, named: &[String]) {
    let found = packed.module_types.iter().flat_map(|ty| {
        ty.found.iter().map(|found| {
            let (name, modules) = (printable(&ty.name), found.modules.join(", "));
            format!(
                "{name}: {modules}, on {}",
                count(found.kernels.len(), "kernel")
            )
        })
    });
    let found: Vec<String> = found.collect();
    console.note_all("these types are those of modules:", found.into_iter());
    let used: BTreeSet<&String> = packed
        .module_types
        .iter()
        .flat_map(|ty| ty.found.iter().flat_map(|found| &found.modules))
        .collect();
    let in_vain = named
        .iter()
        .filter(|name| !used.contains(&name.replace('-', "_")));
    let in_vain: Vec<String> = in_vain.map(|name| printable(name)).collect();
    console.warn_all(
        "no type that the objects ask for is in these modules, which --module names:",
        in_vain.into_iter(),
    );
}

/// Says where types are that one kernel itself does not have.
pub(crate) fn report_absent(console: Console, absent: &[AbsentType]) {
    let lines = absent.iter().map(|ty| {
        let name = printable(&ty.name);
        match &ty.modules[..] {
            [] => format!(
                "{name}: found nowhere; it may be a type of a module that was not looked at"
            ),
            [module] => format!("{name}: in the module {module}"),
            several => format!("{name}: in the modules {}", several.join(", ")),
        }
    });
    console.note_all("the kernel itself does not have these types:", lines);
}

/// The type that a need begins with, if some kernel lacks it.
fn type_of(packed: &Packed, need: usize) -> Option<&ModuleType> {
    let mut types = packed.module_types.iter();
    types.find(|ty| ty.needs.contains(&need))
}

/// What to add to a need that found nothing in any kernel.
pub(crate) fn perhaps_in_module(packed: &Packed, need: usize) -> String {
    match type_of(packed, need) {
        Some(ty) if ty.unknown > 0 && ty.found.is_empty() => format!(
            "; {} may be a module's type: the hub lacks the modules of {}",
            printable(&ty.name),
            count(ty.unknown, "kernel"),
        ),
        _ => String::new(),
    }
}

/// What to add to a need that libbpf refuses because several types have its name.
pub(crate) fn in_modules(packed: &Packed, need: usize) -> String {
    let several = type_of(packed, need).and_then(|ty| {
        let mut found = ty.found.iter();
        found.find(|found| found.modules.len() > 1)
    });
    match several {
        Some(found) => format!(
            "; they are those of the modules {}: --module NAME chooses one",
            found.modules.join(", ")
        ),
        None => String::new(),
    }
}
