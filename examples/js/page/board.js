// A board that all who have the page open draw on: each stroke is an event, and everybody draws all events.
import { connect } from "/corebar.js";

const [board, state] = [document.getElementById("board"), document.getElementById("state")];
const pen = board.getContext("2d");
const colour = `hsl(${Math.floor(Math.random() * 360)} 75% 50%)`;
let strokes = [];

function draw([fromX, fromY, toX, toY, colour]) {
  pen.strokeStyle = colour;
  pen.lineWidth = 3 * devicePixelRatio;
  pen.lineCap = "round";
  pen.beginPath();
  pen.moveTo(fromX * board.width, fromY * board.height);
  pen.lineTo(toX * board.width, toY * board.height);
  pen.stroke();
}

function redraw() {
  [board.width, board.height] = [board.clientWidth * devicePixelRatio, board.clientHeight * devicePixelRatio];
  strokes.forEach(draw);
}
addEventListener("resize", redraw);
redraw();

const session = await connect("/ws", { realm: "realm1", reconnect: { fromTheStart: true } });
const show = () => { state.textContent = session.state === "open" ? "Draw, and open the page in a second window." : "connecting …"; };
session.addEventListener("open", show);
session.addEventListener("lost", show);

await session.subscribe("com.example.board.stroke", (stroke) => {
  strokes.push(stroke);
  draw(stroke);
});
await session.subscribe("com.example.board.clear", () => {
  strokes = [];
  redraw();
});
// Who comes later asks one of those who are there, if there are any.
strokes.push(...await session.call("com.example.board.strokes").catch(() => []));
redraw();
await session.register("com.example.board.strokes", () => strokes, { invoke: "random" });
show();

let last;
const place = ({ offsetX, offsetY }) => [offsetX / board.clientWidth, offsetY / board.clientHeight];
board.addEventListener("pointerdown", (event) => {
  board.setPointerCapture(event.pointerId);
  last = place(event);
});
board.addEventListener("pointerup", () => { last = undefined; });
board.addEventListener("pointermove", (event) => {
  if (!last || session.state !== "open") return;
  const next = place(event);
  // Many small ones, of which one may be lost: nobody has to say that they have come.
  session.publish("com.example.board.stroke", [...last, ...next, colour], {}, { exclude_me: false, acknowledge: false });
  last = next;
});
document.getElementById("clear").addEventListener("click", () => {
  session.publish("com.example.board.clear", [], {}, { exclude_me: false }).catch(({ message }) => { state.textContent = message; });
});
