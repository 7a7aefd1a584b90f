// Does in a browser what an operator does in the dashboard. Arguments: the program of the browser, the address of the node, and
// where pictures go. Lines on standard output tell the test what it is to do; it answers by a line.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [program, base, pictures] = process.argv.slice(2);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (what) => {
  console.log(what);
  const { value } = await answers.next();
  assert.equal(value, "done", what);
};

const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, colorScheme: "light" });
context.setDefaultTimeout(30_000);
await context.addInitScript(() => {
  document.addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
});
const page = await context.newPage();
const wrong = [];
const asked = new Set();
let away = false;
page.on("console", (message) => {
  // While the node is away the browser complains of what it cannot reach.
  if (["error", "warning"].includes(message.type()) && !away) wrong.push(message.text());
});
page.on("pageerror", (error) => wrong.push(String(error)));
page.on("request", (request) => asked.add(new URL(request.url()).host));
page.on("websocket", (socket) => asked.add(new URL(socket.url()).host));

const picture = async (name) => {
  if (!pictures) return;
  await page.screenshot({ path: `${pictures}/dashboard-${name}.png`, fullPage: true });
};
const view = async (name, title) => {
  await page.getByRole("navigation").getByRole("link", { name: title }).click();
  await page.getByRole("heading", { level: 1, name: title }).waitFor();
  assert.match(page.url(), new RegExp(`#/${name}$`));
};
const fits = async (what) => {
  const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= room, `${what}: nothing sticks out (${wide} of ${room})`);
};
const number = async (locator) => Number.parseFloat((await locator.textContent()).replace(/[^0-9.]/g, ""));

// A wrong password is refused, a right one is not.
const opened = await page.goto(`${base}/dashboard`);
assert.match(opened.url(), /\/dashboard\/$/);
assert.match(opened.headers()["content-security-policy"], /default-src 'none'/);
assert.doesNotMatch(opened.headers()["content-security-policy"], /unsafe/);
await page.locator("#login-method").selectOption("wampcra");
await page.locator("#login-authid").fill("admin");
await page.locator("#login-secret").fill("wrong");
await page.locator("#login-secret").press("Enter");
await page.locator("#login-wrong").getByText("You are not let in").waitFor();
await picture("login");
await page.locator("#login-secret").fill("secret");
await page.locator("#login-submit").click();
await page.locator("#state").getByText("connected").waitFor();
assert.equal(await page.locator("#user").textContent(), "admin");

// Rates move under traffic.
const published = page.locator("figure", { hasText: "Publications" }).locator(".line-0 output");
await page.waitForFunction(() => {
  const shown = [...document.querySelectorAll("figure")].find((figure) => figure.textContent.includes("Publications"));
  return Number.parseFloat(shown?.querySelector("output").textContent) > 0;
});
assert.ok(await number(published) > 0);
await page.waitForFunction(() => /^[\d.]+ (µs|ms|s)$/.test(
  [...document.querySelectorAll("figure")].find((figure) => figure.textContent.includes("Latency"))?.querySelector("output").textContent));
const line = page.locator("figure", { hasText: "Messages" }).locator("path").first();
const before = await line.getAttribute("d");
await page.waitForFunction((was) => document.querySelector("figure path").getAttribute("d") !== was, before);
await page.waitForTimeout(pictures ? 8000 : 0);
await picture("overview");
await page.emulateMedia({ colorScheme: "dark" });
await picture("overview-dark");
await page.locator("#theme").selectOption("light");
const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
await page.locator("#theme").selectOption("dark");
assert.notEqual(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), ground, "the switch overrules the system");
await page.locator("#theme").selectOption("auto");
await page.emulateMedia({ colorScheme: "light" });

