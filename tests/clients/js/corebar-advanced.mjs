// What the client of this project has beyond the exercise of all: corebar-advanced.mjs URL SERIALIZER PREFIX. With a router, and
// with servers that are none.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { connect, ConnectionError, Result, Session, WampError } from "../../../clients/js/corebar.js";

const WebSocket = createRequire(import.meta.url)("ws");
const [url, , prefix] = process.argv.slice(2);
const open = (more = {}) => connect(url, { realm: "realm1", reconnect: false, WebSocket, ...more });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (condition) => { while (!condition()) await pause(5); };
const event = (session, type) => new Promise((resolve) => session.addEventListener(type, ({ detail }) => resolve(detail), { once: true }));

const late = setTimeout(() => { console.error("not done in 120 s"); process.exit(1); }, 120_000);
process.on("unhandledRejection", (error) => { console.error("nobody caught", error); process.exit(1); });

async function events(one, other) {
  const heard = [];
  const note = (args, kwargs, details) => heard.push([args, kwargs, details.topic]);
  const exact = await one.subscribe(`${prefix}.a.b`, note);
  const twice = await one.subscribe(`${prefix}.a.b`, note);
  assert.equal(exact.id, twice.id);
  const wide = await one.subscribe(`${prefix}.a`, note, { match: "prefix" });
  assert.ok(Number.isSafeInteger(await other.publish(`${prefix}.a.b`, [1], { k: null })));
  await until(() => heard.length === 3);
  for (const entry of heard) assert.deepEqual(entry, [[1], { k: null }, `${prefix}.a.b`]);
  // One of two with the same topic goes, the other one stays.
  await exact.unsubscribe();
  await exact.unsubscribe();
  await wide.unsubscribe();
  heard.length = 0;
  assert.equal(await other.publish(`${prefix}.a.b`, [2], {}, { acknowledge: false }), undefined);
  await other.publish(`${prefix}.a.b`, [3]);
  await until(() => heard.length === 2);
  await twice.unsubscribe();
  // A subscription that ends while another one of the same topic begins.
  const [again] = await Promise.all([one.subscribe(`${prefix}.a.b`, note), one.subscribe(`${prefix}.x`, note).then((x) => x.unsubscribe())]);
  heard.length = 0;
  const [next] = await Promise.all([one.subscribe(`${prefix}.a.b`, note), again.unsubscribe()]);
  await other.publish(`${prefix}.a.b`, [4]);
  await until(() => heard.length === 1);
  await next.unsubscribe();
  // Octets, and text that looks like them.
  const got = [];
  const octets = await one.subscribe(`${prefix}.octets`, (args, kwargs) => got.push(args, kwargs));
  const all = Uint8Array.from({ length: 40_000 }, (_, index) => index % 256);
  await other.publish(`${prefix}.octets`, [all, Buffer.from("abc"), all.buffer.slice(0, 2), "\0 no base64!"], { in: { side: new Uint8Array() } });
  await until(() => got.length === 2);
  assert.deepEqual(got[0], [all, Uint8Array.of(97, 98, 99), Uint8Array.of(0, 1), "\0 no base64!"]);
  assert.deepEqual(got[1], { in: { side: new Uint8Array() } });
  await octets.unsubscribe();
  await one.publish(`${prefix}.kept`, ["kept"], {}, { retain: true });
  let kept;
  await (await other.subscribe(`${prefix}.kept`, ([value], _, details) => { kept = [value, details.retained]; }, { get_retained: true })).topic;
  await until(() => kept);
  assert.deepEqual(kept, ["kept", true]);
  await assert.rejects(one.subscribe("not a topic", note), { error: "wamp.error.invalid_uri" });
  await assert.rejects(one.publish("wamp.mine"), { error: "wamp.error.invalid_uri" });
  await assert.rejects(one.publish(`${prefix}.a`, "no list"), TypeError);
  await assert.rejects(one.publish(`${prefix}.a`, [1n]), TypeError);
  // Numbers that JavaScript writes as integers beyond 64 bits, and text that only looks like half of a pair.
  for (const half of ["\ud83d", "a\\\ude00"]) await assert.rejects(one.publish(`${prefix}.a`, [half]), TypeError);
  const odd = [1e20, -(2 ** 63) * 4, "\\ud83d \\\\ude00 \ud83d\ude00"];
  let heardOdd;
  const oddly = await one.subscribe(`${prefix}.odd`, (args) => { heardOdd = args; });
  await other.publish(`${prefix}.odd`, odd);
  await until(() => heardOdd);
  assert.deepEqual(heardOdd, odd);
  await oddly.unsubscribe();
  await assert.rejects(one.subscribe(`${prefix}.a`), TypeError);
}

