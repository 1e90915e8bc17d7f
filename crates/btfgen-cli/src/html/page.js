// The view: only the rows and columns in sight are in the document.

const byId = id => document.getElementById(id);
const grid = byId('grid');
const head = byId('head');
const body = byId('body');
const panel = byId('details');
const tip = byId('tip');

const ROW = 24;
const BANDS = [22, 36];
const BLOCK = 8;
const OVERSCAN = 6;
const WIDTH = { least: 20, most: 56, mostLevel: 140 };
const LABEL = { least: 180, share: 0.42, most: 460, mostAlone: 640 };
const LETTER = 7.2;
// Labels have no room for the kinds of relocations.
const NARROW = 400;
const MAX_LEAF = 160;
const FLAT_LEAF = 40;
// A narrower band has no text.
const LEAST_BAND = 34;
// Above, a printed page shows only what is in sight.
const MAX_PRINTED_CELLS = 30000;
const WIDE_START = 80;

const START_LEVEL = columns(tree(kernels), GROUP, new Set()).length > WIDE_START ? 1 : GROUP;
const START = { query: '', kernels: '', sort: 'worst', level: START_LEVEL, chosen: [], theme: 'auto' };

const view = {
  ...START, chosen: new Set(), toggled: new Set(), folded: new Set(),
  // The selected cell: -1 is the head of the columns, or the label of the rows.
  line: 0, column: -1, isOpen: false, isPrinting: false,
};
// What follows from the view: see `rebuild`.
let shown = { root: null, kernels: '', columns: [], lines: [] };
let layout = { width: 0, label: 0, head: 0, bands: 0 };
// The rows in the document, by the index of the line, and the columns that they have.
let drawn = { rows: new Map(), from: 0, to: 0 };

// ---- From the view to the page ----

function rebuild() {
  const kept = { line: shown.lines[view.line]?.key, kernel: shown.columns[view.column]?.kernels[0] };
  const wanted = words(view.kernels);
  const isSame = shown.root && shown.kernels === view.kernels;
  const root = isSame ? shown.root : tree(kernels.filter(kernel => hasAll(kernel.lower, wanted)));
  shown = {
    root,
    kernels: view.kernels,
    columns: columns(root, view.level, view.toggled),
    lines: root.kernels.length ? lines({ query: view.query, sort: view.sort, chosen: view.chosen, root, folded: view.folded }) : [],
  };
  select(kept.line, kept.kernel);
  fillTools();
  resize();
}

// Selects the line with this key and the column with this kernel, if they are shown.
function select(key, kernel) {
  const line = key === undefined ? view.line : shown.lines.findIndex(one => one.key === key);
  view.line = Math.min(Math.max(line, shown.lines.length ? (view.line < 0 ? -1 : 0) : -1), shown.lines.length - 1);
  if (kernel) view.column = shown.columns.findIndex(one => one.kernels.includes(kernel));
  view.column = Math.min(view.column, shown.columns.length - 1);
}

function resize() {
  const { columns: all } = shown;
  const least = Math.round(Math.min(LABEL.most, Math.max(LABEL.least, grid.clientWidth * LABEL.share)));
  const room = Math.floor((grid.clientWidth - least - 8) / Math.max(1, all.length));
  const longest = Math.max(0, ...all.map(column => headText(column).length)) * LETTER + 18;
  // A few columns are so wide that their names are not upright.
  const most = longest <= WIDTH.mostLevel ? Math.max(WIDTH.most, longest) : WIDTH.most;
  const width = Math.min(most, Math.max(WIDTH.least, room));
  const label = Math.max(least, Math.min(LABEL.mostAlone, grid.clientWidth - width * all.length - 8));
  const isUpright = longest > width;
  const leaf = isUpright ? Math.min(MAX_LEAF, longest) : FLAT_LEAF;
  const bands = Math.max(0, ...all.map(column => Math.min(column.level, BANDS.length)));
  layout = {
    width, label, bands, isUpright,
    leaf,
    head: BANDS.slice(0, bands).reduce((sum, height) => sum + height, leaf),
    total: label + width * all.length,
  };
  grid.classList.toggle('narrow', label < NARROW);
  grid.style.setProperty('--label', `${label}px`);
  grid.style.setProperty('--column', `${width}px`);
  grid.setAttribute('aria-rowcount', shown.lines.length + 1);
  grid.setAttribute('aria-colcount', all.length + 1);
  for (const part of [head, body]) part.style.width = `${layout.total}px`;
  head.style.height = `${layout.head}px`;
  body.style.height = `${shown.lines.length * ROW}px`;
  byId('nothing').hidden = shown.lines.length > 0 && all.length > 0;
  redraw();
}

