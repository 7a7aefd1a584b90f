// @ts-check
/**
 * A client for WAMP, version 2 (https://wamp-proto.org/): JSON over WebSocket, in browsers, Node and Deno. No dependencies.
 * It is made for Corebar and works with any router. README.md tells how to use it.
 *
 * @module
 */

/** @typedef {Record<string, any>} Dict */

/**
 * What is done with an event. `details.topic` is always there, also for patterns.
 * @callback EventHandler
 * @param {any[]} args
 * @param {Dict} kwargs
 * @param {Dict} details `EVENT.Details`: `publication`, `topic` and what the router says besides, as `publisher` or `retained`;
 *   `replayed` if it was published while there was no connection
 * @returns {any} a promise is waited for by nobody, but what goes wrong is reported
 */

/**
 * What answers a call: with a value, a {@link Result}, or a promise of one. An async generator gives results on the way, and
 * the last one when it returns. What it throws is the answer, too: see {@link WampError}.
 * @callback CallHandler
 * @param {any[]} args
 * @param {Dict} kwargs
 * @param {InvocationDetails} details
 * @returns {any}
 */

/**
 * `INVOCATION.Details`: what the router says, as `caller`, and
 * @typedef {Dict & {
 *   procedure: string,
 *   signal: AbortSignal,
 *   progress: ((...args: any[]) => void) | undefined,
 * }} InvocationDetails
 *   `procedure` is the one that is called, also for patterns; `signal` is aborted when the caller does not wait any more, or the
 *   connection is lost; `progress` gives a result on the way, and is there if the caller wants such
 */

/**
 * @typedef {object} CallOptions Everything else is passed on in `CALL.Options`, as `disclose_me`.
 * @property {(args: any[], kwargs: Dict, details: Dict) => void} [progress] takes results on the way
 * @property {AbortSignal} [signal] gives the call up
 * @property {number} [timeout] in ms; then the call fails with `wamp.error.timeout`
 * @property {"killnowait" | "kill" | "skip"} [cancel] how it is given up: the callee is told and not waited for (`killnowait`, as
 *   if nothing is said), the router waits for it (`kill`), or it is not told (`skip`). The promise is rejected at once anyway.
 */

/**
 * How a session outlives its connections. Times are in ms.
 * @typedef {object} Reconnect
 * @property {number} [delayFirst] before the first attempt (250)
 * @property {number} [delayMax] between attempts, at most (30000)
 * @property {number} [growth] each delay is so many times the one before (2); each is shortened at random by up to a half
 * @property {number} [attemptsMax] attempts in a row (without end)
 * @property {boolean} [fromTheStart] the first connection is tried for, too (false)
 * @property {boolean} [requestsWait] calls and publications wait for a connection (false: they fail)
 * @property {boolean} [fillGaps] events that were published meanwhile are taken from the history that the router keeps of the
 *   topic, if it does (true)
 */

/**
 * @template T
 * @typedef {T | (() => T | Promise<T>)} Lazily a value, or what gives it for each attempt to log in
 */

/**
 * @typedef {object} Login What is known while logging in.
 * @property {string} method
 * @property {string | undefined} authid
 * @property {string} nonce what was said as `authextra.nonce`
 */

/**
 * Answers a challenge: gives the signature, or with `extra` the details of AUTHENTICATE.
 * @callback AuthHandler
 * @param {Dict} extra `CHALLENGE.Extra`
 * @param {Login} login
 * @returns {string | {signature: string, extra?: Dict} | Promise<string | {signature: string, extra?: Dict}>}
 */

/**
 * @typedef {object} ConnectOptions Times are in ms.
 * @property {string} realm
 * @property {string} [authid] who the client is
 * @property {Lazily<string>} [ticket] for `ticket`
 * @property {Lazily<string>} [token] for `jwt`
 * @property {Lazily<string>} [secret] for `wampcra`, salted or not
 * @property {Lazily<string>} [password] for `wamp-scram`, and `scram` as Crossbar.io has it
 * @property {Lazily<string | Uint8Array | CryptoKeyPair>} [privateKey] for `cryptosign`: the 32 octets of an Ed25519 seed, as they
 *   are or in hexadecimal digits, or a pair of keys of WebCrypto
 * @property {Record<string, AuthHandler>} [auth] other methods, or others' ways of doing these
 * @property {string[]} [authmethods] what is offered, the best first; otherwise all that there is something for
 * @property {Lazily<Dict>} [authextra] what is said besides
 * @property {(password: Uint8Array, salt: Uint8Array, cost: {iterations: number, memory: number}) => Promise<Uint8Array>} [argon2]
 *   makes 32 octets by Argon2id (version 1.3, one lane, memory in KiB), for `wamp-scram` where the router wants that
 * @property {boolean | Reconnect} [reconnect] (true)
 * @property {AbortSignal} [signal] closes the session
 * @property {number} [openTimeout] from the first octet to WELCOME (10000)
 * @property {number} [callTimeout] for calls that say nothing else (0: none)
 * @property {number} [closeTimeout] for the answer to GOODBYE (5000)
 * @property {number} [heartbeat] a router that has said nothing for so long is asked whether it is there (30000; 0: never)
 * @property {number} [heartbeatTimeout] and has so long to answer (15000)
 * @property {SocketClass} [WebSocket] another one than the global one
 */

/** @typedef {{new (url: string, protocols: string[]): SocketLike}} SocketClass */

/**
 * What is used of a WebSocket.
 * @typedef {object} SocketLike
 * @property {number} readyState
 * @property {number} bufferedAmount
 * @property {string} protocol
 * @property {any} onopen
 * @property {any} onmessage
 * @property {any} onerror
 * @property {any} onclose
 * @property {(data: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {() => void} [terminate] closes without waiting for the other side
 */

/**
 * @typedef {object} Loss
 * @property {string} reason a URI if the router has said one; otherwise `wamp.close.transport_lost`
 * @property {string} message for a person
 * @property {Dict} details of GOODBYE or ABORT
 */

/**
 * @typedef {object} SessionEvents
 * @property {CustomEvent<{id: number, details: Dict}>} open there is a session, with all subscriptions and registrations
 * @property {CustomEvent<Loss & {attempt: number, retryIn: number}>} lost there is none; the next attempt is made in so many ms
 * @property {CustomEvent<Loss>} closed it is over
 * @property {CustomEvent<{subscription?: Subscription, registration?: Registration, reason?: string}>} revoked the router has
 *   taken something away
 * @property {CustomEvent<{error: any, source: string}>} error a handler has thrown, or something did not come back. It is
 *   printed unless `preventDefault()` is called.
 */

const HELLO = 1, WELCOME = 2, ABORT = 3, CHALLENGE = 4, AUTHENTICATE = 5, GOODBYE = 6, ERROR = 8, PUBLISH = 16, PUBLISHED = 17,
  SUBSCRIBE = 32, SUBSCRIBED = 33, UNSUBSCRIBE = 34, UNSUBSCRIBED = 35, EVENT = 36, CALL = 48, CANCEL = 49, RESULT = 50,
  REGISTER = 64, REGISTERED = 65, UNREGISTER = 66, UNREGISTERED = 67, INVOCATION = 68, INTERRUPT = 69, YIELD = 70;

/**
 * What a router may say: an id (i), an id or 0 (0), a type of message (t), text (s), a dictionary (d); in the end there may be a
 * dictionary (?), or arguments and then those with names (*).
 * @type {Record<number, string>}
 */
const SHAPES = {
  [WELCOME]: "id", [ABORT]: "ds", [CHALLENGE]: "sd", [GOODBYE]: "ds", [ERROR]: "tids*", [PUBLISHED]: "ii", [SUBSCRIBED]: "ii",
  [UNSUBSCRIBED]: "0?", [EVENT]: "iid*", [RESULT]: "id*", [REGISTERED]: "ii", [UNREGISTERED]: "0?", [INVOCATION]: "iid*",
  [INTERRUPT]: "id",
};

/** @type {Record<number, number>} The answers to requests. */
const ANSWERS = {
  [PUBLISH]: PUBLISHED, [SUBSCRIBE]: SUBSCRIBED, [UNSUBSCRIBE]: UNSUBSCRIBED, [CALL]: RESULT, [REGISTER]: REGISTERED,
  [UNREGISTER]: UNREGISTERED,
};

const SUBPROTOCOL = "wamp.2.json";
/** However far away the time is at which a router wants to see a client again, it comes back after this. */
const ADVICE_MAX = 3_600_000;
/** When a procedure that somebody else still has is tried for once more, at first and at last. */
const AGAIN = [500, 30_000];
/** A router must not make a client work for longer than this many rounds of PBKDF2. */
const ROUNDS_MAX = 10_000_000;
/** A generator of results waits while so many octets wait to be sent. */
const BUFFERED_MAX = 1 << 20;
/** So many events a subscription knows that it has had. */
const RECENT_MAX = 256;
/** So many of its own publications a session knows. */
const OWN_MAX = 4096;
/** Events of a history that are asked for at a time. */
const PAGE = 256;
/** Histories of patterns that are asked for events of a topic. */
const SOURCES_MAX = 8;
const LOST = "wamp.close.transport_lost";
/** Somebody has meant a session to end. */
const FINAL = ["wamp.close.killed", "wamp.close.logout"];
/** Trying once more does not help. */
const HOPELESS = ["wamp.error.authentication_denied", "wamp.error.no_matching_auth_method"];

