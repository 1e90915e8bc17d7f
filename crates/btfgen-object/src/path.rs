//! The way from a relocation's root type to its field or enumerator.

use crate::error::Result;
use crate::relocation::Relocation;
use crate::walk::Walk;

/// One accessor that libbpf matches by name or index; anonymous members are not among them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'d> {
    Index {
        index: u32,
        /// Type of the element.
        ty: u32,
    },
    Member {
        name: &'d [u8],
        ty: u32,
        is_bitfield: bool,
    },
    Enumerator {
        name: &'d [u8],
    },
}

/// The steps of a relocation of a field or an enumerator; `None` if its accessors do not fit its type.
pub(crate) fn steps<'d>(
    walk: &mut Walk<'_, 'd>,
    relocation: &Relocation,
) -> Result<Option<Vec<Step<'d>>>> {
    let Some((&first, rest)) = relocation.accessors.split_first() else {
        return Ok(None);
    };
    let mut ty = walk.skip_modifiers_and_typedefs(relocation.root)?;
    if relocation.is_enumval() {
        let Some(name_off) = ty.enumerator(first).filter(|_| rest.is_empty()) else {
            return Ok(None);
        };
        let name = walk.string(name_off)?;
        return Ok(Some(vec![Step::Enumerator { name }]));
    }
    let mut steps = vec![Step::Index {
        index: first,
        ty: ty.id(),
    }];
    for &index in rest {
        let next = if let Some(array) = ty.array() {
            let ty = array.element;
            steps.push(Step::Index { index, ty });
            ty
        } else {
            let Some(member) = ty.member(index) else {
                return Ok(None);
            };
            let name = walk.string(member.name_off)?;
            if !name.is_empty() {
                steps.push(Step::Member {
                    name,
                    ty: member.ty,
                    is_bitfield: member.bitfield_size > 0,
                });
            }
            member.ty
        };
        ty = walk.skip_modifiers_and_typedefs(next)?;
    }
    Ok(Some(steps))
}

/// The path in C's spelling: `real_parent`, `a.b[3]`, `[1].c`; the enumerator's name; empty for a type as a whole.
///
/// # Errors
/// Those of [`signature`](crate::signature()).
pub fn accessor_path(walk: &mut Walk<'_, '_>, relocation: &Relocation) -> Result<String> {
    if relocation.is_type() {
        return Ok(String::new());
    }
    let Some(steps) = steps(walk, relocation)? else {
        let raw: Vec<String> = relocation.accessors.iter().map(u32::to_string).collect();
        return Ok(format!("({})", raw.join(":")));
    };
    let mut path = String::new();
    for (i, step) in steps.iter().enumerate() {
        match *step {
            Step::Index { index, .. } if i > 0 || index > 0 => {
                path.push_str(&format!("[{index}]"));
            }
            Step::Index { .. } => {}
            Step::Member { name, .. } => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&String::from_utf8_lossy(name));
            }
            Step::Enumerator { name } => path.push_str(&String::from_utf8_lossy(name)),
        }
    }
    Ok(path)
}
