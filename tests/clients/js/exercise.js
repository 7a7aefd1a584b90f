// What every JavaScript client does with every peer of its group; `client` hides how each library says it.
'use strict';

const assert = require('node:assert');

const [url, serializer, prefix, me, ...names] = process.argv.slice(2);
const ARGS = [1, -70000, 'Grüße 😀', null, 3.5, true, [1, [2, []]], {key: {inner: false}}];
const KWARGS = {number: 70000, list: [], text: 'ключ'};

const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

// Libraries differ in the prototypes of what they hand out; the content counts.
const same = (got, wanted) => assert.deepStrictEqual(JSON.parse(JSON.stringify(got)), wanted);

// Calls until the peer has registered.
async function call(client, procedure) {
  for (;;) {
    const answer = await client.call(procedure, ARGS, KWARGS);
    if (answer.error !== 'wamp.error.no_such_procedure') return answer;
    await pause();
  }
}

async function exercise(client) {
  let unsubscribed = false;
  const seen = {hello: new Set(), done: new Set()};
  const listener = (kind) => (args, kwargs) => {
    const [name, ...rest] = args;
    assert(!unsubscribed, 'an event after UNSUBSCRIBED');
    // From a peer that has unsubscribed already.
    if (name === 'nobody') return;
    same(rest, ARGS);
    same(kwargs, KWARGS);
    assert(!seen[kind].has(name), `${kind} of ${name} came twice`);
    seen[kind].add(name);
  };
  const everybody = async (kind) => {
    const others = names.filter((name) => name !== me || !client.deaf);
    while (seen[kind].size < others.length) await pause();
    assert.deepStrictEqual([...seen[kind]].sort(), others.sort());
  };

  for (const kind of ['hello', 'done']) await client.subscribe(`${prefix}.${kind}`, listener(kind));
  await client.register(`${prefix}.${me}.echo`, 'echo');
  await client.register(`${prefix}.${me}.fail`, 'com.test.failed');
  for (const name of names) {
    const result = await call(client, `${prefix}.${name}.echo`);
    assert.strictEqual(result.error, undefined);
    same(result.args, ARGS);
    same(result.kwargs, KWARGS);
    const failure = await call(client, `${prefix}.${name}.fail`);
    assert.strictEqual(failure.error, 'com.test.failed');
    same(failure.args, ARGS);
    same(failure.kwargs, KWARGS);
  }
  await client.publish(`${prefix}.hello`, [me, ...ARGS], KWARGS);
  await everybody('hello');
  await client.publish(`${prefix}.done`, [me, ...ARGS], KWARGS);
  await everybody('done');

  await client.unregister(`${prefix}.${me}.echo`);
  await client.unregister(`${prefix}.${me}.fail`);
  const gone = await client.call(`${prefix}.${me}.echo`, [], {});
  assert.strictEqual(gone.error, 'wamp.error.no_such_procedure');
  await client.unsubscribe(`${prefix}.hello`);
  await client.unsubscribe(`${prefix}.done`);
  unsubscribed = true;
  await client.publish(`${prefix}.hello`, ['nobody'], {});
}

// Connects, exercises and leaves; says OK and ends the process.
async function run(connect) {
  const late = setTimeout(() => fail(new Error('not done in 120 s')), 120_000);
  const fail = (error) => {
    console.error(error);
    process.exit(1);
  };
  process.on('unhandledRejection', fail);
  process.on('uncaughtException', fail);
  try {
    const client = await connect(url, serializer);
    await exercise(client);
    await client.leave();
    clearTimeout(late);
    console.log('OK');
    process.exit(0);
  } catch (error) {
    fail(error);
  }
}

module.exports = {run};