async function handlersThatFail(one, other) {
  const reported = [];
  const listen = (reports) => { reports.preventDefault(); reported.push(`${reports.detail.source}: ${reports.detail.error.message}`); };
  one.addEventListener("error", listen);
  const heard = [];
  await one.subscribe(`${prefix}.fails`, () => { throw new Error("at once"); });
  await one.subscribe(`${prefix}.fails`, async () => { throw new Error("later"); });
  await one.subscribe(`${prefix}.fails`, ([value]) => heard.push(value));
  await other.publish(`${prefix}.fails`, [1]);
  await other.publish(`${prefix}.fails`, [2]);
  await until(() => heard.length === 2 && reported.length === 4);
  assert.deepEqual([...new Set(reported)].sort(), [`${prefix}.fails: at once`, `${prefix}.fails: later`]);
  reported.length = 0;
  await one.register(`${prefix}.broken`, () => { throw new Error("oh"); });
  await assert.rejects(other.call(`${prefix}.broken`), { error: "wamp.error.runtime_error", args: ["oh"] });
  const circle = {};
  circle.circle = circle;
  await one.register(`${prefix}.circle`, () => circle);
  await assert.rejects(other.call(`${prefix}.circle`), { error: "wamp.error.runtime_error" });
  await one.register(`${prefix}.refuses`, () => { throw new WampError("com.no", [1, 2], { why: "so" }); });
  await assert.rejects(other.call(`${prefix}.refuses`), { error: "com.no", args: [1, 2], kwargs: { why: "so" }, message: "com.no" });
  assert.equal(reported.length, 2, "errors with a URI are meant");
  one.removeEventListener("error", listen);
}

async function calls(one, other) {
  const add = await one.register(`${prefix}.add`, async ([a, b]) => a + b);
  assert.equal(await other.call(`${prefix}.add`, [23, 7]), 30);
  assert.equal(await one.call(`${prefix}.add`, [1, 2]), 3, "also of oneself");
  const values = { nothing: undefined, null: null, list: [1, [2]], several: new Result([1, 2]), named: new Result([], { a: 1 }) };
  await one.register(`${prefix}.value`, ([name]) => values[name]);
  for (const name of Object.keys(values)) {
    assert.deepEqual(await other.call(`${prefix}.value`, [name]), values[name], name);
  }
  await one.register(`${prefix}.wide`, (args, kwargs, { procedure }) => procedure, { match: "prefix" });
  assert.equal(await other.call(`${prefix}.wide.deep`), `${prefix}.wide.deep`);
  const many = await Promise.all(Array.from({ length: 500 }, (_, index) => other.call(`${prefix}.add`, [index, 1])));
  assert.deepEqual(many, Array.from({ length: 500 }, (_, index) => index + 1));
  await assert.rejects(other.register(`${prefix}.add`, () => 0), { error: "wamp.error.procedure_already_exists" });
  await add.unregister();
  await assert.rejects(other.call(`${prefix}.add`), { error: "wamp.error.no_such_procedure" });
}