function redraw() {
  drawn.rows.forEach(row => row.remove());
  drawn = { rows: new Map(), from: -1, to: -1 };
  draw();
  showDetails();
}

const headText = column => (column.kernels.length > 1 && column.level < 3 ? `${column.kernels.length}× ${column.label}` : column.label);

function draw() {
  const count = shown.columns.length;
  const { scrollTop, scrollLeft } = grid;
  let [from, to] = [0, count];
  let [first, last] = [0, shown.lines.length];
  if (!view.isPrinting) {
    const inSight = (grid.clientWidth - layout.label) / layout.width;
    from = Math.max(0, Math.floor(scrollLeft / layout.width / BLOCK) * BLOCK - BLOCK);
    to = Math.min(count, Math.ceil((scrollLeft / layout.width + inSight) / BLOCK) * BLOCK + BLOCK);
    first = Math.max(0, Math.floor(scrollTop / ROW) - OVERSCAN);
    last = Math.min(last, Math.ceil((scrollTop + grid.clientHeight - layout.head) / ROW) + OVERSCAN);
  }
  const old = { from: drawn.from, to: drawn.to };
  const isMoved = from !== old.from || to !== old.to;
  if (isMoved) {
    [drawn.from, drawn.to] = [from, to];
    drawHead();
  }
  for (const [index, row] of drawn.rows) {
    if (index < first || index >= last) {
      row.remove();
      drawn.rows.delete(index);
    } else if (isMoved) {
      moveCells(row, index, old);
    }
  }
  const added = document.createDocumentFragment();
  for (let index = first; index < last; index++) {
    if (drawn.rows.has(index)) continue;
    const row = rowOf(index);
    drawn.rows.set(index, row);
    added.append(row);
  }
  body.append(added);
  mark();
}

// Makes only the cells that a row does not have yet.
function moveCells(row, index, old) {
  const { from, to } = drawn;
  const label = row.firstChild;
  if (old.to <= from || old.from >= to) {
    row.replaceChildren(label, ...cellsOf(index, from, to));
    return;
  }
  for (let c = old.from; c < from; c++) label.nextSibling.remove();
  for (let c = old.to; c > to; c--) row.lastChild.remove();
  label.after(...cellsOf(index, from, old.from));
  row.append(...cellsOf(index, old.to, to));
}

const idOf = (line, column) => `c${line}_${column}`;

function rowOf(index) {
  const line = shown.lines[index];
  const row = element('div', `line ${line.kind}`);
  row.setAttribute('role', 'row');
  row.setAttribute('aria-rowindex', index + 2);
  row.style.top = `${index * ROW}px`;
  row.append(labelOf(index), ...cellsOf(index, drawn.from, drawn.to));
  return row;
}

