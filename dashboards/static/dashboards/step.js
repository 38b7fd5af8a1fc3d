// Texts in the panel of a step: as Markdown, as a tree of JSON or as they are.
(function () {
  "use strict";

  const PAGE = 100; // entries of an object or list that are drawn at once
  const chosen = new WeakMap(); // text -> the button that was pressed last

  // --- Texts ----------------------------------------------------------------------------------------------------------

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-text-mode]");
    if (!button) return;
    const text = button.closest("[data-text]");
    const mode = button.dataset.textMode;
    chosen.set(text, button);
    try {
      if (mode !== "plain" && !findView(text, mode)) await addView(text, mode, button.dataset.url);
    } catch (error) {
      window.tracestore.show(error.message, "error");
      return;
    }
    if (chosen.get(text) !== button) return; // while this one was on its way
    text.querySelector("pre").hidden = mode !== "plain";
    text.querySelectorAll("[data-text-view]").forEach((view) => { view.hidden = view.dataset.textView !== mode; });
    text.querySelectorAll("[data-text-mode]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
  });

  function findView(text, mode) {
    return text.querySelector('[data-text-view="' + mode + '"]');
  }

  async function addView(text, mode, url) {
    const view = document.createElement("div");
    view.dataset.textView = mode;
    view.hidden = true; // until it is known that it is still wanted
    if (mode === "markdown") {
      view.className = "md";
      view.innerHTML = await load(url); // laid out by the server, which lets no HTML of others through
    } else {
      view.className = "json";
      view.append(drawTree(url ? await load(url) : text.querySelector("pre").textContent));
    }
    if (!findView(text, mode)) text.querySelector("pre").before(view); // asked for twice, it comes twice
  }

  async function load(url) {
    const answer = await fetch(url, { headers: { "HX-Request": "true" } });
    if (!answer.ok) throw new Error("This text could not be loaded: the server answered " + answer.status + ".");
    return answer.text();
  }

  // As dashboards/text.py: what is invisible, or reorders its neighbours, is named.
  const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

  function makeVisible(text) {
    return text.replace(INVISIBLE, (character) => "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0"));
  }

  // --- JSON -----------------------------------------------------------------------------------------------------------

  /** A tree in which each level is drawn when it is opened. */
  function drawTree(text) {
    let value;
    try {
      // A number as it was written: a long id would lose digits.
      value = JSON.parse(text, (key, read, context) => (typeof read === "number" && context && context.source && String(read) !== context.source ? new Literal(context.source) : read));
    } catch {
      throw new Error("This is not JSON, or was cut when it was recorded.");
    }
    const root = drawEntry("", value);
    if (root.tagName === "DETAILS") root.open = true;
    return root;
  }

  class Literal { constructor(source) { this.source = source; } }

  function drawEntry(key, value) {
    const isList = Array.isArray(value);
    if (value === null || typeof value !== "object" || value instanceof Literal) {
      const line = document.createElement("div");
      line.className = "json__line";
      line.append(...label(key), scalar(value));
      return line;
    }
    const names = isList ? null : Object.keys(value);
    const size = isList ? value.length : names.length;
    const branch = document.createElement("details");
    branch.className = "json__branch";
    const head = document.createElement("summary");
    const count = document.createElement("span");
    count.className = "muted";
    count.textContent = isList ? "[" + size + "]" : "{" + size + "} " + makeVisible(names.slice(0, 4).join(", ")) + (size > 4 ? ", …" : "");
    head.append(...label(key), count);
    branch.append(head);
    branch.addEventListener("toggle", () => addEntries(branch, value, names, 0), { once: true });
    return branch;
  }

  function addEntries(branch, value, names, from) {
    const size = names ? names.length : value.length;
    for (let place = from; place < Math.min(size, from + PAGE); place += 1) {
      const key = names ? names[place] : String(place);
      branch.append(drawEntry(key, value[key]));
    }
    if (size <= from + PAGE) return;
    const more = document.createElement("button");
    more.type = "button";
    more.className = "text__more";
    more.textContent = (size - from - PAGE).toLocaleString("en") + " more";
    more.addEventListener("click", () => { more.remove(); addEntries(branch, value, names, from + PAGE); });
    branch.append(more);
  }

  function label(key) {
    if (!key) return [];
    const name = document.createElement("span");
    name.className = "json__key";
    name.textContent = makeVisible(key);
    return [name, ": "];
  }

  function scalar(value) {
    const shown = document.createElement("span");
    const kind = value === null ? "null" : value instanceof Literal ? "number" : typeof value;
    shown.className = "json__" + kind;
    shown.textContent = value instanceof Literal ? value.source : typeof value === "string" ? '"' + makeVisible(value) + '"' : String(value);
    return shown;
  }
})();
