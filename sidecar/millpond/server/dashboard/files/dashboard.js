// Takes the page anew every ten seconds, and says so when nobody answers any more.
"use strict";

const EVERY_MS = 10_000;
const stale = document.getElementById("stale");
let answered = Date.now();

function say(trouble) {
  const seconds = Math.round((Date.now() - answered) / 1000);
  stale.textContent = `${trouble}; what you see is ${seconds} s old.`;
  stale.hidden = false;
}

async function refresh() {
  try {
    const signal = AbortSignal.timeout(EVERY_MS / 2);
    const response = await fetch(location.href, { cache: "no-store", signal });
    if (!response.ok) {
      say(`The sidecar answered ${response.status}`);
      return;
    }
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const scrolled = [...document.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    document.querySelectorAll(".scroll").forEach((each, i) => {
      each.scrollLeft = scrolled[i] ?? 0;
    });
    answered = Date.now();
    stale.hidden = true;
  } catch {
    say("The sidecar does not answer");
  }
}

setInterval(() => {
  if (!document.hidden) refresh();
}, EVERY_MS);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && Date.now() - answered > EVERY_MS) refresh();
});
