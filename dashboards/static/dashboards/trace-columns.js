// The columns of the trace list: which, in which order, how wide.
(function () {
  "use strict";
  const columns = document.querySelector("[data-columns]");
  if (!columns) return; // a refused query, or the setup guide

  // --- Which, and their order: in the address, and remembered for the next visit
  function remember(names) {
    document.cookie = "columns=" + names.join("|") + "; path=/; max-age=" + (names.length ? 31536000 : 0) + "; samesite=lax";
  }

  columns.addEventListener("submit", () => {
    const names = [...columns.querySelectorAll("[name=col]:checked")].map((box) => box.value);
    remember(names);
    columns.elements.cols.value = names.join(",");
  });
  columns.addEventListener("formdata", (event) => event.formData.delete("col"));
  columns.querySelector("[data-columns-reset]").addEventListener("click", () => {
    remember([]);
    keepWidths(new Map());
    columns.elements.cols.remove();
    columns.submit(); // without the event that would read the boxes
  });

  columns.addEventListener("click", (event) => {
    const move = event.target.closest("[data-column-move]");
    if (!move) return;
    const row = move.closest("[data-column-row]");
    if (move.dataset.columnMove === "1") row.nextElementSibling?.after(row);
    else row.previousElementSibling?.matches("[data-column-row]") && row.previousElementSibling.before(row);
    move.focus();
  });

  // A header dragged onto another takes its place.
  const heads = document.getElementById("trace-heads");
  let dragged = null;

  function headUnder(event) {
    const over = dragged && event.target.closest("[data-column]");
    return over && over !== dragged ? over : null;
  }

  function markDrop(over) {
    const isRight = over && dragged.compareDocumentPosition(over) & Node.DOCUMENT_POSITION_FOLLOWING;
    heads.querySelectorAll("[data-column]").forEach((head) => {
      head.classList.toggle("trace-table__drop", head === over);
      head.classList.toggle("trace-table__drop--after", head === over && Boolean(isRight));
    });
  }

  if (heads) {
    addEdges();
    heads.addEventListener("dragstart", (event) => {
      dragged = event.target.closest("[data-column]");
      if (dragged) event.dataTransfer.effectAllowed = "move";
    });
    heads.addEventListener("dragover", (event) => {
      const over = headUnder(event);
      if (over) event.preventDefault();
      markDrop(over);
    });
    heads.addEventListener("drop", (event) => {
      const over = headUnder(event);
      if (!over) return;
      event.preventDefault(); // or the browser follows the link that was dragged
      over[over.classList.contains("trace-table__drop--after") ? "after" : "before"](dragged);
      const names = [...heads.querySelectorAll("[data-column]")].map((head) => head.dataset.column);
      remember(names);
      const params = new URLSearchParams(location.search);
      params.set("cols", names.join(","));
      location.search = "?" + params;
    });
    heads.addEventListener("dragend", () => {
      markDrop(null);
      dragged = null;
    });
  }

  // --- How wide: dragged or moved by keys at the right edge of a header; in a cookie, so that the server sends the table as it was left
  function keepWidths(widths) {
    const text = [...widths].map((pair) => pair.join(".")).join("-");
    document.cookie = "widths=" + text + "; path=/; max-age=" + (text ? 31536000 : 0) + "; samesite=lax";
  }

  function addEdges() {
    const [LEAST, MOST, LEAST_NAME, FITTING, STEP] = [48, 960, 200, 640, 8]; // pixels; the first three as in trace_list/columns.py
    const table = heads.closest("table");
    const card = table.parentElement;
    const place = (name) => table.querySelector(`col[data-width="${name}"]`);
    const measure = (head) => Math.round(head.getBoundingClientRect().width);
    const widths = new Map([...(/(?:^|; )widths=([^;]*)/.exec(document.cookie)?.[1] || "").matchAll(/(\w+)\.(\d+)/g)].map((found) => [found[1], Number(found[2])]));

    /** A table of many columns gave each what it needed; as soon as the reader decides about one, all stay as they are. */
    function holdAll() {
      const all = [...heads.querySelectorAll("[data-column]")].map((head) => [head, measure(head)]);
      table.classList.add("trace-table--sized");
      all.forEach(([head, px]) => put(head, px));
    }

    function put(head, px) {
      const name = head.dataset.column;
      const width = Math.min(MOST, Math.max(LEAST, Math.round(px)));
      widths.set(name, width);
      place(name).setAttribute("width", width);
      if (name === "name") {
        place("rest").setAttribute("width", 1);
        table.classList.add("trace-table--filled");
      } else if (!widths.has("name")) place("name").setAttribute("width", LEAST_NAME);
    }

    function resize(edge, px) {
      if (card.matches(".traces__card--wide") && !table.matches(".trace-table--sized")) holdAll();
      table.classList.add("trace-table--sized");
      put(edge.parentElement, px);
      keepWidths(widths);
      tell(edge);
    }

    function tell(edge) {
      const px = measure(edge.parentElement);
      edge.setAttribute("aria-valuenow", px);
      edge.setAttribute("aria-valuetext", px + " pixels");
    }

    /** As wide as what the rows hold of it, and its header. */
    function fit(edge) {
      const col = place(edge.parentElement.dataset.column);
      const before = col.getAttribute("width");
      col.removeAttribute("width");
      table.classList.add("trace-table--fitting");
      const px = measure(edge.parentElement);
      table.classList.remove("trace-table--fitting");
      if (before) col.setAttribute("width", before);
      resize(edge, Math.min(FITTING, px + 1)); // what was measured may be half a pixel more
    }

    function addEdge(head) {
      const edge = document.createElement("span");
      edge.className = "trace-table__edge";
      edge.tabIndex = 0;
      edge.title = "Drag to resize, double-click to fit";
      const attributes = { role: "separator", "aria-orientation": "vertical", "aria-label": "Width of " + head.textContent.trim(), "aria-valuemin": LEAST, "aria-valuemax": MOST };
      Object.entries(attributes).forEach(([name, value]) => edge.setAttribute(name, value));
      let held = null;
      edge.addEventListener("mousedown", (event) => event.preventDefault()); // or the header would be dragged to another place
      edge.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        edge.setPointerCapture(event.pointerId);
        held = { x: event.clientX, px: measure(head) };
      });
      edge.addEventListener("pointermove", (event) => {
        if (held && event.clientX !== held.x) resize(edge, held.px + event.clientX - held.x);
      });
      edge.addEventListener("lostpointercapture", () => { held = null; });
      edge.addEventListener("dblclick", () => fit(edge));
      edge.addEventListener("focus", () => tell(edge));
      edge.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const step = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
        if (!step && event.key !== "Enter") return;
        event.preventDefault();
        event.stopPropagation(); // Enter would open the trace under the keys as well
        if (step) resize(edge, measure(head) + step * (event.shiftKey ? 6 : 1));
        else fit(edge);
      });
      head.append(edge);
      tell(edge);
    }

    heads.querySelectorAll("[data-column]").forEach(addEdge);
    // Headers stay in sight while the page scrolls, unless it is the table that scrolls: sideways, when it has become wider than its card.
    const watch = new ResizeObserver(() => card.classList.toggle("traces__card--scrolls", table.offsetWidth > card.clientWidth));
    [card, table].forEach((box) => watch.observe(box));
  }
})();
