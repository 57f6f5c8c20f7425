// Entry of control values: Enter goes on to the next field, the distance to the target shows while one types.
"use strict";
(() => {
  const fields = () => [...document.querySelectorAll("[data-next]")];
  document.addEventListener("keydown", (e) => {
    if (!e.target.matches || !e.target.matches("[data-next]") || !["Enter", "ArrowDown", "ArrowUp"].includes(e.key)) return;
    e.preventDefault();
    const all = fields(), next = all[all.indexOf(e.target) + (e.key === "ArrowUp" ? -1 : 1)];
    if (next) { next.focus(); next.select(); } else if (e.key === "Enter") e.target.form.querySelector("[data-key=F4]").focus();
  });
  const hint = (input) => {
    const cell = input.closest("tr").querySelector(".zhint"), text = input.value.trim();
    cell.className = "num zhint"; cell.textContent = "";
    const z = (Number(text) - Number(input.dataset.mean)) / Number(input.dataset.sd);
    if (!text || !input.dataset.sd || !Number.isFinite(z)) return;
    const far = Math.abs(z);
    cell.textContent = `${far > 3 ? "✕ " : far > 2 ? "! " : ""}${z > 0 ? "+" : ""}${z.toFixed(1)} SD`;
    if (far > 2) cell.classList.add(far > 3 ? "bad" : "warn");
  };
  document.addEventListener("input", (e) => { if (e.target.matches("[data-next]")) hint(e.target); });
  document.addEventListener("htmx:afterSwap", () => { for (const f of fields()) hint(f); const f = document.querySelector("#entry [autofocus]"); if (f) f.focus(); });
})();
