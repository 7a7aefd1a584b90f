// What the node counts, asked for again and again, and what that is in a second.

/** Samples that are kept. */
export const SAMPLES = 120;

/** A part of what was measured, in seconds, from counts of times below 1, 2, 4, … µs. */
const quantile = (buckets, share) => {
  const count = buckets.reduce((sum, bucket) => sum + bucket, 0);
  if (count === 0) return null;
  let left = share * count;
  for (const [at, bucket] of buckets.entries()) {
    left -= bucket;
    // In the middle of the bucket, on a scale on which all are as wide.
    if (left <= 0) return (at === 0 ? 0.5 : 2 ** (at - 0.5)) / 1e6;
  }
  return null;
};

const sumOf = (list, of) => list.reduce((sum, one) => sum + (of(one) ?? 0), 0);

/** What has been added to each bucket, over all shards. */
const added = (now, before, name) => {
  const sum = [];
  now.forEach((shard, at) => shard[name].buckets.forEach((count, bucket) => {
    sum[bucket] = (sum[bucket] ?? 0) + count - (before[at]?.[name].buckets[bucket] ?? 0);
  }));
  return sum;
};

const times = (now, before, name) => {
  const buckets = added(now, before, name);
  return { p50: quantile(buckets, 0.5), p99: quantile(buckets, 0.99) };
};

const bySerializer = (shards) => {
  const ways = new Map();
  for (const { transport, serializer, ...counts } of shards.flatMap((shard) => shard.meters)) {
    const key = [transport, serializer].filter(Boolean).join(" · ");
    const way = ways.get(key) ?? { key, messages_in: 0, messages_out: 0, bytes_in: 0, bytes_out: 0 };
    for (const name of Object.keys(counts)) way[name] += counts[name];
    ways.set(key, way);
  }
  return ways;
};

/** What has happened between two looks. */
export const difference = (now, before) => {
  const seconds = (now.at - before.at) / 1000;
  const there = now.stats.shards.filter(Boolean);
  const pairs = now.stats.shards.map((shard, at) => [shard, before.stats.shards[at]]).filter(([one, other]) => one && other);
  const [ones, others] = [pairs.map(([one]) => one), pairs.map(([, other]) => other)];
  // A node that has been started again counts from 0.
  const rate = (of) => Math.max(0, (sumOf(ones, of) - sumOf(others, of)) / seconds);
  const meters = (name) => (shard) => sumOf(shard.meters, (meter) => meter[name]);
  const errors = (shard) => sumOf(Object.values(shard.errors), (count) => count);
  const waysBefore = bySerializer(others);
  return {
    at: now.at,
    messagesIn: rate(meters("messages_in")),
    messagesOut: rate(meters("messages_out")),
    bytesIn: rate(meters("bytes_in")),
    bytesOut: rate(meters("bytes_out")),
    publications: rate((shard) => shard.publications),
    events: rate((shard) => shard.events),
    calls: rate((shard) => shard.calls),
    errors: rate(errors),
    callTime: times(ones, others, "call_time"),
    deliveryTime: times(ones, others, "delivery_time"),
    turnTime: times(ones, others, "turn_time"),
    connections: sumOf(there, (shard) => shard.connections),
    sessions: sumOf(there, (shard) => shard.sessions),
    callsOpen: sumOf(there, (shard) => shard.calls_open),
    queuedBytes: sumOf(there, (shard) => shard.queued_bytes),
    blocked: sumOf(there, (shard) => shard.blocked),
    shards: now.stats.shards.map((shard, at) => {
      const was = before.stats.shards[at];
      if (!shard || !was) return null;
      const busy = Math.max(0, (shard.turn_time.sum_seconds - was.turn_time.sum_seconds) / seconds);
      const own = (of) => Math.max(0, (of(shard) - of(was)) / seconds);
      return {
        load: Math.min(1, busy),
        connections: shard.connections,
        sessions: shard.sessions,
        messagesIn: own(meters("messages_in")),
        messagesOut: own(meters("messages_out")),
        turn: times([shard], [was], "turn_time").p99,
        queuedBytes: shard.queued_bytes,
        blocked: shard.blocked,
        overflowBytes: shard.overflow_bytes,
        orders: shard.orders,
      };
    }),
    realms: now.stats.realms.map((realm) => {
      const same = (other) => other.realm === realm.realm && other.namespace === realm.namespace;
      const was = before.stats.realms.find(same);
      const own = (name) => (was ? Math.max(0, (realm[name] - was[name]) / seconds) : 0);
      return { ...realm, publications: own("publications"), calls: own("calls"), joined: own("joined"), left: own("left") };
    }),
    ways: [...bySerializer(ones).values()].map((way) => {
      const was = waysBefore.get(way.key);
      const own = (name) => Math.max(0, (way[name] - (was?.[name] ?? 0)) / seconds);
      return { key: way.key, in: own("messages_in"), out: own("messages_out"), bytesIn: own("bytes_in"), bytesOut: own("bytes_out") };
    }),
    totals: Object.fromEntries(["refused", "violations", "overruns", "timeouts", "faults", "crowded", "throttled",
      "events_undeliverable"].map((name) => [name, sumOf(there, (shard) => shard[name])])),
    errorsByUri: [...there.flatMap((shard) => Object.entries(shard.errors)).reduce(
      (all, [uri, count]) => all.set(uri, (all.get(uri) ?? 0) + count), new Map())].sort((one, other) => other[1] - one[1]),
  };
};

/** Looks every so many ms while somebody is there to see it; tells it by events "sample" and "trouble". */
export class Rates extends EventTarget {
  samples = [];
  status = null;
  #before = null;
  #timer = 0;
  #ended = false;

  constructor(session, every = 1000) {
    super();
    this.session = session;
    this.every = every;
    this.#look();
  }

  async #look() {
    const begun = performance.now();
    try {
      const [stats, status] = await Promise.all(["corebar.node.stats", "corebar.node.status"].map((name) =>
        this.session.call(name, [], {}, { timeout: 10_000 })));
      const now = { at: Date.now(), stats };
      if (this.status && (this.status.pid !== status.pid || status.uptime_seconds < this.status.uptime_seconds)) {
        this.#before = null;
      }
      this.status = status;
      if (this.#before) {
        this.samples.push(difference(now, this.#before));
        if (this.samples.length > SAMPLES) this.samples.shift();
      }
      this.#before = now;
      this.dispatchEvent(new Event("sample"));
    } catch (error) {
      this.#before = null;
      if (!this.#ended) this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
    }
    if (this.#ended) return;
    // Nobody likes to wait for the first numbers.
    const every = this.samples.length === 0 && this.#before ? 300 : this.every;
    this.#timer = setTimeout(() => this.#look(), Math.max(200, every - (performance.now() - begun)));
  }

  /** Waits for the next look; broken by what has gone wrong. */
  next() {
    return new Promise((resolve, reject) => {
      const ways = new AbortController();
      const done = (settle) => (event) => {
        ways.abort();
        settle(event.detail);
      };
      this.addEventListener("sample", done(resolve), { signal: ways.signal });
      this.addEventListener("trouble", done(reject), { signal: ways.signal });
    });
  }

  end() {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}
