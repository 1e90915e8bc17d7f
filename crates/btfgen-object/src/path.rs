//! The path from a relocation's root type to its field or enumerator.

use btfgen_btf::TypeId;

use crate::error::Result;
use crate::relocation::Relocation;
use crate::walk::Walk;

/// One accessor that libbpf matches by name or index. Accessors of anonymous members are left out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'d> {
    Index {
        index: u32,
        /// Type of the element.
        ty: TypeId,
        /// Whether the local array has this element.
        exists: bool,
    },
    Member {
        name: &'d [u8],
        ty: TypeId,
        /// Width in bits of a bitfield; 0 for any other member.
        bitfield_size: u32,
    },
    Enumerator {
        name: &'d [u8],
    },
}

/// The path to a field or an enumerator.
#[derive(Debug)]
pub(crate) struct Path<'d> {
    pub(crate) steps: Vec<Step<'d>>,
    /// The start of the local field, in bits from the root.
    pub(crate) bit_offset: u64,
}

/// The path of a relocation of a field or an enumerator; `None` if its accessors do not fit its type.
pub(crate) fn path<'d>(walk: &mut Walk<'d>, relocation: &Relocation) -> Result<Option<Path<'d>>> {
    let Some((&first, rest)) = relocation.accessors.split_first() else {
        return Ok(None);
    };
    let mut ty = walk.skip_modifiers_and_typedefs(relocation.root)?;
    if relocation.kind.is_enumval() {
        let Some(enumerator) = ty.enumerator(first).filter(|_| rest.is_empty()) else {
            return Ok(None);
        };
        let name = walk.name(enumerator.name)?;
        return Ok(Some(Path {
            steps: vec![Step::Enumerator { name }],
            bit_offset: 0,
        }));
    }
    let stride = |walk: &mut Walk<'d>, ty, index: u32| -> Result<u64> {
        let size = walk.resolve_size(ty)?.unwrap_or_default();
        Ok(u64::from(size) * 8 * u64::from(index))
    };
    let mut path = Path {
        bit_offset: stride(walk, ty.id(), first)?,
        steps: vec![Step::Index {
            index: first,
            ty: ty.id(),
            exists: true,
        }],
    };
    // Whether the last step led to the last member of a struct: an array of length 0 is flexible only there.
    let mut is_last_member = false;
    for &index in rest {
        let next = if let Some(array) = ty.array() {
            let ty = array.element;
            path.bit_offset += stride(walk, ty, index)?;
            path.steps.push(Step::Index {
                index,
                ty,
                exists: index < array.len || (array.len == 0 && is_last_member),
            });
            is_last_member = false;
            ty
        } else {
            let Some(member) = ty.member(index) else {
                return Ok(None);
            };
            let name = walk.name(member.name)?;
            path.bit_offset += u64::from(member.bit_offset);
            if !name.is_empty() {
                path.steps.push(Step::Member {
                    name,
                    ty: member.ty,
                    bitfield_size: member.bitfield_size,
                });
                is_last_member = index as usize + 1 == ty.len();
            }
            member.ty
        };
        ty = walk.skip_modifiers_and_typedefs(next)?;
    }
    Ok(Some(path))
}

/// The path in C's spelling: `real_parent`, `a.b[3]`, `[1].c`; the name of an enumerator; empty for a whole type.
///
/// # Errors
/// Those of [`signature`](crate::signature()).
pub fn accessor_path(walk: &mut Walk<'_>, relocation: &Relocation) -> Result<String> {
    if relocation.kind.is_type() {
        return Ok(String::new());
    }
    let Some(way) = path(walk, relocation)? else {
        let raw: Vec<String> = relocation.accessors.iter().map(u32::to_string).collect();
        return Ok(format!("({})", raw.join(":")));
    };
    let mut path = String::new();
    for (i, step) in way.steps.iter().enumerate() {
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
