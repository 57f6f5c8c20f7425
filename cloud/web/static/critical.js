// The wards' pop-up: it comes in front of whatever is open and goes only when it was answered (M10 R3).
"use strict";
(() => {
  const popup = () => document.querySelector(".front dialog[data-must]");
  document.addEventListener("htmx:afterSwap", () => {
    const dialog = popup(); if (!dialog) return;
    // The page of critical values itself shows the same cards: no need to stand in front of them.
    if (document.getElementById("cv-cards") || !dialog.querySelector(".cv.waiting")) { dialog.remove(); return; }
    if (!dialog.open && !document.querySelector("dialog.signing[open]")) { dialog.showModal(); const f = dialog.querySelector("[autofocus]"); if (f) f.focus(); }
  });
  // What is being typed survives a refresh that nobody asked for.
  document.addEventListener("htmx:beforeSwap", (e) => {
    const box = e.target;
    if (!box.matches || !box.matches(".front, .cv-home") || e.detail.requestConfig.verb !== "get") return;
    if ([...box.querySelectorAll("input:not([type=hidden])")].some((i) => i.value && i.value !== i.defaultValue)) e.detail.shouldSwap = false;
    // So does the word why an answer did not count (the refused answer itself asks for this refresh), as long as its value still waits.
    const told = box.querySelector(".cv.waiting [role=alert]"), form = told && told.closest(".cv").querySelector("form[hx-post]");
    if (form && e.detail.serverResponse.includes(`hx-post="${form.getAttribute("hx-post")}"`)) e.detail.shouldSwap = false;
  });
  // Escape does not dismiss it.
  document.addEventListener("cancel", (e) => { if (e.target.matches && e.target.matches("dialog[data-must]")) e.preventDefault(); }, true);
  document.addEventListener("keydown", (e) => { if (e.key === "Escape" && document.querySelector("dialog[data-must][open]") && !document.querySelector("dialog.signing[open]")) e.preventDefault(); }, true);
})();
