// What wampy can ask for beyond the basics, between three sessions: wampy-advanced.js URL SERIALIZER PREFIX
'use strict';

const assert = require('node:assert');
const WebSocket = require('ws');

const [url, serializer, prefix] = process.argv.slice(2);
// MessagePack brings long integers as BigInt.
const plain = (value) => JSON.parse(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? Number(item) : item)));
const same = (got, wanted) => assert.deepStrictEqual(plain(got), plain(wanted));
const fail = (error) => {
  console.error(error);
  process.exit(1);
};
setTimeout(() => fail(new Error('not done in 120 s')), 120_000);
process.on('unhandledRejection', fail);
process.on('uncaughtException', fail);

// Events in the order in which they come.
class Inbox {
  events = [];
  wake = () => {};
  take = (event) => {
    this.events.push(event);
    this.wake();
  };

  async next() {
    while (!this.events.length) await new Promise((resolve) => { this.wake = resolve; });
    return this.events.shift();
  }

  // Skips what other sessions of the realm cause.
  async until(wanted) {
    for (;;) {
      const {argsList} = await this.next();
      if (wanted(argsList)) return argsList;
    }
  }
}

async function refused(uri, request) {
  try {
    await request;
  } catch (error) {
    assert.strictEqual(error.errorUri, uri);
    return;
  }
  throw new Error(`${uri} was expected`);
}

async function connect() {
  const {Wampy} = require('wampy');
  const serializers = {
    json: () => new (require('wampy/JsonSerializer.js').JsonSerializer)(),
    msgpack: () => new (require('wampy/MsgpackSerializer.js').MsgpackSerializer)(),
    cbor: () => new (require('wampy/CborSerializer.js').CborSerializer)(),
  };
  const wampy = new Wampy(url, {
    realm: 'realm1',
    ws: WebSocket,
    serializer: serializers[serializer](),
    autoReconnect: false,
    onError: fail,
  });
  wampy.welcome = await wampy.connect();
  wampy.id = wampy.getSessionId();
  return wampy;
}

async function patterns(one, two) {
  const inboxes = {};
  for (const [match, topic] of [['exact', 'event.a.first'], ['prefix', 'event'], ['wildcard', 'event..first']]) {
    inboxes[match] = new Inbox();
    await one.subscribe(`${prefix}.${topic}`, inboxes[match].take, {match});
  }
  for (const topic of ['a.first', 'b', 'c.first']) await two.publish(`${prefix}.event.${topic}`, [topic]);
  const wanted = {exact: ['a.first'], prefix: ['a.first', 'b', 'c.first'], wildcard: ['a.first', 'c.first']};
  for (const [match, topics] of Object.entries(wanted)) {
    for (const topic of topics) {
      const {argsList, details} = await inboxes[match].next();
      same(argsList, [topic]);
      if (match !== 'exact') assert.strictEqual(details.topic, `${prefix}.event.${topic}`);
    }
  }
  for (const [match, procedure] of [['exact', 'call.a.first'], ['prefix', 'call'], ['wildcard', 'call..first']]) {
    await one.register(`${prefix}.${procedure}`, ({details}) => ({argsList: [match, details.procedure]}), {match});
  }
  for (const [procedure, match] of [['call.a.first', 'exact'], ['call.b', 'prefix'], ['call.c.first', 'prefix']]) {
    const {argsList} = await two.call(`${prefix}.${procedure}`);
    assert.strictEqual(argsList[0], match);
    if (match !== 'exact') assert.strictEqual(argsList[1], `${prefix}.${procedure}`);
  }
}

async function audience(one, two, three) {
  const topic = `${prefix}.audience`;
  const inboxes = [new Inbox(), new Inbox()];
  await two.subscribe(topic, inboxes[0].take);
  await three.subscribe(topic, inboxes[1].take);
  const cases = [
    [{}, [0, 1]],
    [{exclude: [two.id]}, [1]],
    [{eligible: [two.id]}, [0]],
    [{exclude_authid: [three.welcome.authid]}, [0]],
    [{eligible_authid: [three.welcome.authid]}, [1]],
    [{exclude_authrole: ['anonymous']}, []],
    [{eligible_authrole: ['anonymous'], exclude: [two.id]}, [1]],
    [{disclose_me: true}, [0, 1]],
  ];
  for (const [number, [options]] of cases.entries()) await one.publish(topic, [number], options);
  for (const [index, inbox] of inboxes.entries()) {
    for (const [number, [options, members]] of cases.entries()) {
      if (!members.includes(index)) continue;
      const {argsList, details} = await inbox.next();
      same(argsList, [number]);
      assert.strictEqual(details.publisher, options.disclose_me && one.id);
    }
  }
}