// Thousands of sessions, page by page, until there are no more.
await view("sessions", "Sessions");
await page.locator("#realm").selectOption("realm1");
const seen = new Set();
const rows = page.locator("tbody tr");
for (;;) {
  // What is shown stays while more is asked for.
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length > 0 && !document.querySelector("[aria-busy=true]"));
  for (const id of await page.locator("tbody tr td:first-child").allTextContents()) seen.add(id);
  if (seen.size === 100) await picture("sessions");
  const next = page.locator("#page-next");
  if (await next.isDisabled()) break;
  const first = await page.locator("tbody tr td:first-child").first().textContent();
  await next.click();
  await page.waitForFunction((was) => document.querySelector("tbody td")?.textContent !== was, first);
}
for (const width of [1280, 1360]) {
  await page.setViewportSize({ width, height: 800 });
  const [wide, room] = await page.evaluate(() => {
    const table = document.querySelector(".table");
    return [table.scrollWidth, table.clientWidth];
  });
  assert.ok(wide <= room, `all columns are in view at ${width} (${wide} of ${room})`);
  await picture(`sessions-${width}`);
}
await page.setViewportSize({ width: 1360, height: 900 });
assert.ok(seen.size >= Number(process.env.SESSIONS), `${seen.size} sessions`);
assert.ok(!(await page.locator("#page-back").isDisabled()));

// One is found, looked at, and ended.
await page.locator("#search").fill("find.me");
await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1 && document.querySelector("tbody").textContent.includes("find.me"));
await rows.first().getByRole("button").first().click();
await page.getByRole("dialog").getByText("authmethod").waitFor();
await picture("session");
await page.getByRole("dialog").getByRole("button", { name: "End it" }).click();
await page.locator("#kick-message").fill("by the operator");
await picture("kick");
await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
assert.equal(await rows.count(), 1, "nothing was done");
await rows.first().getByRole("button", { name: /^End session/ }).click();
await page.locator("#kick-message").fill("by the operator");
await page.getByRole("dialog").getByRole("button", { name: "End it" }).click();
await page.getByText("No session is like that.").waitFor();
await ask("kicked");

// Sessions of the node are not to be ended, and of one's own it is said.
await page.locator("#realm").selectOption("manage");
await page.locator("#search").fill("");
await page.waitForFunction(() => document.querySelectorAll("tbody tr").length > 1);
const inside = rows.filter({ hasText: "inside" });
assert.ok(await inside.count() > 0);
assert.equal(await inside.getByRole("button", { name: /^End session/ }).count(), 0);
await rows.filter({ hasText: "admin" }).getByRole("button", { name: /^End session/ }).click();
await page.getByRole("dialog").getByText("This is your own session").waitFor();
await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();

// Topics with their numbers of subscribers; from one of them to its events.
await view("subscriptions", "Subscriptions");
await page.locator("#search").fill("com.example.tick");
await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
assert.equal(await rows.first().locator("td").nth(3).textContent(), "3");
await picture("subscriptions");
await rows.first().getByRole("button", { name: /^Subscribers of/ }).click();
await page.getByRole("dialog").getByText("3 sessions").waitFor();
assert.equal(await page.getByRole("dialog").locator(".ids button").count(), 3);
await page.getByRole("dialog").locator(".ids button").first().click();
await page.getByRole("heading", { level: 1, name: "Sessions" }).waitFor();
await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1 && document.querySelector("tbody").textContent.includes("joe"));
await page.goBack();
await page.getByRole("heading", { level: 1, name: "Subscriptions" }).waitFor();
await page.locator("#search").fill("com.example.tick");
await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
await rows.first().getByRole("button", { name: "Tail" }).click();
await page.locator("#tail-feed li").nth(3).waitFor();
assert.match(await page.locator("#tail-feed li").first().textContent(), /com\.example\.tick/);
assert.match(await page.locator("#tail-state").textContent(), /^\d+ events, /);
await picture("tail");
await page.locator("#tail-start").click();
await page.locator("#tail-state").getByText("Stopped").waitFor();
// What would turn the direction of writing is seen.
await ask("disguise");
await page.locator("#tail-topic").fill("com.example.quiet");
await page.locator("#tail-start").click();
const disguised = page.locator("#tail-feed li", { hasText: "transfer" }).first();
await disguised.waitFor();
assert.match(await disguised.textContent(), /transfer \\u202e001\\u2069\\u061c/);
await page.locator("#tail-start").click();
await page.locator("#tail-state").getByText("Stopped").waitFor();

