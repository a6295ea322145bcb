// Renews the part of a page that tells the newest state, and leaves the rest alone: what is
// typed stays, the place on the page stays, and the focus stays on the same link. A page that
// could not be renewed says so at once, and since when, and is grey until it is renewed again.
"use strict";

const EVERY_MILLISECONDS = 30000;
const LOOK_MILLISECONDS = 1000;
const PATIENCE_MILLISECONDS = 10000;
const PREFIX = document.documentElement.dataset.prefix;
const SIGN_IN = `${PREFIX}/sign-in`;

let renewed = Date.now();
let asking = false;

function place(element) {
  return element && element.getAttribute && element.getAttribute("href");
}

class NotRenewed extends Error {
  constructor(reason, signedOut = false) {
    super(reason);
    this.signedOut = signedOut;
  }
}

async function newest(address) {
  let answer;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
    answer = await fetch(address, { headers: { Accept: "text/html" }, signal });
    if (answer.status === 401 || new URL(answer.url).pathname === SIGN_IN) {
      throw new NotRenewed("you are signed out", true);
    }
    if (!answer.ok) throw new NotRenewed(`the server answers with error ${answer.status}`);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch (error) {
    throw error instanceof NotRenewed ? error : new NotRenewed("the server does not answer");
  }
}

function replace(selector, page) {
  const here = document.querySelector(selector);
  const there = page.querySelector(selector);
  // A live region is read out when it changes: the same words again are no news.
  if (here && there && here.innerHTML !== there.innerHTML) here.replaceWith(there);
}

function show(page) {
  const here = document.getElementById("live");
  const live = page.getElementById("live");
  replace("#banner", page);
  if (!here || !live) return;
  const focused = here.contains(document.activeElement) ? place(document.activeElement) : null;
  here.replaceWith(live);
  replace(".clock", page);
  if (focused) {
    const again = [...live.querySelectorAll("a")].find((link) => place(link) === focused);
    if (again) again.focus({ preventScroll: true });
  }
}

function mark(reason, signedOut) {
  const words = document.getElementById("unrenewed");
  const clock = document.querySelector(".clock time");
  const link = document.createElement("a");
  words.textContent = `Not renewed since ${clock.textContent}: ${reason}. What is shown is from then. `;
  if (signedOut) {
    // A proxy may have taken the prefix away, or have left it.
    const path = location.pathname.startsWith(`${PREFIX}/`) ? location.pathname.slice(PREFIX.length) : location.pathname;
    link.href = `${SIGN_IN}?next=${encodeURIComponent(path + location.search)}`;
    link.textContent = "Sign in";
    words.append(link);
  }
  words.hidden = false;
  document.body.classList.add("old");
}

function unmark() {
  document.getElementById("unrenewed").hidden = true;
  document.body.classList.remove("old");
}

async function renew() {
  const address = location.href;
  asking = true;
  try {
    const page = await newest(address);
    if (address !== location.href) return;
    if (document.getElementById("failed")) {
      location.reload();
      return;
    }
    show(page);
    unmark();
  } catch (error) {
    mark(error.message, error.signedOut);
  } finally {
    asking = false;
    renewed = Date.now();
  }
}

function look() {
  const age = Date.now() - renewed;
  if (document.hidden || asking || age < EVERY_MILLISECONDS) return;
  // The timer slept: with the machine, or with the tab in the background.
  if (age > 2 * EVERY_MILLISECONDS) mark("this page was asleep", false);
  renew();
}

// Who signs in does nothing else there.
if (document.getElementById("unrenewed")) {
  setInterval(look, LOOK_MILLISECONDS);
  document.addEventListener("visibilitychange", look);
  window.addEventListener("online", renew);
}
