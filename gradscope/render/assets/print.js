// Print all of the first graph and everything that is folded away.
addEventListener("beforeprint", () => {
  $$("details:not(.words)").forEach((d) => { d.open = true; });
  for (const l of Object.values(levels)) { l.kept = l.view; l.view = [...l.full]; place(l); }
});
addEventListener("afterprint", () => {
  for (const l of Object.values(levels)) if (l.kept) { l.view = l.kept; place(l); }
});
addEventListener("resize", () => { const v = level && $(".view", level.figure); if (v?.clientWidth && v.clientHeight) { level.view[3] = (level.view[2] * v.clientHeight) / v.clientWidth; place(level); } });
