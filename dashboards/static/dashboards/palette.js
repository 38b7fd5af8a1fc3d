// Ctrl-K or Cmd-K on any page: pages, saved views, recent queries, a trace by its id, or a search for what is typed.
(function () {
  "use strict";
  const palette = document.getElementById("palette");
  if (!palette) return; // the login page

  const input = document.getElementById("palette-input");
  const list = document.getElementById("palette-items");
  const traces = palette.dataset.traces;
  const RECENT = "recent-queries";
  const MOST_RECENT = 20;
  const MOST_SHOWN = 50;
  // A trace id, alone or in a W3C traceparent with the id of a span.
  const TRACE_ID = /^(?:00-)?([0-9a-f]{32})(?:-([0-9a-f]{16})(?:-[0-9a-f]{2})?)?$/i;
  const START_OF_ID = /^[0-9a-f]{6,31}$/i;
  let views = [];
  let isLoaded = false;
  let items = [];
  let active = 0;

  function readRecent() {
    try {
      const kept = JSON.parse(localStorage.getItem(RECENT) || "[]");
      return Array.isArray(kept) ? kept.filter((query) => typeof query === "string").slice(0, MOST_RECENT) : [];
    } catch {
      return []; // no storage, or not ours
    }
  }

  /** A search that worked is worth offering again. */
  function keepRecent() {
    const query = new URLSearchParams(location.search).get("q");
    if (location.pathname !== traces || !query || !document.getElementById("traces")) return;
    try {
      localStorage.setItem(RECENT, JSON.stringify([query, ...readRecent().filter((other) => other !== query)].slice(0, MOST_RECENT)));
    } catch {
      // Without storage there are no recent queries.
    }
  }

  function searchFor(query, start) {
    return traces + "?" + new URLSearchParams(start ? { q: query, start } : { q: query });
  }

  function offersFor(text) {
    const typed = text.trim();
    const words = typed.toLowerCase().split(/\s+/);
    const matches = (item) => words.every((word) => item.label.toLowerCase().includes(word));
    const id = typed.match(TRACE_ID);
    const direct = [];
    if (id) direct.push({ group: "Open", label: "Trace " + id[1].toLowerCase(), href: traces + "/" + id[1].toLowerCase() + (id[2] ? "?span=" + id[2].toLowerCase() : "") });
    else if (START_OF_ID.test(typed)) direct.push({ group: "Open", label: "Trace that begins with " + typed, href: searchFor("trace:" + typed + "*", "now-30d") });
    const pages = [...document.querySelectorAll("#topbar-nav a")].map((link) => ({
      group: "Pages", label: [...link.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.textContent).join("").trim(), href: link.href,
      keys: link.dataset.key,
    }));
    pages.push({ group: "Pages", label: "Saved views", href: traces + "/views" });
    // The pages of Setup, which the bar above leads to in two steps.
    for (const link of document.getElementById("palette-pages").content.querySelectorAll("a")) pages.push({ group: "Pages", label: link.textContent, href: link.getAttribute("href") });
    const commands = [
      { group: "Do", label: "Switch between light and dark", run: window.tracestore.actions.theme },
      { group: "Do", label: "Show keyboard shortcuts", run: window.tracestore.actions.help },
    ];
    const saved = views.map((view) => ({ group: "Saved views", label: view.name + (view.by && " · by " + view.by), href: view.href }));
    const recent = readRecent().map((query) => ({ group: "Recent queries", label: query, href: searchFor(query), isCode: true }));
    const search = typed && !id ? [{ group: "Search", label: "Traces: " + typed, href: searchFor(typed) }] : [];
    return [...direct, ...[...pages, ...saved, ...recent, ...commands].filter(matches), ...search].slice(0, MOST_SHOWN);
  }

  /** The keys that lead to a page without the palette. */
  function keysOf(item) {
    if (!item.keys) return [];
    const keys = document.createElement("span");
    keys.className = "row wide-only";
    keys.setAttribute("aria-hidden", "true"); // the list of shortcuts tells them
    for (const key of item.keys.split(" ")) keys.append(Object.assign(document.createElement("kbd"), { className: "kbd", textContent: key }));
    return [keys];
  }

  function draw() {
    items = offersFor(input.value);
    const drawn = [];
    items.forEach((item, index) => {
      if (item.group !== items[index - 1]?.group) {
        const title = document.createElement("li");
        title.className = "palette__group";
        title.setAttribute("role", "presentation");
        title.textContent = item.group;
        drawn.push(title);
      }
      const option = document.createElement("li");
      const label = document.createElement(item.isCode ? "code" : "bdi");
      label.textContent = item.label;
      label.className = "truncate grow";
      option.id = "palette-item-" + index;
      option.className = "palette__item";
      option.dataset.index = String(index);
      option.setAttribute("role", "option");
      option.append(label, ...keysOf(item));
      drawn.push(option);
    });
    list.replaceChildren(...drawn);
    activate(0);
  }

  function activate(index) {
    active = index;
    list.querySelectorAll("[role=option]").forEach((option) => option.setAttribute("aria-selected", String(Number(option.dataset.index) === index)));
    const option = document.getElementById("palette-item-" + index);
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  function choose(index) {
    const item = items[index];
    if (!item) return;
    palette.close();
    if (item.run) item.run();
    else location.href = item.href;
  }

  async function load() {
    if (isLoaded) return;
    isLoaded = true;
    try {
      const answer = await fetch(palette.dataset.views);
      if (!answer.ok) return;
      views = (await answer.json()).views;
      if (!palette.open) return;
      const kept = items[active]; // chosen while these were on their way
      draw();
      activate(Math.max(0, items.findIndex((item) => kept && item.group === kept.group && item.label === kept.label)));
    } catch {
      isLoaded = false; // without a network the rest still works
    }
  }

  function open() {
    if (palette.open) return;
    input.value = "";
    palette.showModal();
    draw();
    load();
  }

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (palette.open) palette.close();
      else if (!document.querySelector("dialog[open]")) open();
    }
  });
  input.addEventListener("input", draw);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && items.length) {
      event.preventDefault();
      activate((active + step + items.length) % items.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(active);
    } else if (event.key === "Escape") {
      event.preventDefault(); // the page's own Escape only takes the focus away
      event.stopPropagation();
      palette.close();
    }
  });
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(Number(option.dataset.index));
  });
  // What somebody searched for is nothing for the next one at this screen.
  document.querySelector("form[action$='/logout']")?.addEventListener("submit", () => localStorage.removeItem(RECENT));
  window.tracestore.actions.palette = open;
  keepRecent();
})();
