// The client of this project: corebar.mjs URL SERIALIZER PREFIX ME NAME...
import { createRequire } from "node:module";
import { connect, Result, WampError } from "../../../clients/js/corebar.js";

const require = createRequire(import.meta.url);
const { run } = require("./exercise.js");

// The library would only report what a listener throws.
const guarded = (listener) => (args, kwargs) => {
  try {
    listener(args, kwargs);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
};

run(async (url) => {
  const session = await connect(url, { realm: "realm1", reconnect: false, WebSocket: require("ws") });
  const held = {};
  return {
    subscribe: async (topic, listener) => { held[topic] = await session.subscribe(topic, guarded(listener)); },
    unsubscribe: (topic) => held[topic].unsubscribe(),
    publish: (topic, args, kwargs) => session.publish(topic, args, kwargs, { exclude_me: false }),
    register: async (procedure, kind) => {
      held[procedure] = await session.register(procedure, (args, kwargs) => {
        if (kind !== "echo") throw new WampError(kind, args, kwargs);
        return new Result(args, kwargs);
      });
    },
    unregister: (procedure) => held[procedure].unregister(),
    call: async (procedure, args, kwargs) => {
      try {
        const result = await session.call(procedure, args, kwargs);
        return result instanceof Result ? result : { args: result === undefined ? [] : [result], kwargs: {} };
      } catch (error) {
        return { error: error.error, args: error.args, kwargs: error.kwargs };
      }
    },
    leave: () => session.close(),
  };
});
