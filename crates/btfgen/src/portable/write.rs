//! Writes the merged types as C, each after those that it needs.

use std::collections::{BTreeMap, HashMap, HashSet};

use btfgen_archive::KernelId;
use btfgen_hub::{Error, ErrorKind, Result};
use btfgen_libbpf::essential_name;

use super::merge::{
    Composite, Declaration, Enum, Exact, Field, FieldType, Merge, Nameless, Needed,
};
use super::runs::Runs;
use crate::header::{END, START};
use crate::shape::{TypeKind, TypeName};

/// The deepest nesting of types in each other. Kernels stay below 30.
const MAX_DEPTH: usize = 500;

/// What the compiler of a kernel for arm64 defines, as libbpf writes it.
const ALIASES: &str = "\
typedef unsigned char __Poly8_t;

typedef unsigned short __Poly16_t;

typedef unsigned long long __Poly64_t;

typedef unsigned __int128 __Poly128_t;

";

/// A compiler has this typedef.
const BUILT_IN: &str = "__builtin_va_list";

struct Writer<'m> {
    merge: &'m Merge<'m>,
    /// The names of structs, unions and enums in the header.
    tags: HashMap<TypeName, String>,
    text: String,
    /// The types that are written, or are being written, which is `false`.
    written: HashMap<Needed, bool>,
    /// The names of typedefs and enumerators, which C does not tell apart.
    names: HashSet<String>,
    conflicts: Vec<String>,
}

impl Merge<'_> {
    /// The header, and the types whose fields or values differ.
    pub(super) fn write(mut self) -> Result<(String, Vec<String>)> {
        let mut all: Vec<TypeName> = self.order.clone();
        all.extend(self.forward.iter().cloned());
        all.retain(|name| name.kind != TypeKind::Typedef);
        let tags = all.into_iter().map(|name| (name.clone(), self.tag(&name)));
        let tags = tags.collect();
        let mut writer = Writer {
            merge: &self,
            tags,
            text: String::new(),
            written: HashMap::new(),
            names: HashSet::new(),
            conflicts: Vec::new(),
        };
        writer.write()?;
        Ok((writer.text, writer.conflicts))
    }
}

