// Guests and components, and what they write.

import { attempt, confirm, h, notice, put, refresh, wordsOf } from "./dom.js";
import { age, moment, octets, time } from "./format.js";
import { table } from "./list.js";

const KEPT = 2000;

const KINDS = { ready: "good", running: "good", failed: "bad", "backing-off": "warn", waiting: "warn", starting: "warn", ending: "warn" };

export const processes = async ({ session }) => {
  let known = [], chosen = null, following = null, ended = false;
  const list = h("div");
  const title = h("h2", { id: "log-title" }, "Log");
  const output = h("div", { class: "output mono", id: "log", tabindex: "0", role: "log", "aria-labelledby": "log-title" });
  const log = h("div", { class: "card hidden" }, title, output);

  const add = ({ lines, missed }) => {
    const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
    if (missed > 0) output.append(h("div", { class: "mark" }, `… ${missed} lines are not kept any longer …`));
    output.append(...lines.map((line) => h("div", { class: line.stream }, h("time", {}, moment(line.time)), line.text)));
    while (output.children.length > KEPT) output.firstElementChild.remove();
    if (atEnd) output.scrollTop = output.scrollHeight;
  };
  const follow = async (id) => {
    following?.abort();
    const own = following = new AbortController();
    chosen = id;
    put(title, `Log of ${id}`);
    log.classList.remove("hidden");
    put(output);
    try {
      await session.call("corebar.process.log", [id, 500, true], {}, { progress: ([part]) => add(part), signal: own.signal });
    } catch (error) {
      if (!own.signal.aborted) notice(wordsOf(error), true);
    }
  };
  const restart = async ({ id, state }) => {
    const text = "It is stopped, with all that it has started, and started again. What depends on it waits for it.";
    if (!(await confirm(`Restart ${id}?`, `${text} It is ${state}.`, "Restart"))) return;
    await attempt(() => session.call("corebar.process.restart", [id]), `${id} is started again.`);
  };
  const columns = [
    { name: "Process", show: (one) => h("button", { type: "button", class: "link", on: { click: () => follow(one.id) } }, one.id) },
    { name: "Kind", show: (one) => one.type },
    { name: "State", show: (one) => h("span", { class: `pill ${KINDS[one.state] ?? ""}` }, one.state) },
    { name: "Pid", number: true, show: (one) => String(one.pid ?? "–") },
    { name: "Started", show: (one) => (one.started === null ? "–" : `${moment(one.started)} (${age(Date.now() / 1000 - one.started)})`) },
    { name: "Restarts", number: true, show: (one) => [String(one.restarts), one.restarts > 3 ? "warn" : ""] },
    { name: "Memory", number: true, show: (one) => octets(one.resident_bytes) },
    { name: "Processor", number: true, show: (one) => time(one.cpu_seconds) },
    { name: "Last end", kind: "wrap", show: (one) => one.last_end ?? "–" },
    { name: "", kind: "act", show: (one) => h("button", { type: "button", class: "danger small", "aria-label": `Restart ${one.id}`, on: { click: () => restart(one) } }, "Restart") },
  ];
  const load = async () => {
    const workers = await session.call("corebar.worker.list");
    known = workers.filter((worker) => worker.type !== "router");
    refresh(list, table("Processes", columns, known, "There are neither guests nor components beside this router."));
  };
  await load();
  const timer = setInterval(() => load().catch(() => {}), 3000);
  const subscription = await session.subscribe("corebar.process.on_state", () => load().catch(() => {}));
  // After a connection that was lost the log goes on.
  const again = () => chosen && follow(chosen);
  session.addEventListener("open", again);
  if (known.length > 0 && !ended) follow(known[0].id);
  return { element: h("div", {}, h("div", { class: "card" }, h("h2", {}, "Guests and components"), list), log), leave: () => {
    ended = true;
    clearInterval(timer);
    following?.abort();
    session.removeEventListener("open", again);
    subscription.unsubscribe().catch(() => {});
  } };
};
