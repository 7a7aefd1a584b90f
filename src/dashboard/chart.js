// Lines over time, drawn as SVG.

import { h, put, s } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 140;

/** The next number above that is round. */
const ceiling = (value) => {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((round) => round >= value * 0.999_999);
};

/**
 * A chart with lines. `series`: `{name, value}`, which gives the number of a sample, or null. `text` says a number for people.
 */
export class Chart {
  #series;
  #text;
  #samples = [];
  #shown = null;
  #plot;
  #readings;
  #top;

  constructor(title, series, text) {
    this.#series = series;
    this.#text = text;
    this.#top = h("span", { class: "axis" }, "");
    this.#readings = series.map(() => h("output", {}, "–"));
    this.#plot = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title });
    const legend = h("dl", { class: "legend" }, series.map(({ name }, at) =>
      h("div", { class: `line-${at}` }, h("dt", {}, name), h("dd", {}, this.#readings[at]))));
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, title, h("span", { class: "since" })), legend,
      h("div", { class: "plot" }, this.#top, this.#plot));
    this.#plot.addEventListener("pointermove", (event) => {
      const place = this.#plot.getBoundingClientRect();
      this.#shown = (event.clientX - place.left) / place.width;
      this.#draw();
    });
    this.#plot.addEventListener("pointerleave", () => {
      this.#shown = null;
      this.#draw();
    });
  }

  /** Shows samples, the oldest first, of which there are `most` at most. */
  show(samples, most) {
    this.#samples = samples;
    // At the beginning the line is drawn wider than it will be.
    this.most = Math.min(most, Math.max(30, samples.length));
    this.#draw();
  }

  #draw() {
    const samples = this.#samples;
    const values = this.#series.map(({ value }) => samples.map((sample) => value(sample)));
    const known = values.flat().filter((value) => Number.isFinite(value));
    const top = ceiling(Math.max(0, ...known));
    const x = (at) => WIDTH * (1 - (samples.length - 1 - at) / Math.max(1, this.most - 1));
    const y = (value) => HEIGHT - 2 - (HEIGHT - 6) * (value / top);
    const lines = values.map((list, number) => {
      let path = "", open = false;
      list.forEach((value, at) => {
        if (!Number.isFinite(value)) {
          open = false;
          return;
        }
        path += `${open ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
        open = true;
      });
      return s("path", { d: path, class: `line line-${number}`, "vector-effect": "non-scaling-stroke" });
    });
    const grid = [0, 0.5, 1].map((part) =>
      s("line", { x1: 0, x2: WIDTH, y1: y(top * part), y2: y(top * part), class: "rule", "vector-effect": "non-scaling-stroke" }));
    let at = samples.length - 1, cursor;
    if (this.#shown !== null && samples.length > 0) {
      const wanted = this.#shown * WIDTH;
      at = samples.reduce((best, _, index) => (Math.abs(x(index) - wanted) < Math.abs(x(best) - wanted) ? index : best), 0);
      cursor = s("line", { x1: x(at), x2: x(at), y1: 0, y2: HEIGHT, class: "cursor", "vector-effect": "non-scaling-stroke" });
    }
    put(this.#plot, grid, lines, cursor);
    this.#top.textContent = this.#text(top);
    const readings = values.map((list) => (Number.isFinite(list[at]) ? this.#text(list[at]) : "–"));
    this.#readings.forEach((output, number) => { output.textContent = readings[number]; });
    const seconds = samples.length > 1 ? Math.round((samples.at(-1).at - samples[at].at) / 1000) : 0;
    const oldest = samples.length > 1 ? Math.round((samples.at(-1).at - samples[0].at) / 1000) : 0;
    this.element.querySelector(".since").textContent = this.#shown === null ? `last ${oldest} s` : `${seconds} s ago`;
  }
}
