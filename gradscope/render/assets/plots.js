// Plots: the mark nearest to the mouse says what it is; arrows walk over the marks.
const tip = $("#tip");
const say = (text, x, y) => {
  tip.textContent = text;
  tip.hidden = !text;
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 6))}px`;
  tip.style.top = `${y + 18 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 10 : y + 18}px`;
};
// "loss at step 0:2.3 1:2.1" stands for many numbers: what they are of, and pairs of where and what.
const read = (mark) => {
  const label = mark.getAttribute("aria-label");
  const [, head, pairs] = /^(.* at (?:step|update)) (\S+:\S+(?: \S+:\S+)*)$/s.exec(label) || [null, label, ""];
  const points = (mark.getAttribute("d")?.match(/-?[\d.]+,-?[\d.]+/g) || []).map((s) => s.split(",").map(Number));
  return { mark, head, pairs: pairs ? pairs.split(" ").map((s) => s.split(":")) : [], points, line: /L/.test(mark.getAttribute("d")) };
};
const tell = ({ head, pairs }, i) => (pairs.length ? `${head} ${pairs[i][0]}: ${pairs[i][1]}` : head);
const segment = (p, [ax, ay], [bx, by]) => {
  const t = Math.max(0, Math.min(1, ((p.x - ax) * (bx - ax) + (p.y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2 || 1)));
  return Math.hypot(ax + t * (bx - ax) - p.x, ay + t * (by - ay) - p.y);
};
// How far a mark is from the mouse, and which of its numbers is meant.
const measure = (m, x, y) => {
  if (m.pairs.length < 2) {
    const b = m.mark.getBoundingClientRect();
    return [Math.hypot(b.x + b.width / 2 - x, b.y + b.height / 2 - y), 0];
  }
  const p = new DOMPoint(x, y).matrixTransform(m.mark.getScreenCTM().inverse());
  if (!m.line) {
    const b = m.mark.getBBox();
    const inside = p.x >= b.x && p.x < b.x + b.width && p.y >= b.y && p.y < b.y + b.height;
    return [inside ? 0 : Infinity, Math.floor(((p.x - b.x) / b.width) * m.pairs.length)];
  }
  let least = Infinity, at = 0;
  m.points.forEach(([px], i) => {
    if (i) least = Math.min(least, segment(p, m.points[i - 1], m.points[i]));
    if (Math.abs(px - p.x) < Math.abs(m.points[at][0] - p.x)) at = i;
  });
  return [least * m.mark.getScreenCTM().a, at];
};
for (const chart of $$(".plot .chart")) {
  const svg = $("svg", chart), marks = $$("[aria-label]", svg).map(read);
  const cursor = document.createElementNS(svg.namespaceURI, "path");
  cursor.setAttribute("class", "cursor");
  let near = null, at = 0;
  const shape = () => {
    if (near.line) {
      const [x, y] = near.points[at];
      return `M${x - 4},${y}a4,4 0 1,0 8,0a4,4 0 1,0 -8,0`;
    }
    const b = near.mark.getBBox(), width = b.width / near.pairs.length;
    return `M${b.x + at * width},${b.y}h${width}v${b.height}h${-width}Z`;
  };
  const go = (next, i = 0) => {
    near?.mark.classList.remove("near");
    cursor.remove();
    [near, at] = [next, i];
    if (!near) return;
    near.mark.classList.add("near");
    if (near.pairs.length < 2) return;
    cursor.setAttribute("d", shape());
    near.mark.parentNode.append(cursor);
  };
  const leave = () => { go(null); say("", 0, 0); };
  chart.addEventListener("pointermove", (event) => {
    let best = null, least = 24, index = 0;
    for (const m of marks) {
      const [far, i] = measure(m, event.clientX, event.clientY);
      if (far < least) { best = m; least = far; index = i; }
    }
    go(best, index);
    say(best ? tell(best, index) : "", event.clientX, event.clientY);
  });
  chart.addEventListener("pointerleave", leave);
  chart.addEventListener("blur", leave);
  const choose = () => { if (near?.mark.dataset.n) select([Number(near.mark.dataset.n)]); };
  chart.addEventListener("click", choose);
  chart.addEventListener("keydown", (event) => {
    const way = steps[event.key];
    if (event.key === "Enter" || event.key === " ") choose();
    else if (event.key === "Escape") leave();
    else if (way && marks.length) {
      // Left and right walk along a mark's numbers, if it has many; else from mark to mark.
      const along = near?.pairs.length > 1 && way[0];
      const next = !near ? 0 : along ? marks.indexOf(near) : marks.indexOf(near) + way[0] + way[1];
      const mark = marks[Math.max(0, Math.min(next, marks.length - 1))];
      go(mark, Math.max(0, Math.min(near ? at + (along ? way[0] : 0) : 0, mark.pairs.length - 1)));
      const b = (mark.pairs.length > 1 ? cursor : mark.mark).getBoundingClientRect();
      say(tell(near, at), b.right, b.bottom);
    } else return;
    event.preventDefault();
  });
}
