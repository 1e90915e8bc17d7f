//! The minimal BTF as a whole: which candidates are sketched, which are copied, and in which order all is written.

use std::collections::BTreeSet;

use btfgen_libbpf::{Btf, ReloKind};

use crate::literal::Literal;
use crate::needs::{Needs, Root};
use crate::outcome::{RootAnswers, Row};
use crate::sketch::{Sketch, SketchWriter, Sketcher};
use crate::writer::Writer;

/// How candidates are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Canonical, where no relocation compares whole types.
    Sketch,
    /// The kernel's own types.
    Literal,
}

/// From this size on a BTF carries names for the sake of its neighbours. They are a few percent of it then, and bpftool's,
/// which has none, is always larger.
const SHARED_NAMES_FROM: usize = 1 << 10;

/// Writes the candidates of all roots, in the roots' order. `shared` are names that the BTFs around it in an archive have.
pub(crate) fn compose(
    needs: &Needs,
    btf: &Btf,
    answers: &[RootAnswers<'_>],
    form: Form,
    shared: &BTreeSet<Vec<u8>>,
) -> Result<Vec<u8>, String> {
    let no_path = || "a relocation's path leads nowhere".to_owned();
    let (forms, literal) = forms(needs, btf, answers, form).ok_or_else(no_path)?;
    let mut sketcher = Sketcher::new(btf);
    let mut sketches = Vec::new();
    for ((root, answers), form) in needs.roots().iter().zip(answers).zip(&forms) {
        for row in &answers.rows {
            sketches.push(match form {
                Form::Literal => None,
                Form::Sketch => {
                    let cells = kinds(needs, root).zip(&row.cells);
                    let several = answers.rows.len() > 1;
                    let sketch = sketcher.sketch(row.candidate.id(), cells, several);
                    Some(sketch.ok_or_else(no_path)?)
                }
            });
        }
    }
    // Without a known size libbpf takes the host's, for the full BTF and for this one alike.
    let pointer_size = btf.pointer_size();
    let seen = pointer_size.is_some() && (sketcher.pointer_size || literal.pointer_size());
    let write = |names: &BTreeSet<Vec<u8>>| {
        let mut writer = Writer::new(btf.byte_order(), names);
        let mut sketch_writer = SketchWriter {
            writer: &mut writer,
            pointer_size: pointer_size.unwrap_or(8),
            pointer_size_seen: seen,
        };
        write_all(&mut sketch_writer, answers, &sketches, literal.clone())?;
        Ok::<_, String>(writer)
    };
    // Once to know the names, once to have them in order.
    let mut names = write(&BTreeSet::new())?.into_names();
    let own = write(&names)?.finish();
    if own.len() < SHARED_NAMES_FROM || shared.is_empty() {
        return Ok(own);
    }
    names.extend(shared.iter().cloned());
    Ok(write(&names)?.finish())
}

/// All names in a BTF.
pub(crate) fn names(btf: &Btf) -> BTreeSet<Vec<u8>> {
    let mut names = BTreeSet::new();
    for ty in btf.ids().filter_map(|id| btf.type_by_id(id)) {
        names.insert(ty.name().to_vec());
        names.extend(ty.members().map(|m| m.name.to_vec()));
        names.extend(ty.enumerators().iter().map(|e| e.name.to_vec()));
    }
    names.remove(&[][..]);
    names
}

fn write_all(
    writer: &mut SketchWriter<'_>,
    answers: &[RootAnswers<'_>],
    sketches: &[Option<Sketch>],
    mut literal: Literal<'_>,
) -> Result<(), String> {
    writer.references(sketches.iter().flatten())?;
    let rows = answers.iter().flat_map(|a| &a.rows);
    for (row, sketch) in rows.zip(sketches) {
        match sketch {
            Some(sketch) => writer.candidate(sketch)?,
            None => literal.write(row.candidate.id(), writer.writer)?,
        }
    }
    Ok(())
}

/// The form of every root, and the marked types of those that are copied literally.
fn forms<'b>(
    needs: &Needs,
    btf: &'b Btf,
    answers: &[RootAnswers<'_>],
    form: Form,
) -> Option<(Vec<Form>, Literal<'b>)> {
    let roots = needs.roots();
    let mut forms: Vec<Form> = roots
        .iter()
        .map(|root| {
            let whole = kinds(needs, root).any(|k| k == ReloKind::TypeMatches);
            if whole { Form::Literal } else { form }
        })
        .collect();
    let mut literal = Literal::new(btf);
    let mut marked = vec![false; roots.len()];
    loop {
        for (i, (root, answers)) in roots.iter().zip(answers).enumerate() {
            if forms[i] == Form::Literal && !std::mem::replace(&mut marked[i], true) {
                for row in &answers.rows {
                    mark(needs, &mut literal, root, row)?;
                }
            }
        }
        // A type that is copied under its name is a candidate of that name's root.
        let names: BTreeSet<&[u8]> = literal.names().collect();
        let mut changed = false;
        for (root, form) in roots.iter().zip(&mut forms) {
            if *form == Form::Sketch && names.contains(root.name.as_slice()) {
                *form = Form::Literal;
                changed = true;
            }
        }
        if !changed {
            return Some((forms, literal));
        }
    }
}

fn mark(needs: &Needs, literal: &mut Literal<'_>, root: &Root, row: &Row<'_>) -> Option<()> {
    for (&n, cell) in root.needs.iter().zip(&row.cells) {
        let relocation = needs.get(n)?.relocation();
        literal.mark(
            relocation.btf(),
            relocation.root().id(),
            relocation.kind(),
            row.candidate.id(),
            cell,
        )?;
    }
    Some(())
}

/// What each relocation of a root asks.
fn kinds(needs: &Needs, root: &Root) -> impl Iterator<Item = ReloKind> {
    root.needs
        .iter()
        .map(|&n| needs.iter().as_slice()[n].kind())
}
