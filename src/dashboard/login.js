// Finding out who the operator is.

import { connect } from "./corebar.js";
import { field, h, put, wordsOf } from "./dom.js";

/** Methods that need somebody at the keyboard: what they are called, and where what is typed goes. */
const TYPED = {
  ticket: { label: "Ticket", secret: "Ticket", key: "ticket" },
  wampcra: { label: "Secret (WAMP-CRA)", secret: "Secret", key: "secret" },
  scram: { label: "Password (SCRAM)", secret: "Password", key: "password", offered: ["wamp-scram"] },
  jwt: { label: "Token (JWT)", secret: "Token", key: "token", nobody: true },
  cryptosign: { label: "Private key (cryptosign)", secret: "Private key, in hexadecimal digits", key: "privateKey" },
};

/** Methods that need nobody. */
const SILENT = ["cookie", "tls", "anonymous"];

const address = (path) => {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return url;
};

const open = (config, options) => connect(address(config.websocket), { realm: config.realm, ...options });

/** Tries without asking anybody; null if nobody is let in like that. */
const silently = async (config) => {
  const authmethods = SILENT.filter((method) => config.methods.includes(method));
  if (authmethods.length === 0) return { session: null, why: null };
  try {
    // Only what has been there once is waited for.
    return { session: await open(config, { authmethods }), why: null };
  } catch (error) {
    return { session: null, why: error };
  }
};

/** Gives a session, when there is one. `root` is where the form goes. */
export const login = async (root, config, { text = "", ask = false } = {}) => {
  const methods = Object.keys(TYPED).filter((method) => config.methods.includes(method));
  put(root, h("div", { class: "login" }, h("p", { class: "soft" }, "Connecting …")));
  if (!ask) {
    const { session, why } = await silently(config);
    if (session) return session;
    // Where one can log in, that nobody is let in without it is no news.
    if (why && methods.length === 0) text = wordsOf(why);
  }
  return new Promise((resolve) => {
    const wrong = h("p", { class: "wrongs", role: "alert", id: "login-wrong" }, text);
    const brand = h("div", { class: "brand" }, h("img", { src: "icon.svg", alt: "" }), h("h1", {}, "Corebar"));
    if (methods.length === 0) {
      const again = h("button", { type: "button", class: "main", id: "again", on: { click: () => resolve(login(root, config)) } }, "Connect");
      const silent = SILENT.some((method) => config.methods.includes(method));
      put(root, h("main", { class: "login" }, h("form", { class: "card" }, brand, wrong, h("p", {}, silent
        ? "There is no session." : `The transport with ${config.websocket} has no way to log in that a page could use.`), again)));
      again.focus();
      return;
    }
    const remembered = localStorage.getItem("corebar-method");
    const method = h("select", { id: "login-method", name: "method" },
      methods.map((name) => h("option", { value: name, selected: name === remembered }, TYPED[name].label)));
    const authid = h("input", { id: "login-authid", name: "username", autocomplete: "username", autocapitalize: "off",
      spellcheck: "false", value: localStorage.getItem("corebar-authid") ?? "" });
    const secret = h("input", { id: "login-secret", name: "password", type: "password", autocomplete: "current-password", required: true });
    const button = h("button", { class: "main", type: "submit", id: "login-submit" }, "Log in");
    const who = field("User", authid);
    const what = field("", secret);
    const adapt = () => {
      what.firstElementChild.textContent = TYPED[method.value].secret;
      who.classList.toggle("hidden", TYPED[method.value].nobody === true);
    };
    method.addEventListener("change", adapt);
    adapt();
    const submit = async (event) => {
      event.preventDefault();
      const { key, offered, nobody } = TYPED[method.value];
      button.disabled = true;
      wrong.textContent = "";
      try {
        const session = await open(config, {
          authmethods: offered ?? [method.value], authid: nobody ? undefined : authid.value.trim() || undefined, [key]: secret.value,
        });
        localStorage.setItem("corebar-method", method.value);
        localStorage.setItem("corebar-authid", authid.value.trim());
        resolve(session);
      } catch (error) {
        put(wrong, `You are not let in: ${wordsOf(error)}`);
        button.disabled = false;
        secret.select();
      }
    };
    put(root, h("main", { class: "login" }, h("form", { class: "card", on: { submit } }, brand,
      h("p", { class: "soft" }, "Management of this node, in the realm ", h("code", {}, config.realm)),
      wrong, methods.length > 1 && field("How", method), who, what, button)));
    (authid.value && !who.classList.contains("hidden") ? secret : authid).focus();
  });
};
