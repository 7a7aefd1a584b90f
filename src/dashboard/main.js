// The frame around the views, and the session that they share.

import { call } from "./call.js";
import { dialog, h, loading, notice, put, wordsOf } from "./dom.js";
import { login } from "./login.js";
import { node } from "./node.js";
import { overview } from "./overview.js";
import { processes } from "./processes.js";
import { Rates } from "./rates.js";
import { sessions } from "./sessions.js";
import { registrations, subscriptions } from "./subjects.js";
import { tail } from "./tail.js";

/** The views: their names, what shows them, and the key that leads there. */
const VIEWS = {
  overview: { title: "Overview", view: overview, key: "o" },
  sessions: { title: "Sessions", view: sessions, key: "s" },
  subscriptions: { title: "Subscriptions", view: subscriptions, key: "u" },
  registrations: { title: "Registrations", view: registrations, key: "r" },
  tail: { title: "Live tail", view: tail, key: "t" },
  call: { title: "Call", view: call, key: "c" },
  processes: { title: "Processes", view: processes, key: "p" },
  node: { title: "Node", view: node, key: "n" },
};

const THEMES = { auto: "As the system", light: "Light", dark: "Dark" };

const root = document.getElementById("app");

const setTheme = (theme) => {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  localStorage.setItem("corebar-theme", theme);
};

/** Where the address of the page leads: a view, and what it is to show. */
const place = () => {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const argument = rest.length > 0 ? decodeURIComponent(rest.join("/")) : undefined;
  return { name: Object.hasOwn(VIEWS, name) ? name : "overview", argument };
};

const go = (name, argument) => {
  location.hash = argument === undefined ? `#/${name}` : `#/${name}/${encodeURIComponent(argument)}`;
};

const help = () => {
  const keys = [...Object.values(VIEWS).map(({ key, title }) => [`g ${key}`, title]), ["/", "Search in this view"], ["?", "This list"], ["Esc", "Close a dialog"]];
  return dialog("Keys", h("dl", { class: "keys" }, keys.map(([key, text]) => [h("dt", {}, key.split(" ").map((one) => [h("kbd", {}, one), " "])), h("dd", {}, text)])),
    [{ label: "Close", value: "", autofocus: true }]);
};