function labelOf(index) {
  const line = shown.lines[index];
  const label = element('div', 'label');
  label.id = idOf(index, -1);
  label.setAttribute('role', 'rowheader');
  label.setAttribute('aria-colindex', 1);
  if (line.kind === 'row') {
    const need = data.needs[line.need];
    const [type, path] = partsOf(line.name);
    label.append(element('span', 'type', type), element('span', 'name', path), element('span', 'kind', need.kind), element('span', 'place', line.shortPlace));
    label.setAttribute('aria-label', `${kindWords(need.kind)} ${line.name}, ${line.place}`);
    return label;
  }
  const isFolded = view.folded.has(line.key);
  const fold = element('span', 'fold', line.kids.length ? (isFolded ? '▸' : '▾') : '');
  fold.setAttribute('aria-hidden', 'true');
  label.append(fold, element('span', 'name', line.name));
  if (line.kind === 'program') {
    const isOff = line.program.autoload ? '' : ' · off by default';
    label.append(element('span', 'kind', line.name === line.section ? '' : line.section + isOff));
  }
  let loads = '';
  if (line.cells !== null) {
    const { counts } = cell(ranks(line.cells), shown.root);
    const all = shown.root.kernels.length - counts[OTHER];
    loads = all ? `loads on ${counts[LOADS].toLocaleString('en')} of ${all.toLocaleString('en')}` : STATES[OTHER].name;
  }
  label.append(element('span', 'place', loads));
  label.setAttribute('aria-label', `${line.kind} ${line.name} ${line.section ?? ''} ${loads}`);
  if (line.kids.length) label.setAttribute('aria-expanded', !isFolded);
  return label;
}

function cellsOf(index, from, to) {
  const line = shown.lines[index];
  const row = line.cells === null ? null : ranks(line.cells);
  const made = [];
  for (let c = from; c < to; c++) {
    const column = shown.columns[c];
    const one = document.createElement('div');
    one.id = idOf(index, c);
    one.style.left = `${layout.label + c * layout.width}px`;
    one.setAttribute('role', 'gridcell');
    one.setAttribute('aria-colindex', c + 2);
    made.push(one);
    if (!row) {
      one.className = 'cell';
      one.setAttribute('aria-label', 'no program');
      continue;
    }
    const what = cell(row, column);
    const state = STATES[what.worst];
    const all = column.kernels.length;
    const isMixed = what.counts[what.worst] !== all;
    one.className = isMixed ? 'cell mixed' : `cell ${state.css}`;
    one.textContent = state.sign;
    one.setAttribute('aria-label', isMixed ? `${state.name} on ${what.counts[what.worst]} of ${all} kernels` : state.name);
    if (isMixed) one.style.backgroundImage = shares(what.counts, all);
  }
  return made;
}

// The worst at the bottom, each as high as its share of the kernels.
function shares(counts, all) {
  const stops = [];
  let below = 0;
  for (let rank = counts.length - 1; rank >= 0; rank--) {
    if (!counts[rank]) continue;
    const above = below + 100 * counts[rank] / all;
    // At least a line of each can be seen.
    stops.push(`var(--${STATES[rank].css}) ${below.toFixed(1)}% ${Math.max(above, below + 12).toFixed(1)}%`);
    below = above;
  }
  return `linear-gradient(to top, ${stops.join(', ')})`;
}

function drawHead() {
  const rows = [];
  for (let level = 0; level < layout.bands; level++) {
    const row = element('div', 'bands');
    row.style.height = `${BANDS[level]}px`;
    row.setAttribute('role', 'row');
    row.append(element('div', 'corner'));
    row.append(...bandsOf(level));
    rows.push(row);
  }
  const leaves = element('div', layout.isUpright ? 'leaves upright' : 'leaves');
  leaves.setAttribute('role', 'row');
  leaves.setAttribute('aria-rowindex', 1);
  leaves.style.height = `${layout.leaf}px`;
  const counted = `${shown.lines.filter(line => line.kind === 'row').length.toLocaleString('en')} of ${ALL_ROWS.toLocaleString('en')} relocations · ${plural(shown.columns.length, 'column')}`;
  const hint = shown.columns.some(column => column.counts.size > 1) ? 'A cell shows the worst of its kernels, and their shares.' : '';
  const corner = element('div', 'corner', element('span', 'muted', counted), element('span', 'muted', hint));
  corner.setAttribute('role', 'columnheader');
  corner.setAttribute('aria-colindex', 1);
  corner.id = idOf(-1, -1);
  leaves.append(corner);
  for (let c = drawn.from; c < drawn.to; c++) {
    const column = shown.columns[c];
    const leaf = element('div', 'leaf', element('span', '', headText(column)));
    leaf.id = idOf(-1, c);
    leaf.style.left = `${layout.label + c * layout.width}px`;
    leaf.setAttribute('role', 'columnheader');
    leaf.setAttribute('aria-colindex', c + 2);
    leaf.setAttribute('aria-label', `${nameOf(column)}, ${plural(column.kernels.length, 'kernel')}`);
    leaves.append(leaf);
  }
  rows.push(leaves);
  head.replaceChildren(...rows);
}

