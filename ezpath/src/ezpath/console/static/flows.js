// The flows: who talks, who carries it, how much, and how it came to be so.

import { h, keyed, say, set, svg } from "./dom.js";
import { bitRate, carried, ends } from "./format.js";
import { HEIGHT, axis, plot } from "./plot.js";

const KEPT_S = 600;
const SHOWN = 16;

export class Flows {
  constructor(select) {
    this.select = select;
    this.points = {};
    this.changed = () => {};
    this.body = document.querySelector("#flows tbody");
    this.axis = document.getElementById("axis");
    this.rest = document.getElementById("flows-rest");
    this.span = document.getElementById("span");
    this.span.addEventListener("change", () => this.changed());
  }

  /** All points are told anew. */
  begin() {
    this.points = {};
  }

  /** More points: [Unix time, bits a second, who carried it], for each pair. */
  extend(points) {
    const newest = Math.max(...Object.values(points).flatMap((more) => more.map(([at]) => at)));
    for (const [pair, more] of Object.entries(points)) this.points[pair] = [...(this.points[pair] ?? []), ...more];
    for (const [pair, all] of Object.entries(this.points)) {
      const kept = all.filter(([at]) => at > newest - KEPT_S);
      if (kept.length) this.points[pair] = kept;
      else delete this.points[pair];
    }
  }

  draw({ flows, marks, selected, now }) {
    const shown = flows.flows.slice(0, SHOWN);
    const chosen = flows.flows.find((flow) => flow.pair === selected);
    if (chosen && !shown.includes(chosen)) shown.push(chosen);
    const width = Math.max(120, this.axis.parentElement.clientWidth - 12);
    const to = now();
    const from = to - Number(this.span.value);
    set(this.axis, { width, height: 14 });
    this.axis.replaceChildren(...axis(from, to, width));
    keyed(
      this.body,
      shown,
      (flow) => flow.pair,
      (flow) => this.make(flow),
      (element, flow) => this.renew(element, flow, marks[flow.pair] ?? [], selected, from, to, width),
    );
    const more = flows.flows.length + flows.left_out - shown.length;
    say(this.rest, flows.at ? (more > 0 ? `the ${shown.length} busiest, ${more} more below them` : "") : "no decider has told of flows yet");
  }

  make(flow) {
    const button = h("button", { type: "button", class: "pair", title: flow.pair }, ends(flow.pair));
    button.addEventListener("click", () => this.select(flow.pair));
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, button, h("small", {}, flow.tenant)),
      h("td", {}, h("span", { class: "where" })),
      h("td", { class: "number" }, h("b"), h("small")),
      h("td", { class: "plot" }, svg("svg", { role: "img", height: HEIGHT })),
    );
  }

  renew(element, flow, marks, selected, from, to, width) {
    const [name, where, rate, picture] = element.children;
    set(name.firstElementChild, { "aria-pressed": flow.pair === selected });
    element.classList.toggle("selected", flow.pair === selected);
    set(where.firstElementChild, { class: `where ${flow.where}` });
    say(where.firstElementChild, carried(flow));
    say(rate.firstElementChild, bitRate(flow.rate_bps));
    say(rate.lastElementChild, `${Math.round(flow.packets_s).toLocaleString("en")} packets/s`);
    const { children, words } = plot(this.points[flow.pair] ?? [], marks, from, to, width);
    set(picture.firstElementChild, { width, "aria-label": words });
    picture.firstElementChild.replaceChildren(...children);
  }
}
