// WAMP version 2 in JSON over WebSocket, as far as this page needs it. For more there are autobahn and wampy on npm.

const HELLO = 1, WELCOME = 2, ABORT = 3, GOODBYE = 6, ERROR = 8, PUBLISH = 16, PUBLISHED = 17, SUBSCRIBE = 32,
  SUBSCRIBED = 33, EVENT = 36, CALL = 48, RESULT = 50, REGISTER = 64, REGISTERED = 65, INVOCATION = 68, YIELD = 70;

/**
 * A session that comes back by itself, with its subscriptions and registrations, when the connection is lost.
 */
export class Session {
  #url; #realm; #socket = null; #request = 0; #waiting = new Map(); #events = new Map(); #calls = new Map();
  #subscribed = []; #registered = []; #pause = 250;

  /** Called with true when the session is there, and with false when it is lost. */
  onchange = () => {};

  constructor(url, realm) {
    this.#url = url;
    this.#realm = realm;
    this.#connect();
  }

  /** Calls `handle(args, details)` for each event of a topic. */
  subscribe(topic, handle, options = {}) {
    this.#subscribed.push({ topic, handle, options });
    if (this.#socket) this.#subscribe(this.#subscribed.at(-1));
  }

  /** Answers calls of a procedure with what `handle(args)` gives. */
  register(procedure, handle, options = {}) {
    this.#registered.push({ procedure, handle, options });
    if (this.#socket) this.#register(this.#registered.at(-1));
  }

  /** Publishes; the promise is kept when the router has taken it over. */
  publish(topic, args = [], options = {}) {
    return this.#ask(PUBLISH, { acknowledge: true, ...options }, topic, args);
  }

  /** Calls a procedure; the promise is for the first of its results. */
  async call(procedure, args = [], options = {}) {
    const [, , , results = []] = await this.#ask(CALL, options, procedure, args);
    return results[0];
  }

  #connect() {
    const socket = new WebSocket(this.#url, "wamp.2.json");
    socket.onopen = () => this.#send(socket, HELLO, this.#realm, {
      roles: { publisher: {}, subscriber: {}, caller: {}, callee: { features: { shared_registration: true } } },
    });
    socket.onmessage = ({ data }) => this.#receive(socket, JSON.parse(data));
    socket.onclose = () => {
      const open = this.#socket === socket;
      this.#socket = null;
      for (const { reject } of this.#waiting.values()) reject(new Error("the connection is lost"));
      for (const map of [this.#waiting, this.#events, this.#calls]) map.clear();
      if (open) this.onchange(false);
      // Not all at once, if there are many.
      setTimeout(() => this.#connect(), this.#pause * (0.5 + Math.random()));
      this.#pause = Math.min(this.#pause * 2, 10_000);
    };
  }

  #receive(socket, [kind, ...rest]) {
    switch (kind) {
      case WELCOME:
        this.#socket = socket;
        this.#request = 0;
        this.#pause = 250;
        this.#subscribed.forEach((one) => this.#subscribe(one));
        this.#registered.forEach((one) => this.#register(one));
        return this.onchange(true);
      case ABORT:
        console.error("the router refuses this page:", rest[1], rest[0]);
        return socket.close();
      case GOODBYE:
        this.#send(socket, GOODBYE, {}, "wamp.close.goodbye_and_out");
        return socket.close();
      case EVENT: {
        const [subscription, , details, args = []] = rest;
        return this.#events.get(subscription)?.(args, details);
      }
      case INVOCATION:
        return this.#answer(socket, ...rest);
      case ERROR:
        return this.#settle(rest[1], ({ reject }) => reject(new Error(`${rest[3]} ${rest[4] ?? ""}`)));
      case PUBLISHED: case SUBSCRIBED: case REGISTERED: case RESULT:
        return this.#settle(rest[0], ({ resolve }) => resolve([kind, ...rest]));
    }
  }

  #settle(request, how) {
    const waiting = this.#waiting.get(request);
    this.#waiting.delete(request);
    if (waiting) how(waiting);
  }

  async #answer(socket, request, registration, details, args = []) {
    try {
      const result = await this.#calls.get(registration)?.(args);
      this.#send(socket, YIELD, request, {}, [result]);
    } catch (error) {
      this.#send(socket, ERROR, INVOCATION, request, {}, "com.example.error", [String(error)]);
    }
  }

  async #subscribe({ topic, handle, options }) {
    const [, , id] = await this.#ask(SUBSCRIBE, options, topic).catch(this.#complain);
    this.#events.set(id, handle);
  }

  async #register({ procedure, handle, options }) {
    const [, , id] = await this.#ask(REGISTER, options, procedure).catch(this.#complain);
    this.#calls.set(id, handle);
  }

  #complain(error) {
    console.error(error);
    return [];
  }

  #ask(kind, options, uri, ...payload) {
    if (!this.#socket) return Promise.reject(new Error("there is no connection"));
    const request = ++this.#request;
    const answer = new Promise((resolve, reject) => this.#waiting.set(request, { resolve, reject }));
    this.#send(this.#socket, kind, request, options, uri, ...payload);
    return answer;
  }

  #send(socket, ...message) {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }
}
