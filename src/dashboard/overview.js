// How the node is, at a glance, and where its time goes.

import { Chart } from "./chart.js";
import { h, refresh } from "./dom.js";
import { age, octets, short, time, whole } from "./format.js";
import { table } from "./list.js";
import { SAMPLES } from "./rates.js";

const perSecond = (value) => `${short(value)}/s`;

const meter = (part) => {
  const kind = part > 0.85 ? "meter bad" : part > 0.6 ? "meter warn" : "meter";
  return h("div", { class: kind }, h("span", {}, h("i", { css: { width: `${Math.round(part * 100)}%` } })),
    h("span", {}, `${Math.round(part * 100)} %`));
};

const tile = (name, value, more, warn) => h("div", { class: warn ? "tile warn" : "tile" }, h("dt", {}, name),
  h("dd", {}, value, more && h("small", {}, ` ${more}`)));

/** What is to be looked at first, in words. */
const findings = (sample, status) => {
  const list = [];
  if (status.stuck_shard !== null) list.push(`Shard ${status.stuck_shard} does not answer.`);
  sample.shards.forEach((shard, at) => {
    if (!shard) list.push(`Shard ${at} has not told in time how it is.`);
    else if (shard.load > 0.85) list.push(`Shard ${at} is busy for ${Math.round(shard.load * 100)} % of the time.`);
    if (shard?.overflowBytes > 0) list.push(`${octets(shard.overflowBytes)} wait on shard ${at} for other shards.`);
  });
  if (sample.blocked > 0) list.push(`${whole(sample.blocked)} clients take no more at the moment; ${octets(sample.queuedBytes)} wait for clients.`);
  if (sample.callTime.p99 > 1) list.push(`One call of a hundred takes longer than ${time(sample.callTime.p99)}.`);
  const failed = status.processes.filter((process) => ["failed", "backing-off"].includes(process.state));
  if (failed.length > 0) list.push(`Not running: ${failed.map((process) => `${process.id} (${process.state})`).join(", ")}.`);
  return list;
};

/** A line for each shard, or for the busiest and the mean of many. */
const loads = (count) => {
  if (count <= 4) return Array.from({ length: count }, (_, at) => ({ name: `shard ${at}`, value: (sample) => sample.shards[at]?.load ?? null }));
  const of = (sample) => sample.shards.filter(Boolean).map((shard) => shard.load);
  return [{ name: "busiest", value: (sample) => Math.max(...of(sample)) },
    { name: "mean", value: (sample) => of(sample).reduce((sum, load) => sum + load, 0) / Math.max(1, of(sample).length) }];
};

