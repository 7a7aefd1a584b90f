// Elements, dialogs and notices. Text is never taken for markup, and shows all that is in it.

import { seen } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

/** What is put into an element. */
const shown = (children) => children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false)
  .map((child) => (typeof child === "string" ? seen(child) : child));

const fill = (element, properties, children) => {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (name === "css") {
      for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    } else if (name === "value" || name === "checked" || name === "disabled" || name === "selected") {
      element[name] = value;
    } else {
      element.setAttribute(name, value === true ? "" : ["title", "aria-label"].includes(name) ? seen(value) : value);
    }
  }
  element.append(...shown(children));
  return element;
};

/** An element of HTML: its name, its attributes (`on`: listeners, `css`: properties), and what is in it. */
export const h = (name, properties, ...children) => fill(document.createElement(name), properties, children);

/** An element of SVG. */
export const s = (name, properties, ...children) => fill(document.createElementNS(SVG, name), properties, children);

/** Puts something else into an element. */
export const put = (element, ...children) => element.replaceChildren(...shown(children));

/** The same for what changes by itself: whoever is about to press a button in it, or is at one, stays there. */
export const refresh = (element, ...children) => {
  if (element.matches(":active")) return;
  const controls = () => [...element.querySelectorAll("a, button, select, input, [tabindex]")];
  const at = controls().indexOf(document.activeElement);
  const scrolled = element.querySelector(".table")?.scrollLeft;
  put(element, ...children);
  if (at >= 0) controls()[at]?.focus({ preventScroll: true });
  if (scrolled) element.querySelector(".table").scrollLeft = scrolled;
};

/** What an error says, in one line. */
export const wordsOf = (error) => {
  if (!error) return "something went wrong";
  if (error.name === "WampError" && typeof error.args?.[0] === "string") return `${error.args[0]} (${error.error})`;
  return error.message || String(error);
};

/** Says something for a while; what went wrong stays until it is closed. */
export const notice = (text, wrong = false) => {
  const shown = h("div", { class: wrong ? "notice wrong" : "notice", role: wrong ? "alert" : undefined }, h("span", {}, text),
    h("button", { type: "button", class: "plain", "aria-label": "Close this notice", on: { click: () => shown.remove() } }, "×"));
  const all = document.getElementById("notices");
  all.append(shown);
  while (all.children.length > 4) all.firstElementChild.remove();
  if (!wrong) setTimeout(() => shown.remove(), 6000);
};

/** Does something, and says what went wrong. Gives true if nothing did. */
export const attempt = async (what, done) => {
  try {
    await what();
    if (done) notice(done);
    return true;
  } catch (error) {
    notice(wordsOf(error), true);
    return false;
  }
};

/** Shows a dialog, gives the value of the button that has closed it: empty if it was given up. */
export const dialog = (title, content, buttons) => new Promise((resolve) => {
  const form = h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), content,
    h("div", { class: "buttons" }, buttons.map(({ label, value, kind, autofocus }) =>
      // The Enter key does what is asked about.
      h("button", value === "" ? { autofocus, type: "button", class: kind, on: { click: () => shown.close("") } }
        : { value, class: kind, autofocus, type: "submit" }, label))));
  const shown = h("dialog", { "aria-labelledby": "dialog-title", on: { close: () => {
    resolve(shown.returnValue);
    shown.remove();
  } } }, form);
  document.body.append(shown);
  shown.returnValue = "";
  shown.showModal();
});

/** Asks whether something is meant. */
export const confirm = async (title, text, label, extra) => {
  const content = h("div", {}, h("p", {}, text), extra);
  const buttons = [{ label: "Cancel", value: "" }, { label, value: "yes", kind: "danger", autofocus: !extra }];
  return (await dialog(title, content, buttons)) === "yes";
};

/** A label and what it is for. */
export const field = (label, control, hint) => h("label", { class: "field" }, h("span", {}, label), control, hint && h("small", {}, hint));

/** What has been asked for and is not there yet. */
export const loading = () => h("p", { class: "soft" }, "Loading …");

/** Calls at most every so many ms, the last time always. */
export const calmly = (ms, what) => {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => what(...args), ms);
  };
};
