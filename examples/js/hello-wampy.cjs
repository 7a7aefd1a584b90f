// With wampy: node hello-wampy.cjs [URL]
const { Wampy } = require("wampy");

async function main() {
  const wampy = new Wampy(process.argv[2] ?? "ws://127.0.0.1:8080/", { realm: "realm1", ws: require("ws"), autoReconnect: false });
  await wampy.connect();

  // What a session publishes does not come back to it, so another one listens.
  const other = new Wampy(process.argv[2] ?? "ws://127.0.0.1:8080/", { realm: "realm1", ws: require("ws"), autoReconnect: false });
  await other.connect();
  let hear;
  const heard = new Promise((resolve) => { hear = resolve; });
  await other.subscribe("com.example.hello.wampy", ({ argsList }) => hear(argsList[0]));
  await wampy.publish("com.example.hello.wampy", ["Hello!"]);
  console.log("event:", await heard);

  await other.register("com.example.add.wampy", ({ argsList: [a, b] }) => ({ argsList: [a + b] }));
  console.log("23 + 7 =", (await wampy.call("com.example.add.wampy", [23, 7])).argsList[0]);

  await other.register("com.example.countdown.wampy", ({ argsList: [from], result_handler }) => {
    for (let number = from; number > 0; number -= 1) result_handler({ argsList: [number], options: { progress: true } });
    return { argsList: ["lift-off"] };
  });
  const progress_callback = ({ argsList }) => console.log("on the way:", argsList[0]);
  console.log("at last:", (await wampy.call("com.example.countdown.wampy", [3], { progress_callback })).argsList[0]);

  await wampy.disconnect();
  await other.disconnect();
}

main();
