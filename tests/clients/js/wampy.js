// wampy: wampy.js URL SERIALIZER PREFIX ME NAME...
'use strict';

const WebSocket = require('ws');
const {run} = require('./exercise.js');

run(async (url, serializer) => {
  const {Wampy} = require('wampy');
  const {JsonSerializer} = require('wampy/JsonSerializer.js');
  const {MsgpackSerializer} = require('wampy/MsgpackSerializer.js');
  const {CborSerializer} = require('wampy/CborSerializer.js');
  const serializers = {json: JsonSerializer, msgpack: MsgpackSerializer, cbor: CborSerializer};
  const wampy = new Wampy(url, {
    realm: 'realm1',
    ws: WebSocket,
    serializer: new serializers[serializer](),
    autoReconnect: false,
    onError: (error) => { console.error(error); process.exit(1); },
  });
  await wampy.connect();
  const payload = (args, kwargs) => ({argsList: args, argsDict: kwargs});
  const held = {};
  return {
    // wampy leaves `exclude_me` out when it is false, so it cannot hear itself.
    deaf: true,
    subscribe: async (topic, listener) => {
      held[topic] = (await wampy.subscribe(topic, (event) => listener(event.argsList, event.argsDict))).subscriptionKey;
    },
    unsubscribe: (topic) => wampy.unsubscribe(held[topic]),
    publish: (topic, args, kwargs) => wampy.publish(topic, payload(args, kwargs), {exclude_me: false}),
    register: (procedure, kind) => wampy.register(procedure, ({argsList, argsDict}) => {
      if (kind !== 'echo') {
        throw Object.assign(new Error(kind), {error: kind, ...payload(argsList, argsDict)});
      }
      return payload(argsList, argsDict);
    }),
    unregister: (procedure) => wampy.unregister(procedure),
    call: async (procedure, args, kwargs) => {
      try {
        const result = await wampy.call(procedure, payload(args, kwargs));
        return {args: result.argsList, kwargs: result.argsDict};
      } catch (error) {
        return {error: error.errorUri ?? error.error, args: error.argsList, kwargs: error.argsDict};
      }
    },
    leave: () => wampy.disconnect(),
  };
});
