// The trace list: the row under the keys, selected rows, facets, dragging a time range, following live, relative times
// that stay true. trace-columns.js has the columns, peek.js adds the preview.
(function () {
  "use strict";
  const { isPressed, onKey, show, walkRows } = window.tracestore;
  const layout = document.getElementById("traces");
  if (!layout) return; // a refused query, or the setup guide

  // --- The row under the keys
  function rows() {
    return [...document.querySelectorAll(".trace-row")];
  }

  const walk = walkRows(rows, (row) => document.dispatchEvent(new CustomEvent("traceselect", { detail: row.dataset.trace })));

  function find(traceId) {
    return document.querySelector(`.trace-row[data-trace="${CSS.escape(traceId)}"]`);
  }

  onKey("z", () => {
    const wider = document.getElementById("wider") || document.querySelector("[data-range][aria-current] + [data-range]");
    if (wider) wider.click();
    else show("This is the longest range offered. Other times can be written in its menu.", "");
  });
  if (!document.getElementById("live")) onKey("l", () => show("Only a range that ends now can be followed live.", ""));
  window.tracestore.list = { layout, find, toggleFacets, ...walk };

  // --- Selected rows: two are compared, any number is asked about
  const MOST_PICKED = 40; // a query has at most 2,000 characters, and an id takes 36 of them
  const picked = new Set();
  const bar = document.getElementById("picked");
  let lastPicked = null;

  function pick(row, isOn) {
    if (isOn && picked.size >= MOST_PICKED && !picked.has(row.dataset.trace)) {
      show("At most " + MOST_PICKED + " traces can be selected. Narrow the search instead.", "warn");
      isOn = false;
    }
    picked[isOn ? "add" : "delete"](row.dataset.trace);
    row.classList.toggle("trace-row--picked", isOn);
    row.querySelector("[data-pick]").checked = isOn;
  }

  function pickUpTo(row) {
    const all = rows();
    const [from, to] = [all.indexOf(lastPicked), all.indexOf(row)].sort((a, b) => a - b);
    all.slice(Math.max(0, from), to + 1).forEach((between) => pick(between, true));
  }

  function togglePick(row, isRange) {
    if (!row) return;
    if (isRange && lastPicked && lastPicked.isConnected) pickUpTo(row);
    else pick(row, !picked.has(row.dataset.trace));
    lastPicked = row;
    drawPicked();
  }

  function drawPicked() {
    const ids = [...picked];
    const compare = document.getElementById("picked-compare");
    bar.hidden = ids.length === 0;
    layout.classList.toggle("traces--picked", ids.length > 0);
    document.getElementById("picked-count").textContent = ids.length + (ids.length === 1 ? " trace" : " traces");
    compare.href = document.body.dataset.root + "/compare/traces?" + new URLSearchParams({ a: ids[0] || "", b: ids[1] || "" });
    compare.setAttribute("aria-disabled", String(ids.length !== 2));
    compare.title = ids.length === 2 ? "Compare the two (c)" : "Select two traces to compare them";
    const params = new URLSearchParams({ q: "trace:(" + ids.join(" OR ") + ")" });
    const here = new URLSearchParams(location.search);
    for (const name of ["start", "end"]) if (here.get(name)) params.set(name, here.get(name));
    document.getElementById("picked-why").href = document.body.dataset.root + "/why?" + params;
  }

  document.addEventListener("click", (event) => {
    const row = event.target.closest(".trace-row");
    const isBox = event.target.matches("[data-pick]");
    if (row && (isBox || (event.shiftKey && event.target.closest(".trace-row__link")))) {
      if (!isBox) event.preventDefault(); // or the browser opens a window
      togglePick(row, event.shiftKey);
    }
    if (event.target.closest("#picked-compare[aria-disabled=true]")) event.preventDefault();
  });
  // Dragging over text with Shift held would mark it.
  document.addEventListener("mousedown", (event) => { if (event.shiftKey && event.target.closest(".trace-row")) event.preventDefault(); });
  document.getElementById("picked-clear").addEventListener("click", () => {
    rows().forEach((row) => pick(row, false));
    picked.clear(); // also what a live list has dropped
    drawPicked();
  });
  // A page that is gone back to keeps its checkboxes; browsers tick them after scripts have run, some before the page counts as shown.
  addEventListener("pageshow", () => {
    rows().forEach((row) => { if (row.querySelector("[data-pick]").checked) pick(row, true); });
    drawPicked();
  });

  onKey("x", () => togglePick(walk.selected(), false));
  onKey("X", () => togglePick(walk.selected(), true));
  onKey("c", () => {
    if (picked.size === 2) document.getElementById("picked-compare").click();
    else show("Select two traces with x to compare them.", "");
  });
  onKey("w", () => document.getElementById(picked.size ? "picked-why" : "why-link").click());
  onKey("v", () => {
    const menu = document.getElementById("views-menu");
    menu.open = !menu.open;
    menu.querySelector("summary").focus();
  });

  // --- Facets
  const isDrawer = () => matchMedia(layout.closest(".page--peek") ? "(max-width: 1599px)" : "(max-width: 1080px)").matches;

  function toggleFacets() {
    if (isDrawer()) {
      const isOpen = layout.classList.toggle("traces--drawer");
      document.querySelector((isOpen ? ".facets__head" : ".presets") + " [data-facets-toggle]").focus();
      return;
    }
    const hidden = layout.classList.toggle("traces--plain");
    document.cookie = "facets=" + (hidden ? "hidden" : "shown") + "; path=/; max-age=31536000; samesite=lax";
  }

  onKey("f", toggleFacets);
  document.querySelectorAll("[data-facets-toggle]").forEach((button) => button.addEventListener("click", toggleFacets));

  function exclude(event) {
    const value = event.target.closest("[data-exclude]");
    if (!value) return;
    event.preventDefault();
    location.href = value.dataset.exclude;
  }

  const facets = document.getElementById("facets");
  facets.addEventListener("click", (event) => { if (event.shiftKey) exclude(event); });
  facets.addEventListener("contextmenu", exclude);

  // Which groups are open is remembered for this browser tab; how many values each had, at most, for the room that pages give it.
  const known = new Map([...(/(?:^|; )facet_rows=([^;]*)/.exec(document.cookie)?.[1] || "").matchAll(/([\w.]+)\.(\d)/g)].map((found) => [found[1], Number(found[2])]));
  document.querySelectorAll("[data-facet]").forEach((facet) => {
    const key = "facet-" + facet.dataset.facet;
    const kept = sessionStorage.getItem(key);
    const values = facet.querySelector(".facet__values");
    if (kept) facet.open = kept === "open";
    facet.addEventListener("toggle", () => sessionStorage.setItem(key, facet.open ? "open" : "closed"));
    values.addEventListener("htmx:afterSwap", () => {
      const { facet: field } = facet.dataset;
      known.set(field, Math.min(6, Math.max(known.get(field) || 0, values.querySelectorAll(".facet__row").length)));
      document.cookie = "facet_rows=" + [...known].map((pair) => pair.join(".")).join("-") + "; path=/; samesite=lax";
    });
  });

  // --- Time range by dragging over a strip; it shows on all of them. A click on a bar is its own link.
  const DRAG_PX = 5;
  const strips = document.querySelector("[data-strips]");
  let drag = null;

  function fraction(svg, event) {
    const box = svg.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }

  function timesOf(from, to) {
    // The bars are whole buckets, which reach somewhat beyond the range; what is chosen does not.
    const [start, end, first, last] = ["start", "end", "first", "last"].map((name) => BigInt(strips.dataset[name]));
    const times = [from, to].sort((a, b) => a - b).map((part) => first + BigInt(Math.round(part * Number(last - first))));
    return times.map((ns) => (ns < start ? start : ns > end ? end : ns));
  }

  function startMarks(held) {
    held.label = document.createElement("output");
    held.label.className = "strips__range";
    strips.append(held.label);
    held.marks = [...strips.querySelectorAll(".volume__bars")].map((svg) => {
      const mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      mark.setAttribute("class", "volume__selection");
      mark.setAttribute("height", "100%");
      svg.append(mark);
      return mark;
    });
  }

  function drawMarks(held, from, to) {
    held.marks.forEach((mark) => {
      const width = mark.ownerSVGElement.viewBox.baseVal.width;
      mark.setAttribute("x", String(Math.min(from, to) * width));
      mark.setAttribute("width", String(Math.abs(to - from) * width));
    });
    held.label.textContent = timesOf(from, to).map((ns) => rfc3339(ns).slice(5, 19).replace("T", " ")).join(" to ") + " UTC";
  }

  function dropMarks(held) {
    if (held && held.marks) [held.label, ...held.marks].forEach((item) => item.remove());
  }

  function endDrag() {
    const ended = drag;
    drag = null;
    dropMarks(ended);
    return ended;
  }

  function showTimes(from, to) {
    const [first, last] = timesOf(from, to);
    const params = new URLSearchParams(location.search);
    for (const name of ["arrived", "live", "peek"]) params.delete(name);
    params.set("start", rfc3339(first));
    params.set("end", rfc3339(last));
    location.search = "?" + params;
  }

  document.addEventListener("pointerdown", (event) => {
    const svg = event.target.closest(".volume__bars");
    if (!svg || event.button !== 0) return;
    if (event.pointerType !== "touch") event.preventDefault(); // or the browser drags the bar's link
    drag = { svg, x: event.clientX, from: fraction(svg, event), marks: null, label: null };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag || (!drag.marks && Math.abs(event.clientX - drag.x) <= DRAG_PX)) return;
    if (!drag.marks) startMarks(drag);
    drawMarks(drag, drag.from, fraction(drag.svg, event));
  });
  document.addEventListener("pointercancel", endDrag); // a finger that scrolls the page after all
  document.addEventListener("keydown", (event) => { if (drag && event.key === "Escape") endDrag(); });
  document.addEventListener("pointerup", (event) => {
    const ended = endDrag();
    if (!ended || !ended.marks) return;
    ended.svg.addEventListener("click", (click) => click.preventDefault(), { once: true, capture: true });
    showTimes(ended.from, fraction(ended.svg, event));
  });

  // The same by keys, in whole bars.
  let keyed = null; // the bars where the choice began and where it has come to

  function letGo() {
    dropMarks(keyed);
    keyed = null;
  }

  strips?.addEventListener("focusout", letGo);
  strips?.addEventListener("keydown", (event) => {
    if (!event.target.matches("[data-keyed]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const bars = event.target.viewBox.baseVal.width;
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -bars, End: bars }[event.key];
    const isChoice = keyed && (event.key === "Enter" || event.key === "Escape");
    if (!move && !isChoice) return;
    event.preventDefault();
    event.stopPropagation(); // Enter would open the trace under the keys as well
    if (event.key === "Escape") return letGo();
    const [first, last] = keyed ? [Math.min(keyed.from, keyed.at), Math.max(keyed.from, keyed.at) + 1] : [];
    if (event.key === "Enter") return showTimes(first / bars, last / bars);
    const at = Math.min(bars - 1, Math.max(0, keyed ? keyed.at + move : ["ArrowRight", "Home"].includes(event.key) ? 0 : bars - 1));
    const from = keyed && event.shiftKey ? keyed.from : at;
    letGo();
    keyed = { from, at };
    startMarks(keyed);
    drawMarks(keyed, Math.min(from, at) / bars, (Math.max(from, at) + 1) / bars);
  });

  function rfc3339(ns) {
    return new Date(Number(ns / 1000000n)).toISOString();
  }

  // --- Following live: rows that are new or have changed since the last look; nothing is asked while nobody looks
  const TAIL_MS = 3000;
  const MOST_LIVE_ROWS = 500;
  const tail = document.getElementById("trace-tail");
  let sinceNs = tail ? tail.dataset.since : "";
  let isTailBroken = false;

  /** What a row says apart from its age. */
  function digest(row) {
    const copy = row.cloneNode(true);
    copy.querySelectorAll("time, [data-pick]").forEach((part) => part.remove());
    return copy.innerHTML;
  }

  function place(row) {
    const known = find(row.dataset.trace);
    if (known && digest(known) === digest(row)) return;
    row.classList.add("trace-row--fresh");
    if (known) {
      const focused = known.contains(document.activeElement) && (document.activeElement.matches("[data-pick]") ? "[data-pick]" : "a");
      known.replaceWith(row);
      if (focused) row.querySelector(focused).focus({ preventScroll: true });
      if (picked.has(row.dataset.trace)) pick(row, true);
      if (known === walk.selected()) {
        walk.replace(row);
        row.setAttribute("aria-selected", "true");
      }
      return;
    }
    const start = BigInt(row.dataset.start);
    const after = rows().find((other) => BigInt(other.dataset.start) < start);
    if (after) after.before(row);
    else if (!document.querySelector(".trace-more")) document.querySelector(".trace-rows").append(row);
  }

  function merge(fresh) {
    [...fresh.querySelectorAll(".trace-row")].forEach(place);
    const all = rows();
    if (all.length) document.getElementById("tail-waiting")?.remove();
    if (all.length <= MOST_LIVE_ROWS) return;
    all.slice(MOST_LIVE_ROWS).forEach((row) => row.remove());
    document.querySelector(".trace-more")?.remove();
    document.getElementById("tail-full").hidden = false;
  }

  /** One page of what was written since the last look; null once it leads elsewhere. */
  async function askTail(cursor) {
    const address = tail.dataset.tail + "&since=" + sinceNs + (cursor && "&cursor=" + encodeURIComponent(cursor));
    const answer = await fetch(address, { headers: { "HX-Request": "true", "HX-Current-URL": location.href } });
    if (answer.headers.get("HX-Redirect")) {
      location.href = answer.headers.get("HX-Redirect");
      return null;
    }
    if (!answer.ok) throw new Error("The server answered " + answer.status + ".");
    const template = document.createElement("template");
    template.innerHTML = await answer.text();
    const fresh = template.content.querySelector(".trace-rows");
    if (!fresh) throw new Error(template.content.textContent.trim());
    return fresh;
  }

  /** Take in all that was written since, page by page: of a burst no trace is left out that the list has room for. */
  async function look() {
    let until = "";
    let cursor = "";
    let taken = 0;
    do {
      const fresh = await askTail(cursor);
      if (!fresh || isPressed(document.getElementById("trace-table"))) return; // or the row would lose its click; the next look brings it
      merge(fresh);
      until ||= fresh.dataset.until;
      cursor = fresh.dataset.next;
      taken += fresh.rows.length;
    } while (cursor && taken < MOST_LIVE_ROWS);
    sinceNs = until;
  }

  async function follow() {
    if (!document.hidden) {
      try {
        await look();
        isTailBroken = false;
      } catch (error) {
        if (!isTailBroken) show("Following live is interrupted: " + error.message, "error"); // once, not every few seconds
        isTailBroken = true;
      }
    }
    setTimeout(follow, TAIL_MS);
  }

  if (tail) setTimeout(follow, TAIL_MS);

  // --- Relative times, every 15 s; the same words as the server's filter.
  function ago(seconds) {
    if (seconds < 1) return "now";
    if (seconds < 60) return Math.round(seconds) + "\u00a0s ago";
    if (seconds < 3600) return Math.floor(seconds / 60) + "\u00a0m ago";
    if (seconds < 172800) return Math.floor(seconds / 3600) + "\u00a0h ago";
    return Math.floor(seconds / 86400) + "\u00a0d ago";
  }

  setInterval(() => {
    if (document.hidden) return;
    document.querySelectorAll("time[data-ago]").forEach((time) => {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      if (seconds >= 0) time.textContent = ago(seconds);
    });
  }, 15000);

  // The note about the first trace is for one visit, not for whoever gets the address.
  if (location.search.includes("arrived=")) {
    const params = new URLSearchParams(location.search);
    params.delete("arrived");
    history.replaceState(null, "", location.pathname + (params.size ? "?" + params : ""));
  }
})();
