// The client of this project with a router that keeps the events below PREFIX: corebar-history.mjs URL SERIALIZER PREFIX. What is
// published while a session is away comes when it is back, each event once and in its order.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { connect } from "../../../clients/js/corebar.js";

const WebSocket = createRequire(import.meta.url)("ws");
const [url, , prefix] = process.argv.slice(2);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (condition) => { while (!condition()) await pause(5); };
const event = (session, type) => new Promise((resolve) => session.addEventListener(type, ({ detail }) => resolve(detail), { once: true }));
const late = setTimeout(() => { console.error("not done in 120 s"); process.exit(1); }, 120_000);

// As in a browser that has no network: sessions come back when this says that there is one.
const network = new EventTarget();
for (const name of ["addEventListener", "removeEventListener"]) globalThis[name] = network[name].bind(network);

const open = (reconnect) => connect(url, { realm: "realm1", WebSocket, reconnect });
const [one, without, other] = await Promise.all([
  open({ delayFirst: 1e6, delayMax: 1e6 }),
  open({ delayFirst: 1e6, delayMax: 1e6, fillGaps: false }),
  open(false),
]);
const heard = { exact: [], wide: [], quiet: [], without: [] };
const note = (list) => ([number], kwargs, { topic, replayed, publication }) => {
  assert.ok(publication > 0 && topic.startsWith(prefix));
  list.push(replayed ? -number : number);
};
await one.subscribe(`${prefix}.topic`, note(heard.exact));
const wide = await one.subscribe(prefix, note(heard.wide), { match: "prefix" });
await one.subscribe(`${prefix}.quiet`, note(heard.quiet));
await without.subscribe(`${prefix}.topic`, note(heard.without));
const publish = async (from, to) => {
  for (let number = from; number <= to; number += 1) await other.publish(`${prefix}.topic`, [number]);
};
const lose = async () => {
  const lost = [event(one, "lost"), event(without, "lost")];
  for (const { id } of [one, without]) await other.call("wamp.session.kill", [id], { reason: "com.go.away" });
  await Promise.all(lost);
};
const comeBack = async () => {
  const back = [event(one, "open"), event(without, "open")];
  network.dispatchEvent(new Event("online"));
  await Promise.all(back);
};
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

// Before anything was heard.
await pause(100);
await lose();
await publish(1, 3);
await comeBack();
await until(() => heard.exact.length === 3 && heard.wide.length === 3);
assert.deepEqual(heard.exact, [-1, -2, -3]);
assert.deepEqual(heard.wide, [-1, -2, -3]);
await publish(4, 5);
await until(() => heard.exact.length === 5 && heard.without.includes(5));
// More than is asked for at a time, while others go on to publish.
await lose();
await publish(6, 700);
await Promise.all([comeBack(), publish(701, 900)]);
await until(() => heard.exact.length >= 900 && heard.wide.length >= 900);
await pause(100);
for (const list of [heard.exact, heard.wide]) assert.deepEqual(list.map(Math.abs), range(1, 900));
assert.ok(heard.exact.filter((number) => number < 0).length >= 698, "what was missed is told as such");
assert.ok(heard.without.every((number) => number > 0), "who wants nothing of the past gets nothing");
// Nothing is missed: nothing comes once more.
await wide.unsubscribe();
await lose();
await comeBack();
await pause(100);
await publish(901, 901);
await until(() => heard.exact.length >= 901);
assert.deepEqual([heard.exact.length, heard.wide.length, heard.quiet.length], [901, 900, 0]);
await Promise.all([one, without, other].map((session) => session.close()));
clearTimeout(late);
process.on("exit", (code) => { if (code === 0) console.log("OK"); });