export const overview = async ({ rates, go }) => {
  // Two looks are needed to know how much happens.
  while (rates.samples.length === 0) await rates.next();
  const messages = new Chart("Messages", [
    { name: "in", value: (sample) => sample.messagesIn }, { name: "out", value: (sample) => sample.messagesOut },
  ], perSecond);
  const work = new Chart("Publications, deliveries, calls", [
    { name: "published", value: (sample) => sample.publications }, { name: "delivered", value: (sample) => sample.events },
    { name: "calls", value: (sample) => sample.calls }, { name: "errors", value: (sample) => sample.errors },
  ], perSecond);
  const latency = new Chart("Latency of calls", [
    { name: "p50", value: (sample) => sample.callTime.p50 }, { name: "p99", value: (sample) => sample.callTime.p99 },
  ], time);
  const delivery = new Chart("Time to deliver", [
    { name: "p50", value: (sample) => sample.deliveryTime.p50 }, { name: "p99", value: (sample) => sample.deliveryTime.p99 },
  ], time);
  const load = new Chart("Load of shards", loads(rates.status?.shards ?? 1), (part) => `${Math.round(part * 100)} %`);
  const waiting = new Chart("Octets that wait for clients", [
    { name: "queued", value: (sample) => sample.queuedBytes }], octets);
  const tiles = h("dl", { class: "tiles", id: "tiles" });
  const advice = h("div", { class: "card", id: "findings" });
  const shards = h("div"), realms = h("div"), ways = h("div"), trouble = h("div");
  const charts = [messages, work, latency, delivery, load, waiting];

  const show = () => {
    const { samples, status } = rates;
    const now = samples.at(-1);
    if (!now || !status) return;
    for (const chart of charts) chart.show(samples, SAMPLES);
    refresh(tiles,
      tile("Sessions", whole(now.sessions), `${short(now.connections)} connections`),
      tile("In", short(now.messagesIn), "messages/s"), tile("Out", short(now.messagesOut), "messages/s"),
      tile("Traffic", `${octets(now.bytesIn + now.bytesOut)}/s`, "in and out"),
      tile("Calls open", whole(now.callsOpen), `${short(now.calls)} calls/s`),
      tile("Calls, p99", time(now.callTime.p99), `p50 ${time(now.callTime.p50)}`),
      tile("Wait for clients", octets(now.queuedBytes), `${whole(now.blocked)} blocked`, now.blocked > 0),
      tile("Up for", age(status.uptime_seconds, 1), status.ready ? "ready" : "not ready", !status.ready));
    const list = findings(now, status);
    refresh(advice, h("h2", {}, list.length === 0 ? "Nothing stands out" : "Look at this first"),
      list.length === 0
        ? h("p", { class: "soft" }, "No shard is busy, nobody is slow to read, and all processes run.")
        : h("ul", {}, list.map((text) => h("li", {}, text))),
      now.blocked > 0 && h("button", { type: "button", on: { click: () => go("sessions", "slow") } }, "Show slow readers"));
    refresh(shards, table("Shards", [
      { name: "Shard", show: (shard) => String(shard.at) },
      { name: "Load", show: (shard) => meter(shard.load) },
      { name: "Sessions", number: true, show: (shard) => whole(shard.sessions) },
      { name: "In/s", number: true, show: (shard) => short(shard.messagesIn) },
      { name: "Out/s", number: true, show: (shard) => short(shard.messagesOut) },
      { name: "Turn, p99", number: true, show: (shard) => time(shard.turn) },
      { name: "Queued", number: true, show: (shard) => [octets(shard.queuedBytes), shard.blocked > 0 ? "warn" : ""] },
      { name: "Blocked", number: true, show: (shard) => [whole(shard.blocked), shard.blocked > 0 ? "warn" : ""] },
      { name: "For other shards", number: true, show: (shard) => [octets(shard.overflowBytes), shard.overflowBytes > 0 ? "warn" : ""] },
      { name: "Orders", number: true, show: (shard) => whole(shard.orders) },
    ], now.shards.map((shard, at) => ({ at, ...(shard ?? { load: 0 }) }))));
    refresh(realms, table("Realms", [
      { name: "Realm", show: (realm) => h("button", { type: "button", class: "link", on: { click: () => go("sessions", realm.realm) } }, realm.realm) },
      { name: "Sessions", number: true, show: (realm) => whole(realm.sessions) },
      { name: "Joined/s", number: true, show: (realm) => short(realm.joined) },
      { name: "Left/s", number: true, show: (realm) => short(realm.left) },
      { name: "Published/s", number: true, show: (realm) => short(realm.publications) },
      { name: "Calls/s", number: true, show: (realm) => short(realm.calls) },
    ], now.realms));
    refresh(ways, table("Transports and serializers", [
      { name: "Way", show: (way) => way.key },
      { name: "In/s", number: true, show: (way) => short(way.in) }, { name: "Out/s", number: true, show: (way) => short(way.out) },
      { name: "In", number: true, show: (way) => `${octets(way.bytesIn)}/s` }, { name: "Out", number: true, show: (way) => `${octets(way.bytesOut)}/s` },
    ], now.ways));
    const names = { refused: "clients refused", violations: "protocol violations", overruns: "did not read", timeouts: "too late",
      faults: "broke the transport's rules", crowded: "too many", throttled: "read more slowly", events_undeliverable: "events undeliverable" };
    const rows = [...Object.entries(now.totals).map(([name, count]) => ({ name: names[name], count })),
      ...now.errorsByUri.map(([name, count]) => ({ name, count }))].filter(({ count }) => count > 0);
    refresh(trouble, table("What went wrong since the start", [
      { name: "What", kind: "wrap", show: (row) => row.name }, { name: "How often", number: true, show: (row) => whole(row.count) },
    ], rows, "Nothing has gone wrong since the start."));
  };
  rates.addEventListener("sample", show);
  show();
  const element = h("div", {}, tiles, h("div", { class: "grid" }, advice), h("div", { class: "grid" }, charts.map((chart) => chart.element)),
    h("div", { class: "card" }, h("h2", {}, "Shards"), shards),
    h("div", { class: "card" }, h("h2", {}, "Realms"), realms),
    h("div", { class: "grid", css: { "margin-top": "14px" } }, h("div", { class: "card" }, h("h2", {}, "Ways"), ways),
      h("div", { class: "card" }, h("h2", {}, "Went wrong since the start"), trouble)));
  return { element, leave: () => rates.removeEventListener("sample", show) };
};