async function progress(one, other) {
  let ended = 0;
  let signals = [];
  await one.register(`${prefix}.count`, async function* ([to], kwargs, { signal }) {
    signals.push(signal);
    try {
      for (let number = 0; number < to; number += 1) {
        yield number % 2 ? new Result([number], { odd: true }) : number;
        await pause(1);
      }
      return "done";
    } finally {
      ended += 1;
    }
  });
  const seen = [];
  const take = (args, kwargs) => { seen.push([args[0], kwargs]); if (args[0] === 2) throw new Error("harms nothing"); };
  other.addEventListener("error", (reports) => reports.preventDefault(), { once: true });
  assert.equal(await other.call(`${prefix}.count`, [4], {}, { progress: take }), "done");
  assert.deepEqual(seen, [[0, {}], [1, { odd: true }], [2, {}], [3, { odd: true }]]);
  assert.equal(await other.call(`${prefix}.count`, [2]), "done", "who wants no progress gets the end alone");
  await one.register(`${prefix}.by_hand`, (args, kwargs, details) => { details.progress?.("half"); return "whole"; });
  const halves = [];
  assert.equal(await other.call(`${prefix}.by_hand`, [], {}, { progress: ([half]) => halves.push(half) }), "whole");
  assert.deepEqual(halves, ["half"]);

  // Given up: the generator is ended, its signal is aborted, the caller goes on at once.
  [ended, signals] = [0, []];
  const aborter = new AbortController();
  let first;
  const begun = new Promise((resolve) => { first = resolve; });
  const call = other.call(`${prefix}.count`, [1e9], {}, { progress: first, signal: aborter.signal });
  await begun;
  aborter.abort(new Error("enough"));
  await assert.rejects(call, { message: "enough" });
  await until(() => ended === 1);
  assert.ok(signals[0].aborted);
  await assert.rejects(other.call(`${prefix}.count`, [1e9], {}, { timeout: 50 }), { error: "wamp.error.timeout" });
  await until(() => ended === 2);
  await assert.rejects(other.call(`${prefix}.count`, [1], {}, { signal: AbortSignal.abort(new Error("before")) }), { message: "before" });
  // One that looks at its signal itself, and throws what that says; and one that does not care.
  await one.register(`${prefix}.sleep`, (args, kwargs, { signal }) => new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => { signals.push(signal); reject(signal.reason); });
  }));
  const asleep = new AbortController();
  const sleeping = other.call(`${prefix}.sleep`, [], {}, { signal: asleep.signal, cancel: "kill" });
  await pause(50);
  asleep.abort();
  await assert.rejects(sleeping, { name: "AbortError" });
  await until(() => signals.length === 3);
  assert.equal(await other.call(`${prefix}.by_hand`), "whole", "the session goes on");
}

async function endings() {
  const one = await open();
  let interrupted = false;
  await one.register(`${prefix}.stuck`, (args, kwargs, { signal }) => new Promise(() => {
    signal.addEventListener("abort", () => { interrupted = true; });
  }));
  const closed = event(one, "closed");
  const call = one.call(`${prefix}.stuck`);
  const told = assert.rejects(call, ConnectionError);
  await pause(20);
  await one.close("wamp.close.normal");
  await told;
  assert.ok(interrupted);
  assert.equal((await closed).reason, "wamp.close.normal");
  assert.equal((await one.closed).reason, "wamp.close.normal");
  assert.equal(one.state, "closed");
  await one.close();
  for (const refused of [one.call("a"), one.publish("a"), one.subscribe("a", () => {}), one.register("a", () => {})]) {
    await assert.rejects(refused, { name: "ConnectionError", message: "the session is closed" });
  }
  await assert.rejects(open({ realm: "nowhere" }), { reason: "wamp.error.no_such_realm" });
  await assert.rejects(connect("ws://127.0.0.1:1/", { realm: "realm1", WebSocket }), ConnectionError);
  await assert.rejects(open({ ticket: "x", authid: "joe" }), { reason: "wamp.error.no_matching_auth_method" });
  await assert.rejects(connect("ftp://127.0.0.1/", { realm: "realm1" }), TypeError);
  await assert.rejects(connect(url, {}), TypeError);
  for (const reconnect of [{ delayFirst: NaN }, { growth: -1 }, { attemptsMax: "3" }, { fromTheStart: 1 }]) {
    await assert.rejects(open({ reconnect }), /has to be a/, JSON.stringify(reconnect));
  }
  const aborter = new AbortController();
  const dropped = await open({ signal: aborter.signal });
  aborter.abort();
  await dropped.closed;
  await assert.rejects(open({ signal: aborter.signal }), ConnectionError);
  const asking = new Session(url, { realm: "realm1", WebSocket, ticket: () => new Promise(() => {}) });
  await asking.close();
  assert.equal(asking.state, "closed");
  // Killed means killed, also for one that comes back otherwise.
  const [victim, killer] = [await open({ reconnect: true }), await open()];
  await killer.call("wamp.session.kill", [victim.id], { reason: "wamp.close.killed" });
  assert.equal((await victim.closed).reason, "wamp.close.killed");
  await killer.close();
}

