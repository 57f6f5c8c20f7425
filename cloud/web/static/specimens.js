// Tubes: counts this session's scans, and prints labels without leaving the page.
"use strict";
(() => {
  const tally = () => {
    const list = document.getElementById("scans"), out = document.getElementById("tally");
    if (!list || !out) return;
    const count = (kind) => list.querySelectorAll("li." + kind).length;
    out.textContent = `✓ ${count("ok")}  ! ${count("warn")}  ✕ ${count("bad")}`;
    while (list.children.length > 300) list.lastElementChild.remove();
  };
  document.addEventListener("htmx:oobAfterSwap", tally);
  document.addEventListener("htmx:afterSettle", tally);
  document.addEventListener("click", (e) => {
    const button = e.target.closest("[data-print-frame]");
    if (!button) return;
    document.querySelectorAll("iframe.print-frame").forEach((old) => old.remove());
    const frame = document.createElement("iframe");
    frame.className = "print-frame"; frame.title = button.textContent;
    frame.addEventListener("load", () => { try { frame.contentWindow.focus(); frame.contentWindow.print(); } catch { window.open(button.dataset.printFrame); } });
    frame.src = button.dataset.printFrame;
    document.body.append(frame);
  });
})();
