// Dates and times as the laboratory writes them, whatever language the browser speaks (a native field follows the browser: 11/27/2026, 08:30 PM).
// Typed as 2026-11-27, 20261127, 11-27 or 1127 (this year), 2026年11月27日; a time as 08:30, 8:30 or 0830; or picked from the browser's own
// calendar (Alt+↓). What was understood stands in the field at once, so that a wrong guess is seen; what was not is said in words.
"use strict";
(() => {
  const two = (n) => String(n).padStart(2, "0");
  const plain = (s) => s.normalize("NFKC").trim().replace(/[年月/.]/g, "-").replace(/[日T]/g, " ").trim().replace(/\s+/g, " ");
  const day = (s) => {
    const now = new Date(), m = /^(?:(\d{4})-)?(\d{1,2})-(\d{1,2})$/.exec(s) || /^(\d{4})?(\d\d)(\d\d)$/.exec(s);
    if (!m) return null;
    const y = +(m[1] || now.getFullYear()), at = new Date(Date.UTC(y, m[2] - 1, +m[3]));
    return y > 1000 && at.getUTCMonth() === m[2] - 1 && at.getUTCDate() === +m[3] ? `${y}-${two(m[2])}-${two(m[3])}` : null;
  };
  const clock = (s) => {
    const m = /^(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?$/.exec(s) || /^(\d\d)(\d\d)(\d\d)?$/.exec(s);
    return m && m[1] < 24 && m[2] < 60 && (m[3] || 0) < 60 ? two(m[1]) + ":" + two(m[2]) + (m[3] ? ":" + two(m[3]) : "") : null;
  };
  const moment = (s) => {
    const m = /^(\d{8})(\d{4}|\d{6})$/.exec(s), [d, t] = m ? [m[1], m[2]] : s.split(" "), on = day(d), at = t && clock(t);
    return on && at ? on + " " + at : null;
  };
  const month = (s) => {
    const m = /^(\d{4})-(\d{1,2})-?$/.exec(s) || /^(\d{4})(\d\d)$/.exec(s) || /^()(\d{1,2})$/.exec(s);
    return m && m[2] >= 1 && m[2] <= 12 ? (m[1] || new Date().getFullYear()) + "-" + two(m[2]) : null;
  };
  const KINDS = {
    date: [day, "年-月-日", "yyyy-mm-dd", 10, "2026-11-27", "20261127"], month: [month, "年-月", "yyyy-mm", 7, "2026-11", "202611"],
    time: [clock, "时:分", "hh:mm", 5, "08:30", "0830"],
    "datetime-local": [moment, "年-月-日 时:分", "yyyy-mm-dd hh:mm", 16, "2026-11-27 08:30", "20261127 0830"],
  };
  const english = () => document.documentElement.lang === "en";
  const wrong = (field, kind) => {
    const [, , , , a, b] = KINDS[kind], { min, max } = field.dataset;
    if (!field.value.trim()) return "";
    const read = KINDS[kind][0](plain(field.value));
    if (!read) return english() ? `Write it as ${a} or ${b}.` : `请写成 ${a} 或 ${b} 的样子。`;
    if (min && read < min) return english() ? `Not before ${min}.` : `不能早于 ${min}。`;
    return max && read > max ? (english() ? `Not after ${max}.` : `不能晚于 ${max}。`) : "";
  };
  const settle = (field) => {
    const kind = field.dataset.when, problem = wrong(field, kind);
    field.setCustomValidity(problem);
    if (problem) field.setAttribute("aria-invalid", "true"); else field.value = KINDS[kind][0](plain(field.value)) || "";
    return !problem;
  };
  const dress = (field) => {
    const kind = field.type, [, zh, en, size] = KINDS[kind], value = field.value, picker = field.cloneNode();
    for (const name of ["min", "max"]) if (field[name]) field.dataset[name] = field[name];
    for (const name of ["id", "name", "required", "data-key", "autofocus", "title"]) picker.removeAttribute(name);
    picker.tabIndex = -1; picker.className = "picker"; picker.setAttribute("aria-hidden", "true");
    field.dataset.when = kind; field.type = "text"; field.value = value; field.size = size; field.inputMode = "numeric"; field.autocomplete = "off";
    field.spellcheck = false; field.placeholder = english() ? en : zh; field.classList.add("when");
    if (value) settle(field);
    const button = document.createElement("button");
    button.type = "button"; button.tabIndex = -1; button.className = "pick"; button.setAttribute("aria-label", english() ? "Choose" : "选择");
    const open = () => { picker.value = (field.value || "").replace(" ", "T"); try { picker.showPicker(); } catch (e) { field.focus(); } };
    button.addEventListener("click", open);
    field.addEventListener("keydown", (e) => { if (e.altKey && e.key === "ArrowDown") { e.preventDefault(); open(); } });
    picker.addEventListener("change", (e) => {
      e.stopPropagation();
      field.value = picker.value; field.focus(); field.dispatchEvent(new Event("change", { bubbles: true }));
    });
    const box = document.createElement("span"), here = document.activeElement === field;
    box.className = "when"; field.replaceWith(box); box.append(field, button, picker);
    if (here) field.focus();
  };
  const all = (root) => { for (const kind in KINDS) for (const field of root.querySelectorAll(`input[type="${kind}"]:not(.picker)`)) dress(field); };
  all(document);
  document.addEventListener("htmx:load", (e) => { if (e.target.querySelectorAll) all(e.target); });
  // Before anybody else hears of the change, so that what is sent is what is shown.
  window.addEventListener("change", (e) => {
    if (!e.target.matches || !e.target.matches("input.when")) return;
    if (!settle(e.target)) { e.stopImmediatePropagation(); e.target.reportValidity(); }
  }, true);
  window.addEventListener("submit", (e) => { for (const field of e.target.querySelectorAll("input.when")) if (!field.validity.customError) settle(field); }, true);
  document.addEventListener("input", (e) => { if (e.target.matches("input.when")) { e.target.setCustomValidity(""); e.target.removeAttribute("aria-invalid"); } });
})();
