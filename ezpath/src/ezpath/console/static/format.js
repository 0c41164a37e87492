// Values as people read them; the same words as `ezpath` has in a terminal.

const UNITS = [["Gbit/s", 1e9], ["Mbit/s", 1e6], ["kbit/s", 1e3]];

export function bitRate(bitsPerSecond) {
  for (const [unit, size] of UNITS) {
    if (bitsPerSecond >= size) {
      const value = bitsPerSecond / size;
      return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
    }
  }
  return `${Math.round(bitsPerSecond)} bit/s`;
}

export function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** Local time of day; to the millisecond where `precise`. */
export function clock(at, precise = false) {
  const time = new Date(at * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const text = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return precise ? `${text}.${String(time.getMilliseconds()).padStart(3, "0")}` : text;
}

/** `red.red-11.red-21` as its two ends. */
export function ends(pair) {
  const [, one, other] = pair.split(".");
  return `${one} – ${other}`;
}

const CARRIED = { overlay: "hosts", switch: "switches", moving: "moving" };

/** Who carries a flow. While it moves, the phase that it is in. */
export function carried(flow) {
  return flow.where === "moving" && flow.phase ? flow.phase : CARRIED[flow.where];
}

const DECIDED = { offload: "offload decided", revert: "revert decided", "rolled-back": "rolled back" };

export function markWords(mark) {
  return DECIDED[mark.what] ?? mark.what;
}
