// One flow's rate over time, small: what carried it is the ground, what was decided stands on it.

import { svg } from "./dom.js";
import { bitRate, clock, markWords } from "./format.js";

export const HEIGHT = 34;
const CARRIED = ["overlay", "moving", "switch"];
const TOP = 5;
const GAP_S = 5; // longer without a word: the line is not drawn through

/** The picture, and what it says in words. `points`: [at, bits a second, carried]; `from` and `to`: Unix time. */
export function plot(points, marks, from, to, width) {
  const shown = points.filter(([at]) => at >= from - GAP_S);
  const seen = marks.filter(({ at }) => at >= from);
  const most = Math.max(1, ...shown.map(([, rate]) => rate));
  const x = (at) => ((at - from) / (to - from)) * width;
  const y = (rate) => HEIGHT - 1 - (rate / most) * (HEIGHT - 1 - TOP);
  return {
    children: [
      ...grounds(shown, x),
      svg("path", { class: "area", d: lines(shown, x, y).map((line) => `${line.path} L${line.end} ${HEIGHT - 1} L${line.start} ${HEIGHT - 1}Z`).join("") }),
      svg("path", { class: "rate", d: lines(shown, x, y).map((line) => line.path).join("") }),
      ...seen.map((mark) => drawn(mark, x(mark.at))),
    ],
    words: words(shown, seen, most),
    most,
  };
}

/** Without a break where there are points: each stretch, with where it starts and ends. */
function lines(points, x, y) {
  const found = [];
  let before = null;
  for (const [at, rate] of points) {
    const place = x(at).toFixed(1);
    if (before === null || at - before > GAP_S) found.push({ path: `M${place} ${y(rate).toFixed(1)}`, start: place, end: place });
    else {
      found.at(-1).path += `L${place} ${y(rate).toFixed(1)}`;
      found.at(-1).end = place;
    }
    before = at;
  }
  return found;
}

function grounds(points, x) {
  const found = [];
  let open = null;
  for (const [at, , carried] of points) {
    if (open && (open.carried !== carried || at - open.until > GAP_S)) open = null;
    if (!open && CARRIED[carried] !== "overlay") found.push((open = { carried, since: at, until: at }));
    if (open) open.until = at;
  }
  return found.map(({ carried, since, until }) =>
    svg("rect", { class: `ground ${CARRIED[carried]}`, x: x(since).toFixed(1), y: TOP, width: Math.max(1.5, x(until) - x(since)).toFixed(1), height: HEIGHT - TOP - 1 }),
  );
}

function drawn(mark, x) {
  const title = svg("title", {}, `${clock(mark.at, true)} ${markWords(mark)}: ${mark.reason}`);
  const at = x.toFixed(1);
  const shapes = {
    offload: () => svg("path", { class: "mark decided", d: `M${at} ${HEIGHT - 8}l4 7h-8Z` }),
    revert: () => svg("path", { class: "mark decided", d: `M${at} ${HEIGHT - 1}l4 -7h-8Z` }),
    active: () => svg("circle", { class: "mark active", cx: at, cy: TOP, r: 3.5 }),
    reverted: () => svg("circle", { class: "mark reverted", cx: at, cy: TOP, r: 3.5 }),
    "rolled-back": () => svg("path", { class: "mark rolled-back", d: `M${(x - 3.5).toFixed(1)} 1.5l7 7m0 -7l-7 7` }),
  };
  return svg("g", { class: "moment" }, svg("path", { class: "stem", d: `M${at} ${TOP}V${HEIGHT - 1}` }), shapes[mark.what]?.() ?? "", title);
}

function words(points, marks, most) {
  if (!points.length) return "No rate is known";
  const rate = `Rate up to ${bitRate(most)}, now ${bitRate(points.at(-1)[1])}`;
  return [rate, ...marks.map((mark) => `${clock(mark.at)} ${markWords(mark)}`)].join("; ");
}

/** Times below which the plots stand. */
export function axis(from, to, width) {
  const span = to - from;
  const step = [10, 30, 60, 120, 300].find((each) => span / each <= Math.max(2, width / 90)) ?? 600;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at < to; at += step) {
    const x = ((at - from) / span) * width;
    if (x > 24 && x < width - 24) found.push(svg("text", { x: x.toFixed(1), y: 11 }, step % 60 ? clock(at) : clock(at).slice(0, 5)));
  }
  return found;
}
