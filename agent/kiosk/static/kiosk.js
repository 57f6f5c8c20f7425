// Three steps: card, one question, ticket. Goes back to the start by itself; a scanner may type at any moment of the first step.
"use strict";
(() => {
  const IDLE_MS = 30000, SHOWN_MS = 12000;
  const $ = (id) => document.getElementById(id);
  const steps = [...document.querySelectorAll("main > section")], questions = [...document.querySelectorAll(".question")];
  let code = "", answers = {}, timer = 0, busy = false;

  const speak = (text) => {
    if (!("speechSynthesis" in window)) return;
    speechSynthesis.cancel();
    const voice = new SpeechSynthesisUtterance(text); voice.lang = "zh-CN"; voice.rate = 0.85; speechSynthesis.speak(voice);
  };
  const show = (section, words) => {
    for (const each of steps) each.hidden = each !== section;
    document.querySelector("main").dataset.step = section.id || section.dataset.id;
    const first = section.querySelector("button.main:not(:disabled)"); if (first && section.id !== "card") first.focus();
    if (words) speak(words);
    rest(section.id === "ticket" ? SHOWN_MS : IDLE_MS);
  };
  const rest = (ms) => { clearTimeout(timer); timer = setTimeout(start, ms); };
  const start = () => { code = ""; answers = {}; busy = false; paint(); show($("card")); document.activeElement && document.activeElement.blur(); };
  const paint = () => { $("code").textContent = code; $("go").disabled = code.length < 3; };
  const type = (char) => { if (code.length < 40) code += char; paint(); rest(IDLE_MS); };

  const ask = (n) => {
    if (n >= questions.length) { send(); return; }
    show(questions[n], questions[n].querySelector("h1").textContent);
  };
  const send = async () => {
    if (busy) return;
    busy = true; show($("wait"));
    let body = null;
    try {
      const answer = await fetch("/checkin", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ code, answers }) });
      body = await answer.json();
    } catch (e) { body = { message: "取号机出了问题，请到导诊台取号。" }; }
    busy = false;
    if (!body.number) { $("message").textContent = body.message || "取号机出了问题，请到导诊台取号。"; show($("trouble"), $("message").textContent); return; }
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
    else if (button.id === "go") ask(0);
    else if (button.dataset.answer) { const q = button.closest(".question"); answers[q.dataset.id] = button.dataset.answer; ask(questions.indexOf(q) + 1); }
    else if (button.classList.contains("back")) start();
  });
  // A scanner types fast and ends with Enter; so may a keyboard.
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey) return;
    if (e.key === "Escape") { start(); return; }
    if (!$("card").hidden) {
      if (e.key === "Enter") { e.preventDefault(); if (code.length >= 3) ask(0); }
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