async function testaments(one, other) {
  const heard = [];
  await other.subscribe(`${prefix}.will`, ([number], { key }) => heard.push(`${number} ${key}`));
  const session = await open({ reconnect: { delayFirst: 5, delayMax: 50 } });
  await session.addTestament(`${prefix}.will`, [1], { key: "a" });
  await session.addTestament(`${prefix}.will`, [2], { key: "b" }, { exclude_me: true }, "detached");
  const lose = async (meanwhile = async () => {}) => {
    const [lost, back] = [event(session, "lost"), event(session, "open")];
    await other.call("wamp.session.kill", [session.id], { reason: "com.go.away" });
    await lost;
    await meanwhile();
    await back;
  };
  // They are left once more after each connection.
  for (let round = 1; round <= 2; round += 1) {
    await lose();
    await until(() => heard.length === 2 * round);
  }
  assert.deepEqual([...heard].sort(), ["1 a", "1 a", "2 b", "2 b"]);
  // And those that are left or taken back while there is none.
  heard.length = 0;
  await session.flushTestaments("detached");
  await lose(async () => {
    await session.addTestament(`${prefix}.will`, [3], { key: "c" });
  });
  await until(() => heard.length === 1);
  await lose(() => session.flushTestaments());
  await until(() => heard.length === 3);
  assert.deepEqual([...heard].sort(), ["1 a", "1 a", "3 c"]);
  await session.close();
  await assert.rejects(session.addTestament(`${prefix}.will`), ConnectionError);
  await assert.rejects(other.addTestament(`${prefix}.will`, [], {}, {}, "later"), TypeError);
  await assert.rejects(other.addTestament("not a uri"), { error: "wamp.error.invalid_uri" });
  await other.publish(`${prefix}.will`, [4], { key: "d" }, { exclude_me: false });
  await until(() => heard.includes("4 d"));
  assert.equal(heard.length, 4);
}

async function revocation(one, other) {
  const sub = await one.subscribe(`${prefix}.revoked`, () => {});
  const told = event(one, "revoked");
  await other.call("wamp.subscription.remove_subscriber", [sub.id, one.id]);
  assert.equal((await told).subscription, sub);
  assert.equal(sub.id, undefined);
  await sub.unsubscribe();
  const reg = await one.register(`${prefix}.revoked`, () => {});
  const again = event(one, "revoked");
  await other.call("wamp.registration.remove_callee", [reg.id, one.id]);
  assert.equal((await again).registration, reg);
}

/** A server that plays a router: says what the script gives for each connection. */
async function stage(script) {
  const server = new WebSocket.Server({ port: 0, host: "127.0.0.1", handleProtocols: () => "wamp.2.json" });
  await once(server, "listening");
  let connections = 0;
  server.on("connection", (socket) => {
    const number = connections += 1;
    const say = (...message) => socket.readyState === 1 && socket.send(JSON.stringify(message));
    socket.on("message", (data) => script({ number, socket, say, message: JSON.parse(data) }));
  });
  const address = `ws://127.0.0.1:${server.address().port}/`;
  const end = () => { server.close(); for (const client of server.clients) client.terminate(); };
  return { address, end, connections: () => connections };
}

