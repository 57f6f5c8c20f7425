// Behaviour every page shares: scans go where the page wants them, every data-key is a shortcut, answers make a sound.
"use strict";
(() => {
  const $ = (sel, root = document) => root.querySelector(sel);
  const typing = (el) => el && (el.isContentEditable || (/^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName) && !/^(radio|checkbox|button|submit)$/.test(el.type)));

  // Sounds are made here (no file): high double = good, low long = bad, two tones = look.
  // Opening the sound device takes a fifth of a second and holds up the page: where tubes are scanned it is done before the first scan.
  let audio = null;
  const openSound = () => { audio = audio || new AudioContext(); };
  addEventListener("load", () => { if ($("[data-scan-here]")) requestIdleCallback(() => { try { openSound(); } catch (e) { /* no sound device */ } }); });
  const tones = { ok: [[880, 0, .09], [1320, .1, .12]], bad: [[220, 0, .45]], warn: [[660, 0, .12], [440, .14, .2]],
    // Of no scan: something urgent has come up elsewhere.
    alarm: [[990, 0, .12], [740, .16, .12], [990, .32, .12], [740, .48, .2]] };
  const play = (kind) => {
    try {
      openSound();
      if (audio.state === "suspended") audio.resume(); // opened before anybody had touched a key
      for (const [hz, at, len] of tones[kind] || []) {
        const osc = audio.createOscillator(), gain = audio.createGain(), t = audio.currentTime + at;
        osc.frequency.value = hz; osc.connect(gain); gain.connect(audio.destination);
        gain.gain.setValueAtTime(.2, t); gain.gain.exponentialRampToValueAtTime(.001, t + len); osc.start(t); osc.stop(t + len);
      }
    } catch (e) { /* a PC without sound still shows the colour */ }
  };
  window.jlSound = (kind) => { play(kind); document.body.dataset.lastSound = kind; };
  document.addEventListener("sound", (e) => window.jlSound(e.detail.value || e.detail));

  // An urgent alert that was not there a minute ago is heard on every page, once.
  document.addEventListener("htmx:afterSwap", (e) => {
    if (!e.target.matches || !e.target.matches("a.alerts")) return;
    const sign = $("[data-urgent]", e.target), now = sign ? Number(sign.dataset.urgent) : 0, before = sessionStorage.getItem("urgent");
    if (before !== null && now > Number(before)) { play("alarm"); document.body.dataset.alarm = String(now); }
    sessionStorage.setItem("urgent", String(now));
  });

  // The menu is longer than a screen: where one is must be seen (on a phone it lies, and scrolls sideways).
  const here = $(".menu [aria-current]"), menu = $(".menu");
  if (here) {
    const at = here.getBoundingClientRect(), box = menu.getBoundingClientRect();
    const aside = at.right > box.right ? at.right - box.right + box.width / 2 : 0;
    menu.scrollBy(aside, at.bottom > box.bottom ? at.bottom - box.bottom + box.height / 2 : 0);
  }

  document.addEventListener("toast", (e) => {
    const el = document.createElement("div");
    el.className = "toast"; el.textContent = e.detail.value || e.detail; document.body.append(el);
    setTimeout(() => el.remove(), 2500);
  });

  // The page's own scan field wins; otherwise the top bar's.
  const scanField = () => $("[data-scan-here]:not(:disabled)") || $("#scan");
  const focusScan = () => { const f = scanField(); if (f) { f.focus(); f.select(); } };
  document.addEventListener("DOMContentLoaded", () => {
    const once = $("form[data-submit-at-once]");
    if (once) once.requestSubmit();
    // A link that names a form leads into its first field: nobody tabs there. The browser takes the focus away as it scrolls to the form.
    const there = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    const first = (there && $("input:not([type=hidden]),select,textarea", there)) || $("[autofocus]") || $("[data-focus]") || $("[data-scan-here]");
    if (first) first.focus();
    if (first && there) addEventListener("load", () => requestAnimationFrame(() => first.focus()));
  });
  // Who goes back from a refusal finds the form as it was filled in. It is kept with the page's own place in the history and nowhere else;
  // passwords and files are typed again.
  const kept = (form) => [...form.elements].filter((i) => i.name && !/^(hidden|password|file|submit|button|fieldset)$/.test(i.type));
  const ticks = (i) => /^(checkbox|radio)$/.test(i.type);
  document.addEventListener("submit", (e) => {
    const form = e.target;
    if (e.defaultPrevented || form.method !== "post" || form.hasAttribute("hx-post")) return;
    const typed = kept(form).map((i) => [i.name, ticks(i) ? i.checked : i.multiple ? [...i.options].map((o) => o.selected) : i.value]);
    history.replaceState({ ...history.state, jlForm: [...document.forms].indexOf(form), jlTyped: typed }, "");
  });
  document.addEventListener("DOMContentLoaded", () => {
    const back = sessionStorage.getItem("jl-back"), was = history.state, form = was && document.forms[was.jlForm];
    sessionStorage.removeItem("jl-back");
    if (!back || !form || $("[data-back]")) return;
    const fields = kept(form);
    was.jlTyped.forEach(([name, value], n) => {
      const i = fields[n];
      if (!i || i.name !== name) return;
      if (ticks(i)) i.checked = value; else if (i.multiple) [...i.options].forEach((o, k) => { o.selected = value[k]; }); else i.value = value;
      i.dispatchEvent(new Event("input", { bubbles: true }));
    });
    for (let box = form.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    const first = fields.find((i) => !ticks(i)) || fields[0];
    if (first) { first.focus(); first.scrollIntoView({ block: "center" }); }
  });
  document.addEventListener("htmx:afterRequest", (e) => {
    const f = e.target.closest && e.target.closest("[data-scan-again]");
    if (!f) return;
    // Where the answer wants the next key, it goes there: a choice by digit must not land in the scan field. Not in the middle of a scan.
    const i = $("[data-scan-here]", f) || $("[data-scan-here]"), next = e.detail.target && $("[data-focus]", e.detail.target);
    const more = (i && i.value) || waiting.length;
    if (next || i) (next && !more ? next : i || next).focus();
    // A single key that came before its answer was meant for nothing that could be seen yet: it is no scan.
    if (next && more && i && i.value.length === 1) setTimeout(() => { if (i.value.length === 1) { i.value = ""; next.focus(); } }, 80);
  });
  // Scan after scan, also faster than the answers come: the field is free as soon as its code is on its way, what is scanned meanwhile waits
  // its turn, and an answer that brings a new field takes along what was typed into the old one.
  const waiting = [];
  let onWay = null, carried = "";
  const scans = (form) => form && form.matches && form.matches("form[data-scan-again]") && $("[data-scan-here]", form);
  document.addEventListener("submit", (e) => {
    const i = scans(e.target);
    if (!i || !onWay) return;
    e.preventDefault(); e.stopImmediatePropagation();
    if (i.value.trim()) waiting.push(i.value);
    i.value = "";
  }, true);
  document.addEventListener("htmx:beforeRequest", (e) => {
    const i = scans(e.detail.elt);
    if (!i) return;
    onWay = { action: e.detail.elt.getAttribute("action"), code: i.value, writes: e.detail.elt.matches("[hx-post][action]") };
    i.value = "";
  });
  document.addEventListener("htmx:beforeSwap", (e) => {
    const i = e.detail.target.querySelector && $("[data-scan-here]", e.detail.target);
    carried = i ? i.value : "";
  });
  document.addEventListener("htmx:afterSwap", () => {
    const i = carried && $("[data-scan-here]");
    if (i && !i.value) i.value = carried;
    carried = "";
  });
  document.addEventListener("htmx:afterRequest", (e) => {
    const from = e.detail.requestConfig && e.detail.requestConfig.elt;
    if (!onWay || !from || !from.matches("form[data-scan-again]") || from.getAttribute("action") !== onWay.action) return;
    const { action, code, writes } = onWay, lost = (codes) => { waiting.length = 0; if (writes) keepUnsent(codes); };
    onWay = null;
    if (/^\/(login|lock)\b/.test(e.detail.xhr.getResponseHeader("HX-Redirect") || "")) { lost([...unsent(), code, ...waiting]); return; }
    if (e.detail.xhr.status) keepUnsent(unsent().filter((c) => !same(c, code)));
    const form = [...document.querySelectorAll("form[data-scan-again]")].find((f) => f.getAttribute("action") === action), i = scans(form);
    if (!i) { lost([...unsent(), ...waiting]); return; }
    if (!e.detail.xhr.status) { // it never came there
      lost([...unsent(), ...(i.value ? [code] : []), ...waiting]);
      if (!i.value) { i.value = code; i.select(); }
      return;
    }
    setTimeout(() => { // once htmx has let go of the form
      if (onWay || !waiting.length || !form.isConnected) return;
      const typed = i.value;
      i.value = waiting.shift(); form.requestSubmit(); i.value = typed;
    });
  });
  // What was scanned and never answered is named on every page until it is scanned again or put aside. It is never sent by itself:
  // by then it may be another person's turn.
  const unsent = () => JSON.parse(sessionStorage.getItem("jl-unsent") || "[]"), same = (a, b) => a.trim().toUpperCase() === b.trim().toUpperCase();
  const keepUnsent = (codes) => {
    if (codes.length) sessionStorage.setItem("jl-unsent", JSON.stringify(codes)); else sessionStorage.removeItem("jl-unsent");
    showUnsent();
  };
  const showUnsent = () => {
    const codes = unsent(), n = $("#notice"), old = $("#unsent"), en = document.documentElement.lang === "en";
    if (old) old.remove();
    if (!codes.length || !n || $("#password")) return;
    const box = document.createElement("div"), list = document.createElement("span"), button = document.createElement("button");
    box.id = "unsent"; box.className = "notice bad"; box.setAttribute("role", "alert");
    list.className = "code"; list.textContent = codes.join("  ");
    button.type = "button"; button.className = "second small right"; button.textContent = en ? "Done" : "知道了";
    button.addEventListener("click", () => { keepUnsent([]); focusScan(); });
    box.append(en ? "✕ Scanned but not answered, scan again: " : "✕ 扫过但没有得到答复，请重新扫描：", list, button);
    n.before(box);
  };
  addEventListener("pageshow", showUnsent);
  addEventListener("beforeunload", (e) => { if (waiting.length && onWay && onWay.writes) { e.preventDefault(); e.returnValue = ""; } });
  addEventListener("pagehide", () => { if (onWay && onWay.writes) keepUnsent([...unsent(), onWay.code, ...waiting]); onWay = null; waiting.length = 0; });
  // What a page asks by itself keeps nobody logged in: the server hears how long ago a person last did something.
  let touched = performance.now();
  for (const kind of ["keydown", "pointerdown", "wheel"]) document.addEventListener(kind, (e) => { if (e.isTrusted) touched = performance.now(); }, { capture: true, passive: true });
  window.jlIdle = () => String(Math.round((performance.now() - touched) / 1000));
  document.addEventListener("htmx:configRequest", (e) => { e.detail.headers["X-Idle"] = window.jlIdle(); });
  // An error stays until it is read; who then does the same step right has read it.
  let told = null;
  document.addEventListener("htmx:afterRequest", (e) => {
    const n = $("#notice"), asked = e.detail.requestConfig;
    if (!n || !asked || asked.verb === "get") return;
    if (!e.detail.successful) told = { path: asked.path, box: n.firstElementChild };
    else if (told && told.box && told.path === asked.path && told.box.isConnected) { n.replaceChildren(); told = null; }
  });
  document.addEventListener("htmx:sendError", () => {
    const n = $("#notice"); if (!n) return;
    const box = document.createElement("div"); box.className = "notice bad"; box.textContent = document.documentElement.lang === "en" ? "✕ The server cannot be reached; nothing was saved. Check the network and try again." : "✕ 连不上服务器，刚才的操作没有保存。请检查网络后重试。";
    n.replaceChildren(box); window.jlSound("bad");
  });

  // A scanner types fast and ends with Enter: six characters within 60 ms of each other outside a field are a scan; eight also where a
  // value field is open, and where an answer takes that field away in the middle of them. A scan never becomes a result.
  let run = "", at = 0, was = null;
  addEventListener("keydown", (e) => {
    const now = e.timeStamp, fast = now - at < 60, el = e.target; // when the key was pressed: a busy page hears of it later
    at = now;
    const field = el.matches && el.matches('input[inputmode="decimal"],.value input') && !el.matches("[data-scan-here]") ? el : null;
    // An answer that moves the focus into the scan field in the middle of a scan must not cost its first characters.
    if (fast && run && !was && e.key !== "Shift" && el.matches && el.matches("[data-scan-here]") && !el.value) el.value = run;
    if ((typing(el) && !field) || e.ctrlKey || e.altKey || e.metaKey) { run = ""; was = null; return; }
    if (e.key === "Enter" && fast && run.length >= (was ? 8 : 6) && scanField()) {
      e.preventDefault(); e.stopImmediatePropagation();
      const code = run, f = scanField();
      if (was && was.field.isConnected) { was.field.value = was.value; was.field.dispatchEvent(new Event("input", { bubbles: true })); }
      run = ""; was = null;
      f.value = code; f.form.requestSubmit();
      return;
    }
    if (e.key.length !== 1) { if (e.key !== "Shift") { run = ""; was = null; } return; }
    if (!fast) { run = ""; was = null; }
    if (field && (!was || was.field !== field)) was = { field, value: field.value };
    run += e.key;
  }, true);

  // A single character is a shortcut only when nothing follows as fast as a scanner types: a scan must never tick a box.
  let last = 0, lone = 0, held = null;
  const press = (el) => { el.matches("input:not([type=checkbox],[type=radio]),select,textarea") ? el.focus() : el.click(); };
  document.addEventListener("keydown", (e) => {
    const now = e.timeStamp, fast = now - last < 60;
    last = now; clearTimeout(lone);
    if (held && e.key.length > 1 && e.key !== "Enter") press(held); // the choice was meant, the next key only came soon
    held = null;
    if (e.key === "F2") { e.preventDefault(); focusScan(); return; }
    if (e.key === "Escape" && !$("dialog[open]")) { const n = $("#notice"); if (n) n.replaceChildren(); }
    const combo = (e.ctrlKey ? "Ctrl+" : "") + (e.altKey ? "Alt+" : "") + (e.shiftKey && e.key.length > 1 ? "Shift+" : "") + (e.key.length === 1 ? e.key.toUpperCase() : e.key);
    if (combo === "?" && !typing(e.target)) { showKeys(); return; }
    if (typing(e.target) && combo.length === 1) return;
    const hit = [...document.querySelectorAll("[data-key]")].find((el) => el.dataset.key === combo && !el.disabled && el.offsetParent !== null && !el.closest("[inert]") && (!$("dialog[open]") || el.closest("dialog[open]")));
    if (hit && combo.length === 1) { e.preventDefault(); if (!fast) { held = hit; lone = setTimeout(() => { run = ""; held = null; press(hit); }, 80); } return; }
    if (hit) { e.preventDefault(); run = ""; press(hit); return; }
    // j and k as in other lists, but only by themselves: a scanner's letters must never turn the page.
    if ((combo === "J" || combo === "K") && !typing(e.target) && $("[data-list]")) {
      e.preventDefault();
      if (!fast) lone = setTimeout(() => { run = ""; moveInList({ key: combo === "J" ? "ArrowDown" : "ArrowUp", target: document.body, preventDefault() {} }); }, 80);
      return;
    }
    moveInList(e);
  });

  // Lists: arrows move, Enter opens (rows carry tabindex and hx-get). From the empty scan field, too: after a scan the next is a key away.
  const moveInList = (e) => {
    if (!["ArrowDown", "ArrowUp"].includes(e.key)) return;
    const list = $("[data-list]"), scans = e.target.matches?.("[data-scan-here]") && !e.target.value;
    if (!list || (typing(e.target) && !list.contains(e.target) && !scans)) return;
    const rows = [...list.querySelectorAll("tr[tabindex]")]; if (!rows.length) return;
    const here = rows.findIndex((r) => r.getAttribute("aria-selected") === "true");
    const next = rows[Math.max(0, Math.min(rows.length - 1, here + (e.key === "ArrowDown" ? 1 : -1)))];
    e.preventDefault(); next.click();
  };
  document.addEventListener("click", (e) => {
    const row = e.target.closest("[data-list] tr[tabindex]");
    if (row) { for (const r of row.parentElement.children) r.removeAttribute("aria-selected"); row.setAttribute("aria-selected", "true"); row.focus({ preventScroll: true }); row.scrollIntoView({ block: "nearest" }); }
    if (e.target.closest("[data-back]")) { sessionStorage.setItem("jl-back", "1"); history.back(); }
    if (e.target.closest("[data-dismiss]")) { const n = $("#notice"); if (n) n.replaceChildren(); }
    const fill = e.target.closest("[data-fill]"), field = fill && fill.form && fill.form.elements[fill.dataset.fill];
    if (field) { field.value = fill.dataset.fillValue; field.dispatchEvent(new Event("change", { bubbles: true })); field.focus(); }
    if (e.target.closest("[data-keys]")) showKeys();
    const open = e.target.closest("[data-open]"); if (open) { const d = document.getElementById(open.dataset.open); if (d) d.showModal(); }
  });
  document.addEventListener("keydown", (e) => { if (e.key === "Enter" && e.target.matches && e.target.matches("tr[tabindex]")) e.target.click(); });

  // Columns of values: Enter goes to the next field and sends nothing; the form has its own key for that.
  document.addEventListener("keydown", (e) => {
    const form = e.key === "Enter" && e.target.matches && e.target.matches("input") && e.target.closest("form[data-enter-next]"); if (!form) return;
    const all = [...form.querySelectorAll("input:not([type=hidden],[type=checkbox],[type=radio])")], next = all[all.indexOf(e.target) + 1];
    e.preventDefault(); e.stopPropagation();
    if (next) { next.focus(); next.select(); next.scrollIntoView({ block: "nearest" }); }
  }, true);

  // What was refused before stands no longer over what a person then did.
  document.addEventListener("htmx:beforeSwap", (e) => {
    const n = $("#notice");
    if (n && n.firstChild && e.detail.xhr.status < 400 && (e.detail.requestConfig.verb !== "get" || e.detail.requestConfig.elt.dataset?.key === "F5")) n.replaceChildren();
  });

  const showKeys = () => {
    const box = $("#keys-list"), dialog = $("#keys"); if (!box || !dialog) return;
    const en = document.documentElement.lang === "en", usual = [["?", en ? "These keys" : "本表"]], told = new Set();
    if ($("[data-list] tr[tabindex]")) usual.unshift(["↑ ↓", en ? "Line by line" : "上一行、下一行"]);
    if (scanField()) usual.unshift(["F2", en ? "Scan" : "扫码"]);
    const line = ([key, words]) => { const p = document.createElement("p"), k = document.createElement("kbd"); k.textContent = key; p.append(k, " " + words); return p; };
    // Where several share a key the first is what it presses.
    const own = [...document.querySelectorAll("[data-key]")].filter((el) => el.offsetParent !== null && el.dataset.key !== "?" && !told.has(el.dataset.key) && told.add(el.dataset.key));
    box.replaceChildren(...own.map((el) => line([el.dataset.key, el.dataset.keyLabel || el.textContent.replace(el.dataset.key, "").trim()])), ...usual.map(line));
    dialog.showModal();
  };

  // Dialogs that must be answered at once open themselves when they arrive.
  // Wherever it came: a dialog that replaces itself (a wrong PIN) arrives as the swapped element, not inside one.
  document.addEventListener("htmx:afterSwap", () => { const d = $("dialog[data-modal]:not([open])"); if (d && !$("dialog[data-modal][open]")) d.showModal(); });
  // A dialog whose form was taken closes; a refusal leaves it open with what was typed.
  document.addEventListener("htmx:afterRequest", (e) => { const d = e.detail.successful && e.target.closest && e.target.closest("dialog[open]"); if (d && $("[data-close]", e.target)) d.close(); });
  document.addEventListener("change", (e) => { const f = e.target.closest("form[data-submit-on-change]"); if (f) f.requestSubmit(); });
})();
