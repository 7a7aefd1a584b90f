// The events of a topic, as they come.

import { field, h, notice, put, wordsOf } from "./dom.js";
import { line, short } from "./format.js";
import { realmChoice } from "./sessions.js";

const SHOWN = 200;

const read = (argument) => {
  try {
    const list = JSON.parse(argument);
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
};

/** Has the address of the page lead here again, as after a connection that was lost. */
const remember = (view, list) => history.replaceState(null, "", `#/${view}/${encodeURIComponent(JSON.stringify(list))}`);

export const tail = async ({ session, argument }) => {
  const [wanted, topic, policy] = read(argument);
  let following = null, held = [], count = 0, frame = 0, since = 0;
  const realm = await realmChoice(session, wanted, null, false);
  const uri = h("input", { id: "tail-topic", value: topic ?? "", spellcheck: "false", autocapitalize: "off", class: "mono", placeholder: "com.example." });
  const match = h("select", { id: "tail-match" }, ["exact", "prefix", "wildcard"].map((value) => h("option", { value, selected: value === policy }, value)));
  const button = h("button", { class: "main", type: "submit", id: "tail-start" }, "Follow");
  const pause = h("input", { type: "checkbox", id: "tail-pause" });
  const clear = h("button", { type: "button", on: { click: () => { held = []; put(feed); } } }, "Clear");
  const state = h("span", { class: "soft", role: "status", id: "tail-state" }, "Nothing is followed.");
  const feed = h("ol", { class: "feed", id: "tail-feed", "aria-label": "Events, the newest first" });

  const show = () => {
    frame = 0;
    const seconds = Math.max(0.001, (performance.now() - since) / 1000);
    state.textContent = `${count} events, ${short(count / seconds)}/s`;
    if (pause.checked) return;
    // The newest are on top; of many that come at once the last ones are enough.
    for (const event of held.slice(-SHOWN)) {
      const { publication, publisher, ...details } = event.details ?? {};
      const said = [event.args?.length ? line(event.args, 2000) : "", Object.keys(event.kwargs ?? {}).length ? line(event.kwargs, 2000) : "",
        Object.keys(details).length > 0 ? `details ${line(details)}` : ""].filter(Boolean).join("\n");
      feed.prepend(h("li", {}, h("time", {}, event.clock), h("b", {}, event.topic), h("code", {}, said || "(nothing)")));
    }
    held = [];
    while (feed.children.length > SHOWN) feed.lastElementChild.remove();
  };
  const take = ([event]) => {
    count += 1;
    held.push({ ...event, clock: new Date().toLocaleTimeString("en-GB") });
    if (held.length > SHOWN) held.shift();
    frame ||= setTimeout(show, 100);
  };
  const stop = () => {
    following?.abort();
    following = null;
    button.textContent = "Follow";
  };
  const start = async () => {
    const own = following = new AbortController();
    remember("tail", [realm.value, uri.value.trim(), match.value]);
    button.textContent = "Stop";
    [count, held, since] = [0, [], performance.now()];
    state.textContent = "Following; nothing has come yet.";
    try {
      await session.call("corebar.realm.tail", [realm.value, uri.value.trim(), match.value], {}, { progress: take, signal: own.signal });
      if (following === own) state.textContent = "The realm has ended it.";
    } catch (error) {
      if (own.signal.aborted) return;
      state.textContent = "Nothing is followed.";
      notice(wordsOf(error), true);
    }
    if (following === own) stop();
  };
  const submit = (event) => {
    event.preventDefault();
    if (following) {
      stop();
      clearTimeout(frame);
      show();
      state.textContent = `Stopped after ${count} events.`;
    } else {
      start();
    }
  };
  pause.addEventListener("change", show);
  const form = h("form", { class: "card", on: { submit } }, h("div", { class: "fields" }, field("Realm", realm), field("Topic or pattern", uri),
    field("Match", match)), h("div", { class: "bar", css: { margin: "12px 0 0" } }, button, clear, h("label", { class: "check" }, pause, "hold still"), state));
  if (topic !== undefined) start();
  return { element: h("div", {}, form, h("div", { class: "card" }, h("h2", {}, "Events"), h("div", { class: "table" }, feed))), leave: () => {
    following?.abort();
    clearTimeout(frame);
  } };
};

export { read, remember };
