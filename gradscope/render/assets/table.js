// The table.
const table = $("#table");
if (table) {
  const body = $("tbody", table), filter = $("#filter"), status = $("#filtered");
  const rows = $$("tr[data-p]", body);
  const gaps = $$("tr.gap", body);
  const order = $$("tr", body);
  const key = (row, i) => {
    const cell = row.children[i];
    return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? (a > b) - (a < b) : String(a).localeCompare(String(b), undefined, { numeric: true }));
  $$("thead th", table).forEach((head, i, heads) => $("button", head).addEventListener("click", () => {
    const turn = { none: "ascending", ascending: "descending", descending: "none" };
    const sort = turn[head.getAttribute("aria-sort")];
    heads.forEach((other) => other.setAttribute("aria-sort", other === head ? sort : "none"));
    if (sort === "none") { body.append(...order); return; }
    const sign = sort === "ascending" ? 1 : -1;
    body.append(...[...rows].sort((a, b) => sign * compare(key(a, i), key(b, i))), ...gaps);
  }));
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) { row.hidden = !row.textContent.toLowerCase().includes(wanted); shown += !row.hidden; }
    for (const gap of gaps) gap.hidden = Boolean(wanted);
    status.textContent = wanted ? `${shown} of ${rows.length}` : "";
  });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-n]");
    if (row) select([Number(row.dataset.n)]);
  });
  for (const row of rows.filter((r) => r.dataset.n !== undefined)) row.tabIndex = -1;
  if (rows.length) rows[0].tabIndex = 0;
  body.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr");
    if (event.key === "Enter") { if (row?.dataset.n !== undefined) select([Number(row.dataset.n)]); return; }
    const way = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    let next = way && row?.[way];
    while (next && (next.hidden || next.dataset.p === undefined)) next = next[way];
    if (!next) return;
    row.tabIndex = -1; next.tabIndex = 0; next.focus();
    event.preventDefault();
  });
}
