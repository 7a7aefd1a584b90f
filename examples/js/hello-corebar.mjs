// With the client of this project: node hello-corebar.mjs [URL]
import { createRequire } from "node:module";
import { connect } from "../../clients/js/corebar.js";

// Node before 22 has no WebSocket of its own.
globalThis.WebSocket ??= createRequire(import.meta.url)("ws");

const session = await connect(process.argv[2] ?? "ws://127.0.0.1:8080/", { realm: "realm1" });

let hear;
const heard = new Promise((resolve) => { hear = resolve; });
await session.subscribe("com.example.hello.corebar", ([text]) => hear(text));
await session.publish("com.example.hello.corebar", ["Hello!"], {}, { exclude_me: false });
console.log("event:", await heard);

await session.register("com.example.add.corebar", ([a, b]) => a + b);
console.log("23 + 7 =", await session.call("com.example.add.corebar", [23, 7]));

await session.register("com.example.countdown.corebar", async function* ([from]) {
  for (let number = from; number > 0; number -= 1) yield number;
  return "lift-off";
});
const progress = ([number]) => console.log("on the way:", number);
console.log("at last:", await session.call("com.example.countdown.corebar", [3], {}, { progress }));

await session.close();
