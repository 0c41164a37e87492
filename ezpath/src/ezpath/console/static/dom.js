// Elements without a library: made, and kept in step with data without losing whoever has the focus.

const SVG = "http://www.w3.org/2000/svg";

/** `h("td", {class: "number"}, "12")`. Attributes that are null or false are left out, but ARIA's, which say so. */
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  set(element, attributes);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function set(element, attributes) {
  for (const [name, given] of Object.entries(attributes)) {
    const value = typeof given === "boolean" ? (name.startsWith("aria-") ? String(given) : given ? "" : null) : given;
    if (value === null || value === undefined) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
}

/** Text that has not changed is left alone: a screen reader, or a selection, may be on it. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Children of `parent` for `items`, in order. What has a child by its key keeps it; `make(item)` gives a new one,
 * and `renew(child, item)` brings each up to date.
 */
export function keyed(parent, items, key, make, renew) {
  const there = (parent.keyedChildren ??= new Map());
  const wanted = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    wanted.add(name);
    let child = there.get(name);
    if (!child) there.set(name, (child = make(item)));
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    renew(child, item);
  }
  for (const [name, child] of there) {
    if (!wanted.has(name)) {
      child.remove();
      there.delete(name);
    }
  }
}
