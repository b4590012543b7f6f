// Print all of the first graph and everything that is folded away.
addEventListener("beforeprint", () => {
  $$("details:not(.words)").forEach((d) => { d.open = true; });
  for (const l of Object.values(levels)) { l.kept = l.view; l.view = [...l.full]; place(l); }
});
addEventListener("afterprint", () => {
  for (const l of Object.values(levels)) if (l.kept) { l.view = l.kept; l.kept = null; place(l); }
});
const resized = (l) => {
  const view = $(".view", l.figure);
  l.fitted = l.moved;
  if (!view.clientWidth) return;
  if (!l.moved) fit(l, l.whole);
  else { l.view[3] = (l.view[2] * view.clientHeight) / view.clientWidth; place(l); }
};
addEventListener("resize", () => Object.values(levels).forEach(resized));
