// With autobahn: node hello-autobahn.cjs [URL]

// Node before 22 has no WebSocket of its own; the library looks for one when it is loaded.
globalThis.WebSocket ??= require("ws");
const autobahn = require("autobahn");

const connection = new autobahn.Connection({ url: process.argv[2] ?? "ws://127.0.0.1:8080/", realm: "realm1", max_retries: 0 });

connection.onopen = async (session) => {
  let hear;
  const heard = new Promise((resolve) => { hear = resolve; });
  await session.subscribe("com.example.hello.autobahn", ([text]) => hear(text));
  await session.publish("com.example.hello.autobahn", ["Hello!"], {}, { acknowledge: true, exclude_me: false });
  console.log("event:", await heard);

  await session.register("com.example.add.autobahn", ([a, b]) => a + b);
  console.log("23 + 7 =", await session.call("com.example.add.autobahn", [23, 7]));

  connection.close();
};
connection.onclose = (reason, details) => {
  if (reason !== "closed") console.error(reason, details.reason);
  return true;
};
connection.open();
