// The steps of a trace as columns, read from what dashboards/trace/waterfall.py packs.
(function () {
  "use strict";

  const KINDS = ["agent", "llm", "tool", "retriever", "embedding", "chain", "guardrail", "evaluator", "other"];
  const OTHER = KINDS.indexOf("other");
  const CALLS = new Set([KINDS.indexOf("llm"), KINDS.indexOf("embedding")]);
  const FLAG = { error: 1, placeholder: 2, cycle: 4, named: 8, critical: 16 };

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

  window.tracestore.tree = { KINDS, FLAG, readTree };
})();
