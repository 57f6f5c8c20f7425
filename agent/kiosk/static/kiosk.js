// Three steps: card, one question, ticket. Goes back to the start by itself; a scanner may type at any moment of the first step.
"use strict";
(() => {
  const IDLE_MS = 30000, SHOWN_MS = 12000;
  const $ = (id) => document.getElementById(id);
  const steps = [...document.querySelectorAll("main > section")], questions = [...document.querySelectorAll(".question")];
  const TROUBLE = ["取号机出了问题，请到导诊台取号。", "This machine has a problem. Please go to the service desk."];
  let code = "", answers = {}, timer = 0, busy = false, turn = 0, english = false;

  // Every text stands in both languages on its element; Chinese is what the page came with.
  const say = (el, zh, en) => { el.dataset.zh = zh; el.dataset.en = en; el.textContent = english ? en : zh; };
  const speakIn = (en) => {
    english = en;
    document.documentElement.lang = en ? "en" : "zh-CN";
    for (const el of document.querySelectorAll("[data-en]")) { if (el.dataset.zh === undefined) el.dataset.zh = el.textContent; el.textContent = en ? el.dataset.en : el.dataset.zh; }
  };

  const speak = (text) => {
    if (!("speechSynthesis" in window)) return;
    speechSynthesis.cancel();
    const voice = new SpeechSynthesisUtterance(text); voice.lang = english ? "en-US" : "zh-CN"; voice.rate = 0.85; speechSynthesis.speak(voice);
  };
  const show = (section, words) => {
    for (const each of steps) each.hidden = each !== section;
    document.querySelector("main").dataset.step = section.id || section.dataset.id;
    // Never on an answer: a card scanned once more ends with Enter, and would choose it.
    const first = section.querySelector("button.main:not(:disabled)"); if (first && section.id !== "card" && !section.dataset.id) first.focus(); else if (document.activeElement) document.activeElement.blur();
    if (words) speak(words);
    rest(section.id === "ticket" ? SHOWN_MS : IDLE_MS);
  };
  const rest = (ms) => { clearTimeout(timer); timer = setTimeout(leave, ms); };
  // The next patient begins in Chinese; who only starts again goes on in the language chosen.
  const leave = () => { speakIn(false); start(); };
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
    } catch (e) { body = null; }
    busy = false;
    return body || { message: TROUBLE[0], english: TROUBLE[1] };
  };
  const refuse = (body) => {
    say($("message"), body.message || TROUBLE[0], body.english || body.message || TROUBLE[1]);
    show($("trouble"), $("message").textContent);
  };
  // First whose card it is: nobody answers questions only to be refused, and who has a number gets it again unasked.
  const recognise = async () => {
    if (busy || code.length < 3) return;
    const mine = turn, body = await post("/recognise", { code });
    if (mine !== turn) return;
    if (body.message) { refuse(body); return; }
    for (const who of document.querySelectorAll(".who")) say(who, body.name ? `${body.name}，您好` : "", body.name ? `Welcome, ${body.name}` : "");
    if (body.has_number) send(); else ask(0);
  };
  const send = async () => {
    if (busy) return;
    const body = await post("/checkin", { code, answers, lang: english ? "en" : "zh" });
    if (!body.number) { refuse(body); return; }
    $("number").textContent = body.number;
    if (body.repeated) say($("ticket-head"), "您已经取过号，号码不变", "You have a number already; it stays the same");
    else say($("ticket-head"), "您的号码", "Your number");
    const eta = body.eta || ["", ""];
    if (body.offline) say($("ahead"), "网络中断，号码有效，请听叫号", "The network is down; your number is valid, listen for it");
    else if (body.ahead === 0) say($("ahead"), "马上就到您", "You are next");
    else say($("ahead"), `前面还有 ${body.ahead} 人${body.eta ? `，约 ${eta[0]}–${eta[1]} 分钟` : ""}`, `${body.ahead} waiting before you${body.eta ? `, about ${eta[0]}–${eta[1]} min` : ""}`);
    if (body.message) say($("say"), body.message, body.english || body.message);
    else if (body.printed) say($("say"), "请取走小票，留意叫号", "Take your ticket and watch for your number");
    else say($("say"), "请记住号码，留意叫号", "Remember your number and watch for it");
    const link = document.createElement("a"); link.href = body.pdf; link.target = "_blank"; say(link, "小票 PDF", "Ticket PDF"); $("files").replaceChildren(link);
    show($("ticket"), `${english ? "Your number is" : "您的号码是"} ${body.number.split("").join(" ")}。${$("ahead").textContent}。${$("say").textContent}`);
  };

  document.addEventListener("click", (e) => {
    const button = e.target.closest("button"); if (!button) return;
    if (button.dataset.digit) type(button.dataset.digit);
    else if (button.id === "erase") { code = code.slice(0, -1); paint(); rest(IDLE_MS); }
    else if (button.id === "go") recognise();
    else if (button.id === "lang") { speakIn(!english); button.blur(); if ($("ticket").hidden) rest(IDLE_MS); }
    else if (button.dataset.answer) { const q = button.closest(".question"); answers[q.dataset.id] = button.dataset.answer; ask(questions.indexOf(q) + 1); }
    else if (button.classList.contains("back")) { if ($("ticket").hidden) start(); else leave(); }
  });
  // A scanner types fast and ends with Enter; so may a keyboard.
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey) return;
    if (e.key === "Escape") { leave(); return; }
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
  setInterval(look, 10000); look(); leave();
})();
