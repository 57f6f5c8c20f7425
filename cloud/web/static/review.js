// Review and amendment: ticks survive a refresh of the list; a closed signing window asks for the PIN and goes on by itself.
"use strict";
(() => {
  if (window.jlReview) return;
  window.jlReview = true;
  const $ = (sel, root = document) => root.querySelector(sel), all = (sel) => [...document.querySelectorAll(sel)];
  const list = $(".review #lines"), form = $("#queue");
  const boxes = () => all('#lines input[name="id"]');
  const count = () => { const n = boxes().filter((b) => b.checked).length, el = $("#ticked"); if (el) el.textContent = n || ""; };
  let kept = {};
  document.addEventListener("htmx:beforeSwap", (e) => { if (e.target === list) kept = Object.fromEntries(boxes().map((b) => [b.value, b.checked])); });
  document.addEventListener("htmx:afterSwap", (e) => {
    if (e.target !== list) { const f = $("[autofocus]", e.target); if (f) f.focus(); }
  });
  // Only a settled row answers to a click.
  document.addEventListener("htmx:afterSettle", (e) => {
    if (e.target !== list) return;
    for (const b of boxes()) if (b.value in kept) b.checked = kept[b.value];
    if (!choose()) next();
    count();
  });
  // The line of the report being looked at is the chosen one, also when a scan opened it.
  const choose = () => {
    const shown = $("#tube .tube")?.dataset.report, row = shown && document.getElementById(`q${shown}`);
    for (const r of all("#lines [aria-selected]")) if (r !== row) r.removeAttribute("aria-selected");
    if (row) { row.setAttribute("aria-selected", "true"); row.scrollIntoView({ block: "nearest" }); }
    return row;
  };
  document.addEventListener("htmx:afterSettle", (e) => { if (e.target.id === "tube") choose(); });
  // What left the list is no longer acted on while the next one is fetched.
  const next = () => {
    const row = $("#lines tr[tabindex]");
    for (const b of all("#tube .actions button")) b.disabled = true;
    if (row) row.click(); else if ($("#tube")) $("#tube").replaceChildren();
  };
  document.addEventListener("change", (e) => {
    if (e.target.id === "all") for (const b of boxes()) b.checked = e.target.checked && b.dataset.clean === "1";
    if (e.target.matches('#lines input, #all')) count();
  });
  // A tick is not a choice of the row.
  document.addEventListener("click", (e) => { if (e.target.matches('#lines input[name="id"]')) e.stopPropagation(); }, true);
  document.addEventListener("keydown", (e) => {
    const row = e.target.matches("[data-scan-here]") && !e.target.value ? $('#lines tr[aria-selected="true"]') : e.target;
    if (e.key !== " " || !row || !row.matches("#lines tr[tabindex]")) return;
    e.preventDefault(); const b = $("input", row); b.checked = !b.checked; count();
  });
  if (form) form.addEventListener("submit", () => { if (!boxes().some((b) => b.checked)) { const b = $('#lines tr[aria-selected="true"] input'); if (b) b.checked = true; } }, true);
  // How many went, and how many wait unseen behind the list.
  const say = (id, n) => { const el = document.getElementById(id); if (el) el.textContent = n > 0 ? el.dataset.words.replace("#", n) : ""; };
  document.addEventListener("released", (e) => say("went", e.detail.value));
  document.addEventListener("unlisted", (e) => say("unlisted", e.detail.value));
  document.addEventListener("reviewNext", (e) => { const row = document.getElementById(`q${e.detail.value}`); if (row) row.remove(); next(); count(); });

  // One item of many to amend: by its code, name, pinyin or number. Enter goes only where one item is meant: it names what will be told.
  document.addEventListener("keydown", (e) => {
    if (e.key !== "Enter" || e.target.id !== "amend-find") return;
    e.preventDefault();
    const word = e.target.value.trim().toLowerCase(), rows = all("#amend tr[data-find]"), told = $("#amend-found"); if (!word) return;
    const by = (fits) => rows.filter((r) => r.dataset.find.toLowerCase().split("|").some((each) => each && fits(each)));
    const hits = [(w) => w === word, (w) => w.startsWith(word), (w) => w.includes(word)].map(by).find((found) => found.length) || [];
    told.textContent = hits.length === 1 ? "" : hits.length ? told.dataset.many : told.dataset.none;
    if (hits.length === 1) { const i = $("input", hits[0]); e.target.value = ""; i.focus(); i.select(); i.scrollIntoView({ block: "center" }); } else e.target.select();
  });

  // 401 to a signature: PIN first, then the same request again.
  let waiting = null;
  document.addEventListener("htmx:beforeSwap", (e) => {
    if (e.detail.xhr.status !== 401) return;
    e.detail.shouldSwap = false;
    waiting = { path: e.detail.requestConfig.path, values: e.detail.requestConfig.formData, target: e.detail.requestConfig.target, swap: e.detail.requestConfig.elt.getAttribute("hx-swap") || "innerHTML" };
    window.htmx.ajax("GET", "/sign/dialog", { target: "#signing", swap: "innerHTML" });
  });
  // Exactly what was refused is sent again, even if the list was refreshed under the dialog meanwhile.
  document.addEventListener("signing-open", () => {
    const again = waiting; waiting = null; if (!again) return;
    const target = again.target && again.target.isConnected ? again.target : "#lines";
    window.htmx.ajax("POST", again.path, { values: again.values, target, swap: again.swap });
  });
  document.addEventListener("DOMContentLoaded", count); count();
})();
