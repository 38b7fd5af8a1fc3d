// The frame of the trace page: its steps (read by trace-tree.js), the selected one, the tabs, keys and splitters.
// The views are in files of their own, which call `add` with what they want to hear of: `start()` when the steps are here, then
// `show(view)`, `select(index, how)`, `change()` (other rows are to be shown or marked), `resize()`, and `ready()` when all have begun.
//
// An element with data-span-id selects that step when it is clicked. The document hears `trace:selected` (detail.spanId) whoever
// selects one, and `trace:range` (detail: { start, end } in ns, or null) when only a part of the time is to be shown.
(function () {
  "use strict";

  const page = document.getElementById("trace");
  const { KINDS, FLAG, readTree } = window.tracestore.tree;
  const { duration, tokens, cost, element } = window.tracestore.words;
  const parts = [];
  const loading = fetch(page.dataset.url + "/tree").then((answer) => {
    if (!answer.ok) throw new Error("The server answered " + answer.status + ".");
    return answer.json();
  });

  // --- The steps ------------------------------------------------------------------------------------------------------

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
  }

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
    if (T.range) setRange(null);
    tell("escape");
  });
  // The list that led here, with the same view. Who is faster than the answer is led on when it has come.
  const walks = document.getElementById("neighbours");
  let awaited = "";

  function walk(where) {
    walks?.querySelector(`[data-walk="${where}"]`).click();
  }

  walks?.addEventListener("click", (event) => {
    const control = event.target.closest("[data-walk]");
    if (!control) return;
    const view = new URL(location.href).searchParams.get("view");
    if (control.dataset.sentence) window.tracestore.show(control.dataset.sentence);
    else if (!control.href) awaited = control.dataset.walk;
    else if (view) {
      const url = new URL(control.href);
      url.searchParams.set("view", view);
      control.href = url;
    }
  });
  walks?.addEventListener("htmx:afterSwap", () => { if (awaited) walk(awaited); });
  window.tracestore.onKey("J", () => walk("after"));
  window.tracestore.onKey("K", () => walk("before"));
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
    matching: new Set(), commands, marks: new Map(), KINDS,
    add: (part) => parts.push(part),
    /** The id of the step above one, "" for none. */
    parentOf(spanId) {
      const index = placeOf(spanId);
      return index < 0 || T.tree.parent[index] < 0 ? "" : idOf(T.tree.parent[index]);
    },
    idOf, placeOf, has, nameOf, kindOf, textOf, criticalOf, below, inRange,
    ...window.tracestore.words, describe, isNarrow, hover, tell, writeAddress,
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
    tell("ready");
    early.forEach((button) => commands[button.dataset.tree](button));
    page.dataset.ready = "true";
  }

  // By then the other files have added their parts, and htmx listens to the views.
  document.addEventListener("DOMContentLoaded", start);
})();