// The ancestors of the drawn columns at a level.
function bandsOf(level) {
  const ancestor = index => {
    let one = shown.columns[index];
    while (one && one.level > level) one = one.parent;
    return one !== shown.columns[index] && one?.level === level ? one : null;
  };
  const made = [];
  for (let c = drawn.from; c < drawn.to; c++) {
    const one = ancestor(c);
    if (!one || (c > drawn.from && ancestor(c - 1) === one)) continue;
    let [start, end] = [c, c + 1];
    while (start > 0 && ancestor(start - 1) === one) start--;
    while (end < shown.columns.length && ancestor(end) === one) end++;
    const isWide = (end - start) * layout.width >= LEAST_BAND;
    const band = element('div', 'band', isWide ? element('span', '', ...one.label.split(' ').map(part => element('span', '', part))) : '');
    band.dataset.key = one.key;
    band.setAttribute('role', 'columnheader');
    band.setAttribute('aria-colindex', start + 2);
    band.setAttribute('aria-colspan', end - start);
    band.setAttribute('aria-label', `${nameOf(one)}, ${plural(one.kernels.length, 'kernel')}`);
    band.title = `${nameOf(one)}: ${plural(one.kernels.length, 'kernel')}. Click to close.`;
    band.style.left = `${layout.label + start * layout.width}px`;
    band.style.width = `${(end - start) * layout.width - 2}px`;
    made.push(band);
  }
  return made;
}

// Marks the selected cell.
function mark() {
  document.querySelectorAll('.selected').forEach(one => one.classList.remove('selected'));
  const id = idOf(view.line, view.column);
  byId(id)?.classList.add('selected');
  if (byId(id)) grid.setAttribute('aria-activedescendant', id);
  else grid.removeAttribute('aria-activedescendant');
}

function reveal() {
  const [top, left] = [view.line * ROW, view.column * layout.width];
  const [high, wide] = [grid.clientHeight - layout.head, grid.clientWidth - layout.label];
  if (view.line >= 0) {
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + ROW > grid.scrollTop + high) grid.scrollTop = top + ROW - high;
  }
  if (view.column >= 0) {
    if (left < grid.scrollLeft) grid.scrollLeft = left;
    else if (left + layout.width > grid.scrollLeft + wide) grid.scrollLeft = left + layout.width - wide;
  }
  draw();
}

function moveTo(line, column) {
  view.line = Math.min(Math.max(line, -1), shown.lines.length - 1);
  view.column = Math.min(Math.max(column, -1), shown.columns.length - 1);
  reveal();
  showDetails();
  remember();
}

// ---- Details ----

function showDetails() {
  const [line, column] = [shown.lines[view.line], shown.columns[view.column] ?? shown.root];
  const isShown = view.isOpen && column?.kernels.length > 0;
  if (panel.hidden === isShown) panel.hidden = !isShown;
  if (isShown) fillDetails(panel, line, column, goTo, closeDetails);
}

function openDetails(isOpen) {
  const hadFocus = panel.contains(document.activeElement);
  view.isOpen = isOpen;
  showDetails();
  resize();
  if (isOpen) reveal();
  else if (hadFocus) grid.focus();
  remember();
}