impl Writer<'_> {
    fn write(&mut self) -> Result<()> {
        let merge = self.merge;
        let kernels = &merge.kernels;
        let mut all = Runs::default();
        (0..kernels.len()).for_each(|kernel| all.add(kernel));
        self.text = format!(
            "/*\n * The types of {}.\n *\n * A struct has the fields that any of these kernels has, so it may have the layout of none: read its fields one by one,\n * and ask bpf_core_field_exists() before. If a field has another type in some kernels, that is in a flavour: struct x___5_10.\n */\n{START}",
            all.told(kernels)
        );
        for (name, typedef) in &merge.typedefs {
            let variants = (0..typedef.variants.len()).map(|n| typedef_name(&name.name, n));
            self.names.extend(variants);
        }
        for name in &merge.forward {
            let tag = self.tag(name);
            self.text.push_str(&format!("{tag};\n\n"));
        }
        self.text.push_str(ALIASES);
        for constants in &merge.constants {
            let body = self.enumerators("enum", constants, "");
            self.text.push_str(&format!("enum {body};\n\n"));
        }
        for name in &merge.order {
            let variants = match merge.typedefs.get(name) {
                Some(typedef) => typedef.variants.len(),
                None => 1,
            };
            for variant in 0..variants {
                let ty = name.clone();
                self.define(&Needed { ty, variant }, 0)?;
            }
        }
        self.text.push_str(END);
        Ok(())
    }

    fn tag(&self, name: &TypeName) -> String {
        self.tags
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_string())
    }

    /// Writes a type, if it is not written yet. The result is false if it is just being written, which cannot contain itself.
    fn define(&mut self, needed: &Needed, depth: usize) -> Result<bool> {
        if let Some(done) = self.written.get(needed) {
            return Ok(*done);
        }
        if depth > MAX_DEPTH {
            let subject = needed.ty.to_string();
            let message = "is nested too deep in other types";
            return Err(Error::new(ErrorKind::InvalidKernel, subject, message));
        }
        self.written.insert(needed.clone(), false);
        let merge = self.merge;
        let name = &needed.ty;
        if let Some(composite) = merge.composites.get(name) {
            self.composite(name, composite, depth)?;
        } else if let Some(known) = merge.enums.get(name) {
            let tag = self.tag(name);
            let body = self.enumerators(&name.to_string(), known, "");
            self.text.push_str(&format!("{tag} {body};\n\n"));
        } else if let Some(typedef) = merge.typedefs.get(name)
            && let Some(variant) = typedef.variants.get(needed.variant)
            && name.name != BUILT_IN
        {
            self.typedef(name, variant, needed.variant, depth)?;
        }
        self.written.insert(needed.clone(), true);
        Ok(true)
    }

    fn typedef(
        &mut self,
        name: &TypeName,
        variant: &FieldType,
        n: usize,
        depth: usize,
    ) -> Result<()> {
        if !self.define_all(&variant.declaration, depth)? {
            return Ok(());
        }
        let declaration = self.declaration(&name.to_string(), variant, "", depth)?;
        let comment = match n {
            0 => String::new(),
            _ => {
                self.conflicts.push(format!("{name}: another type"));
                format!(" /* {} */", variant.kernels.told(&self.merge.kernels))
            }
        };
        self.text
            .push_str(&format!("typedef {declaration};{comment}\n\n"));
        Ok(())
    }

    /// Writes the types that a declaration needs. The result is false if one of them is just being written.
    fn define_all(&mut self, declaration: &Declaration, depth: usize) -> Result<bool> {
        let mut is_possible = true;
        for needed in &declaration.needs {
            is_possible &= self.define(needed, depth + 1)?;
        }
        if let Some(Nameless::Composite(_, composite)) = declaration.nameless.as_deref() {
            for field in &composite.fields {
                for ty in field.types.iter().take(1) {
                    self.define_all(&ty.declaration, depth + 1)?;
                }
            }
        }
        Ok(is_possible)
    }

    fn composite(&mut self, name: &TypeName, composite: &Composite, depth: usize) -> Result<()> {
        let mut is_possible = true;
        for ty in composite.fields.iter().flat_map(|field| &field.types) {
            is_possible &= self.define_all(&ty.declaration, depth)?;
        }
        let tag = self.tag(name);
        if let Exact::Same(text) = &composite.exact
            && is_possible
            && tag == name.to_string()
            && self.is_plain(composite)
        {
            self.text.push_str(text);
            self.text.push_str("\n\n");
            return Ok(());
        }
        let body = self.fields(&name.to_string(), composite, "\t", depth)?;
        self.text.push_str(&format!("{tag} {{\n{body}}};\n\n"));
        self.flavours(name, composite, depth)
    }

    /// Whether the names in libbpf's text are those of this header.
    fn is_plain(&self, composite: &Composite) -> bool {
        composite.fields.iter().all(|field| {
            let [ty] = &field.types[..] else { return false };
            let is_plain = |needed: &Needed| {
                let is_tag = needed.ty.kind != TypeKind::Typedef;
                needed.variant == 0 && (!is_tag || self.tag(&needed.ty) == needed.ty.to_string())
            };
            ty.declaration.needs.iter().all(is_plain)
                && match ty.declaration.nameless.as_deref() {
                    Some(Nameless::Composite(_, inner)) => self.is_plain(inner),
                    // Its enumerators may have to be called otherwise.
                    Some(Nameless::Enum(_)) => false,
                    None => true,
                }
        })
    }

    /// The first type of each field.
    fn fields(
        &mut self,
        of: &str,
        composite: &Composite,
        indent: &str,
        depth: usize,
    ) -> Result<String> {
        let mut text = String::new();
        for field in &composite.fields {
            let Some(ty) = field.types.first() else {
                continue;
            };
            let line = self.field(of, field, ty, &composite.kernels, indent, depth)?;
            text.push_str(&line);
            if field.types.len() > 1 {
                let number = field.types.len();
                self.conflicts
                    .push(format!("{of}: {} has {number} types", field.name));
            }
        }
        Ok(text)
    }

    fn field(
        &mut self,
        of: &str,
        field: &Field,
        ty: &FieldType,
        all: &Runs,
        indent: &str,
        depth: usize,
    ) -> Result<String> {
        if !self.define_all(&ty.declaration, depth)? {
            self.conflicts
                .push(format!("{of}: {} is left out", field.name));
            let name = &field.name;
            let told = ty.kernels.told(&self.merge.kernels);
            return Ok(format!(
                "{indent}/* {name} is left out: on {told} its type contains what contains this struct elsewhere */\n"
            ));
        }
        let declaration = self.declaration(of, ty, indent, depth)?;
        let told = ty.kernels.told_of(all, &self.merge.kernels);
        let comment = match told.is_empty() {
            true => String::new(),
            false => format!(" /* {told} */"),
        };
        Ok(format!("{indent}{declaration};{comment}\n"))
    }

    fn declaration(
        &mut self,
        of: &str,
        ty: &FieldType,
        indent: &str,
        depth: usize,
    ) -> Result<String> {
        let declaration = &ty.declaration;
        let (Some(nameless), Some((before, after))) =
            (declaration.nameless.as_deref(), declaration.around())
        else {
            return Ok(declaration.text.clone());
        };
        let definition = match nameless {
            Nameless::Composite(keyword, composite) => {
                let inner = format!("{indent}\t");
                let body = self.fields(of, composite, &inner, depth + 1)?;
                format!("{keyword} {{\n{body}{indent}}}")
            }
            Nameless::Enum(known) => format!("enum {}", self.enumerators(of, known, indent)),
        };
        Ok(format!("{before}{definition}{after}"))
    }

    /// The other types of fields, each in the flavour of the first kernel with it.
    fn flavours(&mut self, name: &TypeName, composite: &Composite, depth: usize) -> Result<()> {
        let mut flavours: BTreeMap<String, Vec<(&Field, &FieldType)>> = BTreeMap::new();
        for field in &composite.fields {
            for ty in field.types.iter().skip(1) {
                let version = version_of(&self.merge.kernels[ty.kernels.first()]);
                let mut flavour = version.clone();
                let mut n = 1;
                // One flavour has a field once.
                let has_field = |fields: &Vec<(&Field, _)>| {
                    fields.iter().any(|(known, _)| known.name == field.name)
                };
                while flavours.get(&flavour).is_some_and(has_field) {
                    n += 1;
                    flavour = format!("{version}_{n}");
                }
                flavours.entry(flavour).or_default().push((field, ty));
            }
        }
        let of = name.to_string();
        for (flavour, fields) in flavours {
            let flavour = format!("{}___{flavour}", name.name);
            if essential_name(flavour.as_bytes()) != name.name.as_bytes() {
                // The struct's name ends so that libbpf would not see a flavour.
                continue;
            }
            let mut body = String::new();
            for (field, ty) in fields {
                body.push_str(&self.field(&of, field, ty, &composite.kernels, "\t", depth)?);
            }
            let keyword = name.kind.keyword();
            self.text
                .push_str(&format!("{keyword} {flavour} {{\n{body}}};\n\n"));
        }
        Ok(())
    }

    fn enumerators(&mut self, of: &str, known: &Enum, indent: &str) -> String {
        let mut body = String::new();
        let mut is_wide = false;
        for (name, values) in &known.enumerators {
            let name = self.unique(name);
            let mut values = values.iter();
            let Some((value, _)) = values.next() else {
                continue;
            };
            is_wide |= i32::try_from(*value).is_err() && u32::try_from(*value).is_err();
            let others = values.map(|(value, kernels)| {
                format!("{value} on {}", kernels.told(&self.merge.kernels))
            });
            let others: Vec<String> = others.collect();
            let comment = match others.is_empty() {
                true => String::new(),
                false => format!(" /* {} */", others.join("; ")),
            };
            if !others.is_empty() {
                self.conflicts
                    .push(format!("{of}: {name} has several values"));
            }
            let value = match i64::try_from(*value) {
                Ok(i64::MIN) => "(-9223372036854775807LL - 1)".to_owned(),
                Ok(value) if is_wide => format!("{value}LL"),
                Ok(value) => value.to_string(),
                Err(_) => format!("{value}ULL"),
            };
            body.push_str(&format!("{indent}\t{name} = {value},{comment}\n"));
        }
        // As libbpf does it.
        let mode = match known.size {
            1 => " __attribute__((mode(byte)))",
            8 if !is_wide => " __attribute__((mode(word)))",
            _ => "",
        };
        match body.is_empty() {
            true => String::new(),
            false => format!("{{\n{body}{indent}}}{mode}"),
        }
    }

    /// A name for an enumerator that no typedef or other enumerator has.
    fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        let mut n = 1;
        while !self.names.insert(unique.clone()) {
            n += 1;
            unique = format!("{name}___{n}");
        }
        unique
    }
}

fn typedef_name(name: &str, variant: usize) -> String {
    match variant {
        0 => name.to_owned(),
        n => format!("{name}___{}", n + 1),
    }
}

/// The first two numbers of a kernel's release, as a part of a name: `5_10`.
fn version_of(kernel: &KernelId) -> String {
    let numbers = kernel.release().split(|c: char| !c.is_ascii_alphanumeric());
    let numbers: Vec<&str> = numbers
        .filter(|number| !number.is_empty())
        .take(2)
        .collect();
    numbers.join("_")
}
