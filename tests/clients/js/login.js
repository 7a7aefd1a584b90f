// Logs in with autobahn or wampy for JavaScript, or the client of this project: login.js URL LIBRARY METHOD AUTHID SECRET. Prints the role, or the
// reason of the refusal.
'use strict';

globalThis.WebSocket ??= require('ws');
const {join} = require('path');
const [url, library, method, authid, secret] = process.argv.slice(2);

const pair = () => require('tweetnacl').sign.keyPair.fromSeed(Buffer.from(secret, 'hex'));

function withAutobahn() {
  const autobahn = require('autobahn');
  const {auth_cra: cra, auth_cryptosign: cryptosign} = autobahn;
  const answers = {
    ticket: () => secret,
    wampcra: (extra) =>
      cra.sign(extra.salt ? cra.derive_key(secret, extra.salt, extra.iterations, extra.keylen) : secret, extra.challenge),
    cryptosign: (extra) => cryptosign.sign_challenge(pair(), extra),
  };
  return new Promise((resolve) => {
    const connection = new autobahn.Connection({
      url,
      realm: 'realm1',
      authmethods: [method],
      authid,
      authextra: method === 'cryptosign' ? {pubkey: cryptosign.public_key(pair())} : undefined,
      onchallenge: (session, name, extra) => answers[name](extra),
      max_retries: 0,
    });
    connection.onopen = (session, details) => resolve(`${details.authid} ${details.authrole} ${details.authmethod} OK`);
    connection.onclose = (reason, details) => {
      resolve(`refused: ${details.reason}`);
      return true;
    };
    connection.open();
  });
}

async function withWampy() {
  const {Wampy} = require('wampy');
  // Modules of its kind are not found by NODE_PATH.
  const plugin = (file) => import(join(process.env.NODE_PATH, 'wampy/dist/esm/auth', file));
  const signers = {
    ticket: () => () => secret,
    wampcra: async () => (await plugin('wampcra/wampy-cra.js')).sign(secret),
    cryptosign: async () => (await plugin('cryptosign/wampy-cryptosign.js')).sign(secret),
  };
  const client = new Wampy(url, {
    realm: 'realm1',
    ws: require('ws'),
    authid,
    authmethods: [method],
    authPlugins: {[method]: await signers[method]()},
    authMode: 'auto',
    autoReconnect: false,
  });
  try {
    const details = await client.connect();
    return `${details.authid} ${details.authrole} ${details.authmethod} OK`;
  } catch (error) {
    return `refused: ${error.errorUri ?? error.message}`;
  }
}

// What Argon2id makes of the right password for the user of the tests, as Crossbar.io's clients write it: the text of base64.
async function argon2(password, salt, cost) {
  if (cost.memory !== 512 || cost.iterations !== 4096 || salt.length !== 16) throw new Error('another challenge');
  const hash = Buffer.from('82cc251d564204fffba4581927cc4fda8ca642fe8986724d9ced372aa5b96f9e', 'hex').toString('base64');
  return new TextEncoder().encode(Buffer.from(password).toString() === 'secret!' ? hash.replace('=', '') : 'x');
}

async function withCorebar() {
  const {connect} = await import('../../../clients/js/corebar.js');
  const options = {
    ticket: {ticket: async () => secret},
    wampcra: {secret},
    'wamp-scram': {password: secret, argon2, authmethods: ['wamp-scram']},
    scram: {password: secret, argon2},
    cryptosign: {privateKey: secret},
  };
  try {
    const session = await connect(url, {realm: 'realm1', authid, WebSocket: require('ws'), ...options[method]});
    const text = `${session.authid} ${session.authrole} ${session.authmethod} OK`;
    await session.close();
    return text;
  } catch (error) {
    return `refused: ${error.reason} ${error.message}`;
  }
}

({autobahn: withAutobahn, wampy: withWampy, corebar: withCorebar})[library]().then((text) => {
  console.log(text);
  process.exit(0);
});
