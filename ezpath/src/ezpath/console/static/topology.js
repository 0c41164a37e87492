// The network with the tunnels as they are at the moment. A tube is drawn where frames are wrapped in VXLAN: from host to
// host in the overlay, from ToR to ToR when a pair is on the switches.

import { h, keyed, say, set, svg } from "./dom.js";
import { bitRate, carried, ends } from "./format.js";
import { layout } from "./layout.js";

const LEAST = 240;
const WRAPPED = { vxlan: "VXLAN", tag: "VLAN tag", bridge: "within the host" };

export class Topology {
  constructor(select) {
    this.select = select;
    this.picture = document.getElementById("picture");
    this.rest = document.getElementById("picture-rest");
    this.rows = document.querySelector("#tunnels tbody");
  }

  draw({ network, flows, targets, selected }) {
    const width = Math.max(LEAST, this.picture.parentElement.clientWidth); // which is 0 before the page is laid out
    const plan = layout(network, flows.flows, width, selected);
    const states = new Map(targets.map((each) => [each.target, each.state]));
    set(this.picture, { width, height: plan.height, viewBox: `0 0 ${width} ${plan.height}`, "aria-label": inWords(network, flows) });
    this.picture.classList.toggle("chosen", plan.lines.some((line) => line.flow.pair === selected));
    this.picture.replaceChildren(
      ...plan.tors.map((tor) => drawTor(tor, states.get(`switch:${tor.name}`))),
      ...plan.hosts.map((host) => drawHost(host, states.get(`host:${host.name}`))),
      ...plan.lines.map((line) => this.drawLine(line, selected)),
      ...plan.lines.filter((line) => line.kind !== "host").map((line) => this.drawLabel(line, selected)), // above all lines
    );
    const left = [
      plan.left > 0 ? `${plan.left} more switches are not drawn` : "",
      plan.undrawn + flows.left_out > 0 ? `${plan.lines.length} of ${flows.flows.length + flows.left_out} pairs are drawn, the busiest that there is room for, and one that is chosen` : "",
    ].filter(Boolean);
    say(this.rest, left.join("; "));
    keyed(this.rows, flows.flows, (flow) => flow.pair, makeRow, renewRow);
  }

  drawLine({ flow, kind, y, ends: [one, other] }, selected) {
    const group = svg("g", { class: classOf(flow, selected) });
    const wide = 4 + Math.max(0, Math.min(5, Math.log10(Math.max(1, flow.rate_bps)) - 5));
    const over = (start, end) => rounded([[one.x, start], [one.x, y], [other.x, y], [other.x, end]]);
    const wrappings = flow.legs.map((leg) => leg.wrapping);
    const inside = [one, other].map((end) => `M${end.x} ${kind === "host" ? y : end.head}V${end.row}`).join("");
    group.append(svg("path", { class: "leader", d: [one, other].map((end) => `M${end.name} ${end.row}H${end.x}`).join("") }));
    if (wrappings.length === 1) {
      const way = over(one.head, other.head);
      if (wrappings[0] === "vxlan") group.append(svg("path", { class: "tube", d: way, "stroke-width": wide }));
      group.append(svg("path", { class: "core", d: way }));
    } else if (kind === "rack") group.append(svg("path", { class: "core tag", d: over(one.head, other.head) }));
    else {
      const way = over(one.cap, other.cap);
      const tags = [one, other].map((end) => `M${end.x} ${end.head}V${end.cap}`).join("");
      group.append(svg("path", { class: "tube", d: way, "stroke-width": wide }), svg("path", { class: "core", d: way }), svg("path", { class: "core tag", d: tags }));
    }
    group.append(svg("path", { class: "core bare", d: inside }));
    for (const end of [one, other]) group.append(svg("circle", { class: "end", cx: end.x, cy: end.row, r: 2.5 }));
    return this.chooses(group, flow);
  }

  drawLabel({ flow, y, ends: [one, other] }, selected) {
    const rate = svg("tspan", { class: "rate" }, bitRate(flow.rate_bps));
    const label = svg("text", { class: "label", x: (one.x + other.x) / 2, y: y - 5 }, `${ends(flow.pair)} `, rate);
    return this.chooses(svg("g", { class: classOf(flow, selected) }, label), flow);
  }

