// Two values of many tests: 1 and 2 choose, arrows walk the lines, one key marks the undisputed ones of a column. Nothing is chosen before.
"use strict";
(() => {
  const form = () => document.querySelector("[data-rivals]");
  const lines = () => [...form().querySelectorAll("[data-rival]")];
  const side = (line, n) => line.querySelector(`input[data-side="${n}"]`);
  const here = () => { const l = document.activeElement && document.activeElement.closest && document.activeElement.closest("[data-rival]"); return l || null; };
  const go = (line) => { if (line) { (line.querySelector("input[type=radio]:checked") || side(line, 1)).focus(); line.scrollIntoView({ block: "nearest" }); } };
  const count = () => {
    const f = form(); if (!f) return;
    f.querySelector("[data-chosen]").textContent = f.querySelectorAll("input[type=radio]:checked").length;
    for (const line of lines()) line.classList.toggle("chosen", !!line.querySelector("input:checked"));
  };
  // Before the page's own keys: a digit here is a choice at once, an arrow is the next line and no other choice.
  document.addEventListener("keydown", (e) => {
    const line = form() && here(); if (!line || e.ctrlKey || e.altKey || e.metaKey) return;
    const all = lines(), at = all.indexOf(line);
    if (e.key === "1" || e.key === "2") { e.preventDefault(); e.stopPropagation(); const r = side(line, e.key); r.checked = true; r.focus(); count(); }
    else if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); e.stopPropagation(); go(all[at + (e.key === "ArrowDown" ? 1 : -1)]); }
    // Enter goes on; only F4 saves.
    else if (e.key === "Enter") { e.preventDefault(); e.stopPropagation(); const next = all[at + 1]; if (next) go(next); else form().elements.reason.focus(); }
  }, true);
  document.addEventListener("click", (e) => {
    const b = e.target.closest("[data-column]"); if (!b) return;
    for (const line of lines()) if ("undisputed" in line.dataset && !line.querySelector("input:checked")) side(line, b.dataset.column).checked = true;
    count(); go(lines().find((l) => !l.querySelector("input:checked")));
  });
  document.addEventListener("change", (e) => { if (e.target.closest("[data-rivals]")) count(); });
  document.addEventListener("htmx:afterSettle", (e) => { if (form() && e.target.contains(form())) go(lines()[0]); });
})();
