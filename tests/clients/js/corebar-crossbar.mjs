// The client of this project with Crossbar.io as the router: corebar-crossbar.mjs BASE. Prints `away` when the router may be
// killed, and OK at the end.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { connect, Result, WampError } from "../../../clients/js/corebar.js";

const require = createRequire(import.meta.url);
const [base] = process.argv.slice(2);
const common = { realm: "realm1", reconnect: false, WebSocket: require("ws") };
const join = (path = "ws", more = {}) => connect(`${base}/${path}`, { ...common, ...more });
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};
const refused = (wanted) => (error) => error instanceof WampError && error.error === wanted;

async function events(one, other) {
  const heard = [];
  const note = (name) => (args, kwargs, details) => heard.push([name, details.topic, args, kwargs]);
  const held = [
    await one.subscribe("js.a.b", note("exact")),
    await one.subscribe("js.a.", note("prefix"), { match: "prefix" }),
    await one.subscribe("js..b", note("wildcard"), { match: "wildcard" }),
  ];
  assert.equal(typeof await other.publish("js.a.b", [1, "ü"], { k: null }), "number");
  await until(() => heard.length === 3);
  assert.deepEqual(heard.map(([name]) => name).sort(), ["exact", "prefix", "wildcard"]);
  for (const [, topic, args, kwargs] of heard) assert.deepEqual([topic, args, kwargs], ["js.a.b", [1, "ü"], { k: null }]);
  await other.publish("js.a.b", [2], {}, { acknowledge: false });
  await until(() => heard.length === 6);
  for (const one of held) await one.unsubscribe();
  await other.publish("js.a.b");
  assert.equal(heard.length, 6);
}

async function calls(one, other) {
  const add = await one.register("js.add", ([a, b]) => a + b);
  assert.equal(await other.call("js.add", [23, 7]), 30);
  await one.register("js.echo", (args, kwargs) => new Result(args, kwargs));
  const several = await other.call("js.echo", [1, [2]], { k: "v" });
  assert.deepEqual([several.args, several.kwargs], [[1, [2]], { k: "v" }]);
  await one.register("js.fail", () => { throw new WampError("js.error", [1], { k: 2 }); });
  await assert.rejects(other.call("js.fail"), (error) => error.error === "js.error" && error.kwargs.k === 2);
  await assert.rejects(other.call("js.nobody"), refused("wamp.error.no_such_procedure"));
  await assert.rejects(other.register("js.add", () => {}), refused("wamp.error.procedure_already_exists"));
  await one.register("js.any.", (args, kwargs, details) => details.procedure, { match: "prefix" });
  assert.equal(await other.call("js.any.thing"), "js.any.thing");
  await one.register("js.count", async function* ([to]) {
    for (let at = 0; at < to; at += 1) yield at;
    return to;
  });
  const parts = [];
  assert.equal(await other.call("js.count", [3], {}, { progress: ([at]) => parts.push(at) }), 3);
  assert.deepEqual(parts, [0, 1, 2]);
  let interrupted = 0;
  await one.register("js.never", (args, kwargs, { signal }) => new Promise(() => {
    signal.addEventListener("abort", () => { interrupted += 1; });
  }));
  await assert.rejects(other.call("js.never", [], {}, { signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
  await until(() => interrupted === 1);
  await assert.rejects(other.call("js.never", [], {}, { timeout: 50 }), refused("wamp.error.timeout"));
  await until(() => interrupted === 2);
  await add.unregister();
  await assert.rejects(other.call("js.add", [1, 2]), refused("wamp.error.no_such_procedure"));
}

async function logins() {
  const privateKey = "07".repeat(32);
  for (const [path, good, bad] of [
    ["ticket", { ticket: "secret!" }, { ticket: "secret?" }],
    ["cra", { secret: "secret!" }, { secret: "secret?" }],
    ["salted", { secret: "secret!" }, { secret: "secret?" }],
    ["cryptosign", { privateKey }, { privateKey: "08".repeat(32) }],
    ["scram", { password: "secret!" }, { password: "secret?" }],
  ]) {
    const session = await join(path, { authid: "joe", ...good });
    assert.equal(session.authid, "joe");
    await session.close();
    await assert.rejects(join(path, { authid: "joe", ...bad }), undefined, path);
  }
}

async function returns() {
  const session = await connect(`${base}/ws`, { ...common, reconnect: { delayFirst: 50, delayMax: 500 } });
  const heard = [];
  await session.subscribe("js.back", ([number]) => heard.push(number));
  await session.register("js.back.add", ([a, b]) => a + b);
  await session.register("js.back.never", () => new Promise(() => {}));
  // Nobody answers any more.
  const lost = assert.rejects(session.call("js.back.never"), { name: "ConnectionError" });
  const open = new Promise((resolve) => session.addEventListener("open", resolve));
  console.log("away");
  await lost;
  await open;
  const other = await join();
  assert.equal(await other.call("js.back.add", [2, 3]), 5);
  await other.publish("js.back", [7]);
  await until(() => heard.length === 1);
  await other.close();
  await session.close();
}

const [one, other] = [await join(), await join()];
await events(one, other);
await calls(one, other);
await logins();
await one.close();
await other.close();
await returns();
console.log("OK");