// A procedure, from its list; with wrong and right arguments.
await page.keyboard.press("Escape");
await page.locator("h1").click();
await page.keyboard.press("g");
await page.keyboard.press("r");
await page.getByRole("heading", { level: 1, name: "Registrations" }).waitFor();
await page.locator("#search").fill("com.example.add");
await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
await rows.first().getByRole("button", { name: "Call", exact: true }).click();
await page.locator("#call-args").fill("[23, 7");
await page.locator("#call-do").click();
await page.locator("#call-output").getByText("this is not JSON").waitFor();
await page.locator("#call-args").fill("[\"9007199254740993\", {\"a\": 9007199254740993}]");
await page.locator("#call-do").click();
await page.locator("#call-output").getByText("the number 9007199254740993 is too large").waitFor();
await page.locator("#call-args").fill("[23, 7]");
await page.locator("#call-do").click();
await page.locator("#call-output").getByText(/^30$/).waitFor();
await picture("call");
await page.locator("#call-uri").fill("com.example.nothing");
await page.locator("#call-do").click();
await page.locator("#call-output").getByText("wamp.error.no_such_procedure").waitFor();

// A process: its log, and another start.
await view("processes", "Processes");
await page.locator("#log").getByText("the guest has begun as ").waitFor();
const [pid] = (await page.locator("#log").textContent()).match(/begun as (\d+)/).slice(1);
await page.locator("#log .stderr").getByText("this is an error").waitFor();
await page.getByRole("button", { name: "Restart talker" }).click();
await page.getByRole("dialog").getByRole("button", { name: "Restart" }).click();
await page.waitForFunction((was) => [...document.querySelector("#log").textContent.matchAll(/begun as (\d+)/g)].some(([, now]) => now !== was), pid);
await picture("processes");

// The configuration in force.
await view("node", "Node");
await page.locator("#search").fill("message_bytes_max");
await page.waitForFunction(() => document.querySelector("#settings tbody")?.textContent.includes("16777216"));
await page.locator("#level").selectOption("debug");
await page.getByText("The log has the level debug now.").waitFor();
await ask("level");
await page.locator("#reload").click();
await page.getByRole("dialog").getByText("Nothing would change").waitFor();
await page.getByRole("button", { name: "Cancel" }).click();
await picture("node");

// By keys alone: help, and the way through the page.
await page.locator("h1").click();
await page.keyboard.press("?");
await page.getByRole("dialog").getByText("Search in this view").waitFor();
await picture("help");
await page.keyboard.press("Escape");
await page.getByRole("dialog").waitFor({ state: "detached" });
await page.keyboard.press("/");
assert.equal(await page.evaluate(() => document.activeElement.id), "search");
await page.reload();
// Nobody is remembered: what is typed stays in the page.
await page.locator("#login-secret").fill("secret");
await page.locator("#login-secret").press("Enter");
await page.locator("#state").getByText("connected").waitFor();
for (let steps = 0; ; steps += 1) {
  await page.keyboard.press("Tab");
  const link = await page.evaluate(() => document.activeElement?.getAttribute("href"));
  if (link === "#/tail") break;
  assert.ok(steps < 30, "the views are reached by the tab key");
}
const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
assert.notEqual(outline, "none", "one sees where one is");
await page.keyboard.press("Enter");
await page.getByRole("heading", { level: 1, name: "Live tail" }).waitFor();

// On a phone nothing sticks out.
await page.setViewportSize({ width: 375, height: 760 });
for (const [name, title] of [["overview", "Overview"], ["sessions", "Sessions"], ["subscriptions", "Subscriptions"], ["registrations", "Registrations"],
  ["tail", "Live tail"], ["call", "Call"], ["processes", "Processes"], ["node", "Node"]]) {
  await view(name, title);
  await page.waitForFunction(() => !document.body.textContent.includes("Loading …"));
  await fits(name);
  if (["overview", "sessions", "processes"].includes(name)) await picture(`${name}-narrow`);
}
await page.setViewportSize({ width: 1360, height: 900 });

// The node goes and comes again: the page says so, and goes on.
await view("overview", "Overview");
away = true;
await ask("stop");
await page.locator("#banner").getByText("The connection is lost").waitFor();
await picture("lost");
await ask("start");
await page.locator("#banner").waitFor({ state: "hidden" });
await page.locator("#state").getByText("connected").waitFor();
away = false;
await page.waitForFunction(() => document.querySelector("#tiles")?.textContent.includes("Up for"));
await page.locator("#logout").click();
await page.locator("#login-secret").waitFor();

assert.deepEqual([...asked], [new URL(base).host], "nothing is asked for elsewhere");
assert.deepEqual(wrong, []);
await browser.close();
console.log("finished");
process.exit(0);
