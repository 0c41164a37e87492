// Puts the page together: what the server says goes into the state, and the state is drawn once a frame.

import { Flows } from "./flows.js";
import { Head } from "./head.js";
import { Journal } from "./journal.js";
import { Live } from "./live.js";
import { Sagas } from "./sagas.js";
import { Targets } from "./targets.js";
import { Topology } from "./topology.js";

const live = new Live("/events");
const state = {
  bus: null,
  network: { switches: [], tenants: [] },
  flows: { at: 0, flows: [], rates: {}, counts: {}, left_out: 0 },
  marks: {},
  sagas: [],
  targets: [],
  health: null,
  connected: false,
  selected: null,
  now: () => live.now(),
};
const select = (pair) => {
  state.selected = state.selected === pair ? null : pair;
  draw();
};

const flows = new Flows(select);
const journal = new Journal();
const head = new Head();
const views = [head, new Topology(select), new Targets(), flows, new Sagas(), journal];

let paused = false;
let asked = false;

/** Draw soon, once, however much has changed. */
function draw() {
  if (asked || paused) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    for (const view of views) view.draw(state);
  });
}

for (const part of ["bus", "network", "flows", "marks", "sagas", "targets", "health"]) {
  live.on(part, (data) => {
    state[part] = data;
    draw();
  });
}
live.on("points", (data) => {
  flows.extend(data);
  draw();
});
live.on("journal", (data) => {
  journal.extend(data);
  draw();
});
live.on("hello", () => {
  state.connected = true;
  flows.begin();
  journal.begin();
  draw();
});
live.on("lost", () => {
  state.connected = false;
  draw();
});
live.on("beat", draw);
setInterval(draw, 1000); // time goes on without events
addEventListener("resize", draw);
journal.changed = draw;
flows.changed = draw;

document.getElementById("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.currentTarget.setAttribute("aria-pressed", paused);
  document.body.classList.toggle("paused", paused);
  draw();
});
