// The Timeline of the trace page: bars on a scale of time that can be zoomed, and from which idle time can be cut.
(function () {
  "use strict";

  const T = window.tracestore.trace;
  const { page, element, has, duration, onKey } = T;
  const body = document.getElementById("tree-body");
  const axis = document.getElementById("tree-axis");
  const grid = document.getElementById("tree-grid");
  // Idle time is offered for compression when so much of the trace is idle; a gap is longer than this share of it.
  const IDLE_SHARE = 0.3;
  const GAP_SHARE = 0.02;
  const MAX_GAPS = 50;
  const TICK_PX = 56; // room for the words of a tick

  let tree = null;
  let total = 1; // ns; at least 1, so that a trace of no length has a place for its bars
  let isShown = false;
  let redraw = () => {}; // draws the rows in view anew

  // --- Timeline: scale ------------------------------------------------------------------------------------------------

  // Positions are on a scale of ns from which compressed gaps are cut; without them it is the offset itself.
  let gaps = null; // [{ start, end }] in ns, found when the Timeline is first shown
  let isCompressed = false;
  let pieces = null; // [{ start, end, at, factor }]: the scale, piece by piece
  let scaleEnd = 1;
  let view = { start: 0, end: 1 };

  /** Time in which no step runs but those that wait for others. */
  function findGaps() {
    const busy = [];
    for (let index = 0; index < tree.size; index += 1) {
      let isLeaf = !has(index, "placeholder");
      for (let child = index + 1; isLeaf && child < tree.end[index]; child = tree.end[child]) isLeaf = Boolean(tree.infra[child]);
      if (isLeaf) busy.push([tree.offset[index], tree.offset[index] + tree.duration[index]]);
    }
    busy.sort((one, other) => one[0] - other[0]);
    const found = [];
    let until = 0;
    for (const [start, end] of busy) {
      if (start - until > total * GAP_SHARE) found.push({ start: until, end: start });
      until = Math.max(until, end);
    }
    if (tree.total - until > total * GAP_SHARE) found.push({ start: until, end: tree.total });
    return found.sort((one, other) => other.end - other.start - (one.end - one.start)).slice(0, MAX_GAPS).sort((one, other) => one.start - other.start);
  }

  function offerCompression() {
    if (!gaps) gaps = findGaps();
    const idle = gaps.reduce((sum, gap) => sum + gap.end - gap.start, 0);
    const button = page.querySelector('[data-tree="compress"]');
    button.hidden = !isShown || idle < total * IDLE_SHARE;
    button.setAttribute("aria-pressed", String(isCompressed));
    const share = (idle / total) * 100;
    button.lastElementChild.textContent = duration(idle) + ", " + (share >= 99.95 ? "100" : share.toFixed(1)) + "% idle" + (isCompressed ? ": restore" : ": compress");
  }

  function buildScale() {
    pieces = [];
    scaleEnd = total;
    if (!isCompressed) return;
    const idle = gaps.reduce((sum, gap) => sum + gap.end - gap.start, 0);
    const width = Math.max((total - idle) * 0.04, total * 1e-6, 1); // what remains of each gap
    let at = 0;
    let until = 0;
    for (const gap of gaps) {
      if (gap.start > until) pieces.push({ start: until, end: gap.start, at, factor: 1 });
      at += gap.start - until;
      pieces.push({ start: gap.start, end: gap.end, at, factor: width / (gap.end - gap.start) });
      at += width;
      until = gap.end;
    }
    if (until < total) pieces.push({ start: until, end: total, at, factor: 1 });
    scaleEnd = at + Math.max(0, total - until);
  }

  function toScale(ns) {
    if (!isCompressed) return ns;
    const piece = pieces.find((candidate) => ns <= candidate.end) || pieces[pieces.length - 1];
    return piece.at + (ns - piece.start) * piece.factor;
  }

  function fromScale(at) {
    if (!isCompressed) return at;
    const piece = pieces.findLast((candidate) => at >= candidate.at) || pieces[0];
    return piece.start + (at - piece.at) / piece.factor;
  }

  const toShare = (ns) => (toScale(ns) - view.start) / (view.end - view.start);

  // --- Timeline: bars -------------------------------------------------------------------------------------------------

  /** `isFolded`: infrastructure right below the step has no row of its own. */
  function drawBars(index, isFolded) {
    const cell = element("div", "trow__bars");
    const left = toShare(tree.offset[index]);
    const right = toShare(tree.offset[index] + tree.duration[index]);
    if (right < 0 || left > 1) return cell;
    const bar = element("div", "bar bar--" + (has(index, "placeholder") ? "placeholder" : has(index, "error") ? "error" : T.kindOf(index)));
    const from = Math.max(0, left);
    const width = Math.min(1, right) - from;
    bar.style.left = "min(" + from * 100 + "%, 100% - 4px)"; // a short step at the very end still shows
    bar.style.width = width * 100 + "%";
    for (const [begins, ends] of waitedFor(index, isFolded)) {
      const start = Math.max(from, toShare(begins));
      const end = Math.min(1, toShare(ends));
      if (end - start < 0.001 || width <= 0) continue;
      const stretch = element("div", "bar__critical");
      stretch.style.left = ((start - from) / width) * 100 + "%";
      stretch.style.width = ((end - start) / width) * 100 + "%";
      bar.append(stretch);
    }
    cell.append(bar, ...drawEvents(index));
    const label = element("span", "bar__time", duration(tree.duration[index]));
    if (from + width < 0.82) label.style.left = "calc(" + (from + width) * 100 + "% + 8px)";
    else if (from > 0.18) label.style.right = "calc(" + (1 - from) * 100 + "% + 4px)";
    else {
      label.style.right = "calc(" + (1 - from - width) * 100 + "% + 12px)";
      label.classList.add("bar__time--inside");
    }
    cell.append(label);
    return cell;
  }

  /** The critical stretches of a step, and of what is folded right below it: the run waited for the call, not for its request. */
  function waitedFor(index, isFolded) {
    const stretches = T.criticalOf(index);
    if (!isFolded) return stretches;
    for (let child = index + 1; child < tree.end[index] && tree.infra[child]; child += 1) stretches.push(...T.criticalOf(child));
    return stretches;
  }

  function drawEvents(index) {
    const dots = [];
    for (const [at, name] of tree.events.get(index) || []) {
      const share = toShare(at);
      if (share < 0 || share > 1) continue;
      const dot = element("span", "dot" + (tree.strings[name].includes("exception") ? " dot--error" : ""));
      dot.style.left = "clamp(3px, " + share * 100 + "%, 100% - 3px)";
      dot.title = tree.strings[name] + " at " + duration(Math.max(0, at));
      dots.push(dot);
    }
    return dots;
  }

  function drawAxis() {
    if (!isShown) return;
    const room = Math.max(2, Math.floor(axis.clientWidth / 90));
    const rough = (view.end - view.start) / room;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough));
    const wanted = isCompressed ? gaps.map((gap) => gap.end) : []; // where time goes on after a gap
    // Steps on the scale, so that a compressed gap costs none; each is then moved to a round time.
    for (let at = Math.ceil(view.start / step) * step; at <= view.end && tree.total > 0; at += step) wanted.push(Math.round(fromScale(at) / step) * step);
    if (!wanted.length) wanted.push(fromScale(view.start));
    const ticks = [];
    const marks = [];
    const taken = [];
    for (const ns of wanted) {
      const share = toShare(ns);
      if (share < 0 || share > 1 || taken.some((other) => Math.abs(other - share) * axis.clientWidth < TICK_PX)) continue;
      taken.push(share);
      const tick = element("span", "tick", ns === 0 && tree.total > 0 ? "0" : duration(ns));
      tick.style.left = share * 100 + "%";
      if (share > 0.93) tick.classList.add("tick--last");
      ticks.push(tick);
      marks.push(mark("grid__line", share, 0));
    }
    for (const gap of isCompressed ? gaps : []) {
      const start = Math.max(0, toShare(gap.start));
      const end = Math.min(1, toShare(gap.end));
      if (end <= start) continue;
      const band = mark("grid__gap", start, end - start);
      const note = element("span", "grid__note", duration(gap.end - gap.start));
      band.append(note);
      marks.push(band);
    }
    axis.replaceChildren(...ticks);
    grid.replaceChildren(...marks);
  }

  function mark(className, share, width) {
    const made = element("span", className);
    made.style.left = share * 100 + "%";
    if (width) made.style.width = width * 100 + "%";
    return made;
  }

  // --- Timeline: zoom -------------------------------------------------------------------------------------------------

  const resetButton = page.querySelector('[data-tree="reset-zoom"]');

  /** Show this part of the scale, in its ns. */
  function zoom(start, end) {
    const least = Math.min(scaleEnd, Math.max(100, scaleEnd / 1e6));
    const width = Math.min(scaleEnd, Math.max(least, end - start));
    const from = Math.min(Math.max(0, start), scaleEnd - width);
    view = { start: from, end: from + width };
    resetButton.hidden = !isShown || width >= scaleEnd;
    drawAxis();
    redraw();
  }

  function zoomOut() {
    zoom(0, scaleEnd);
  }

  function zoomToRow(index) {
    const start = toScale(tree.offset[index]);
    const end = toScale(tree.offset[index] + tree.duration[index]);
    const margin = Math.max((end - start) * 0.05, 50);
    const isFitted = Math.abs(view.start - Math.max(0, start - margin)) < 1 && view.end - view.start < scaleEnd;
    if (isFitted) zoomOut();
    else zoom(start - margin, end + margin);
  }

  body.addEventListener("wheel", (event) => {
    const bars = event.target.closest(".trow__bars");
    if (!bars || !(event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    const span = view.end - view.start;
    if (event.shiftKey) {
      const by = (Math.sign(event.deltaY || event.deltaX) * span) / 10;
      zoom(view.start + by, view.end + by);
      return;
    }
    const box = bars.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const factor = event.deltaY > 0 ? 1.25 : 0.8;
    const center = view.start + share * span;
    zoom(center - share * span * factor, center + (1 - share) * span * factor);
  }, { passive: false });

  let panned = false;
  body.addEventListener("pointerdown", (event) => {
    const bars = event.target.closest(".trow__bars");
    panned = false;
    if (!bars || event.button !== 0 || event.pointerType !== "mouse" || view.end - view.start >= scaleEnd) return;
    const { start, end } = view;
    const width = bars.clientWidth;
    const onMove = (moved) => {
      const by = ((event.clientX - moved.clientX) / width) * (end - start);
      panned = panned || Math.abs(moved.clientX - event.clientX) > 4;
      if (panned) zoom(start + by, end + by);
    };
    addEventListener("pointermove", onMove);
    addEventListener("pointerup", () => removeEventListener("pointermove", onMove), { once: true });
  });

  body.addEventListener("pointermove", (event) => {
    const bars = event.buttons ? null : event.target.closest(".trow__bars");
    T.hover(bars ? Number(bars.closest("[data-row]").dataset.row) : -1, event.clientX, event.clientY);
  });
  body.addEventListener("pointerleave", () => T.hover(-1));

  body.addEventListener("click", (event) => {
    if (panned) event.stopImmediatePropagation(); // the end of a drag selects nothing
    panned = false;
  });

  body.addEventListener("dblclick", (event) => {
    const line = event.target.closest(".trow__bars");
    if (line) zoomToRow(Number(line.closest("[data-row]").dataset.row));
  });

  Object.assign(T.commands, {
    "reset-zoom": zoomOut,
    compress() {
      isCompressed = !isCompressed;
      offerCompression();
      buildScale();
      zoomOut();
    },
  });

  onKey("z", () => { if (T.selected >= 0) zoomToRow(T.selected); });
  onKey("i", () => {
    if (isShown && !page.querySelector('[data-tree="compress"]').hidden) T.commands.compress();
  });

  T.timeline = {
    /** The steps are here. */
    start(redrawRows) {
      tree = T.tree;
      total = Math.max(1, tree.total);
      scaleEnd = total;
      view = { start: 0, end: total };
      redraw = redrawRows;
    },
    /** Tree or Timeline was opened. */
    show(isTimeline) {
      isShown = isTimeline;
      offerCompression();
      zoom(view.start, view.end);
    },
    inView: () => ({ start: fromScale(view.start), end: fromScale(view.end) }),
    drawBars, drawAxis, zoomOut,
  };
})();
