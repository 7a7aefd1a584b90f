// autobahn for JavaScript: autobahn.js URL SERIALIZER PREFIX ME NAME...
'use strict';

// Node before 22 has no WebSocket of its own; autobahn expects one.
globalThis.WebSocket ??= require('ws');
globalThis.XMLHttpRequest ??= require('./xhr.js');
const autobahn = require('autobahn');
const {run} = require('./exercise.js');

const SERIALIZERS = {
  json: () => new autobahn.serializer.JSONSerializer(),
  msgpack: () => new autobahn.serializer.MsgpackSerializer(),
  cbor: () => new autobahn.serializer.CBORSerializer(),
};

// The library would only report what a listener throws.
const guarded = (listener) => (args, kwargs) => {
  try {
    listener(args, kwargs);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
};

run((url, serializer) => new Promise((resolve, reject) => {
  const connection = new autobahn.Connection({
    transports: [{type: url.startsWith('http') ? 'longpoll' : 'websocket', url}],
    realm: 'realm1',
    serializers: [SERIALIZERS[serializer]()],
    max_retries: 0,
    // Also told of the errors that procedures here raise on purpose.
    on_user_error: () => {},
  });
  let left;
  const closed = new Promise((done) => { left = done; });
  connection.onclose = (reason, details) => {
    left(details.reason);
    reject(new Error(`${reason}: ${JSON.stringify(details)}`));
    return true;
  };
  connection.onopen = (session) => {
    const held = {};
    const options = {acknowledge: true, exclude_me: false};
    resolve({
      subscribe: async (topic, listener) => { held[topic] = await session.subscribe(topic, guarded(listener)); },
      unsubscribe: (topic) => session.unsubscribe(held[topic]),
      publish: (topic, args, kwargs) => session.publish(topic, args, kwargs, options),
      register: async (procedure, kind) => {
        const endpoint = (args, kwargs) => {
          if (kind !== 'echo') throw new autobahn.Error(kind, args, kwargs);
          return new autobahn.Result(args, kwargs);
        };
        held[procedure] = await session.register(procedure, endpoint);
      },
      unregister: (procedure) => session.unregister(held[procedure]),
      call: async (procedure, args, kwargs) => {
        try {
          const result = await session.call(procedure, args, kwargs);
          return {args: result.args, kwargs: result.kwargs};
        } catch (error) {
          return {error: error.error, args: error.args, kwargs: error.kwargs};
        }
      },
      leave: async () => {
        connection.close();
        const reason = await closed;
        if (reason !== 'wamp.close.goodbye_and_out' && reason !== 'wamp.close.normal') throw new Error(reason);
      },
    });
  };
  connection.open();
}));
