// The tabs pattern of the WAI-ARIA Authoring Practices: one tab in the tab order, arrow keys between them.

import { el } from "./dom.js";

/**
 * Return the list of tabs and their panels. `pages` are {id, title, render}; `render` gives a node, or a promise of
 * one, and is called when its tab is opened for the first time.
 */
export function tabs(label, pages) {
  const buttons = pages.map((page) => tabButton(page, () => open(page.id)));
  const panels = pages.map((page) =>
    el("section", { role: "tabpanel", id: `panel-${page.id}`, "aria-labelledby": `tab-${page.id}`, tabindex: "0" }),
  );
  const rendered = new Set();

  function open(id) {
    pages.forEach((page, i) => {
      const selected = page.id === id;
      buttons[i].setAttribute("aria-selected", String(selected));
      buttons[i].tabIndex = selected ? 0 : -1;
      panels[i].hidden = !selected;
      if (selected && !rendered.has(id)) {
        rendered.add(id);
        fillPanel(panels[i], page.render);
      }
    });
  }

  const list = el(
    "div",
    { role: "tablist", "aria-label": label, onkeydown: (event) => moveFocus(event, buttons) },
    buttons,
  );
  open(pages[0].id);
  return [list, ...panels];
}

function tabButton(page, onclick) {
  const attributes = { role: "tab", type: "button", id: `tab-${page.id}`, "aria-controls": `panel-${page.id}` };
  return el("button", { ...attributes, onclick }, page.title);
}

function moveFocus(event, buttons) {
  const last = buttons.length - 1;
  const now = buttons.indexOf(document.activeElement);
  const next = { ArrowRight: now === last ? 0 : now + 1, ArrowLeft: now === 0 ? last : now - 1, Home: 0, End: last };
  if (now < 0 || !(event.key in next)) return;
  event.preventDefault();
  buttons[next[event.key]].focus();
  buttons[next[event.key]].click();
}

async function fillPanel(panel, render) {
  panel.setAttribute("aria-busy", "true");
  try {
    panel.replaceChildren(await render());
  } catch (error) {
    panel.replaceChildren(el("p", { role: "alert", class: "problem" }, error.message));
  }
  panel.removeAttribute("aria-busy");
}