const closeDetails = () => { openDetails(false); grid.focus(); };

// Selects a row that the filter may hide.
function goTo(row) {
  if (!shown.lines.includes(row)) {
    Object.assign(view, { query: '', chosen: new Set() });
    [row.parent, row.parent.parent].forEach(one => view.folded.delete(one.key));
    rebuild();
  }
  moveTo(shown.lines.indexOf(row), view.column);
}

function toggleFold(line) {
  if (!line?.kids.length) return;
  if (!view.folded.delete(line.key)) view.folded.add(line.key);
  rebuild();
}

// Opens a column, or closes a node above columns.
function toggleColumn(one) {
  if (!one || !one.kids.length) return;
  const isColumn = shown.columns.includes(one);
  const kernel = one.kernels[0];
  // What is below starts as the level has it.
  for (const key of view.toggled) if (key.startsWith(`${one.key}/`)) view.toggled.delete(key);
  if (isColumn !== (one.level < view.level)) { if (!view.toggled.delete(one.key)) view.toggled.add(one.key); } else view.toggled.delete(one.key);
  rebuild();
  moveTo(view.line, shown.columns.findIndex(column => column.kernels.includes(kernel)));
}

function zoom(level) {
  view.level = Math.min(Math.max(level, 0), LEVELS.length - 1);
  view.toggled.clear();
  rebuild();
  reveal();
  remember();
}

// ---- The tools ----

const ALL_ROWS = objects.reduce((sum, object) => sum + object.kids.reduce((n, program) => n + program.kids.length, 0), 0);

function button(words, isPressed, press) {
  const made = element('button', '', words);
  made.type = 'button';
  made.setAttribute('aria-pressed', isPressed);
  made.addEventListener('click', press);
  return made;
}

function fillTools() {
  byId('zoom').replaceChildren(...LEVELS.map((name, level) => button(name, level === view.level, () => { zoom(level); byId('zoom').children[level].focus(); })));
  const counts = effectCounts(view.query, shown.root);
  const chips = EFFECTS.filter(rank => counts[rank] || view.chosen.has(rank)).map(rank => {
    const chip = button(badge(rank), view.chosen.has(rank), () => {
      if (!view.chosen.delete(rank)) view.chosen.add(rank);
      update();
      byId('chips').querySelector(`[data-rank="${rank}"]`)?.focus();
    });
    chip.append(element('span', 'muted', counts[rank].toLocaleString('en')));
    chip.title = STATES[rank].says;
    chip.dataset.rank = rank;
    return chip;
  });
  byId('chips').replaceChildren(...chips);
  for (const [id, value] of [['rows', view.query], ['kernels', view.kernels], ['sort', view.sort]]) {
    if (byId(id).value !== value) byId(id).value = value;
  }
  document.documentElement.dataset.theme = view.theme;
  byId('theme').textContent = `Theme: ${view.theme}`;
  const count = shown.lines.filter(line => line.kind === 'row').length;
  byId('status').textContent = `${plural(count, 'relocation')}, ${plural(shown.root.kernels.length, 'kernel')}, ${plural(shown.columns.length, 'column')}`;
}

function fillSummary() {
  const failing = effectCounts('', tree(kernels));
  const worse = objects.flatMap(object => object.kids).flatMap(program => program.kids)
    .filter(row => ranks(row.cells).some(rank => rank >= RANK.get('p'))).length;
  byId('summary').textContent = [
    objects.length === 1 ? objects[0].name : plural(objects.length, 'object'),
    `${plural(kernels.length, 'kernel')} in ${plural(data.groups, 'group')} of equal answers`,
    `${plural(ALL_ROWS, 'relocation')}, ${worse ? `${worse.toLocaleString('en')} of them poisoned or refused somewhere` : (failing[ANSWER] ? 'none poisoned or refused' : 'all found')}`,
  ].join(' · ');
  document.title = `btfgen check: ${objects.map(object => object.name).slice(0, 3).join(', ')}${objects.length > 3 ? ' …' : ''}`;
  if (data.left_out.length) {
    const box = byId('left-out');
    box.hidden = false;
    box.querySelector('summary').textContent = `${plural(data.left_out.length, 'kernel')} could not be checked`;
    box.querySelector('ul').append(...data.left_out.map(index => element('li', '', text(index))));
  }
}

