// Selecting: one set of nodes, shown everywhere at once.
let lastDim = false;
const light = (nodes, dim = false) => {
  lastDim = dim;
  $$(".lit").forEach((g) => { g.classList.remove("lit"); $(".halo", g)?.remove(); });
  $$(".dimmed").forEach((svg) => svg.classList.remove("dimmed"));
  const wanted = new Set(nodes.map(String));
  for (const mark of $$("[data-n]")) mark.classList.toggle("on", wanted.has(mark.dataset.n));
  if (!level) return [];
  const ids = new Set(nodes.map((n) => level.boxOf.get(n)).filter(Boolean));
  const groups = [...ids].map(level.box).filter(Boolean);
  for (const group of groups) {
    group.classList.add("lit");
    const shape = $("polygon, path, ellipse", group);
    if (!shape) continue;
    const halo = shape.cloneNode();
    halo.removeAttribute("stroke-dasharray");
    halo.setAttribute("class", "halo");
    halo.removeAttribute("fill"); halo.removeAttribute("stroke"); halo.removeAttribute("stroke-width");
    shape.parentNode.insertBefore(halo, shape);
  }
  level.svg.classList.toggle("dimmed", dim && groups.length > 0);
  return groups;
};
const select = (nodes, { scroll = false, finding = null } = {}) => {
  selected = nodes;
  const groups = light(nodes, finding !== null);
  $$(".finding").forEach((card) => card.classList.toggle("on", card.dataset.finding === String(finding)));
  if (level) bring(level, groups);
  if (scroll) $("#graph")?.scrollIntoView({ block: "start" });
  describe(nodes, groups, finding);
};
const panel = $("#panel"), hint = $("#hint");
const describe = (nodes, groups, finding) => {
  if (!panel) return;
  panel.replaceChildren();
  if (!nodes.length) { panel.append(hint); return; }
  if (!groups.length) {
    panel.append(make("h3", names.get(nodes[0])?.name || `node ${nodes[0]}`), make("p", "It is in none of the boxes of this graph.", "quiet"));
    return;
  }
  if (finding !== null) {
    const card = document.getElementById(`finding-${finding}`);
    panel.append(make("h3", $("h3", card).textContent.trim()), make("p", `${nodes.length} nodes in ${groups.length} boxes are lit.`));
  }
  const shown = finding === null ? 3 : 1;
  for (const group of groups.slice(0, shown)) panel.append(words(group));
  if (groups.length > shown) panel.append(make("p", `and ${groups.length - shown} more boxes`, "quiet"));
  const inside = new Set(nodes);
  (data.findings || []).forEach((ranges, key) => {
    if (key === finding || !spread(ranges).some((node) => inside.has(node))) return;
    const card = document.getElementById(`finding-${key}`);
    if (!card) return;
    const button = make("button", $("h3", card).textContent.trim().replace(/\s+/g, " "));
    button.type = "button";
    button.addEventListener("click", () => { showFinding(key, false); card.scrollIntoView({ block: "center" }); });
    panel.append(button);
  });
};
const words = (group) => {
  const told = make("div");
  const lines = ($("title", group)?.textContent || "").split("\n");
  told.append(make("h3", lines[0].replace(/^(op|loss|parameter|input): /, "")));
  for (const line of lines.slice(1)) {
    const cut = /^([a-z ]+[0-9]*): (.*)$/.exec(line);
    const fact = make("p", "", "fact");
    if (cut) fact.append(make("b", cut[1]), " ", make("bdi", cut[2])); else fact.append(make("bdi", line));
    told.append(fact);
  }
  return told;
};
// A tag's id begins with the box to look at.
const boxNodes = (group) => spread(level.boxes[group.id.slice(level.name.length + 1).split("_")[0]] || []);
const showFinding = (key, scroll) => select(spread(data.findings[key] || []), { scroll, finding: key });

for (const l of Object.values(levels)) {
  const view = $(".view", l.figure);
  let start = null;
  view.addEventListener("pointerdown", (event) => {
    if (event.button === 0) start = { x: event.clientX, y: event.clientY, view: [...l.view], moved: false };
  });
  view.addEventListener("pointermove", (event) => {
    if (!start) return;
    const dx = event.clientX - start.x, dy = event.clientY - start.y;
    if (!start.moved && Math.hypot(dx, dy) < 5) return;
    if (!start.moved) { start.moved = true; view.setPointerCapture(event.pointerId); }
    const scale = l.view[2] / view.clientWidth;
    l.view[0] = start.view[0] - dx * scale;
    l.view[1] = start.view[1] - dy * scale;
    move(l);
  });
  view.addEventListener("pointercancel", () => { start = null; });
  view.addEventListener("pointerup", (event) => {
    const moved = start?.moved;
    start = null;
    if (moved) return;
    const group = event.target.closest?.(".node");
    select(group ? boxNodes(group) : []);
  });
  view.addEventListener("wheel", (event) => {
    // The bare wheel scrolls the page; with Ctrl (a pinch on a touchpad) it zooms.
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== view) return;
    event.preventDefault();
    const size = view.getBoundingClientRect();
    zoom(l, Math.exp(event.deltaY * 0.0015), (event.clientX - size.left) / size.width, (event.clientY - size.top) / size.height);
  }, { passive: false });
  view.addEventListener("keydown", (event) => graphKey(event, l));
}
const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const graphKey = (event, l) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const way = steps[event.key];
  if (way && event.shiftKey) pan(l, way[0] * 0.15, way[1] * 0.15);
  else if (way) walk(l, way);
  else if (event.key === "+" || event.key === "=") zoom(l, 0.8);
  else if (event.key === "-") zoom(l, 1.25);
  else if (event.key === "0") fit(l);
  else if (event.key === "Escape") select([]);
  else return;
  event.preventDefault();
};
const walk = (l, [dx, dy]) => {
  const all = $$(".node:not(.tag)", l.figure).map((g) => ({ g, b: bounds(l, g) }));
  const center = ({ b }) => [b.x + b.width / 2, b.y + b.height / 2];
  const now = all.find(({ g }) => g.classList.contains("lit"));
  const from = now ? center(now) : [l.full[0] + l.full[2] / 2, l.full[1] - 1];
  let best = null, least = Infinity;
  for (const entry of all) {
    const [x, y] = center(entry);
    const along = now ? (x - from[0]) * dx + (y - from[1]) * dy : y - from[1];
    const aside = now ? Math.abs((x - from[0]) * dy) + Math.abs((y - from[1]) * dx) : 0;
    if (along > 1 && along + 2 * aside < least) { best = entry; least = along + 2 * aside; }
  }
  if (best) select(boxNodes(best.g));
};
for (const button of $$("[data-zoom]")) button.addEventListener("click", () => {
  if (button.dataset.zoom === "fit") fit(level);
  else zoom(level, button.dataset.zoom === "in" ? 0.75 : 1.33);
});
for (const button of $$("button.level")) button.addEventListener("click", () => { showLevel(button.dataset.level); select(selected); });
if (level) fit(level, false);

// Findings: the card and its nodes light each other up.
for (const card of $$(".finding")) {
  const key = Number(card.dataset.finding);
  $(".light", card)?.addEventListener("click", () => showFinding(key, true));
  $(".code", card)?.addEventListener("click", () => { if ((data.findings || [])[key]?.length) showFinding(key, false); });
  $(".copy", card)?.addEventListener("click", (event) => copy($(".fix pre", card), event.currentTarget));
}
const copy = async (source, button) => {
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // Without the clipboard's permission the text is selected, ready to be copied by hand.
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
};
