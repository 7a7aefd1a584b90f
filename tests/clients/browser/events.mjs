// Opens a page in Chromium that reads a stream of events with a plain EventSource, and tells what comes: a line for each.
import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const base = process.argv[2];
const browser = await puppeteer.launch({
  args: [...chromium.args, "--no-sandbox"],
  executablePath: await chromium.executablePath(),
  headless: "shell",
});
const page = await browser.newPage();
page.on("console", (message) => console.log(message.text()));
page.on("pageerror", (error) => console.log("error", error.message));
await page.goto(`${base}/page/index.html`);
await page.evaluate(() => {
  const events = new EventSource("/events?topic=com.kept.&match=prefix");
  events.onopen = () => console.log("open");
  events.onmessage = (event) => console.log("event", JSON.parse(event.data).args[0]);
  events.addEventListener("gap", () => console.log("gap"));
});
// The test ends it by closing its standard input.
process.stdin.resume();
process.stdin.on("end", async () => {
  await browser.close();
  process.exit(0);
});
