// Plots: the mark nearest to the mouse says what it is; arrows walk over the marks.
const tip = $("#tip");
const say = (text, x, y) => {
  tip.textContent = text;
  tip.hidden = !text;
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 6))}px`;
  tip.style.top = `${y + 18 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 10 : y + 18}px`;
};
for (const plot of $$(".plot")) {
  const chart = $(".chart", plot), svg = $("svg", chart);
  const marks = $$("[data-t]", svg);
  const heat = plot.dataset.plot === "heat" ? data.heat : null;
  let near = null, cell = null;
  const point = (x, y) => new DOMPoint(x, y).matrixTransform(svg.getScreenCTM().inverse());
  const distance = (m, p, limit) => {
    if (m.tagName !== "path") { const b = m.getBBox(); return Math.hypot(b.x + b.width / 2 - p.x, b.y + b.height / 2 - p.y); }
    const points = (m.points ||= (m.getAttribute("d").match(/-?[\d.]+,-?[\d.]+/g) || []).map((s) => s.split(",").map(Number)));
    let least = limit;
    for (let i = 1; i < points.length; i++) {
      const [ax, ay] = points[i - 1], [bx, by] = points[i];
      const t = Math.max(0, Math.min(1, ((p.x - ax) * (bx - ax) + (p.y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2 || 1)));
      least = Math.min(least, Math.hypot(ax + t * (bx - ax) - p.x, ay + t * (by - ay) - p.y));
    }
    return least;
  };
  const go = (mark) => { near?.classList.remove("near"); near = mark; near?.classList.add("near"); };
  const leave = () => { go(null); say("", 0, 0); };
  const overHeat = (x, y) => {
    const column = Math.floor(((x - heat.x) / heat.width) * heat.steps.length);
    const row = Math.floor(((y - heat.y) / heat.height) * heat.names.length);
    const inside = column >= 0 && row >= 0 && column < heat.steps.length && row < heat.names.length;
    cell = inside ? { row, column } : null;
    const cursor = $(".cursor", svg), w = heat.width / heat.steps.length, h = heat.height / heat.names.length;
    for (const [key, value] of Object.entries({ x: heat.x + column * w, y: heat.y + row * h, width: inside ? w : 0, height: inside ? h : 0 }))
      cursor.setAttribute(key, value);
    return inside ? `${heat.names[row]}, step ${heat.steps[column]}: gradient ${heat.cells[row].split(" ")[column]}` : "";
  };
  chart.addEventListener("pointermove", (event) => {
    const p = point(event.clientX, event.clientY);
    if (heat) { say(overHeat(p.x, p.y), event.clientX, event.clientY); return; }
    let best = null, least = 24;
    for (const m of marks) { const d = distance(m, p, least); if (d < least) { best = m; least = d; } }
    go(best);
    say(best ? best.dataset.t : "", event.clientX, event.clientY);
  });
  chart.addEventListener("pointerleave", leave);
  chart.addEventListener("blur", leave);
  const choose = () => {
    const node = heat ? cell && data.rows[heat.parameters[cell.row]] : near?.dataset.n;
    if (node !== undefined && node !== null) select([Number(node)]);
  };
  chart.addEventListener("click", choose);
  chart.addEventListener("keydown", (event) => {
    const way = steps[event.key];
    if (event.key === "Enter" || event.key === " ") choose();
    else if (event.key === "Escape") leave();
    else if (way && heat) {
      cell = cell ? { row: cell.row + way[1], column: cell.column + way[0] } : { row: 0, column: 0 };
      cell.row = Math.max(0, Math.min(cell.row, heat.names.length - 1));
      cell.column = Math.max(0, Math.min(cell.column, heat.steps.length - 1));
      const told = overHeat(heat.x + ((cell.column + 0.5) * heat.width) / heat.steps.length, heat.y + ((cell.row + 0.5) * heat.height) / heat.names.length);
      const b = $(".cursor", svg).getBoundingClientRect();
      say(told, b.right, b.bottom);
    } else if (way && marks.length) {
      const i = marks.indexOf(near) + (way[0] + way[1] || 1);
      go(marks[Math.max(0, Math.min(i, marks.length - 1))]);
      const b = near.getBoundingClientRect();
      say(near.dataset.t, b.right, b.bottom);
    } else return;
    event.preventDefault();
  });
}
