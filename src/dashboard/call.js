// Calls and publications by hand.

import { field, h, put, wordsOf } from "./dom.js";
import { time } from "./format.js";
import { realmChoice } from "./sessions.js";
import { read, remember } from "./tail.js";

/** Strings, and numbers, in JSON. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

/** The first number in JSON that would become another one here. */
const lossy = (text) => text.match(TOKENS)?.find((token) =>
  !token.startsWith("\"") && token !== "-0" && (/^-?\d+$/.test(token) ? String(Number(token)) !== token : !Number.isFinite(Number(token))));

const parse = (text, name, good) => {
  if (text.trim() === "") return undefined;
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${name}: this is not JSON (${error.message})`);
  }
  const large = lossy(text);
  if (large !== undefined) throw new Error(`${name}: the number ${large} is too large to be sent from here as it is`);
  if (!good(value)) throw new Error(`${name}: has to be ${name === "Arguments" ? "a list" : "an object"}`);
  return value;
};

export const call = async ({ session, argument }) => {
  const [wanted, procedure] = read(argument);
  const realm = await realmChoice(session, wanted, null, false);
  const uri = h("input", { id: "call-uri", class: "mono", required: true, value: procedure ?? "", spellcheck: "false", autocapitalize: "off", placeholder: "com.example.add" });
  const args = h("textarea", { id: "call-args", spellcheck: "false", placeholder: "[23, 7]" });
  const kwargs = h("textarea", { id: "call-kwargs", spellcheck: "false", placeholder: "{\"name\": 1}" });
  const output = h("pre", { class: "output", id: "call-output", role: "status", tabindex: "0" });
  const took = h("span", { class: "soft", id: "call-took" });
  const cancel = h("button", { type: "button", disabled: true, on: { click: () => running?.abort() } }, "Cancel");
  let running = null;
  const submit = async (event) => {
    event.preventDefault();
    const publishes = event.submitter?.value === "publish";
    const begun = performance.now();
    const own = running = new AbortController();
    const say = (text, wrong) => {
      put(output, text);
      output.classList.toggle("stderr", wrong === true);
    };
    try {
      const list = parse(args.value, "Arguments", Array.isArray);
      const dict = parse(kwargs.value, "Named arguments", (value) => value !== null && typeof value === "object" && !Array.isArray(value));
      say("…");
      remember("call", [realm.value, uri.value.trim()]);
      took.textContent = "";
      cancel.disabled = false;
      const name = publishes ? "corebar.realm.publish" : "corebar.realm.call";
      const value = await session.call(name, [realm.value, uri.value.trim(), list ?? [], dict ?? {}], {}, { signal: own.signal });
      say(publishes ? `published, with the id ${value}` : value === undefined ? "(no value)" : JSON.stringify(value, null, 2));
    } catch (error) {
      say(own.signal.aborted ? "canceled" : wordsOf(error), true);
    }
    cancel.disabled = true;
    took.textContent = `took ${time((performance.now() - begun) / 1000)}`;
  };
  const form = h("form", { class: "card", on: { submit } }, h("div", { class: "fields" }, field("Realm", realm), field("Procedure or topic", uri)),
    h("div", { class: "fields", css: { margin: "12px 0" } }, field("Arguments, a list in JSON", args), field("Named arguments, an object in JSON", kwargs)),
    h("div", { class: "bar", css: { margin: "0" } }, h("button", { class: "main", type: "submit", value: "call", id: "call-do" }, "Call"),
      h("button", { type: "submit", value: "publish", id: "publish-do" }, "Publish"), cancel, took));
  return { element: h("div", {}, form, h("div", { class: "card" }, h("h2", {}, "Answer"), output)), leave: () => running?.abort() };
};
