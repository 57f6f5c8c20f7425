// The formula editor: completion of item codes, and the place of an error.
(() => {
  "use strict";
  const area = document.getElementById("expression"), list = document.getElementById("complete");
  if (!area || !list) return;
  const options = [...list.children];
  let shown = [], chosen = 0;

  // The word before the caret: from an open double quote, or the letters just typed.
  const word = () => {
    const before = area.value.slice(0, area.selectionStart);
    const line = before.slice(before.lastIndexOf("\n") + 1);
    const quotes = (line.match(/["“”]/g) || []).length;
    const found = quotes % 2 ? line.match(/["“”][^"“”]*$/) : line.match(/[A-Za-z_\u4e00-\u9fff][\w\u4e00-\u9fff]*$/);
    return found ? found[0] : "";
  };
  const hide = () => { list.hidden = true; shown = []; };
  const mark = () => shown.forEach((li, i) => { li.setAttribute("aria-selected", String(i === chosen)); if (i === chosen) li.scrollIntoView({ block: "nearest" }); });
  const show = () => {
    const w = word(), plain = w.replace(/^["“”]/, "").toLowerCase();
    if (!w || (w.length === plain.length && plain.length < 2)) { hide(); return; }
    shown = options.filter((li) => { const hit = li.textContent.toLowerCase().includes(plain) && (w.length === plain.length || li.dataset.insert.startsWith('"')); li.hidden = !hit; return hit; }).slice(0, 60);
    options.forEach((li) => { if (!shown.includes(li)) li.hidden = true; });
    chosen = 0; list.hidden = shown.length === 0; mark();
  };
  const take = (li) => {
    const w = word(), at = area.selectionStart, start = at - w.length, insert = li.dataset.insert;
    const end = /^["“”]/.test(area.value.slice(at, at + 1)) && insert.startsWith('"') ? at + 1 : at;
    area.setRangeText(insert, start, end, "end");
    const open = insert.indexOf("(");
    if (open > 0) area.setSelectionRange(start + open + 1, start + insert.lastIndexOf(")"));
    hide(); area.focus(); area.dispatchEvent(new Event("input", { bubbles: true }));
  };
  area.addEventListener("input", (e) => { if (e.isTrusted) show(); });
  area.addEventListener("keydown", (e) => {
    if (list.hidden || e.isComposing) return;
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { chosen = (chosen + (e.key === "ArrowDown" ? 1 : shown.length - 1)) % shown.length; mark(); e.preventDefault(); }
    else if (e.key === "Enter" || e.key === "Tab") { take(shown[chosen]); e.preventDefault(); }
    else if (e.key === "Escape") { hide(); e.preventDefault(); e.stopPropagation(); }
  });
  area.addEventListener("blur", () => setTimeout(hide, 150));
  list.addEventListener("mousedown", (e) => { const li = e.target.closest("li"); if (li) { e.preventDefault(); take(li); } });
  document.addEventListener("click", (e) => {
    if (!e.target.closest("[data-goto]")) return;
    const at = Number(e.target.closest("[data-at]").dataset.at), length = Number(e.target.closest("[data-at]").dataset.length);
    area.focus(); area.setSelectionRange(at, at + length);
  });
  const kind = document.querySelector("[data-formula-kind]");
  if (kind) kind.addEventListener("change", () => { const item = kind.form.elements.item.value; location.href = `/md/formulas?kind=${kind.value}&item=${encodeURIComponent(item)}`; });
  // Enter in a number of the test bench calculates, and does not send the form.
  document.addEventListener("keydown", (e) => { if (e.key === "Enter" && e.target.matches("[data-bench]")) { e.preventDefault(); area.dispatchEvent(new Event("input", { bubbles: true })); const b = document.querySelector('[data-key="F4"]'); if (b) b.click(); } });
})();