/** @param {string[]} names */
const features = (...names) => ({ features: Object.fromEntries(names.map((name) => [name, true])) });

const ROLES = {
  publisher: features("publisher_identification", "subscriber_blackwhite_listing", "publisher_exclusion"),
  subscriber: features("pattern_based_subscription", "publisher_identification", "event_history", "subscription_revocation"),
  caller: features("caller_identification", "call_canceling", "call_timeout", "progressive_call_results"),
  callee: features("caller_identification", "call_canceling", "call_reroute", "progressive_call_results",
    "pattern_based_registration", "shared_registration", "registration_revocation"),
};

/** An error with a URI, of a callee or the router; thrown by a {@link CallHandler}, it is the answer to the call. */
export class WampError extends Error {
  /**
   * @param {string} error its URI
   * @param {any[] | string} [args]
   * @param {Dict} [kwargs]
   * @param {Dict} [details]
   */
  constructor(error, args = [], kwargs = {}, details = {}) {
    const list = typeof args === "string" ? [args] : args;
    super(typeof list[0] === "string" ? `${error}: ${list[0]}` : error);
    this.name = "WampError";
    this.error = error;
    this.args = list;
    this.kwargs = kwargs;
    this.details = details;
  }
}

/** There is no connection, or no more. What was asked for may have happened or not. */
export class ConnectionError extends Error {
  /**
   * @param {string} message
   * @param {string} [reason] what the router has said in GOODBYE or ABORT
   * @param {Dict} [details]
   */
  constructor(message, reason = LOST, details = {}) {
    super(message);
    this.name = "ConnectionError";
    this.reason = reason;
    this.details = details;
  }
}

/** Several values, or some with names: what a call gives, or a handler answers with. */
export class Result {
  /**
   * @param {any[]} [args]
   * @param {Dict} [kwargs]
   * @param {Dict} [details] `RESULT.Details`; in an answer `YIELD.Options`
   */
  constructor(args = [], kwargs = {}, details = {}) {
    this.args = args;
    this.kwargs = kwargs;
    this.details = details;
  }
}

/**
 * Connects to a router and joins a realm.
 * @param {string | URL} url `ws:` or `wss:`; in a browser also a path of the page's server
 * @param {ConnectOptions} options
 * @returns {Promise<Session>} rejected with a {@link ConnectionError} if that is not possible
 */
export async function connect(url, options) {
  const session = new Session(url, options);
  await session.opened;
  return session;
}

/** A subscription: it outlives connections. */
export class Subscription {
  /**
   * The id that the router knows it by: another one after each connection, and none while there is none.
   * @type {number | undefined}
   */
  id;
  #end;

  /**
   * @param {string} topic
   * @param {EventHandler} handler
   * @param {Dict} options
   * @param {(subscription: Subscription) => Promise<void>} end
   */
  constructor(topic, handler, options, end) {
    this.topic = topic;
    this.handler = handler;
    this.options = options;
    this.#end = end;
  }

  /** Ends it: the handler is not called any more. The promise is for the router's knowing of it. */
  async unsubscribe() {
    await this.#end(this);
  }
}

/** A procedure that is offered: it outlives connections. */
export class Registration {
  /**
   * The id that the router knows it by: another one after each connection, and none while there is none.
   * @type {number | undefined}
   */
  id;
  #end;

  /**
   * @param {string} procedure
   * @param {CallHandler} handler
   * @param {Dict} options
   * @param {(registration: Registration) => Promise<void>} end
   */
  constructor(procedure, handler, options, end) {
    this.procedure = procedure;
    this.handler = handler;
    this.options = options;
    this.#end = end;
  }

  /** Ends it: the handler is not called any more; calls that it works on go on. The promise is for the router's knowing of it. */
  async unregister() {
    await this.#end(this);
  }
}

/** A session with a router. {@link connect} makes one that is open already. */
export class Session extends EventTarget {
  #url;
  #options;
  /** @type {Required<Reconnect> | undefined} */ #policy;
  /** @type {Link | undefined} */ #link;
  /** @type {Map<Subscription | Registration, Pending<any> | undefined>} */ #entries = new Map();
  /** Calls and publications that wait for a connection. @type {Set<Pending<Link>>} */ #queue = new Set();
  /** @type {{payload: any[], scope: TestamentScope}[]} */ #testaments = [];
  /** Publications that do not come to the session, though histories have them. */
  #own = new Recent(OWN_MAX);
  #stop = new AbortController();
  /** @type {string | undefined} */ #leaving;
  /** @type {Loss | undefined} */ #over;
  /** @type {Dict} */ #welcome = {};
  #id = 0;

