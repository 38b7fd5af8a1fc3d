// Tree and Timeline of the trace page: one list of steps, of which only the rows in view exist in the document. The Tree shows
// numbers beside each name, the Timeline bars (trace-timeline.js).
(function () {
  "use strict";

  const T = window.tracestore.trace;
  const { page, timeline, element, icon, has, duration, durationCell, tokens, costCell } = T;
  const pane = document.getElementById("view-steps");
  const body = document.getElementById("tree-body");
  const space = document.getElementById("tree-space");
  const holder = document.getElementById("tree-rows");
  const OVERSCAN = 10;
  // Deeper levels are indented less, and from some on no more: a chain of 5,000 steps must still show its names.
  const INDENTS = [[6, 14], [18, 4]]; // up to a level, so many pixels a level
  // Heat: a step that takes so much of its parent is warm or hot, unless it is nothing beside the whole trace.
  const HOT = 0.75;
  const WARM = 0.5;
  const NOTABLE = 0.05;

  let tree = null;
  let total = 1; // ns; at least 1, so that a trace of no length has a place for its bars
  let mode = "tree";
  let collapsed = new Set();
  let opened = new Set(); // rows whose infrastructure is shown
  let allInfra = false;
  let onlyErrors = false;
  let shown = []; // places in the tree, in order
  let position = null; // place in the tree -> place in shown, -1 when not shown
  let level = null; // depth at which a row is shown
  let folded = new Map(); // row -> infrastructure steps that are folded into it
  let drawn = { from: -1, to: -1 };
  let lines = new Map(); // place in the tree -> its element
  let isStale = true; // rows changed while another view was open

  // --- Which rows are shown -------------------------------------------------------------------------------------------

  function isFiltered(index) {
    return !T.inRange(index) || (onlyErrors && !has(index, "error") && !tree.errorsBelow[index]);
  }

  function refresh() {
    const { size, parent, end, infra } = tree;
    const owner = new Int32Array(size); // the nearest shown row above, or the row itself
    shown = [];
    position = new Int32Array(size).fill(-1);
    level = new Int32Array(size);
    folded = new Map();
    for (let index = 0; index < size; index += 1) {
      const above = parent[index] < 0 ? -1 : owner[parent[index]];
      const isFolded = infra[index] && !allInfra && above >= 0 && !opened.has(above) && !infra[above];
      const isOut = isFiltered(index);
      if (isOut || isFolded) {
        owner[index] = above;
        if (!isOut) folded.set(above, (folded.get(above) || 0) + 1);
        continue;
      }
      owner[index] = index;
      level[index] = above < 0 ? 0 : level[above] + 1;
      position[index] = shown.length;
      shown.push(index);
      if (collapsed.has(index)) index = end[index] - 1;
    }
    space.style.height = shown.length * rowHeight() + "px";
    document.getElementById("tree-none").hidden = shown.length > 0;
    draw(true);
  }

  function refreshSoon() {
    isStale = true;
    if (isOpen()) {
      isStale = false;
      refresh();
    }
  }

  const isOpen = () => T.view === "tree" || T.view === "timeline";

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
    const kept = lines;
    lines = new Map(shown.slice(from, to).map((index) => [index, force ? redrawRow(index, kept.get(index)) : kept.get(index) || drawRow(index)]));
    kept.forEach((line, index) => { if (lines.get(index) !== line) line.remove(); });
    let next = holder.firstChild;
    lines.forEach((line) => {
      if (line === next) next = next.nextSibling;
      else holder.insertBefore(line, next);
    });
    if (T.selected >= 0 && position[T.selected] >= 0) body.setAttribute("aria-activedescendant", "row-" + T.selected);
    else body.removeAttribute("aria-activedescendant");
    tellVisible();
  }

  /** What says the same stays: a row that is replaced between press and release of the pointer gets no click. */
  function redrawRow(index, old) {
    const line = drawRow(index);
    return old && old.isEqualNode(line) ? old : line;
  }

  function tellVisible() {
    if (mode === "timeline") {
      T.visible(timeline.inView());
      return;
    }
    let start = Infinity;
    let end = 0;
    const height = rowHeight();
    const first = Math.floor(body.scrollTop / height);
    const room = Math.ceil(body.clientHeight / height);
    for (const index of shown.length > room ? shown.slice(first, first + room) : []) {
      // What is above others lasts as long as they do together and would say that all of the trace is in view.
      if (holdsRows(index)) continue;
      start = Math.min(start, tree.offset[index]);
      end = Math.max(end, tree.offset[index] + tree.duration[index]);
    }
    T.visible(start <= end ? { start, end } : null);
  }

  function drawRow(index) {
    const line = element("div", "trow");
    line.id = "row-" + index;
    line.dataset.row = index;
    if (!has(index, "placeholder")) line.dataset.spanId = T.idOf(index);
    line.setAttribute("role", "treeitem");
    line.setAttribute("aria-level", level[index] + 1);
    line.setAttribute("aria-selected", index === T.selected);
    if (!has(index, "placeholder")) line.setAttribute("aria-label", T.describe(index));
    line.classList.toggle("trow--error", has(index, "error"));
    line.classList.toggle("trow--placeholder", has(index, "placeholder"));
    line.classList.toggle("trow--dim", T.matching.size > 0 && !T.matching.has(index));
    line.classList.toggle("trow--hit", T.matching.has(index));
    if (holdsRows(index)) line.setAttribute("aria-expanded", !collapsed.has(index));
    line.style.setProperty("--indent", indentOf(level[index]) + "px");
    line.append(drawName(index), mode === "timeline" ? timeline.drawBars(index, folded.has(index)) : drawNumbers(index));
    return line;
  }

  function indentOf(depth) {
    let [pixels, before] = [8, 0];
    for (const [until, step] of INDENTS) {
      pixels += Math.max(0, Math.min(depth, until) - before) * step;
      before = until;
    }
    return pixels;
  }

  function holdsRows(index) {
    const next = shown[position[index] + 1];
    return (collapsed.has(index) && T.below(index) > 0) || (next !== undefined && level[next] > level[index]);
  }

  function drawName(index) {
    const cell = element("div", "trow__name");
    const isClosed = collapsed.has(index);
    if (holdsRows(index)) {
      const toggle = element("button", "trow__toggle");
      toggle.type = "button";
      toggle.tabIndex = -1;
      toggle.dataset.toggle = index;
      toggle.setAttribute("aria-label", isClosed ? "Expand" : "Collapse");
      toggle.append(icon(isClosed ? "chevron-right" : "chevron-down", "icon--small"));
      cell.append(toggle);
    } else {
      cell.append(element("span", "trow__leaf"));
    }
    if (has(index, "placeholder")) {
      cell.append(icon("alert", "text-warn"), element("span", "trow__label muted", page.dataset.missingParent));
      cell.title = "The steps below name " + T.idOf(index) + " as their parent, which is not in this trace.";
      return cell;
    }
    const subject = T.textOf("subject", index);
    const kind = icon(T.kindOf(index), "kind-" + T.kindOf(index));
    cell.append(kind, element("span", "trow__label", T.nameOf(index)));
    if (subject && !has(index, "named")) cell.append(element("span", "trow__subject muted", subject));
    if (isClosed) cell.append(element("span", "trow__count muted", "+" + T.count(T.below(index))));
    if (has(index, "cycle")) cell.append(element("span", "badge badge--warn", "ring of parents"));
    if (has(index, "error") || (isClosed && tree.errorsBelow[index])) cell.append(icon("error", "text-error trow__mark"));
    const mark = T.marks.get(T.idOf(index));
    if (mark) cell.append(drawMark(mark));
    if (folded.has(index) || opened.has(index)) cell.append(drawFold(index));
    const where = T.kindOf(index) + (T.textOf("service", index) ? " in " + T.textOf("service", index) : "");
    cell.title = [T.nameOf(index), where, duration(tree.duration[index]) + ", starts at " + duration(tree.offset[index]), T.textOf("errorType", index)].filter(Boolean).join("\n");
    return cell;
  }

  function drawMark(text) {
    const mark = element("span", "trow__again text-warn");
    mark.append(icon("refresh", "icon--small"), text);
    return mark;
  }

  /** HTTP, database and other infrastructure below a step: counted, one click away. */
  function drawFold(index) {
    const isOpened = opened.has(index);
    const button = element("button", "trow__fold", isOpened ? "hide infra" : "+" + T.count(folded.get(index)) + " infra");
    button.type = "button";
    button.tabIndex = -1;
    button.dataset.fold = index;
    button.title = isOpened ? "Fold infrastructure steps (f for all)" : "Show " + T.count(folded.get(index)) + " infrastructure steps: HTTP, database and the like (f for all)";
    return button;
  }

  // --- Tree: numbers --------------------------------------------------------------------------------------------------

  function drawNumbers(index) {
    const cells = element("div", "trow__numbers");
    const above = tree.parent[index];
    const isCall = tree.input[index] || tree.output[index] || tree.cost[index] !== null;
    const time = element("span", "trow__time", durationCell(tree.duration[index]));
    // The only step of its parent is no finding: it is held against the nearest step above that holds others too.
    let whole = above;
    for (let only = index; whole >= 0 && only === whole + 1 && tree.end[only] === tree.end[whole]; whole = tree.parent[whole]) only = whole;
    if (whole >= 0) warm(time, tree.duration[index], tree.duration[whole], total, "time");
    const outlived = tree.last[index] - tree.offset[index] - tree.duration[index];
    if (outlived > tree.duration[index] * 0.01 && outlived > 0) {
      const sum = element("span", "trow__sum", "Σ " + durationCell(tree.last[index] - tree.offset[index]));
      sum.title = "Steps below go on after it has ended: " + duration(tree.last[index] - tree.offset[index]) + " until the last of them ends";
      time.prepend(sum);
    }
    const used = element("span", "trow__tokens");
    const [input, output] = isCall ? [tree.input[index], tree.output[index]] : [tree.sumInput[index], tree.sumOutput[index]];
    if (input || output) used.textContent = (isCall ? "" : "Σ ") + tokens(input) + " → " + tokens(output);
    const paid = element("span", "trow__cost");
    const usd = tree.cost[index] !== null ? tree.cost[index] : tree.sumCost[index];
    if (tree.cost[index] !== null || tree.priced[index]) {
      paid.textContent = (tree.cost[index] !== null ? "" : "Σ ") + costCell(usd);
      // The only call of its parent is no finding: it is held against the nearest step above that paid for others too.
      let payer = above;
      while (payer >= 0 && tree.sumCost[payer] <= usd * 1.000001) payer = tree.parent[payer];
      if (payer >= 0) warm(paid, usd, tree.sumCost[payer], wholeCost, "cost");
    }
    cells.append(drawLane(index), time, used, paid);
    return cells;
  }

  /** When in the run: the Timeline's bar, small, on the scale of the whole trace. */
  function drawLane(index) {
    const lane = element("span", "trow__lane");
    const bar = element("span", "lane__bar bar--" + (has(index, "error") ? "error" : T.kindOf(index)));
    bar.style.left = "min(" + (tree.offset[index] / total) * 100 + "%, 100% - 2px)";
    bar.style.width = (tree.duration[index] / total) * 100 + "%";
    lane.append(bar);
    return lane;
  }

  let wholeCost = 0; // USD
  function warm(cell, value, ofParent, ofTrace, what) {
    const share = ofParent > 0 ? value / ofParent : 0;
    if (share < WARM || value < ofTrace * NOTABLE) return;
    cell.classList.add(share >= HOT ? "trow--hot" : "trow--warm");
    cell.title = Math.round(share * 100) + " % of the " + what + " of the step above";
  }

  // --- Selection ------------------------------------------------------------------------------------------------------

  function uncover(index) {
    let changed = position[index] < 0;
    if (changed && isFiltered(index)) {
      onlyErrors = false;
      page.querySelector('[data-tree="only-errors"]')?.setAttribute("aria-pressed", "false");
      if (!T.inRange(index)) T.setRange(null);
    }
    let above = tree.parent[index];
    let owner = -1;
    while (above >= 0) {
      changed = collapsed.delete(above) || changed;
      if (owner < 0 && !tree.infra[above]) owner = above;
      above = tree.parent[above];
    }
    if (tree.infra[index] && changed && owner >= 0) opened.add(owner);
    if (changed) refresh();
  }

  function scrollToRow(index, center) {
    const height = rowHeight();
    const top = position[index] * height;
    if (top < body.scrollTop || top + height > body.scrollTop + body.clientHeight) {
      body.scrollTop = center || Math.abs(top - body.scrollTop) > body.clientHeight * 2
        ? top - body.clientHeight / 2
        : top < body.scrollTop ? top : top + height - body.clientHeight;
    }
  }

  body.addEventListener("click", (event) => {
    const toggle = event.target.closest("[data-toggle]");
    const infra = event.target.closest("[data-fold]");
    const line = event.target.closest("[data-row]");
    if (toggle) fold(Number(toggle.dataset.toggle), !collapsed.has(Number(toggle.dataset.toggle)));
    else if (infra) {
      const index = Number(infra.dataset.fold);
      if (!opened.delete(index)) opened.add(index);
      refresh();
    } else if (line && has(Number(line.dataset.row), "placeholder")) fold(Number(line.dataset.row), !collapsed.has(Number(line.dataset.row)));
  });

  function fold(index, close) {
    if (close) collapsed.add(index);
    else collapsed.delete(index);
    refresh();
  }

  /** Collapse every row at or below a depth of the tree; null expands all. */
  function foldTo(depth) {
    collapsed = new Set();
    if (depth !== null) for (let index = 0; index < tree.size; index += 1) if (tree.depth[index] >= depth && T.below(index)) collapsed.add(index);
    refresh();
    if (T.selected >= 0 && position[T.selected] < 0) {
      let above = tree.parent[T.selected];
      while (above >= 0 && position[above] < 0) above = tree.parent[above];
      if (above >= 0) T.select(above);
    }
  }

  function deepest() {
    return shown.reduce((most, index) => Math.max(most, tree.depth[index]), 0);
  }

  function setPressed(name, on) {
    page.querySelectorAll('[data-tree="' + name + '"]').forEach((button) => button.setAttribute("aria-pressed", String(on)));
  }

  Object.assign(T.commands, {
    filter() {
      allInfra = !allInfra;
      opened = new Set();
      setPressed("filter", allInfra);
      refreshSoon();
      if (isOpen() && T.selected >= 0 && position[T.selected] >= 0) scrollToRow(T.selected, true);
    },
    "only-errors"() {
      onlyErrors = !onlyErrors;
      setPressed("only-errors", onlyErrors);
      refreshSoon();
    },
    collapse() { foldTo(1); },
    expand() { foldTo(null); },
  });

  // --- Keys -----------------------------------------------------------------------------------------------------------

  const isInPanel = () => document.getElementById("panel").contains(document.activeElement);

  function move(by) {
    if (isInPanel()) return false;
    if (T.view === "graph") {
      T.walkGraph(by);
      return true;
    }
    if (!isOpen()) return moveElsewhere(by);
    const at = T.selected >= 0 ? position[T.selected] : -1;
    let place = at + by;
    while (shown[place] !== undefined && has(shown[place], "placeholder")) place += Math.sign(by);
    if (shown[place] !== undefined) T.select(shown[place]);
    return true;
  }

  /** In a view whose steps are elements of the document: their order is the order of steps. */
  function moveElsewhere(by) {
    const marks = [...page.querySelectorAll('[data-view]:not([hidden]) [data-span-id]')];
    const ids = [...new Set(marks.map((mark) => mark.dataset.spanId))];
    const next = ids[ids.indexOf(T.selectedId) + by];
    if (!next) return ids.length > 0;
    T.selectId(next);
    marks.find((mark) => mark.dataset.spanId === next).scrollIntoView({ block: "nearest" });
    return true;
  }

  function walk(by) {
    if (isOpen()) body.focus();
    if (T.view !== "raw" || !tree) return move(by);
    // Arrow keys scroll its text; these go from step to step.
    let place = T.selected + by;
    while (place >= 0 && place < tree.size && has(place, "placeholder")) place += by;
    if (place >= 0 && place < tree.size) T.select(place);
    return true;
  }

  function foldSelected(close) {
    if (T.selected < 0 || isInPanel() || !isOpen()) return false;
    const above = tree.parent[T.selected];
    if (holdsRows(T.selected) && collapsed.has(T.selected) !== close) fold(T.selected, close);
    else if (close && above >= 0 && !has(above, "placeholder")) T.select(above);
    else if (!close && holdsRows(T.selected)) move(1);
    return true;
  }

  // These four walk through a view of the server before the steps are here.
  window.tracestore.onKey("ArrowDown", () => move(1));
  window.tracestore.onKey("ArrowUp", () => move(-1));
  window.tracestore.onKey("j", () => walk(1));
  window.tracestore.onKey("k", () => walk(-1));
  const { onKey } = T;
  onKey("ArrowLeft", () => foldSelected(true));
  onKey("ArrowRight", () => foldSelected(false));
  onKey("f", T.commands.filter);
  onKey("x", T.commands["only-errors"]);
  onKey("[", T.commands.collapse);
  onKey("]", T.commands.expand);
  onKey("o", () => foldTo(deepest() + 1));
  onKey("p", () => foldTo(Math.max(1, deepest() - 1)));
  onKey("Home", () => { if (document.activeElement !== body) return false; T.select(shown.find((index) => !has(index, "placeholder")) ?? -1); return true; });
  onKey("End", () => { if (document.activeElement !== body) return false; T.select(shown[shown.length - 1] ?? -1); return true; });

  // --- Start ----------------------------------------------------------------------------------------------------------

  T.add({
    start() {
      tree = T.tree;
      total = Math.max(1, tree.total);
      timeline.start(() => { if (isOpen()) draw(true); });
      for (let index = 0; index < tree.size; index += 1) if (tree.parent[index] < 0) wholeCost += tree.sumCost[index];
      position = new Int32Array(tree.size).fill(-1);
      level = new Int32Array(tree.size);
      const infra = tree.infra.reduce((sum, one) => sum + one, 0);
      page.querySelectorAll('[data-tree="filter"]').forEach((button) => {
        button.hidden = !infra;
        button.querySelector("[data-count]").textContent = T.count(infra);
      });
      T.splitter(document.getElementById("gutter-splitter"), "gutter", 1,
        () => page.querySelector(".tree__axis-name").offsetWidth, () => [160, Math.max(200, body.clientWidth - 120)]);
      body.addEventListener("scroll", drawSoon, { passive: true });
      new ResizeObserver(() => { if (isOpen()) { measured = 0; timeline.drawAxis(); refresh(); } }).observe(body);
    },
    show(name) {
      if (!isOpen()) return;
      mode = name;
      pane.dataset.mode = name;
      isStale = false;
      drawn = { from: -1, to: -1 };
      timeline.show(mode === "timeline");
      refresh();
      if (T.selected >= 0) {
        uncover(T.selected);
        scrollToRow(T.selected, true);
        draw(true);
      }
    },
    select(index, { reveal = true, center = false } = {}) {
      if (!isOpen()) return;
      uncover(index);
      if (reveal) scrollToRow(index, center);
      draw(true);
    },
    mark: () => { if (isOpen()) draw(true); },
    change: refreshSoon,
    resize() { timeline.drawAxis(); drawSoon(); },
    escape() {
      if (mode === "timeline") timeline.zoomOut();
      if (isOpen()) body.focus();
    },
  });
})();
