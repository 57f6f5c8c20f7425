// The hall's screen: speaks each call twice with the browser's own voice, once a call, and keeps the clock.
"use strict";
(() => {
  const said = new Set(), waiting = [];
  let speaking = false, allowed = false;
  const speakable = "speechSynthesis" in window;
  window.jlSpoken = []; // what was handed to the voice, newest last; read by tests and by support
  // A voice reads N001 digit by digit, and a hidden character as nothing.
  const aloud = (text) => text.replace(/([A-Z])(\d+)/g, (_, letter, digits) => letter + " " + digits.split("").join(" ")).replace(/\*/g, "");

  const speak = () => {
    if (speaking || !waiting.length) return;
    const text = waiting.shift();
    window.jlSpoken.push(text);
    if (!speakable || !allowed) { speak(); return; }
    speaking = true;
    let left = 2;
    const once = () => {
      if (left-- <= 0) { speaking = false; speak(); return; }
      const voice = new SpeechSynthesisUtterance(aloud(text));
      voice.lang = "zh-CN"; voice.rate = 0.9;
      voice.onend = voice.onerror = () => setTimeout(once, 400);
      speechSynthesis.speak(voice);
    };
    once();
  };

  const look = (first) => {
    for (const el of [...document.querySelectorAll("[data-say]")].reverse()) {
      if (said.has(el.dataset.sayId)) continue;
      said.add(el.dataset.sayId);
      if (!first || el.classList.contains("fresh")) { waiting.push(el.dataset.say); window.jlSound && window.jlSound("warn"); }
    }
    speak();
  };

  const on = document.getElementById("voice-on");
  const allow = () => { allowed = true; if (on) on.hidden = true; if (speakable) speechSynthesis.resume(); };
  if (on) { on.addEventListener("click", allow); if (!speakable) on.hidden = true; }
  // Browsers keep silent until somebody touched the page; a screen started with autoplay allowed needs no touch.
  if (navigator.userActivation && navigator.userActivation.hasBeenActive) allow();

  const clock = document.getElementById("clock");
  const tick = () => { if (clock) clock.textContent = new Date().toLocaleTimeString("zh-CN", { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: "Asia/Shanghai" }); };
  setInterval(tick, 1000); tick();
  document.addEventListener("htmx:afterSwap", () => look(false));
  document.addEventListener("DOMContentLoaded", () => look(true));
})();