async function violations() {
  const wrong = [
    "nonsense", "{}", "[]", "[99]", "[2, 5, {}]", "[33, 1]", "[33, 0, 1]", "[33, 77, 1]", "[36, 1, 2]", "[36, 1, 2, {}, {}]",
    "[36, 1, 2, {}, [], []]", "[36, 1.5, 2, {}]", "[50, 77, {}]", "[8, 32, 77, {}, \"a.b\"]", "[68, 1, 1, []]", "[1, \"realm1\", {}]",
    "[4, \"ticket\", {}]", Buffer.from("[6, {}, \"a\"]"),
  ];
  let said;
  const { address, end } = await stage(({ socket, say, message, number }) => {
    if (message[0] === 1) return say(2, number, { roles: {} });
    if (message[0] === 16) return socket.send(wrong[number - 1]);
    said.push(message);
  });
  for (const text of wrong) {
    said = [];
    const session = await connect(address, { realm: "realm1", reconnect: false, WebSocket });
    await session.publish("go", [], {}, { acknowledge: false });
    const { reason } = await session.closed;
    assert.equal(reason, "wamp.error.protocol_violation", String(text));
    await until(() => said.length > 0);
    assert.deepEqual([said[0][0], said[0][2]], [3, reason], String(text));
  }
  end();
  const early = await stage(({ say }) => say(36, 1, 2, {}));
  await assert.rejects(connect(early.address, { realm: "realm1", WebSocket }), { reason: "wamp.error.protocol_violation" });
  early.end();
  const silent = await stage(() => {});
  await assert.rejects(connect(silent.address, { realm: "realm1", WebSocket, openTimeout: 50 }), /no session within 50 ms/);
  silent.end();
}

async function advice() {
  // The second connection comes when the router has said, the third after ABORT; the fourth stays.
  const begun = [];
  const { address, end } = await stage(({ number, say, message }) => {
    if (message[0] !== 1) return;
    begun.push(performance.now());
    if (number === 2) return say(3, { message: "busy", _retry_after_ms: 150 }, "wamp.close.system_shutdown");
    say(2, number, { roles: {} });
    if (number === 1) say(6, { _retry_after_ms: 250 }, "wamp.close.system_shutdown");
  });
  const losses = [];
  const session = new Session(address, { realm: "realm1", WebSocket, reconnect: { delayFirst: 1e6, delayMax: 1e6 } });
  session.addEventListener("lost", ({ detail }) => losses.push([detail.reason, detail.retryIn, detail.attempt]));
  await session.opened;
  await until(() => begun.length === 3 && session.state === "open");
  assert.deepEqual(losses, [["wamp.close.system_shutdown", 250, 1], ["wamp.close.system_shutdown", 150, 2]]);
  assert.ok(begun[1] - begun[0] >= 240 && begun[2] - begun[1] >= 140, String(begun));
  end();
  await until(() => session.state === "away");
  const closed = event(session, "closed");
  await session.close();
  assert.equal((await closed).reason, "wamp.close.normal");
}

async function comingBack() {
  const asked = [];
  let taken = true;
  const { address, end } = await stage(({ number, socket, say, message }) => {
    const [kind, request, , uri] = message;
    if (kind === 1) return say(2, 1000 + number, { roles: {} });
    asked.push([number, kind, uri]);
    if (kind === 32) return say(33, request, number * 10 + uri.length);
    // After the loss somebody still has the procedure, once.
    if (kind === 64 && number === 2 && taken) {
      taken = false;
      return say(8, 64, request, {}, "wamp.error.procedure_already_exists");
    }
    if (kind === 64) return say(65, request, number * 10);
    if (kind === 48 && uri === "lose") return socket.terminate();
    if (kind === 48) return say(50, request, {}, [`from ${number}`]);
    if (kind === 16) return say(17, request, 7);
  });
  const session = await connect(address, { realm: "realm1", WebSocket, reconnect: { delayFirst: 20, requestsWait: true } });
  const heard = [];
  const sub = await session.subscribe("topic", () => heard.push(1));
  const gone = await session.subscribe("gone", () => {});
  const reg = await session.register("proc", () => 1);
  assert.deepEqual([sub.id, gone.id, reg.id], [15, 14, 10]);
  await assert.rejects(session.call("lose"), { name: "ConnectionError" });
  assert.equal(session.state, "away");
  assert.equal(sub.id, undefined);
  await gone.unsubscribe();
  // What is asked for meanwhile waits.
  const given = new AbortController();
  const waits = [session.call("a"), session.subscribe("new", () => {}), session.publish("b"), session.call("c", [], {}, { signal: given.signal })];
  given.abort(new Error("not any more"));
  await assert.rejects(waits[3], { message: "not any more" });
  const { id } = await event(session, "open");
  assert.equal(id, 1002);
  assert.deepEqual([await waits[0], (await waits[1]).id, await waits[2], sub.id], ["from 2", 23, 7, 25]);
  await until(() => reg.id === 20);
  const second = asked.filter(([number]) => number === 2).map(([, kind, uri]) => `${kind} ${uri}`);
  assert.deepEqual(second.slice(0, 3), ["64 proc", "32 topic", "32 new"], "who hears may call");
  assert.equal(second.filter((one) => one === "64 proc").length, 2);
  assert.ok(!second.includes("32 gone") && !second.includes("48 c"));
  end();
  await event(session, "lost");
  await session.close();
  // Without waiting it fails.
  const other = await stage(({ say, message }) => { if (message[0] === 1) say(2, 1, { roles: {} }); });
  const brisk = await connect(other.address, { realm: "realm1", WebSocket, reconnect: { delayFirst: 5, delayMax: 5, attemptsMax: 3 } });
  other.end();
  await event(brisk, "lost");
  await assert.rejects(brisk.call("a"), { message: "there is no connection" });
  const pending = assert.rejects(brisk.subscribe("a", () => {}), ConnectionError);
  await brisk.closed;
  await pending;
}

