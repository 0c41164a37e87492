// The newest sagas: each way, there and back, as a bar of its phases; opened, each phase with who did it.

import { h, keyed, say } from "./dom.js";
import { clock, duration, ends } from "./format.js";

const SHOWN = 12;

export class Sagas {
  constructor() {
    this.list = document.querySelector("#sagas ol");
    this.rest = document.getElementById("sagas-rest");
  }

  draw({ sagas, selected, now }) {
    const wanted = sagas.filter((saga) => !selected || saga.pair === selected).slice(0, SHOWN);
    this.rest.hidden = wanted.length > 0;
    say(this.rest, selected ? `No saga of ${selected} of late.` : "No pair has been moved of late.");
    keyed(this.list, wanted, (saga) => saga.saga, make, (element, saga) => renew(element, saga, now()));
  }
}

function make(saga) {
  return h(
    "li",
    {},
    h(
      "details",
      {},
      h("summary", {}, h("time"), h("span", { class: "pair", title: saga.saga }, ends(saga.pair)), h("span", { class: "verdict" }), h("span", { class: "ways" })),
      h("div", { class: "story", tabindex: "0", role: "group", "aria-label": "Each phase" }),
    ),
  );
}

function renew(element, saga, now) {
  const text = JSON.stringify(saga);
  if (element.told === text && saga.rests) return; // nothing new, and nothing that goes on
  element.told = text;
  const [summary, story] = element.firstElementChild.children;
  const [time, , verdict, ways] = summary.children;
  const began = saga.ways[0]?.[0]?.at ?? saga.outcomes[0]?.at;
  say(time, clock(began));
  say(verdict, saga.outcomes.length ? saga.outcomes.map((each) => `${each.outcome} ${duration(each.took_ms)}`).join(", ") : saga.phase);
  verdict.className = `verdict ${saga.rests ? (saga.outcomes.at(-1)?.outcome ?? "") : "moving"}`;
  ways.replaceChildren(...saga.ways.map((way) => bar(way, now)));
  story.replaceChildren(...saga.asked.map((each) => h("p", {}, `${clock(each.at, true)} ${each.what} asked for: ${each.reason}`)), table(saga, now));
}

/** A way to its own scale; phases too short to have a name have it in the table. */
function bar(way, now) {
  const phases = way.filter((stage) => !stage.rests);
  const whole = phases.reduce((sum, stage) => sum + took(stage, now), 0);
  const element = h("span", { class: "way", "aria-hidden": "true" });
  for (const stage of phases) {
    const part = h("i", { class: `${sort(stage)}${stage.again ? " again" : ""}`, title: `${stage.phase} ${duration(took(stage, now))}` }, stage.phase);
    part.style.flexGrow = whole ? took(stage, now) / whole : 1;
    element.append(part);
  }
  return element;
}

function table(saga, now) {
  const said = new Set();
  const news = (text) => (said.has(text) ? "" : said.add(text) && text); // a reason is carried on from phase to phase
  const rows = saga.ways.flat().map((stage) => {
    const who = stage.parts.map(words);
    const why = news(stage.reason);
    for (const part of stage.parts) if (part.reason) said.add(`${part.target}: ${part.reason}`);
    return h(
      "tr",
      { class: stage.parts.some((part) => part.ok === false) || stage.phase === "rolled-back" ? "bad" : stage.rests ? "rests" : null },
      h("td", {}, clock(stage.at, true)),
      h("th", { scope: "row" }, stage.again ? `${stage.phase}, again` : stage.phase),
      h("td", { class: "number" }, stage.rests ? "" : duration(took(stage, now))),
      h("td", { class: "why" }, [...who, why].filter(Boolean).join("; ")),
    );
  });
  const head = h("tr", {}, ...["Time", "Phase", "Took", "Who and why"].map((text) => h("th", { scope: "col", class: text === "Took" ? "number" : null }, text)));
  return h("table", { "aria-label": `Phases of ${saga.saga}` }, h("thead", {}, head), h("tbody", {}, ...rows));
}

function words(part) {
  if (part.ok === null) return `${part.target} (no answer)`;
  return part.ok ? `${part.target} ${duration(part.took_ms ?? 0)}` : `${part.target} FAILED: ${part.reason}`;
}

/** The last phase of a saga under way has no end yet. */
function took(stage, now) {
  return stage.took_ms ?? Math.max(0, now - stage.at) * 1000;
}

function sort(stage) {
  return stage.phase.startsWith("switch") ? "on-switch" : stage.phase.startsWith("host") ? "on-host" : "waits";
}
