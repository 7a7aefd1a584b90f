// What is subscribed to, and what is registered.

import { h } from "./dom.js";
import { moment, whole } from "./format.js";
import { List } from "./list.js";
import { members, realmChoice } from "./sessions.js";

const KINDS = {
  subscriptions: {
    procedure: "corebar.subscription.list", members: "wamp.subscription.list_subscribers", subject: "Topic", of: "Subscribers",
    more: { name: "History", show: (one) => (one.history ? "kept" : "") }, next: "tail", label: "Tail",
  },
  registrations: {
    procedure: "corebar.registration.list", members: "wamp.registration.list_callees", subject: "Procedure", of: "Callees",
    more: { name: "Invoke", show: (one) => one.invoke }, next: "call", label: "Call",
  },
};

const subjects = (name) => async ({ session, go, argument }) => {
  const kind = KINDS[name];
  const realm = await realmChoice(session, argument, () => list.first());
  const policy = h("select", { id: "match", "aria-label": "Match", on: { change: () => list.first() } },
    h("option", { value: "" }, "any match"), ["exact", "prefix", "wildcard"].map((value) => h("option", { value }, value)));
  const columns = [
    { name: kind.subject, kind: "mono", show: (one) => one.uri || "(all)" },
    { name: "Match", show: (one) => one.match },
    { name: "Realm", show: (one) => one.realm },
    { name: kind.of, number: true, show: (one) => h("button", { type: "button", class: "link", "aria-label": `${kind.of} of ${one.uri}`,
      on: { click: () => members({ session, go }, one.realm, `${kind.of} of ${one.uri}`, kind.members, one.id) } }, whole(one.sessions)) },
    kind.more,
    { name: "Since", number: true, show: (one) => moment(one.created) },
    { name: "Id", number: true, show: (one) => String(one.id) },
    { name: "", kind: "act", show: (one) => h("button", { type: "button", class: "small",
      on: { click: () => go(kind.next, JSON.stringify([one.realm, one.uri, one.match])) } }, kind.label) },
  ];
  const fetch = async (after, text) => {
    const asked = { text: text || null, limit: 100, after };
    if (realm.value) asked.realm = realm.value;
    if (policy.value) asked.match = policy.value;
    const { [name]: rows, next } = await session.call(kind.procedure, [], asked);
    return { rows, next };
  };
  const list = new List({ caption: name, columns, fetch, search: `${kind.subject} or id`, controls: [realm, policy] });
  return { element: list.element };
};

export const subscriptions = subjects("subscriptions");
export const registrations = subjects("registrations");
