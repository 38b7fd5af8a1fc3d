// The strip above all views of the trace page: a thin bar for every step, sub-agents as blocks. Dragging chooses a part of the
// time, which the views below then show alone; the wheel zooms; what the view below shows is left unshaded.
(function () {
  "use strict";

  const T = window.tracestore.trace;
  const strip = document.getElementById("overview");
  const canvas = document.getElementById("overview-canvas");
  const chosen = document.getElementById("overview-range");
  const marker = document.getElementById("overview-selected");
  const shades = [document.getElementById("overview-before"), document.getElementById("overview-after")];
  const MIN_LANE_PX = 3;
  const MAX_LANE_PX = 12;
  const DRAG_PX = 5;

  let tree = null;
  let total = 1;
  let view = { start: 0, end: 1 };
  let lane = null; // depth without infrastructure
  let deep = null; // the deepest lane of each subtree
  let laneCount = 1;
  let laneHeight = 4;
  let visible = null;

  const toShare = (ns) => (ns - view.start) / (view.end - view.start);
  const toNs = (share) => view.start + share * (view.end - view.start);

  function measureLanes() {
    lane = new Int32Array(tree.size);
    deep = new Int32Array(tree.size);
    for (let index = 0; index < tree.size; index += 1) {
      const above = tree.parent[index];
      lane[index] = above < 0 ? 0 : lane[above] + (tree.infra[index] ? 0 : 1);
    }
    for (let index = tree.size - 1; index >= 0; index -= 1) {
      deep[index] = Math.max(deep[index], lane[index]);
      if (tree.parent[index] >= 0) deep[tree.parent[index]] = Math.max(deep[tree.parent[index]], deep[index]);
    }
  }

  function paint() {
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const colours = T.KINDS.map((kind) => style.getPropertyValue("--kind-" + kind).trim());
    const red = style.getPropertyValue("--error").trim();
    let most = 0;
    for (let index = 0; index < tree.size; index += 1) most = Math.max(most, lane[index]);
    laneCount = Math.max(1, Math.min(most + 1, Math.floor(height / MIN_LANE_PX)));
    laneHeight = Math.min(MAX_LANE_PX, height / laneCount);
    const top = (index) => Math.min(lane[index], laneCount - 1) * laneHeight;
    const agent = T.KINDS.indexOf("agent");
    pen.globalAlpha = 0.16;
    pen.fillStyle = colours[agent];
    for (let index = 0; index < tree.size; index += 1) {
      if (tree.kind[index] !== agent || !lane[index]) continue;
      const [left, wide] = place(index, width);
      const depth = Math.min(deep[index], laneCount - 1) - Math.min(lane[index], laneCount - 1) + 1;
      if (wide > 0) pen.fillRect(left, top(index), wide, depth * laneHeight);
    }
    pen.globalAlpha = 1;
    // Of steps that share a pixel one of each kind is enough: 100,000 of them are drawn at once.
    const painted = new Uint16Array(laneCount * (Math.ceil(width) + 1));
    const reds = [];
    const thick = Math.max(1.5, laneHeight - 1);
    for (let kind = colours.length - 1; kind >= 0; kind -= 1) {
      pen.fillStyle = colours[kind];
      for (let index = 0; index < tree.size; index += 1) {
        if (tree.kind[index] !== kind || tree.infra[index] || T.has(index, "placeholder")) continue;
        if (T.has(index, "error")) { reds.push(index); continue; }
        const [left, wide] = place(index, width);
        if (wide <= 0) continue;
        if (wide < 2) {
          const pixel = Math.min(lane[index], laneCount - 1) * (Math.ceil(width) + 1) + Math.floor(left);
          if (painted[pixel] & (1 << kind)) continue;
          painted[pixel] |= 1 << kind;
        }
        pen.fillRect(left, top(index), wide, thick);
      }
    }
    pen.fillStyle = red;
    for (const index of reds) {
      const [left, wide] = place(index, width);
      if (wide > 0) pen.fillRect(left, top(index), Math.max(2, wide), thick);
    }
  }

  function place(index, width) {
    const start = Math.max(0, toShare(tree.offset[index]));
    const end = Math.min(1, toShare(tree.offset[index] + tree.duration[index]));
    if (end < 0 || start > 1 || end < start) return [0, 0];
    const left = Math.min(start * width, width - 1.5);
    return [left, Math.max(1.5, (end - start) * width)];
  }

  function lay(box, start, end) {
    const from = Math.max(0, toShare(start));
    const to = Math.min(1, toShare(end));
    box.hidden = to <= 0 || from >= 1 || to < from;
    box.style.left = from * 100 + "%";
    box.style.width = Math.max(0, to - from) * 100 + "%";
  }

  function mark() {
    shades.forEach((shade) => { shade.hidden = !visible; });
    if (visible) {
      lay(shades[0], view.start, Math.max(view.start, visible.start));
      lay(shades[1], Math.min(view.end, visible.end), view.end);
    }
    chosen.hidden = !T.range;
    if (T.range) lay(chosen, T.range.start, T.range.end);
    marker.hidden = T.selected < 0;
    if (T.selected >= 0) lay(marker, tree.offset[T.selected], tree.offset[T.selected] + tree.duration[T.selected]);
  }

  function zoom(start, end) {
    const width = Math.min(total, Math.max(Math.min(total, 100), end - start));
    const from = Math.min(Math.max(0, start), total - width);
    view = { start: from, end: from + width };
    paint();
    mark();
  }

  /** The shortest step under a point, -1 when there is none. */
  function findAt(event) {
    const box = canvas.getBoundingClientRect();
    const at = toNs((event.clientX - box.left) / box.width);
    const near = ((view.end - view.start) / box.width) * 2;
    const wanted = Math.floor((event.clientY - box.top) / laneHeight);
    let found = -1;
    for (let index = 0; index < tree.size; index += 1) {
      if (tree.infra[index] || T.has(index, "placeholder") || Math.min(lane[index], laneCount - 1) !== wanted) continue;
      if (tree.offset[index] > at + near || tree.offset[index] + tree.duration[index] < at - near) continue;
      if (found < 0 || tree.duration[index] < tree.duration[found]) found = index;
    }
    return found;
  }

  strip.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !tree) return;
    const box = canvas.getBoundingClientRect();
    const share = (moved) => Math.min(1, Math.max(0, (moved.clientX - box.left) / box.width));
    const from = share(event);
    let dragged = false;
    T.hover(-1);
    const onMove = (moved) => {
      dragged = dragged || Math.abs(moved.clientX - event.clientX) > DRAG_PX;
      if (!dragged) return;
      lay(chosen, toNs(Math.min(from, share(moved))), toNs(Math.max(from, share(moved))));
    };
    const onUp = (moved) => {
      removeEventListener("pointermove", onMove);
      if (dragged) T.setRange({ start: toNs(Math.min(from, share(moved))), end: toNs(Math.max(from, share(moved))) });
      else T.select(findAt(event), { center: true });
    };
    addEventListener("pointermove", onMove);
    addEventListener("pointerup", onUp, { once: true });
    addEventListener("pointercancel", () => { removeEventListener("pointermove", onMove); removeEventListener("pointerup", onUp); mark(); }, { once: true });
  });

  strip.addEventListener("pointermove", (event) => {
    if (tree && !event.buttons) T.hover(findAt(event), event.clientX, event.clientY);
  });
  strip.addEventListener("pointerleave", () => T.hover(-1));

  strip.addEventListener("wheel", (event) => {
    // Where the page itself scrolls the wheel belongs to it.
    if (!tree || (!event.ctrlKey && !event.shiftKey && matchMedia("(max-width: 1080px)").matches)) return;
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const span = view.end - view.start;
    if (event.shiftKey) {
      const by = (Math.sign(event.deltaY || event.deltaX) * span) / 10;
      zoom(view.start + by, view.end + by);
      return;
    }
    const wide = span * (event.deltaY > 0 ? 1.25 : 0.8);
    const center = toNs(share);
    zoom(center - share * wide, center + (1 - share) * wide);
  }, { passive: false });
  strip.addEventListener("dblclick", () => zoom(0, total));
  document.addEventListener("themechange", () => { if (tree) paint(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (tree) paint(); });

  T.add({
    start() {
      tree = T.tree;
      total = Math.max(1, tree.total);
      view = { start: 0, end: total };
      measureLanes();
      canvas.setAttribute("aria-label", "Overview: " + T.count(tree.size) + " steps in " + T.duration(tree.total));
      new ResizeObserver(() => { paint(); mark(); }).observe(strip);
    },
    show(name) {
      if (name !== "tree" && name !== "timeline") T.visible(null);
    },
    select: mark,
    change: mark,
    escape() { zoom(0, total); },
  });
  T.visible = (part) => {
    visible = part;
    mark();
  };
})();
