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

const place = (l) => l.svg.setAttribute("viewBox", l.view.map((v) => v.toFixed(2)).join(" "));
const fit = (l, whole = true) => {
  const view = $(".view", l.figure);
  const [x, y, width, height] = l.full;
  if (!view.clientWidth) return;
  // A large graph is shown from the loss down, as large as it can be read; Fit shows all of it.
  const wide = view.clientWidth / width;
  const readable = Math.min(Math.max(wide, 0.55), 1.2);
  if (!l.fitted) view.style.height = `${Math.min(innerHeight * 0.78, Math.max(220, height * readable + 12))}px`;
  const scale = whole ? Math.min(wide, view.clientHeight / height, 1.6) : readable;
  const size = [view.clientWidth / scale, view.clientHeight / scale];
  const loss = l.box(l.boxOf.get(data.roots[0]));
  let left = x - (size[0] - width) / 2;
  if (size[0] < width && loss) {
    const b = bounds(l, loss);
    left = Math.max(x, Math.min(b.x + b.width / 2 - size[0] / 2, x + width - size[0]));
  }
  l.view = [left, whole ? y - Math.max(0, (size[1] - height) / 2) : y, ...size];
  l.fitted = true;
  place(l);
};
const zoom = (l, factor, cx = 0.5, cy = 0.5) => {
  const [x, y, w, h] = l.view;
  const width = Math.min(Math.max(w * factor, 60), l.full[2] * 8 + 2000);
  const height = (h * width) / w;
  l.view = [x + (w - width) * cx, y + (h - height) * cy, width, height];
  place(l);
};
const pan = (l, dx, dy) => { l.view[0] += dx * l.view[2]; l.view[1] += dy * l.view[3]; place(l); };
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
  place(l);
};
const showLevel = (name) => {
  level = levels[name];
  for (const other of Object.values(levels)) other.figure.hidden = other !== level;
  for (const button of $$("button.level")) button.setAttribute("aria-pressed", String(button.dataset.level === name));
  if (!level.fitted) fit(level, false);
  light(selected, lastDim);
};
