// The trace page: the tree with its bars (only the rows in view exist in the document), selection, search, zoom, splitters
// and the panel of the selected step. Reads the rows that dashboards/waterfall.py packed.
(function () {
  "use strict";

  const page = document.getElementById("trace");
  const body = document.getElementById("tree-body");
  const space = document.getElementById("tree-space");
  const holder = document.getElementById("tree-rows");
  const axis = document.getElementById("tree-axis");
  const panel = document.getElementById("panel");
  const search = document.getElementById("tree-search");
  const hits = document.getElementById("tree-hits");
  const SVG = "http://www.w3.org/2000/svg";
  const KINDS = new Set(["agent", "llm", "tool", "retriever", "embedding", "chain", "guardrail", "evaluator", "other"]);
  const FLAG = { error: 1, placeholder: 2, cycle: 4 };
  const OVERSCAN = 10;
  const MAX_INDENT = 14; // deeper levels share an indent: a chain of 5,000 steps must still show its names

  const packed = JSON.parse(document.getElementById("tree-data").textContent);
  const rows = packed.rows.map(unpack);
  const byId = new Map();
  rows.forEach((row, index) => { if (!byId.has(row.id) && !row.placeholder) byId.set(row.id, index); });
  const total = Math.max(1, packed.duration_ns);

  let collapsed = new Set();
  let agentOnly = false;
  let shown = []; // indices into rows, in order
  let shownDepth = new Map();
  let position = new Map(); // index into rows -> place in shown
  let selected = byId.has(page.dataset.selected) ? byId.get(page.dataset.selected) : -1;
  let matches = [];
  let matching = new Set();
  let view = { start: 0, end: total };
  let drawn = { from: -1, to: -1 };
  let lines = new Map(); // index into rows -> its element

  function unpack(packedRow) {
    const [id, parent, depth, name, kind, offset, duration, flags, below, errorsBelow, input, output, cost, subject, service, errorType, stretches, events] = packedRow;
    const text = (place) => packed.strings[place];
    return {
      id, parent, depth, offset, duration, below, errorsBelow, input, output, cost, stretches, events,
      name: text(name), kind: KINDS.has(text(kind)) ? text(kind) : "other", subject: text(subject), service: text(service), errorType: text(errorType),
      error: Boolean(flags & FLAG.error), placeholder: Boolean(flags & FLAG.placeholder), cycle: Boolean(flags & FLAG.cycle),
    };
  }

  // --- Words and small elements ---------------------------------------------------------------------------------------

  function trim(number, decimals) {
    return String(Number(number.toFixed(decimals)));
  }

  /** As duration_ns in templatetags/formatting.py. */
  function duration(ns) {
    if (ns < 1e3) return trim(ns, 0) + " ns";
    if (ns < 1e6) return trim(ns / 1e3, 1) + " µs";
    if (ns < 1e9) return trim(ns / 1e6, ns < 1e7 ? 1 : 0) + " ms";
    if (ns < 59.95e9) return trim(ns / 1e9, ns < 1e10 ? 2 : 1) + " s";
    const seconds = Math.round(ns / 1e9);
    if (seconds < 3600) return twoUnits(seconds, 60, " m", 1, " s");
    return seconds < 86400 ? twoUnits(seconds, 3600, " h", 60, " m") : twoUnits(seconds, 86400, " d", 3600, " h");
  }

  function twoUnits(seconds, largeS, large, smallS, small) {
    const rest = Math.floor((seconds % largeS) / smallS);
    return Math.floor(seconds / largeS) + large + (rest ? " " + String(rest).padStart(2, "0") + small : "");
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

  const isNarrow = () => matchMedia("(max-width: 760px)").matches;

  // --- Which rows are shown -------------------------------------------------------------------------------------------

  function isShown(index) {
    const row = rows[index];
    return !agentOnly || row.kind !== "other" || row.error || row.placeholder || index === selected;
  }

  function refresh() {
    shown = [];
    shownDepth = new Map();
    for (let index = 0; index < rows.length; index += 1) {
      const row = rows[index];
      const above = row.parent >= 0 ? shownDepth.get(row.parent) : -1;
      if (isShown(index)) {
        shownDepth.set(index, above + 1);
        shown.push(index);
      } else {
        shownDepth.set(index, above);
      }
      if (collapsed.has(index)) index += row.below;
    }
    position = new Map(shown.map((index, place) => [index, place]));
    space.style.height = shown.length * rowHeight() + "px";
    draw(true);
  }

  let measured = 0;
  function rowHeight() {
    if (!measured) measured = Number.parseFloat(getComputedStyle(body).getPropertyValue("--row-height")) || 28;
    return measured;
  }

  // --- Drawing --------------------------------------------------------------------------------------------------------

  let frame = 0;
  function drawSoon() {
    if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(false); });
  }

  function draw(force) {
    const height = rowHeight();
    const from = Math.max(0, Math.floor(body.scrollTop / height) - OVERSCAN);
    const to = Math.min(shown.length, Math.ceil((body.scrollTop + body.clientHeight) / height) + OVERSCAN);
    if (!force && from === drawn.from && to === drawn.to) return;
    drawn = { from, to };
    holder.style.transform = "translateY(" + from * height + "px)";
    const kept = force ? new Map() : lines; // while scrolling most rows stay as they are
    lines = new Map(shown.slice(from, to).map((index) => [index, kept.get(index) || drawRow(index)]));
    if (force) holder.replaceChildren();
    kept.forEach((line, index) => { if (!lines.has(index)) line.remove(); });
    let next = holder.firstChild;
    lines.forEach((line) => {
      if (line === next) next = next.nextSibling;
      else holder.insertBefore(line, next);
    });
    if (selected >= 0 && position.has(selected)) body.setAttribute("aria-activedescendant", "row-" + selected);
    else body.removeAttribute("aria-activedescendant");
  }

  function drawRow(index) {
    const row = rows[index];
    const depth = shownDepth.get(index);
    const line = element("div", "trow");
    line.id = "row-" + index;
    line.dataset.row = index;
    if (!row.placeholder) line.dataset.span = row.id;
    line.setAttribute("role", "treeitem");
    line.setAttribute("aria-level", depth + 1);
    line.setAttribute("aria-selected", index === selected);
    line.classList.toggle("trow--error", row.error);
    line.classList.toggle("trow--placeholder", row.placeholder);
    line.classList.toggle("trow--dim", matching.size > 0 && !matching.has(index));
    line.classList.toggle("trow--hit", matching.has(index));
    if (row.below) line.setAttribute("aria-expanded", !collapsed.has(index));
    line.append(drawName(row, index, depth), drawBars(row));
    return line;
  }

  function drawName(row, index, depth) {
    const cell = element("div", "trow__name");
    cell.style.paddingLeft = 8 + Math.min(depth, MAX_INDENT) * 14 + "px";
    if (row.below) {
      const toggle = element("button", "trow__toggle");
      toggle.type = "button";
      toggle.tabIndex = -1;
      toggle.dataset.toggle = index;
      toggle.setAttribute("aria-label", collapsed.has(index) ? "Expand" : "Collapse");
      toggle.append(icon(collapsed.has(index) ? "chevron-right" : "chevron-down", "icon--small"));
      cell.append(toggle);
    } else {
      cell.append(element("span", "trow__leaf"));
    }
    if (row.placeholder) {
      cell.append(icon("alert", "text-warn"), element("span", "trow__label muted", page.dataset.missingParent));
      cell.title = "The steps below name " + row.id + " as their parent, which is not in this trace.";
      return cell;
    }
    cell.append(icon(row.kind, "kind-" + row.kind), element("span", "trow__label", row.name || "(no name)"));
    if (row.subject) cell.append(element("span", "trow__subject muted", row.subject));
    if (collapsed.has(index)) cell.append(element("span", "trow__count muted", "+" + row.below));
    if (row.cycle) cell.append(element("span", "badge badge--warn", "ring of parents"));
    if (row.error) cell.append(icon("error", "text-error trow__mark"));
    else if (collapsed.has(index) && row.errorsBelow) cell.append(icon("error", "text-error trow__mark"));
    cell.append(drawUsage(row));
    cell.title = [row.name, row.kind + (row.service ? " in " + row.service : ""), duration(row.duration) + ", starts at " + duration(row.offset), row.errorType].filter(Boolean).join("\n");
    return cell;
  }

  function drawUsage(row) {
    const usage = element("span", "trow__usage muted");
    const words = [];
    if (row.input || row.output) words.push(tokens(row.input) + "→" + tokens(row.output));
    if (row.cost !== null) words.push(cost(row.cost));
    usage.textContent = words.join(" · ");
    const time = element("span", "trow__time", duration(row.duration));
    usage.append(time);
    return usage;
  }

  function drawBars(row) {
    const cell = element("div", "trow__bars");
    const span = view.end - view.start;
    const left = (row.offset - view.start) / span;
    const right = (row.offset + row.duration - view.start) / span;
    if (right < 0 || left > 1) return cell;
    const bar = element("div", "bar bar--" + (row.placeholder ? "placeholder" : row.error ? "error" : row.kind));
    const from = Math.max(0, left);
    const width = Math.min(1, right) - from;
    bar.style.left = "min(" + from * 100 + "%, 100% - 3px)"; // a short step at the very end still shows
    bar.style.width = width * 100 + "%";
    for (let at = 0; at < row.stretches.length; at += 2) {
      const start = Math.max(from, (row.stretches[at] - view.start) / span);
      const end = Math.min(1, (row.stretches[at + 1] - view.start) / span);
      if (end - start < 0.001 || width <= 0) continue;
      const stretch = element("div", "bar__critical");
      stretch.style.left = ((start - from) / width) * 100 + "%";
      stretch.style.width = ((end - start) / width) * 100 + "%";
      bar.append(stretch);
    }
    cell.append(bar, ...drawEvents(row));
    const label = element("span", "bar__time", duration(row.duration));
    if (from + width < 0.82) label.style.left = "calc(" + (from + width) * 100 + "% + 8px)";
    else if (from > 0.18) label.style.right = "calc(" + (1 - from) * 100 + "% + 4px)";
    else {
      label.style.right = "calc(" + (1 - from - width) * 100 + "% + 12px)";
      label.classList.add("bar__time--inside");
    }
    cell.append(label);
    return cell;
  }

  function drawEvents(row) {
    const dots = [];
    for (let at = 0; at < row.events.length; at += 2) {
      const share = (row.events[at] - view.start) / (view.end - view.start);
      if (share < 0 || share > 1) continue;
      const name = packed.strings[row.events[at + 1]];
      const dot = element("span", "dot" + (name.includes("exception") ? " dot--error" : ""));
      dot.style.left = "clamp(3px, " + share * 100 + "%, 100% - 3px)";
      dot.title = name + " at " + duration(Math.max(0, row.events[at]));
      dots.push(dot);
    }
    return dots;
  }

  function drawAxis() {
    const span = view.end - view.start;
    const room = Math.max(2, Math.floor(axis.clientWidth / 90));
    const rough = span / room;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
    const ticks = [];
    for (let at = Math.ceil(view.start / step) * step; at <= view.end; at += step) {
      const tick = element("span", "tick", at === 0 ? "0" : duration(at));
      const share = (at - view.start) / span;
      tick.style.left = share * 100 + "%";
      if (share > 0.93) tick.classList.add("tick--last");
      ticks.push(tick);
    }
    axis.replaceChildren(...ticks);
    const first = (Math.ceil(view.start / step) * step - view.start) / span;
    body.style.setProperty("--tick", (step / span) * axis.clientWidth + "px");
    body.style.setProperty("--first-tick", first * axis.clientWidth + "px");
  }

  // --- Zoom -----------------------------------------------------------------------------------------------------------

  const resetButton = page.querySelector('[data-tree="reset-zoom"]');

  function zoom(start, end) {
    const least = Math.max(100, total / 1e6);
    const width = Math.min(total, Math.max(least, end - start));
    const from = Math.min(Math.max(0, start), total - width);
    view = { start: from, end: from + width };
    resetButton.hidden = width >= total;
    drawAxis();
    draw(true);
  }

  function zoomToRow(index) {
    const row = rows[index];
    const margin = Math.max(row.duration * 0.05, 50);
    const isFitted = Math.abs(view.start - Math.max(0, row.offset - margin)) < 1 && view.end - view.start < total;
    if (isFitted) zoom(0, total);
    else zoom(row.offset - margin, row.offset + row.duration + margin);
  }

  body.addEventListener("wheel", (event) => {
    const bars = event.target.closest(".trow__bars");
    if (!bars || !(event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    const span = view.end - view.start;
    if (event.shiftKey) {
      zoom(view.start + (Math.sign(event.deltaY || event.deltaX) * span) / 10, view.end + (Math.sign(event.deltaY || event.deltaX) * span) / 10);
      return;
    }
    const box = bars.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const factor = event.deltaY > 0 ? 1.25 : 0.8;
    const center = view.start + share * span;
    zoom(center - share * span * factor, center + (1 - share) * span * factor);
  }, { passive: false });

  // --- Selection and the panel ----------------------------------------------------------------------------------------

  const panels = new Map(); // the last few, so that stepping back is instant
  let request = null;
  let timer = 0;
  let tab = "step";
  let leadToPanel = false; // on a phone the panel lies below the steps

  function select(index, { reveal = true, center = false } = {}) {
    if (index < 0 || rows[index].placeholder) return;
    const changed = selected !== index;
    selected = index;
    uncover(index);
    if (reveal) scrollToRow(index, center);
    draw(true);
    if (!changed && panel.querySelector('[data-span="' + rows[index].id + '"]')) return;
    const url = new URL(location.href);
    url.searchParams.set("span", rows[index].id);
    history.replaceState(null, "", url);
    clearTimeout(timer);
    timer = setTimeout(() => loadPanel(rows[index].id), panels.has(rows[index].id) ? 0 : 70); // a held key passes many rows
  }

  function uncover(index) {
    let above = rows[index].parent;
    let changed = !position.has(index);
    while (above >= 0) {
      changed = collapsed.delete(above) || changed;
      above = rows[above].parent;
    }
    if (changed) refresh();
  }

  function scrollToRow(index, center) {
    const height = rowHeight();
    const top = position.get(index) * height;
    if (top < body.scrollTop || top + height > body.scrollTop + body.clientHeight) {
      body.scrollTop = center || Math.abs(top - body.scrollTop) > body.clientHeight * 2
        ? top - body.clientHeight / 2
        : top < body.scrollTop ? top : top + height - body.clientHeight;
    }
  }

  async function loadPanel(id) {
    if (request) request.abort();
    if (panels.has(id)) {
      showPanel(panels.get(id));
      return;
    }
    request = new AbortController();
    panel.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(page.dataset.url + "/spans/" + encodeURIComponent(id), {
        headers: { "HX-Request": "true", "HX-Current-URL": location.href },
        signal: request.signal,
      });
      if (answer.headers.has("HX-Redirect")) {
        location.href = answer.headers.get("HX-Redirect");
        return;
      }
      if (!answer.ok && answer.status !== 404) throw new Error("The server answered " + answer.status + ".");
      const html = await answer.text();
      if (answer.ok) remember(id, html);
      showPanel(html);
    } catch (error) {
      if (error.name !== "AbortError") window.tracestore.show("This step could not be loaded. " + error.message, "error");
    } finally {
      panel.removeAttribute("aria-busy");
    }
  }

  function remember(id, html) {
    if (html.length > 500000) return;
    panels.set(id, html);
    if (panels.size > 40) panels.delete(panels.keys().next().value);
  }

  function showPanel(html) {
    const template = document.createElement("template");
    template.innerHTML = html; // our own escaped fragment; the policy lets no script of it run
    panel.replaceChildren(template.content);
    panel.scrollTop = 0;
    showTab(tab);
    if (leadToPanel) revealPanel();
  }

  /** Only once the panel holds the step: while its content changes, a scroll would stop half way. */
  function revealPanel() {
    leadToPanel = false;
    panel.scrollIntoView({ behavior: "smooth", block: "start" });
  }

  function selectAndLead(index, options) {
    leadToPanel = isNarrow() && !rows[index].placeholder;
    select(index, options);
    if (leadToPanel && panel.querySelector('[data-span="' + rows[index].id + '"]')) revealPanel();
  }

  function showTab(name) {
    const wanted = panel.querySelector('[data-pane="' + name + '"]');
    if (!wanted) return;
    tab = name;
    panel.querySelectorAll("[data-pane]").forEach((pane) => { pane.hidden = pane !== wanted; });
    panel.querySelectorAll("[data-tab]").forEach((button) => {
      const on = button.dataset.tab === name;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
    });
  }

  panel.addEventListener("click", (event) => {
    const tabButton = event.target.closest("[data-tab]");
    if (tabButton) showTab(tabButton.dataset.tab);
    const copy = event.target.closest("[data-copy-value]");
    if (copy) {
      copy.dataset.copy = copy.closest("[data-attribute]").querySelector("pre").textContent;
      window.tracestore.actions.copy(copy);
    }
  });

  // Also in the logs of the trace, which stand above the panel.
  document.getElementById("trace").addEventListener("click", (event) => {
    const unfold = event.target.closest("[data-unfold]");
    if (!unfold) return;
    const folded = unfold.closest("[data-text]").classList.toggle("text--folded");
    unfold.textContent = folded ? "Show all" : "Show less";
  });

  panel.addEventListener("keydown", (event) => {
    const button = event.target.closest("[data-tab]");
    if (!button || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
    const buttons = [...panel.querySelectorAll("[data-tab]")];
    const next = buttons[(buttons.indexOf(button) + (event.key === "ArrowRight" ? 1 : buttons.length - 1)) % buttons.length];
    showTab(next.dataset.tab);
    next.focus();
    event.preventDefault();
    event.stopPropagation();
  });

  panel.addEventListener("input", (event) => {
    if (!event.target.matches("[data-filter-attributes]")) return;
    const wanted = event.target.value.toLowerCase();
    event.target.closest("[data-pane]").querySelectorAll("[data-attribute]").forEach((row) => {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  });

  // --- Pointer --------------------------------------------------------------------------------------------------------

  body.addEventListener("click", (event) => {
    const toggle = event.target.closest("[data-toggle]");
    if (toggle) {
      fold(Number(toggle.dataset.toggle), !collapsed.has(Number(toggle.dataset.toggle)));
      return;
    }
    const line = event.target.closest("[data-row]");
    if (!line) return;
    const index = Number(line.dataset.row);
    if (rows[index].placeholder) fold(index, !collapsed.has(index));
    selectAndLead(index, { reveal: false });
  });

  body.addEventListener("dblclick", (event) => {
    const line = event.target.closest(".trow__bars");
    if (line) zoomToRow(Number(line.closest("[data-row]").dataset.row));
  });

  function fold(index, close) {
    if (close) collapsed.add(index);
    else collapsed.delete(index);
    refresh();
  }

  function foldAll(close) {
    collapsed = new Set();
    if (close) rows.forEach((row, index) => { if (row.below && row.depth > 0) collapsed.add(index); });
    refresh();
    if (selected >= 0) uncover(selected);
  }

  const tools = {
    "next-error"() { step(errorPlaces(), 1); },
    filter() {
      agentOnly = !agentOnly;
      page.querySelector('[data-tree="filter"]').setAttribute("aria-pressed", String(agentOnly));
      refresh();
      if (selected >= 0) scrollToRow(selected, true);
    },
    "reset-zoom"() { zoom(0, total); },
    collapse() { foldAll(true); },
    expand() { foldAll(false); },
    back() { document.getElementById("tree").scrollIntoView({ behavior: "smooth", block: "start" }); },
  };

  page.addEventListener("click", (event) => {
    const button = event.target.closest("[data-tree]");
    if (button) tools[button.dataset.tree]();
    const link = event.target.closest("[data-select]");
    if (link && byId.has(link.dataset.select)) {
      event.preventDefault();
      selectAndLead(byId.get(link.dataset.select), { center: true });
    }
    const share = event.target.closest("[data-copy-link]");
    if (share) {
      const url = new URL(page.dataset.url, location.href);
      if (selected >= 0) url.searchParams.set("span", rows[selected].id);
      share.dataset.copy = url.href;
      window.tracestore.actions.copy(share);
    }
  });

  // --- Search ---------------------------------------------------------------------------------------------------------

  function find() {
    const wanted = search.value.trim().toLowerCase();
    matches = [];
    if (wanted) {
      rows.forEach((row, index) => {
        if ([row.name, row.subject, row.errorType, row.id].some((text) => text.toLowerCase().includes(wanted))) matches.push(index);
      });
    }
    matching = new Set(matches);
    describeHits();
    draw(true);
  }

  function describeHits() {
    const place = matches.indexOf(selected);
    hits.textContent = !search.value.trim() ? "" : matches.length ? (place >= 0 ? place + 1 + "/" : "") + matches.length : "none";
  }

  /** Select the next (or previous) of some rows after the selected one, around the end. */
  function step(places, direction) {
    if (!places.length) return;
    const after = direction > 0 ? places.find((index) => index > selected) : places.filter((index) => index < selected).pop();
    select(after === undefined ? places[direction > 0 ? 0 : places.length - 1] : after, { center: true });
  }

  function errorPlaces() {
    return rows.map((row, index) => (row.error ? index : -1)).filter((index) => index >= 0);
  }

  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      step(matches, event.shiftKey ? -1 : 1);
      describeHits();
    } else if (event.key === "Escape") {
      search.value = "";
      find();
      body.focus();
    }
  });

  // --- Keys -----------------------------------------------------------------------------------------------------------

  function move(by) {
    if (panel.contains(document.activeElement) && document.activeElement !== panel) return false;
    const at = selected >= 0 && position.has(selected) ? position.get(selected) : -1;
    let place = at + by;
    while (shown[place] !== undefined && rows[shown[place]].placeholder) place += Math.sign(by);
    if (shown[place] !== undefined) select(shown[place]);
    return true;
  }

  function foldSelected(close) {
    if (selected < 0 || (panel.contains(document.activeElement) && document.activeElement !== panel)) return false;
    const row = rows[selected];
    if (row.below && collapsed.has(selected) !== close) fold(selected, close);
    else if (close && row.parent >= 0 && !rows[row.parent].placeholder) select(row.parent);
    else if (!close && row.below) move(1);
    return true;
  }

  const { onKey } = window.tracestore;
  onKey("ArrowDown", () => move(1));
  onKey("ArrowUp", () => move(-1));
  onKey("j", () => { body.focus(); move(1); });
  onKey("k", () => { body.focus(); move(-1); });
  onKey("ArrowLeft", () => foldSelected(true));
  onKey("ArrowRight", () => foldSelected(false));
  onKey("e", () => step(errorPlaces(), 1));
  onKey("E", () => step(errorPlaces(), -1));
  onKey("f", tools.filter);
  onKey("[", tools.collapse);
  onKey("]", tools.expand);
  onKey("z", () => { if (selected >= 0) zoomToRow(selected); });
  onKey("Home", () => { if (document.activeElement !== body) return false; select(shown.find((index) => !rows[index].placeholder)); return true; });
  onKey("End", () => { if (document.activeElement !== body) return false; select(shown[shown.length - 1]); return true; });
  onKey("Escape", () => {
    if (search.value) { search.value = ""; find(); }
    zoom(0, total);
    body.focus();
  });

  // --- Splitters ------------------------------------------------------------------------------------------------------

  function remembered(name) {
    try { return Number(localStorage.getItem("trace." + name)); } catch { return 0; }
  }

  function splitter(handle, name, read, limits) {
    const target = page;
    function set(size) {
      const [least, most] = limits();
      const clamped = Math.round(Math.min(most, Math.max(least, size)));
      target.style.setProperty("--" + name, clamped + "px");
      handle.setAttribute("aria-valuenow", clamped);
      try { localStorage.setItem("trace." + name, clamped); } catch { /* private mode: not remembered */ }
      drawAxis();
      drawSoon();
    }
    if (remembered(name) > 0) set(remembered(name));
    else handle.setAttribute("aria-valuenow", Math.round(read()));
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
      const start = { at: event.clientX, size: read() };
      const sign = name === "panel" ? -1 : 1;
      const onMove = (moved) => set(start.size + sign * (moved.clientX - start.at));
      handle.addEventListener("pointermove", onMove);
      handle.addEventListener("pointerup", () => handle.removeEventListener("pointermove", onMove), { once: true });
    });
    handle.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const sign = (event.key === "ArrowRight" ? 1 : -1) * (name === "panel" ? -1 : 1);
      set(read() + sign * 24);
      event.preventDefault();
      event.stopPropagation();
    });
  }

  splitter(document.getElementById("gutter-splitter"), "gutter",
    () => page.querySelector(".tree__axis-name").offsetWidth, () => [160, Math.max(200, body.clientWidth - 120)]);
  splitter(document.getElementById("pane-splitter"), "panel", () => panel.offsetWidth, () => [320, Math.max(360, page.clientWidth - 420)]);

  // --- Start ----------------------------------------------------------------------------------------------------------

  body.addEventListener("scroll", drawSoon, { passive: true });
  new ResizeObserver(() => { measured = 0; drawAxis(); refresh(); }).observe(body);
  drawAxis();
  refresh();
  if (selected >= 0) {
    uncover(selected);
    scrollToRow(selected, true);
    draw(true);
  }
  page.dataset.ready = "true";
})();