  /** A click is a short way for who has a mouse; everybody has the buttons in the table of flows. */
  chooses(group, flow) {
    group.append(svg("title", {}, `${flow.pair}: ${carried(flow)}, ${bitRate(flow.rate_bps)}`));
    group.addEventListener("click", () => this.select(flow.pair));
    return group;
  }
}

function classOf(flow, selected) {
  return `line ${flow.where}${flow.pair === selected ? " selected" : ""}`;
}

function drawTor(tor, state) {
  return svg(
    "g",
    { class: "tor" },
    svg("rect", { class: "box", x: tor.x + 0.5, y: tor.y + 0.5, width: tor.width - 1, height: tor.height - 1, rx: 6 }),
    svg("circle", { class: `state ${state ?? "unknown"}`, cx: tor.x + 13, cy: tor.y + 14, r: 3.5 }),
    svg("text", { class: "name", x: tor.x + 23, y: tor.y + 18 }, tor.name, svg("tspan", { class: "more", dx: 8 }, state && state !== "in-sync" ? `rack ${tor.rack}, ${state}` : `rack ${tor.rack}`)),
  );
}

function drawHost(host, state) {
  const last = host.rows.at(-1)?.y ?? host.y + 17;
  return svg(
    "g",
    { class: "host" },
    svg("rect", { class: "box", x: host.x + 0.5, y: host.y + 0.5, width: host.width - 1, height: host.height - 1, rx: 6 }),
    svg("path", { class: "switch-line", d: `M${host.x + 1} ${host.y + 24.5}H${host.x + host.width - 1}` }),
    svg("circle", { class: `state ${state ?? "unknown"}`, cx: host.x + 13, cy: host.y + 12.5, r: 3.5 }),
    svg("text", { class: "name", x: host.x + 23, y: host.y + 16.5 }, host.name, state && state !== "in-sync" ? svg("tspan", { class: "more", dx: 6 }, state) : ""),
    ...host.rows.map((row) => svg("text", { class: row.busy ? "endpoint busy" : "endpoint", x: host.x + 10, y: row.y }, row.name)),
    host.more > 0 ? svg("text", { class: "more", x: host.x + 10, y: last + 17 }, `and ${host.more} more`) : "",
  );
}

/** Straight lines from point to point, with round corners. */
function rounded(points, radius = 7) {
  let path = `M${points[0].join(" ")}`;
  for (let place = 1; place < points.length - 1; place++) {
    const [before, corner, after] = [points[place - 1], points[place], points[place + 1]];
    const toward = (other) => {
      const far = Math.hypot(other[0] - corner[0], other[1] - corner[1]) || 1;
      const near = Math.min(radius, far / 2) / far;
      return [corner[0] + (other[0] - corner[0]) * near, corner[1] + (other[1] - corner[1]) * near];
    };
    path += `L${toward(before).join(" ")}Q${corner.join(" ")} ${toward(after).join(" ")}`;
  }
  return `${path}L${points.at(-1).join(" ")}`;
}

function inWords(network, { flows, counts, left_out: leftOut }) {
  if (!network.switches.length) return "Nothing is known of the network yet";
  const hosts = network.switches.reduce((sum, each) => sum + each.hosts.length, 0);
  const all = `${network.switches.length} switches, ${hosts} hosts, ${flows.length + leftOut} pairs with traffic`;
  return `${all}: ${counts.overlay ?? 0} carried by the hosts, ${counts.switch ?? 0} by the switches, ${counts.moving ?? 0} moving. The table below says the same of each.`;
}

function makeRow(flow) {
  return h("tr", {}, h("th", { scope: "row" }, flow.pair), h("td"), h("td"), h("td", { class: "number" }));
}

function renewRow(element, flow) {
  const [, who, way, rate] = element.children;
  say(who, carried(flow));
  say(way, flow.legs.map((leg) => (leg.wrapping === "bridge" ? `within ${leg.start}` : `${WRAPPED[leg.wrapping]} ${leg.start} to ${leg.end}`)).join(", ") || "not in the inventory");
  say(rate, bitRate(flow.rate_bps));
}
