// Search.
const find = $("#find"), found = $("#found");
let hits = [], at = -1;
const search = () => {
  const wanted = find.value.trim().toLowerCase();
  hits = !wanted ? [] : [...names].filter(([, n]) => `${n.name} ${n.op}`.toLowerCase().includes(wanted));
  at = -1;
  found.replaceChildren(...hits.slice(0, 50).map(([id, n], i) => {
    const item = make("li");
    item.append(make("bdi", n.name), make("small", n.op));
    item.id = `hit-${i}`;
    item.setAttribute("role", "option");
    item.addEventListener("pointerdown", (event) => { event.preventDefault(); pick(i); });
    return item;
  }));
  if (wanted && !hits.length) found.append(make("li", "No node has that in its name."));
  open(Boolean(wanted));
  if (hits.length) light(hits.map(([id]) => id), true); else light(selected);
};
const open = (is) => { found.hidden = !is; find.setAttribute("aria-expanded", String(is)); };
const mark = (i) => {
  at = i;
  $$("li", found).forEach((item, k) => item.setAttribute("aria-selected", String(k === i)));
  find.setAttribute("aria-activedescendant", `hit-${i}`);
  $(`#hit-${i}`)?.scrollIntoView({ block: "nearest" });
};
const pick = (i) => { if (hits[i]) { select([hits[i][0]]); mark(i); open(false); } };
find?.addEventListener("input", search);
find?.addEventListener("blur", () => open(false));
find?.addEventListener("keydown", (event) => {
  const last = Math.min(hits.length, 50) - 1;
  if (event.key === "ArrowDown" && last >= 0) { open(true); mark(Math.min(at + 1, last)); }
  else if (event.key === "ArrowUp" && last >= 0) mark(Math.max(at - 1, 0));
  else if (event.key === "Enter") pick(found.hidden && at < last ? at + 1 : Math.max(at, 0));
  else if (event.key === "Escape") { open(false); light(selected); }
  else return;
  event.preventDefault();
});
