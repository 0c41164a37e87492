// Where everything of the topology stands: numbers only. Racks side by side, ToRs above hosts, the fabric above all.

const GAP = 20;
const LANE = 22; // from one tunnel in the fabric, or within a ToR, to the next
const TOR_HEAD = 26;
const HOST_HEAD = 24;
const ROW = 17;
const WIRES = 34; // between ToRs and hosts
const BESIDE = 10; // between two hosts of a rack
const NARROWEST = 88; // a host
export const MOST = { flows: 9, switches: 4, hosts: 4, endpoints: 6 };

/** `network` and `flows` as the server tells them, `width` in pixels; the flow `selected` is drawn in any case. */
export function layout(network, flows, width, selected) {
  const room = Math.max(1, Math.min(MOST.switches, Math.floor((width + GAP) / (NARROWEST + GAP))));
  const column = (width - GAP * (Math.min(room, network.switches.length) - 1)) / Math.max(1, Math.min(room, network.switches.length));
  const each = Math.max(1, Math.min(MOST.hosts, Math.floor((column + BESIDE) / (NARROWEST + BESIDE)))); // hosts of a rack
  const drawn = chosen(flows, selected, room, each);
  const busy = new Set(drawn.flatMap((flow) => [flow.a, flow.b]));
  const at = new Set(drawn.flatMap((flow) => flow.places.map((place) => place.host)));
  const first = (items, most, matters) => [...items.filter(matters), ...items.filter((item) => !matters(item))].slice(0, most);
  const inOrder = (items, kept) => items.filter((item) => kept.includes(item));
  const switches = inOrder(network.switches, first(network.switches, room, (tor) => tor.hosts.some((host) => at.has(host.name))));

  const ways = drawn.map((flow) => ({ flow, kind: kindOf(flow) }));
  const across = ways.filter(({ kind }) => kind === "across");
  const torTop = 6 + Math.max(1, across.length) * LANE;
  const within = Math.max(0, ...switches.map((tor) => ways.filter((way) => way.kind === "rack" && way.flow.places[0].switch === tor.name).length));
  const torHeight = TOR_HEAD + 8 + within * LANE;
  const hostTop = torTop + torHeight + WIRES;

  const tors = [];
  const hosts = new Map();
  switches.forEach((tor, place) => {
    const x = place * (column + GAP);
    tors.push({ name: tor.name, rack: tor.rack, x, y: torTop, width: column, height: torHeight });
    const shown = inOrder(tor.hosts, first(tor.hosts, each, (host) => at.has(host.name)));
    const wide = (column - BESIDE * (shown.length - 1)) / Math.max(1, shown.length);
    shown.forEach((host, number) => {
      const endpoints = inOrder(host.endpoints, first(host.endpoints, MOST.endpoints, (end) => busy.has(end.name)));
      const rows = endpoints.map((end, row) => ({ name: end.name, busy: busy.has(end.name), y: hostTop + HOST_HEAD + 16 + row * ROW }));
      hosts.set(host.name, { name: host.name, x: x + number * (wide + BESIDE), y: hostTop, width: wide, rows, more: host.endpoints.length - rows.length, lanes: 0 });
    });
  });
  const most = Math.max(1, ...[...hosts.values()].map((host) => host.rows.length + (host.more > 0 ? 1 : 0)));
  const hostHeight = HOST_HEAD + most * ROW + 10;
  for (const host of hosts.values()) host.height = hostHeight;

  return {
    width,
    height: hostTop + hostHeight + 2,
    tors,
    hosts: [...hosts.values()],
    lines: lanes(nested(ways, hosts), hosts, new Map(tors.map((tor) => [tor.name, tor]))),
    left: network.switches.length - switches.length,
    undrawn: flows.length - drawn.length,
  };
}

/** The busiest whose racks and hosts there is room for, in the order of their names: a rate that changes moves no line. */
function chosen(flows, selected, room, each) {
  const first = (flow) => (flow.pair === selected ? 2 : flow.where === "overlay" ? 0 : 1);
  const inTurn = flows.filter((flow) => flow.places.length).sort((one, other) => first(other) - first(one) || other.rate_bps - one.rate_bps);
  const racks = new Map(); // switch to the hosts of it that are needed
  const found = [];
  for (const flow of inTurn) {
    const needed = new Map([...racks].map(([name, hosts]) => [name, new Set(hosts)]));
    for (const place of flow.places) needed.set(place.switch, (needed.get(place.switch) ?? new Set()).add(place.host));
    if (found.length === MOST.flows) break;
    if (needed.size > room || [...needed.values()].some((hosts) => hosts.size > each)) continue;
    for (const [name, hosts] of needed) racks.set(name, hosts);
    found.push(flow);
  }
  return found.sort((one, other) => (one.pair < other.pair ? -1 : 1));
}

function kindOf({ places: [one, other] }) {
  return one.host === other.host ? "host" : one.switch === other.switch ? "rack" : "across";
}

/** What spans most goes outside: lines that need not cross do not. */
function nested(ways, hosts) {
  const middle = (name) => (hosts.has(name) ? hosts.get(name).x + hosts.get(name).width / 2 : 0);
  const span = ({ flow: { places } }) => Math.abs(middle(places[0].host) - middle(places[1].host));
  return [...ways].sort((one, other) => span(other) - span(one));
}

/** Each line's turning points: from one end up, across, and down to the other. */
function lanes(ways, hosts, tors) {
  const used = { across: 0, host: 0 };
  const found = [];
  for (const { flow, kind } of ways) {
    const ends = flow.places.map((place, side) => end(hosts.get(place.host), side ? flow.b : flow.a, tors.get(place.switch)));
    if (ends.some((each) => each === null)) continue; // there is no room for its rack or its host
    let y;
    if (kind === "across") y = 6 + LANE * ++used.across - 6;
    else if (kind === "rack") {
      const number = (used[flow.places[0].switch] = (used[flow.places[0].switch] ?? 0) + 1);
      y = ends[0].tor.y + TOR_HEAD + LANE * number - 6;
    } else y = ends[0].head - 5;
    found.push({ flow, kind, y, ends });
  }
  return found;
}

/** Lines run down a host at its right, beside the names. */
function end(host, name, tor) {
  if (!host || !tor) return null;
  const row = host.rows.find((each) => each.name === name);
  const x = host.x + host.width - 12 - 10 * host.lanes++;
  return { x, tor, head: host.y + HOST_HEAD, cap: tor.y + 7, row: row ? row.y - 4 : host.y + HOST_HEAD + 10, name: row ? host.x + 12 + row.name.length * 6.6 : x };
}
