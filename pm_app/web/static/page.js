// Renews the part of a page that tells the newest state, and leaves the rest alone: what is
// typed stays, the place on the page stays, and the focus stays on the same link.
"use strict";

const EVERY_MILLISECONDS = 30000;

function place(element) {
  return element && element.getAttribute && element.getAttribute("href");
}

async function renew() {
  const here = document.getElementById("live");
  if (!here || document.hidden) return;
  const address = location.href;
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  if (!answer.ok || address !== location.href) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const live = page.getElementById("live");
  const clock = page.querySelector(".clock");
  if (!live) return;
  const focused = here.contains(document.activeElement) ? place(document.activeElement) : null;
  here.replaceWith(live);
  document.querySelector(".clock").replaceWith(clock);
  document.body.classList.remove("old");
  if (focused) {
    const again = [...live.querySelectorAll("a")].find((link) => place(link) === focused);
    if (again) again.focus({ preventScroll: true });
  }
}

setInterval(() => renew().catch(() => document.body.classList.add("old")), EVERY_MILLISECONDS);
