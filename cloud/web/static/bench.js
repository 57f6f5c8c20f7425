// The bench: only lines that changed are fetched, values are typed from line to line, a reviewed tube hands over to the next.
"use strict";
(() => {
  const $ = (sel, root = document) => root.querySelector(sel);
  const bench = $(".bench"), list = $("#lines");
  if (!bench || !list) return;
  const code = encodeURIComponent(bench.dataset.code), show = bench.dataset.show, light = $(".live");
  const shownTube = () => $("#tube .tube")?.dataset.specimen;
  // Typed and not saved yet: they go with F4 or Ctrl+S, with the next Enter on their line, or by themselves after a pause.
  const unsaved = () => [...document.querySelectorAll("#tube .value input")].filter((i) => i.value.trim() !== "" && i.value !== i.dataset.was);
  const typing = () => { const el = document.activeElement; return unsaved().length > 0 || (el && el.closest("#tube") && /^(INPUT|TEXTAREA)$/.test(el.tagName) && el.value !== (el.dataset.was ?? "")); };

  // --- live: ids are gathered for a moment, then one small request brings those lines ---
  let waiting = new Set(), timer = 0, busy = false;
  const later = (ms) => { if (!timer) timer = setTimeout(refresh, ms); };
  const refresh = async () => {
    timer = 0;
    if (busy) { later(120); return; }
    const ids = [...waiting].slice(0, 60); ids.forEach((id) => waiting.delete(id));
    if (!ids.length) return;
    busy = true;
    try {
      merge(await ask(`/bench/${code}/lines?show=${show}&ids=${ids.join(",")}`), ids);
    } catch (e) { ids.forEach((id) => waiting.add(id)); later(2000); }
    busy = false;
    if (waiting.size) later(150);
  };
  // A fragment as a document. The page asks this by itself, so it says how long nobody touched it; a session that ended goes to the login.
  const ask = async (url) => {
    const answer = await fetch(url, { headers: { "HX-Request": "true", "HX-Current-URL": location.href, "X-Idle": window.jlIdle() } });
    const login = answer.headers.get("HX-Redirect");
    if (login && !typing()) location.assign(login);
    if (login || !answer.ok) throw new Error(String(answer.status));
    const box = document.createElement("template");
    box.innerHTML = await answer.text();
    return box.content;
  };
  // Nobody knows what was missed: the lines that are shown, and those that would be if the page were opened now.
  const all = async () => {
    for (const row of list.querySelectorAll("tr[id]")) waiting.add(row.id.slice(1));
    try {
      const first = await ask(`/bench/${code}?show=${show}&after=0-0`);
      for (const row of first.querySelectorAll("tr[id]")) waiting.add(row.id.slice(1));
      later(0);
    } catch (e) { setTimeout(all, 2000); }
  };
  const merge = (doc, ids) => {
    const counts = JSON.parse($("[data-counts]", doc)?.dataset.counts || "{}");
    for (const [name, n] of Object.entries(counts)) { const el = $(`[data-count="${name}"]`); if (el) el.textContent = n; }
    for (const id of ids) {
      const old = document.getElementById(`t${id}`), fresh = doc.getElementById(`t${id}`), on = old && old.getAttribute("aria-selected") === "true";
      if (!fresh) { if (old && on) old.classList.add("gone"); else if (old) old.remove(); continue; }
      if (old && old.dataset.revision === fresh.dataset.revision) continue;
      if (on) fresh.setAttribute("aria-selected", "true");
      fresh.classList.add("fresh");
      if (old) old.replaceWith(fresh); else insert(fresh);
      window.htmx.process(fresh);
      if (String(id) === shownTube()) reload(id);
    }
    $("#none").classList.toggle("hidden", list.children.length > 0);
  };
  const insert = (row) => {
    const rows = [...list.querySelectorAll("tr[data-key-sort]")];
    const before = rows.find((r) => r.dataset.keySort > row.dataset.keySort), more = $("tr.more", list);
    if (before) list.insertBefore(row, before); else if (more) return; else list.append(row);
  };
  // The tube being looked at follows, unless somebody is typing in it: what is typed is never taken away. Focus stays on its line.
  // While its own post is under way it stays: the answer's word (the next tube, what was saved) would have nobody to be told to.
  let posting = 0, missed = null;
  document.addEventListener("htmx:beforeRequest", (e) => { if (e.detail.requestConfig.verb === "post" && e.target.closest("#tube")) posting = Date.now(); });
  document.addEventListener("htmx:afterRequest", (e) => {
    if (e.detail.requestConfig.verb !== "post") return;
    posting = 0;
    if (missed !== null && missed === shownTube()) reload(missed);
    missed = null;
  });
  const inHand = () => typing() || $("#tube dialog[open]") || $("#tube .ask");
  const reload = async (id) => {
    if (Date.now() - posting < 15000) { missed = String(id); return; }
    if (inHand()) { $("#tube .tube").classList.add("stale"); return; }
    const here = document.activeElement?.closest("#tube tbody.test")?.id;
    await window.htmx.ajax("GET", `/bench/${code}/tube/${id}`, { target: "#tube", swap: "innerHTML", headers: { "X-Live": String(id) } });
    if (here) go($(`#${here} .value input`));
  };

  // What had to wait comes once the hands are free: the box closed, the field left as it was.
  const catchUp = () => setTimeout(() => { if ($("#tube .tube.stale") && !inHand()) reload(shownTube()); }, 0);
  document.addEventListener("close", catchUp, true);
  document.addEventListener("focusout", catchUp);

  // Another tube was opened, a box was, or somebody began to type while this one was asked for again: what is in hand stays.
  document.addEventListener("htmx:beforeSwap", (e) => {
    const live = e.detail.requestConfig?.headers["X-Live"], other = live !== shownTube();
    const post = Date.now() - posting < 15000; // the button that was pressed must still be there when its answer comes
    if (!live || !(other || post || inHand())) return;
    e.detail.shouldSwap = false;
    if (!other && post) missed = live; else if (!other) $("#tube .tube").classList.add("stale");
  });

  const source = new EventSource("/live?ch=bench");
  source.addEventListener("open", () => { light.className = "live on"; });
  source.addEventListener("error", () => { light.className = "live off"; });
  source.addEventListener("bench", (e) => {
    const note = JSON.parse(e.data);
    if (note.specimen_id === undefined) { all(); return; }
    if (String(note.section_id) !== bench.dataset.section) return;
    waiting.add(String(note.specimen_id)); later(30);
  });
  addEventListener("pagehide", () => source.close());

  // Between a scan (or a line chosen) and its answer the old tube still stands there: no key may act on it any more.
  const coming = (e) => e.detail.target?.id === "tube" && !e.target.closest("#tube") && !e.detail.requestConfig?.headers["X-Live"];
  document.addEventListener("htmx:beforeRequest", (e) => { if (coming(e)) $("#tube").inert = true; });
  document.addEventListener("htmx:afterRequest", (e) => { if (coming(e)) $("#tube").inert = false; });

  // The line of the tube being looked at is the chosen one, however it was opened (scan, address, the one before left).
  const choose = () => {
    const row = document.getElementById(`t${shownTube()}`);
    for (const r of list.querySelectorAll("[aria-selected]")) if (r !== row) r.removeAttribute("aria-selected");
    if (row && row.getAttribute("aria-selected") !== "true") { row.setAttribute("aria-selected", "true"); row.scrollIntoView({ block: "nearest" }); }
  };
  document.addEventListener("htmx:afterSettle", (e) => { if (e.target.id === "tube") choose(); });
  // --- typing values: Enter saves and goes on, arrows move between values ---
  const values = () => [...document.querySelectorAll("#tube .value input")];
  const go = (el) => { if (el) { el.focus(); el.select(); el.scrollIntoView({ block: "nearest" }); } };
  document.addEventListener("keydown", (e) => {
    const drop = e.key === "Escape" && e.target.closest?.("#tube tbody.test")?.querySelector("[data-drop]");
    if (drop) { e.preventDefault(); e.stopPropagation(); drop.click(); return; }
    const input = e.target.closest && e.target.closest("#tube .value input");
    if (!input) return;
    const all = values(), at = all.indexOf(input);
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); e.stopPropagation(); go(all[at + (e.key === "ArrowDown" ? 1 : -1)]); }
    if (e.key === "Escape") { input.value = input.dataset.was; input.blur(); }
    if (e.key === "Enter" && input.value === input.dataset.was) { e.preventDefault(); go(all[at + 1]); }
  }, true);
  // --- all that was typed in one post ---
  const answers = (line) => [...line.querySelectorAll(".ask [name], .state [name=again], .state [name=reason], .state [name=sure]")];
  document.addEventListener("htmx:configRequest", (e) => {
    if (!e.target.matches("[data-typed]")) return;
    for (const input of unsaved()) {
      const line = input.closest("tbody.test"), id = line.dataset.test;
      e.detail.parameters.set(`v-${id}`, input.value); e.detail.parameters.set(`n-${id}`, line.dataset.version);
      for (const el of answers(line)) if (el.value) e.detail.parameters.set(`${el.name}-${id}`, el.value);
    }
  });
  const mark = () => {
    const n = unsaved().length, button = $("#save-typed");
    if (button) { button.classList.toggle("hidden", !n); $("b", button).textContent = n || ""; }
    for (const i of document.querySelectorAll("#tube .value input")) i.classList.toggle("unsaved", i.value.trim() !== "" && i.value !== i.dataset.was);
  };
  let pause = 0;
  document.addEventListener("input", (e) => {
    if (!e.target.closest("#tube .value")) return;
    mark(); clearTimeout(pause);
    pause = setTimeout(() => { if (unsaved().length && !$("#tube .ask") && !unsaved().includes(document.activeElement)) $("#save-typed")?.click(); }, 2500);
  });
  document.addEventListener("focusout", (e) => { if (e.target.closest && e.target.closest("#tube .value") && unsaved().length) { clearTimeout(pause); pause = setTimeout(() => { if (unsaved().length && !$("#tube .ask") && !document.activeElement.closest("#tube .value")) $("#save-typed")?.click(); }, 800); } });
  document.addEventListener("htmx:afterSettle", mark);
  // Another tube is asked for while something is typed here: it is saved first.
  document.addEventListener("htmx:beforeRequest", (e) => {
    const target = e.detail.target;
    if (!target || target.id !== "tube" || e.detail.requestConfig.verb !== "get" || !unsaved().length || $("#tube .ask")) return;
    e.preventDefault();
    const path = e.detail.requestConfig.path;
    document.addEventListener("htmx:afterRequest", (done) => { if (done.detail.successful) window.htmx.ajax("GET", path, { target: "#tube", swap: "innerHTML" }); }, { once: true });
    $("#save-typed")?.click();
  });
  addEventListener("beforeunload", (e) => { if (unsaved().length) e.preventDefault(); });
  // The header's event comes before the swap: the next value is focused once the saved line stands.
  let saved = null;
  document.addEventListener("benchSaved", (e) => { saved = e.detail.value; });
  document.addEventListener("htmx:afterSettle", () => {
    if (saved === null) return;
    const all = values(), next = all[all.indexOf($(`#r${saved} .value input`)) + 1];
    saved = null;
    if (next) go(next);
  });
  // Refused because it changed meanwhile: show how it stands now, the notice says what happened.
  document.addEventListener("htmx:responseError", (e) => { if (e.detail.xhr.status === 409 && shownTube()) reload(shownTube()); });
  // Asked for on one result, by its key: that one is measured again, at the dilution its own hold asks for.
  document.addEventListener("click", (e) => {
    const line = e.target.closest("[data-open='rerun-box']") && document.activeElement?.closest("#tube tbody.test");
    const box = line && $(`#rerun-box [name=test][value="${line.dataset.test}"]`);
    if (!box) return;
    for (const each of document.querySelectorAll("#rerun-box [name=test]")) each.checked = each === box;
    $("#rerun-box [name=dilution]").value = box.dataset.at;
  }, true);
  document.addEventListener("click", (e) => {
    if (e.target.closest("[data-first-value]")) { const all = values(); go(all.find((i) => !i.value) || all[0]); }
  });
  document.addEventListener("htmx:afterSwap", (e) => { const f = $("[autofocus]", e.target); if (f) f.focus(); });
  // What was asked about a value was given up: the value as it stands, ready for another one; nothing else of the tube is touched.
  document.addEventListener("htmx:afterSettle", (e) => { const line = e.detail.requestConfig?.elt?.dataset.drop; if (line) go($(`#${line} .value input`)); });

  // --- counting cells: the sum is always shown ---
  document.addEventListener("input", (e) => {
    const form = e.target.closest("[data-count-cells]"); if (!form) return;
    const total = [...form.querySelectorAll("input[name^='c-']")].reduce((sum, i) => sum + (Number.parseInt(i.value, 10) || 0), 0);
    const shown = $("[data-total]", form); shown.textContent = total; shown.classList.toggle("warn", total !== 100 && total !== 200);
  });

  // --- a reviewed tube leaves; the next one opens ---
  document.addEventListener("benchNext", (e) => {
    // A scanned tube may stand further down than the list was read: after it the list is begun.
    const row = document.getElementById(`t${e.detail.value}`), rows = [...list.querySelectorAll("tr[tabindex]")], at = rows.indexOf(row);
    const next = rows[at + 1] || rows[at - 1];
    if (next) next.click(); else window.htmx.ajax("GET", `/bench/${code}/tube/${e.detail.value}`, { target: "#tube", swap: "innerHTML" });
    if (row) { row.remove(); $("#none").classList.toggle("hidden", list.children.length > 0); }
    waiting.add(String(e.detail.value)); later(0);
  });
})();