function update() {
  rebuild();
  remember();
}

// ---- The link to this view ----

let remembering = 0;

function remember() {
  clearTimeout(remembering);
  // Browsers refuse more than some changes a second.
  remembering = setTimeout(() => history.replaceState(null, '', `#${link()}`), 200);
}

function link() {
  const parts = new URLSearchParams();
  if (view.query) parts.set('rows', view.query);
  if (view.kernels) parts.set('kernels', view.kernels);
  if (view.sort !== START.sort) parts.set('sort', view.sort);
  if (view.level !== START.level) parts.set('columns', LEVELS[view.level]);
  if (view.chosen.size) parts.set('only', [...view.chosen].map(rank => STATES[rank].letter).join(''));
  if (view.theme !== START.theme) parts.set('theme', view.theme);
  if (view.line >= 0 && (view.line > 0 || view.column >= 0)) parts.set('line', shown.lines[view.line].key);
  if (view.column >= 0) parts.set('kernel', shown.columns[view.column].kernels[0].id);
  if (view.isOpen) parts.set('details', '1');
  return parts.toString();
}

function followLink() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const one = (name, known, otherwise) => (known.includes(parts.get(name)) ? parts.get(name) : otherwise);
  Object.assign(view, {
    query: parts.get('rows') ?? '',
    kernels: parts.get('kernels') ?? '',
    sort: one('sort', ['worst', 'file', 'kernels', 'name'], START.sort),
    level: LEVELS.indexOf(one('columns', LEVELS, LEVELS[START.level])),
    chosen: new Set([...(parts.get('only') ?? '')].map(letter => RANK.get(letter)).filter(rank => EFFECTS.includes(rank))),
    theme: one('theme', ['light', 'dark'], 'auto'),
    isOpen: parts.get('details') === '1',
    line: 0, column: -1,
  });
  view.toggled.clear();
  view.folded.clear();
  rebuild();
  select(parts.get('line') ?? undefined, kernels.find(kernel => kernel.id === parts.get('kernel')));
  resize();
  reveal();
}

// ---- Events ----

// The indices of the line and column of an element of the grid.
function placeOf(target) {
  const [, line, column] = target.closest?.('[id^=c]')?.id.match(/^c(-?\d+)_(-?\d+)$/) ?? [];
  return line === undefined ? null : { line: Number(line), column: Number(column) };
}

function findNode(key) {
  let one = shown.root;
  while (one && one.key !== key) one = one.kids.find(kid => key === kid.key || key.startsWith(`${kid.key}/`));
  return one;
}

grid.addEventListener('click', event => {
  const band = event.target.closest('.band');
  if (band) return toggleColumn(findNode(band.dataset.key));
  const at = placeOf(event.target);
  if (!at) return undefined;
  moveTo(at.line, at.column);
  if (at.line < 0) return toggleColumn(shown.columns[at.column]);
  if (event.target.closest('.fold')) return toggleFold(shown.lines[at.line]);
  return openDetails(true);
});

