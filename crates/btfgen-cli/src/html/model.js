'use strict';
// The data, and what is shown of them: states, columns and lines. Nothing here touches the document's view.

const data = JSON.parse(document.getElementById('data').textContent);

// From harmless to fatal. The position is the rank by which a column of many kernels shows its worst.
// The command writes the letters.
const STATES = [
  { letter: 'o', name: 'other byte order', sign: '/', css: 'other', says: 'These kernels have another byte order than the object.' },
  { letter: '.', name: 'found', sign: '·', css: 'found', says: 'The relocation finds what it asks for.' },
  { letter: 'l', name: 'loads', sign: '✓', css: 'found', says: 'All relocations resolve, or the code shows that what is missing is never reached.' },
  { letter: 'n', name: 'answer “no”', sign: 'n', css: 'answer', says: 'The program asks whether this exists. The answer is “no”, which is no error.' },
  { letter: 'g', name: 'guarded', sign: 'g', css: 'guarded', says: 'libbpf poisons this access, and no program reaches it on these kernels.' },
  { letter: 'p', name: 'poisoned', sign: 'p', css: 'poisoned', says: 'libbpf poisons an access. The program loads only if the verifier sees that it is never reached.' },
  { letter: 'f', name: 'fails', sign: 'F', css: 'fails', says: 'Each way through the program meets a poisoned access, so the verifier refuses it.' },
  { letter: 'r', name: 'refused', sign: 'R', css: 'refused', says: 'libbpf refuses to load the object.' },
  { letter: '?', name: 'unknown', sign: '?', css: 'other', says: 'This page does not know the state.' },
];
const RANK = new Map(STATES.map((state, rank) => [state.letter, rank]));
const OTHER = RANK.get('o');
const LOADS = RANK.get('l');
const ANSWER = RANK.get('n');
// What a relocation can have, in the order of the buttons.
const EFFECTS = ['r', 'p', 'g', 'n', '.', 'o'].map(letter => RANK.get(letter));

const LEVELS = ['distribution', 'version', 'group', 'kernel'];
const GROUP = 2;

const text = index => data.texts[index];
const plural = (count, noun) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;

// Calls back for each run of `a12b3c`.
function eachRun(runs, call) {
  let at = 0;
  for (const [, letter, count] of runs.matchAll(/([^0-9])([0-9]*)/gu)) {
    const end = at + (count ? Number(count) : 1);
    call(letter, at, end);
    at = end;
  }
}

function remembered(make) {
  const known = new Map();
  return key => {
    if (!known.has(key)) known.set(key, make(key));
    return known.get(key);
  };
}

// The rank of each group, of one row of cells.
const ranks = remembered(cells => {
  const all = new Uint8Array(data.groups);
  eachRun(data.cells[cells], (letter, from, to) => all.fill(RANK.get(letter) ?? RANK.get('?'), from, to));
  return all;
});

// The option of each group, of a need.
const answers = remembered(need => {
  const all = new Uint32Array(data.groups);
  eachRun(data.cells[data.needs[need].answers], (letter, from, to) => {
    const code = letter.codePointAt(0);
    let number = code >= 0xe000 ? code - 0x800 - 0x100 + 52 : code - 0x100 + 52;
    if (code < 0x5b) number = code - 0x41;
    else if (code < 0x7b) number = code - 0x61 + 26;
    all.fill(number, from, to);
  });
  return all;
});

// All kernels, in the order of their ids.
const kernels = data.kernels.flatMap(({ distro, version, arch, releases, groups }) =>
  releases.map((release, n) => ({
    distro, version: `${version} ${arch}`, release, group: groups[n],
    id: `${distro}/${version}/${arch}/${release}`,
  })));
kernels.forEach(kernel => { kernel.lower = kernel.id.toLowerCase(); });

