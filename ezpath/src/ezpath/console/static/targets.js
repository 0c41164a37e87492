// Switches with their tables, and hosts.

import { h, keyed, say, set } from "./dom.js";
import { duration } from "./format.js";

const NEARLY_FULL = 0.95;
const RATHER_FULL = 0.8;

export class Targets {
  constructor() {
    this.switches = document.querySelector("#targets .switches");
    this.hosts = document.querySelector("#targets .hosts tbody");
  }

  draw({ targets, now }) {
    const trouble = (each) => (each.state === "in-sync" ? 0 : 1);
    const of = (sort) => targets.filter((each) => each.target.startsWith(`${sort}:`)).sort((one, other) => trouble(other) - trouble(one));
    keyed(this.switches, of("switch"), (each) => each.target, makeSwitch, (element, each) => renewSwitch(element, each, now()));
    keyed(this.hosts, of("host"), (each) => each.target, makeHost, (element, each) => renewHost(element, each, now()));
  }
}

function makeSwitch({ name }) {
  return h(
    "article",
    { "aria-label": name },
    h("h3", {}, h("span", {}, name), h("span", { class: "state" })),
    h("p", { class: "rest" }),
    h("table", { "aria-label": `Tables of ${name}` }, h("tbody")),
  );
}

function renewSwitch(element, each, now) {
  state(element.querySelector(".state"), each);
  say(element.querySelector(".rest"), `${each.items} items, compared ${ago(each.compared_at, now)}${each.reason ? `. ${each.reason}` : ""}`);
  keyed(element.querySelector("tbody"), each.tables, (use) => use.table, makeTable, renewTable);
}

function makeTable({ table }) {
  return h("tr", {}, h("th", { scope: "row" }, table), h("td", { class: "fill" }, h("div", { class: "gauge" }, h("i"))), h("td", { class: "number" }));
}

function renewTable(element, { used, size }) {
  const share = size ? used / size : 0;
  const gauge = element.querySelector(".gauge");
  gauge.className = `gauge ${share >= NEARLY_FULL ? "full" : share >= RATHER_FULL ? "high" : ""}`;
  gauge.firstElementChild.style.width = used ? `max(2px, ${100 * share}%)` : "0";
  say(element.lastElementChild, `${used} / ${size.toLocaleString("en")}`);
  set(element, { title: `${(100 * share).toFixed(1)} % full` });
}

function makeHost({ name }) {
  return h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "state" }), h("td", { class: "number" }), h("td", { class: "number" }));
}

function renewHost(element, each, now) {
  const [, where, items, compared] = element.children;
  state(where, each);
  say(items, String(each.items));
  say(compared, ago(each.compared_at, now));
}

function state(element, each) {
  say(element, each.state);
  set(element, { "data-state": each.state, title: each.reason || null });
}

function ago(at, now) {
  return at === null ? "never" : `${duration(Math.max(0, now - at) * 1000)} ago`;
}