const KEYS = {
  ArrowLeft: () => moveTo(view.line, view.column - 1),
  ArrowRight: () => moveTo(view.line, view.column + 1),
  ArrowUp: () => moveTo(view.line - 1, view.column),
  ArrowDown: () => moveTo(view.line + 1, view.column),
  PageUp: () => moveTo(Math.max(0, view.line - inPage()), view.column),
  PageDown: () => moveTo(view.line + inPage(), view.column),
  Home: ({ ctrlKey }) => moveTo(ctrlKey ? 0 : view.line, -1),
  End: ({ ctrlKey }) => moveTo(ctrlKey ? shown.lines.length - 1 : view.line, shown.columns.length - 1),
  Enter: () => openDetails(true),
  ' ': () => (view.line < 0 ? toggleColumn(shown.columns[view.column]) : toggleFold(foldable(shown.lines[view.line]))),
  '+': () => zoom(view.level + 1),
  '=': () => zoom(view.level + 1),
  '-': () => zoom(view.level - 1),
};

const inPage = () => Math.max(1, Math.floor((grid.clientHeight - layout.head) / ROW) - 1);
const foldable = line => (line?.kind === 'row' ? line.parent : line);

grid.addEventListener('keydown', event => {
  if (event.target !== grid || event.altKey || event.metaKey || !KEYS[event.key]) return;
  event.preventDefault();
  hideTip();
  KEYS[event.key](event);
});

document.addEventListener('keydown', event => {
  const isTyping = event.target.matches?.('input, select');
  if (event.key === 'Escape') {
    hideTip();
    if (isTyping) grid.focus();
    else if (view.isOpen) closeDetails();
  } else if (event.key === '/' && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    byId('rows').focus();
    byId('rows').select();
  }
});

let drawing = 0;
grid.addEventListener('scroll', () => {
  hideTip();
  drawing ||= requestAnimationFrame(() => { drawing = 0; draw(); });
}, { passive: true });

let tipping = 0;

function hideTip() {
  clearTimeout(tipping);
  tip.hidden = true;
}

grid.addEventListener('pointermove', event => {
  hideTip();
  const at = placeOf(event.target);
  const [line, column] = [shown.lines[at?.line], shown.columns[at?.column]];
  if (event.pointerType === 'touch' || !line || !column) return;
  tipping = setTimeout(() => {
    fillTip(tip, line, column);
    tip.hidden = false;
    const { offsetWidth: wide, offsetHeight: high } = tip;
    const [x, y] = [event.clientX + 14, event.clientY + 16];
    tip.style.left = `${Math.max(4, Math.min(x, innerWidth - wide - 8))}px`;
    tip.style.top = `${y + high > innerHeight - 4 ? Math.max(4, event.clientY - high - 10) : y}px`;
  }, 120);
});
grid.addEventListener('pointerleave', hideTip);

let typing = 0;
for (const [id, name] of [['rows', 'query'], ['kernels', 'kernels']]) {
  byId(id).addEventListener('input', event => {
    view[name] = event.target.value;
    clearTimeout(typing);
    typing = setTimeout(update, 120);
  });
}
byId('sort').addEventListener('change', event => { view.sort = event.target.value; update(); });
byId('theme').addEventListener('click', () => {
  const themes = ['auto', 'light', 'dark'];
  view.theme = themes[(themes.indexOf(view.theme) + 1) % themes.length];
  update();
});
byId('clear').addEventListener('click', () => {
  Object.assign(view, { query: '', kernels: '', chosen: new Set() });
  update();
  byId('rows').focus();
});

addEventListener('beforeprint', () => {
  const isAll = shown.lines.length * shown.columns.length <= MAX_PRINTED_CELLS;
  byId('print-note').hidden = isAll;
  byId('print-note').textContent = 'Only what was in sight is printed. Filter, or show fewer columns, to print all.';
  view.isPrinting = isAll;
  document.body.classList.toggle('print-all', isAll);
  redraw();
});
addEventListener('afterprint', () => {
  view.isPrinting = false;
  document.body.classList.remove('print-all');
  redraw();
});

addEventListener('hashchange', followLink);
let gridWidth = 0;
new ResizeObserver(() => {
  if (grid.clientWidth !== gridWidth) resize();
  else draw();
  gridWidth = grid.clientWidth;
}).observe(grid);

fillSummary();
followLink();
