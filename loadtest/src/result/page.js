// Shows the values under the pointer. Without it the page is complete, but mute.
for (const svg of document.querySelectorAll("svg[data-points]")) {
  const series = JSON.parse(svg.dataset.points);
  const tip = svg.parentNode.querySelector(".tip");
  const cursor = svg.querySelector(".cursor");
  const dots = svg.querySelector(".dots");
  const box = svg.viewBox.baseVal;
  const hide = () => {
    tip.hidden = true;
    dots.replaceChildren();
    cursor.style.visibility = "hidden";
  };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const place = svg.getBoundingClientRect();
    const x = ((event.clientX - place.left) / place.width) * box.width;
    const near = [];
    for (const [label, colour, points] of series) {
      let best = null;
      for (const point of points) if (!best || Math.abs(point[0] - x) < Math.abs(best[0] - x)) best = point;
      if (best && Math.abs(best[0] - x) < 40) near.push([label, colour, best]);
    }
    if (!near.length) return hide();
    const at = near.reduce((one, other) => (Math.abs(other[2][0] - x) < Math.abs(one[2][0] - x) ? other : one))[2];
    tip.replaceChildren();
    const head = document.createElement("b");
    head.textContent = at[2];
    tip.append(head);
    dots.replaceChildren();
    for (const [label, colour, point] of near.slice(0, 12)) {
      const line = document.createElement("div");
      line.className = "k" + colour;
      line.textContent = label + "  " + point[3];
      tip.append(line);
      const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      for (const [name, value] of [["cx", point[0]], ["cy", point[1]], ["r", 4], ["class", "k" + colour]]) {
        dot.setAttribute(name, value);
      }
      dots.append(dot);
    }
    cursor.setAttribute("x1", at[0]);
    cursor.setAttribute("x2", at[0]);
    cursor.setAttribute("y1", 26);
    cursor.setAttribute("y2", box.height - 40);
    cursor.style.visibility = "visible";
    tip.hidden = false;
    const frame = svg.parentNode.getBoundingClientRect();
    const left = (at[0] / box.width) * place.width + place.left - frame.left;
    tip.style.left = (at[0] > box.width / 2 ? left - tip.offsetWidth - 12 : left + 12) + "px";
    tip.style.top = place.top - frame.top + 12 + "px";
  });
}