  /**
   * Begins to connect. Subscriptions and registrations can be asked for at once.
   * @param {string | URL} url
   * @param {ConnectOptions} options
   */
  constructor(url, options) {
    super();
    if (typeof options?.realm !== "string") throw new TypeError("a session needs a realm");
    this.#url = addressOf(url);
    this.#options = options;
    const { reconnect = true, signal } = options;
    this.#policy = reconnect ? policyOf(reconnect === true ? {} : reconnect) : undefined;
    /** @type {(loss: Loss) => void} */
    let end = () => {};
    /** Kept when the session is over, however it ends; never broken. @type {Promise<Loss>} */
    this.closed = new Promise((resolve) => { end = resolve; });
    const close = () => void this.close();
    signal?.addEventListener("abort", close);
    /** Kept when the session is there for the first time; broken if it never will be. @type {Promise<void>} */
    this.opened = new Promise((resolve, reject) => {
      this.#run(resolve).catch((error) => this.#finish({ ...lossOf(error) })).finally(() => {
        signal?.removeEventListener("abort", close);
        const loss = this.#over ?? lossOf(undefined);
        reject(new ConnectionError(loss.message, loss.reason, loss.details));
        end(loss);
      });
    });
    // Who does not wait for it is told of by events.
    this.opened.catch(() => {});
    if (signal?.aborted) close();
  }

  /** The id of the session that there is, or was last; 0 before the first. */
  get id() { return this.#id; }
  /** @returns {string} the realm that was joined, which may be another one than was asked for */
  get realm() { return this.#welcome.realm ?? this.#options.realm; }
  get url() { return this.#url; }
  /** `WELCOME.Details` of the session that there is, or was last. */
  get details() { return this.#welcome; }
  /** @returns {string | undefined} */
  get authid() { return this.#welcome.authid; }
  /** @returns {string | undefined} */
  get authrole() { return this.#welcome.authrole; }
  /** @returns {string | undefined} */
  get authmethod() { return this.#welcome.authmethod; }

  /** @returns {"open" | "away" | "closed"} whether there is a connection, or will perhaps be one, or will not */
  get state() { return this.#over ? "closed" : this.#live ? "open" : "away"; }

  /** Octets that wait to be sent. Who sends much looks here, or waits by {@link drained}. */
  get bufferedAmount() { return this.#link?.bufferedAmount ?? 0; }

  /**
   * Waits until no more than so many octets wait to be sent, or there is no connection.
   * @param {number} [most]
   */
  async drained(most = BUFFERED_MAX) {
    await this.#link?.drained(most);
  }

  /**
   * @template {keyof SessionEvents} K
   * @overload
   * @param {K} type
   * @param {(event: SessionEvents[K]) => any} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @returns {void}
   */
  /**
   * @overload
   * @param {string} type
   * @param {EventListenerOrEventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @returns {void}
   */
  /**
   * @param {string} type
   * @param {any} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
  }

  /**
   * Calls a handler for each event of a topic, or of all that match a pattern (`options.match`: "prefix" or "wildcard").
   * Without a connection the promise waits for one.
   * @param {string} topic
   * @param {EventHandler} handler
   * @param {Dict} [options] `SUBSCRIBE.Options`, as `match` and `get_retained`
   * @returns {Promise<Subscription>} rejected with a {@link WampError} if the router refuses
   */
  subscribe(topic, handler, options = {}) {
    const subscription = new Subscription(topic, handler, options, (entry) => this.#remove(entry));
    if (this.#policy?.fillGaps) memories.set(subscription, new Memory());
    return this.#add(subscription);
  }

  /**
   * Answers calls of a procedure, or of all that match a pattern (`options.match`). Without a connection the promise waits for
   * one.
   * @param {string} procedure
   * @param {CallHandler} handler
   * @param {Dict} [options] `REGISTER.Options`, as `match`, `invoke` and `concurrency`
   * @returns {Promise<Registration>} rejected with a {@link WampError} if the router refuses
   */
  register(procedure, handler, options = {}) {
    return this.#add(new Registration(procedure, handler, options, (entry) => this.#remove(entry)));
  }

  /**
   * Publishes an event. The promise is for the router's having taken it, and gives the id of the publication; with
   * `options.acknowledge` false it is for nothing, and nothing is told of a refusal.
   * @param {string} topic
   * @param {any[]} [args]
   * @param {Dict} [kwargs]
   * @param {Dict} [options] `PUBLISH.Options`, as `exclude_me` and `retain`
   * @returns {Promise<number | undefined>}
   */
  async publish(topic, args = [], kwargs = {}, options = {}) {
    const payload = payloadOf(args, kwargs);
    const link = this.#live ?? await this.#connection();
    return link.publish(topic, payload, { acknowledge: true, ...options });
  }

  /**
   * Calls a procedure.
   * @param {string} procedure
   * @param {any[]} [args]
   * @param {Dict} [kwargs]
   * @param {CallOptions & Dict} [options]
   * @returns {Promise<any>} the value; nothing if there is none, and a {@link Result} if there are several, or some with names.
   *   Rejected with a {@link WampError}, a {@link ConnectionError}, or the reason of the signal.
   */
  async call(procedure, args = [], kwargs = {}, options = {}) {
    const payload = payloadOf(args, kwargs);
    options.signal?.throwIfAborted();
    const link = this.#live ?? await this.#connection(options.signal);
    return link.call(procedure, payload, { timeout: this.#options.callTimeout, ...options });
  }

  /**
   * Leaves something to be published by the router when the session ends, and with it the connection. It is left again after
   * each connection that is lost; without a connection it is left with the next one.
   * @param {string} topic
   * @param {any[]} [args]
   * @param {Dict} [kwargs]
   * @param {Dict} [options] `PUBLISH.Options`, as `retain`
   * @param {TestamentScope} [scope]
   * @returns {Promise<void>} rejected with a {@link WampError} if the router refuses
   */
  async addTestament(topic, args = [], kwargs = {}, options = {}, scope = "destroyed") {
    if (typeof topic !== "string") throw new TypeError("a URI is needed");
    const payload = payloadOf([topic, args, kwargs], { publish_options: options, scope: scopeOf(scope) });
    await this.#will("wamp.session.add_testament", payload);
    this.#testaments.push({ payload, scope });
  }

  /**
   * Takes the testaments of a scope back.
   * @param {TestamentScope} [scope]
   * @returns {Promise<void>} rejected with a {@link WampError} if the router refuses
   */
  async flushTestaments(scope = "destroyed") {
    await this.#will("wamp.session.flush_testaments", payloadOf([], { scope: scopeOf(scope) }));
    this.#testaments = this.#testaments.filter((testament) => testament.scope !== scope);
  }

  /** Tells the router, if there is a connection. @param {string} procedure @param {any[]} payload */
  async #will(procedure, payload) {
    if (this.#over || this.#leaving !== undefined) throw new ConnectionError("the session is closed");
    await this.#live?.call(procedure, payload, {});
  }

  /**
   * Leaves the realm and closes the connection. What waits for an answer is rejected.
   * @param {string} [reason]
   */
  async close(reason = "wamp.close.normal") {
    this.#leaving ??= reason;
    await this.#link?.leave(this.#leaving, this.#options.closeTimeout ?? 5000);
    this.#stop.abort();
    await this.closed;
  }

  get #live() { return this.#link && !this.#link.loss && this.#leaving === undefined ? this.#link : undefined; }

  /**
   * A connection, which is waited for if that is wanted.
   * @param {AbortSignal} [signal]
   * @returns {Promise<Link>}
   */
  #connection(signal) {
    if (this.#over || this.#leaving !== undefined) return Promise.reject(new ConnectionError("the session is closed"));
    if (!this.#policy?.requestsWait) return Promise.reject(new ConnectionError("there is no connection"));
    return new Promise((resolve, reject) => {
      const drop = () => {
        this.#queue.delete(pending);
        reject(signal?.reason);
      };
      const done = () => signal?.removeEventListener("abort", drop);
      const pending = {
        resolve: (/** @type {Link} */ link) => (done(), resolve(link)),
        reject: (/** @type {any} */ error) => (done(), reject(error)),
      };
      signal?.addEventListener("abort", drop, { once: true });
      this.#queue.add(pending);
    });
  }

  /**
   * @template {Subscription | Registration} T
   * @param {T} entry
   * @returns {Promise<T>}
   */
  #add(entry) {
    return new Promise((resolve, reject) => {
      const name = entry instanceof Subscription ? entry.topic : entry.procedure;
      if (typeof name !== "string" || typeof entry.handler !== "function") throw new TypeError("a URI and a handler are needed");
      if (this.#over || this.#leaving !== undefined) throw new ConnectionError("the session is closed");
      this.#entries.set(entry, { resolve, reject });
      const link = this.#live;
      if (link) void this.#attach(link, entry);
    });
  }

  /** @param {Subscription | Registration} entry */
  async #remove(entry) {
    if (this.#entries.delete(entry)) await this.#live?.detach(entry);
  }

  /**
   * Asks the router for a subscription or a registration, once more after each connection.
   * @param {Link} link
   * @param {Subscription | Registration} entry
   * @param {number} [delay] until it is asked for again if somebody still has the procedure
   */
  async #attach(link, entry, delay = AGAIN[0]) {
    try {
      await link.attach(entry, (known) => this.#entries.has(known));
      const pending = this.#entries.get(entry);
      if (!pending) return;
      this.#entries.set(entry, undefined);
      pending.resolve(entry);
    } catch (error) {
      // Without a connection it waits for the next one.
      if (!this.#entries.has(entry) || (link.loss && error instanceof ConnectionError)) return;
      const pending = this.#entries.get(entry);
      // Perhaps it is the lost session, of which the router does not know yet that it is lost.
      if (!pending && error instanceof WampError && error.error === "wamp.error.procedure_already_exists") {
        link.later(() => void this.#attach(link, entry, Math.min(delay * 2, AGAIN[1])), delay);
        return;
      }
      this.#entries.delete(entry);
      if (pending) pending.reject(error);
      else this.#report(error, entry instanceof Subscription ? entry.topic : entry.procedure);
    }
  }

  /**
   * Finds one connection after the other, until the session is over.
   * @param {() => void} opened
   */
  async #run(opened) {
    let attempts = 0;
    for (;;) {
      /** @type {Loss & {final?: boolean}} */
      let loss;
      const first = this.#id === 0;
      try {
        const link = await Link.open(this.#url, this.#options, this.#host(), this.#stop.signal);
        const begun = performance.now();
        void this.#resume(link, opened);
        loss = await link.ended;
        // A connection that is lost at once is as good as none.
        if (this.#policy && performance.now() - begun >= delayOf(this.#policy, attempts + 1, 0)) attempts = 0;
        loss.final = FINAL.includes(loss.reason);
      } catch (error) {
        loss = lossOf(error);
        loss.final ||= first && !this.#policy?.fromTheStart;
      }
      this.#link = undefined;
      const policy = this.#policy;
      if (!policy || loss.final || this.#leaving !== undefined || attempts >= policy.attemptsMax) return this.#finish(loss);
      attempts += 1;
      const advice = loss.details._retry_after_ms;
      const advised = Number.isFinite(advice) && advice >= 0;
      const retryIn = advised ? Math.min(advice, ADVICE_MAX) : delayOf(policy, attempts, Math.random());
      const { reason, message, details } = loss;
      this.#tell("lost", { reason, message, details, attempt: attempts, retryIn });
      await pause(retryIn, this.#stop.signal, !advised);
      if (this.#leaving !== undefined) return this.#finish(loss);
    }
  }

  /** @returns {Host} */
  #host() {
    return {
      report: (error, source) => this.#report(error, source),
      own: this.#own,
      revoked: (entry, reason) => {
        this.#entries.delete(entry);
        const detail = entry instanceof Subscription ? { subscription: entry, reason } : { registration: entry, reason };
        this.#tell("revoked", detail);
      },
    };
  }

  /**
   * Asks for all that there was, and lets those go on who wait.
   * @param {Link} link
   * @param {() => void} opened
   */
  async #resume(link, opened) {
    this.#link = link;
    this.#id = link.id;
    this.#welcome = link.welcome;
    const entries = [...this.#entries.keys()];
    // Who hears an event may call something.
    const attached = entries.filter((entry) => entry instanceof Registration).map((entry) => this.#attach(link, entry));
    for (const { payload } of this.#testaments) {
      attached.push(link.call("wamp.session.add_testament", payload, {}).catch((error) => {
        if (!link.loss) this.#report(error, "wamp.session.add_testament");
      }));
    }
    for (const entry of entries) if (entry instanceof Subscription) attached.push(this.#attach(link, entry));
    for (const { resolve } of this.#queue) resolve(link);
    this.#queue.clear();
    await Promise.all(attached);
    if (link.loss || this.#leaving !== undefined) return;
    opened();
    this.#tell("open", { id: link.id, details: link.welcome });
  }

  /** @param {Loss} loss */
  #finish({ reason, message, details }) {
    if (this.#over) return;
    const loss = { reason: this.#leaving ?? reason, message, details };
    this.#over = loss;
    this.#link = undefined;
    const error = new ConnectionError(this.#leaving === undefined ? message : "the session is closed", loss.reason, details);
    for (const pending of [...this.#entries.values(), ...this.#queue]) pending?.reject(error);
    this.#entries.clear();
    this.#queue.clear();
    this.#tell("closed", loss);
  }

  /** @param {any} error @param {string} source */
  #report(error, source) {
    if (this.#tell("error", { error, source })) console.error(`corebar: ${source}:`, error);
  }

  /** @param {string} type @param {any} detail */
  #tell(type, detail) {
    return this.dispatchEvent(new CustomEvent(type, { detail, cancelable: type === "error" }));
  }
}

/** @param {any} scope @returns {TestamentScope} */
function scopeOf(scope) {
  if (scope !== "destroyed" && scope !== "detached") throw new TypeError(`a scope is "destroyed" or "detached", not ${scope}`);
  return scope;
}

/** @type {Required<Reconnect>} */
const POLICY = {
  delayFirst: 250, delayMax: 30_000, growth: 2, attemptsMax: Infinity, fromTheStart: false, requestsWait: false, fillGaps: true,
};

/**
 * When a testament is published: when the session is gone for good, or when its connection is lost.
 * @typedef {"destroyed" | "detached"} TestamentScope
 */

/**
 * @template T
 * @typedef {{resolve: (value: T) => void, reject: (error: any) => void}} Pending
 */

/**
 * What a connection tells its session.
 * @typedef {object} Host
 * @property {(error: any, source: string) => void} report
 * @property {(entry: Subscription | Registration, reason?: string) => void} revoked
 * @property {Recent} own publications that do not come to the session, though histories have them
 */

/**
 * Who waits for the answer to a request.
 * @typedef {object} Waiter
 * @property {number} kind of the request
 * @property {(message: any[]) => void} done
 * @property {(error: any) => void} fail
 * @property {CallOptions["progress"]} [progress]
 */

/**
 * An event, as it is handed to who hears it.
 * @typedef {{args: any[], kwargs: Dict, details: Dict}} Heard
 */

/**
 * An event of a history.
 * @typedef {{id: number, time: string, event: Dict}} Past
 */

/**
 * The events of an answer, the oldest first. Crossbar.io gives one list of them, the newest first.
 * @param {any} answer @param {boolean} reversed
 * @returns {Past[]}
 */
function pageOf(answer, reversed) {
  const list = answer instanceof Result ? answer.args : answer === undefined ? [] : Array.isArray(answer) ? answer : [answer];
  const page = list.filter((event) => isDict(event) && Number.isSafeInteger(event.publication))
    .map((event) => ({ id: event.publication, time: String(event.timestamp ?? ""), event }));
  return Array.isArray(answer) || reversed ? page.reverse() : page;
}

/** @param {Dict} event @param {string} topic @param {number} subscription @returns {Heard} */
function eventOf({ args, kwargs, details, topic: own, publication }, topic, subscription) {
  const said = isDict(details) ? details : {};
  return {
    args: Array.isArray(args) ? args : [],
    kwargs: isDict(kwargs) ? kwargs : {},
    details: { topic: own ?? topic, ...said, publication, subscription, replayed: true },
  };
}

/** The last ones of many numbers. */
class Recent {
  #most;
  /** @type {Set<number>} */ #known = new Set();

  /** @param {number} most */
  constructor(most) {
    this.#most = most;
  }

  /** @param {number} id */
  add(id) {
    this.#known.add(id);
    for (const first of this.#known) {
      if (this.#known.size <= this.#most) break;
      this.#known.delete(first);
    }
  }

  /** @param {number} id */
  has(id) { return this.#known.has(id); }

  get size() { return this.#known.size; }

  get isFull() { return this.#known.size >= this.#most; }

  /** The oldest and the newest one. @returns {[number?, number?]} */
  get ends() {
    const all = [...this.#known];
    return [all[0], all[all.length - 1]];
  }
}

/**
 * What is asked of a history: what is the "newest", what is there "from" an event on, what follows "after" it, or what is there
 * from the "oldest" on.
 * @typedef {{ask: "newest" | "from" | "after" | "oldest", filter: Dict, anchor?: number}} Question
 */

/** @type {Readonly<Question>} */
const NEWEST = { ask: "newest", filter: { reverse: true, limit: 1 } };

/** @param {number} anchor @returns {Question} */
const since = (anchor) => ({ ask: "from", filter: { from_publication: anchor, limit: PAGE }, anchor });

/** What a subscription has heard, over all connections: no event comes twice, and what was missed can be asked for. */
class Memory {
  /** The last ones: those of several publishers may be kept in another order than that in which they came. */
  #recent = new Recent(RECENT_MAX);
  /**
   * What was the newest when it began, or was seen last of the past; null: nothing.
   * @type {{id: number, time: string} | null | undefined}
   */
  #mark;
  /**
   * All of a history is read: what is older is no news, unless something that was seen came before it.
   * @type {string | undefined}
   */
  #floor;
  /** What has come while the past is asked for. @type {Heard[] | undefined} */
  #held;
  /** What has come from the past, and may come once more as it does to all others. @type {Set<number>} */
  #filled = new Set();
  /** The router does not answer. */
  refused = false;

  /** Begins to ask; gives whether what comes waits. */
  begin() {
    const known = this.#recent.size > 0 || this.#mark !== undefined;
    this.#held = known ? [] : undefined;
    this.#filled.clear();
    return known;
  }

  /** Whether an event is to be handed on now. @param {Heard} event */
  arrives(event) {
    if (this.#held) {
      this.#held.push(event);
      return false;
    }
    const { publication, retained } = event.details;
    // Who subscribes once more is given the retained event once more.
    if (this.#filled.delete(publication) || (retained === true && this.#has(publication))) return false;
    this.#recent.add(publication);
    return true;
  }

  /** @param {number} id */
  #has(id) {
    return this.#recent.has(id) || this.#mark?.id === id;
  }

  /** The first question to each history. @returns {Question} */
  first() {
    this.#floor = undefined;
    const [from = this.#mark?.id] = this.#recent.ends;
    if (from !== undefined) return since(from);
    return this.#mark === null ? this.#oldest() : NEWEST;
  }

  /** @returns {Question} */
  #oldest() {
    this.#floor = this.#mark?.time;
    return { ask: "oldest", filter: { limit: PAGE } };
  }

  /** What to ask next of a history that has answered so. @param {Question} question @param {Past[]} page */
  next({ ask, anchor }, page) {
    if (ask === "newest") return undefined;
    if (page.length === 0) return ask === "from" ? this.#insteadOf(anchor) : undefined;
    const after = page[page.length - 1].id;
    /** @type {Question} */ const question = { ask: "after", filter: { after_publication: after, limit: PAGE }, anchor: after };
    return page.length < PAGE ? undefined : question;
  }

  /**
   * A history does not have what was asked for. It may have left it already, or has never been there: something newer may be
   * there.
   * @param {number} [anchor]
   */
  #insteadOf(anchor) {
    const [first, last] = this.#recent.ends;
    if (last !== undefined && first === anchor && last !== anchor) return since(last);
    const mark = this.#mark?.id;
    // Behind it there may be more that was seen than is known.
    const whole = mark !== undefined && (!this.#recent.isFull || this.#recent.has(mark));
    if (whole && mark !== anchor && mark !== first) return since(mark);
    // It is not known what was there before the subscription.
    return this.#mark === undefined ? NEWEST : this.#oldest();
  }

  /** Takes an answer; gives the events that are new. @param {Question} question @param {Past[]} page @param {Recent} own @returns {Past[]} */
  takes({ ask }, page, own) {
    const fresh = ask === "newest" ? [] : this.#news(page, own);
    const { id, time } = page[page.length - 1];
    if (this.#floor === undefined || time > this.#floor) this.#mark = { id, time };
    for (const past of fresh) {
      this.#recent.add(past.id);
      this.#filled.add(past.id);
    }
    return fresh;
  }

  /** @param {Past[]} page @param {Recent} own */
  #news(page, own) {
    const floor = this.#floor;
    const known = floor === undefined ? -1 : page.findIndex(({ id }) => this.#has(id));
    const fresh = page.filter(({ id, time }, at) => {
      if (this.#has(id) || own.has(id)) return false;
      // Nothing is there of what was seen, so that more is gone than is there; or nothing of it was kept.
      return known >= 0 ? at > known : floor === undefined || time > floor;
    });
    if (known >= 0) this.#floor = undefined;
    return fresh;
  }

  /** No history has anything. */
  nothing() {
    this.#mark ??= null;
  }

  /** Nothing more is asked: gives what has come meanwhile. */
  end() {
    const held = this.#held ?? [];
    this.#held = undefined;
    return held.filter((event) => this.arrives(event));
  }
}

/** Of subscriptions that fill gaps. @type {WeakMap<Subscription, Memory>} */
const memories = new WeakMap();

/** One connection, with one session. What it says and hears is in the order of the messages. */
class Link {
  #socket;
  #host;
  #options;
  /** @type {(Pending<void> & {login: Credentials}) | undefined} */ #opening;
  /** @type {(loss: Loss) => void} */ #end = () => {};
  /** The last request. */
  #last = 0;
  /** @type {Map<number, Waiter>} */ #waiting = new Map();
  /** Invocations that are worked on. @type {Map<number, AbortController>} */ #working = new Map();
  /** Several handlers may share one. @type {Map<number, Set<Subscription>>} */ #subscriptions = new Map();
  /** @type {Map<number, Registration>} */ #registrations = new Map();
  /** SUBSCRIBEs that are on the way. */
  #asking = 0;
  /**
   * Subscriptions that nobody wants any more, and who waits for their end.
   * @type {Map<number, (() => void)[]>}
   */
  #unwanted = new Map();
  /** @type {Set<ReturnType<typeof setTimeout>>} */ #timers = new Set();
  #heard = performance.now();
  #leaving = false;
  id = 0;
  /** @type {Dict} */ welcome = {};
  /** @type {Loss | undefined} */ loss;

  /** @param {SocketLike} socket @param {Host} host @param {ConnectOptions} options @param {Credentials} login */
  constructor(socket, host, options, login) {
    this.#socket = socket;
    this.#host = host;
    this.#options = options;
    /** @type {Promise<Loss>} */
    this.ended = new Promise((resolve) => { this.#end = resolve; });
    this.joined = new Promise((resolve, reject) => { this.#opening = { resolve, reject, login }; });
    socket.onopen = () => {
      // One that agrees to nothing has not understood; a few do not tell.
      if (socket.protocol && socket.protocol !== SUBPROTOCOL) return this.lose(`the router speaks ${socket.protocol}`);
      this.#write([HELLO, options.realm, { ...login.details, roles: ROLES, agent: "corebar-js" }]);
    };
    socket.onmessage = (/** @type {MessageEvent} */ { data }) => this.#receive(data);
    let why = "";
    // Browsers do not say what it is. It is always closed then.
    socket.onerror = (/** @type {any} */ event) => { why = event?.message ?? ""; };
    socket.onclose = (/** @type {CloseEvent} */ { code, reason }) => {
      const failed = this.#opening ? "there is no connection" : "the connection was closed";
      this.lose(why || `${failed} (${code}${reason ? `: ${reason}` : ""})`);
    };
  }

  /**
   * @param {string} url
   * @param {ConnectOptions} options
   * @param {Host} host
   * @param {AbortSignal} signal
   */
  static async open(url, options, host, signal) {
    const closed = () => new ConnectionError("the session is closed");
    if (signal.aborted) throw closed();
    /** @type {Link | undefined} */ let link;
    /** @type {ReturnType<typeof setTimeout> | undefined} */ let late;
    /** @type {(error: any) => void} */ let fail = () => {};
    /** @type {Promise<never>} */
    const stopped = new Promise((_, reject) => { fail = reject; });
    stopped.catch(() => {});
    const abort = () => {
      link?.lose("the session is closed");
      fail(closed());
    };
    signal.addEventListener("abort", abort);
    try {
      const [login, Socket] = await Promise.race([Promise.all([credentials(options), socketClass(options)]), stopped]);
      const opened = link = new Link(dial(Socket, url), host, options, login);
      const { openTimeout = 10_000 } = options;
      late = setTimeout(() => opened.lose(`there was no session within ${openTimeout} ms`), openTimeout);
      await opened.joined;
      return opened;
    } finally {
      clearTimeout(late);
      signal.removeEventListener("abort", abort);
    }
  }

  get bufferedAmount() { return this.loss ? 0 : this.#socket.bufferedAmount; }

  /** @param {number} most */
  async drained(most) {
    // A WebSocket does not tell when it has sent something.
    while (this.bufferedAmount > most) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** Calls this later, unless the connection is lost before. @param {() => void} action @param {number} ms */
  later(action, ms) {
    if (this.loss) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
  }

  /**
   * @param {string} topic @param {any[]} payload @param {Dict} options
   * @returns {Promise<number | undefined>}
   */
  publish(topic, payload, options) {
    return new Promise((resolve, reject) => {
      const acknowledged = options.acknowledge === true;
      const done = (/** @type {any[]} */ [, , publication]) => {
        if (options.exclude_me !== false && this.#subscriptions.size > 0) this.#host.own.add(publication);
        resolve(publication);
      };
      this.#ask(PUBLISH, [options, topic, ...payload], acknowledged ? { done, fail: reject } : undefined);
      if (!acknowledged) resolve(undefined);
    });
  }

  /**
   * @param {string} procedure @param {any[]} payload @param {CallOptions & Dict} options
   * @returns {Promise<any>}
   */
  call(procedure, payload, { progress, signal, timeout = 0, cancel = "killnowait", ...rest }) {
    return new Promise((resolve, reject) => {
      /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
      const abort = () => giveUp(signal?.reason);
      const clear = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      const options = { ...rest, ...(progress && { receive_progress: true }), ...(timeout > 0 && { timeout }) };
      const { request, waiter } = this.#ask(CALL, [options, procedure, ...payload], {
        done: ([, , details, args = [], kwargs = {}]) => {
          clear();
          const one = args.length < 2 && Object.keys(kwargs).length === 0;
          resolve(one ? args[0] : new Result(args, kwargs, details));
        },
        fail: (error) => {
          clear();
          reject(error);
        },
        progress,
      });
      const giveUp = (/** @type {any} */ reason) => {
        clear();
        // The router still answers.
        waiter.progress = undefined;
        reject(reason);
        if (!this.loss && !this.#leaving) this.#write([CANCEL, request, { mode: cancel }]);
      };
      signal?.addEventListener("abort", abort);
      if (timeout > 0) {
        timer = setTimeout(() => giveUp(new WampError("wamp.error.timeout", `no answer within ${timeout} ms`)), timeout);
      }
    });
  }

  /**
   * @param {Subscription | Registration} entry
   * @param {(entry: Subscription | Registration) => boolean} wanted
   * @returns {Promise<void>}
   */
  attach(entry, wanted) {
    return new Promise((resolve, reject) => {
      if (entry instanceof Registration) {
        const done = (/** @type {any[]} */ [, , id]) => {
          entry.id = id;
          this.#registrations.set(id, entry);
          if (!wanted(entry)) void this.detach(entry);
          resolve();
        };
        this.#ask(REGISTER, [entry.options, entry.procedure], { done, fail: reject });
        return;
      }
      const done = (/** @type {any[]} */ [, , id]) => {
        this.#asking -= 1;
        entry.id = id;
        this.#subscriptions.set(id, (this.#subscriptions.get(id) ?? new Set()).add(entry));
        if (wanted(entry)) void this.#fill(entry, id);
        else void this.detach(entry);
        this.#unsubscribe();
        resolve();
      };
      const fail = (/** @type {any} */ error) => {
        this.#asking -= 1;
        this.#unsubscribe();
        reject(error);
      };
      this.#ask(SUBSCRIBE, [entry.options, entry.topic], { done, fail });
      this.#asking += 1;
    });
  }

  /**
   * The promise is kept when the router knows of it, or the connection is lost.
   * @param {Subscription | Registration} entry
   * @returns {Promise<void>}
   */
  detach(entry) {
    const { id } = entry;
    entry.id = undefined;
    return new Promise((resolve) => {
      // It is asked for just now, and detached when the router has answered.
      if (id === undefined || this.loss || this.#leaving) return resolve();
      const done = () => resolve();
      if (entry instanceof Registration) {
        this.#registrations.delete(id);
        this.#ask(UNREGISTER, [id], { done, fail: done });
        return;
      }
      const handlers = this.#subscriptions.get(id);
      if (!handlers?.delete(entry) || handlers.size > 0) return resolve();
      this.#unwanted.set(id, [...(this.#unwanted.get(id) ?? []), done]);
      this.#unsubscribe();
    });
  }

  /** Not as long as a SUBSCRIBE is on the way: it may be for the same topic, which UNSUBSCRIBE would take away from it. */
  #unsubscribe() {
    if (this.#asking > 0 || this.loss) return;
    for (const [id, waiting] of this.#unwanted) {
      this.#unwanted.delete(id);
      const done = () => waiting.forEach((resolve) => resolve());
      if (this.#subscriptions.get(id)?.size) {
        done();
        continue;
      }
      this.#subscriptions.delete(id);
      if (this.#leaving) done();
      else this.#ask(UNSUBSCRIBE, [id], { done, fail: done });
    }
  }

  /** @param {string} reason @param {number} timeout */
  async leave(reason, timeout) {
    if (!this.#leaving && !this.loss) {
      this.#write([GOODBYE, {}, reason]);
      this.#leaving = true;
      this.#abandon(new ConnectionError("the session is closed", reason));
      this.later(() => this.#cut("the router has not answered GOODBYE"), timeout);
    }
    await this.ended;
  }

  /**
   * Sends a request by the next number. What cannot be sent throws.
   * @param {number} kind
   * @param {any[]} rest
   * @param {Omit<Waiter, "kind">} [answer]
   * @returns {{request: number, waiter: Waiter}}
   */
  #ask(kind, rest, answer) {
    const request = this.#last + 1;
    const waiter = { kind, done() {}, fail() {}, ...answer };
    this.#write([kind, request, ...rest]);
    this.#last = request;
    if (answer) this.#waiting.set(request, waiter);
    return { request, waiter };
  }

  /** @param {any[]} message */
  #write(message) {
    const text = encode(message);
    if (this.loss) throw new ConnectionError(this.loss.message, this.loss.reason, this.loss.details);
    if (this.#leaving) throw new ConnectionError("the session is closed");
    // One that is about to close takes nothing any more; it tells that in a moment.
    if (this.#socket.readyState === 1) this.#socket.send(text);
  }

  /** @param {any} data */
  #receive(data) {
    this.#heard = performance.now();
    /** @type {any[]} */ let message;
    try {
      message = decode(data);
    } catch (error) {
      return this.#violated(error instanceof Error ? error.message : String(error));
    }
    const [kind, first, second, third] = message;
    if (kind === ABORT || kind === GOODBYE) return this.#dismissed(message);
    if (this.#opening) {
      if (kind === WELCOME) return this.#welcomed(first, second);
      if (kind === CHALLENGE) return void this.#challenged(first, second);
      return this.#violated(`a message of type ${kind} before WELCOME`);
    }
    switch (kind) {
      case EVENT:
        return this.#deliver(first, second, third, message[4] ?? [], message[5] ?? {});
      case INVOCATION:
        return void this.#invoke(first, second, third, message[4] ?? [], message[5] ?? {});
      case INTERRUPT:
        return this.#interrupt(first);
      case UNSUBSCRIBED: case UNREGISTERED:
        return first === 0 ? this.#revoked(kind, second) : this.#answered(kind, first, message);
      case ERROR:
        return this.#answered(kind, second, message);
      case PUBLISHED: case SUBSCRIBED: case RESULT: case REGISTERED:
        return this.#answered(kind, first, message);
      default:
        return this.#violated(`a message of type ${kind} within a session`);
    }
  }

  /** @param {any[]} message ABORT or GOODBYE */
  #dismissed([kind, details, reason]) {
    const said = typeof details.message === "string" ? `${reason}: ${details.message}` : reason;
    if (kind === GOODBYE && !this.#leaving && !this.#opening) this.#write([GOODBYE, {}, "wamp.close.goodbye_and_out"]);
    this.lose(this.#opening ? `the router refuses: ${said}` : `the router has ended the session: ${said}`, reason, details);
  }

  /** @param {number} id @param {Dict} details */
  #welcomed(id, details) {
    const opening = this.#opening;
    this.#opening = undefined;
    const proof = opening?.login.confirm(details);
    if (proof) return this.lose(proof, "wamp.error.authentication_denied");
    [this.id, this.welcome] = [id, details];
    const { heartbeat = 30_000 } = this.#options;
    if (heartbeat > 0) this.#watch(heartbeat);
    opening?.resolve();
  }

  /** @param {string} method @param {Dict} extra */
  async #challenged(method, extra) {
    const login = this.#opening?.login;
    try {
      const answer = await login?.answer(method, extra);
      if (answer && this.#opening && !this.loss) this.#write([AUTHENTICATE, answer.signature, answer.extra ?? {}]);
    } catch (error) {
      const { message } = lossOf(error);
      if (this.loss) return;
      this.#write([ABORT, { message: "the challenge cannot be answered" }, "wamp.error.cannot_authenticate"]);
      // What else a function of the application throws may be over at the next attempt.
      const reason = error instanceof LoginError ? "wamp.error.authentication_denied" : LOST;
      this.lose(`the challenge cannot be answered: ${message}`, reason);
    }
  }

  /**
   * Asks the router whether it is there: an UNSUBSCRIBE of nothing is always answered.
   * @param {number} heartbeat
   * @param {number} [asked] it has been asked then
   */
  #watch(heartbeat, asked) {
    if (asked !== undefined && this.#heard < asked) return this.#cut("the router does not answer");
    const silent = performance.now() - this.#heard;
    if (silent < heartbeat) return this.later(() => this.#watch(heartbeat), heartbeat - silent);
    if (this.#leaving) return;
    const now = performance.now();
    this.#ask(UNSUBSCRIBE, [Number.MAX_SAFE_INTEGER], { done() {}, fail() {} });
    this.later(() => this.#watch(heartbeat, now), this.#options.heartbeatTimeout ?? 15_000);
  }

  /** @param {number} kind @param {number} request @param {any[]} message */
  #answered(kind, request, message) {
    const waiter = this.#waiting.get(request);
    if (!waiter) {
      // The end of a call that is over, or of what was given up when leaving.
      const late = request <= this.#last && (this.#leaving || kind === RESULT || message[1] === CALL);
      return late ? undefined : this.#violated(`an answer to request ${request}, which there is not`);
    }
    if (kind === ERROR ? message[1] !== waiter.kind : kind !== ANSWERS[waiter.kind]) {
      return this.#violated(`a message of type ${kind} is no answer to request ${request}`);
    }
    if (kind === RESULT && message[2].progress === true) {
      const [, , details, args = [], kwargs = {}] = message;
      if (waiter.progress) this.#run("a result on the way", waiter.progress, args, kwargs, details);
      return;
    }
    this.#waiting.delete(request);
    if (kind !== ERROR) return waiter.done(message);
    const [, , , details, uri, args = [], kwargs = {}] = message;
    waiter.fail(new WampError(uri, args, kwargs, details));
  }

  /** @param {number} id @param {number} publication @param {Dict} said @param {any[]} args @param {Dict} kwargs */
  #deliver(id, publication, said, args, kwargs) {
    // One that nobody wants any more may still have events on the way.
    for (const entry of [...(this.#subscriptions.get(id) ?? [])]) {
      const event = { args, kwargs, details: { topic: entry.topic, ...said, publication, subscription: id } };
      if (memories.get(entry)?.arrives(event) ?? true) this.#hand(entry, event);
    }
  }

  /** @param {Subscription} entry @param {Heard} event */
  #hand({ topic, handler }, { args, kwargs, details }) {
    this.#run(topic, handler, args, kwargs, details);
  }

  /**
   * Asks the histories of the router for what was published while there was no connection; at first for what is the newest, so
   * that it is known later what is new. What comes meanwhile waits.
   * @param {Subscription} entry
   * @param {number} own
   */
  async #fill(entry, own) {
    const memory = memories.get(entry);
    if (!memory || memory.refused || this.welcome.roles?.broker?.features?.event_history !== true) return;
    const holds = memory.begin();
    const wanted = () => this.#subscriptions.get(own)?.has(entry) === true;
    const hand = (/** @type {Heard[]} */ events) => { if (wanted()) events.forEach((event) => this.#hand(entry, event)); };
    try {
      let found = await this.#past(memory, entry.topic, own, own, hand);
      // The history may be one of a pattern.
      const exact = !found && (entry.options.match ?? "exact") === "exact";
      const others = exact ? await this.call("wamp.subscription.match", [[entry.topic]], {}).catch(() => []) : [];
      for (const source of (Array.isArray(others) ? others : []).filter((id) => id !== own).slice(0, SOURCES_MAX)) {
        found ||= await this.#past(memory, entry.topic, own, source, hand).catch(() => false);
      }
      if (!found && !holds) memory.nothing();
    } catch (error) {
      // Nobody may ask, or there is no such procedure. It need not be asked for once more.
      if (error instanceof WampError) memory.refused = true;
    }
    hand(memory.end());
  }

  /**
   * Reads one history; gives whether there was anything.
   * @param {Memory} memory @param {string} topic @param {number} own @param {number} source @param {(events: Heard[]) => void} hand
   */
  async #past(memory, topic, own, source, hand) {
    let found = false;
    /** @type {Question | undefined} */ let question = memory.first();
    while (question) {
      const { ask, filter } = question;
      const kwargs = source === own ? filter : { ...filter, topic };
      const page = pageOf(await this.call("wamp.subscription.get_events", [[source], kwargs], {}), ask === "newest");
      if (page.length > 0) {
        found = true;
        hand(memory.takes(question, page, this.#host.own).map(({ event }) => eventOf(event, topic, own)));
      }
      question = memory.next(question, page);
    }
    return found;
  }

  /**
   * Whatever a handler does harms nobody else.
   * @param {string} source
   * @param {(...values: any[]) => any} handler
   * @param {...any} values
   */
  #run(source, handler, ...values) {
    const report = (/** @type {any} */ error) => this.#host.report(error, source);
    try {
      const result = handler(...values);
      if (typeof result?.then === "function") result.then(undefined, report);
    } catch (error) {
      report(error);
    }
  }

  /** @param {number} request @param {number} id @param {Dict} said @param {any[]} args @param {Dict} kwargs */
  async #invoke(request, id, said, args, kwargs) {
    if (this.#working.has(request)) return this.#violated(`invocation ${request} comes twice`);
    const entry = this.#registrations.get(id);
    if (!entry) return this.#fail(request, new WampError("wamp.error.unavailable", "the procedure is being withdrawn"));
    const aborter = new AbortController();
    this.#working.set(request, aborter);
    const works = () => this.#working.get(request) === aborter;
    const progress = (/** @type {any[]} */ ...values) => {
      if (works()) this.#yield(request, values.length === 1 ? values[0] : new Result(values), true);
    };
    const wants = said.receive_progress === true;
    const details = { procedure: entry.procedure, ...said, signal: aborter.signal, progress: wants ? progress : undefined };
    try {
      let value = await entry.handler(args, kwargs, details);
      if (typeof value?.[Symbol.asyncIterator] === "function") value = await this.#drain(value, details);
      if (works()) this.#yield(request, value, false);
    } catch (error) {
      // Who has been told to stop may say so.
      const stopped = aborter.signal.aborted && error instanceof Error && error.name === "AbortError";
      if (!(error instanceof WampError) && !stopped) this.#host.report(error, entry.procedure);
      if (works()) this.#fail(request, error);
    } finally {
      if (works()) this.#working.delete(request);
    }
  }

  /**
   * Takes all results of a generator; gives the last one. A router that does not read makes it wait.
   * @param {AsyncIterable<any>} results
   * @param {InvocationDetails} details
   */
  async #drain(results, { signal, progress, procedure }) {
    const iterator = results[Symbol.asyncIterator]();
    const stop = () => this.#run(procedure, async () => iterator.return?.());
    signal.addEventListener("abort", stop);
    try {
      if (signal.aborted) stop();
      for (;;) {
        const { done, value } = await iterator.next();
        if (done) return value;
        try {
          progress?.(value);
        } catch (error) {
          stop();
          throw error;
        }
        await this.drained(BUFFERED_MAX);
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** @param {number} request @param {any} value @param {boolean} progress */
  #yield(request, value, progress) {
    const { args, kwargs, details } = value instanceof Result ? value : new Result(value === undefined ? [] : [value]);
    this.#write([YIELD, request, progress ? { ...details, progress } : details, ...payloadOf(args, kwargs)]);
  }

  /** @param {number} request @param {any} error */
  #fail(request, error) {
    const known = error instanceof WampError;
    const { error: uri, args, kwargs, details } = known ? error
      : new WampError("wamp.error.runtime_error", [error instanceof Error ? error.message : String(error)]);
    try {
      this.#write([ERROR, INVOCATION, request, details, uri, ...payloadOf(args, kwargs)]);
    } catch (why) {
      if (this.loss || this.#leaving) return;
      this.#write([ERROR, INVOCATION, request, {}, "wamp.error.invalid_payload", [String(why)]]);
    }
  }

  /** @param {number} request */
  #interrupt(request) {
    const aborter = this.#working.get(request);
    if (!aborter) return;
    this.#working.delete(request);
    const canceled = new WampError("wamp.error.canceled");
    if (!this.#leaving) this.#fail(request, canceled);
    aborter.abort(canceled);
  }

  /** @param {number} kind @param {Dict} [details] */
  #revoked(kind, details = {}) {
    const { subscription, registration, reason } = details;
    /** @type {(Subscription | Registration)[]} */ let gone = [];
    if (kind === UNSUBSCRIBED) {
      gone = [...(this.#subscriptions.get(subscription) ?? [])];
      this.#subscriptions.delete(subscription);
    } else {
      const entry = this.#registrations.get(registration);
      if (entry) gone = [entry];
      this.#registrations.delete(registration);
    }
    for (const entry of gone) {
      entry.id = undefined;
      // A router that ends calls nobody any longer, and says GOODBYE when what has begun is done: the connection is lost
      // with it, not what is offered.
      if (kind === UNREGISTERED && reason === "wamp.close.system_shutdown") continue;
      this.#host.revoked(entry, typeof reason === "string" ? reason : undefined);
    }
  }

  /** @param {string} message */
  #violated(message) {
    const reason = "wamp.error.protocol_violation";
    if (!this.#leaving && !this.loss) this.#write([ABORT, { message }, reason]);
    this.lose(`the router broke the protocol: ${message}`, reason);
  }

  /** @param {any} error */
  #abandon(error) {
    for (const waiter of this.#waiting.values()) waiter.fail(error);
    for (const aborter of this.#working.values()) aborter.abort(error);
    this.#waiting.clear();
    this.#working.clear();
  }

  /** Loses a connection on which nobody answers: nothing is waited for. @param {string} message */
  #cut(message) {
    this.lose(message);
    this.#socket.terminate?.();
  }

  /** @param {string} message @param {string} [reason] @param {Dict} [details] */
  lose(message, reason = LOST, details = {}) {
    if (this.loss) return;
    this.loss = { reason, message, details };
    for (const timer of this.#timers) clearTimeout(timer);
    const socket = this.#socket;
    const nothing = () => {};
    socket.onopen = socket.onmessage = socket.onerror = socket.onclose = nothing;
    socket.close();
    const error = new ConnectionError(message, reason, details);
    this.#abandon(error);
    for (const waiting of this.#unwanted.values()) waiting.forEach((resolve) => resolve());
    for (const handlers of this.#subscriptions.values()) for (const entry of handlers) entry.id = undefined;
    for (const entry of this.#registrations.values()) entry.id = undefined;
    this.#opening?.reject(error);
    this.#end(this.loss);
  }
}

/** @param {Reconnect} given @returns {Required<Reconnect>} */
function policyOf(given) {
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  for (const [name, value] of known) {
    const kind = typeof POLICY[/** @type {keyof Reconnect} */ (name)];
    const good = typeof value === kind && (typeof value === "boolean" || value >= 0);
    if (!good) throw new TypeError(`reconnect.${name} has to be a ${kind}${kind === "number" ? " from 0" : ""}`);
  }
  return { ...POLICY, ...Object.fromEntries(known) };
}

/** @param {Required<Reconnect>} policy @param {number} attempt from 1 @param {number} shortened from 0 to 1 */
function delayOf({ delayFirst, delayMax, growth }, attempt, shortened) {
  const delay = Math.min(delayFirst * Math.max(growth, 1) ** (attempt - 1), Math.max(delayMax, delayFirst));
  return delay * (1 - shortened / 2);
}

/**
 * Waits, also less: until a browser has a network again.
 * @param {number} ms
 * @param {AbortSignal} signal
 * @param {boolean} hurries
 */
function pause(ms, signal, hurries) {
  return new Promise((/** @type {(value: void) => void} */ resolve) => {
    const scope = hurries && typeof globalThis.addEventListener === "function" ? globalThis : undefined;
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      scope?.removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    scope?.addEventListener("online", done);
    if (signal.aborted) done();
  });
}

/** @param {any} error @returns {Loss & {final: boolean}} */
function lossOf(error) {
  const { message = String(error), reason = LOST, details = {} } = error instanceof Error
    ? /** @type {ConnectionError} */ (error) : {};
  return { message, reason, details, final: error instanceof LoginError || HOPELESS.includes(reason) };
}

/** @param {string | URL} url */
function addressOf(url) {
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace(/^http/, "ws");
  address.hash = "";
  if (address.protocol !== "ws:" && address.protocol !== "wss:") throw new TypeError(`${url} is no address of a WebSocket`);
  return address.href;
}

/** @param {ConnectOptions} options @returns {Promise<SocketClass>} */
async function socketClass({ WebSocket: given }) {
  const known = given ?? /** @type {SocketClass | undefined} */ (globalThis.WebSocket);
  if (known) return known;
  // In a variable, so that who bundles this for browsers does not look for it.
  const name = "ws";
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)).WebSocket;
  } catch {
    throw new LoginError("there is no WebSocket here: install the package 'ws', or give one in the option 'WebSocket'");
  }
}

/** @param {SocketClass} Socket @param {string} url */
function dial(Socket, url) {
  try {
    return new Socket(url, [SUBPROTOCOL]);
  } catch (error) {
    // As browsers do for `ws:` in a page from `https:`.
    throw new LoginError(`${url} may not be connected to: ${error instanceof Error ? error.message : error}`);
  }
}

/** @param {any[]} args @param {Dict} kwargs @returns {any[]} as it stands at the end of messages */
function payloadOf(args, kwargs) {
  if (!Array.isArray(args)) throw new TypeError("arguments are a list");
  if (!isDict(kwargs)) throw new TypeError("arguments with names are an object");
  return Object.keys(kwargs).length > 0 ? [args, kwargs] : args.length > 0 ? [args] : [];
}

/** Half of a surrogate pair, which JSON writes as an escape and no router may take; and not a backslash before such letters. */
const HALF = /(?:^|[^\\])(?:\\\\)*\\ud[89a-f][0-9a-f]{2}/;

/** Octets are said as text in JSON: U+0000 and base64. @param {any[]} message */
function encode(message) {
  /** @this {any} @param {string} key @param {any} value */
  function replacer(key, value) {
    // Before `toJSON`, which some have.
    const raw = this[key];
    if (typeof raw !== "object" || raw === null) return value;
    if (ArrayBuffer.isView(raw)) return `\0${base64(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength))}`;
    return raw instanceof ArrayBuffer ? `\0${base64(new Uint8Array(raw))}` : value;
  }
  const text = JSON.stringify(message, replacer);
  if (text.includes("\\ud") && HALF.test(text)) {
    throw new TypeError("text with half of a surrogate pair cannot be sent");
  }
  return text;
}

/** @param {any} data @returns {any[]} */
function decode(data) {
  if (typeof data !== "string") throw new Error("a message that is not text");
  // Few have octets.
  const message = data.includes("\\u0000") ? JSON.parse(data, (_, value) => octetsOf(value)) : JSON.parse(data);
  if (!Array.isArray(message)) throw new Error("a message that is no list");
  const shape = SHAPES[message[0]];
  if (shape === undefined) throw new Error(`a message of the unknown type ${message[0]}`);
  if (!fits(message, shape)) throw new Error(`a message of type ${message[0]} with wrong elements`);
  return message;
}

/** @param {any} value */
const isDict = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** @param {any[]} message @param {string} shape */
function fits(message, shape) {
  const id = (/** @type {any} */ value) => Number.isSafeInteger(value) && value > 0;
  let index = 1;
  for (const wanted of shape) {
    const value = message[index];
    index += 1;
    switch (wanted) {
      case "i": if (!id(value)) return false; break;
      case "0": if (!id(value) && value !== 0) return false; break;
      case "t": if (!(value in ANSWERS)) return false; break;
      case "s": if (typeof value !== "string") return false; break;
      case "d": if (!isDict(value)) return false; break;
      case "?": if (message.length >= index && !isDict(value)) return false; break;
      case "*":
        if (message.length >= index && !Array.isArray(value)) return false;
        if (message.length > index && !isDict(message[index])) return false;
        index += 1;
    }
  }
  return message.length <= index;
}

/** @param {any} value */
function octetsOf(value) {
  if (typeof value !== "string" || !value.startsWith("\0")) return value;
  try {
    return unbase64(value.slice(1));
  } catch {
    return value;
  }
}

/** @param {Uint8Array} octets */
function base64(octets) {
  let text = "";
  for (let at = 0; at < octets.length; at += 0x2000) text += String.fromCharCode(...octets.subarray(at, at + 0x2000));
  return btoa(text);
}

/** What base64 says, a letter for each octet; nothing of what is none. @param {string} text */
function latin1(text) {
  try {
    return atob(text);
  } catch {
    return "";
  }
}

/** @param {string} text */
const unbase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** @param {Uint8Array} octets */
const hex = (octets) => Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join("");

/** @param {any} text @param {number} length in octets @param {string} name */
function unhex(text, length, name) {
  const digits = typeof text === "string" ? text.replace(/^0x/, "") : "";
  if (!/^[0-9a-f]*$/i.test(digits) || digits.length !== 2 * length) {
    throw new LoginError(`${name} is not ${length} octets in hexadecimal digits`);
  }
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** Logging in is not possible so, however often it is tried. */
class LoginError extends Error {}

/**
 * What a client says and answers to be let in.
 * @typedef {object} Credentials
 * @property {Dict} details for HELLO
 * @property {(method: string, extra: Dict) => Promise<{signature: string, extra?: Dict}>} answer
 * @property {(details: Dict) => string | undefined} confirm looks whether the router has shown that it knows the password, and
 *   says why not
 */

/** @param {ConnectOptions} options @returns {Promise<Credentials>} */
async function credentials(options) {
  const { authid, auth, authmethods, argon2 } = options;
  const [extra, privateKey, password, secret, token, ticket] = await Promise.all([
    options.authextra, options.privateKey, options.password, options.secret, options.token, options.ticket,
  ].map((value) => typeof value === "function" ? value() : value));
  /** @type {Record<string, AuthHandler>} */ const methods = {};
  /** @type {{name: string, shown: string} | undefined} */ let verifier;
  const authextra = { ...extra };
  const nonce = base64(crypto.getRandomValues(new Uint8Array(16)));
  if (privateKey !== undefined) {
    const key = await keyOf(privateKey);
    authextra.pubkey ??= key.name;
    methods.cryptosign = (challenge) => signKey(key.key, challenge);
  }
  /** @param {Dict} challenge @param {Login} login */
  const prove = async (challenge, login) => {
    const proof = await proveScram(/** @type {string} */ (password), challenge, login, argon2);
    verifier = proof.verifier;
    return proof;
  };
  if (password !== undefined) methods.scram = prove;
  if (secret !== undefined) methods.wampcra = (challenge) => signCra(secret, challenge);
  if (token !== undefined) methods.jwt = () => token;
  if (ticket !== undefined) methods.ticket = () => ticket;
  // Crossbar.io lets nobody in who offers this before what it knows. Other routers know no `scram`.
  if (password !== undefined) methods["wamp-scram"] = prove;
  Object.assign(methods, auth);
  const offered = authmethods ?? Object.keys(methods);
  if (offered.some((method) => method.includes("scram"))) authextra.nonce ??= nonce;
  const login = { authid, nonce: authextra.nonce };
  return {
    details: {
      ...(authid !== undefined && { authid }),
      ...(offered.length > 0 && { authmethods: offered }),
      ...(Object.keys(authextra).length > 0 && { authextra }),
    },
    answer: async (method, challenge) => {
      const handler = offered.includes(method) ? methods[method] : undefined;
      if (!handler) throw new LoginError(`the router asks for '${method}', which was not offered`);
      const answer = await handler(challenge, { ...login, method });
      return typeof answer === "string" ? { signature: answer } : answer;
    },
    confirm: ({ authextra: shown }) => verifier === undefined || shown?.[verifier.name] === verifier.shown ? undefined
      : "the router has not shown that it knows the password",
  };
}

function subtle() {
  const known = globalThis.crypto?.subtle;
  if (!known) throw new LoginError("this page cannot sign: browsers let only pages from https: and from localhost do that");
  return known;
}

const UTF8 = new TextEncoder();

/** @param {string | Uint8Array} text @returns {any} for WebCrypto, whose types differ between releases of TypeScript */
const octets = (text) => typeof text === "string" ? UTF8.encode(text) : text;

/** @param {string | Uint8Array} secret @param {string | Uint8Array} text */
async function hmac(secret, text) {
  const key = await subtle().importKey("raw", octets(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await subtle().sign("HMAC", key, octets(text)));
}

/** @param {string | Uint8Array} password @param {string | Uint8Array} salt @param {number} iterations @param {number} length */
async function pbkdf2(password, salt, iterations, length) {
  if (!Number.isInteger(iterations) || iterations < 1 || iterations > ROUNDS_MAX) {
    throw new LoginError("the challenge has costs that cannot be taken");
  }
  const key = await subtle().importKey("raw", octets(password), "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt: octets(salt), iterations };
  return new Uint8Array(await subtle().deriveBits(how, key, length * 8));
}

/** @param {string} secret @param {Dict} extra */
async function signCra(secret, { challenge, salt, iterations = 1000, keylen = 32 }) {
  if (typeof challenge !== "string") throw new LoginError("the challenge has no 'challenge'");
  if (!salt) return base64(await hmac(secret, challenge));
  if (!(keylen >= 16 && keylen <= 64)) throw new LoginError("the challenge has 'keylen' that cannot be taken");
  return base64(await hmac(base64(await pbkdf2(secret, String(salt), iterations, keylen)), challenge));
}

/** @param {string | Uint8Array | CryptoKeyPair} given @returns {Promise<{key: CryptoKey, name: string}>} */
async function keyOf(given) {
  if (typeof given === "object" && "privateKey" in given) {
    const name = hex(new Uint8Array(await subtle().exportKey("raw", given.publicKey)));
    return { key: given.privateKey, name };
  }
  const seed = typeof given === "string" ? unhex(given, 32, "the private key") : given;
  if (seed.length !== 32) throw new LoginError("a private key of Ed25519 has 32 octets");
  // PKCS #8, as RFC 8410 has it: what WebCrypto reads of private keys.
  const coded = Uint8Array.from([...unhex("302e020100300506032b657004220420", 16, ""), ...seed]);
  try {
    const key = await subtle().importKey("pkcs8", coded, "Ed25519", true, ["sign"]);
    const { x = "" } = await subtle().exportKey("jwk", key);
    return { key, name: hex(unbase64(x.replaceAll("-", "+").replaceAll("_", "/"))) };
  } catch (error) {
    throw error instanceof LoginError ? error : new LoginError(`there is no Ed25519 here: ${error}`);
  }
}

/** @param {CryptoKey} key @param {Dict} extra */
async function signKey(key, { challenge, channel_binding: binding }) {
  if (binding) throw new LoginError("the router asks for a channel binding that was not offered");
  const message = unhex(challenge, 32, "the challenge");
  return hex(new Uint8Array(await subtle().sign("Ed25519", key, message))) + hex(message);
}

/**
 * @param {string} password
 * @param {Dict} extra
 * @param {Login} login
 * @param {ConnectOptions["argon2"]} argon2
 */
async function proveScram(password, { nonce, salt, kdf, iterations, memory }, login, argon2) {
  // Crossbar.io joins the nonces before it writes them in base64, and signs without a channel binding.
  const ofCrossbar = login.method === "scram";
  const [both, own] = ofCrossbar ? [nonce, login.nonce].map(latin1) : [nonce, login.nonce];
  if (typeof both !== "string" || !both.startsWith(own) || both.length <= own.length) {
    throw new LoginError("the nonce of the router does not begin with that of the client");
  }
  if (typeof salt !== "string") throw new LoginError("the challenge has no 'salt'");
  const plain = saslprep(login.authid ?? "");
  const name = ofCrossbar ? plain : plain.replaceAll("=", "=3D").replaceAll(",", "=2C");
  const binding = ofCrossbar ? "" : "biws";
  const message = `n=${name},r=${login.nonce},r=${nonce},s=${salt},i=${iterations},c=${binding},r=${nonce}`;
  const prepared = octets(saslprep(password));
  /** @type {Uint8Array} */ let salted;
  if (kdf === "pbkdf2") salted = await pbkdf2(prepared, unbase64(salt), iterations, 32);
  else if (/^argon2id-?13$/.test(kdf) && argon2) {
    salted = await argon2(prepared, unbase64(salt), { iterations, memory });
    // Crossbar.io goes on with the text of base64.
    if (ofCrossbar && salted.length === 32) salted = octets(base64(salted).replace(/=+$/, ""));
  }
  else throw new LoginError(`the router derives with '${kdf}'${/^argon2id-?13$/.test(kdf) ? ": give the option 'argon2'" : ""}`);
  const clientKey = await hmac(salted, "Client Key");
  const stored = new Uint8Array(await subtle().digest("SHA-256", octets(clientKey)));
  const signature = await hmac(stored, message);
  const shown = base64(await hmac(await hmac(salted, "Server Key"), message));
  return {
    signature: base64(clientKey.map((octet, index) => octet ^ signature[index])),
    extra: ofCrossbar ? {} : { nonce, channel_binding: null, cbind_data: null },
    verifier: ofCrossbar ? { name: "scram_server_signature", shown } : { name: "verifier", shown: `v=${shown}` },
  };
}

/** RFC 4013, without the rules about the direction of writing. @param {string} text */
function saslprep(text) {
  const mapped = text.replace(/[\u00ad\u034f\u1806\u180b-\u180d\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]/g, "")
    .replace(/\p{Zs}/gu, " ").normalize("NFKC");
  if (/[\p{Cc}\p{Co}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\ufff9-\uffff]/u.test(mapped)) {
    throw new LoginError("authid or password have characters that SCRAM does not allow");
  }
  return mapped;
}