// `5.4.0-26…42-generic` for the first and the last of some releases.
function range(first, last) {
  if (first === last) return first;
  let end = 0;
  while (end < Math.min(first.length, last.length) && first.at(-1 - end) === last.at(-1 - end)) end++;
  const flavour = first.slice(first.length - end).match(/[-.][a-z].*$/i)?.[0] ?? '';
  const [a, b] = [first, last].map(release => release.slice(0, release.length - flavour.length));
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  while (same > 0 && /[0-9]/.test(a[same - 1])) same--;
  return `${a}…${b.slice(same)}${flavour}`;
}

const words = query => query.toLowerCase().split(/\s+/).filter(Boolean);
const hasAll = (lower, wanted) => wanted.every(word => lower.includes(word));

// ---- Columns: a tree of distributions, versions, groups and kernels ----

function node(level, key, label, parent) {
  return { level, key, label, parent, kids: [], kernels: [], counts: new Map() };
}

function tree(shown) {
  const root = node(-1, '', 'all kernels', null);
  const known = new Map();
  for (const kernel of shown) {
    let at = root;
    const steps = [kernel.distro, kernel.version, String(kernel.group), kernel.release];
    steps.forEach((step, level) => {
      const key = `${at.key}/${step}`;
      if (!known.has(key)) {
        known.set(key, node(level, key, step, at));
        at.kids.push(known.get(key));
      }
      at = known.get(key);
      at.kernels.push(kernel);
    });
    root.kernels.push(kernel);
  }
  root.weights = remembered(cells => cell(ranks(cells), root));
  for (const one of [root, ...known.values()]) {
    for (const { group } of one.kernels) one.counts.set(group, (one.counts.get(group) ?? 0) + 1);
    if (one.level === GROUP) one.label = range(one.kernels[0].release, one.kernels.at(-1).release);
  }
  return root;
}

// The columns at a level, except that some nodes are toggled.
function columns(root, level, toggled) {
  const all = [];
  const walk = one => {
    const isOpen = one.level < 0 || (one.level < level) !== toggled.has(one.key);
    if (isOpen && one.kids.length) one.kids.forEach(walk);
    else all.push(one);
  };
  walk(root);
  return all;
}

// A kernel is not named by its group.
const above = one => (one.level > GROUP ? one.parent.parent : one.parent);
const nameOf = one => [above(one)?.level >= 0 ? nameOf(above(one)) : '', one.label].join(' ').trim();

// What a row of cells has in a column: the number of kernels by rank, and the worst.
function cell(row, column) {
  const counts = new Array(STATES.length).fill(0);
  let worst = 0;
  for (const [group, count] of column.counts) {
    const rank = row[group];
    counts[rank] += count;
    if (rank > worst) worst = rank;
  }
  return { counts, worst };
}

// ---- Lines: objects, their programs, and their relocations ----

