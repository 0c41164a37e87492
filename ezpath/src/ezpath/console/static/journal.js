// The events as they come, newest first, and their filters.

import { h, keyed, say } from "./dom.js";
import { clock, duration } from "./format.js";

const KEPT = 500;
const SHOWN = 200;
const DETAIL = new Set(["switch-command", "host-command", "step-report", "target-state", "switch-tables"]);

export class Journal {
  constructor() {
    this.lines = [];
    this.changed = () => {};
    this.body = document.querySelector("#events tbody");
    this.count = document.getElementById("count");
    this.form = document.getElementById("filters");
    [this.find, this.kind, this.tenant, this.detail] = ["find", "kind", "tenant", "detail"].map((id) => document.getElementById(id));
    this.form.addEventListener("input", () => this.changed());
    this.form.addEventListener("reset", () => setTimeout(() => this.changed()));
    this.form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** All that is kept is told anew. */
  begin() {
    this.lines = [];
  }

  extend({ lines, passed_over: passedOver }) {
    if (passedOver) {
      const number = lines[0].number - 0.5;
      this.lines.push({ number, at: lines[0].at, kind: "", what: `${passedOver} events passed over`, why: "this browser was slower than they came" });
    }
    this.lines = [...this.lines, ...lines].slice(-KEPT);
  }

  draw({ network, selected }) {
    this.offer(this.kind, [...new Set(this.lines.map((line) => line.kind).filter(Boolean))].sort());
    this.offer(this.tenant, network.tenants);
    const wanted = this.lines.filter((line) => this.matches(line, selected)).sort((one, other) => other.number - one.number);
    keyed(this.body, wanted.slice(0, SHOWN), (line) => line.number, row, (element, line) => element.classList.toggle("selected", line.pair === selected && selected !== null));
    const of = this.lines.length;
    say(this.count, wanted.length === of ? `${of} events` : `${wanted.length} of ${of} events`);
  }

  matches(line) {
    const { value: kind } = this.kind;
    if (kind ? line.kind !== kind : DETAIL.has(line.kind) && !this.detail.checked) return false;
    if (this.tenant.value && line.pair?.split(".")[0] !== this.tenant.value) return false;
    const text = `${line.pair ?? ""} ${line.saga ?? ""} ${line.kind} ${line.what} ${line.why ?? ""}`.toLowerCase();
    return this.find.value.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  /** The choices of a list; what is chosen stays so. */
  offer(list, names) {
    const there = [...list.options].slice(1).map((option) => option.value);
    if (there.length === names.length && there.every((name, place) => name === names[place])) return;
    const chosen = list.value;
    list.replaceChildren(list.options[0], ...names.map((name) => h("option", { value: name }, name)));
    list.value = names.includes(chosen) ? chosen : "";
  }
}

function row(line) {
  return h(
    "tr",
    { class: line.tone || null, "data-kind": line.kind },
    h("td", {}, clock(line.at, true)),
    h("td", { class: "pair" }, line.pair ?? ""),
    h("td", { class: "what" }, line.what),
    h("td", { class: "number" }, line.took_ms === undefined || line.took_ms === 0 ? "" : duration(line.took_ms)),
    h("td", { class: "why" }, line.why ?? ""),
  );
}
