// Two traces beside each other: moving between steps and differences, and opening the texts of a step.
(function () {
  "use strict";
  const { onKey } = window.tracestore;
  const page = document.getElementById("compare");
  const body = document.getElementById("compare-rows");
  if (!body) return;
  let current = null;
  let awaited = null; // what to do once rows that follow have come: only what was asked for last

  function rows(selector) {
    return [...body.querySelectorAll(selector)];
  }

  function select(row, focus) {
    if (!row) return;
    awaited = null; // whoever has gone on elsewhere stays there
    if (current) current.classList.remove("cmp-row--current");
    current = row;
    row.classList.add("cmp-row--current");
    row.scrollIntoView({ block: "nearest" });
    const button = row.querySelector(".cmp-row__open");
    if (focus && button) button.focus({ preventScroll: true });
  }

  /** Call `then` once the rows that follow have come, never where there are no more. */
  function loadMore(then) {
    const more = body.querySelector(".cmp-more");
    if (!more) return;
    awaited = then;
    htmx.trigger(more, "more");
  }

  let arrived = null;
  body.addEventListener("htmx:afterSettle", (event) => {
    const { requestConfig, xhr } = event.detail;
    if (!awaited || xhr === arrived || !requestConfig.elt.matches(".cmp-more")) return; // the event comes once for each row
    arrived = xhr;
    const then = awaited;
    awaited = null;
    then();
  });

  function follows(row, other) {
    return Boolean(other.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING);
  }

  function move(selector, step) {
    const all = rows(selector);
    const beyond = current ? all.filter((row) => (step > 0 ? follows(row, current) : follows(current, row))) : all;
    const next = step > 0 ? beyond[0] : beyond[beyond.length - 1];
    if (next) select(next, true);
    else if (step > 0) loadMore(() => move(selector, step));
  }

  function showRow(index) {
    const row = document.getElementById("row-" + index);
    if (row) select(row, true);
    else loadMore(() => showRow(index));
  }

  function toggle(row) {
    const button = row.querySelector(".cmp-row__open");
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    let detail = row.nextElementSibling;
    if (!detail || !detail.classList.contains("cmp-detail")) {
      detail = document.createElement("tr");
      detail.className = "cmp-detail";
      const cell = document.createElement("td");
      cell.colSpan = 5;
      const bar = document.createElement("span");
      bar.className = "skeleton";
      cell.append(bar);
      detail.append(cell);
      row.after(detail);
      const steps = new URLSearchParams({ sa: row.dataset.a, sb: row.dataset.b });
      htmx.ajax("GET", page.dataset.steps + "&" + steps, { source: cell, target: cell, swap: "innerHTML" });
    }
    detail.hidden = !open;
  }

  body.addEventListener("click", (event) => {
    const button = event.target.closest(".cmp-row__open");
    if (!button) return;
    const row = button.closest(".cmp-row");
    select(row, false);
    toggle(row);
  });
  page.addEventListener("click", (event) => {
    const button = event.target.closest("[data-cmp]");
    if (button) move("[data-change]", button.dataset.cmp === "next" ? 1 : -1);
    const link = event.target.closest("[data-cmp-row]");
    if (link) {
      event.preventDefault();
      showRow(link.dataset.cmpRow);
    }
  });
  onKey("n", () => move("[data-change]", 1));
  onKey("p", () => move("[data-change]", -1));
  onKey("j", () => move(".cmp-row", 1));
  onKey("k", () => move(".cmp-row", -1));
  onKey("x", () => document.getElementById("swap").click());
})();
