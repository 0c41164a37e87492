// The head of the page: the connection, the figures, alarms. It alone speaks to screen readers by itself, and seldom.

import { h, keyed, say } from "./dom.js";
import { bitRate, clock, ends } from "./format.js";

const BETWEEN_MS = 4000; // two announcements

export class Head {
  constructor() {
    this.link = document.getElementById("link");
    this.figures = document.getElementById("figures");
    this.share = document.getElementById("share");
    this.alarms = document.getElementById("alarms");
    this.said = document.getElementById("said");
    this.queue = [];
    this.told = null; // outcomes that were told already
    this.wasWell = true;
  }

  draw(state) {
    this.drawLink(state);
    this.drawFigures(state);
    this.drawAlarms(state.health);
    this.tellOutcomes(state.sagas);
  }

  drawLink({ connected, bus }) {
    let [text, kind] = ["connecting …", "waiting"];
    if (!connected && bus) [text, kind] = ["The console does not answer. Trying again; what is shown is not new.", "lost"];
    else if (bus && !bus.connected) {
      [text, kind] = [`NATS at ${bus.server} is away since ${clock(bus.since)}. What is shown is as of then.`, "lost"];
    } else if (bus && connected) [text, kind] = [`NATS ${bus.server}`, "up"];
    if (this.link.dataset.state !== kind) {
      if (kind === "lost" || this.link.dataset.state === "lost") this.announce(text);
      this.link.dataset.state = kind;
      document.body.classList.toggle("stale", kind === "lost");
    }
    say(this.link, text);
  }

  drawFigures({ flows, health }) {
    const { rates, counts } = flows;
    const total = rates.total || 0;
    const pairs = (counts.overlay ?? 0) + (counts.moving ?? 0) + (counts.switch ?? 0);
    const figures = [
      ["all flows", bitRate(total)],
      ["of it on the switches", total ? `${Math.round((100 * rates.switch) / total)} %` : "–"],
      ["pairs on the switches", `${counts.switch ?? 0} of ${pairs}`],
      ["pairs moving", String(counts.moving ?? 0)],
      ["alarms", health ? (health.alarms.length ? String(health.alarms.length) : "none") : "–"],
    ];
    keyed(
      this.figures,
      figures,
      ([name]) => name,
      ([name]) => h("div", {}, h("dt", {}, name), h("dd")),
      (element, [name, value]) => {
        say(element.lastElementChild, value);
        element.classList.toggle("bad", name === "alarms" && value !== "none" && value !== "–");
        element.classList.toggle("good", name === "alarms" && value === "none");
      },
    );
    for (const part of this.share.children) part.style.flexGrow = total ? rates[part.className] / total : 0;
  }

  drawAlarms(health) {
    const alarms = health?.alarms ?? [];
    this.alarms.hidden = !alarms.length;
    keyed(this.alarms.querySelector("ul"), alarms, (text) => text.replace(/\d[\d.]* (ms|s|min|h)\b/, ""), () => h("li"), say);
    if (health && this.wasWell !== !alarms.length) {
      this.announce(alarms.length ? `${alarms.length} alarms. ${alarms[0]}` : "No alarms any more");
      this.wasWell = !alarms.length;
    }
  }

  tellOutcomes(sagas) {
    const outcomes = sagas.flatMap((saga) => saga.outcomes.map((each) => [`${saga.saga} ${each.at}`, saga.pair, each.outcome]));
    if (this.told) {
      for (const [key, pair, outcome] of outcomes) if (!this.told.has(key)) this.announce(`${ends(pair)}: ${outcome}`);
    }
    if (this.told || sagas.length) this.told = new Set(outcomes.map(([key]) => key));
  }

  /** One at a time, and with a pause: whoever listens does something else as well. */
  announce(text) {
    this.queue = [...this.queue.slice(-2), text];
    if (this.speaking) return;
    this.speaking = true;
    const next = () => {
      const words = this.queue.shift();
      if (words === undefined) {
        this.speaking = false;
        return;
      }
      this.said.textContent = words;
      setTimeout(next, BETWEEN_MS);
    };
    next();
  }
}
