// How programs in TypeScript use the client: what is right is taken, what is wrong is not.
import { connect, ConnectionError, Result, Session, WampError, type Subscription } from "../../../clients/js/corebar.js";

const session: Session = await connect("wss://router.example/", {
  realm: "realm1",
  authid: "joe",
  password: async () => "secret",
  privateKey: new Uint8Array(32),
  auth: { own: (extra, { nonce }) => `${extra.challenge}${nonce}` },
  reconnect: { delayFirst: 1, fromTheStart: true },
});
session.addEventListener("lost", ({ detail: { retryIn, reason } }) => retryIn.toFixed() + reason.length);
session.addEventListener("error", (event) => event.preventDefault());
session.addEventListener("of my own", (event: Event) => event.type);

const sub: Subscription = await session.subscribe("com.a", ([text], { named }, details) => [text, named, details.topic], { match: "prefix" });
await sub.unsubscribe();
const reg = await session.register("com.b", async function* ([to], kwargs, { signal, procedure, progress }) {
  progress?.(procedure);
  for (let number = 0; number < to && !signal.aborted; number += 1) yield number;
  return new Result([1, 2], { three: 3 });
});
await reg.unregister();
const id: number | undefined = await session.publish("com.a", [1], {}, { acknowledge: true });
await session.addTestament("com.a", [1], { two: 2 }, { retain: true }, "detached");
await session.flushTestaments("detached");
try {
  await session.call("com.b", [id], {}, { progress: ([part]) => part, signal: AbortSignal.timeout(1), timeout: 5, disclose_me: true });
} catch (error) {
  if (error instanceof WampError) throw new WampError(error.error, error.args, error.kwargs);
  if (error instanceof ConnectionError) console.log(error.reason);
}

// @ts-expect-error a session needs a realm
await connect("wss://router.example/", {});
// @ts-expect-error no such option
await connect("wss://router.example/", { realm: "realm1", pasword: "secret" });
// @ts-expect-error arguments are a list
await session.publish("com.a", "text");
// @ts-expect-error no such scope
await session.addTestament("com.a", [], {}, {}, "later");
// @ts-expect-error there is no such state
session.state === "lost";
await session.close();