// The type and the rest of a relocation's name: `struct foo` and `.bar[3]`.
const partsOf = name => name.match(/^((?:struct |union |enum )?[^.[:]*)(.*)$/s).slice(1);
const baseName = path => path.slice(path.lastIndexOf('/') + 1);

const objects = data.objects.map((object, o) => {
  // Objects of several folders may have one name.
  const isSecond = data.objects.slice(0, o).some(({ name }) => name === object.name);
  const line = { kind: 'object', key: text(object.name) + (isSecond ? `#${o}` : ''), name: text(object.name), asks: object.asks.map(text), cells: object.cells, depth: 0, number: o };
  line.kids = object.programs.map((program, p) => {
    const section = text(program.section);
    const name = program.name === null ? section : text(program.name);
    const one = { kind: 'program', key: `${line.key} ${section}:${name}`, name, section, program, cells: program.cells, depth: 1, number: p, parent: line };
    one.kids = program.rows.map((row, r) => {
      const need = data.needs[row.need];
      const file = row.file === null ? '' : text(row.file);
      const place = file && `${file}:${row.line}`;
      return {
        kind: 'row', key: `${one.key} ${place} ${need.kind} ${text(need.name)}`, name: text(need.name), need: row.need, row, place,
        shortPlace: baseName(place), cells: row.cells, depth: 2, number: r, parent: one, kids: [],
      };
    });
    return one;
  });
  return line;
});
for (const object of objects) {
  object.lower = object.name.toLowerCase();
  for (const program of object.kids) {
    program.lower = `${object.lower} ${program.section} ${program.name}`.toLowerCase();
    for (const row of program.kids) {
      row.lower = `${program.lower} ${data.needs[row.need].kind} ${row.name} ${row.place}`.toLowerCase();
    }
  }
}

const NO_CELL = { counts: [], worst: -1 };

// How a line compares: its worst rank, on how many kernels, and on how many kernels something fails.
function weight(line, root) {
  return line.cells === null ? NO_CELL : root.weights(line.cells);
}

const failures = ({ counts }) => counts.reduce((sum, count, rank) => sum + (rank >= ANSWER ? count : 0), 0);

// The lines that match, in order. `chosen` has the ranks of which a row needs one.
function lines({ query, sort, chosen, root, folded }) {
  const wanted = words(query);
  const compare = {
    file: () => 0,
    name: (a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)),
    worst: (a, b) => {
      const [x, y] = [worst(a), worst(b)];
      return y.worst - x.worst || worstKid(b) - worstKid(a) || (y.counts[y.worst] ?? 0) - (x.counts[x.worst] ?? 0);
    },
    kernels: (a, b) => failed(b) - failed(a),
  }[sort];
  const worst = line => {
    const own = weight(line, root);
    // A function without a verdict is as bad as its rows.
    return own === NO_CELL ? line.kids.map(worst).reduce((a, b) => (b.worst > a.worst ? b : a), NO_CELL) : own;
  };
  const worstKid = line => Math.max(-1, ...line.kids.map(kid => Math.max(worst(kid).worst, worstKid(kid))));
  const failed = line => (line.kind === 'row' ? failures(weight(line, root))
    : Math.max(0, ...line.kids.map(failed)));
  const isShown = row => hasAll(row.lower, wanted)
    && (chosen.size === 0 || [...chosen].some(rank => weight(row, root).counts[rank] > 0));
  const shown = [];
  for (const object of [...objects].sort(compare)) {
    const inObject = [];
    for (const program of [...object.kids].sort(compare)) {
      const rows = program.kids.filter(isShown).sort(compare);
      if (rows.length || (chosen.size === 0 && hasAll(program.lower, wanted))) {
        inObject.push(program, ...(folded.has(program.key) ? [] : rows));
      }
    }
    if (inObject.length || (chosen.size === 0 && hasAll(object.lower, wanted))) {
      shown.push(object, ...(folded.has(object.key) ? [] : inObject));
    }
  }
  return shown;
}

// The number of rows with each effect, whatever is chosen.
function effectCounts(query, root) {
  const wanted = words(query);
  const counts = new Array(STATES.length).fill(0);
  for (const object of objects) {
    for (const row of object.kids.flatMap(program => program.kids)) {
      if (!hasAll(row.lower, wanted)) continue;
      weight(row, root).counts.forEach((count, rank) => { counts[rank] += count > 0 ? 1 : 0; });
    }
  }
  return counts;
}

// Kernels in a few words: for each version the first and the last of those that follow each other among all.
function ranges(of) {
  const chosen = new Set(of);
  const all = [];
  let open = null;
  for (const kernel of kernels) {
    const place = `${kernel.distro} ${kernel.version}`;
    if (!chosen.has(kernel)) open = null;
    else if (open?.place === place) open.kernels.push(kernel);
    else all.push(open = { place, kernels: [kernel] });
  }
  return all.map(({ place, kernels: run }) => ({
    place, releases: range(run[0].release, run.at(-1).release), count: run.length,
  }));
}