/** What was missed comes from the history: all of it, once, and nothing of one's own. */
async function gaps() {
  let history = [];
  const told = ({ from_publication: from, after_publication: after, reverse, limit }) => {
    const anchor = from ?? after;
    const place = history.indexOf(anchor);
    const found = anchor === undefined ? history : place < 0 ? [] : history.slice(place + (after === undefined ? 0 : 1));
    const events = found.map((id) => ({ publication: id, timestamp: String(id).padStart(8, "0"), args: [id] }));
    return (reverse ? events.reverse() : events).slice(0, limit);
  };
  let publications = 10_000;
  let [last, asked] = [undefined, 0];
  const { address, end } = await stage(({ number, socket, say, message }) => {
    const [kind, request, , uri, , kwargs] = message;
    last = { socket, say };
    if (kind === 1) return say(2, 1000 + number, { roles: { broker: { features: { event_history: true } } } });
    if (kind === 6) return say(6, {}, "wamp.close.goodbye_and_out");
    if (kind === 32) return say(33, request, 7);
    if (kind === 16) return say(17, request, publications += 1);
    if (kind !== 48) return;
    const asks = uri === "wamp.subscription.get_events";
    asked += asks ? 1 : 0;
    say(50, request, {}, asks ? told(kwargs) : []);
  });
  const heard = [];
  const begin = async () => {
    const session = await connect(address, { realm: "realm1", WebSocket, reconnect: { delayFirst: 5 } });
    [heard.length, asked] = [0, 0];
    await session.subscribe("com.x", ([id]) => heard.push(id));
    await until(() => asked === 1);
    // Its questions about the past have been answered before this one, and so has what follows them.
    for (let round = 0; round < 3; round += 1) await session.call("com.x");
    return session;
  };
  const lose = async (session) => {
    const back = event(session, "open");
    last.socket.terminate();
    await back;
  };
  const range = (from, to) => Array.from({ length: to - from }, (_, index) => from + index);
  // Nothing was there, and nothing was heard.
  const first = await begin();
  history = range(1, 701);
  await lose(first);
  await until(() => heard.length >= 700);
  assert.deepEqual(heard, range(1, 701));
  await first.close();
  // The oldest that are remembered have left the history.
  history = [4];
  const second = await begin();
  for (const id of range(5, 401)) last.say(36, 7, id, {}, [id]);
  await until(() => heard.length === 396);
  history = range(300, 1300);
  await lose(second);
  await until(() => heard.length >= 1295);
  assert.deepEqual(heard, range(5, 1300));
  // All that were heard have left it.
  heard.length = 0;
  history = range(2000, 3000);
  await lose(second);
  await until(() => heard.length >= 1000);
  assert.deepEqual(heard, range(2000, 3000));
  await second.close();
  // What the session has published itself does not come, unless it would have come.
  history = [1];
  const third = await begin();
  const own = [await third.publish("com.x"), await third.publish("com.x", [], {}, { exclude_me: false })];
  history.push(...own, 30_000);
  await lose(third);
  await until(() => heard.includes(30_000));
  assert.deepEqual(heard, [own[1], 30_000]);
  await third.close();
  end();
}

