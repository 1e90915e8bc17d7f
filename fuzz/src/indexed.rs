//! Archives with an index that is right, but for the lies that the fuzzer adds.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;

use crate::forge::{self, Forged, Listed};

/// An archive to be.
#[derive(Arbitrary, Debug)]
pub struct Indexed<'a> {
    in_directory: bool,
    groups: Vec<Vec<Entry<'a>>>,
    manifest: Option<Vec<Line<'a>>>,
    /// How many entries a page has; 0 for one page, in the root.
    page_len: u8,
    deflated: bool,
    lies: Vec<Lie<'a>>,
}

/// An entry of the tar. Its name is one of a few, so that links and lookups meet it.
#[derive(Arbitrary, Debug)]
enum Entry<'a> {
    Kernel { number: u8, data: &'a [u8] },
    Zeros { number: u8, len: u32 },
    Link { number: u8, to: u8 },
    File { number: u8, data: &'a [u8] },
    Odd(Odd<'a>),
}

/// An entry that an honest writer would not make; the index does not list it.
#[derive(Arbitrary, Debug)]
struct Odd<'a> {
    name: OddName<'a>,
    typeflag: u8,
    link: u8,
    size: Option<[u8; 12]>,
    data: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum OddName<'a> {
    Bytes(&'a [u8]),
    Kernel(u8),
    Above(u8),
}

/// A line of the manifest.
#[derive(Arbitrary, Debug)]
enum Line<'a> {
    Tool(&'a str),
    Option(&'a str),
    Escaped(u32),
    Objects(Vec<u32>),
    Any(&'a [u8]),
}

/// What is wrong with the index. Numbers are taken modulo what there is.
#[derive(Arbitrary, Debug)]
enum Lie<'a> {
    Forget(u8),
    Kernel(u8, u8, Option<u32>),
    Swap(u8, u8),
    Key(u8, &'a [u8]),
    LongKey(u8, u16),
    Block(u8, u64),
    Checksum(u8, Option<u32>),
    FirstKey(u8, &'a [u8]),
    Page(u8, &'a [u8]),
    PageByte(u8, u16, u8),
    PageTail(u8, &'a [u8], u16),
    Inline(&'a [u8], u16),
    Directory(&'a [u8]),
    Root(&'a [u8], u16),
    RootByte(u16, u8),
    RootNumber(u16, u64),
    ArchiveByte(u16, u8),
}

/// How much zeros and repetitions may make of a few bytes: more than the limits that the reader is given.
const MAX_GROWTH: usize = 1 << 20;

const BLOCK: usize = 512;

/// One of 32 kernels: distribution, version, architecture and release.
pub fn kernel(number: u8) -> [&'static str; 4] {
    let n = usize::from(number);
    let releases = ["5.4.0-9-generic", "5.4.0-26-generic", "4.18.0-305.el8", "6"];
    [
        ["ubuntu", "rhel"][n % 2],
        ["20.04", "8"][n / 2 % 2],
        ["x86_64", "arm64"][n / 4 % 2],
        releases[n / 8 % 4],
    ]
}

/// One of four files.
pub fn file_name(number: u8) -> &'static str {
    ["package.json", "LICENSE", "a/b", "a"][usize::from(number) % 4]
}

impl Indexed<'_> {
    /// Whether nothing is wrong: lookups by the index must find what is in the tar, and nothing else.
    pub fn is_honest(&self) -> bool {
        let is_odd = |entry: &Entry<'_>| matches!(entry, Entry::Odd(_));
        self.lies.is_empty() && !self.groups.iter().flatten().any(is_odd)
    }

    /// The archive.
    pub fn archive(&self) -> Vec<u8> {
        let (groups, mut listed) = self.tar();
        for lie in &self.lies {
            lie.tell_of_entries(&mut listed);
        }
        let (mut pages, mut inline) = (Vec::new(), Vec::new());
        match usize::from(self.page_len) {
            0 => inline = forge::page(&listed),
            len => pages.extend(
                listed
                    .chunks(len)
                    .map(|page| (page[0].key.clone(), forge::page(page))),
            ),
        }
        let mut forged = Forged {
            prefix: self.directory().as_bytes().to_vec(),
            groups,
            pages,
            inline,
            deflated: self.deflated,
        };
        for lie in &self.lies {
            lie.tell_of_parts(&mut forged);
        }
        let mut archive =
            forged.archive(|root| self.lies.iter().for_each(|lie| lie.tell_of_root(root)));
        for lie in &self.lies {
            if let Lie::ArchiveByte(at, byte) = lie {
                let len = archive.len();
                archive[usize::from(*at) % len] ^= byte;
            }
        }
        archive
    }

    fn directory(&self) -> &'static str {
        if self.in_directory { "hub/btfs" } else { "" }
    }

    /// The groups of the tar, and what an honest index lists.
    fn tar(&self) -> (Vec<Vec<u8>>, Vec<Listed>) {
        let mut listed = BTreeMap::new();
        let mut groups = vec![Vec::new()];
        let (mut first_block, mut growth) = (0, 0);
        for (n, entries) in self.groups.iter().enumerate() {
            if n > 0 {
                groups.push(Vec::new());
            }
            let group = groups.last_mut().expect("there is one at least");
            for entry in entries {
                let block = first_block + (group.len() / BLOCK) as u64;
                let (bytes, what) = self.entry(entry, &mut growth);
                group.extend(bytes);
                if let Some((key, crc)) = what {
                    let key = key.into_bytes();
                    let entry = Listed { key, block, crc };
                    // The first of equals counts.
                    listed.entry(entry.key.clone()).or_insert(entry);
                }
            }
            first_block += (group.len() / BLOCK) as u64;
        }
        if let Some(lines) = &self.manifest {
            let mut text = b"btfgen-manifest 1\n".to_vec();
            lines.iter().for_each(|line| line.write(&mut text));
            let entry = Listed::file("/.btfgen/manifest", first_block, &text);
            listed.insert(entry.key.clone(), entry);
            let group = groups.last_mut().expect("there is one at least");
            group.extend(forge::file("./.btfgen/manifest", &text));
        }
        (groups, listed.into_values().collect())
    }

    /// An entry in the tar: its key and, for a file, its checksum.
    fn entry(
        &self,
        entry: &Entry<'_>,
        growth: &mut usize,
    ) -> (Vec<u8>, Option<(String, Option<u32>)>) {
        let stored = |name: &str, key: String, data: &[u8]| {
            let what = (key, Some(forge::crc_of(data)));
            (forge::file(name, data), Some(what))
        };
        match entry {
            Entry::Kernel { number, data } => {
                stored(&self.kernel_name(*number), key(*number), data)
            }
            Entry::Zeros { number, len } => {
                let len = *len as usize % (MAX_GROWTH - *growth + 1);
                *growth += len;
                stored(&self.kernel_name(*number), key(*number), &vec![0; len])
            }
            Entry::Link { number, to } => {
                let (name, to) = (self.kernel_name(*number), self.kernel_name(*to));
                let what = (key(*number), None);
                (forge::entry(name, b'1', to, "", b""), Some(what))
            }
            Entry::File { number, data } => {
                let name = file_name(*number);
                stored(name, format!("/{name}"), data)
            }
            Entry::Odd(odd) => (self.odd_entry(odd), None),
        }
    }

    fn odd_entry(&self, odd: &Odd<'_>) -> Vec<u8> {
        let name = match odd.name {
            OddName::Bytes(name) => name.to_vec(),
            OddName::Kernel(number) => self.kernel_name(number).into_bytes(),
            OddName::Above(number) => format!("../{}", self.kernel_name(number)).into_bytes(),
        };
        let right = format!("{:011o}", odd.data.len()).into_bytes();
        let size = odd.size.map_or(right, Vec::from);
        let link = self.kernel_name(odd.link);
        forge::entry(name, odd.typeflag, link, size, odd.data)
    }

    fn kernel_name(&self, number: u8) -> String {
        let path = kernel(number).join("/");
        match self.directory() {
            "" => format!("./{path}.btf"),
            directory => format!("./{directory}/{path}.btf"),
        }
    }
}

fn key(number: u8) -> String {
    let [distro, version, arch, release] = kernel(number);
    format!("{release}/{arch}/{distro}/{version}")
}

impl Line<'_> {
    fn write(&self, text: &mut Vec<u8>) {
        match self {
            Self::Tool(tool) => text.extend(format!("tool {tool}").bytes()),
            Self::Option(option) => text.extend(format!("option {option}").bytes()),
            Self::Escaped(hex) => text.extend(format!("tool a\\u{{{hex:x}}}b").bytes()),
            Self::Objects(digests) => {
                let digests = digests.iter().map(|digest| format!(" {digest:08x}"));
                text.extend(format!("objects{}", digests.collect::<String>()).bytes());
            }
            Self::Any(line) => text.extend(*line),
        }
        text.push(b'\n');
    }
}

impl Lie<'_> {
    fn tell_of_entries(&self, listed: &mut Vec<Listed>) {
        if let Self::Kernel(number, block, crc) = self {
            let entry = Listed {
                key: key(*number).into_bytes(),
                block: u64::from(*block),
                crc: *crc,
            };
            // In order, so that it is believed.
            match listed.binary_search_by(|other| other.key.cmp(&entry.key)) {
                Ok(at) => listed[at] = entry,
                Err(at) => listed.insert(at, entry),
            }
        }
        let count = listed.len();
        if count == 0 {
            return;
        }
        let at = |n: &u8| usize::from(*n) % count;
        match self {
            Self::Forget(n) => drop(listed.remove(at(n))),
            Self::Swap(a, b) => listed.swap(at(a), at(b)),
            Self::Key(n, key) => listed[at(n)].key = key.to_vec(),
            Self::LongKey(n, len) => {
                let key = &mut listed[at(n)].key;
                key.resize(key.len() + usize::from(*len), b'x');
            }
            Self::Block(n, block) => listed[at(n)].block = *block,
            Self::Checksum(n, crc) => listed[at(n)].crc = *crc,
            _ => {}
        }
    }

    fn tell_of_parts(&self, forged: &mut Forged) {
        let count = forged.pages.len();
        match self {
            Self::Directory(name) => forged.prefix = name.to_vec(),
            Self::Inline(bytes, times) => repeat(&mut forged.inline, bytes, *times),
            _ if count == 0 => {}
            Self::FirstKey(n, key) => forged.pages[usize::from(*n) % count].0 = key.to_vec(),
            Self::Page(n, bytes) => forged.pages[usize::from(*n) % count].1 = bytes.to_vec(),
            Self::PageByte(n, at, byte) => {
                let page = &mut forged.pages[usize::from(*n) % count].1;
                change(page, *at, *byte);
            }
            Self::PageTail(n, bytes, times) => {
                repeat(&mut forged.pages[usize::from(*n) % count].1, bytes, *times);
            }
            _ => {}
        }
    }

    fn tell_of_root(&self, root: &mut Vec<u8>) {
        match self {
            Self::Root(bytes, times) => {
                root.clear();
                repeat(root, bytes, *times);
            }
            Self::RootByte(at, byte) => change(root, *at, *byte),
            Self::RootNumber(at, number) if !root.is_empty() => {
                let at = usize::from(*at) % root.len();
                let mut varint = Vec::new();
                forge::put_varint(&mut varint, *number);
                root.splice(at..=at, varint);
            }
            _ => {}
        }
    }
}

fn change(bytes: &mut [u8], at: u16, byte: u8) {
    if !bytes.is_empty() {
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= byte;
    }
}

/// Append `more` several times.
fn repeat(bytes: &mut Vec<u8>, more: &[u8], times: u16) {
    let room = MAX_GROWTH.saturating_sub(bytes.len());
    let times = usize::from(times).min(room / more.len().max(1));
    bytes.extend(more.repeat(times));
}
