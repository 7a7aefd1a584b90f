// How many calls and events one connection of a client for JavaScript takes: node measure.mjs CLIENT URL SECONDS. Run by run.py.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const [client, url, seconds] = process.argv.slice(2);
const time = Number(seconds) * 1000;
const BURST = 1000;
// Packages lie where the tests have installed them.
const require = createRequire(join(process.cwd(), "package.json"));
globalThis.WebSocket ??= require("ws");

/** The same four verbs of each client. */
const adapters = {
  async corebar() {
    const { connect } = await import(pathToFileURL(join(import.meta.dirname, "../../clients/js/corebar.js")).href);
    const session = await connect(url, { realm: "realm1" });
    return {
      call: (procedure, args) => session.call(procedure, args),
      send: (topic, args) => session.publish(topic, args, {}, { acknowledge: false }),
      room: () => session.drained(1 << 16),
      publish: (topic, args) => session.publish(topic, args),
      subscribe: (topic, handler) => session.subscribe(topic, handler),
      close: () => session.close(),
    };
  },
  async autobahn() {
    const autobahn = require("autobahn");
    const connection = new autobahn.Connection({ url, realm: "realm1", max_retries: 0 });
    const session = await new Promise((resolve) => { connection.onopen = resolve; connection.open(); });
    return {
      call: (procedure, args) => session.call(procedure, args),
      send: (topic, args) => session.publish(topic, args),
      // It knows no room: an acknowledged publication has to do.
      room: () => session.publish("bench.nobody", [], {}, { acknowledge: true }),
      publish: (topic, args) => session.publish(topic, args, {}, { acknowledge: true }),
      subscribe: (topic, handler) => session.subscribe(topic, handler),
      close: () => connection.close(),
    };
  },
  async wampy() {
    const { Wampy } = require("wampy");
    const wampy = new Wampy(url, { realm: "realm1", ws: require("ws"), autoReconnect: false });
    await wampy.connect();
    return {
      call: (procedure, args) => wampy.call(procedure, args),
      // It acknowledges all of them: who does not wait for it is as near as it gets.
      send: (topic, args) => { wampy.publish(topic, args); },
      room: () => wampy.publish("bench.nobody", []),
      publish: (topic, args) => wampy.publish(topic, args),
      subscribe: (topic, handler) => wampy.subscribe(topic, handler),
      close: () => wampy.disconnect(),
    };
  },
};

const session = await adapters[client]();
const now = () => performance.now();
const rate = (count, start) => count / (now() - start) * 1000;

async function calls(window, time) {
  const start = now();
  let made = 0;
  const one = async () => {
    while (now() - start < time) {
      await session.call("bench.add", [23, 7]);
      made += 1;
    }
  };
  await Promise.all(Array.from({ length: window }, one));
  return rate(made, start);
}

async function publish() {
  const start = now();
  let made = 1;
  while (now() - start < time) {
    for (let number = 0; number < BURST; number += 1) session.send("bench.nobody", ["Hello!", made + number]);
    made += BURST;
    await session.room();
  }
  await session.publish("bench.nobody", []);
  return rate(made, start);
}

async function receive() {
  let taken = 0;
  let start = 0;
  let done;
  const over = new Promise((resolve) => { done = resolve; });
  // The last ones are still under way at the end.
  const more = () => { Promise.resolve(session.call("bench.burst", ["bench.events", BURST])).catch(() => {}); };
  await session.subscribe("bench.events", () => {
    taken += 1;
    if (taken % BURST === 0) {
      if (now() - start >= time) done(rate(taken, start));
      else more();
    }
  });
  start = now();
  more();
  more();
  const result = await over;
  await new Promise((resolve) => setTimeout(resolve, 100));
  return result;
}

await calls(64, 500);
console.log("call", await calls(1, time));
console.log("calls", await calls(64, time));
console.log("publish", await publish());
console.log("receive", await receive());
await session.close();
process.exit(0);
