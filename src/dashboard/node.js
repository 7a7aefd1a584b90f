// The node: what it serves, and the configuration in force.

import { attempt, confirm, dialog, h, notice, put, wordsOf } from "./dom.js";
import { age } from "./format.js";
import { table } from "./list.js";

const LEVELS = ["error", "warn", "info", "debug", "trace", "off"];

const rolesOf = (realm) => (realm.roles === null ? "every role, everything" : realm.roles.map((role) =>
  `${role.name} (${role.allows ?? (role.authorizer ? `asks ${role.authorizer}` : `${role.rules} rules`)})`).join(", "));

export const node = async ({ session, rates }) => {
  const facts = h("dl", { class: "facts" });
  const realms = h("div"), transports = h("div"), settings = h("div", { id: "settings" });
  const level = h("select", { id: "level", "aria-label": "Level of the log" });
  const search = h("input", { type: "search", placeholder: "Search settings", "aria-label": "Search settings", id: "search" });
  let config = {};

  const showSettings = () => {
    const text = search.value.trim().toLowerCase();
    const rows = Object.entries(config).filter(([name, value]) => `${name} ${JSON.stringify(value)}`.toLowerCase().includes(text));
    put(settings, table("Settings", [
      { name: "Setting", kind: "mono", show: ([name]) => name },
      { name: "Value", kind: "mono wrap", show: ([, value]) => JSON.stringify(value) },
    ], rows, "No setting is like that."));
  };
  const load = async () => {
    const [status, list, doors, now, logged] = await Promise.all(["corebar.node.status", "corebar.realm.list", "corebar.transport.list",
      "corebar.node.config", "corebar.log.level"].map((name) => session.call(name).catch((error) => error)));
    const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
    if (!(status instanceof Error)) {
      put(facts, fact("Node", status.id ?? "without an id"), fact("Version", status.version), fact("Process", String(status.pid)),
        fact("Up for", age(status.uptime_seconds)), fact("Ready", status.ready ? "yes" : "no"), fact("Shards", String(status.shards)),
        fact("Connections", String(status.connections)), fact("You", `${session.authid} (${session.authrole}, by ${session.authmethod})`));
    }
    if (!(list instanceof Error)) {
      put(realms, table("Realms", [
        { name: "Realm", show: (realm) => realm.realm }, { name: "Worker", show: (realm) => realm.namespace || "–" },
        { name: "Roles", kind: "wrap", show: rolesOf }, { name: "Histories", number: true, show: (realm) => String(realm.histories) },
        { name: "Sessions at most", number: true, show: (realm) => String(realm.sessions_max ?? "–") },
      ], list));
    }
    if (!(doors instanceof Error)) {
      put(transports, table("Transports", [
        { name: "Address", kind: "mono", show: (door) => door.address }, { name: "TLS", show: (door) => (door.tls ? "yes" : "no") },
        { name: "RawSocket", show: (door) => (door.rawsocket ? "yes" : "no") },
        { name: "Paths", kind: "wrap", show: (door) => door.paths.map(({ path, type }) => `${path} (${type})`).join(", ") || "–" },
      ], doors));
    }
    config = now instanceof Error ? {} : now;
    const can = !(logged instanceof Error);
    const names = can && !LEVELS.includes(logged) ? [logged, ...LEVELS] : LEVELS;
    put(level, names.map((name) => h("option", { value: name, selected: name === logged }, name)));
    level.disabled = !can;
    showSettings();
  };
  level.addEventListener("change", () => attempt(() => session.call("corebar.log.level", [level.value]), `The log has the level ${level.value} now.`));
  search.addEventListener("input", showSettings);
  const reload = async () => {
    let plan;
    try {
      plan = await session.call("corebar.node.reload", [true]);
    } catch (error) {
      return notice(wordsOf(error), true);
    }
    const part = (title, lines) => lines.length > 0 && [h("h3", {}, title), h("ul", {}, lines.map((text) => h("li", { class: "mono" }, text)))];
    const nothing = plan.changes.length === 0;
    const content = h("div", {}, nothing && h("p", {}, "Nothing would change."), part("Changes", plan.changes), part("Only with a new start", plan.at_start));
    const chosen = await dialog("Read the configuration again", content,
      [{ label: "Cancel", value: "" }, ...(nothing ? [] : [{ label: "Go on with it", value: "yes", kind: "main" }])]);
    if (chosen === "yes" && await attempt(() => session.call("corebar.node.reload"), "The configuration is in force.")) await load();
  };
  const drain = async () => {
    const text = "The node takes leave of all its sessions and ends. Whether it comes again is for what has started it.";
    if (await confirm("Shut this node down?", text, "Shut down")) {
      await attempt(() => session.call("corebar.node.drain"), "The node takes leave.");
    }
  };
  await load();
  const topics = ["corebar.node.on_reload", "corebar.realm.on_open", "corebar.realm.on_close", "corebar.transport.on_open", "corebar.transport.on_close"];
  const subscriptions = await Promise.all(topics.map((topic) => session.subscribe(topic, () => load()).catch(() => null)));
  const element = h("div", {},
    h("div", { class: "card" }, h("h2", {}, "Node"), facts, h("div", { class: "bar", css: { margin: "14px 0 0" } },
      h("label", { class: "check" }, "Log level", level),
      h("button", { type: "button", id: "reload", on: { click: reload } }, "Read the configuration again …"),
      h("button", { type: "button", class: "danger", on: { click: drain } }, "Shut down …"))),
    h("div", { class: "card" }, h("h2", {}, "Realms"), realms),
    h("div", { class: "card" }, h("h2", {}, "Transports"), transports),
    h("div", { class: "card" }, h("h2", {}, "Settings in force"), h("div", { class: "bar" }, search), settings));
  return { element, leave: () => subscriptions.forEach((subscription) => subscription?.unsubscribe().catch(() => {})) };
};
