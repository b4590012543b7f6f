// The graph: levels, and which box holds which node.
const names = new Map((data.names || []).map(([id, name, op]) => [id, { name, op }]));
const spread = (ranges) => {
  const nodes = [];
  for (let i = 0; i < ranges.length; i += 2)
    for (let node = ranges[i]; node <= ranges[i + 1]; node++) nodes.push(node);
  return nodes;
};
const levels = {};
for (const [name, boxes] of Object.entries(data.levels || {})) {
  const figure = $(`figure.graph[data-level="${name}"]`);
  const boxOf = new Map();
  for (const [box, ranges] of Object.entries(boxes)) for (const node of spread(ranges)) boxOf.set(node, box);
  const svg = $(".view svg", figure);
  const full = svg.getAttribute("viewBox").split(" ").map(Number);
  levels[name] = { name, figure, boxes, boxOf, svg, full, view: [...full], box: (id) => document.getElementById(`${name}-${id}`) };
}
let level = levels[$("figure.graph:not([hidden])")?.dataset.level];
let selected = [];

// Pixels per point: below the first, names of boxes cannot be read at all; a part is shown as large
// as the second at least; above the third nothing is gained.
const LEGIBLE = 0.6, READABLE = 0.75, LARGE = 1.2;
const place = (l) => {
  l.svg.setAttribute("viewBox", l.view.map((v) => v.toFixed(2)).join(" "));
  tellRest(l);
};
const rest = (l) => {
  const [x, y, width, height] = l.full, [left, top, w, h] = l.view;
  const edge = 8;
  const sides = { above: top - y, below: y + height - top - h, left: left - x, right: x + width - left - w };
  return Object.keys(sides).filter((side) => sides[side] > edge);
};
const tellRest = (l) => {
  const sides = rest(l);
  const told = $(".rest", l.figure);
  told.hidden = !sides.length;
  told.textContent = `Only a part is shown. More ${sides.join(", ").replace(/, (?=\w+$)/, " and ")}: drag, or press Fit to see all.`;
};
// Where the window begins that shows all, or a part with what is wanted in it.
const begin = (low, length, shown, wanted) =>
  shown >= length ? low - (shown - length) / 2 : Math.max(low, Math.min(wanted, low + length - shown));
// The browser's font may be wider than the one Graphviz measured with: no text leaves its box.
const tuck = (l) => {
  const measured = $$(".node text", l.figure).map((text) => {
    const frame = $("polygon, path, ellipse", text.closest(".node")).getBBox(), own = text.getBBox();
    return { text, width: own.width, room: frame.x + frame.width - 3 - own.x };
  });
  for (const { text, width, room } of measured) {
    if (width <= room || room <= 0) continue;
    text.setAttribute("textLength", room.toFixed(1));
    text.setAttribute("lengthAdjust", "spacingAndGlyphs");
  }
};
const fit = (l, whole = true) => {
  const view = $(".view", l.figure);
  const [x, y, width, height] = l.full;
  if (!view.clientWidth) return;
  if (!l.tucked) tuck(l);
  l.tucked = true;
  const wide = view.clientWidth / width, tall = innerHeight * 0.85;
  const all = Math.min(wide, (tall - 12) / height, LARGE);
  // What is too large to be read as a whole opens at the loss; Fit shows all of it.
  const part = wide < LEGIBLE ? READABLE : Math.min(wide, 1);
  const opening = all < LEGIBLE ? part : all;
  view.style.height = `${Math.min(tall, Math.max(220, height * opening + 12))}px`;
  const scale = whole || opening === all ? Math.min(wide, view.clientHeight / height, LARGE) : opening;
  const w = view.clientWidth / scale, h = view.clientHeight / scale;
  const loss = l.box(l.boxOf.get(data.roots[0]));
  const b = loss ? bounds(l, loss) : { x: x + width / 2, y, width: 0, height: 0 };
  l.view = [begin(x, width, w, b.x + b.width / 2 - w / 2), begin(y, height, h, b.y - h / 4), w, h];
  l.fitted = true;
  l.moved = false;
  l.whole = whole;
  place(l);
};
const move = (l) => { l.moved = true; place(l); };
const zoom = (l, factor, cx = 0.5, cy = 0.5) => {
  const [x, y, w, h] = l.view;
  const width = Math.min(Math.max(w * factor, 60), l.full[2] * 8 + 2000);
  const height = (h * width) / w;
  l.view = [x + (w - width) * cx, y + (h - height) * cy, width, height];
  move(l);
};
const pan = (l, dx, dy) => { l.view[0] += dx * l.view[2]; l.view[1] += dy * l.view[3]; move(l); };
const bounds = (l, node) => {
  const box = node.getBBox();
  const matrix = node.parentNode.transform.baseVal.consolidate()?.matrix;
  return { x: box.x + (matrix ? matrix.e : 0), y: box.y + (matrix ? matrix.f : 0), width: box.width, height: box.height };
};
const bring = (l, nodes) => {
  if (!nodes.length) return;
  const all = nodes.map((n) => bounds(l, n));
  const left = Math.min(...all.map((b) => b.x)), right = Math.max(...all.map((b) => b.x + b.width));
  const top = Math.min(...all.map((b) => b.y)), bottom = Math.max(...all.map((b) => b.y + b.height));
  const [x, y, w, h] = l.view;
  if (left >= x && right <= x + w && top >= y && bottom <= y + h) return;
  const grow = Math.max(1, (right - left) / (w * 0.9), (bottom - top) / (h * 0.9));
  l.view = [(left + right - w * grow) / 2, (top + bottom - h * grow) / 2, w * grow, h * grow];
  move(l);
};
const showLevel = (name) => {
  level = levels[name];
  for (const other of Object.values(levels)) other.figure.hidden = other !== level;
  for (const button of $$("button.level")) button.setAttribute("aria-pressed", String(button.dataset.level === name));
  if (!level.fitted) fit(level, false);
  light(selected, lastDim);
};
