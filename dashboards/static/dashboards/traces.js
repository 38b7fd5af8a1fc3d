// The trace list: selection by keyboard, facets, dragging a time range, relative times that stay true.
(function () {
  "use strict";
  const { onKey } = window.tracestore;
  const layout = document.getElementById("traces");
  if (!layout) return; // a refused query, or the setup guide

  // --- Selection
  let selected = null;

  function rows() {
    return [...document.querySelectorAll(".trace-row")];
  }

  function select(row) {
    if (!row) return;
    if (selected) selected.removeAttribute("aria-selected");
    selected = row;
    row.setAttribute("aria-selected", "true");
    row.querySelector("a").focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  function move(step) {
    const all = rows();
    const at = all.indexOf(selected);
    select(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))]);
  }

  onKey("j", () => move(1));
  onKey("k", () => move(-1));
  onKey("Enter", (event) => {
    if (!selected || event.target.closest("a, button, summary")) return false; // the focused thing does it itself
    selected.querySelector("a").click();
    return true;
  });
  onKey("r", () => location.reload());

  // --- Facets
  const isDrawer = () => matchMedia("(max-width: 1080px)").matches;

  function toggleFacets() {
    if (isDrawer()) {
      layout.classList.toggle("traces--drawer");
      return;
    }
    const hidden = layout.classList.toggle("traces--plain");
    document.cookie = "facets=" + (hidden ? "hidden" : "shown") + "; path=/; max-age=31536000; samesite=lax";
  }

  onKey("f", toggleFacets);
  onKey("Escape", () => layout.classList.remove("traces--drawer"));
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

  // Which groups are open is remembered for this browser tab.
  document.querySelectorAll("[data-facet]").forEach((facet) => {
    const key = "facet-" + facet.dataset.facet;
    const kept = sessionStorage.getItem(key);
    if (kept) facet.open = kept === "open";
    facet.addEventListener("toggle", () => sessionStorage.setItem(key, facet.open ? "open" : "closed"));
  });

  // --- Time range by dragging over the volume strip; a click on a bar is its own link.
  const DRAG_PX = 5;
  let drag = null;

  function fraction(svg, event) {
    const box = svg.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }

  document.addEventListener("pointerdown", (event) => {
    const svg = event.target.closest(".volume__bars");
    if (!svg || event.button !== 0 || event.pointerType === "touch") return;
    event.preventDefault(); // or the browser drags the bar's link
    drag = { svg, x: event.clientX, from: fraction(svg, event), mark: null };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag || (!drag.mark && Math.abs(event.clientX - drag.x) <= DRAG_PX)) return;
    if (!drag.mark) {
      drag.mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      drag.mark.setAttribute("class", "volume__selection");
      drag.mark.setAttribute("height", "100%");
      drag.svg.append(drag.mark);
    }
    const to = fraction(drag.svg, event);
    const width = drag.svg.viewBox.baseVal.width;
    drag.mark.setAttribute("x", String(Math.min(drag.from, to) * width));
    drag.mark.setAttribute("width", String(Math.abs(to - drag.from) * width));
  });
  document.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { svg, from, mark } = drag;
    drag = null;
    if (!mark) return;
    svg.addEventListener("click", (click) => click.preventDefault(), { once: true, capture: true });
    const start = BigInt(svg.dataset.start);
    const length = Number(BigInt(svg.dataset.end) - start);
    const [first, last] = [from, fraction(svg, event)].sort((a, b) => a - b).map((part) => start + BigInt(Math.round(part * length)));
    const params = new URLSearchParams(location.search);
    params.delete("arrived");
    params.set("start", rfc3339(first));
    params.set("end", rfc3339(last));
    location.search = "?" + params;
  });

  function rfc3339(ns) {
    return new Date(Number(ns / 1000000n)).toISOString();
  }

  // --- Relative times, every 15 s; the same words as the server's filter.
  function ago(seconds) {
    if (seconds < 1) return "now";
    if (seconds < 60) return Math.round(seconds) + "s ago";
    if (seconds < 3600) return Math.floor(seconds / 60) + "m ago";
    if (seconds < 172800) return Math.floor(seconds / 3600) + "h ago";
    return Math.floor(seconds / 86400) + "d ago";
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
