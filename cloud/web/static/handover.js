// The hand-over note: leaving the page with a line that is not saved yet asks first.
"use strict";
(() => {
  let dirty = false;
  document.addEventListener("input", (e) => { if (e.target.matches("#note-form textarea")) dirty = true; });
  document.addEventListener("htmx:afterRequest", (e) => { if (e.detail.successful && e.target.closest && e.target.closest("#note-form")) dirty = false; });
  addEventListener("beforeunload", (e) => { if (dirty) e.preventDefault(); });
})();
