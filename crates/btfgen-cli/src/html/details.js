// The panel with details and the tooltip. Names come from objects and hubs that nobody vouches for: they are only ever texts.

function element(tag, css, ...inner) {
  const made = document.createElement(tag);
  if (css) made.className = css;
  made.append(...inner);
  return made;
}

// A text in which `this` is code.
function prose(tag, css, words) {
  const parts = words.split('`');
  return element(tag, css, ...parts.map((part, n) => (n % 2 ? element('code', '', part) : part)));
}

function badge(rank) {
  const state = STATES[rank];
  const sign = element('span', `sign ${state.css}`, state.sign);
  sign.setAttribute('aria-hidden', 'true');
  return element('span', 'badge', sign, state.name);
}

// The states of a column's kernels, the worst first.
function badges({ counts }, all) {
  const list = element('ul', 'states');
  counts.forEach((count, rank) => {
    if (!count) return;
    const of = count === all ? (all === 1 ? '' : ` on all ${all} kernels`) : ` on ${count} of ${plural(all, 'kernel')}`;
    list.prepend(element('li', '', badge(rank), of));
  });
  return list;
}

// Those of some kernels that have the byte order of the line's object.
const comparable = (line, of) => of.filter(({ group }) => ranks(line.cells)[group] !== OTHER);

// The distinct answers to a need on some kernels, those of most kernels first.
function optionsOn(need, of) {
  const found = new Map();
  for (const kernel of of) {
    const option = answers(need)[kernel.group];
    if (!found.has(option)) found.set(option, []);
    found.get(option).push(kernel);
  }
  return [...found].map(([option, on]) => {
    const [answer, reason, layouts] = data.needs[need].options[option];
    return { answer: text(answer), reason: reason === null ? '' : text(reason), layouts, on };
  }).sort((a, b) => b.on.length - a.on.length);
}

const MAX_RANGES = 12;

function rangeList(of) {
  const all = ranges(of);
  const list = element('ul', 'ranges');
  const item = ({ place, releases, count }) => element('li', '', element('span', 'muted', `${place} `), releases, count > 1 ? element('span', 'muted', ` (${count} kernels)`) : '');
  list.append(...all.slice(0, MAX_RANGES).map(item));
  if (all.length > MAX_RANGES) {
    const rest = element('details', '', element('summary', '', `${plural(all.length - MAX_RANGES, 'more range')}`));
    // Only when it is opened, because there may be thousands.
    rest.addEventListener('toggle', () => {
      if (rest.open && rest.children.length === 1) rest.append(element('ul', 'ranges', ...all.slice(MAX_RANGES).map(item)));
    });
    list.append(element('li', '', rest));
  }
  return list;
}

// The program's definition beside the kernel's.
function layoutsBeside([on, program, kernel]) {
  const side = (name, lines) => element('div', '', element('p', 'muted', `in ${name}`), element('pre', '', element('code', '', text(lines))));
  return element('div', 'layouts', side('the program', program), side(text(on), kernel));
}

function answersList(need, of) {
  const list = element('ul', 'answers');
  for (const { answer, reason, layouts, on } of optionsOn(need, of)) {
    list.append(element('li', '',
      element('strong', '', answer),
      reason ? prose('p', 'reason', reason) : '',
      layouts ? layoutsBeside(layouts) : '',
      rangeList(on)));
  }
  return list;
}

function rowDetails(line, column) {
  const need = data.needs[line.need];
  const parts = [element('h2', '', element('code', '', line.name)), element('p', 'muted', kindWords(need.kind))];
  const where = element('dl', '',
    element('dt', '', 'Program'), element('dd', '', line.parent.name, element('span', 'muted', ` ${line.parent.section}`)),
    element('dt', '', 'Object'), element('dd', '', line.parent.parent.name));
  if (line.place) where.append(element('dt', '', 'Source'), element('dd', '', line.place));
  const { instructions } = line.row;
  where.append(element('dt', '', instructions.length === 1 ? 'Instruction' : 'Instructions'), element('dd', '', instructions.join(', ')));
  parts.push(where);
  if (line.row.source !== null) parts.push(element('pre', '', element('code', '', text(line.row.source))));
  const state = cell(ranks(line.cells), column);
  parts.push(element('h3', '', nameOf(column)), badges(state, column.kernels.length), element('p', '', STATES[state.worst].says));
  parts.push(answersList(line.need, comparable(line, column.kernels)));
  if (column.level >= 0) {
    const all = comparable(line, kernels);
    const count = new Set(all.map(({ group }) => answers(line.need)[group])).size;
    parts.push(element('h3', '', count === 1 ? 'All kernels answer alike' : `${count} different answers of all kernels`));
    parts.push(answersList(line.need, all));
  }
  return parts;
}

