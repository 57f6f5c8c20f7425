// Three steps: card, one question, ticket. Goes back to the start by itself; a scanner may type at any moment of the first step.
"use strict";
(() => {
  const IDLE_MS = 30000, SHOWN_MS = 12000;
  const $ = (id) => document.getElementById(id);
  const steps = [...document.querySelectorAll("main > section")], questions = [...document.querySelectorAll(".question")];
  const TROUBLE = "取号机出了问题，请到导诊台取号。";
  let code = "", answers = {}, timer = 0, busy = false, turn = 0;

  const speak = (text) => {
    if (!("speechSynthesis" in window)) return;
    speechSynthesis.cancel();
    const voice = new SpeechSynthesisUtterance(text); voice.lang = "zh-CN"; voice.rate = 0.85; speechSynthesis.speak(voice);
  };
  const show = (section, words) => {
    for (const each of steps) each.hidden = each !== section;
    document.querySelector("main").dataset.step = section.id || section.dataset.id;
    // Never on an answer: a card scanned once more ends with Enter, and would choose it.
    const first = section.querySelector("button.main:not(:disabled)"); if (first && section.id !== "card" && !section.dataset.id) first.focus(); else if (document.activeElement) document.activeElement.blur();
    if (words) speak(words);
    rest(section.id === "ticket" ? SHOWN_MS : IDLE_MS);
  };
  const rest = (ms) => { clearTimeout(timer); timer = setTimeout(start, ms); };
  const start = () => { code = ""; answers = {}; busy = false; turn += 1; paint(); show($("card")); document.activeElement && document.activeElement.blur(); };
  const paint = () => { $("code").textContent = code; $("go").disabled = code.length < 3; };
  const type = (char) => { if (code.length < 40) code += char; paint(); rest(IDLE_MS); };

  const ask = (n) => {
    if (n >= questions.length) { send(); return; }
    show(questions[n], questions[n].querySelector("h1").textContent);
  };
  const post = async (address, what) => {
    busy = true; show($("wait"));
    let body = null;
    try {
      const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) });
      body = await answer.json();
    } catch (e) { body = { message: TROUBLE }; }
    busy = false;
    return body;
  };
  const refuse = (message) => { $("message").textContent = message || TROUBLE; show($("trouble"), $("message").textContent); };
  // First whose card it is: nobody answers questions only to be refused, and who has a number gets it again unasked.
  const recognise = async () => {
    if (busy || code.length < 3) return;
    const mine = turn, body = await post("/recognise", { code });
    if (mine !== turn) return;
    if (body.message) { refuse(body.message); return; }
    for (const who of document.querySelectorAll(".who")) who.textContent = body.name ? `${body.name}，您好` : "";
    if (body.has_number) send(); else ask(0);
  };
  const send = async () => {
    if (busy) return;
    const body = await post("/checkin", { code, answers });
    if (!body.number) { refuse(body.message); return; }
    $("number").textContent = body.number;
    $("ticket-head").textContent = body.repeated ? "您已经取过号，号码不变" : "您的号码";
    const eta = body.eta ? `，约 ${body.eta[0]}–${body.eta[1]} 分钟` : "";
    $("ahead").textContent = body.offline ? "网络中断，号码有效，请听叫号" : body.ahead === 0 ? "马上就到您" : `前面还有 ${body.ahead} 人${eta}`;
    $("say").textContent = body.message || (body.printed ? "请取走小票，留意叫号" : "请记住号码，留意叫号");
    const link = document.createElement("a"); link.href = body.pdf; link.target = "_blank"; link.textContent = "小票 PDF"; $("files").replaceChildren(link);
    show($("ticket"), `您的号码是 ${body.number.split("").join(" ")}。${$("ahead").textContent}。${$("say").textContent}`);
  };

  document.addEventListener("click", (e) => {
    const button = e.target.closest("button"); if (!button) return;
    if (button.dataset.digit) type(button.dataset.digit);
    else if (button.id === "erase") { code = code.slice(0, -1); paint(); rest(IDLE_MS); }
    else if (button.id === "go") recognise();
    else if (button.dataset.answer) { const q = button.closest(".question"); answers[q.dataset.id] = button.dataset.answer; ask(questions.indexOf(q) + 1); }
    else if (button.classList.contains("back")) start();
  });
  // A scanner types fast and ends with Enter; so may a keyboard.
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey) return;
    if (e.key === "Escape") { start(); return; }
    if (!$("card").hidden) {
      if (e.key === "Enter") { e.preventDefault(); recognise(); }
      else if (e.key === "Backspace") { code = code.slice(0, -1); paint(); }
      else if (e.key.length === 1) { e.preventDefault(); type(e.key); }
    }
  });
  document.addEventListener("pointerdown", () => { if ($("ticket").hidden) rest(IDLE_MS); });
  document.addEventListener("contextmenu", (e) => e.preventDefault());

  const look = async () => {
    try {
      const state = await (await fetch("/state")).json();
      $("offline").hidden = state.online; if (state.hospital) $("hospital").textContent = state.hospital;
    } catch (e) { $("offline").hidden = false; }
  };
  setInterval(look, 10000); look(); start();
})();
