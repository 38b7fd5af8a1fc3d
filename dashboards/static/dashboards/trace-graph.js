// Graph of the trace page: its agents, models and tools as nodes. Together: one node for all calls of the same thing. As it ran:
// one node per call, forking where calls overlap. Layers from top to bottom, laid out here: a trace needs no library for it.
(function () {
  "use strict";

  const T = window.tracestore.trace;
  const { page, element, icon, has } = T;
  const frame = document.getElementById("graph");
  const paper = document.getElementById("graph-paper");
  const edgesOf = document.getElementById("graph-edges");
  const note = document.getElementById("graph-note");
  const steps = document.getElementById("graph-steps");
  const SVG = "http://www.w3.org/2000/svg";
  const KINDS = new Set(["agent", "llm", "tool", "retriever", "embedding", "guardrail", "evaluator"]);
  const MAX_TOGETHER = 80;
  const MAX_CALLS = 200;
  const MAX_JOIN = 12; // more lines than this between two groups of parallel calls would be a cloth
  const NODE = { width: 176, height: 48, gapX: 28, gapY: 52 };
  const SWEEPS = 6;
  const READABLE = 0.7; // what is drawn at first is not smaller; Fit shows all of it
  const SMALLEST = 0.1;

  let nodes = []; // { calls: [place in the tree], label, kind, errors, layer, x, y, element }
  const passing = new Map(); // how many lines pass a gap between two nodes
  let rows = []; // the nodes of each row, from left to right
  let edges = []; // { from, to, calls, errors, isHandoff, element }
  let callers = new Map(); // call -> the nearest call above it, -1 for none
  let inTime = []; // the calls that are drawn, by their start
  let order = "together";
  let scale = { factor: 1, x: 0, y: 0 };
  let isStale = true;

  // --- What is drawn --------------------------------------------------------------------------------------------------

  function keyOf(index) {
    return T.kindOf(index) + "\n" + (T.textOf("subject", index) || T.nameOf(index));
  }

  /** The calls in tree order with the nearest call above each. A model call within one of the same model is the same call. */
  function findCalls() {
    const tree = T.tree;
    const owner = new Int32Array(tree.size).fill(-1);
    const calls = [];
    for (let index = 0; index < tree.size; index += 1) {
      const above = tree.parent[index] < 0 ? -1 : owner[tree.parent[index]];
      owner[index] = above;
      if (has(index, "placeholder") || !KINDS.has(T.kindOf(index)) || !T.inRange(index)) continue;
      if (above >= 0 && keyOf(above) === keyOf(index) && T.kindOf(index) !== "agent") continue;
      owner[index] = index;
      calls.push({ index, above });
    }
    return calls;
  }

  function addNode(index) {
    const made = { calls: [], label: T.textOf("subject", index) || T.nameOf(index), kind: T.kindOf(index), errors: 0, layer: 0, x: 0, y: 0 };
    nodes.push(made);
    return made;
  }

  function count(node, index) {
    node.calls.push(index);
    if (has(index, "error")) node.errors += 1;
  }

  function buildTogether(calls) {
    const byKey = new Map();
    const lines = new Map();
    const sizes = new Map();
    calls = calls.filter(({ index }) => !T.tree.handoffs.has(index));
    calls.forEach(({ index }) => sizes.set(keyOf(index), (sizes.get(keyOf(index)) || 0) + 1));
    const kept = new Set([...sizes].sort((one, other) => other[1] - one[1]).slice(0, MAX_TOGETHER).map(([key]) => key));
    for (const { index, above } of calls) {
      const key = keyOf(index);
      if (!kept.has(key)) continue;
      if (!byKey.has(key)) byKey.set(key, addNode(index));
      count(byKey.get(key), index);
      if (above < 0 || !byKey.has(keyOf(above)) || keyOf(above) === key) continue;
      const name = keyOf(above) + "\n\n" + key;
      if (!lines.has(name)) lines.set(name, { from: byKey.get(keyOf(above)), to: byKey.get(key), calls: 0, errors: 0 });
      lines.get(name).calls += 1;
      if (has(index, "error")) lines.get(name).errors += 1;
    }
    edges = [...lines.values(), ...findHandoffs(byKey)];
    const left = sizes.size - kept.size;
    note.textContent = left ? "The " + MAX_TOGETHER + " most used are drawn, " + T.count(left) + " more are not." : "";
  }

  /** Tools are called transfer_to_billing_agent where the agent is Billing agent; tracestore/agent_graph.py does the same. */
  function slug(name) {
    return name.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_|_$/g, "");
  }

  /** Lines from the agent in which a hand-off stands to the one it names; an agent that has no step of its own gets a node. */
  function findHandoffs(byKey) {
    const agents = new Map(nodes.filter((node) => node.kind === "agent").map((node) => [slug(node.label), node]));
    const lines = new Map();
    for (const [index, name] of T.tree.handoffs) {
      let above = T.tree.parent[index];
      while (above >= 0 && T.kindOf(above) !== "agent") above = T.tree.parent[above];
      const from = above >= 0 && byKey.get(keyOf(above));
      if (!from || !T.inRange(index)) continue;
      let to = agents.get(slug(name)) || agents.get(slug(name) + "_agent");
      if (!to) {
        to = { calls: [index], label: name, kind: "agent", errors: 0, layer: 0, x: 0, y: 0 };
        nodes.push(to);
        agents.set(slug(name), to);
      }
      if (to === from) continue;
      const key = from.label + "\n" + to.label;
      if (!lines.has(key)) lines.set(key, { from, to, calls: 0, errors: 0, isHandoff: true });
      lines.get(key).calls += 1;
      if (has(index, "error")) lines.get(key).errors += 1;
    }
    return lines.values();
  }

  function buildAsItRan(calls) {
    const drawn = calls.slice(0, MAX_CALLS);
    const byIndex = new Map();
    const children = new Map([[-1, []]]);
    for (const { index, above } of drawn) {
      const node = addNode(index);
      count(node, index);
      byIndex.set(index, node);
      children.set(index, []);
      (children.get(above) || children.get(-1)).push(index);
    }
    edges = [];
    const { offset, duration } = T.tree;
    const end = (index) => offset[index] + duration[index];
    // From the last call to the first, so that what is below a call is joined before what follows it.
    const exits = new Map();
    const join = (owner) => {
      let before = owner < 0 ? [] : [owner];
      let wave = [];
      let until = -Infinity;
      const close = () => {
        const many = before.length * wave.length > MAX_JOIN;
        const from = many ? [before.reduce((last, index) => (end(index) > end(last) ? index : last))] : before;
        for (const one of from) for (const other of wave) edges.push({ from: byIndex.get(one), to: byIndex.get(other), calls: 1, errors: has(other, "error") ? 1 : 0 });
        before = wave.flatMap((index) => exits.get(index));
        wave = [];
      };
      for (const index of children.get(owner).sort((one, other) => offset[one] - offset[other])) {
        if (wave.length && offset[index] >= until) close();
        wave.push(index);
        until = Math.max(until, end(index));
      }
      if (wave.length) close();
      exits.set(owner, before);
    };
    drawn.map(({ index }) => index).reverse().forEach(join);
    join(-1);
    note.textContent = calls.length > MAX_CALLS ? "The first " + MAX_CALLS + " of " + T.count(calls.length) + " calls are drawn. Drag over the strip above to choose others." : "";
  }

  // --- Layout: layers, then an order in each that crosses few lines ----------------------------------------------------

  function layOut() {
    const out = new Map(nodes.map((node) => [node, []]));
    edges.forEach((edge) => out.get(edge.from).push(edge));
    // A line that leads back to what is being visited closes a ring: it is drawn, and has no say in the layers.
    const state = new Map();
    const sorted = [];
    for (const root of nodes) {
      if (state.has(root)) continue;
      const stack = [[root, 0]];
      state.set(root, 1);
      while (stack.length) {
        const top = stack[stack.length - 1];
        const edge = out.get(top[0])[top[1]];
        if (!edge) {
          state.set(top[0], 2);
          sorted.push(top[0]);
          stack.pop();
          continue;
        }
        top[1] += 1;
        edge.back = state.get(edge.to) === 1;
        if (!state.has(edge.to)) {
          state.set(edge.to, 1);
          stack.push([edge.to, 0]);
        }
      }
    }
    sorted.reverse().forEach((node) => {
      out.get(node).forEach((edge) => { if (!edge.back) edge.to.layer = Math.max(edge.to.layer, node.layer + 1); });
    });
    const layers = [];
    nodes.forEach((node) => (layers[node.layer] ||= []).push(node));
    const neighbours = new Map(nodes.map((node) => [node, []]));
    edges.forEach((edge) => {
      neighbours.get(edge.from).push(edge.to);
      neighbours.get(edge.to).push(edge.from);
    });
    layers.forEach(spread);
    for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
      for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
        const wish = new Map(layer.map((node) => {
          const near = neighbours.get(node).filter((other) => other.layer !== node.layer);
          return [node, near.length ? near.reduce((sum, other) => sum + other.x, 0) / near.length : node.x];
        }));
        layer.sort((one, other) => wish.get(one) - wish.get(other));
        spread(layer);
        const shift = layer.reduce((sum, node) => sum + wish.get(node) - node.x, 0) / layer.length;
        layer.forEach((node) => { node.x += shift; });
      }
    }
    // What is wider than the view would have to be drawn too small to read: it goes on in a row below.
    const room = Math.max(2, Math.floor((frame.clientWidth - 32 + NODE.gapX) / (NODE.width + NODE.gapX)));
    const isWide = layers.some((layer) => layer.length > room);
    let y = 0;
    rows = [];
    for (const layer of layers) {
      for (let at = 0; at < layer.length; at += room) {
        const row = layer.slice(at, at + room);
        if (isWide) spread(row);
        row.forEach((node) => { node.y = y; });
        rows.push(row);
        y += NODE.height + (at + room < layer.length || order === "ran" ? NODE.gapX : NODE.gapY);
      }
    }
    const left = Math.min(...nodes.map((node) => node.x));
    nodes.forEach((node) => { node.x -= left; });
  }

  function spread(layer) {
    layer.forEach((node, place) => { node.x = (place - (layer.length - 1) / 2) * (NODE.width + NODE.gapX); });
  }

  // --- Drawing --------------------------------------------------------------------------------------------------------

  function build() {
    isStale = false;
    nodes = [];
    const calls = findCalls();
    callers = new Map(calls.map(({ index, above }) => [index, above]));
    if (order === "together") buildTogether(calls);
    else buildAsItRan(calls);
    document.getElementById("graph-none").hidden = nodes.length > 0;
    paper.querySelectorAll(".gnode").forEach((old) => old.remove());
    edgesOf.replaceChildren();
    passing.clear();
    const { offset } = T.tree;
    inTime = nodes.flatMap((node) => node.calls).sort((one, other) => offset[one] - offset[other] || one - other);
    steps.hidden = inTime.length < 2;
    if (!nodes.length) return;
    layOut();
    paper.append(...nodes.map(drawNode));
    edges.forEach(drawEdge);
    ring();
    fit(READABLE);
  }

  function drawNode(node) {
    const { tree } = T;
    const button = element("button", "gnode" + (node.errors ? " gnode--error" : ""));
    button.type = "button";
    button.style.left = node.x + "px";
    button.style.top = node.y + "px";
    const head = element("span", "gnode__head");
    head.append(icon(node.kind, "kind-" + node.kind), element("span", "gnode__label", node.label));
    if (node.calls.length > 1) head.append(element("span", "gnode__count", "×" + T.count(node.calls.length)));
    const sum = (column) => node.calls.reduce((whole, index) => whole + (column[index] || 0), 0);
    const facts = [T.duration(sum(tree.duration))];
    if (sum(tree.cost)) facts.push(T.cost(sum(tree.cost)));
    const rest = element("span", "gnode__facts muted", facts.join(" · "));
    if (node.errors) rest.append(element("span", "text-error", " · " + T.count(node.errors) + (node.errors === 1 ? " error" : " errors")));
    button.append(head, rest);
    button.title = node.kind + " " + node.label + (node.calls.length > 1 ? "\nClick again for the next of its " + T.count(node.calls.length) + " calls" : "");
    button.addEventListener("click", () => {
      const at = node.calls.indexOf(T.selected);
      T.select(node.calls[(at + 1) % node.calls.length]);
    });
    node.element = button;
    return button;
  }

  /** The line from a node to one below: past what lies between, where it would seem to begin or end. Its last bend has the label. */
  function way(from, to, label) {
    const start = { x: from.x + NODE.width / 2, y: from.y + NODE.height };
    const end = { x: to.x + NODE.width / 2, y: to.y };
    let at = start;
    let drawn = `M${at.x} ${at.y}`;
    const go = (x, y) => {
      const bend = (y - at.y) / 2;
      drawn += `C${at.x} ${at.y + bend} ${x} ${y - bend} ${x} ${y}`;
      label.setAttribute("x", (at.x + x) / 2 + 6);
      label.setAttribute("y", (at.y + y) / 2 + 4);
    };
    for (const row of rows) {
      if (row[0].y <= from.y || row[0].y >= to.y) continue;
      const wish = start.x + ((end.x - start.x) * (row[0].y - start.y)) / (end.y - start.y);
      const x = freePlace(row, wish);
      go(x, row[0].y);
      at = { x, y: row[0].y + NODE.height };
      drawn += `V${at.y}`;
    }
    go(end.x, end.y);
    return drawn;
  }

  /** Where a line can pass a row of nodes: as it is, else in the gap nearest to its way, beside those that pass there already. */
  function freePlace(row, wish) {
    const MARGIN = 4;
    if (!row.some((node) => wish > node.x - MARGIN && wish < node.x + NODE.width + MARGIN)) return wish;
    const gaps = [row[0].x - NODE.gapX, ...row.map((node) => node.x + NODE.width)].map((x) => x + NODE.gapX / 2);
    const gap = gaps.reduce((best, x) => (Math.abs(x - wish) < Math.abs(best - wish) ? x : best));
    const before = passing.get(row[0].y + " " + gap) || 0;
    passing.set(row[0].y + " " + gap, before + 1);
    const side = before % 2 ? 1 : -1;
    return gap + side * Math.min(Math.ceil(before / 2) * 3, NODE.gapX / 2 - MARGIN);
  }

  function drawEdge(edge) {
    const { from, to } = edge;
    const path = document.createElementNS(SVG, "path");
    const label = document.createElementNS(SVG, "text");
    if (edge.back || to.layer <= from.layer) {
      const side = Math.max(from.x, to.x) + NODE.width + NODE.gapX / 2;
      const [y1, y2] = [from.y + NODE.height / 2, to.y + NODE.height / 2];
      path.setAttribute("d", `M${from.x + NODE.width} ${y1}C${side + 12} ${y1} ${side + 12} ${y2} ${to.x + NODE.width} ${y2}`);
    } else path.setAttribute("d", way(from, to, label));
    path.setAttribute("class", "gedge" + (edge.errors ? " gedge--error" : "") + (edge.isHandoff ? " gedge--handoff" : ""));
    path.setAttribute("marker-end", edge.errors ? "url(#graph-arrow-error)" : "url(#graph-arrow)");
    path.style.strokeWidth = Math.min(4, 1 + Math.log2(edge.calls) / 2) + "px";
    edgesOf.append(path);
    edge.element = path;
    if (edge.calls < 2 || edge.back || to.layer <= from.layer) return;
    label.setAttribute("class", "gedge__label");
    label.textContent = "×" + T.count(edge.calls);
    edgesOf.append(label);
  }

  /** Mark the node of the selected step and the lines that led to it; the paper stays where it is. */
  function ring() {
    edges.forEach(({ from, to, isHandoff, element: line }) => {
      const isTaken = to.calls.includes(T.selected) && (order === "ran" || isHandoff || from.calls.includes(callers.get(T.selected)));
      line.classList.toggle("gedge--taken", isTaken);
    });
    const place = inTime.indexOf(T.selected);
    steps.querySelector("[data-place]").textContent = (place < 0 ? "–" : T.count(place + 1)) + " of " + T.count(inTime.length);
    for (const node of nodes) {
      const at = T.selected < 0 ? -1 : node.calls.indexOf(T.selected);
      node.element.classList.toggle("gnode--selected", at >= 0);
      node.element.setAttribute("aria-pressed", String(at >= 0));
      const counted = node.element.querySelector(".gnode__count");
      if (counted) counted.textContent = (at >= 0 ? at + 1 + "/" : "×") + T.count(node.calls.length);
      node.element.classList.toggle("gnode--dim", T.matching.size > 0 && !node.calls.some((index) => T.matching.has(index)));
    }
  }

  // --- Paper ----------------------------------------------------------------------------------------------------------

  function place(next) {
    scale = next;
    paper.style.transform = `translate(${scale.x}px, ${scale.y}px) scale(${scale.factor})`;
  }

  function fit(smallest) {
    if (!nodes.length) return;
    const width = Math.max(...nodes.map((node) => node.x)) + NODE.width;
    const height = Math.max(...nodes.map((node) => node.y)) + NODE.height;
    const factor = Math.max(smallest, Math.min(1, (frame.clientWidth - 32) / width, (frame.clientHeight - 32) / height));
    place({ factor, x: Math.max(16, (frame.clientWidth - width * factor) / 2), y: 16 });
  }

  /** Bring the node of the selected step into the frame. */
  function reveal() {
    const node = nodes.find(({ calls }) => calls.includes(T.selected));
    if (!node) return;
    const shift = (start, length, room) => Math.max(0, 8 - start) + Math.min(0, room - 8 - start - length);
    const [x, y] = [scale.x + node.x * scale.factor, scale.y + node.y * scale.factor];
    const dx = shift(x, NODE.width * scale.factor, frame.clientWidth);
    const dy = shift(y, NODE.height * scale.factor, frame.clientHeight);
    if (dx || dy) place({ ...scale, x: scale.x + dx, y: scale.y + dy });
  }

  /** Select the call that began next, or before: what the agent did, step by step. */
  function walk(by) {
    const at = inTime.indexOf(T.selected);
    const next = at < 0 ? inTime[by > 0 ? 0 : inTime.length - 1] : inTime[at + by];
    if (next === undefined) return;
    T.select(next);
    reveal();
  }

  frame.addEventListener("wheel", (event) => {
    const isZoom = event.ctrlKey || event.metaKey;
    if (!isZoom && matchMedia("(max-width: 1080px)").matches) return; // there the page itself scrolls
    event.preventDefault();
    if (!isZoom) {
      place({ ...scale, x: scale.x - event.deltaX - (event.shiftKey ? event.deltaY : 0), y: scale.y - (event.shiftKey ? 0 : event.deltaY) });
      return;
    }
    const box = frame.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const factor = Math.min(2, Math.max(SMALLEST, scale.factor * (event.deltaY > 0 ? 0.85 : 1.18)));
    place({ factor, x: x - ((x - scale.x) * factor) / scale.factor, y: y - ((y - scale.y) * factor) / scale.factor });
  }, { passive: false });

  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button")) return;
    const from = { ...scale };
    const onMove = (moved) => place({ ...from, x: from.x + moved.clientX - event.clientX, y: from.y + moved.clientY - event.clientY });
    addEventListener("pointermove", onMove);
    const done = () => removeEventListener("pointermove", onMove);
    addEventListener("pointerup", done, { once: true });
    addEventListener("pointercancel", done, { once: true });
  });

  frame.addEventListener("pointermove", (event) => {
    const button = event.buttons ? null : event.target.closest(".gnode");
    const node = button && nodes.find((candidate) => candidate.element === button);
    T.hover(node && node.calls.length === 1 ? node.calls[0] : -1, event.clientX, event.clientY);
  });
  frame.addEventListener("pointerleave", () => T.hover(-1));

  T.walkGraph = walk;
  T.commands["graph-before"] = () => walk(-1);
  T.commands["graph-next"] = () => walk(1);
  T.commands["graph-fit"] = () => fit(SMALLEST);
  T.commands["graph-order"] = (button) => {
    order = button.dataset.order;
    page.querySelectorAll("[data-order]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    build();
  };

  T.add({
    show(name) {
      if (name !== "graph") return;
      if (isStale) build();
      else ring();
    },
    select() { if (T.view === "graph") ring(); },
    change() {
      isStale = true;
      if (T.view !== "graph") return;
      if (T.matching.size) ring();
      else build();
    },
    resize() { if (T.view === "graph") build(); },
  });
})();