/** What a function of the application throws that says who it is may be over at the next attempt. */
async function ownAuth() {
  let [attempts, fails] = [0, 2];
  const said = [];
  const { address, end } = await stage(({ number, socket, say, message }) => {
    if (message[0] === 1) return say(4, number === 4 ? "unknown" : "own", {});
    if (message[0] === 5) return say(2, 1000 + number, { roles: {} });
    said.push(message);
    if (message[0] === 48) socket.terminate();
  });
  const auth = { own: async () => {
    attempts += 1;
    if (attempts === fails) throw new Error("a secret of the application");
    return "signature";
  } };
  const session = await connect(address, { realm: "realm1", WebSocket, auth, reconnect: { delayFirst: 5, delayMax: 5 } });
  const back = event(session, "open");
  await assert.rejects(session.call("lose"), ConnectionError);
  assert.equal((await back).id, 1003);
  assert.deepEqual(said[1], [3, { message: "the challenge cannot be answered" }, "wamp.error.cannot_authenticate"]);
  // What was not offered is not to be had later either.
  await assert.rejects(session.call("lose"), ConnectionError);
  assert.equal((await session.closed).reason, "wamp.error.authentication_denied");
  [attempts, fails] = [0, 1];
  await assert.rejects(connect(address, { realm: "realm1", WebSocket, auth, reconnect: false }), { reason: "wamp.close.transport_lost" });
  end();
}

async function heartbeat() {
  let answers = true;
  const { address, end, connections } = await stage(({ say, message }) => {
    if (message[0] === 1) return say(2, 1, { roles: {} });
    if (answers) say(8, 34, message[1], {}, "wamp.error.no_such_subscription");
  });
  const session = await connect(address, { realm: "realm1", WebSocket, heartbeat: 20, heartbeatTimeout: 200, reconnect: { delayFirst: 1 } });
  await pause(150);
  assert.equal(session.state, "open");
  answers = false;
  assert.match((await event(session, "lost")).message, /does not answer/);
  answers = true;
  await event(session, "open");
  assert.ok(connections() >= 2);
  await session.close();
  end();
}

async function pressure(one) {
  const text = "x".repeat(100_000);
  for (let number = 0; number < 100; number += 1) void one.publish(`${prefix}.much`, [text], {}, { acknowledge: false });
  await one.drained(0);
  assert.equal(one.bufferedAmount, 0);
}

/** Where there is no WebSocket, the one of `ws` is found beside the file; where that is not there either, it is said. */
async function socketOfThePackage() {
  const folder = await mkdtemp(join(tmpdir(), "corebar-js-"));
  try {
    await copyFile(new URL("../../../clients/js/corebar.js", import.meta.url), join(folder, "corebar.mjs"));
    const program = `delete globalThis.WebSocket;
      const { connect } = await import("./corebar.mjs");
      const session = await connect(${JSON.stringify(url)}, { realm: "realm1" });
      await session.close();
      console.log("joined");`;
    await writeFile(join(folder, "program.mjs"), program);
    const run = () => promisify(execFile)(process.execPath, [join(folder, "program.mjs")]);
    await assert.rejects(run(), /install the package 'ws'/);
    await symlink(join(createRequire(import.meta.url).resolve("ws/package.json"), "../.."), join(folder, "node_modules"));
    assert.equal((await run()).stdout, "joined\n");
  } finally {
    await rm(folder, { recursive: true });
  }
}

const [one, other] = await Promise.all([open(), open()]);
for (const part of [events, handlersThatFail, calls, progress, revocation, testaments, pressure, endings, violations, advice, comingBack, gaps, ownAuth, heartbeat,
  socketOfThePackage]) {
  await part(one, other);
}
await Promise.all([one.close(), other.close()]);
clearTimeout(late);
// Nothing keeps the process: it ends by itself.
process.on("exit", (code) => { if (code === 0) console.log("OK"); });
