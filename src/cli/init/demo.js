import { Session } from "./corebar.js";

const find = (id) => document.getElementById(id);
// Comes back by itself, with all that is subscribed and registered, when the connection is lost.
const session = new Session("/ws", { realm: "realm1", reconnect: { fromTheStart: true } });
const name = `guest ${Math.floor(Math.random() * 900) + 100}`;
find("name").textContent = name;

const show = (there) => {
  find("state").textContent = there ? "connected" : "connecting …";
  find("state").className = there ? "on" : "off";
};
session.addEventListener("open", () => show(true));
session.addEventListener("lost", () => show(false));
session.addEventListener("closed", ({ detail }) => { find("trouble").textContent = detail.message; });

// A chat: what one says goes to all, and back to this page too.
report(session.subscribe("com.example.chat", ([who, text]) => {
  const line = document.createElement("li");
  const author = document.createElement("b");
  author.textContent = who;
  line.append(author, ` ${text}`);
  find("chat").append(line);
  line.scrollIntoView({ block: "nearest" });
}));
find("say").onsubmit = async (event) => {
  event.preventDefault();
  const text = find("text").value.trim();
  if (!text) return;
  await report(session.publish("com.example.chat", [name, text], {}, { exclude_me: false }));
  find("text").value = "";
};

// A chart: the value is retained, so that whoever comes later has it at once.
const values = [];
report(session.subscribe("com.example.value", ([value]) => {
  values.push(Number(value));
  values.splice(0, values.length - 120);
  find("value").textContent = value;
  find("slider").value = value;
  draw();
}, { get_retained: true }));
find("slider").oninput = () => send(Number(find("slider").value));
let timer = null;
find("run").onclick = () => {
  if (timer) clearInterval(timer);
  timer = timer ? null : setInterval(() => {
    const last = values.at(-1) ?? 50;
    send(Math.max(0, Math.min(100, Math.round(last + (Math.random() - 0.5) * 16))));
  }, 200);
  find("run").textContent = timer ? "Stop" : "Feed it";
};
const send = (value) => report(session.publish("com.example.value", [value], {}, { exclude_me: false, retain: true }));

function draw() {
  const canvas = find("chart");
  const scale = devicePixelRatio;
  const [width, height] = [canvas.width, canvas.height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
  const x = (index) => width - 5 * scale - (values.length - 1 - index) * ((width - 5 * scale) / 119);
  const y = (value) => height * (1 - (value * 0.92 + 4) / 100);
  const pen = canvas.getContext("2d");
  pen.strokeStyle = getComputedStyle(document.body).getPropertyValue("--line");
  pen.lineWidth = scale;
  for (const value of [0, 25, 50, 75, 100]) {
    pen.beginPath();
    pen.moveTo(0, y(value));
    pen.lineTo(width, y(value));
    pen.stroke();
  }
  if (!values.length) return;
  pen.strokeStyle = pen.fillStyle = getComputedStyle(canvas).color;
  pen.lineWidth = 2 * scale;
  pen.lineJoin = "round";
  pen.beginPath();
  values.forEach((value, index) => pen.lineTo(x(index), y(value)));
  pen.stroke();
  pen.beginPath();
  pen.arc(x(values.length - 1), y(values.at(-1)), 4 * scale, 0, 2 * Math.PI);
  pen.fill();
}
onresize = draw;
matchMedia("(prefers-color-scheme: dark)").onchange = draw;
draw();

// A procedure that every open page offers: calls go to one after the other.
report(session.register("com.example.who", () => name, { invoke: "roundrobin" }));
find("ask").onclick = async () => {
  find("answer").textContent = (await report(session.call("com.example.who"))) ?? "";
};

async function report(promise) {
  try {
    const done = await promise;
    find("trouble").textContent = "";
    return done;
  } catch (error) {
    find("trouble").textContent = String(error.message ?? error);
  }
}