// wampy drops `retain` when it publishes; it can only ask.
async function retention(one, two) {
  const [topic, inbox] = [`${prefix}.retained`, new Inbox()];
  await one.publish(topic, ['not kept']);
  await two.subscribe(topic, inbox.take, {get_retained: true});
  await one.publish(topic, ['new']);
  const {argsList, details} = await inbox.next();
  same(argsList, ['new']);
  assert(!details.retained);
}

async function sharing(callees, caller) {
  const procedure = `${prefix}.shared`;
  for (const [number, callee] of callees.entries()) {
    await callee.register(procedure, () => ({argsList: [number]}), {invoke: 'roundrobin'});
  }
  for (const number of [0, 1, 0, 1]) same((await caller.call(procedure)).argsList, [number]);
  const other = caller.register(procedure, () => ({}), {invoke: 'random'});
  await refused('wamp.error.procedure_already_exists', other);
}

async function longCalls(callee, caller) {
  // wampy's callee announces no progressive results, but sends them.
  await callee.register(`${prefix}.count`, ({argsList, result_handler}) => {
    for (let number = 0; number < argsList[0]; number++) {
      result_handler({argsList: [number], options: {progress: true}});
    }
    return {argsList: ['end']};
  });
  const parts = [];
  const options = {progress_callback: ({argsList}) => parts.push(argsList[0])};
  same((await caller.call(`${prefix}.count`, [3], options)).argsList, ['end']);
  same(parts, [0, 1, 2]);

  await callee.register(`${prefix}.never`, () => new Promise(() => {}));
  await refused('wamp.error.timeout', caller.call(`${prefix}.never`, null, {timeout: 50}));
  for (const mode of ['skip', 'killnowait']) {
    const canceled = caller.call(`${prefix}.never`);
    caller.cancel(caller.getOpStatus().reqId, {mode});
    await refused('wamp.error.canceled', canceled);
  }
  await callee.register(`${prefix}.caller`, ({details}) => ({argsList: [details.caller]}));
  same((await caller.call(`${prefix}.caller`, null, {disclose_me: true})).argsList, [caller.id]);
}

async function passthru(one, two) {
  const payload = {argsList: [1, 'two'], argsDict: {three: [3]}};
  const inbox = new Inbox();
  await one.subscribe(`${prefix}.passthru`, inbox.take);
  const echo = ({details, argsList, argsDict}) => {
    const {ppt_scheme, ppt_serializer, ppt_keyid} = details;
    return {argsList, argsDict, options: {ppt_scheme, ...(ppt_serializer && {ppt_serializer}), ppt_keyid}};
  };
  await one.register(`${prefix}.passthru`, echo);
  for (const kind of [{}, {ppt_serializer: 'json'}]) {
    const options = {ppt_scheme: 'x_test', ppt_keyid: 'key', ...kind};
    await two.publish(`${prefix}.passthru`, payload, options);
    for (const got of [await inbox.next(), await two.call(`${prefix}.passthru`, payload, options)]) {
      same(got.argsList, payload.argsList);
      same(got.argsDict, payload.argsDict);
      for (const [name, value] of Object.entries(options)) assert.strictEqual(got.details[name], value);
    }
  }
}

async function meta(one, two) {
  const [joined, left, subscribed, will] = [new Inbox(), new Inbox(), new Inbox(), new Inbox()];
  await one.subscribe('wamp.session.on_join', joined.take);
  await one.subscribe('wamp.session.on_leave', left.take);
  await one.subscribe('wamp.subscription.on_subscribe', subscribed.take);
  await one.subscribe(`${prefix}.will`, will.take);
  const guest = await connect();
  await joined.until(([info]) => info.session === guest.id);
  const {subscriptionId} = await guest.subscribe(`${prefix}.meta`, () => {});
  await subscribed.until(([session, id]) => session === guest.id && id === subscriptionId);
  const lookup = await two.call('wamp.subscription.lookup', [`${prefix}.meta`]);
  same(lookup.argsList, [subscriptionId]);
  // Nothing is kept of this topic.
  same((await two.call('wamp.subscription.get_events', [subscriptionId])).argsList ?? [], []);
  await guest.call('wamp.session.add_testament', [`${prefix}.will`, ['bye'], {}]);
  await guest.disconnect();
  await left.until(([session]) => session === guest.id);
  same((await will.next()).argsList, ['bye']);
  await refused('wamp.error.no_such_session', two.call('wamp.session.get', [guest.id]));
}

async function main() {
  const [one, two, three] = [await connect(), await connect(), await connect()];
  const steps = {patterns, audience, retention, longCalls, passthru, meta};
  for (const [name, step] of Object.entries(steps)) {
    console.log(name);
    await step(one, two, three);
  }
  console.log('sharing');
  await sharing([one, two], three);
  for (const session of [one, two, three]) await session.disconnect();
  console.log('OK');
  process.exit(0);
}

main();