// What libbpf's name of a kind means.
function kindWords(kind) {
  const words = {
    byte_off: 'the offset of a field', byte_sz: 'the size of a field', field_exists: 'whether a field exists',
    signed: 'whether a field is signed', lshift_u64: 'the left shift of a bitfield', rshift_u64: 'the right shift of a bitfield',
    local_type_id: 'the id of the program’s own type', target_type_id: 'the id of the kernel’s type', type_exists: 'whether a type exists',
    type_size: 'the size of a type', enumval_exists: 'whether an enumerator exists', enumval_value: 'the value of an enumerator',
    type_matches: 'whether a type matches',
  }[kind];
  return words ? `${words} (${kind})` : kind;
}

function verdictDetails(line, column, go) {
  const parts = [element('h2', '', line.name)];
  parts.push(element('p', 'muted', line.kind === 'object' ? 'object' : `${line.section} in ${line.parent.name}`));
  if (line.kind === 'program' && !line.program.autoload) parts.push(element('p', '', 'libbpf does not load this program by default.'));
  parts.push(element('h3', '', nameOf(column)));
  if (line.cells === null) parts.push(element('p', '', 'This function is no program, so it has no verdict of its own.'));
  else {
    const state = cell(ranks(line.cells), column);
    parts.push(badges(state, column.kernels.length), element('p', '', STATES[state.worst].says));
  }
  const rows = line.kind === 'object' ? line.kids.flatMap(program => program.kids) : line.kids;
  const failed = rows.map(row => ({ row, state: cell(ranks(row.cells), column) })).filter(({ state }) => state.worst >= ANSWER);
  failed.sort((a, b) => b.state.worst - a.state.worst);
  parts.push(element('h3', '', failed.length ? `${plural(failed.length, 'relocation')} that find nothing here` : 'All relocations are found here'));
  const list = element('ul', 'failed');
  for (const { row, state } of failed.slice(0, 100)) {
    const button = element('button', 'link', badge(state.worst), ' ', element('code', '', row.name), ' ', element('span', 'muted', row.shortPlace));
    button.type = 'button';
    button.addEventListener('click', () => go(row));
    const reasons = optionsOn(row.need, comparable(row, column.kernels)).filter(({ reason }) => reason);
    list.append(element('li', '', button, reasons.length ? prose('p', 'reason muted', reasons[0].reason) : ''));
  }
  if (failed.length > 100) list.append(element('li', 'muted', `and ${failed.length - 100} more`));
  parts.push(list);
  if (line.asks?.length) {
    // The lines are those of the command: what belongs to the line above has more blanks before it.
    const asks = line.asks.map(one => prose('li', /^ {3}/.test(one) ? 'muted below' : '', one.trim().replace(/ {2,}/g, ': ')));
    parts.push(element('h3', '', 'What else it asks of a kernel'), element('ul', 'asks', ...asks));
  }
  return parts;
}

function columnDetails(column) {
  const parts = [element('h2', '', nameOf(column)), element('p', 'muted', `${plural(column.kernels.length, 'kernel')} in ${plural(column.counts.size, 'group')} of equal answers`)];
  for (const object of objects) {
    parts.push(element('h3', '', object.name), badges(cell(ranks(object.cells), column), column.kernels.length));
  }
  parts.push(element('h3', '', 'Kernels'), rangeList(column.kernels));
  return parts;
}

function fillDetails(panel, line, column, go, close) {
  const closing = element('button', 'close', '×');
  closing.type = 'button';
  closing.setAttribute('aria-label', 'Close the details');
  closing.addEventListener('click', close);
  let parts;
  if (!line) parts = columnDetails(column);
  else if (line.kind === 'row') parts = rowDetails(line, column);
  else parts = verdictDetails(line, column, go);
  panel.replaceChildren(closing, ...parts);
  panel.scrollTop = 0;
}

function fillTip(tip, line, column) {
  const state = line.cells === null ? null : cell(ranks(line.cells), column);
  const parts = [element('p', 'tip-name', line.kind === 'row' ? element('code', '', line.name) : line.name)];
  if (line.place) parts.push(element('p', 'muted', line.shortPlace));
  parts.push(element('p', '', nameOf(column)));
  if (state) parts.push(badges(state, column.kernels.length));
  if (line.kind === 'row') {
    const options = optionsOn(line.need, comparable(line, column.kernels));
    for (const { answer, reason, on } of options.slice(0, 4)) {
      parts.push(prose('p', 'reason', `${options.length > 1 ? `${on.length}× ` : ''}${answer}${reason ? `: ${reason}` : ''}`));
    }
    if (options.length === 1 && options[0].layouts) parts.push(layoutsBeside(options[0].layouts));
    if (options.length > 4) parts.push(element('p', 'muted', `and ${options.length - 4} more answers`));
  }
  tip.replaceChildren(...parts);
}
