// Elements from data. Whatever a run holds becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return an HTML element; attributes that are null are left out, `on…` functions listen to events. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Return an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Return the text with what stands between backticks as code. */
export function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
}

/** Return a name that may be broken after its joints: `_`, `+`, `::`, `<` and the like. */
export function breakable(name) {
  return name.split(/(?<=[_+:<>(),.])(?=[^:])/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));
}

/** Return a sentence that stands in place of what is not there. */
export function absent(text) {
  return el("p", { class: "absent" }, prose(text));
}

let counter = 0;

/** Return a name that no other element of the page has. */
export function uniqueId(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}

/** Return a labelled choice; `options` are [value, text] pairs, `onchange` gets the value. */
export function choice(label, options, selected, onchange) {
  const id = uniqueId("choice");
  const select = el("select", { id, onchange: () => onchange(select.value) });
  for (const [value, text] of options) {
    select.append(el("option", { value, selected: value === selected ? "" : null }, text));
  }
  return el("span", { class: "choice" }, el("label", { for: id }, label), select);
}
