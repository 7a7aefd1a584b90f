// Who is there.

import { attempt, confirm, dialog, field, h, wordsOf, notice } from "./dom.js";
import { age, octets, whole } from "./format.js";
import { List } from "./list.js";

const PAGE = 100;

/** What an address begins with that leads to sessions with a text. */
const FIND = "find:";

/** Two things in one cell, one below the other. */
const two = (text, more) => h("div", { class: "two", title: `${text}, ${more}` }, text, h("small", {}, more));

/** The choice of a realm. */
export const realmChoice = async (session, chosen, change, all = true) => {
  const realms = await session.call("corebar.realm.list");
  const names = [...new Set(realms.map((realm) => realm.realm))];
  return h("select", { id: "realm", "aria-label": "Realm", on: { change } },
    all && h("option", { value: "" }, "all realms"),
    names.map((name) => h("option", { value: name, selected: name === chosen }, name)));
};

/** Sessions of the node itself are not to be ended: it does its own work by them. */
const isClient = (one) => one.transport !== "inside";

const kick = async (session, one, after) => {
  const reason = h("input", { id: "kick-reason", value: "wamp.close.killed", required: true });
  const message = h("input", { id: "kick-message", placeholder: "for a person, may be empty" });
  const own = String(one.session) === String(session.id) && h("p", { class: "wrongs" }, "This is your own session: you will have to log in again.");
  const sure = await confirm(`End session ${one.session}?`,
    `${one.authid} (${one.authrole}) in ${one.realm}, from ${one.address}. The client is sent GOODBYE; it may come again.`, "End it",
    h("div", {}, own, h("div", { class: "fields" }, field("Reason, a URI", reason), field("Message", message))));
  if (!sure) return;
  const kicked = await attempt(() => session.call("corebar.session.kick", [one.session, reason.value, message.value || null]),
    `Session ${one.session} is ended.`);
  if (kicked) after();
};

const details = async (session, one, after) => {
  const fact = (name, value) => [h("dt", {}, name), h("dd", {}, typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "–"))];
  const facts = h("dl", { class: "facts" }, Object.entries(one).map(([name, value]) => fact(name,
    name === "queued_bytes" ? octets(value) : name === "age_seconds" ? age(value) : value)));
  const chosen = await dialog(`Session ${one.session}`, facts, [
    ...(isClient(one) ? [{ label: "End it …", value: "kick", kind: "danger" }] : []), { label: "Close", value: "", autofocus: true }]);
  if (chosen === "kick") await kick(session, one, after);
};

export const sessions = async ({ session, argument }) => {
  const slow = h("input", { type: "checkbox", id: "slow", checked: argument === "slow" });
  const text = argument?.startsWith(FIND) ? argument.slice(FIND.length) : "";
  const realm = await realmChoice(session, argument, () => list.first());
  slow.addEventListener("change", () => list.first());
  const columns = [
    { name: "Session", show: (one) => h("button", { type: "button", class: "link mono", on: { click: () => details(session, one, () => list.load()) } }, String(one.session)) },
    { name: "User, role", show: (one) => two(one.authid, one.authrole) },
    { name: "Realm", show: (one) => one.realm },
    { name: "Address, way", show: (one) => two(one.address.replace(/^tcp[46]:/, ""), [one.transport, one.serializer].filter(Boolean).join(" · ")) },
    { name: "Subscr.", number: true, show: (one) => whole(one.subscriptions) },
    { name: "Regist.", number: true, show: (one) => whole(one.registrations) },
    { name: "Calls", number: true, show: (one) => whole(one.calls) },
    { name: "Queued", number: true, show: (one) => [octets(one.queued_bytes), one.queued_bytes > 0 ? "warn" : ""] },
    { name: "Age", number: true, show: (one) => age(one.age_seconds, 1) },
    { name: "", kind: "act", show: (one) => isClient(one) && h("button", { type: "button", class: "danger small", "aria-label": `End session ${one.session}`,
      on: { click: () => kick(session, one, () => list.load()) } }, "End") },
  ];
  const fetch = async (after, text) => {
    const asked = { text: text || null, limit: PAGE, after, queued_bytes_min: slow.checked ? 1 : 0 };
    if (realm.value) asked.realm = realm.value;
    const { sessions: rows, next } = await session.call("corebar.session.list", [], asked);
    return { rows, next };
  };
  const list = new List({
    caption: "Sessions", columns, fetch, text, search: "User, role, address or id",
    controls: [realm, h("label", { class: "check" }, slow, "slow readers only")], empty: "No session is like that.",
  });
  return { element: list.element };
};

/** The sessions of a subscription or registration; each leads to what is known of it. */
export const members = async ({ session, go }, realm, title, procedure, id) => {
  let ids;
  try {
    ids = await session.call("corebar.realm.call", [realm, procedure, [id]]);
  } catch (error) {
    return notice(wordsOf(error), true);
  }
  // One value may be the list itself.
  const all = [ids].flat();
  const shown = all.slice(0, 500);
  const text = all.length > shown.length ? `The first ${shown.length} of ${whole(all.length)} sessions:` : `${whole(all.length)} sessions:`;
  const list = h("div", { class: "output mono ids" }, shown.map((one) => h("button", { class: "link", value: String(one) }, String(one))));
  const chosen = await dialog(title, h("div", {}, h("p", {}, text), list), [{ label: "Close", value: "", autofocus: true }]);
  if (chosen) go("sessions", `${FIND}${chosen}`);
};
