// Tables, and lists that come page by page.

import { calmly, h, loading, put, wordsOf } from "./dom.js";

/** A table. `columns`: `{name, show, number}`, where `show` gives what is in a cell, or `[what, class]`. */
export const table = (caption, columns, rows, empty = "There is nothing.") => {
  if (rows.length === 0) return h("div", { class: "table" }, h("p", { class: "empty" }, empty));
  const cell = (column, row) => {
    const shown = column.show(row);
    const [content, kind] = Array.isArray(shown) ? shown : [shown, ""];
    const classes = [column.number && "number", column.kind, kind].filter(Boolean).join(" ");
    const text = typeof content === "string" && content.length > 30 ? content : undefined;
    return h("td", { class: classes || undefined, title: text }, content);
  };
  return h("div", { class: "table", role: "region", "aria-label": caption, tabindex: "0" }, h("table", {},
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.number ? "number" : column.kind === "act" ? "act" : undefined }, column.name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((column) => cell(column, row)))))));
};

/**
 * A list that is asked for page by page. `fetch(after, text)` gives `{rows, next}`; `controls` stand beside the search.
 */
export class List {
  #fetch;
  #columns;
  #caption;
  #empty;
  #places = [null];
  #at = 0;
  #next = null;
  #rows = [];
  #turn = 0;
  #body = h("div", { "aria-live": "off" }, loading());
  #where = h("span", { class: "soft", role: "status" });
  #search;
  #back;
  #forth;

  constructor({ caption, columns, fetch, controls = [], search = "Search", empty, text = "" }) {
    Object.assign(this, { caption });
    [this.#caption, this.#columns, this.#fetch, this.#empty] = [caption, columns, fetch, empty];
    this.#search = h("input", { type: "search", placeholder: search, "aria-label": search, value: text, id: "search",
      on: { input: calmly(250, () => this.first()) } });
    this.#back = h("button", { type: "button", id: "page-back", on: { click: () => this.#turnTo(this.#at - 1) } }, "← Back");
    this.#forth = h("button", { type: "button", id: "page-next", on: { click: () => this.#turnTo(this.#at + 1) } }, "Next →");
    const again = h("button", { type: "button", on: { click: () => this.load() } }, "Refresh");
    this.element = h("div", {}, h("div", { class: "bar" }, this.#search, controls, again), this.#body,
      h("div", { class: "pages" }, this.#back, this.#forth, this.#where));
    this.load();
  }

  /** Begins again with the first page. */
  first() {
    this.#places = [null];
    this.#at = 0;
    return this.load();
  }

  #turnTo(at) {
    if (at < 0 || (at > this.#at && this.#next === null)) return;
    if (at > this.#at) this.#places[at] = this.#next;
    this.#at = at;
    this.load();
  }

  /** Asks for the page once more. */
  async load() {
    const turn = ++this.#turn;
    this.#back.disabled = this.#forth.disabled = true;
    this.element.setAttribute("aria-busy", "true");
    try {
      const { rows, next } = await this.#fetch(this.#places[this.#at], this.#search.value.trim());
      if (turn !== this.#turn) return;
      [this.#rows, this.#next] = [rows, next];
      put(this.#body, table(this.#caption, this.#columns, rows, this.#empty));
      this.#where.textContent = this.#at === 0 && next === null ? `${rows.length} in all` : `page ${this.#at + 1}, ${rows.length} here`;
    } catch (error) {
      if (turn !== this.#turn) return;
      put(this.#body, h("p", { class: "wrongs", role: "alert" }, wordsOf(error)));
      this.#where.textContent = "";
    }
    this.#back.disabled = this.#at === 0;
    this.#forth.disabled = this.#next === null;
    this.element.setAttribute("aria-busy", "false");
  }
}
