// Columns marked on recorded text: a selection becomes the row of the mark table that has the focus, else the first empty one.
"use strict";
// Typing a print-out: Enter goes to the next value; the form is saved by its key.
document.addEventListener("keydown", (e) => {
  if (e.key !== "Enter" || !e.target.matches || !e.target.matches("input[name=printed]")) return;
  e.preventDefault();
  const all = [...document.querySelectorAll("input[name=printed]")], next = all[all.indexOf(e.target) + 1];
  if (next) { next.focus(); next.select(); } else document.querySelector('button[data-key="F8"]').focus();
});
// Suggestions that are equal by code or name, taken at once into rows that mean nothing yet; the person looks, then saves. Where two
// items are equal (glucose of serum and of urine) nobody but a person can say which.
document.querySelector("#sure")?.addEventListener("click", () => {
  const all = [...document.querySelectorAll("select[name=item_id]")], taken = new Set(all.map((s) => s.value).filter(Boolean));
  let n = 0;
  for (const s of all.filter((s) => !s.value)) {
    const sure = s.querySelectorAll("option[data-sure]");
    if (sure.length === 1 && !taken.has(sure[0].value)) { sure[0].selected = true; taken.add(sure[0].value); n += 1; }
  }
  document.querySelector("#filled").textContent = `★ ${n}`;
});
(() => {
  const $ = (sel, root = document) => root.querySelector(sel), box = $("#marking"), table = $("#marks tbody");
  if (!box || !table) return;
  let last = null;
  table.addEventListener("focusin", (e) => { last = e.target.closest("tr"); });
  const addRow = () => { const row = table.lastElementChild.cloneNode(true); for (const f of row.querySelectorAll("input, select")) f.value = ""; table.append(row); return row; };
  $("#clear").addEventListener("click", () => { const row = addRow(); table.replaceChildren(row); row.querySelector("select").focus(); });
  $("#more").addEventListener("click", () => { $("select", addRow()).focus(); });
  const place = (node, offset) => { const text = node && (node.nodeType === 3 ? node.parentElement : node).closest(".text"); return text ? { text, offset } : null; };
  // With a separator people mark fields: the number of separators before the place tells which.
  const column = (text, offset, end) => {
    const given = $("[name=separator]").value, sep = { tab: "\t", space: " " }[given] || given;
    if (!sep) return end ? offset : offset + 1;
    const before = text.slice(0, end ? Math.max(offset - 1, 0) : offset);
    return (sep === " " ? before.trimStart().split(/ +/) : before.split(sep)).length;
  };
  // A selection that is still there is not meant anew by a click elsewhere.
  let began = false;
  document.addEventListener("mousedown", (e) => { began = box.contains(e.target); });
  document.addEventListener("mouseup", () => {
    if (!began) return;
    began = false;
    const s = document.getSelection();
    if (!s || s.isCollapsed || !box.contains(s.anchorNode)) return;
    const r = s.getRangeAt(0), a = place(r.startContainer, r.startOffset), b = place(r.endContainer, r.endOffset);
    if (!a || !b || a.text !== b.text) return;
    const whole = a.text.textContent, from = column(whole, a.offset, false), line = a.text.dataset.line;
    // Up to the end of the longest such line means to the end of every one, however long; a longer one has something else behind it.
    const ends = [...box.querySelectorAll(`.text[data-line="${line}"]`)].map((t) => t.textContent.trimEnd().length);
    const open = !$("[name=separator]").value && b.offset >= Math.max(...ends), to = open ? "" : column(whole, b.offset, true);
    $("#picked").textContent = `${line} : ${from}–${to}  “${s.toString()}”`;
    const row = last && !$("[name=m_start]", last).value ? last : [...table.rows].find((t) => !$("[name=m_start]", t).value) || addRow();
    $("[name=m_line]", row).value = line; $("[name=m_start]", row).value = from; $("[name=m_end]", row).value = to;
    const role = $("[name=m_role]", row); if (!role.value) role.value = "value"; role.focus(); last = null;
  });
})();
