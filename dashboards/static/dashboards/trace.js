// The frame of the trace page: its steps (packed by dashboards/trace/waterfall.py), the selected one, the tabs, keys and splitters.
// The views are in files of their own, which call `add` with what they want to hear of: `start()` when the steps are here, then
// `show(view)`, `select(index, how)`, `change()` (other rows are to be shown or marked) and `resize()`.
//
// An element with data-span-id selects that step when it is clicked. The document hears `trace:selected` (detail.spanId) whoever
// selects one, and `trace:range` (detail: { start, end } in ns, or null) when only a part of the time is to be shown.
(function () {
  "use strict";

  const page = document.getElementById("trace");
  const search = document.getElementById("trace-search");
  const SVG = "http://www.w3.org/2000/svg";
  const KINDS = ["agent", "llm", "tool", "retriever", "embedding", "chain", "guardrail", "evaluator", "other"];
  const OTHER = KINDS.indexOf("other");
  const CALLS = new Set([KINDS.indexOf("llm"), KINDS.indexOf("embedding")]);
  const FLAG = { error: 1, placeholder: 2, cycle: 4, named: 8, critical: 16 };
  const parts = [];
  const loading = fetch(page.dataset.url + "/tree").then((answer) => {
    if (!answer.ok) throw new Error("The server answered " + answer.status + ".");
    return answer.json();
  });

  // --- The steps ------------------------------------------------------------------------------------------------------

  /** Columns, one place for each row; `end` is the place after the last row below. Offsets and durations are in ns. */
  function readTree(packed) {
    const size = packed.parent.length;
    const tree = {
      size, strings: packed.strings, total: packed.total_ns, ids: packed.ids,
      parent: new Int32Array(packed.parent), offset: new Float64Array(packed.offset_ns), duration: new Float64Array(packed.duration_ns),
      flags: new Uint8Array(packed.flags), name: packed.name, subject: packed.subject, service: packed.service, errorType: packed.error,
      input: packed.input, output: packed.output, cost: packed.cost,
      kind: new Uint8Array(size), depth: new Int32Array(size), end: new Int32Array(size), errorsBelow: new Int32Array(size),
      infra: new Uint8Array(size), last: new Float64Array(size), sumCost: new Float64Array(size), priced: new Uint8Array(size),
      sumInput: new Float64Array(size), sumOutput: new Float64Array(size), critical: new Map(), events: new Map(), handoffs: new Map(),
    };
    const kinds = packed.strings.map((text) => KINDS.indexOf(text));
    let hasAgents = false;
    for (let index = 0; index < size; index += 1) {
      const known = kinds[packed.kind[index]];
      tree.kind[index] = known < 0 ? OTHER : known;
      hasAgents = hasAgents || tree.kind[index] !== OTHER;
      tree.depth[index] = tree.parent[index] < 0 ? 0 : tree.depth[tree.parent[index]] + 1;
      tree.end[index] = index + 1;
      tree.last[index] = tree.offset[index] + tree.duration[index];
    }
    for (let index = size - 1; index >= 0; index -= 1) {
      // A call within a call is the same call seen by two instrumentations: the outer one counts.
      if (CALLS.has(tree.kind[index]) && (tree.input[index] || tree.output[index] || tree.cost[index] !== null)) {
        tree.sumInput[index] = tree.input[index];
        tree.sumOutput[index] = tree.output[index];
        if (tree.cost[index] !== null) tree.sumCost[index] = tree.cost[index];
        if (tree.cost[index] !== null) tree.priced[index] = 1;
      }
      tree.infra[index] = hasAgents && tree.parent[index] >= 0 && tree.kind[index] === OTHER && !(tree.flags[index] & (FLAG.error | FLAG.placeholder)) ? 1 : 0;
      const above = tree.parent[index];
      if (above < 0) continue;
      tree.end[above] = Math.max(tree.end[above], tree.end[index]);
      tree.last[above] = Math.max(tree.last[above], tree.last[index]);
      tree.errorsBelow[above] += tree.errorsBelow[index] + (tree.flags[index] & FLAG.error ? 1 : 0);
      tree.sumCost[above] += tree.sumCost[index];
      tree.sumInput[above] += tree.sumInput[index];
      tree.sumOutput[above] += tree.sumOutput[index];
      tree.priced[above] |= tree.priced[index];
    }
    for (let at = 0; at < packed.critical.length; at += 3) gather(tree.critical, packed.critical, at);
    for (let at = 0; at < packed.events.length; at += 3) gather(tree.events, packed.events, at);
    for (let at = 0; at < packed.handoffs.length; at += 2) tree.handoffs.set(packed.handoffs[at], packed.strings[packed.handoffs[at + 1]]);
    return tree;
  }

  function gather(map, flat, at) {
    if (!map.has(flat[at])) map.set(flat[at], []);
    map.get(flat[at]).push([flat[at + 1], flat[at + 2]]);
  }

  const idOf = (index) => T.tree.ids.slice(index * 16, index * 16 + 16);
  /** The place of a step, -1 when it is not here. One search in the text takes less than a map of 100,000 ids that few ask for. */
  function placeOf(id) {
    if (!T.tree || id.length !== 16) return -1;
    let at = T.tree.ids.indexOf(id);
    while (at >= 0 && (at % 16 || has(at / 16, "placeholder"))) at = T.tree.ids.indexOf(id, at + 1);
    return at < 0 ? -1 : at / 16;
  }
  const has = (index, flag) => Boolean(T.tree.flags[index] & FLAG[flag]);
  const nameOf = (index) => T.tree.strings[T.tree.name[index]] || "(no name)";
  const kindOf = (index) => KINDS[T.tree.kind[index]];
  const textOf = (column, index) => T.tree.strings[T.tree[column][index]];
  /** The stretches of a step, in ns, during which the whole run waited for it. */
  function criticalOf(index) {
    const { offset, duration: lasting, critical } = T.tree;
    if (has(index, "critical")) return [[offset[index], offset[index] + lasting[index]]];
    return (critical.get(index) || []).map(([start, end]) => [offset[index] + start, offset[index] + end]);
  }
  const below = (index) => T.tree.end[index] - index - 1;

  // --- Words and small elements ---------------------------------------------------------------------------------------

  function trim(number, decimals) {
    return String(Number(number.toFixed(decimals)));
  }

  /** As duration_ns in templatetags/formatting.py. */
  function duration(ns) {
    if (ns < 1e3) return trim(ns, 0) + "\u00a0ns";
    if (ns < 1e6) return trim(ns / 1e3, 1) + "\u00a0µs";
    if (ns < 1e9) return trim(ns / 1e6, ns < 1e7 ? 1 : 0) + "\u00a0ms";
    if (ns < 59.95e9) return trim(ns / 1e9, ns < 1e10 ? 2 : 1) + "\u00a0s";
    const seconds = Math.round(ns / 1e9);
    if (seconds < 3600) return twoUnits(seconds, 60, "m", 1, "s");
    return seconds < 86400 ? twoUnits(seconds, 3600, "h", 60, "m") : twoUnits(seconds, 86400, "d", 3600, "h");
  }

  /** As duration_cell there: for a column. */
  function durationCell(ns) {
    return ns >= 995e6 && ns < 59.995e9 ? (ns / 1e9).toFixed(2) + "\u00a0s" : duration(ns);
  }

  function twoUnits(seconds, largeS, large, smallS, small) {
    const rest = Math.floor((seconds % largeS) / smallS);
    return [Math.floor(seconds / largeS), large].concat(rest ? [String(rest).padStart(2, "0"), small] : []).join("\u00a0");
  }

  function tokens(number) {
    if (number < 999.5) return String(number);
    return number < 999500 ? trim(number / 1e3, number < 9950 ? 1 : 0) + "k" : trim(number / 1e6, 1) + "M";
  }

  /** As cost_usd in templatetags/formatting.py. */
  function cost(usd) {
    if (usd < 1e-6) return usd ? "<$0.000001" : "$0";
    if (usd >= 1) return "$" + usd.toLocaleString("en-US", { minimumFractionDigits: usd < 1000 ? 2 : 0, maximumFractionDigits: usd < 1000 ? 2 : 0 });
    return "$" + usd.toFixed(usd >= 0.01 ? 3 : [4, 5, 6, 7].find((decimals) => usd * 10 ** decimals >= 9.5));
  }

  /** As cost_cell there: for a column. */
  function costCell(usd) {
    return usd >= 95e-6 && usd < 0.999995 ? "$" + usd.toFixed(5) : cost(usd);
  }

  const count = (number) => number.toLocaleString("en-US");

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function icon(name, className) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "icon " + (className || ""));
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS(SVG, "use");
    use.setAttribute("href", page.dataset.icons + "#" + name);
    svg.append(use);
    return svg;
  }

  /** A step in words. */
  function describe(index) {
    const { tree } = T;
    const subject = textOf("subject", index);
    const used = tree.input[index] || tree.output[index] ? tokens(tree.input[index]) + " tokens in, " + tokens(tree.output[index]) + " out" : "";
    const failed = has(index, "error") ? "failed" + (textOf("errorType", index) && " with " + textOf("errorType", index)) : "";
    const what = [kindOf(index) === "other" ? "" : kindOf(index), nameOf(index), has(index, "named") ? "" : subject].filter(Boolean).join(" ");
    return [what, failed, duration(tree.duration[index]), used, tree.cost[index] !== null ? cost(tree.cost[index]) : ""].filter(Boolean).join(", ");
  }

  const isNarrow = () => matchMedia("(max-width: 760px)").matches;

  // --- Card that follows the pointer ----------------------------------------------------------------------------------

  const card = document.getElementById("trace-card");
  let cardTimer = 0;

  /** Say what a step is while the pointer rests on its mark. */
  function hover(index, x, y) {
    clearTimeout(cardTimer);
    if (index < 0 || matchMedia("(hover: none)").matches) {
      card.hidden = true;
      return;
    }
    cardTimer = setTimeout(() => {
      const tree = T.tree;
      const lines = [[has(index, "placeholder") ? page.dataset.missingParent : nameOf(index), "card__name"]];
      const what = [kindOf(index), textOf("subject", index), textOf("service", index) && "in " + textOf("service", index)];
      lines.push([what.filter(Boolean).join(" "), "muted"]);
      lines.push([duration(tree.duration[index]) + ", from " + duration(tree.offset[index]), ""]);
      if (tree.input[index] || tree.output[index]) lines.push([tokens(tree.input[index]) + " → " + tokens(tree.output[index]) + " tokens", ""]);
      if (tree.cost[index] !== null) lines.push([cost(tree.cost[index]), ""]);
      const waited = criticalOf(index).reduce((sum, [start, end]) => sum + end - start, 0);
      if (waited) lines.push(["the run waited " + duration(waited) + " for it", "muted"]);
      if (has(index, "error")) lines.push([textOf("errorType", index) || "error", "text-error"]);
      card.replaceChildren(...lines.map(([text, className]) => element("p", className, text)));
      card.hidden = false;
      const box = card.getBoundingClientRect();
      card.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
      card.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18) + "px";
    }, card.hidden ? 250 : 0);
  }

  // --- State, and the address that holds it ---------------------------------------------------------------------------

  function tell(what, ...said) {
    parts.forEach((part) => { if (part[what]) part[what](...said); });
  }

  function writeAddress(name, value) {
    const url = new URL(location.href);
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
    history.replaceState(null, "", url);
  }

  /** `how`: `center` brings the step to the middle of the view; `reveal: false` leaves the view where it is. */
  function select(index, how = {}) {
    if (index < 0 || has(index, "placeholder")) return;
    T.selected = index;
    describeHits();
    tell("select", index, how);
    announce(idOf(index));
  }

  function announce(spanId) {
    if (T.selectedId === spanId) return;
    T.selectedId = spanId;
    writeAddress("span", spanId);
    document.dispatchEvent(new CustomEvent("trace:selected", { detail: { spanId } }));
  }

  /** A link may name a step beyond the ones that are loaded: the panel shows it all the same. */
  function selectId(spanId, how) {
    const place = placeOf(spanId);
    if (place >= 0) select(place, how);
    else announce(spanId);
  }

  /** Show only what ran in a part of the time, offsets in ns; null shows everything. */
  function setRange(range) {
    T.range = range && range.end > range.start ? range : null;
    writeAddress("range", T.range && Math.round(T.range.start) + "-" + Math.round(T.range.end));
    const note = document.getElementById("range-note");
    note.hidden = !T.range;
    if (T.range) note.querySelector("[data-range-text]").textContent = duration(T.range.start) + " – " + duration(T.range.end);
    document.dispatchEvent(new CustomEvent("trace:range", { detail: T.range }));
    tell("change");
    hideOutside();
  }

  /** In views of the server: what did not run in the chosen part of the time is hidden. */
  function hideOutside() {
    page.querySelectorAll("#view-transcript [data-span-id], #view-logs [data-span-id]").forEach((marked) => {
      const index = placeOf(marked.dataset.spanId);
      (marked.closest(".log") || marked).classList.toggle("is-outside", index >= 0 && !inRange(index));
    });
  }

  /** In the tab Logs: each record says its step, and those of the selected one are marked; `scroll` brings the first of them in. */
  function markRecords(scroll) {
    let first = null;
    page.querySelectorAll("#view-logs .log").forEach((record) => {
      const spanId = record.querySelector("a[data-span-id]")?.dataset.spanId;
      const place = spanId ? placeOf(spanId) : -1;
      const isOn = Boolean(spanId) && spanId === T.selectedId;
      const name = record.querySelector(".log__step");
      if (place >= 0 && !name.textContent) name.textContent = T.tree.strings[T.tree.name[place]];
      record.classList.toggle("log--selected", isOn);
      if (isOn) first ??= record;
    });
    if (first && scroll) bringIn(first);
  }

  function bringIn(marked) {
    const view = marked.closest(".view");
    const [box, room] = [marked, view].map((element) => element.getBoundingClientRect());
    if (box.top < room.top || box.bottom > room.bottom) view.scrollTop += box.top - room.top - room.height / 3; // and not the page
  }

  // In the tab Raw: the text around the selected step, once it has stayed selected for a moment.
  const raw = document.getElementById("view-raw");
  let rawTimer = 0;
  let rawId = null; // the step whose text was asked for

  function showRaw() {
    clearTimeout(rawTimer);
    if (raw.hidden || rawId === T.selectedId) return;
    rawTimer = setTimeout(() => {
      rawId = T.selectedId;
      raw.dispatchEvent(new CustomEvent("stepshown"));
    }, rawId === null ? 0 : 150);
  }

  raw.addEventListener("viewshown", showRaw);
  document.addEventListener("trace:selected", showRaw);
  raw.addEventListener("htmx:configRequest", (event) => {
    const { parameters } = event.detail;
    if (T.selectedId) parameters.span = T.selectedId;
    const form = raw.querySelector("[data-form]")?.dataset.form || new URL(location.href).searchParams.get("format");
    if (event.target === raw && form) parameters.format = form;
  });
  raw.addEventListener("htmx:afterSwap", () => {
    const form = raw.querySelector("[data-form]")?.dataset.form;
    if (form !== "otlp" || new URL(location.href).searchParams.has("format")) writeAddress("format", form);
    const own = document.getElementById("raw-step");
    if (own) bringIn(own);
  });

  document.addEventListener("trace:selected", () => { if (T.tree) markRecords(!document.activeElement?.closest("#view-logs")); });

  page.addEventListener("htmx:afterSettle", () => {
    if (!T.tree) return;
    if (T.range) hideOutside();
    markRecords(false);
  });

  function readRange() {
    const found = /^(\d{1,18})-(\d{1,18})$/.exec(new URL(location.href).searchParams.get("range") || "");
    return found && Number(found[2]) > Number(found[1]) ? { start: Number(found[1]), end: Number(found[2]) } : null;
  }

  function inRange(index) {
    return !T.range || (T.tree.offset[index] <= T.range.end && T.tree.offset[index] + T.tree.duration[index] >= T.range.start);
  }

  /** Select the next (or previous) of some rows after the selected one, around the end. `places` is in order. */
  function step(places, direction) {
    if (!places.length) return;
    const after = direction > 0 ? places.find((index) => index > T.selected) : places.findLast((index) => index < T.selected);
    select(after === undefined ? places[direction > 0 ? 0 : places.length - 1] : after, { center: true });
  }

  let errors = null;
  function errorPlaces() {
    if (!errors) errors = [...T.tree.flags.keys()].filter((index) => has(index, "error"));
    return errors;
  }

  // --- Views ----------------------------------------------------------------------------------------------------------

  function showView(name) {
    const wanted = document.getElementById(page.querySelector('[data-show="' + name + '"]').getAttribute("aria-controls"));
    page.querySelectorAll("[data-view]").forEach((view) => { view.hidden = view !== wanted; });
    page.querySelectorAll("[data-show]").forEach((button) => {
      const on = button.dataset.show === name;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
    });
    page.dataset.view = T.view = name;
    writeAddress("view", name);
    wanted.dispatchEvent(new CustomEvent("viewshown"));
    if (T.tree) tell("show", name);
  }

  page.querySelector(".views__tabs").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const buttons = [...page.querySelectorAll("[data-show]")];
    const at = buttons.indexOf(event.target.closest("[data-show]"));
    const next = buttons[(at + (event.key === "ArrowRight" ? 1 : buttons.length - 1)) % buttons.length];
    showView(next.dataset.show);
    next.focus();
    event.preventDefault();
    event.stopPropagation();
  });

  // --- Search: names at once, payloads by the server ------------------------------------------------------------------

  const hits = document.getElementById("trace-hits");
  let searchTimer = 0;
  let searchRequest = null;

  function find() {
    const tree = T.tree;
    const wanted = search.value.trim().toLowerCase();
    clearTimeout(searchTimer);
    if (searchRequest) searchRequest.abort();
    T.matches = [];
    T.searching = "";
    if (wanted && tree) {
      const texts = tree.strings.map((text) => text.toLowerCase().includes(wanted));
      for (let index = 0; index < tree.size; index += 1) {
        if (texts[tree.name[index]] || texts[tree.subject[index]] || texts[tree.errorType[index]]) T.matches.push(index);
      }
      if (placeOf(wanted) >= 0) T.matches.push(placeOf(wanted));
      if (wanted.length > 1) {
        T.searching = "…";
        searchTimer = setTimeout(() => findInPayloads(wanted), 250);
      }
    }
    showMatches();
  }

  async function findInPayloads(wanted) {
    searchRequest = new AbortController();
    try {
      const answer = await fetch(page.dataset.url + "/search?q=" + encodeURIComponent(wanted), { signal: searchRequest.signal });
      if (!answer.ok) throw new Error(await answer.text());
      const found = await answer.json();
      const ids = new Set(found.spans);
      const names = new Set(T.matches);
      T.matches = [...T.tree.parent.keys()].filter((index) => names.has(index) || (ids.has(idOf(index)) && !has(index, "placeholder")));
      T.searching = found.more ? "+" : "";
    } catch (error) {
      if (error.name === "AbortError") return;
      T.searching = "";
      window.tracestore.show("Only names were searched. " + error.message, "error");
    }
    showMatches();
  }

  function showMatches() {
    T.matching = new Set(T.matches);
    describeHits();
    if (T.tree) tell("change");
  }

  function describeHits() {
    const place = T.matches.indexOf(T.selected);
    const words = T.matches.length ? (place >= 0 ? place + 1 + "/" : "") + count(T.matches.length) + T.searching : T.searching || "none";
    hits.textContent = search.value.trim() ? words : "";
  }

  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      step(T.matches, event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      search.value = "";
      find();
    }
  });

  // --- Pointer --------------------------------------------------------------------------------------------------------

  const commands = {
    "next-error"() { step(errorPlaces(), 1); },
    "clear-range"() { setRange(null); },
    back() { document.getElementById("views").scrollIntoView({ behavior: "smooth", block: "start" }); },
  };

  const early = []; // buttons that were clicked before the steps were here
  page.addEventListener("click", (event) => {
    const button = event.target.closest("[data-tree]");
    if (button && commands[button.dataset.tree]) {
      if (T.tree || button.dataset.tree === "back") commands[button.dataset.tree](button);
      else early.push(button);
    }
    const shown = event.target.closest("[data-show]");
    if (shown) showView(shown.dataset.show);
    const marked = event.target.closest("[data-span-id]");
    const control = event.target.closest("a, button, input, select, textarea");
    if (marked && (!control || control === marked || !marked.contains(control))) { // what stands in a marked element keeps its own meaning
      if (control === marked) event.preventDefault();
      T.lead = isNarrow();
      selectId(marked.dataset.spanId, { center: !marked.closest(".trow"), reveal: !marked.closest(".trow") });
      tell("lead");
    }
    const share = event.target.closest("[data-copy-link]");
    if (share) {
      share.dataset.copy = location.href;
      window.tracestore.actions.copy(share);
    }
  });

  // The record opened last in the tab Logs stands in the address.
  document.getElementById("view-logs").addEventListener("toggle", (event) => {
    const { record } = event.target.dataset;
    if (!record) return;
    if (event.target.open) writeAddress("record", record);
    else if (new URL(location.href).searchParams.get("record") === record) writeAddress("record", null);
  }, true);

  // --- Keys -----------------------------------------------------------------------------------------------------------

  /** A key for which the steps must be here. */
  function onKey(key, action) {
    window.tracestore.onKey(key, (event) => (T.tree ? action(event) : false));
  }

  onKey("e", () => step(errorPlaces(), 1));
  onKey("E", () => step(errorPlaces(), -1));
  onKey("r", () => {
    const { offset, duration: lasting } = T.tree;
    if (T.range || T.selected < 0) setRange(null);
    else setRange({ start: offset[T.selected], end: offset[T.selected] + lasting[T.selected] });
  });
  onKey("Escape", () => {
    if (search.value) { search.value = ""; find(); }
    if (T.range) setRange(null);
    tell("escape");
  });
  [...page.querySelectorAll("[data-show]")].forEach((button, place) => window.tracestore.onKey(String(place + 1), () => { showView(button.dataset.show); }));

  // --- Splitters ------------------------------------------------------------------------------------------------------

  function remembered(name) {
    try { return Number(localStorage.getItem("trace." + name)); } catch { return 0; }
  }

  /** Let a line be dragged or moved with the arrow keys; it sets --name on the page and is remembered. `sign` is -1 on the right. */
  function splitter(handle, name, sign, read, limits) {
    function set(size) {
      const [least, most] = limits();
      const clamped = Math.round(Math.min(most, Math.max(least, size)));
      page.style.setProperty("--" + name, clamped + "px");
      handle.setAttribute("aria-valuenow", clamped);
      try { localStorage.setItem("trace." + name, clamped); } catch { /* private mode: not remembered */ }
      if (T.tree) tell("resize");
    }
    if (remembered(name) > 0) set(remembered(name));
    else handle.setAttribute("aria-valuenow", Math.round(read()));
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
      const start = { at: event.clientX, size: read() };
      const onMove = (moved) => set(start.size + sign * (moved.clientX - start.at));
      handle.addEventListener("pointermove", onMove);
      handle.addEventListener("pointerup", () => handle.removeEventListener("pointermove", onMove), { once: true });
    });
    handle.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      set(read() + (event.key === "ArrowRight" ? 1 : -1) * sign * 24);
      event.preventDefault();
      event.stopPropagation();
    });
  }

  /** What steps repeat comes after the steps: reading arguments takes longer. */
  function readMarks() {
    const said = document.getElementById("repeat-marks");
    if (!said || T.marks.size) return;
    T.marks = new Map(Object.entries(JSON.parse(said.textContent)));
    if (T.tree) tell("mark");
  }
  page.addEventListener("htmx:afterSettle", readMarks);

  // --- Start ----------------------------------------------------------------------------------------------------------

  const T = {
    page, tree: null, selected: -1, selectedId: page.dataset.selected, view: page.dataset.view, range: null, lead: false,
    matches: [], matching: new Set(), searching: "", commands, marks: new Map(), KINDS,
    add: (part) => parts.push(part),
    /** The id of the step above one, "" for none. */
    parentOf(spanId) {
      const index = placeOf(spanId);
      return index < 0 || T.tree.parent[index] < 0 ? "" : idOf(T.tree.parent[index]);
    },
    idOf, has, nameOf, kindOf, textOf, criticalOf, below, inRange,
    duration, durationCell, tokens, cost, costCell, count, describe, element, icon, isNarrow, hover,
    select, selectId, setRange, step, showView, splitter, onKey,
  };
  window.tracestore.trace = T;

  async function start() {
    page.querySelector("[data-view]:not([hidden])").dispatchEvent(new CustomEvent("viewshown"));
    const panel = document.getElementById("panel");
    splitter(document.getElementById("pane-splitter"), "panel", -1, () => panel.offsetWidth, () => [320, Math.max(360, page.clientWidth - 420)]);
    if (T.selectedId) document.dispatchEvent(new CustomEvent("trace:selected", { detail: { spanId: T.selectedId } }));
    try {
      T.tree = readTree(await loading);
    } catch (error) {
      window.tracestore.show("The steps could not be loaded. " + error.message + " Reload the page to try again.", "error");
      return;
    }
    T.selected = placeOf(T.selectedId);
    T.range = readRange();
    tell("start");
    if (T.range) setRange(T.range);
    readMarks();
    tell("show", T.view);
    if (!T.selectedId) select([...T.tree.flags.keys()].find((index) => !has(index, "placeholder")) ?? -1);
    if (T.selectedId && T.selected < 0 && panel.querySelector("h2 .step__name")) document.getElementById("detached-note")?.removeAttribute("hidden");
    if (search.value) find();
    markRecords(true); // the records may have come before the steps
    early.forEach((button) => commands[button.dataset.tree](button));
    page.dataset.ready = "true";
  }

  // By then the other files have added their parts, and htmx listens to the views.
  document.addEventListener("DOMContentLoaded", start);
})();