/** Shows the views of a session until it is over; gives what is to be said about its end. */
const run = (session) => new Promise((resolve) => {
  const rates = new Rates(session);
  const state = h("span", { class: "pill good", role: "status", id: "state" }, "connected");
  const banner = h("div", { class: "banner hidden", role: "alert", id: "banner" });
  const about = h("span", { class: "node", id: "node" });
  const links = Object.entries(VIEWS).map(([name, { title, key }]) =>
    [name, h("a", { href: `#/${name}` }, title, h("kbd", { "aria-hidden": "true" }, key))]);
  const main = h("main", { class: "content", id: "main", tabindex: "-1" });
  const theme = h("select", { "aria-label": "Theme", id: "theme", on: { change: () => setTheme(theme.value) } },
    Object.entries(THEMES).map(([value, label]) => h("option", { value, selected: value === (localStorage.getItem("corebar-theme") ?? "auto") }, label)));
  let leave = null, turn = 0, asked = false, timer = 0, chord = 0;

  const show = async () => {
    const own = ++turn;
    const { name, argument } = place();
    const { title, view } = VIEWS[name];
    leave?.();
    leave = null;
    for (const [other, link] of links) {
      if (other === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${title} – Corebar`;
    const heading = h("h1", {}, title);
    put(main, heading, loading());
    try {
      const shown = await view({ session, rates, argument, go });
      if (own !== turn) return shown.leave?.();
      leave = shown.leave;
      put(main, heading, shown.element);
    } catch (error) {
      if (own === turn) put(main, heading, h("p", { class: "wrongs", role: "alert" }, wordsOf(error)),
        h("button", { type: "button", on: { click: show } }, "Try again"));
    }
  };
  const tell = () => {
    const { status } = rates;
    if (status) about.textContent = `${status.id ? `${status.id} · ` : ""}version ${status.version} · process ${status.pid}`;
    const wrong = status && (status.stuck_shard !== null || !status.ready);
    if (session.state === "open") {
      state.className = wrong ? "pill warn" : "pill good";
      state.textContent = wrong ? (status.ready ? "a shard is stuck" : "not ready") : "connected";
    }
  };
  const lost = ({ detail }) => {
    state.className = "pill bad";
    state.textContent = "no connection";
    banner.classList.remove("hidden");
    let left = Math.ceil(detail.retryIn / 1000);
    const count = () => {
      const text = left > 0 ? `trying again in ${left} s` : "trying again …";
      put(banner, `The connection is lost (${detail.message || detail.reason}); ${text}`);
      left -= 1;
    };
    clearInterval(timer);
    count();
    timer = setInterval(count, 1000);
  };
  const opened = () => {
    clearInterval(timer);
    banner.classList.add("hidden");
    state.className = "pill good";
    state.textContent = "connected";
    notice("The connection is there again.");
    // What was asked for has come to nothing.
    show();
  };
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input, textarea, select")) return;
    if (event.key === "?") {
      event.preventDefault();
      help();
    } else if (event.key === "/") {
      const search = document.getElementById("search");
      if (search) event.preventDefault();
      search?.focus();
    } else if (event.key === "g") {
      chord = Date.now();
    } else if (Date.now() - chord < 1500) {
      chord = 0;
      const found = Object.entries(VIEWS).find(([, { key }]) => key === event.key);
      if (found) go(found[0]);
    }
  };
  const over = ({ detail }) => {
    rates.end();
    clearInterval(timer);
    leave?.();
    turn += 1;
    window.removeEventListener("hashchange", show);
    document.removeEventListener("keydown", keys);
    resolve(asked ? "" : `The session is over: ${detail.message || detail.reason}`);
  };
  session.addEventListener("lost", lost);
  session.addEventListener("open", opened);
  session.addEventListener("closed", over);
  session.addEventListener("error", (event) => {
    event.preventDefault();
    notice(wordsOf(event.detail.error), true);
  });
  rates.addEventListener("sample", tell);
  window.addEventListener("hashchange", show);
  document.addEventListener("keydown", keys);
  const out = h("button", { type: "button", class: "plain", id: "logout", on: { click: () => {
    asked = true;
    session.close("wamp.close.logout");
  } } }, "Log out");
  put(root, h("a", { class: "skip", href: "#main", on: { click: (event) => { event.preventDefault(); main.focus(); } } }, "Skip to the content"),
    banner, h("div", { class: "frame" },
      h("header", { class: "head" }, h("div", { class: "brand" }, h("img", { src: "icon.svg", alt: "" }), "Corebar"), about,
        state, h("span", { class: "soft user", id: "user" }, session.authid), theme,
        h("button", { type: "button", class: "plain", "aria-label": "Keys", id: "help", on: { click: help } }, "?"), out),
      h("nav", { class: "side", "aria-label": "Views" }, h("ul", {}, links.map(([, link]) => h("li", {}, link)))),
      main));
  show();
  if (session.state === "closed") session.closed.then((loss) => over({ detail: loss }));
});

const begin = async () => {
  setTheme(localStorage.getItem("corebar-theme") ?? "auto");
  const response = await fetch("config.json", { cache: "no-store" });
  if (!response.ok) throw new Error(`config.json: ${response.status} ${response.statusText}`);
  const config = await response.json();
  for (let text = "", ask = false; ; ask = true) {
    const session = await login(root, config, { text, ask });
    text = await run(session);
  }
};

begin().catch((error) => put(root, h("p", { class: "bare wrongs", role: "alert" }, wordsOf(error))));
